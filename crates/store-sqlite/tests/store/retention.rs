//! Old partitions go, the books stay.

use super::support::{check, clock, config, files, fill, fresh, open, run};
use hoplog_model::times::DAY;
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, books, write};
use hoplog_store::retention::Keep;
use hoplog_store::{Maintenance, Part, TraceReader};
use hoplog_store_sqlite::{Config, SqliteStore};

async fn days(store: &SqliteStore, days: std::ops::Range<u64>) {
    for n in days {
        let start = NOW - n * DAY;
        let part = part(trace(n + 1), &[Span::root(1).at(start, 5)]);
        write(
            store,
            vec![Part {
                received_at: start,
                ..part
            }],
        )
        .await;
    }
}

#[tokio::test]
async fn partitions_past_their_age_leave_no_file() {
    let (dir, store) = fresh().await;
    days(&store, 0..10).await;
    let before = books(&store).await;
    assert_eq!(store.retain(NOW).await.unwrap(), 2);
    let partitions = files(&dir.path().join("partitions"));
    let kept: Vec<&str> = partitions
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.ends_with(".db"))
        .collect();
    assert_eq!(kept.len(), 8);
    assert!(
        partitions
            .iter()
            .all(|(name, _)| !name.contains("20261115")),
        "{partitions:?}"
    );
    assert_eq!(books(&store).await, before);
    store.close().await.unwrap();
    let again = open(dir.path()).await;
    assert_eq!(books(&again).await, before);
    assert_eq!(again.health().await.unwrap().dropped_rows, 2);
}

#[tokio::test]
async fn the_oldest_go_until_the_size_fits_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        retain_days: None,
        retain_bytes: Some(1),
        keep: Keep::forever(),
        ..config()
    };
    let store = SqliteStore::open(dir.path(), config, clock())
        .await
        .unwrap();
    days(&store, 0..4).await;
    assert_eq!(store.retain(NOW + 1_000 * DAY).await.unwrap(), 3);
    assert!(store.get(&trace(1)).await.unwrap().is_some());
    assert!(store.get(&trace(2)).await.unwrap().is_none());
    assert_eq!(store.retain(NOW).await.unwrap(), 0);
}

#[tokio::test]
async fn a_drop_that_was_interrupted_is_ended_at_the_next_start() {
    let (dir, store) = fresh().await;
    days(&store, 7..9).await;
    fill(&store, 100..103).await;
    let before = books(&store).await;
    let old = dir.path().join("partitions").join("p-20261115T000000.db");
    let kept = dir.path().join("kept");
    std::fs::copy(&old, &kept).unwrap();
    assert_eq!(store.retain(NOW).await.unwrap(), 1);
    store.close().await.unwrap();
    // As if the process had ended between the catalogue's commit and the removal of the file.
    std::fs::rename(&kept, &old).unwrap();
    let listed = "INSERT INTO partitions VALUES ('p-20261115T000000', 1794700800000000000, 1794787200000000000, 'dropped')";
    run(&dir.path().join("catalogue.db"), listed).await;
    let again = open(dir.path()).await;
    assert!(!old.exists());
    assert_eq!(books(&again).await, before);
    assert_eq!(again.health().await.unwrap().partitions.len(), 2);
    assert_eq!(check(&again).await.differences, []);
}
