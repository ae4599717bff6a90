//! Databases that earlier hoplogs wrote.

use hoplog_store::conformance::build::trace;
use hoplog_store::conformance::upgrade::{
    answers, fill, fill_some_more, fixture, go_on, is_clean, keep, newest, recorded,
};
use hoplog_store::conformance::{clock, read};
use hoplog_store::{Maintenance, StoreError};
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::Database;

const SQL: &str = "postgres.sql";

async fn open(database: &Database, writer: &str) -> Result<PostgresStore, StoreError> {
    let config = Config {
        writer: writer.to_owned(),
        ..Config::default()
    };
    PostgresStore::open(&database.url(), config, clock()).await
}

fn restored(schema: u32) -> Database {
    let database = Database::new().unwrap();
    database.restore(&fixture(schema, SQL)).unwrap();
    database
}

#[tokio::test]
async fn every_earlier_schema_is_brought_up_to_date_and_goes_on() {
    for schema in 1..=newest() {
        let database = restored(schema);
        // Two collectors start at once; one of them brings it up to date.
        let (store, other) = tokio::join!(open(&database, "one"), open(&database, "other"));
        let (store, other) = (store.unwrap(), other.unwrap());
        assert_eq!(answers(&store).await, recorded(schema), "schema {schema}");
        is_clean(&store).await;
        go_on(&other).await;
        assert!(read(&store, trace(504)).await.spans.len() == 3);
        store.close().await.unwrap();
        other.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_only_looked_at_is_left_as_it_is() {
    for schema in 1..newest() {
        let database = restored(schema);
        let before = database.dump("hoplog").unwrap();
        let refused = PostgresStore::open_read_only(&database.url(), clock()).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("hoplog migrate")),
            "{refused:?}"
        );
        assert_eq!(database.dump("hoplog").unwrap(), before);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let database = restored(newest());
    let newer = "UPDATE hoplog.schema_version SET version = version + 1";
    database.psql(newer).unwrap();
    let before = database.dump("hoplog").unwrap();
    let refused = open(&database, "one").await;
    assert!(matches!(refused, Err(StoreError::Newer(_))), "{refused:?}");
    assert_eq!(database.dump("hoplog").unwrap(), before);
}

/// `cargo xtask fixtures` runs it.
#[tokio::test]
#[ignore = "makes the fixture of a new schema"]
async fn make_the_fixture() {
    let database = Database::new().unwrap();
    let store = open(&database, "one").await.unwrap();
    fill(&store).await;
    fill_some_more(&store).await;
    let answered = answers(&store).await;
    store.close().await.unwrap();
    let dumped = database.dump("hoplog").unwrap();
    keep(SQL, dumped.as_bytes(), &answered);
}
