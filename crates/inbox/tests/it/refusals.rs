//! What the inbox refuses, and how it says so.

use std::fs;

use bytes::Bytes;
use hoplog_inbox::{Account, AppendError, Inbox, MAX_PAYLOAD_BYTES, OpenError};
use hoplog_model::Position;
use tempfile::TempDir;

use crate::support::{append, entry, open, segment_files, small, try_open};

#[tokio::test]
async fn a_folder_from_the_future_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let (inbox, _reader) = open(folder.path(), small());
    append(&inbox, 0..3, 20).await;
    inbox.close().await;
    let path = segment_files(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = try_open(
        folder.path(),
        Position {
            segment: 1,
            offset: 64,
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 7,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("use the newer hoplog"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(segment_files(folder.path()), [path]);
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let folder = TempDir::new().unwrap();
    let (inbox, _reader) = open(folder.path(), small());
    let error = try_open(folder.path(), Position::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    inbox.close().await;
    let (inbox, _reader) = try_open(folder.path(), Position::default()).unwrap();
    inbox.close().await;
}

/// Scenario: the store has passed segment 5, the folder is empty or older.
/// Guarantees: refused, as positions that the store has passed would be used again.
#[tokio::test]
async fn a_folder_behind_the_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let from = Position {
        segment: 5,
        offset: 100,
    };
    let error = try_open(folder.path(), from).unwrap_err();
    assert!(
        matches!(error, OpenError::Behind { newest: 0, .. }),
        "{error}"
    );
    let (inbox, _reader) = open(folder.path(), small());
    inbox.close().await;
    let error = try_open(folder.path(), from).unwrap_err();
    assert!(
        matches!(error, OpenError::Behind { newest: 1, .. }),
        "{error}"
    );
    assert_eq!(segment_files(folder.path()).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = try_open(&file.join("inbox"), Position::default()).unwrap_err();
    assert!(matches!(&error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("inbox"), "{error}");
}

#[test]
fn senseless_limits_are_refused() {
    let folder = TempDir::new().unwrap();
    let config = hoplog_inbox::Config {
        group_records: 0,
        ..small()
    };
    let error = Inbox::open(
        folder.path(),
        config,
        Position::default(),
        Account::default(),
    );
    assert!(matches!(error.unwrap_err(), OpenError::Config(_)));
}

/// Guarantees: the largest request fits, one byte more does not, and a receiver that is not counted
/// is no receiver.
#[tokio::test]
async fn records_have_a_limit() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    let mut large = entry(0, 0);
    large.payload = Bytes::from(vec![7; MAX_PAYLOAD_BYTES + 1]);
    let error = inbox.append(large.clone()).await.unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
    large.payload = large.payload.slice(1..);
    inbox.append(large.clone()).await.unwrap();
    inbox.append(entry(1, 10)).await.unwrap();
    // Larger than the memory bound, so it comes from disk.
    assert_eq!(reader.next().await.unwrap().entry.payload, large.payload);
    assert_eq!(reader.next().await.unwrap().entry.received_at, 1_001);
    let mut unknown = entry(2, 10);
    unknown.receiver = 2;
    assert_eq!(
        inbox.append(unknown).await,
        Err(AppendError::UnknownReceiver(2))
    );
    inbox.close().await;
}
