//! Rows that outlive their partition move; files go.

use super::support::{check, clock, copy, files, run};
use hoplog_model::times::{DAY, MINUTE};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::retention::policy;
use hoplog_store::conformance::{NOW, books, write};
use hoplog_store::retention::{Age, Keep};
use hoplog_store::{Maintenance, Part, Pins, TraceReader};
use hoplog_store_sqlite::{Config, SqliteStore};
use std::path::Path;
use std::sync::Arc;

const DAYS: u64 = 30;
const A_DAY: u64 = 120;

async fn open(dir: &Path, keep: Keep) -> SqliteStore {
    let config = Config {
        keep,
        ..Config::default()
    };
    SqliteStore::open(dir, config, clock()).await.unwrap()
}

/// The n-th request of a day, with a text that cannot be packed; one of twenty fails.
fn request(day: u64, n: u64) -> Part {
    let at = NOW - day * DAY + n;
    let noise: String = (0..256)
        .map(|i| {
            format!(
                "{:016x}",
                (day << 32 | n << 8 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        })
        .collect();
    let root = Span::root(1).at(at, 5).with("noise", noise.as_str());
    let root = if n.is_multiple_of(20) {
        root.failed("no")
    } else {
        root
    };
    Part {
        received_at: at,
        ..part(
            trace(day * 1_000 + n + 1),
            &[root, Span::child(2, 1).at(at, 3)],
        )
    }
}

async fn fill(store: &SqliteStore, days: std::ops::Range<u64>) {
    for day in days.rev() {
        let parts: Vec<Part> = (0..A_DAY).map(|n| request(day, n)).collect();
        write(store, parts).await;
    }
}

fn size(dir: &Path) -> u64 {
    let partitions = files(&dir.join("partitions"));
    partitions.iter().map(|(_, bytes)| bytes).sum()
}

#[tokio::test]
async fn thirty_days_shrink_with_every_drop() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Keep::all(DAYS * DAY)).await;
    fill(&store, 0..DAYS).await;
    let before = books(&store).await;
    let mut last = size(dir.path());
    let one = last / DAYS;
    for gone in 1..DAYS {
        let began = std::time::Instant::now();
        let dropped = store.retain(NOW + gone * DAY + DAY / 2).await.unwrap();
        println!("a day of {DAYS} took {:?} to go", began.elapsed());
        assert_eq!(dropped, A_DAY);
        let now = size(dir.path());
        assert!(now + one / 2 < last, "{gone}: {now} after {last}");
        last = now;
    }
    assert_eq!(books(&store).await, before);
    assert_eq!(
        store.health().await.unwrap().retained.age.partitions,
        DAYS - 1
    );
    assert_eq!(check(&store).await.differences, []);
}

#[tokio::test]
async fn errors_outlive_the_rest_in_little_space() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep {
        errors: Age::Nanos(DAYS * DAY),
        ..Keep::all(DAY)
    };
    let store = open(dir.path(), keep).await;
    fill(&store, 0..DAYS).await;
    let (before, full) = (books(&store).await, size(dir.path()));
    let began = std::time::Instant::now();
    let dropped = store.retain(NOW).await.unwrap();
    println!("thinning {} days took {:?}", DAYS - 2, began.elapsed());
    assert_eq!(dropped, (DAYS - 2) * A_DAY * 19 / 20);
    let left = size(dir.path());
    assert!(left < full / 2, "{left} of {full} bytes are left");
    assert_eq!(books(&store).await, before);
    assert_eq!(check(&store).await.differences, []);
    store.close().await.unwrap();
    let again = open(dir.path(), keep).await;
    assert_eq!(books(&again).await, before);
    let health = again.health().await.unwrap();
    assert_eq!(health.retained.outcome.rows, dropped);
    assert_eq!(health.partitions.len() as u64, DAYS);
    assert_eq!(again.retain(NOW).await.unwrap(), 0);
}

/// What a kill leaves before the new partition took the old one's place, and after.
#[tokio::test]
async fn a_thinning_that_was_interrupted_leaves_one_of_the_two() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), policy()).await;
    fill(&store, 5..6).await;
    let before = books(&store).await;
    store.close().await.unwrap();
    let old = dir.path().join("partitions/p-20261118T000000.db");
    let (kept, begun) = (dir.path().join("kept"), tempfile::tempdir().unwrap());
    std::fs::copy(&old, &kept).unwrap();
    // Begun: listed, a part of the file is there.
    copy(dir.path(), begun.path());
    let new = begun.path().join("partitions/p-20261118T000000-2.db");
    std::fs::copy(&old, &new).unwrap();
    let listed = "INSERT INTO partitions VALUES ('p-20261118T000000-2', 1794960000000000000, 1795046400000000000, 'dropped')";
    run(&begun.path().join("catalogue.db"), listed).await;
    let store = open(begun.path(), policy()).await;
    assert!(!new.exists());
    assert_eq!(books(&store).await, before);
    assert_eq!(store.retain(NOW).await.unwrap(), A_DAY * 19 / 20);
    assert!(new.exists(), "its name is free again");
    assert_eq!(check(&store).await.differences, []);
    // Ended, but for the old file.
    let store = open(dir.path(), policy()).await;
    assert_eq!(store.retain(NOW).await.unwrap(), A_DAY * 19 / 20);
    store.close().await.unwrap();
    std::fs::rename(&kept, &old).unwrap();
    let listed = "INSERT INTO partitions VALUES ('p-20261118T000000', 1794960000000000000, 1795046400000000000, 'dropped')";
    run(&dir.path().join("catalogue.db"), listed).await;
    let store = open(dir.path(), policy()).await;
    assert!(!old.exists());
    assert_eq!(books(&store).await, before);
    assert_eq!(check(&store).await.differences, []);
    assert_eq!(store.health().await.unwrap().rows, A_DAY / 20);
}

/// Whatever the order in which a late part and retention come to it, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_parts_and_pins_arrive_while_rows_move() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path(), policy()).await);
    fill(&store, 4..8).await;
    let late = |n: u64| {
        let day = 4 + n % 4;
        let at = NOW - day * DAY;
        let root = trace(day * 1_000 + n % A_DAY / 20 * 20 + 1);
        Part {
            received_at: at,
            ..part(root, &[Span::child(10 + n, 1).at(at, 3)])
        }
    };
    let writing = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut longest = std::time::Duration::ZERO;
            for n in 0..60 {
                let began = std::time::Instant::now();
                write(&*store, vec![late(n)]).await;
                longest = longest.max(began.elapsed());
                // A reader, too, finds what it looks for at any moment.
                let (id, began) = (late(n).trace_id, std::time::Instant::now());
                assert!(store.get(&id).await.unwrap().is_some());
                longest = longest.max(began.elapsed());
            }
            println!("a call took {longest:?} at most");
        }
    });
    let pinned = trace(7 * 1_000 + 2);
    // Late enough for a partition that was put off.
    let mut now = NOW;
    while !writing.is_finished() {
        now += 10 * MINUTE;
        store.retain(now).await.unwrap();
        if store.get(&pinned).await.unwrap().is_some() {
            store.pin(pinned, true, now).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    store.retain(now + 10 * MINUTE).await.unwrap();
    let health = store.health().await.unwrap();
    assert_eq!(health.retained.outcome.partitions, 4);
    let pins = u64::from(store.get(&pinned).await.unwrap().is_some());
    assert_eq!(health.rows, 4 * A_DAY / 20 + pins);
    assert_eq!(books(&*store).await.stored, 4 * A_DAY * 2 + 60);
    assert_eq!(check(&store).await.differences, []);
    for n in 0..60 {
        let request = store.get(&late(n).trace_id).await.unwrap().unwrap();
        let id = late(n).spans.get(0).unwrap().head.span_id;
        assert!(request.spans.iter().any(|span| span.head.span_id == id));
    }
}

/// Rows are packed anew, and filters merged, in a partition that retention is just taking rows out of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_packed_anew_while_others_move() {
    const BATCHES: u64 = 260;
    const ROWS: u64 = BATCHES * 20;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path(), policy()).await);
    let request = |n: u64| {
        let at = NOW - 5 * DAY + n;
        let root = Span::root(1).at(at, n).with("a.key.of.some.length", "v");
        let root = if n.is_multiple_of(20) {
            root.failed("no")
        } else {
            root
        };
        let child = Span::child(2, 1).at(at, 3);
        let child = child.with("another.key", format!("value {}", n % 11).as_str());
        Part {
            received_at: at,
            ..part(trace(n + 1), &[root, child])
        }
    };
    for batch in 0..BATCHES {
        let parts = (batch * 20..batch * 20 + 20).map(request);
        write(&*store, parts.collect()).await;
    }
    assert!(store.train().await.unwrap());
    let upkeep = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            while store.merge().await.unwrap() {}
            let mut steps = 0;
            while store.repack().await.unwrap().more {
                steps += 1;
            }
            steps
        }
    });
    assert_eq!(store.retain(NOW).await.unwrap(), ROWS * 19 / 20);
    let steps: u64 = upkeep.await.unwrap();
    println!("{steps} steps of {BATCHES} segments");
    while store.repack().await.unwrap().more {}
    assert_eq!(check(&store).await.differences, []);
    let health = store.health().await.unwrap();
    assert_eq!(health.rows, ROWS / 20);
    // All of them with the new dictionary, by whoever came first.
    let packed: Vec<(bool, u64)> = health
        .packing
        .iter()
        .filter(|line| line.rows > 0)
        .map(|line| (line.is_current, line.rows))
        .collect();
    assert_eq!(packed, [(true, ROWS / 20)]);
    assert_eq!(books(&*store).await.stored, ROWS * 2);
    store.close().await.unwrap();
    let again = open(dir.path(), policy()).await;
    assert_eq!(check(&again).await.differences, []);
    assert_eq!(again.retain(NOW).await.unwrap(), 0);
}

/// Retention never takes rows out of tables.
#[test]
fn no_statement_deletes_what_retention_drops() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql")).unwrap();
    let mut found = Vec::new();
    for file in folder {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let tables = [
            "requests",
            "parts",
            "segments",
            "records",
            "filters",
            "area",
            "rollup_minute",
            "rollup_hour",
        ];
        if tables
            .iter()
            .any(|table| text.contains(&format!("DELETE FROM {table}")))
        {
            found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    // A later part's row takes the place of the one before, a row packed anew that of the old one, a merged filter that
    // of single ones.
    assert_eq!(
        found,
        [
            "delete_area",
            "delete_filters",
            "delete_rows",
            "delete_segment_rows"
        ]
    );
}
