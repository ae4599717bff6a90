//! The suite that every store passes.

use hoplog_model::Clock;
use hoplog_model::times::DAY;
use hoplog_store::conformance::KEEP;
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::Database;
use std::sync::Arc;

async fn fresh(clock: Arc<dyn Clock>) -> (Database, PostgresStore) {
    let database = Database::new().unwrap();
    let config = Config {
        retain_days: Some(u32::try_from(KEEP / DAY).unwrap()),
        ..Config::default()
    };
    let store = PostgresStore::open(&database.url(), config, clock).await;
    (database, store.unwrap())
}

hoplog_store::conformance!(fresh);
