//! Stores in folders of their own, and rows to put into them.

use hoplog_model::times::DAY;
use hoplog_model::{Clock, ManualClock, Position};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{KEEP, NOW, write};
use hoplog_store::{CheckReport, Maintenance, Part};
use hoplog_store_sqlite::{Config, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) fn config() -> Config {
    Config {
        retain_days: Some(u32::try_from(KEEP / DAY).unwrap()),
        ..Config::default()
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(NOW))
}

pub(crate) async fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, config(), clock()).await.unwrap()
}

pub(crate) async fn fresh() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    (dir, store)
}

/// A request of a root and a few children over three services.
pub(crate) fn request(n: u64) -> Part {
    let spans: Vec<Span> = (1..=6)
        .map(|id| {
            let span = if id == 1 {
                Span::root(1)
            } else {
                Span::child(id, id / 2)
            };
            span.service(["shop", "bank", "mail"][usize::try_from((n + id) % 3).unwrap()])
                .name(&format!("GET /{}", id % 4))
                .at(NOW - n * 1_000, id * 1_000 + n)
                .with("order.id", i64::try_from(n).unwrap())
                .with("user", format!("user {}", n % 7).as_str())
        })
        .collect();
    Part {
        upto: Position {
            segment: 1,
            offset: u32::try_from(n).unwrap(),
        },
        ..part(trace(n), &spans)
    }
}

/// Writes the requests of these numbers, in batches of 400.
pub(crate) async fn fill(store: &SqliteStore, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for numbers in numbers.chunks(400) {
        write(store, numbers.iter().map(|n| request(*n)).collect()).await;
    }
}

pub(crate) async fn check(store: &SqliteStore) -> CheckReport {
    store.check(&|_, _| ()).await.unwrap()
}

/// What `kill -9` would leave: the files as they are while the store is open.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every file below a folder, with its size.
pub(crate) fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            all.push((name, std::fs::metadata(&path).unwrap().len()));
        }
    }
    all.sort();
    all
}

/// The path of the only partition, or the first.
pub(crate) fn partition(dir: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(dir.join("partitions")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "db"));
    paths.sort();
    paths.remove(0)
}

/// Runs statements on a database file.
pub(crate) async fn run(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The number that a query on a database file answers.
pub(crate) async fn number(path: &Path, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}
