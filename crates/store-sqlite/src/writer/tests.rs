//! What a later part costs.

use crate::{Config, SqliteStore};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, clock, write};

/// Statements that a later part takes in a store of so many requests, and rows of tables it changes.
async fn cost(requests: u64) -> (u64, i64) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Config::default(), clock())
        .await
        .unwrap();
    let numbers: Vec<u64> = (1..=requests).collect();
    for numbers in numbers.chunks(200) {
        let parts = numbers
            .iter()
            .map(|n| part(trace(*n), &[Span::root(1).at(NOW + n, 5)]));
        write(&store, parts.collect()).await;
    }
    let before = totals(&store).await;
    write(
        &store,
        vec![part(trace(1), &[Span::child(2, 1).name("late")])],
    )
    .await;
    let after = totals(&store).await;
    (after.0 - before.0, after.1 - before.1)
}

async fn totals(store: &SqliteStore) -> (u64, i64) {
    let mut writer = store.writer().await.unwrap();
    let connection = &mut writer.files[0].connection;
    let statements = connection.statements;
    let changes = sqlx::query_scalar("SELECT total_changes()").fetch_one(connection.bare());
    (statements, changes.await.unwrap())
}

#[tokio::test]
async fn a_later_part_costs_the_same_in_every_store() {
    let small = cost(10).await;
    assert_eq!(small, cost(1_000).await);
    assert!(small.0 <= 20 && small.1 <= 30, "{small:?}");
}
