//! The suite that every store passes.

use super::support::config;
use hoplog_model::Clock;
use hoplog_store::retention::Keep;
use hoplog_store_sqlite::{Config, SqliteStore};
use std::sync::Arc;
use tempfile::TempDir;

async fn fresh(clock: Arc<dyn Clock>) -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), config(), clock)
        .await
        .unwrap();
    (dir, store)
}

hoplog_store::conformance!(fresh);

async fn keeping(clock: Arc<dyn Clock>, keep: Keep) -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        keep,
        ..Config::default()
    };
    let store = SqliteStore::open(dir.path(), config, clock).await.unwrap();
    (dir, store)
}

hoplog_store::conformance_of_retention!(keeping);
