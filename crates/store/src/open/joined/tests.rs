//! Stored and open together answer as if everything were stored.

use super::*;
use crate::conformance::build::{Span, content, part, set, trace};
use crate::conformance::generated::{Answers, Operation, ask, plans, same};
use crate::conformance::{KEEP, NOW, all_pages, clock, pages, search, write};
use crate::memory::MemoryStore;
use crate::{Bounds, Outcome, Part, RequestExpr, RequestTest, Sort};
use hoplog_model::Summary;
use hoplog_model::times::HOUR;
use hoplog_otlp::SpanSet;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Open(BTreeMap<TraceId, SpanSet>);

impl Open {
    fn take(&mut self, part: &Part) {
        self.0.entry(part.trace_id).or_default().absorb(&part.spans);
    }
}

impl OpenRequests for Open {
    fn get(&self, trace_id: &TraceId) -> Option<StoredRequest> {
        let spans = self.0.get(trace_id)?.clone();
        let mut summary = summarize(*trace_id, &spans);
        summary.flags = summary.flags.with(Flags::OPEN);
        Some(StoredRequest {
            summary,
            spans: Arc::new(spans),
        })
    }

    fn list(&self, from: UnixNanos, to: UnixNanos) -> Vec<(TraceId, UnixNanos)> {
        let starts = self.0.iter().filter_map(|(trace_id, spans)| {
            Some((*trace_id, spans.iter().map(|span| span.head.start).min()?))
        });
        starts
            .filter(|(_, start)| (from..to).contains(start))
            .collect()
    }
}

fn memory() -> MemoryStore {
    MemoryStore::new(clock(), KEEP)
}

fn joined(store: MemoryStore, open: Open) -> Joined {
    Joined::new(Arc::new(store), Arc::new(open), clock())
}

/// Without what depends on how a request came together.
fn bare(mut summary: Summary) -> Summary {
    let history = Flags::OPEN
        .with(Flags::LATE_PART)
        .with(Flags::CONFLICT)
        .with(Flags::CAPPED);
    summary.flags = summary.flags.without(history);
    summary.capped_spans = 0;
    summary
}

fn bare_answers(mut answers: Answers) -> Answers {
    for hits in &mut answers.hits {
        *hits = std::mem::take(hits).into_iter().map(bare).collect();
    }
    for (summary, _) in answers.requests.values_mut() {
        *summary = bare(summary.clone());
    }
    answers
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// Wherever the line between stored and open runs, the answers are those of everything stored.
    #[test]
    fn what_is_open_answers_like_what_is_stored(plan in plans(), open_from in 0_usize..8) {
        let (oracle, store, mut open) = (memory(), memory(), Open::default());
        let mut batch = 0;
        block_on(async {
            for operation in &plan.operations {
                let Operation::Write(parts) = operation else { continue };
                // So that no start is clamped: an open request's never is.
                let on_time = |part: &Part| Part {
                    received_at: NOW - 12 * HOUR,
                    outcome: Outcome::Keep,
                    ..part.clone()
                };
                let parts: Vec<Part> = parts.iter().map(on_time).collect();
                if batch < open_from {
                    write(&store, parts.clone()).await;
                } else {
                    parts.iter().for_each(|part| open.take(part));
                }
                write(&oracle, parts).await;
                batch += 1;
            }
            let expected = bare_answers(ask(&oracle, &plan.questions).await);
            let answers = bare_answers(ask(&joined(store, open), &plan.questions).await);
            same(&answers, &expected, &plan.questions)
        })?;
    }
}

#[tokio::test]
async fn an_open_part_and_its_row_are_one_request() {
    let (store, mut open) = (memory(), Open::default());
    let spans = [Span::root(1), Span::child(2, 1), Span::child(3, 2)];
    write(&store, vec![part(trace(1), &spans[1..])]).await;
    open.take(&part(trace(1), &spans[..2]));
    let joined = joined(store, open);
    let request = joined.get(&trace(1)).await.unwrap().unwrap();
    assert_eq!(content(&request.spans), content(&set(trace(1), &spans)));
    let expected = Flags::OPEN.with(Flags::LATE_PART);
    assert_eq!(request.summary.flags, expected);
    let hits = all_pages(&joined, &search(RequestExpr::everything())).await;
    assert_eq!(hits, [request.summary]);
}

#[tokio::test]
async fn a_request_that_has_just_been_written_is_no_longer_open() {
    let (store, mut open) = (memory(), Open::default());
    let spans = [Span::root(1), Span::child(2, 1)];
    write(&store, vec![part(trace(1), &spans)]).await;
    let row = store.get(&trace(1)).await.unwrap().unwrap();
    open.take(&part(trace(1), &spans));
    let joined = joined(store, open);
    let request = joined.get(&trace(1)).await.unwrap().unwrap();
    assert_eq!(request.summary, row.summary);
    let stats = joined
        .stats(&StatsQuery {
            to: 2 * NOW,
            ..StatsQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(stats.iter().map(|row| row.count).sum::<u64>(), 2);
}

#[tokio::test]
async fn pages_go_on_over_open_and_stored() {
    let (store, mut open) = (memory(), Open::default());
    for n in 1..=60 {
        let part = part(trace(n), &[Span::root(1).at(NOW - n % 13, n % 7)]);
        if n % 3 == 0 {
            open.take(&part);
        } else {
            write(&store, vec![part]).await;
        }
    }
    let joined = joined(store, open);
    for sort in [Sort::Newest, Sort::Slowest] {
        for limit in [1, 4, 20, 60, 100] {
            let asked = Search {
                sort,
                limit,
                ..search(RequestExpr::everything())
            };
            assert_eq!(
                all_pages(&joined, &asked).await.len(),
                60,
                "{sort:?} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_search_over_its_budget_goes_on_from_where_it_stopped() {
    let (store, mut open) = (memory(), Open::default());
    for n in 1..=30 {
        let part = part(trace(n), &[Span::root(1).at(NOW - n % 13, n % 7)]);
        if n % 3 == 0 {
            open.take(&part);
        } else {
            write(&store, vec![part]).await;
        }
    }
    let joined = joined(store, open);
    let bounds = Bounds {
        bytes: 0,
        ..Bounds::default()
    };
    let asked = Search {
        bounds,
        ..search(RequestExpr::everything())
    };
    let pages = pages(&joined, &asked).await;
    assert!(!pages[0].complete);
    assert_eq!(pages.iter().map(|page| page.hits.len()).sum::<usize>(), 30);
}

#[tokio::test]
async fn a_request_asked_for_by_id_is_found_open_or_stored() {
    let (store, mut open) = (memory(), Open::default());
    write(&store, vec![part(trace(1), &[Span::root(1)])]).await;
    open.take(&part(trace(2), &[Span::root(1)]));
    let joined = joined(store, open);
    for (n, found) in [(1, 1), (2, 1), (3, 0)] {
        let by_id = RequestExpr::Is(RequestTest::Trace(trace(n)));
        let asked = search(RequestExpr::And(vec![by_id, RequestExpr::everything()]));
        assert_eq!(all_pages(&joined, &asked).await.len(), found, "request {n}");
    }
}

#[tokio::test]
async fn names_and_keys_of_open_requests_are_listed() {
    let (store, mut open) = (memory(), Open::default());
    write(
        &store,
        vec![part(trace(1), &[Span::root(1).name("b").with("z", 1)])],
    )
    .await;
    open.take(&part(trace(2), &[Span::root(1).name("a").with("y", 1)]));
    let joined = joined(store, open);
    let names = joined.interfaces(0, 2 * NOW, 10).await.unwrap();
    let names: Vec<&str> = names
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(joined.keys(10).await.unwrap(), ["service.name", "y", "z"]);
    assert_eq!(joined.keys(2).await.unwrap(), ["service.name", "y"]);
}
