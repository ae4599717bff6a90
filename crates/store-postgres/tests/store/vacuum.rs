//! What rows that are gone leave is free for others at once.

use hoplog_store::Maintenance;
use hoplog_store::conformance::clock;
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::Database;

#[tokio::test]
async fn a_table_that_was_emptied_is_short_again() {
    let database = Database::new().unwrap();
    let url = database.url();
    let store = PostgresStore::open(&url, Config::default(), clock()).await;
    let store = store.unwrap();
    let pages = || {
        let size = "SELECT pg_relation_size('hoplog.upto') / 8192";
        database.psql(size).unwrap().parse::<u64>().unwrap()
    };
    // The server counts what a session has done when it ends, at the latest; here at the end of the transaction.
    let emptied = "INSERT INTO hoplog.upto (writer, upto_max, day, segment, requests)
            SELECT 'somebody', n, 0, n, '' FROM generate_series(1, 5000) AS n;
        DELETE FROM hoplog.upto";
    database
        .psql(&format!("{emptied}; SELECT pg_stat_force_next_flush()"))
        .unwrap();
    assert!(pages() > 20);
    assert!(!store.give_back().await.unwrap(), "there is no more to do");
    assert_eq!(pages(), 0);
    store.close().await.unwrap();
}
