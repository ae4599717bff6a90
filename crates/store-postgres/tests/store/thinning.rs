//! Rows that outlive their partition move; tables go.

use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, books, clock, write};
use hoplog_store::retention::{Age, Keep};
use hoplog_store::{Maintenance, Part, Pins, TraceReader};
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::Database;
use std::sync::Arc;

const DAYS: u64 = 30;
const A_DAY: u64 = 60;

async fn open(database: &Database, writer: &str, keep: Keep) -> PostgresStore {
    let config = Config {
        keep,
        writer: writer.to_owned(),
        ..Config::default()
    };
    PostgresStore::open(&database.url(), config, clock())
        .await
        .unwrap()
}

/// The n-th request of a day, with a text that cannot be packed; one of twenty fails.
fn request(day: u64, n: u64) -> Part {
    let at = NOW - day * DAY + n;
    let noise: String = (0..64)
        .map(|i| {
            let seed = day << 32 | n << 8 | i;
            format!("{:016x}", seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
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

async fn fill(store: &PostgresStore, days: std::ops::Range<u64>) {
    for day in days.rev() {
        let parts: Vec<Part> = (0..A_DAY).map(|n| request(day, n)).collect();
        write(store, parts).await;
    }
}

/// Bytes of all tables with their indexes.
async fn size(store: &PostgresStore) -> u64 {
    store.health().await.unwrap().bytes
}

async fn is_clean(store: &PostgresStore) {
    let report = store.check(&|_, _| ()).await.unwrap();
    assert_eq!(report.differences, []);
}

#[tokio::test]
async fn thirty_days_shrink_with_every_drop() {
    let database = Database::new().unwrap();
    let store = open(&database, "one", Keep::all(DAYS * DAY)).await;
    fill(&store, 0..DAYS).await;
    let before = books(&store).await;
    let mut last = size(&store).await;
    let one = last / DAYS;
    for gone in 1..DAYS {
        let began = std::time::Instant::now();
        let dropped = store.retain(NOW + gone * DAY + DAY / 2).await.unwrap();
        println!("a day of {DAYS} took {:?} to go", began.elapsed());
        assert_eq!(dropped, A_DAY);
        let now = size(&store).await;
        assert!(now + one / 2 < last, "{gone}: {now} after {last}");
        last = now;
    }
    assert_eq!(books(&store).await, before);
    let health = store.health().await.unwrap();
    assert_eq!(health.retained.age.partitions, DAYS - 1);
    is_clean(&store).await;
}

#[tokio::test]
async fn errors_outlive_the_rest() {
    let database = Database::new().unwrap();
    let keep = Keep {
        errors: Age::Nanos(DAYS * DAY),
        ..Keep::all(DAY)
    };
    let store = open(&database, "one", keep).await;
    fill(&store, 0..6).await;
    let (before, full) = (books(&store).await, size(&store).await);
    let began = std::time::Instant::now();
    let dropped = store.retain(NOW).await.unwrap();
    println!("thinning 4 days took {:?}", began.elapsed());
    assert_eq!(dropped, 4 * A_DAY * 19 / 20);
    let left = size(&store).await;
    assert!(left < full, "{left} of {full} bytes are left");
    assert_eq!(books(&store).await, before);
    is_clean(&store).await;
    // Another collector finds the same, and writes to what was thinned.
    let other = open(&database, "two", keep).await;
    let late = Part {
        received_at: NOW - 3 * DAY,
        ..part(trace(3_001), &[Span::child(9, 1).at(NOW - 3 * DAY, 3)])
    };
    write(&other, vec![late]).await;
    let found = store.get(&trace(3_001)).await.unwrap().unwrap();
    assert_eq!(found.spans.len(), 3);
    assert_eq!(other.retain(NOW).await.unwrap(), 0);
    is_clean(&other).await;
}

/// Whatever the order in which another collector's late part and retention come to it, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_parts_arrive_while_rows_move() {
    let database = Database::new().unwrap();
    let keep = Keep {
        errors: Age::Nanos(DAYS * DAY),
        ..Keep::all(DAY)
    };
    let store = open(&database, "one", keep).await;
    let other = Arc::new(open(&database, "two", keep).await);
    fill(&store, 4..6).await;
    let late = |n: u64| {
        let day = 4 + n % 2;
        let at = NOW - day * DAY;
        Part {
            received_at: at,
            ..part(trace(day * 1_000 + 1), &[Span::child(10 + n, 1).at(at, 3)])
        }
    };
    let writing = tokio::spawn({
        let other = Arc::clone(&other);
        async move {
            for n in 0..20 {
                let batch = hoplog_store::WriteBatch {
                    parts: vec![Arc::new(late(n))],
                };
                // The partition may have been replaced a moment ago: the same call, again.
                while let Err(why) = hoplog_store::SpanWriter::write(&*other, batch.clone()).await {
                    assert!(why.is_retryable(), "{why}");
                }
            }
        }
    });
    // A copy that was thrown away is made again some minutes later.
    let mut now = NOW;
    while !writing.is_finished() {
        now += MINUTE;
        store.retain(now).await.unwrap();
    }
    writing.await.unwrap();
    store.retain(now + HOUR).await.unwrap();
    assert!(store.pin(trace(4_001), true, NOW).await.unwrap());
    let health = other.health().await.unwrap();
    assert_eq!(health.rows, 2 * A_DAY / 20);
    assert_eq!(health.pins, 1);
    assert_eq!(health.retained.outcome.partitions, 2);
    assert_eq!(books(&store).await.stored, 2 * A_DAY * 2 + 20);
    is_clean(&store).await;
    for n in 0..20 {
        let request = store.get(&late(n).trace_id).await.unwrap().unwrap();
        let id = late(n).spans.get(0).unwrap().head.span_id;
        assert!(request.spans.iter().any(|span| span.head.span_id == id));
    }
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
            "rollup_minute",
            "rollup_hour",
        ];
        if tables
            .iter()
            .any(|table| text.contains(&format!("DELETE FROM {table}_X")))
        {
            found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    // A later part's row takes the place of the one before, a merged filter that of single ones.
    assert_eq!(found, ["delete_filters", "delete_rows"]);
}
