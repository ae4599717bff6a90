//! Retention beside those who write.

use super::Reason;
use crate::catalogue::Dropping;
use crate::{Config, SqliteStore};
use hoplog_model::times::DAY;
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, books, clock, write};
use hoplog_store::retention::{Gone, Keep};
use hoplog_store::{Books, Maintenance, Part, TraceReader};
use std::path::Path;

async fn open(dir: &Path) -> SqliteStore {
    let config = Config {
        keep: Keep::all(3 * DAY),
        ..Config::default()
    };
    SqliteStore::open(dir, config, clock()).await.unwrap()
}

/// The n-th request of a day.
fn request(day: u64, n: u64) -> Part {
    let at = NOW - day * DAY;
    Part {
        received_at: at,
        ..part(trace(day * 1_000 + n), &[Span::root(1).at(at + n, 5)])
    }
}

fn nothing_yet() -> Dropping {
    Dropping {
        books: Books::default(),
        reason: Reason::Age,
        gone: Gone::default(),
        pinned: Vec::new(),
    }
}

/// Parts for the time of a partition that was just dropped get a new one, whether its files are still there, or gone
/// and still listed.
#[tokio::test]
async fn a_day_that_is_being_dropped_takes_new_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    write(&store, vec![request(5, 1), request(5, 2)]).await;
    for n in 3..6 {
        let partition = store.shared.partitions().remove(0);
        let before = store.writer().await.unwrap().before(&partition);
        let mut dropping = nothing_yet();
        let mut writer = store.writer().await.unwrap();
        let dropped = writer.drop_partition(&partition, before, &mut dropping);
        let left = dropped.await.unwrap().unwrap();
        drop(writer);
        if n == 4 {
            crate::writer::remove_files(&partition.path).unwrap();
        }
        write(&store, vec![request(5, n)]).await;
        if n < 5 {
            store.remove(&partition, left).await.unwrap();
        }
        // The last one is not removed, as if that had failed.
        write(&store, vec![request(5, 10 * n)]).await;
        let found = store.get(&trace(5_000 + n)).await.unwrap();
        assert!(found.is_some());
        let health = store.health().await.unwrap();
        assert_eq!((health.rows, health.partitions.len()), (2, 1));
    }
    assert_eq!(books(&store).await.stored, 8);
    let report = store.check(&|_, _| ()).await.unwrap();
    assert_eq!(report.differences, []);
    store.close().await.unwrap();
    let again = open(dir.path()).await;
    assert_eq!(again.health().await.unwrap().rows, 2);
    assert_eq!(books(&again).await.stored, 8);
    let files = std::fs::read_dir(dir.path().join("partitions")).unwrap();
    let databases = files.filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension().is_some_and(|ending| ending == "db")
    });
    assert_eq!(databases.count(), 1);
}
