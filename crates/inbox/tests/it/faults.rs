//! Disks that are full, broken or slow.

use std::fs;

use hoplog_inbox::{ASSEMBLE, Account, AppendError, Config, Inbox, Totals};
use hoplog_model::Position;
use tempfile::TempDir;

use crate::support::{
    EIO, EMFILE, ENOSPC, FaultyDisk, append, copy, disk_bytes, drain, entry, number, numbers, open,
    small,
};

/// Scenario: the disk is full after any number of bytes of a record, or of a new file's header.
/// Guarantees: that request is refused as retryable, nothing of it is left on disk or handed out,
/// what was acknowledged stays, and the next request succeeds once there is room.
#[tokio::test]
async fn a_full_disk_refuses_and_heals() {
    for room in (0..=400).step_by(7) {
        let folder = TempDir::new().unwrap();
        let disk = FaultyDisk::default();
        let (inbox, mut reader) = disk.open(folder.path(), small());
        append(&inbox, 0..2, 300).await;
        let before = disk_bytes(folder.path());
        disk.set(|faults| faults.room = Some(room));
        for n in 0..2 {
            let refused = inbox.append(entry(50 + n, 400)).await.unwrap_err();
            assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
            assert!(refused.is_retryable());
        }
        assert!(disk_bytes(folder.path()) <= before + 64, "room {room}");
        let stats = inbox.stats();
        assert_eq!((stats.full_since, stats.refused), (Some(1_050), 2));
        assert_eq!(stats.fenced, None);
        assert_eq!(stats.memory_bytes, 2 * (300 + 256));

        disk.set(|faults| faults.room = None);
        append(&inbox, 2..12, 300).await;
        assert_eq!(inbox.stats().full_since, None);
        assert_eq!(numbers(&drain(&mut reader)), (0..12).collect::<Vec<_>>());
        let crashed = copy(folder.path());
        inbox.close().await;
        let (inbox, mut reader) = open(crashed.path(), small());
        assert_eq!(numbers(&drain(&mut reader)), (0..12).collect::<Vec<_>>());
        assert_eq!(reader.lost(), Totals::default());
        assert_eq!(
            (inbox.stats().corrupt_records, inbox.stats().truncated_bytes),
            (0, 0)
        );
        inbox.close().await;
    }
}

/// Scenario: a disk that says only at the sync that it is full.
#[tokio::test]
async fn a_sync_without_space_refuses_and_heals() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    let (inbox, mut reader) = disk.open(folder.path(), small());
    append(&inbox, 0..1, 50).await;
    disk.set(|faults| faults.sync_errors = vec![ENOSPC]);
    let refused = inbox.append(entry(50, 50)).await;
    assert!(matches!(refused, Err(AppendError::Full { .. })));
    append(&inbox, 1..2, 50).await;
    assert_eq!(numbers(&drain(&mut reader)), [0, 1]);
    inbox.close().await;
}

/// Scenario: full when the inbox is opened, and no file descriptor left when it needs a new file.
/// Guarantees: neither keeps it from serving later.
#[tokio::test]
async fn a_file_that_cannot_be_made_now_may_be_made_later() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    disk.set(|faults| faults.create_error = Some(EMFILE));
    let (inbox, mut reader) = disk.open(folder.path(), small());
    let refused = inbox.append(entry(50, 50)).await;
    assert!(matches!(refused, Err(AppendError::Full { .. })));
    assert!(reader.try_next().is_none());
    disk.set(|faults| {
        faults.create_error = None;
        faults.room = Some(30);
    });
    let refused = inbox.append(entry(50, 50)).await;
    assert!(matches!(refused, Err(AppendError::Full { .. })));
    disk.set(|faults| faults.room = None);
    append(&inbox, 0..3, 50).await;
    assert_eq!(numbers(&drain(&mut reader)), [0, 1, 2]);
    inbox.close().await;
}

/// Guarantees: after a failed write or sync nothing is acknowledged, ever; what was acknowledged
/// can still be read, now and after a restart; what failed is not handed out now.
#[tokio::test]
async fn an_io_error_fences() {
    for in_sync in [false, true] {
        let folder = TempDir::new().unwrap();
        let disk = FaultyDisk::default();
        let (inbox, mut reader) = disk.open(folder.path(), small());
        append(&inbox, 0..3, 50).await;
        disk.set(|faults| {
            if in_sync {
                faults.sync_errors = vec![EIO];
            } else {
                faults.write_error = Some(EIO);
            }
        });
        let failed = inbox.append(entry(3, 50)).await.unwrap_err();
        assert!(matches!(failed, AppendError::Fenced { .. }), "{failed}");
        assert!(!failed.is_retryable());
        disk.set(|faults| faults.write_error = None);
        let writes = disk.set(|faults| faults.writes);
        assert_eq!(inbox.append(entry(4, 50)).await.unwrap_err(), failed);
        assert_eq!(disk.set(|faults| faults.writes), writes);
        assert!(inbox.stats().fenced.is_some());
        assert_eq!(numbers(&drain(&mut reader)), [0, 1, 2]);
        let crashed = copy(folder.path());
        inbox.close().await;
        assert!(reader.next().await.is_none());

        let (inbox, mut reader) = open(crashed.path(), small());
        let again = numbers(&drain(&mut reader));
        assert!(
            again == [0, 1, 2] || (in_sync && again == [0, 1, 2, 3]),
            "{again:?}"
        );
        append(&inbox, 5..6, 50).await;
        assert_eq!(numbers(&drain(&mut reader)), [5]);
        inbox.close().await;
    }
}

/// Scenario: records wait behind a sync that fails.
/// Guarantees: they are answered too, and not with success.
#[tokio::test]
async fn a_fence_answers_those_that_wait() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    let (inbox, _reader) = disk.open(folder.path(), small());
    let syncs = disk.set(|faults| {
        faults.hold = true;
        faults.sync_errors = vec![EIO];
        faults.syncs
    });
    let spawn = |n| {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.append(entry(n, 20)).await })
    };
    let mut tasks = vec![spawn(0)];
    while disk.set(|faults| faults.syncs) == syncs {
        tokio::task::yield_now().await;
    }
    tasks.extend([spawn(1), spawn(2)]);
    while inbox.stats().queued < 2 {
        tokio::task::yield_now().await;
    }
    disk.set(|faults| faults.hold = false);
    for task in tasks {
        let answer = task.await.unwrap();
        assert!(
            matches!(answer, Err(AppendError::Fenced { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(inbox.stats().memory_bytes, 0);
    inbox.close().await;
}

/// Guarantees: a disk that takes a few bytes at a time changes nothing.
#[tokio::test]
async fn short_writes_are_continued() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::default();
    disk.set(|faults| faults.short = Some(13));
    let (inbox, _reader) = disk.open(folder.path(), small());
    append(&inbox, 0..20, 200).await;
    let crashed = copy(folder.path());
    inbox.close().await;
    let (inbox, mut reader) = open(crashed.path(), small());
    assert_eq!(numbers(&drain(&mut reader)), (0..20).collect::<Vec<_>>());
    inbox.close().await;
}

/// Guarantees: the disk bound is kept, and heals when a cursor passes what is there, even if all
/// of it is in the newest file.
#[tokio::test]
async fn the_disk_bound_refuses_and_heals() {
    for segment_bytes in [1024, 5000] {
        let folder = TempDir::new().unwrap();
        let max_bytes = 10_000;
        let config = Config {
            segment_bytes,
            max_bytes,
            ..Config::default()
        };
        let (inbox, mut reader) = open(folder.path(), config);
        let mut n = 0;
        for _ in 0..3 {
            let (mut end, first) = (Position::default(), n);
            let refused = loop {
                match inbox.append(entry(n, 400)).await {
                    Ok(_) => n += 1,
                    Err(refused) => break refused,
                }
                assert!(inbox.stats().disk_bytes <= max_bytes + 64);
            };
            assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
            assert!(inbox.stats().full_since.is_some());
            assert!(n - first >= 9, "{n}");
            for record in drain(&mut reader) {
                assert!(number(&record) >= first);
                end = record.next;
            }
            inbox.release(ASSEMBLE, end);
        }
        inbox.close().await;
    }
}

/// Scenario: a file that a reader needs cannot be read.
/// Guarantees: nothing is passed over: the reader ends, the inbox is fenced, and another start
/// that can read it finds everything.
#[tokio::test]
async fn an_unreadable_file_is_not_passed_over() {
    let folder = TempDir::new().unwrap();
    let (inbox, reader) = open(folder.path(), small());
    append(&inbox, 0..30, 100).await;
    inbox.close().await;
    drop(reader);
    let (inbox, mut reader) = open(folder.path(), small());
    let path = folder.path().join("0000000002.seg");
    let aside = folder.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    let mut found = 0;
    while reader.next().await.is_some() {
        found += 1;
    }
    assert!((1..30).contains(&found));
    assert!(inbox.stats().fenced.is_some());
    assert!(reader.next().await.is_none());
    inbox.close().await;
    fs::rename(&aside, &path).unwrap();
    let (inbox, mut reader) = Inbox::open(
        folder.path(),
        small(),
        Position::default(),
        Account::default(),
    )
    .unwrap();
    assert_eq!(numbers(&drain(&mut reader)), (0..30).collect::<Vec<_>>());
    inbox.close().await;
}
