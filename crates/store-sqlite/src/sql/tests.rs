//! Every statement on a filled database: its plan is the one that it is meant to have.

use super::{ALL, INSERTS};
use crate::catalogue::Catalogue;
use crate::db::{Connection, Use};
use crate::{Config, SqliteStore};
use hoplog_store::Maintenance;
use hoplog_store::conformance::volume::fill_a_little;
use hoplog_store::conformance::{NOW, clock};
use sqlx::{AssertSqlSafe, Row};
use std::path::Path;

/// Tables whose size has no bound: none of them is ever read from one end to the other.
const GROWING: [&str; 20] = [
    "requests",
    "parts",
    "segments",
    "records",
    "filters",
    "upto",
    "rollup_minute",
    "rollup_hour",
    "decisions",
    "area",
    "merged_keys",
    "merged",
    "outlines",
    "o",
    "r",
    "f",
    "a",
    "s",
    "m",
    "k",
];

async fn plan(connection: &mut Connection, text: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
    let rows = sqlx::query(explain)
        .fetch_all(connection.bare())
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>("detail"))
        .collect()
}

/// Lines that read a whole growing table or index, or sort one.
fn faults(plan: &[String]) -> Vec<&String> {
    let scans = |line: &&String| {
        let mut words = line.split_whitespace();
        words.next() == Some("SCAN") && words.next().is_some_and(|table| GROWING.contains(&table))
    };
    plan.iter()
        .filter(|line| scans(line) || line.contains("TEMP B-TREE"))
        .collect()
}

/// What is wrong with the plans of all statements on this data folder and its partition file.
pub(super) async fn faults_of(dir: &Path, partition: &Path) -> Vec<(&'static str, Vec<String>)> {
    let mut catalogue = Catalogue::open(dir).await.unwrap();
    let mut partition = open(partition).await;
    let mut wrong = Vec::new();
    for statement in ALL {
        let connection = if statement.of_catalogue {
            catalogue.connection()
        } else {
            &mut partition
        };
        let plan = plan(connection, statement.text).await;
        let has = |piece: &&str| plan.iter().any(|line| line.contains(piece));
        if !statement.plan.iter().all(has) {
            wrong.push((statement.name, plan.clone()));
        }
        // Reading the least or greatest key of an index looks like a scan that ends with its first row.
        let bounds = ["read_bounds", "read_minute_bounds"];
        if !bounds.contains(&statement.name) && !faults(&plan).is_empty() {
            wrong.push((statement.name, plan));
        }
    }
    for insert in INSERTS {
        for text in insert.texts.iter() {
            let plan = plan(&mut partition, text).await;
            if plan.len() != usize::from(text.contains("),(")) {
                wrong.push((insert.name, plan));
            }
        }
    }
    // Closed before anybody else opens them.
    partition.close().await.unwrap();
    catalogue.close().await.unwrap();
    wrong
}

async fn open(partition: &Path) -> Connection {
    let purpose = Use::Write {
        cache_kib: 1_000,
        wal_pages: 1_000,
    };
    Connection::open(partition, purpose).await.unwrap()
}

async fn store(dir: &Path) -> SqliteStore {
    let store = SqliteStore::open(dir, Config::default(), clock()).await;
    store.unwrap()
}

#[tokio::test]
async fn every_statement_has_the_plan_it_is_meant_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // A partition with a row or so, as good as empty.
    let first = store(dir).await;
    fill_a_little(&first, 1, NOW).await;
    let path = first.shared.partitions()[0].path.clone();
    first.close().await.unwrap();
    assert_eq!(faults_of(dir, &path).await, []);
    // Somebody makes statistics of next to nothing...
    analyze(&path).await;
    // ...before there is more and more.
    let second = store(dir).await;
    fill_a_little(&second, 40, NOW).await;
    second.close().await.unwrap();
    assert_eq!(faults_of(dir, &path).await, []);
    // And true ones.
    analyze(&path).await;
    store(dir).await.close().await.unwrap();
    assert_eq!(faults_of(dir, &path).await, []);
}

async fn analyze(partition: &Path) {
    let mut connection = open(partition).await;
    let analyzed = sqlx::raw_sql("ANALYZE").execute(connection.bare()).await;
    analyzed.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn the_ends_of_a_table_are_read_from_an_index_with_a_limit() {
    for statement in [super::READ_BOUNDS, super::READ_MINUTE_BOUNDS] {
        let parts = statement.text.matches("(SELECT").count();
        assert!(parts > 0);
        assert_eq!(
            statement.text.matches("LIMIT 1)").count(),
            parts,
            "{}",
            statement.name
        );
    }
}

/// What the planner may decline: each range is a statement of its own (ADR 12).
#[test]
fn no_statement_has_an_or() {
    for statement in ALL {
        let text = statement.text.replace("INSERT OR ", "INSERT ");
        let has_or = text.split_whitespace().any(|word| word == "OR");
        assert!(!has_or, "{}", statement.name);
    }
}

#[test]
fn every_file_is_a_statement() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "sql") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(ALL.iter().any(|statement| statement.name == name), "{name}");
        }
    }
}

/// Statements are only ever run by `db`, which takes them from here.
#[test]
fn no_other_module_speaks_to_the_database() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let is_db = path.ends_with("src/db.rs") || path.ends_with("tests.rs");
            for call in ["sqlx::query", "sqlx::raw_sql", "QueryBuilder"] {
                assert!(is_db || !text.contains(call), "{}: {call}", path.display());
            }
        }
    }
}
