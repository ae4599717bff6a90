//! Data folders that are not as they should be.

use super::support::{check, clock, config, copy, files, fill, fresh, open, partition, run};
use hoplog_store::Maintenance;
use hoplog_store::conformance::build::trace;
use hoplog_store::conformance::{books, read};
use hoplog_store::{SpanWriter, StoreError, WriteBatch};
use hoplog_store_sqlite::SqliteStore;
use std::path::Path;

async fn refusal(dir: &Path) -> StoreError {
    SqliteStore::open(dir, config(), clock())
        .await
        .expect_err("this folder cannot be used")
}

#[tokio::test]
async fn a_folder_from_the_future_is_refused() {
    for is_partition in [true, false] {
        let (dir, store) = fresh().await;
        fill(&store, 1..3).await;
        store.close().await.unwrap();
        let file = if is_partition {
            partition(dir.path())
        } else {
            dir.path().join("catalogue.db")
        };
        run(&file, "PRAGMA user_version = 99").await;
        let why = refusal(dir.path()).await;
        assert!(
            matches!(&why, StoreError::Newer(said) if said.contains("99")),
            "{why}"
        );
        let why = SqliteStore::open_read_only(dir.path(), clock()).await;
        assert!(matches!(why, Err(StoreError::Newer(_))), "{why:?}");
    }
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let (dir, store) = fresh().await;
    fill(&store, 1..3).await;
    let why = refusal(dir.path()).await;
    assert!(matches!(why, StoreError::Busy(_)), "{why}");
    let why = SqliteStore::open_read_only(dir.path(), clock()).await;
    assert!(matches!(why, Err(StoreError::Busy(_))), "{why:?}");
    store.close().await.unwrap();
    open(dir.path()).await;
}

#[tokio::test]
async fn a_missing_partition_is_damage_and_a_copied_one_is_taken_in() {
    let (dir, store) = fresh().await;
    fill(&store, 1..3).await;
    store.close().await.unwrap();
    let path = partition(dir.path());
    let backup = dir.path().join("backup");
    std::fs::rename(&path, &backup).unwrap();
    let why = refusal(dir.path()).await;
    assert!(
        matches!(&why, StoreError::Corrupt { at, .. } if at.contains("p-20261123")),
        "{why}"
    );
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("partitions")).unwrap();
    std::fs::copy(
        &backup,
        other
            .path()
            .join("partitions")
            .join(path.file_name().unwrap()),
    )
    .unwrap();
    let store = open(other.path()).await;
    assert_eq!(read(&store, trace(2)).await.spans.len(), 6);
    assert_eq!(books(&store).await.stored, 12);
}

#[tokio::test]
async fn a_file_that_a_crash_left_half_made_is_removed() {
    let (dir, store) = fresh().await;
    store.close().await.unwrap();
    let half = dir.path().join("partitions").join("p-20260101T000000.db");
    std::fs::write(&half, b"").unwrap();
    std::fs::write(half.with_extension("db-wal"), b"").unwrap();
    let store = open(dir.path()).await;
    assert!(!half.exists() && !half.with_extension("db-wal").exists());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_stopped_folder_can_be_looked_at_without_leaving_a_trace() {
    let (dir, store) = fresh().await;
    fill(&store, 1..101).await;
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    for name in ["catalogue.db-shm", "partitions/p-20261123T000000.db-shm"] {
        drop(std::fs::remove_file(killed.path().join(name)));
    }
    store.close().await.unwrap();
    for dir in [dir.path(), killed.path()] {
        let before = files(dir);
        let store = SqliteStore::open_read_only(dir, clock()).await.unwrap();
        let report = check(&store).await;
        assert_eq!(
            (report.rows, report.spans, report.differences),
            (100, 600, vec![])
        );
        let refused = store.write(WriteBatch::default()).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
        store.close().await.unwrap();
        assert_eq!(files(dir), before);
    }
    let empty = tempfile::tempdir().unwrap();
    let why = SqliteStore::open_read_only(empty.path(), clock()).await;
    assert!(matches!(why, Err(StoreError::Unavailable(_))), "{why:?}");
    assert_eq!(files(empty.path()), []);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let why = refusal(&file.path().join("data")).await;
    assert!(matches!(why, StoreError::Unavailable(_)), "{why}");
}
