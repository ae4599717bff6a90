//! The suite that every store passes: on a server of our own, or where `TEST_CITUS_URL` names a database of a
//! cluster with the Citus extension, on that, with the tables distributed. Its schema `hoplog` is dropped.

use hoplog_model::Clock;
use hoplog_store::conformance::KEEP;
use hoplog_store::retention::Keep;
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::{Database, shared};
use std::sync::{Arc, LazyLock};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// What a case has to itself: a database, or the time until the next case may use the cluster's.
struct Place {
    url: String,
    _ours: Option<Database>,
    _alone: Option<OwnedMutexGuard<()>>,
}

static CLUSTER: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

impl Place {
    fn ours() -> Self {
        let database = Database::new().unwrap();
        Self {
            url: database.url(),
            _ours: Some(database),
            _alone: None,
        }
    }

    async fn on_cluster(url: String) -> Self {
        let alone = Arc::clone(&CLUSTER).lock_owned().await;
        let clear = "DROP SCHEMA IF EXISTS hoplog CASCADE";
        shared().unwrap().psql_at(&url, clear).unwrap();
        PostgresStore::migrate(&url, true).await.unwrap();
        Self {
            url,
            _ours: None,
            _alone: Some(alone),
        }
    }
}

async fn fresh(clock: Arc<dyn Clock>) -> (Place, PostgresStore) {
    keeping(clock, Keep::all(KEEP)).await
}

async fn keeping(clock: Arc<dyn Clock>, keep: Keep) -> (Place, PostgresStore) {
    let place = match std::env::var("TEST_CITUS_URL") {
        Ok(url) => Place::on_cluster(url).await,
        Err(_) => Place::ours(),
    };
    let config = Config {
        keep,
        ..Config::default()
    };
    let store = PostgresStore::open(&place.url, config, clock).await;
    (place, store.unwrap())
}

hoplog_store::conformance!(fresh);
hoplog_store::conformance_of_retention!(keeping);
