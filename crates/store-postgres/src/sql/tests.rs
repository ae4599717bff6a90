//! Every statement has the one plan that it is meant to have, whatever the data and the statistics.

use super::{ALL, Statement};
use crate::partition::Partition;
use crate::{Config, PostgresStore, db};
use hoplog_model::times::DAY;
use hoplog_store::conformance::volume::fill_a_little;
use hoplog_store::conformance::{NOW, clock};
use hoplog_testkit::postgres::Database;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::collections::BTreeMap;

/// Plans by the name of the statement.
pub(super) type Plans = BTreeMap<&'static str, Value>;

/// Tables that stay small: a line for each partition, collector, dictionary or reason, or as many as there may be
/// requests kept by hand.
const SMALL: [&str; 7] = [
    "partitions",
    "collectors",
    "dictionaries",
    "dropped",
    "retained",
    "pins",
    "pin_state",
];
/// System tables that tell sizes.
const SYSTEM: [&str; 3] = ["read_sizes", "read_size", "read_dead"];
/// Those that read an index from one end, as far as their limit goes.
const FROM_THE_END: [&str; 2] = ["read_keys", "read_minute_bounds"];

/// The plan of a statement for the partition `day`, without what the planner guesses.
async fn plan(connection: &mut PgConnection, statement: &Statement, day: i64) -> Value {
    let text = statement.of(day).sql;
    run(connection, format!("PREPARE it AS {text}")).await;
    let types: Vec<String> = sqlx::query_scalar(
        "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'it'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let values: Vec<String> = types
        .iter()
        .map(|kind| match kind.as_str() {
            "bytea" | "text" => format!("''::{kind}"),
            "smallint" => "0::smallint".to_owned(),
            array if array.ends_with("[]") => format!("'{{}}'::{array}"),
            number => format!("{day}::{number}"),
        })
        .collect();
    let values = if values.is_empty() {
        String::new()
    } else {
        format!("({})", values.join(", "))
    };
    let explain = format!("EXPLAIN (COSTS OFF, FORMAT JSON) EXECUTE it{values}");
    let explained = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_one(&mut *connection)
        .await;
    let explained = explained.unwrap_or_else(|why| panic!("{}: {why}", statement.name));
    // It is of the type json, which is text.
    let text: String = explained.try_get_unchecked(0).unwrap();
    run(connection, "DEALLOCATE it".to_owned()).await;
    let plans: Value = serde_json::from_str(&text).unwrap();
    plans[0]["Plan"].clone()
}

pub(super) async fn run(connection: &mut PgConnection, text: String) {
    db::raw(connection, &text.clone(), text).await.unwrap();
}

/// Every step of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let mut nodes = vec![plan];
    let mut done = 0;
    while let Some(node) = nodes.get(done).copied() {
        nodes.extend(node["Plans"].as_array().into_iter().flatten());
        done += 1;
    }
    nodes
}

/// What is wrong with a plan on the partition that ends in `name`; of no other one it may read anything.
pub(super) fn judge(statement: &Statement, plan: &Value, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let nodes = nodes(plan);
    for index in statement.plan {
        let index = index.replace("_X_", &format!("_{name}_"));
        if !nodes.iter().any(|node| node["Index Name"] == *index) {
            wrong.push(format!("does not use {index}"));
        }
    }
    for node in nodes {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let table = node["Relation Name"].as_str().unwrap_or_default();
        let is_system = SYSTEM.contains(&statement.name);
        if !kind.ends_with("Scan") || SMALL.contains(&table) || is_system || table.is_empty() {
            continue;
        }
        // An index is not there to be read whole.
        let is_bound = !node["Index Cond"].is_null();
        if kind == "Seq Scan" || !is_bound && !FROM_THE_END.contains(&statement.name) {
            wrong.push(format!("reads all of {table}: {kind}"));
        }
        let of_all = ["upto", "decisions"].contains(&table);
        // What an insert may touch is all partitions; what is read is one.
        if !of_all && !table.ends_with(&format!("_{name}")) {
            wrong.push(format!("reads {table}, which is not of {name}"));
        }
    }
    wrong
}

/// The plans of all statements on a partition, each the one that it is meant to be.
pub(super) async fn plans(connection: &mut PgConnection, partition: &Partition) -> Plans {
    let mut plans = BTreeMap::new();
    for statement in ALL {
        let plan = plan(connection, statement, partition.day()).await;
        let wrong = judge(statement, &plan, &partition.name);
        assert!(wrong.is_empty(), "{}: {wrong:?}\n{plan:#}", statement.name);
        if !SYSTEM.contains(&statement.name) {
            plans.insert(statement.name, plan);
        }
    }
    plans
}

/// That they are what they were.
pub(super) fn compare(now: &Plans, before: &Plans) {
    for (name, plan) in now {
        assert_eq!(plan, &before[name], "the plan of {name} has changed");
    }
}

#[tokio::test]
async fn every_statement_keeps_its_plan() {
    let database = Database::new().unwrap();
    let store = PostgresStore::open(&database.url(), Config::default(), clock()).await;
    let store = store.unwrap();
    // Two partitions with a row each, as good as empty.
    fill_a_little(&store, 1, NOW).await;
    fill_a_little(&store, 1, NOW - DAY).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let partitions = store.shared.partitions(&mut connection).await.unwrap();
    let today = partitions.last().unwrap();

    let small = plans(&mut connection, today).await;
    // The statistics of next to nothing...
    run(&mut connection, "ANALYZE".to_owned()).await;
    compare(&plans(&mut connection, today).await, &small);
    // ...kept while there is more and more...
    fill_a_little(&store, 60, NOW).await;
    compare(&plans(&mut connection, today).await, &small);
    // ...and true ones.
    run(&mut connection, "ANALYZE".to_owned()).await;
    compare(&plans(&mut connection, today).await, &small);
}

/// What the planner may decline: each range is a statement of its own (ADR 12).
#[test]
fn no_statement_has_an_or() {
    for statement in ALL {
        let has_or = statement.text.split_whitespace().any(|word| word == "OR");
        assert!(!has_or, "{}", statement.name);
    }
}

#[test]
fn every_statement_is_listed() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql")).unwrap();
    let files = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.filter(|file| file.ends_with(".sql")).collect();
    files.sort_unstable();
    let mut listed: Vec<String> = ALL.iter().map(|one| format!("{}.sql", one.name)).collect();
    listed.sort_unstable();
    assert_eq!(files, listed);
}
