//! Every statement in a store of a million and of ten million spans: its plan, and the pages it reads.

use super::tests::faults_of;
use super::{ALL, Args, INSERTS};
use crate::db::{Connection, Use, meter};
use crate::partition::Partition;
use crate::repack::segment_bounds;
use crate::source::Source;
use crate::tables::PartitionTables;
use crate::{Config, SqliteStore, sql};
use hoplog_model::times::DAY;
use hoplog_store::conformance::volume::beside::{self, WARM, Waits};
use hoplog_store::conformance::volume::ledger::{Ledger, compare, table};
use hoplog_store::conformance::volume::{Filler, SLICE_SPANS, SLICES, questions};
use hoplog_store::conformance::{NOW, clock};
use hoplog_store::filter::merged::group_of;
use hoplog_store::retention::{Age, Keep};
use hoplog_store::tables::Tables;
use hoplog_store::walk::SegmentSource;
use hoplog_store::{Maintenance, SpanWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Fills the store up, and takes down what everything costs in it.
async fn grow(dir: &Path, filler: &mut Filler, slices: std::ops::Range<u64>) -> Ledger {
    let begun = Instant::now();
    let spans = slices.end * SLICE_SPANS / 1_000_000;
    let store = SqliteStore::open(dir, Config::default(), clock()).await;
    let store = store.unwrap();
    filler.fill(&store, slices).await;
    store.close().await.unwrap();
    println!("{spans} million spans, after {:?}", begun.elapsed());
    for partition in store.shared.partitions() {
        let path: PathBuf = partition.path.clone();
        assert_eq!(faults_of(dir, &path).await, [], "of {path:?}");
    }
    let mut ledger = Ledger::default();
    let begun = Instant::now();
    meter::start();
    let store = SqliteStore::open(dir, Config::default(), clock()).await;
    let store = store.unwrap();
    store.recovery().await.unwrap();
    ledger.note("Open", String::new(), meter::stop());
    println!("{spans} million spans, opened in {:?}", begun.elapsed());
    for (question, n) in questions::ALL.into_iter().zip(1..) {
        // Once to get to know the store: connections, names, what the last one left to be done.
        for round in 0..2 {
            let number = (spans * 100 + n) * 2 + round;
            meter::start();
            let answer = question.ask(&store, filler, number).await;
            let runs = meter::stop();
            if round == 1 {
                ledger.note(&format!("{question:?}"), answer, runs);
            }
        }
    }
    let partitions = store.shared.partitions();
    meter::start();
    check_a_segment(&store, partitions.last().unwrap()).await;
    ledger.note("Check", String::new(), meter::stop());
    meter::start();
    exchange_a_segment(partitions.last().unwrap()).await;
    ledger.note("Exchange", String::new(), meter::stop());
    meter::start();
    adopt(&store, &partitions[0]).await;
    ledger.note("Adopt", String::new(), meter::stop());
    store.close().await.unwrap();
    println!(
        "{spans} million spans, all asked after {:?}",
        begun.elapsed()
    );
    ledger
}

/// What a check reads of one segment; it goes through all of them.
async fn check_a_segment(store: &SqliteStore, partition: &Arc<Partition>) {
    let mut connection = store.connection(partition).await.unwrap();
    let mut tables = PartitionTables {
        partition,
        connection: &mut connection,
    };
    let segments = tables.since(1, 1).await.unwrap();
    let segment = segments[0].segment;
    assert!(tables.whole_rows(segment).await.unwrap().len() > 300);
    assert!(
        !tables
            .records(segment..segment + 1)
            .await
            .unwrap()
            .is_empty()
    );
    let merged = tables.merged(group_of(segment)).await.unwrap();
    assert!(!merged.is_empty());
    let single = tables.filters(segment..segment + 1).await.unwrap();
    assert_eq!(single, []);
    // What a search asks when rows moved meanwhile.
    let source = Source {
        partition: Arc::clone(partition),
        readers: Arc::clone(&store.shared.readers),
    };
    assert_eq!(source.since(segment, 3).await.unwrap().len(), 3);
}

/// The rows of a segment taken out, to be put back with other frames: whether those would be smaller is another matter.
/// A segment of few rows: each has its own page of the index by trace id once that has more pages than rows.
async fn exchange_a_segment(partition: &Partition) {
    let purpose = Use::Write {
        cache_kib: 1_000,
        wal_pages: 1_000,
    };
    let mut connection = Connection::open(&partition.path, purpose).await.unwrap();
    connection.begin().await.unwrap();
    let rows = segment_bounds(partition.figures().newest - 70);
    let gone = connection.execute(&sql::DELETE_SEGMENT_ROWS, rows).await;
    assert!((1..10).contains(&gone.unwrap()));
    connection.roll_back().await.unwrap();
    connection.close().await.unwrap();
}

/// What is asked of a file that the catalogue does not know.
async fn adopt(store: &SqliteStore, partition: &Partition) {
    let mut connection = store.connection(partition).await.unwrap();
    let found = connection.all(&sql::READ_META, Args::new()).await.unwrap();
    assert_eq!(found.len(), 1);
}

/// A day goes, then of the next one what is past its age, beside a writer and a reader. Says how long it takes and what
/// the others wait at most, before and meanwhile; on how many processors that is measured the figures depend too much
/// for a verdict.
async fn retain_beside_others(dir: &Path) {
    let rest_goes = Keep {
        errors: Age::Forever,
        ..Keep::all(2 * DAY)
    };
    for (what, keep) in [
        ("the oldest day", Keep::all(3 * DAY)),
        ("what is no error of the next", rest_goes),
    ] {
        let config = Config {
            keep,
            ..Config::default()
        };
        let store = SqliteStore::open(dir, config, clock()).await;
        let store = Arc::new(store.unwrap());
        let waits: [Arc<Waits>; 2] = Default::default();
        let [writes, reads] = waits.clone();
        let writing = Arc::clone(&store);
        let writing = tokio::spawn(async move { beside::write(&*writing, &writes).await });
        let reading = Arc::clone(&store);
        let reading = tokio::spawn(async move { beside::read(&*reading, &reads).await });
        let is_over = || writing.is_finished() || reading.is_finished();
        while waits.iter().any(|waits| waits.calls() < WARM) && !is_over() {
            tokio::task::yield_now().await;
        }
        let before = waits.each_ref().map(|waits| waits.take());
        let began = Instant::now();
        let rows = store.retain(NOW).await.unwrap();
        println!("{rows} requests, {what}, went in {:?}", began.elapsed());
        for (who, waits, (_, before)) in [
            ("writer", &waits[0], before[0]),
            ("reader", &waits[1], before[1]),
        ] {
            let (calls, longest) = waits.take();
            println!("  the {who} waited {longest:?} at most in {calls} calls; {before:?} before");
            waits.stop();
        }
        writing.await.unwrap();
        reading.await.unwrap();
        assert!(rows > 0);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a release build: cargo xtask test runs it"]
async fn pages_read_do_not_grow_with_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut filler = Filler::default();
    let small = grow(dir.path(), &mut filler, 0..1).await;
    let full = grow(dir.path(), &mut filler, 1..SLICES).await;
    println!("{}", table(&small, &full));
    let names = ALL.iter().map(|statement| statement.name);
    let names = names.chain(INSERTS.iter().map(|insert| insert.name));
    for ledger in [&small, &full] {
        let run = ledger.statements();
        let missing: Vec<_> = names.clone().filter(|name| !run.contains(name)).collect();
        assert_eq!(missing, [""; 0], "statements that no question runs");
    }
    assert_eq!(compare(&small, &full), [""; 0]);
    retain_beside_others(dir.path()).await;
}
