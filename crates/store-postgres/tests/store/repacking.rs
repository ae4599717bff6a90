//! Rows packed anew by two collectors at once, while both write.

use hoplog_model::Position;
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, clock, read, write};
use hoplog_store::{Maintenance, Part};
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::postgres::Database;

fn request(n: u64) -> Part {
    let spans: Vec<Span> = (1..=3)
        .map(|id| {
            Span::root(id)
                .service(["shop", "bank", "mail"][usize::try_from((n + id) % 3).unwrap()])
                .name(&format!("a step of the {id} kind"))
                .at(NOW - n * 1_000, id * 1_000 + n)
                .with("order.number", n.cast_signed())
                .with("customer.of.many", format!("customer {}", n % 7).as_str())
        })
        .collect();
    Part {
        upto: Position {
            segment: 1,
            offset: u32::try_from(n).unwrap(),
        },
        ..part(trace(n), &spans)
    }
}

async fn fill(store: &PostgresStore, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for numbers in numbers.chunks(400) {
        write(store, numbers.iter().map(|n| request(*n)).collect()).await;
    }
}

async fn open(database: &Database, writer: &str) -> PostgresStore {
    let config = Config {
        writer: writer.to_owned(),
        ..Config::default()
    };
    let store = PostgresStore::open(&database.url(), config, clock()).await;
    store.unwrap()
}

/// Packs anew until there is nothing to do, or another is at it; returns rows.
async fn pack(store: &PostgresStore) -> u64 {
    let mut rows = 0;
    loop {
        let step = store.repack().await.unwrap();
        rows += step.rows;
        if !step.more {
            return rows;
        }
    }
}

/// Later parts of requests that are packed anew meanwhile.
async fn merge(store: &PostgresStore, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let late = Span::child(9, 1).at(NOW - n * 1_000, 5).name("late");
        write(store, vec![part(trace(n), &[late])]).await;
    }
}

#[tokio::test]
async fn two_collectors_pack_anew_while_both_write() {
    let database = Database::new().unwrap();
    let (one, two) = (open(&database, "one").await, open(&database, "two").await);
    fill(&one, 1..5_001).await;
    assert!(one.train().await.unwrap());
    let (first, second, (), ()) = tokio::join!(
        pack(&one),
        pack(&two),
        merge(&one, 100..130),
        merge(&two, 4_900..4_930)
    );
    let rest = pack(&two).await;
    let health = one.health().await.unwrap();
    assert_eq!(health.repacked_rows, first + second + rest);
    // Those that were merged first are packed anew by that.
    assert!(
        (4_940..=5_000).contains(&health.repacked_rows),
        "{health:?}"
    );
    let current = health.packing.iter().find(|line| line.is_current).unwrap();
    assert_eq!(current.rows, 5_000);
    for n in [100, 129, 4_900, 4_929] {
        assert_eq!(read(&two, trace(n)).await.spans.len(), 4);
    }
    let report = one.check(&|_, _| ()).await.unwrap();
    assert_eq!((report.rows, report.differences), (5_000, vec![]));
}
