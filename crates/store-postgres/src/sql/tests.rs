//! Every statement has the one plan that it is meant to have, whatever the data and the statistics.

use super::{ALL, Statement};
use crate::{Config, PostgresStore, db};
use hoplog_model::times::DAY;
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, clock, write};
use hoplog_store::{Outcome, Part};
use hoplog_testkit::postgres::Database;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeMap;

/// Tables that stay small: a line for each partition, collector or dictionary.
const SMALL: [&str; 4] = ["partitions", "collectors", "dictionaries", "dropped"];
/// System tables that tell sizes.
const SYSTEM: [&str; 1] = ["read_sizes"];
/// Those that read an index from one end, as far as their limit goes.
const FROM_THE_END: [&str; 2] = ["read_keys", "read_minute_bounds"];

async fn fill(store: &PostgresStore, batches: u64, start: u64) {
    for batch in 0..batches {
        let parts = (1..=50).map(|n| {
            let n = batch * 50 + n;
            let at = start + n * 1_000_000_000;
            let name = format!("GET /{}", n % 60);
            let root = Span::root(1)
                .name(&name)
                .at(at, n)
                .with("n", n.cast_signed());
            let outcome = if n % 9 == 0 {
                Outcome::CountOnly
            } else {
                Outcome::Keep
            };
            Part {
                outcome,
                ..part(
                    trace(start / DAY * 1_000_000 + n),
                    &[root, Span::child(2, 1).at(at, 5)],
                )
            }
        });
        write(store, parts.collect()).await;
    }
}

/// The plan of a statement for the partition `day`, without what the planner guesses.
async fn plan(connection: &mut PgConnection, statement: &Statement, day: i64) -> String {
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
            array if array.ends_with("[]") => format!("'{{}}'::{array}"),
            number => format!("{day}::{number}"),
        })
        .collect();
    let values = if values.is_empty() {
        String::new()
    } else {
        format!("({})", values.join(", "))
    };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE it{values}");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .unwrap_or_else(|why| panic!("{}: {why}", statement.name));
    run(connection, "DEALLOCATE it".to_owned()).await;
    lines.join("\n")
}

async fn run(connection: &mut PgConnection, text: String) {
    db::raw(connection, &text.clone(), text).await.unwrap();
}

/// What is wrong with a plan on the partition that ends in `name`.
fn judge(statement: &Statement, plan: &str, name: &str, others: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for index in statement.plan {
        let index = index.replace("_X_", &format!("_{name}_"));
        if !plan.contains(&format!("using {index} ")) {
            wrong.push(format!("does not use {index}"));
        }
    }
    for line in plan.lines().filter(|line| line.contains("Seq Scan on")) {
        let table = line.split("Seq Scan on ").nth(1).unwrap_or_default();
        let table = table.split(' ').next().unwrap_or_default();
        if !SMALL.contains(&table) && !SYSTEM.contains(&statement.name) {
            wrong.push(format!("reads all of {table}"));
        }
    }
    let lines: Vec<&str> = plan.lines().collect();
    for pair in lines
        .windows(2)
        .chain(lines.last().map(std::slice::from_ref))
    {
        // An index is not there to be read whole.
        let is_of_it = pair[0].contains(" Scan") && pair[0].contains(&format!("_{name} "))
            || pair[0].contains(" Scan") && pair[0].ends_with(&format!("_{name}"));
        let is_bound = pair.get(1).is_some_and(|next| next.contains("Index Cond:"));
        if is_of_it && !is_bound && !FROM_THE_END.contains(&statement.name) {
            wrong.push(format!("reads all of an index: {}", pair[0].trim()));
        }
    }
    for other in others {
        // What an insert may touch is all partitions; what is read is one.
        if plan
            .lines()
            .any(|line| line.contains(other) && line.contains("Scan"))
        {
            wrong.push(format!("reads the partition {other}"));
        }
    }
    wrong
}

async fn plans(
    connection: &mut PgConnection,
    (day, name): (i64, &str),
    others: &[String],
) -> BTreeMap<&'static str, String> {
    let mut plans = BTreeMap::new();
    for statement in ALL {
        let plan = plan(connection, statement, day).await;
        let wrong = judge(statement, &plan, name, others);
        assert!(wrong.is_empty(), "{}: {wrong:?}\n{plan}", statement.name);
        if !SYSTEM.contains(&statement.name) {
            plans.insert(statement.name, plan);
        }
    }
    plans
}

fn compare(now: &BTreeMap<&str, String>, before: &BTreeMap<&str, String>) {
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
    fill(&store, 1, NOW).await;
    fill(&store, 1, NOW - DAY).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let partitions = store.shared.partitions(&mut connection).await.unwrap();
    let (today, before) = (partitions.last().unwrap(), partitions.first().unwrap());
    let (of, others) = ((today.day(), today.name.as_str()), [before.name.clone()]);

    let small = plans(&mut connection, of, &others).await;
    // The statistics of next to nothing...
    run(&mut connection, "ANALYZE".to_owned()).await;
    compare(&plans(&mut connection, of, &others).await, &small);
    // ...kept while there is more and more...
    fill(&store, 60, NOW).await;
    compare(&plans(&mut connection, of, &others).await, &small);
    // ...and true ones.
    run(&mut connection, "ANALYZE".to_owned()).await;
    compare(&plans(&mut connection, of, &others).await, &small);
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
