//! Memory bound, readers that lag, and group commit.

use std::any::Any;
use std::sync::Arc;

use hoplog_inbox::{AppendError, Config};
use hoplog_model::Position;
use tempfile::TempDir;

use crate::support::{FaultyDisk, append, drain, entry, number, numbers, open, small};

fn tight() -> Config {
    Config {
        memory_bytes: 4096,
        ..small()
    }
}

/// Scenario: the reader lags by far more than fits in memory, catches up, lags again.
/// Guarantees: the same records in the same order, none twice; memory stays within its bound.
#[tokio::test]
async fn a_lagging_reader_reads_from_disk_without_a_gap() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), tight());
    let mut expected = 0;
    for (batch, read) in [(50, 20), (3, 33), (100, 50), (1, 51), (5, 4), (1, 2)] {
        let from = inbox.stats().appended;
        for n in from..from + batch {
            append(&inbox, n..n + 1, 300).await;
            assert!(inbox.stats().memory_bytes <= 4096);
        }
        for _ in 0..read {
            assert_eq!(number(&reader.next().await.unwrap()), expected);
            expected += 1;
        }
    }
    assert_eq!(expected, inbox.stats().appended);
    assert_eq!(inbox.backlog_bytes(), 0);
    let from_disk = inbox.stats().read_from_disk;
    assert!((100..160).contains(&from_disk), "{from_disk}");
    inbox.close().await;
    assert!(reader.next().await.is_none());
}

/// Guarantees: a reader that keeps up gets what the receiver parsed; after a restart it is gone.
#[tokio::test]
async fn what_was_parsed_is_handed_on() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    let mut parsed = entry(0, 10);
    let extra: Arc<dyn Any + Send + Sync> = Arc::new("parsed");
    parsed.extra = Some(extra);
    inbox.append(parsed).await.unwrap();
    let record = reader.next().await.unwrap();
    let extra = record.entry.extra.clone().unwrap();
    assert_eq!(*extra.downcast::<&str>().unwrap(), "parsed");
    assert_eq!(inbox.stats().memory_bytes, 0);
    inbox.close().await;
    let (inbox, mut reader) = open(folder.path(), small());
    assert!(reader.next().await.unwrap().entry.extra.is_none());
    inbox.close().await;
}

/// Guarantees: a reader that waits is woken by an append and by the close.
#[tokio::test]
async fn a_waiting_reader_is_woken() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    let task = tokio::spawn(async move {
        let mut found = Vec::new();
        while let Some(record) = reader.next().await {
            found.push(number(&record));
        }
        found
    });
    tokio::task::yield_now().await;
    append(&inbox, 0..1, 10).await;
    tokio::task::yield_now().await;
    append(&inbox, 1..3, 10).await;
    inbox.close().await;
    assert_eq!(task.await.unwrap(), [0, 1, 2]);
}

/// Scenario: 8 appenders while the disk is busy with one sync.
/// Guarantees: one more sync covers them all; their order is that of their coming.
#[tokio::test]
async fn appenders_share_a_sync() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    let (inbox, mut reader) = disk.open(
        folder.path(),
        Config {
            segment_bytes: 1 << 20,
            max_bytes: 1 << 30,
            ..small()
        },
    );
    let (syncs, writes) = disk.set(|faults| {
        faults.hold = true;
        (faults.syncs, faults.writes)
    });
    let spawn = |n| {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.append(entry(n, 100)).await })
    };
    let mut tasks = vec![spawn(0)];
    while disk.set(|faults| faults.syncs) == syncs {
        tokio::task::yield_now().await;
    }
    for n in 1..9 {
        tasks.push(spawn(n));
    }
    while inbox.stats().queued < 8 {
        tokio::task::yield_now().await;
    }
    // Nothing is answered or handed out before its sync.
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert!(reader.try_next().is_none());
    assert_eq!(inbox.stats().appended, 0);
    disk.set(|faults| faults.hold = false);
    let mut positions = Vec::new();
    for task in tasks {
        positions.push(task.await.unwrap().unwrap());
    }
    assert!(positions.is_sorted());
    assert_eq!(
        disk.set(|faults| (faults.syncs - syncs, faults.writes - writes)),
        (2, 2)
    );
    assert_eq!(numbers(&drain(&mut reader)), (0..9).collect::<Vec<_>>());
    inbox.close().await;
}

/// Scenario: more is appended at once than the memory for records in flight holds.
/// Guarantees: appends wait instead of growing; each gets through in the end, the one that is
/// larger than the whole bound included; closing turns the waiting ones away.
#[tokio::test]
async fn appends_wait_for_memory() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    let (inbox, mut reader) = disk.open(folder.path(), tight());
    disk.set(|faults| faults.hold = true);
    let spawn = |n, size| {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.append(entry(n, size)).await })
    };
    let tasks: Vec<_> = (0..20)
        .map(|n| spawn(n, if n == 10 { 9000 } else { 700 }))
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(inbox.stats().memory_bytes <= 4096);
        assert!(inbox.stats().queued <= 4);
    }
    disk.set(|faults| faults.hold = false);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(numbers(&drain(&mut reader)), (0..20).collect::<Vec<_>>());

    disk.set(|faults| faults.hold = true);
    let tasks: Vec<_> = (20..40).map(|n| spawn(n, 700)).collect();
    tokio::task::yield_now().await;
    let closing = tokio::spawn(inbox.clone().close());
    tokio::task::yield_now().await;
    disk.set(|faults| faults.hold = false);
    closing.await.unwrap();
    let mut acknowledged = Vec::new();
    for (n, task) in (20..40).zip(tasks) {
        match task.await.unwrap() {
            Ok(_) => acknowledged.push(n),
            Err(error) => assert_eq!(error, AppendError::Closed),
        }
    }
    assert!(!acknowledged.is_empty() && acknowledged.len() < 20);
    assert_eq!(numbers(&drain(&mut reader)), acknowledged);
    assert_eq!(inbox.append(entry(40, 1)).await, Err(AppendError::Closed));
}

/// Guarantees: what 8 appenders on several threads append comes out once, in order of position.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_appenders_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), tight());
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let inbox = inbox.clone();
            tokio::spawn(async move { append(&inbox, task * 100..task * 100 + 25, 200).await })
        })
        .collect();
    let mut positions: Vec<(Position, u64)> = Vec::new();
    for (task, positions_of) in tasks.into_iter().enumerate() {
        let numbered = positions_of
            .await
            .unwrap()
            .into_iter()
            .zip(task as u64 * 100..);
        positions.extend(numbered);
    }
    positions.sort_unstable();
    let records = drain(&mut reader);
    let found: Vec<_> = records
        .iter()
        .map(|record| (record.position, number(record)))
        .collect();
    assert_eq!(found, positions);
    inbox.close().await;
}
