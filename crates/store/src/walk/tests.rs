//! The walk gives what looking at everything gives.

mod partition;

use super::*;
use crate::conformance::build::{Span, set, trace};
use crate::conformance::{NOW, clock, search};
use crate::eval::matches;
use crate::plan::tests::questions::{Spans, request_expr, spans};
use crate::{Bounds, Cursor, HopExpr, HopTest, Range, RequestExpr, RequestTest, TextMatch};
use hoplog_model::Summary;
use hoplog_otlp::SpanSet;
use partition::MemoryPartition;
use proptest::collection::vec;
use proptest::prelude::*;

type Part = (TraceId, SpanSet);

fn run<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(answer)
}

fn sources(partitions: &[Arc<MemoryPartition>]) -> Vec<Arc<dyn SegmentSource>> {
    partitions
        .iter()
        .map(|partition| partition.clone() as Arc<dyn SegmentSource>)
        .collect()
}

async fn page(partitions: &[Arc<MemoryPartition>], search: &Search) -> Page {
    let dictionaries = Dictionaries::plain();
    walk(&sources(partitions), &dictionaries, &*clock(), search)
        .await
        .unwrap()
}

/// All pages, each of which must bring the search on.
async fn pages(partitions: &[Arc<MemoryPartition>], search: &Search) -> Vec<Page> {
    let mut asked = search.clone();
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let page = page(partitions, &asked).await;
        let next = page.next;
        pages.push(page);
        let Some(next) = next else { return pages };
        let place = |cursor: Cursor| (cursor.key, cursor.trace_id);
        assert!(
            asked.after.is_none_or(|after| place(next) < place(after)),
            "no progress"
        );
        asked.after = Some(next);
    }
}

/// What the search must find, by looking at everything.
fn expected(partitions: &[Arc<MemoryPartition>], search: &Search) -> Vec<Summary> {
    let all = partitions.iter().flat_map(|partition| partition.all());
    let mut hits: Vec<Summary> = all
        .filter(|request| (search.from..search.to).contains(&request.summary.started_at))
        .filter(|request| matches(&search.expr, &request.summary, &request.spans))
        .map(|request| request.summary)
        .collect();
    hits.sort_unstable_by_key(|hit| std::cmp::Reverse((search.sort.key(hit), hit.trace_id)));
    hits
}

/// Batches of (request, some of its spans), spread over partitions by request.
fn landscape() -> impl Strategy<Value = (Vec<Arc<MemoryPartition>>, usize)> {
    let batches = vec(vec((1..60_u64, spans(), any::<bool>()), 1..12), 1..14);
    (batches, 1..4_usize).prop_map(|(batches, count)| {
        let partitions: Vec<Arc<MemoryPartition>> = (0..count).map(|_| Arc::default()).collect();
        for batch in batches {
            for (index, partition) in partitions.iter().enumerate() {
                let parts = parts(&batch, |n| n as usize % count == index);
                if !parts.is_empty() {
                    partition.flush(&parts);
                }
            }
        }
        let dangling = partitions
            .iter()
            .map(|partition| partition.dangling())
            .sum();
        (partitions, dangling)
    })
}

/// One part a request; some lack their first span.
fn parts(batch: &[(u64, Spans, bool)], wanted: impl Fn(u64) -> bool) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (n, spans, cut) in batch.iter().filter(|(n, ..)| wanted(*n)) {
        let spans = spans.of(*n);
        let from = usize::from(*cut && spans.len() > 1);
        if parts.iter().all(|(known, _)| *known != trace(*n)) {
            parts.push((trace(*n), set(trace(*n), &spans[from..])));
        }
    }
    parts
}

fn question() -> impl Strategy<Value = Search> {
    let expr = prop_oneof![1 => Just(RequestExpr::everything()), 4 => request_expr()];
    let window = prop_oneof![
        2 => Just((0, UnixNanos::MAX)),
        1 => (NOW..NOW + 40, NOW..NOW + 60),
    ];
    let sort = prop_oneof![Just(Sort::Newest), Just(Sort::Slowest)];
    let limit = prop_oneof![1..8_usize, Just(1_000)];
    let bytes = prop_oneof![Just(0), Just(1), 300..5_000_u64, Just(256 << 20)];
    (expr, window, sort, limit, bytes).prop_map(|(expr, (from, to), sort, limit, bytes)| {
        let bounds = Bounds {
            bytes,
            ..Bounds::default()
        };
        Search {
            from,
            to,
            sort,
            limit,
            bounds,
            ..search(expr)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn pages_together_are_every_match_in_order((partitions, _) in landscape(), questions in vec(question(), 4)) {
        for question in questions {
            let pages = run(pages(&partitions, &question));
            let expected = expected(&partitions, &question);
            let is_ample = question.bounds == Bounds::default();
            for (index, page) in pages.iter().enumerate() {
                let is_last = index + 1 == pages.len();
                prop_assert!(page.hits.len() <= question.limit);
                prop_assert!(page.complete || !is_ample);
                prop_assert_eq!(page.complete, is_last || page.hits.len() == question.limit);
                prop_assert_eq!(page.searched_until.is_some(), !page.complete);
            }
            if is_ample {
                prop_assert_eq!(pages.len(), expected.len().div_ceil(question.limit).max(1));
            }
            let found: Vec<Summary> = pages.into_iter().flat_map(|page| page.hits).collect();
            prop_assert_eq!(found, expected, "{:?}", question);
        }
    }
}

#[test]
fn generated_landscapes_have_rows_that_moved() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let moved = (0..20).filter(|_| landscape().new_tree(&mut runner).unwrap().current().1 > 0);
    assert!(moved.count() > 10);
}

/// Requests 1 to `last`, the n-th starting n seconds after [`NOW`], 50 to the batch.
fn filled(last: u64) -> Arc<MemoryPartition> {
    let partition = Arc::<MemoryPartition>::default();
    let numbers: Vec<u64> = (1..=last).collect();
    for some in numbers.chunks(50) {
        let part = |n: &u64| (trace(*n), set(trace(*n), &[at(*n)]));
        partition.flush(&some.iter().map(part).collect::<Vec<_>>());
    }
    partition
}

fn at(n: u64) -> Span {
    Span::root(1)
        .at(NOW + n * 1_000_000_000, n)
        .name(&format!("GET /{}", n % 100))
}

fn named(name: &str) -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(HopTest::Name(TextMatch::Is(name.to_owned()))))
}

#[test]
fn the_first_page_opens_few_rows() {
    let partitions = [filled(3_000)];
    let newest = Search {
        limit: 20,
        ..search(RequestExpr::everything())
    };
    let answer = run(page(&partitions, &newest));
    assert_eq!(
        (answer.hits.len(), answer.cost.rows, answer.cost.segments),
        (20, 21, 8)
    );
    let one_interface = Search {
        limit: 20,
        ..search(named("GET /7"))
    };
    let answer = run(page(&partitions, &one_interface));
    assert_eq!(
        (answer.hits.len(), answer.cost.rows),
        (20, 30),
        "only rows that have it"
    );
    let nowhere = run(page(&partitions, &search(named("GET /nowhere"))));
    assert_eq!(
        (nowhere.hits.len(), nowhere.cost.rows, nowhere.next),
        (0, 0, None)
    );
}

#[test]
fn two_windows_cost_two_windows() {
    let partitions = [filled(3_000)];
    let second = |n: u64| NOW + n * 1_000_000_000;
    let range = |least, greatest| Range {
        least: Some(least),
        greatest: Some(greatest),
    };
    let started = |least, greatest| {
        RequestExpr::Is(RequestTest::Started(range(second(least), second(greatest))))
    };
    let ended = RequestExpr::Is(RequestTest::Ended(range(second(500), second(502))));
    let union = RequestExpr::Or(vec![started(100, 102), started(2_000, 2_002), ended]);
    for sort in [Sort::Newest, Sort::Slowest] {
        let question = Search {
            sort,
            limit: 100,
            ..search(union.clone())
        };
        let answer = run(page(&partitions, &question));
        let mut found: Vec<_> = answer.hits.iter().map(|hit| hit.started_at).collect();
        found.sort_unstable();
        let seconds = [100, 101, 102, 500, 501, 502, 2_000, 2_001, 2_002];
        assert!(found.len() >= 8 && found.iter().all(|at| seconds.map(second).contains(at)));
        assert!(answer.cost.rows <= 15, "{:?}", answer.cost);
        assert!(answer.cost.segments <= 6, "{:?}", answer.cost);
    }
}

#[test]
fn a_row_that_moves_while_the_search_runs_is_found() {
    for sort in [Sort::Newest, Sort::Slowest] {
        let partition = [filled(120)];
        // The newest requests get another span: their rows leave the segments listed already.
        let late = |n: u64| {
            let span = Span::child(2, 1).at(NOW + n * 1_000_000_000 + 1, 0);
            (trace(n), set(trace(n), &[span]))
        };
        partition[0].flush_meanwhile((110..=120).map(late).collect());
        let question = Search {
            sort,
            limit: 10,
            ..search(RequestExpr::everything())
        };
        let hits = run(page(&partition, &question)).hits;
        assert_eq!(hits, expected(&partition, &question)[..10]);
        assert!(hits.iter().all(|hit| hit.span_count == 2));
    }
}

#[test]
fn a_request_in_two_partitions_is_listed_once() {
    let partitions = [filled(30), filled(5)];
    let question = Search {
        limit: 7,
        ..search(RequestExpr::everything())
    };
    let found: Vec<TraceId> = run(pages(&partitions, &question))
        .iter()
        .flat_map(|page| &page.hits)
        .map(|hit| hit.trace_id)
        .collect();
    assert_eq!(found, (1..=30).rev().map(trace).collect::<Vec<_>>());
}

#[test]
fn no_time_left_still_brings_the_search_on() {
    let partitions = [filled(90)];
    let bounds = Bounds {
        time: 0,
        ..Bounds::default()
    };
    let question = Search {
        bounds,
        limit: 4,
        ..search(named("GET /8"))
    };
    let pages = run(pages(&partitions, &question));
    assert!(pages.iter().any(|page| !page.complete));
    let found: Vec<TraceId> = pages
        .iter()
        .flat_map(|page| &page.hits)
        .map(|hit| hit.trace_id)
        .collect();
    assert_eq!(found, [trace(8)]);
}

#[test]
fn a_damaged_row_is_named() {
    #[derive(Debug)]
    struct Damaged(Arc<MemoryPartition>);

    #[async_trait]
    impl SegmentSource for Damaged {
        async fn bounds(&self) -> Result<Option<PartitionBounds>, StoreError> {
            self.0.bounds().await
        }
        async fn segments(
            &self,
            sort: Sort,
            from: UnixNanos,
            to: UnixNanos,
            below: Option<(u64, i64)>,
            n: usize,
        ) -> Result<Vec<SegmentBounds>, StoreError> {
            self.0.segments(sort, from, to, below, n).await
        }
        async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentBounds>, StoreError> {
            self.0.since(segment, n).await
        }
        async fn heads(&self, segments: &[i64]) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError> {
            self.0.heads(segments).await
        }
        async fn interfaces(&self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
            self.0.interfaces().await
        }
        async fn records(
            &self,
            interfaces: &[i64],
            segments: &[i64],
        ) -> Result<Vec<RecordRow>, StoreError> {
            self.0.records(interfaces, segments).await
        }
        async fn outlines(
            &self,
            interfaces: &[i64],
            segments: &[i64],
        ) -> Result<(Vec<i64>, Vec<Outline>), StoreError> {
            self.0.outlines(interfaces, segments).await
        }
        async fn filters(
            &self,
            probes: &[Probe],
            segments: &[i64],
        ) -> Result<Vec<FilterRow>, StoreError> {
            self.0.filters(probes, segments).await
        }
        async fn rows(&self, rows: &[RowId]) -> Result<Vec<PackedRow>, StoreError> {
            let mut rows = self.0.rows(rows).await?;
            rows.iter_mut().for_each(|row| row.frames.truncate(20));
            Ok(rows)
        }
    }

    let source: Arc<dyn SegmentSource> = Arc::new(Damaged(filled(1)));
    let (plain, clock) = (Dictionaries::plain(), clock());
    let everything = search(RequestExpr::everything());
    let answer = run(walk(&[source], &plain, &*clock, &everything));
    assert!(
        matches!(answer, Err(StoreError::Corrupt { at, .. }) if at == "requests row 1024 spans")
    );
}

#[test]
fn a_limit_out_of_range_is_refused() {
    for limit in [0, 1_001] {
        let question = Search {
            limit,
            ..search(RequestExpr::everything())
        };
        let (plain, clock) = (Dictionaries::plain(), clock());
        let answer = run(walk(&[], &plain, &*clock, &question));
        assert!(matches!(answer, Err(StoreError::Invalid(_))));
    }
}
