//! Rows packed anew: across a kill, from an earlier schema, and what it frees.

use super::support::{check, copy, fill, fresh, number, open, partition, run};
use hoplog_store::conformance::build::{content, trace};
use hoplog_store::conformance::read;
use hoplog_store::{Maintenance, StoreError};
use hoplog_store_sqlite::SqliteStore;

/// Packs anew until there is nothing to do; returns rows.
async fn finish(store: &SqliteStore) -> u64 {
    let mut rows = 0;
    loop {
        let step = store.repack().await.unwrap();
        rows += step.rows;
        if !step.more {
            return rows;
        }
    }
}

#[tokio::test]
async fn it_goes_on_after_a_kill_and_leaves_room() {
    let (dir, store) = fresh().await;
    fill(&store, 1..5_101).await;
    assert!(store.train().await.unwrap());
    let before = content(&read(&store, trace(77)).await.spans);
    let mut done = 0;
    for _ in 0..5 {
        done += store.repack().await.unwrap().rows;
    }
    assert!((1_000..5_100).contains(&done), "{done}");
    let left = tempfile::tempdir().unwrap();
    copy(dir.path(), left.path());
    let again = open(left.path()).await;
    assert_eq!(again.health().await.unwrap().repacked_rows, done);
    assert_eq!(finish(&again).await, 5_100 - done);
    assert_eq!(content(&read(&again, trace(77)).await.spans), before);
    assert_eq!(check(&again).await.differences, []);
    assert_eq!(finish(&again).await, 0);
    again.close().await.unwrap();
    // Pages of their own for the rows to come: bytes within pages nobody would ever get.
    let pages = number(&partition(left.path()), "PRAGMA page_count").await;
    let free = number(&partition(left.path()), "PRAGMA freelist_count").await;
    assert!(free * 20 > pages, "{free} of {pages} pages are free");
    // Or for the disk.
    let again = open(left.path()).await;
    let mut steps = 0;
    while again.give_back().await.unwrap() {
        steps += 1;
    }
    assert!(steps > 0);
    assert_eq!(content(&read(&again, trace(77)).await.spans), before);
    assert_eq!(check(&again).await.differences, []);
    again.close().await.unwrap();
    let shorter = number(&partition(left.path()), "PRAGMA page_count").await;
    let free_now = number(&partition(left.path()), "PRAGMA freelist_count").await;
    assert!(free_now < 64, "{free_now} pages are free");
    assert!(shorter <= pages - free + free_now, "{shorter} of {pages}");
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_upgraded() {
    let (dir, store) = fresh().await;
    fill(&store, 1..5_101).await;
    store.close().await.unwrap();
    let first = "ALTER TABLE books DROP COLUMN packing; ALTER TABLE books DROP COLUMN counted_from;
        ALTER TABLE books DROP COLUMN max_extent; ALTER TABLE segments DROP COLUMN max_extent;
        DROP TABLE merging; DROP TABLE merged_keys; DROP TABLE merged; DROP TABLE outlines;
        PRAGMA user_version = 1";
    run(&partition(dir.path()), first).await;
    let looked = SqliteStore::open_read_only(dir.path(), hoplog_store::conformance::clock()).await;
    let refused = looked.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Unavailable(said) if said.contains("schema version 1")),
        "{refused}"
    );
    let store = open(dir.path()).await;
    let counted = |health: hoplog_store::StoreHealth| {
        health.packing.iter().map(|line| line.rows).sum::<u64>()
    };
    assert_eq!(
        counted(store.health().await.unwrap()),
        0,
        "nobody counted these"
    );
    fill(&store, 5_101..5_201).await;
    assert_eq!(counted(store.health().await.unwrap()), 100);
    assert_eq!(check(&store).await.differences, []);
    assert!(store.train().await.unwrap());
    assert_eq!(finish(&store).await, 5_200);
    assert_eq!(check(&store).await.differences, []);
    store.close().await.unwrap();
    let again = open(dir.path()).await;
    assert_eq!(finish(&again).await, 0);
}
