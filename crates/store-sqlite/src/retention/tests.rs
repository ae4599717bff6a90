//! Retention beside those who write.

use super::{Reason, Why};
use crate::catalogue::Dropping;
use crate::shared::Shared;
use crate::{Config, SqliteStore};
use hoplog_model::times::{DAY, MINUTE};
use hoplog_model::{Clock, UnixNanos};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, books, clock, write};
use hoplog_store::retention::{Bytes, Gone, Keep};
use hoplog_store::{Books, Maintenance, Part, Pins, TraceReader};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

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

/// A clock by which something is pinned whenever it is looked at, as it is while rows move.
#[derive(Debug, Default)]
struct Pinning(Mutex<Weak<Shared>>);

impl Clock for Pinning {
    fn now(&self) -> UnixNanos {
        if let Some(shared) = self.0.lock().unwrap().upgrade() {
            shared.pins().changes += 1;
        }
        NOW
    }
}

async fn tiny(dir: &Path, clock: Arc<dyn Clock>) -> SqliteStore {
    let keep = Keep {
        bytes: Bytes::AtMost(1),
        ..Keep::forever()
    };
    let config = Config {
        keep,
        ..Config::default()
    };
    let store = SqliteStore::open(dir, config, clock).await.unwrap();
    for day in 0..4 {
        write(&store, vec![request(day, 1), request(day, 2)]).await;
    }
    let pinned = trace(3_001);
    assert!(store.pin(pinned, true, NOW).await.unwrap());
    store
}

async fn days(store: &SqliteStore) -> usize {
    store.health().await.unwrap().partitions.len()
}

#[tokio::test]
async fn pins_do_not_go_because_something_came_between() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Pinning::default());
    let store = tiny(dir.path(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    *clock.0.lock().unwrap() = Arc::downgrade(&store.shared);
    // Once it may be tried again at once, then others go before it.
    assert_eq!(store.retain(NOW).await.unwrap(), 0);
    assert_eq!(store.retain(NOW).await.unwrap(), 0);
    assert_eq!(days(&store).await, 4);
    assert_eq!(store.retain(NOW).await.unwrap(), 4);
    assert_eq!(days(&store).await, 2);
    assert!(store.get(&trace(3_001)).await.unwrap().is_some());
    assert_eq!(store.health().await.unwrap().pins, 1);
    *clock.0.lock().unwrap() = Weak::new();
    assert_eq!(store.retain(NOW + 10 * MINUTE).await.unwrap(), 2);
    let report = store.check(&|_, _| ()).await.unwrap();
    assert_eq!(report.differences, []);
}

#[tokio::test]
async fn pins_do_not_go_because_a_row_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = tiny(dir.path(), clock()).await;
    let path = store.shared.partitions()[0].path.clone();
    damage(&path, "UPDATE requests SET spans = x'00'").await;
    assert_eq!(store.retain(NOW).await.unwrap(), 4);
    assert_eq!(days(&store).await, 2);
    assert_eq!(store.health().await.unwrap().pins, 1);
}

/// What cannot be read stays; retention goes on with the others.
#[tokio::test]
async fn an_unreadable_partition_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for day in 4..7 {
        write(&store, vec![request(day, 1), request(day, 2)]).await;
    }
    assert!(store.pin(trace(9), true, NOW).await.unwrap());
    let path = store.shared.partitions()[0].path.clone();
    damage(&path, "ALTER TABLE requests RENAME TO elsewhere").await;
    assert_eq!(store.retain(NOW).await.unwrap(), 4);
    assert!(store.retain(NOW).await.is_err(), "it is said");
    assert_eq!(days(&store).await, 1);
    store.close().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = tiny(dir.path(), clock()).await;
    let path = store.shared.partitions()[0].path.clone();
    damage(&path, "ALTER TABLE requests RENAME TO elsewhere").await;
    assert_eq!(store.retain(NOW).await.unwrap(), 4);
    assert_eq!(days(&store).await, 2);
}

/// A caller that gives up leaves nothing half done.
#[tokio::test]
async fn a_call_that_is_given_up_is_done_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    write(&store, vec![request(5, 1)]).await;
    let busy = store.writer().await.unwrap();
    {
        let mut pin = store.pin(trace(9), true, NOW);
        let mut retain = store.retain(NOW);
        // Begun, and dropped where they wait for the writer.
        let begun = std::future::poll_fn(|context| {
            let is_ready = pin.as_mut().poll(context).is_ready();
            std::task::Poll::Ready(is_ready || retain.as_mut().poll(context).is_ready())
        });
        assert!(!begun.await);
    }
    drop(busy);
    // The next ones have their turn after them.
    assert_eq!(store.retain(NOW).await.unwrap(), 0);
    assert!(!store.pin(trace(9), true, NOW).await.unwrap());
    assert_eq!(days(&store).await, 0);
}

/// A late part of a pinned request that comes just before the drop keeps its partition; others go with it.
#[tokio::test]
async fn a_late_row_of_a_pinned_request_is_not_dropped_with_its_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    write(&store, vec![request(5, 1)]).await;
    assert!(store.pin(trace(5_003), true, NOW).await.unwrap());
    let partition = store.shared.partitions().remove(0);
    let why = Why {
        reason: Reason::Age,
        now: NOW,
    };
    let before = store.shared.before(&partition);
    write(&store, vec![request(5, 3)]).await;
    let dropped = store.drop_whole(&partition, before, why, Vec::new()).await;
    assert_eq!(dropped.unwrap(), 0);
    assert!(store.get(&trace(5_003)).await.unwrap().is_some());
    assert!(store.pin(trace(5_003), false, NOW).await.unwrap());
    let before = store.shared.before(&partition);
    write(&store, vec![request(5, 4)]).await;
    let dropped = store.drop_whole(&partition, before, why, Vec::new()).await;
    assert_eq!(dropped.unwrap(), 3);
}

async fn damage(path: &Path, text: &'static str) {
    let purpose = crate::db::Use::Write {
        cache_kib: 1_000,
        wal_pages: 1_000,
    };
    let mut connection = crate::db::Connection::open(path, purpose).await.unwrap();
    let done = sqlx::raw_sql(text).execute(connection.bare()).await;
    done.unwrap();
}
