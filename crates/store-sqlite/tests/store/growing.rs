//! Requests that keep growing, and requests over partitions.

use super::support::{check, fresh, number, partition};
use hoplog_model::times::{DAY, HOUR};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, read, search, write};
use hoplog_store::{Part, RequestExpr, TraceReader};
use hoplog_store_sqlite::{Config, SqliteStore};

const PARTS: &str = "SELECT count(*) FROM parts";

/// Spans that do not compress: 1 KiB of noise each.
fn noisy(ids: std::ops::Range<u64>) -> Vec<Span> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{:016x}", state ^ state >> 29)
    };
    let text = |noise: &mut dyn FnMut() -> String| (0..64).map(|_| noise()).collect::<String>();
    ids.map(|id| {
        let span = if id == 1 {
            Span::root(1)
        } else {
            Span::child(id, 1)
        };
        span.at(NOW + id, 5)
            .with("noise", format!("{id}{}", text(&mut noise)).as_str())
    })
    .collect()
}

#[tokio::test]
async fn a_large_request_grows_by_what_is_new() {
    let (dir, store) = fresh().await;
    write(&store, vec![part(trace(1), &noisy(1..3_001))]).await;
    let parts = number(&partition(dir.path()), PARTS).await;
    assert!(parts > 1, "3 MB stand in more than one frame");
    for from in [3_001, 3_011, 3_021] {
        write(&store, vec![part(trace(1), &noisy(from..from + 10))]).await;
    }
    assert_eq!(number(&partition(dir.path()), PARTS).await, parts + 3);
    assert_eq!(read(&store, trace(1)).await.spans.len(), 3_030);
    assert_eq!(check(&store).await.differences, []);
}

#[tokio::test]
async fn a_span_that_gives_way_in_a_large_request_is_gone() {
    let (_dir, store) = fresh().await;
    write(&store, vec![part(trace(1), &noisy(1..3_001))]).await;
    let ended = Span::child(77, 1).at(NOW + 77, 9).name("ended");
    let written = write(&store, vec![part(trace(1), std::slice::from_ref(&ended))]).await;
    assert_eq!((written.stored, written.duplicate), (0, 1));
    let spans = read(&store, trace(1)).await.spans;
    assert_eq!(spans.len(), 3_000);
    assert_eq!(
        spans
            .iter()
            .filter(|span| span.view().name() == "ended")
            .count(),
        1
    );
    assert_eq!(check(&store).await.differences, []);
}

#[tokio::test]
async fn a_full_request_takes_no_more_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        request_spans: 4,
        ..super::support::config()
    };
    let store = SqliteStore::open(dir.path(), config, super::support::clock())
        .await
        .unwrap();
    let spans = |ids: std::ops::Range<u64>| ids.map(|id| Span::child(id, 1)).collect::<Vec<_>>();
    write(&store, vec![part(trace(1), &spans(1..6))]).await;
    let written = write(&store, vec![part(trace(1), &spans(5..8))]).await;
    assert_eq!(
        (written.stored, written.duplicate, written.left_out),
        (0, 0, 3)
    );
    let summary = read(&store, trace(1)).await.summary;
    assert_eq!((summary.span_count, summary.capped_spans), (5, 3));
    assert!(summary.flags.contains(hoplog_model::Flags::CAPPED));
    assert_eq!(check(&store).await.differences, []);
}

#[tokio::test]
async fn a_request_in_two_partitions_is_read_as_one() {
    let (_dir, store) = fresh().await;
    let start = NOW - 2 * DAY;
    let begun = Part {
        received_at: start,
        ..part(trace(1), &[Span::root(1).at(start, 40 * HOUR)])
    };
    write(&store, vec![begun]).await;
    let last = Span::child(2, 1).at(NOW - 9 * HOUR, 5);
    write(&store, vec![part(trace(1), std::slice::from_ref(&last))]).await;
    let request = read(&store, trace(1)).await;
    assert_eq!(
        (request.spans.len(), request.summary.started_at),
        (2, start)
    );
    let page = store
        .search(&search(RequestExpr::everything()))
        .await
        .unwrap();
    assert_eq!(page.hits.len(), 1);
}

#[tokio::test]
async fn a_part_of_another_day_finds_its_row() {
    let (_dir, store) = fresh().await;
    write(
        &store,
        vec![part(trace(1), &[Span::child(2, 1).at(NOW, 5)])],
    )
    .await;
    let root = Span::root(1).at(NOW - 20 * HOUR, 20 * HOUR);
    let written = write(&store, vec![part(trace(1), std::slice::from_ref(&root))]).await;
    assert_eq!(written.merged_rows, 1);
}
