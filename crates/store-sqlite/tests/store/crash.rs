//! What is left when the process ends without saying goodbye.

use super::support::{check, copy, fill, fresh, open, request};
use hoplog_model::Position;
use hoplog_store::Maintenance;
use hoplog_store::conformance::build::trace;
use hoplog_store::conformance::{books, read, write};
use hoplog_store::{Checkpoint, SpanWriter, TraceReader};

fn position(offset: u32) -> Position {
    Position { segment: 1, offset }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_kill() {
    let (dir, store) = fresh().await;
    fill(&store, 1..251).await;
    let before = books(&store).await;
    let left = tempfile::tempdir().unwrap();
    copy(dir.path(), left.path());
    let again = open(left.path()).await;
    assert_eq!(books(&again).await, before);
    let report = check(&again).await;
    assert_eq!((report.rows, report.differences), (250, vec![]));
    assert_eq!(read(&again, trace(250)).await.spans.len(), 6);
    // And it goes on where it was: a new batch, and a merge into an old row.
    fill(&again, 251..252).await;
    assert_eq!(write(&again, vec![request(7)]).await.duplicate, 6);
    assert_eq!(check(&again).await.differences, []);
}

#[tokio::test]
async fn the_start_knows_what_was_taken_beyond_the_checkpoint() {
    let (dir, store) = fresh().await;
    fill(&store, 1..101).await;
    let checkpoint = Checkpoint {
        position: position(60),
        inbox_totals: vec![1, 2, 3],
    };
    assert!(store.checkpoint(checkpoint.clone()).await.unwrap());
    fill(&store, 101..111).await;
    let left = tempfile::tempdir().unwrap();
    copy(dir.path(), left.path());
    let recovery = open(left.path()).await.recovery().await.unwrap();
    assert_eq!(recovery.checkpoint, checkpoint);
    assert_eq!(recovery.upto.len(), 51);
    assert_eq!(recovery.upto.get(&trace(110)), Some(&position(110)));
    assert_eq!(recovery.upto.get(&trace(59)), None);
}

#[tokio::test]
async fn positions_before_the_checkpoint_are_forgotten() {
    let (_dir, store) = fresh().await;
    fill(&store, 1..301).await;
    let checkpoint = Checkpoint {
        position: position(250),
        inbox_totals: Vec::new(),
    };
    store.checkpoint(checkpoint).await.unwrap();
    let recovery = store.recovery().await.unwrap();
    assert_eq!(recovery.upto.len(), 51, "250 to 300");
}

#[tokio::test]
async fn a_reader_in_the_middle_of_something_holds_up_no_checkpoint() {
    use sqlx::Connection;
    let (dir, store) = fresh().await;
    fill(&store, 1..11).await;
    let path = super::support::partition(dir.path());
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true);
    let mut stuck = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM requests;")
        .execute(&mut stuck)
        .await
        .unwrap();
    fill(&store, 11..21).await;
    let checkpoint = Checkpoint {
        position: position(20),
        inbox_totals: Vec::new(),
    };
    assert!(store.checkpoint(checkpoint.clone()).await.unwrap());
    assert_eq!(store.recovery().await.unwrap().checkpoint, checkpoint);
    stuck.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_takes_nothing_and_leaves_no_logs() {
    let (dir, store) = fresh().await;
    fill(&store, 1..11).await;
    store.get(&trace(1)).await.unwrap();
    store.close().await.unwrap();
    let names: Vec<String> = super::support::files(dir.path())
        .into_iter()
        .map(|file| file.0)
        .collect();
    assert_eq!(names, ["catalogue.db", "p-20261123T000000.db", "reserve"]);
    let refused = store.write(hoplog_store::WriteBatch::default()).await;
    assert!(
        matches!(refused, Err(hoplog_store::StoreError::Invalid(_))),
        "{refused:?}"
    );
    assert!(store.get(&trace(1)).await.is_err());
    let again = open(dir.path()).await;
    assert_eq!(read(&again, trace(1)).await.spans.len(), 6);
}
