//! Every statement on a filled database: its plan is the one that it is meant to have.

use super::{ALL, INSERTS};
use crate::catalogue::Catalogue;
use crate::db::{Connection, Use};
use crate::{Config, SqliteStore};
use hoplog_store::Maintenance;
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, clock, write};
use hoplog_store::{Outcome, Part};
use sqlx::{AssertSqlSafe, Row};

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

async fn fill(store: &SqliteStore) {
    for batch in 0..40 {
        let parts = (1..=50).map(|n| {
            let n = batch * 50 + n;
            let start = NOW + n * 1_000_000_000;
            let name = format!("GET /{}", n % 60);
            let root = Span::root(1)
                .name(&name)
                .at(start, n)
                .with("n", n.cast_signed());
            let outcome = if n % 9 == 0 {
                Outcome::CountOnly
            } else {
                Outcome::Keep
            };
            Part {
                outcome,
                ..part(trace(n), &[root, Span::child(2, 1).at(start, 5)])
            }
        });
        write(store, parts.collect()).await;
    }
}

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

#[tokio::test]
async fn every_statement_has_the_plan_it_is_meant_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Config::default(), clock())
        .await
        .unwrap();
    fill(&store).await;
    let path = store.shared.partitions()[0].path.clone();
    store.close().await.unwrap();
    let mut catalogue = Catalogue::open(dir.path()).await.unwrap();
    let purpose = Use::Write {
        cache_kib: 1_000,
        wal_pages: 1_000,
    };
    let mut partition = Connection::open(&path, purpose).await.unwrap();
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
    assert_eq!(wrong, []);
    for insert in INSERTS {
        for text in insert.texts.iter() {
            assert_eq!(
                plan(&mut partition, text).await.len(),
                usize::from(text.contains("),("))
            );
        }
    }
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

#[test]
fn every_file_is_a_statement() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
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
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
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
