//! Order, cursors, windows, budgets.

use super::build::{Span, part, trace};
use super::{NOW, all_pages, assert_invalid, found, pages, search, write};
use crate::{
    Bounds, Cursor, HopExpr, HopTest, Part, Range, RequestExpr, RequestTest, Search, Sort, Store,
    TextMatch, ValueMatch,
};
use hoplog_model::times::{DAY, MINUTE, SECOND};
use hoplog_model::{TraceId, UnixNanos};

/// A span of the n-th request: several requests share each start and each duration.
fn span(n: u64) -> Span {
    let start = NOW - n % 7 * MINUTE - n % 3 * DAY;
    Span::root(1)
        .at(start, n % 11 * 1_000)
        .with("parity", (n % 2).cast_signed())
}

/// A part received when its first span started.
fn on_time(n: u64, spans: &[Span]) -> Part {
    Part {
        received_at: spans[0].start,
        ..part(trace(n), spans)
    }
}

/// The requests 1 to `last`, in batches of 17.
async fn fill(store: &dyn Store, last: u64) {
    let all: Vec<u64> = (1..=last).collect();
    for some in all.chunks(17) {
        let parts = some.iter().map(|n| on_time(*n, &[span(*n)]));
        write(store, parts.collect()).await;
    }
}

/// Ids of those requests in the order of the search.
fn ordered(numbers: impl Iterator<Item = u64>, sort: Sort) -> Vec<TraceId> {
    let mut all: Vec<(u64, TraceId)> = numbers
        .map(|n| match sort {
            Sort::Newest => (span(n).start, trace(n)),
            Sort::Slowest => (span(n).duration, trace(n)),
        })
        .collect();
    all.sort_unstable();
    all.into_iter()
        .rev()
        .map(|(_, trace_id)| trace_id)
        .collect()
}

fn odd() -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(HopTest::Attribute {
        keys: vec!["parity".to_owned()],
        value: ValueMatch::Text(TextMatch::Is("1".to_owned())),
    }))
}

/// Pages of any size hold every match exactly once, in exact order, ties by id.
pub async fn pages_neither_repeat_nor_skip(store: &dyn Store) {
    fill(store, 100).await;
    for sort in [Sort::Newest, Sort::Slowest] {
        for limit in [1, 7, 100, 1_000] {
            let all = Search {
                sort,
                limit,
                ..search(RequestExpr::everything())
            };
            assert_eq!(
                found(store, &all).await,
                ordered(1..=100, sort),
                "{sort:?} by {limit}"
            );
            let half = Search {
                sort,
                limit,
                ..search(odd())
            };
            let expected = ordered((1..=100).filter(|n| n % 2 == 1), sort);
            assert_eq!(found(store, &half).await, expected, "{sort:?} by {limit}");
        }
    }
}

/// A page after a cursor holds what sorts after it, whatever was written meanwhile.
pub async fn new_requests_do_not_disturb_the_pages_after_a_cursor(store: &dyn Store) {
    fill(store, 60).await;
    let mut asked = Search {
        limit: 10,
        ..search(RequestExpr::everything())
    };
    let (mut seen, mut newer) = (Vec::new(), 1_000);
    loop {
        let page = store
            .search(&asked)
            .await
            .expect("the store can be searched");
        seen.extend(page.hits.iter().map(|hit| hit.trace_id));
        let Some(next) = page.next else { break };
        asked.after = Some(next);
        newer += 1;
        write(
            store,
            vec![part(trace(newer), &[Span::root(1).at(NOW + newer, 5)])],
        )
        .await;
    }
    assert_eq!(seen, ordered(1..=60, Sort::Newest));
}

/// Slowest first is by the request's own duration: its root's, else its extent.
pub async fn slowest_first_is_by_duration(store: &dyn Store) {
    let requests = [
        vec![Span::root(1).at(NOW, 500), Span::child(2, 1).at(NOW, 9_000)],
        vec![
            Span::child(2, 1).at(NOW, 100),
            Span::child(3, 1).at(NOW + 550, 50),
        ],
        vec![Span::root(1).at(NOW - SECOND, 700)],
        vec![Span::root(1).at(NOW + SECOND, 0)],
    ];
    let parts = requests
        .iter()
        .zip(1..)
        .map(|(spans, n)| part(trace(n), spans));
    write(store, parts.collect()).await;
    let slowest = Search {
        sort: Sort::Slowest,
        limit: 3,
        ..search(RequestExpr::everything())
    };
    assert_eq!(found(store, &slowest).await, [3, 2, 1, 4].map(trace));
}

/// `from` is the first start that matches, `to` the first that no longer does, in either order.
pub async fn from_and_to_bound_the_start(store: &dyn Store) {
    let starts = [NOW - 2 * DAY, NOW - 1, NOW, NOW + 1, NOW + MINUTE];
    let parts = starts.iter().zip(1..).map(|(start, n)| {
        on_time(
            n,
            &[
                Span::root(1).at(*start, 100 - n),
                Span::child(2, 1).at(start + 7, 1),
            ],
        )
    });
    write(store, parts.collect()).await;
    let windows = [
        (NOW, NOW + 1, vec![3]),
        (NOW - 1, NOW + MINUTE, vec![2, 3, 4]),
        (0, NOW, vec![1, 2]),
        (NOW + 1, u64::MAX, vec![4, 5]),
        (NOW + 2, NOW + MINUTE, vec![]),
        (NOW, NOW, vec![]),
        (NOW + 1, NOW, vec![]),
    ];
    for (from, to, expected) in windows {
        let expected: Vec<TraceId> = expected.into_iter().map(trace).collect();
        let slowest = Search {
            from,
            to,
            sort: Sort::Slowest,
            ..search(RequestExpr::everything())
        };
        assert_eq!(
            found(store, &slowest).await,
            expected,
            "slowest in {from}..{to}"
        );
        let newest = Search {
            sort: Sort::Newest,
            ..slowest
        };
        let backwards: Vec<TraceId> = expected.into_iter().rev().collect();
        assert_eq!(
            found(store, &newest).await,
            backwards,
            "newest in {from}..{to}"
        );
    }
}

/// Before the start of request 7, on the day before.
const EARLIER: UnixNanos = NOW - 11 * DAY / 10;

/// A row that grew over several batches is found once, by old and new spans, where it sorts now.
pub async fn a_merged_row_is_found_once_and_at_its_new_place(store: &dyn Store) {
    fill(store, 40).await;
    let grown = trace(7);
    for n in 2..6 {
        let spans = [Span::child(n, 1)
            .at(EARLIER + n, 5)
            .name(&format!("late {n}"))];
        write(store, vec![part(grown, &spans)]).await;
        fill(store, 3).await;
    }
    for sort in [Sort::Newest, Sort::Slowest] {
        let all = Search {
            sort,
            limit: 3,
            ..search(RequestExpr::everything())
        };
        let hits = all_pages(store, &all).await;
        assert_eq!(hits.len(), 40);
        let row = hits
            .iter()
            .find(|hit| hit.trace_id == grown)
            .expect("it is still there");
        assert_eq!((row.span_count, row.started_at), (5, EARLIER + 2));
        assert_eq!(hits.iter().filter(|hit| hit.trace_id == grown).count(), 1);
    }
    for name in ["GET /", "late 2", "late 5"] {
        let named = HopExpr::Is(HopTest::Name(TextMatch::Is(name.to_owned())));
        let hits = found(store, &search(RequestExpr::Hop(named))).await;
        assert_eq!(
            hits.iter().filter(|hit| **hit == grown).count(),
            1,
            "{name}"
        );
    }
}

/// A search that cannot be answered within its budget says how far it got, and goes on from there.
pub async fn a_spent_budget_is_said_and_can_be_gone_on_from(store: &dyn Store) {
    fill(store, 100).await;
    let text = |text: &str| RequestExpr::Hop(HopExpr::Is(HopTest::Text(text.to_owned())));
    let bounds = Bounds {
        bytes: 1,
        ..Bounds::default()
    };
    for sort in [Sort::Newest, Sort::Slowest] {
        let nowhere = Search {
            sort,
            bounds,
            limit: 1_000,
            ..search(text("not in any span"))
        };
        let answer = pages(store, &nowhere).await;
        assert!(!answer[0].complete, "one byte is not enough");
        assert!(answer.iter().all(|page| page.hits.is_empty()));
        let everywhere = Search {
            sort,
            bounds,
            limit: 1_000,
            ..search(text("get /"))
        };
        assert_eq!(found(store, &everywhere).await, ordered(1..=100, sort));
    }
}

/// A page has 1 to 1,000 requests.
pub async fn a_limit_out_of_range_is_refused(store: &dyn Store) {
    for limit in [0, 1_001] {
        let after = Some(Cursor {
            key: NOW,
            trace_id: trace(1),
        });
        let asked = Search {
            limit,
            after,
            ..search(RequestExpr::everything())
        };
        assert_invalid(&store.search(&asked).await);
    }
}

/// Started in one window or ended in another, open ends, what is in neither: each request once, over pages of any
/// size, whatever the requests in between, long ones among them.
pub async fn windows_of_starts_and_ends_are_a_union(store: &dyn Store) {
    fill(store, 60).await;
    // Some take long: by their root, or by a span that outlives it.
    let long = (61..=75).map(|n| {
        let start = NOW - n % 5 * MINUTE - n % 3 * DAY;
        let late = Span::child(2, 1).at(start + n % 4 * MINUTE, n % 6 * MINUTE);
        on_time(n, &[Span::root(1).at(start, n % 2 * 20 * MINUTE), late])
    });
    write(store, long.collect()).await;
    let mut all = Vec::new();
    for hit in all_pages(store, &search(RequestExpr::everything())).await {
        all.push(super::read(store, hit.trace_id).await);
    }
    let instants = [
        NOW - 2 * DAY,
        NOW - DAY,
        NOW - DAY + 2 * MINUTE,
        NOW - 4 * MINUTE,
        NOW,
    ];
    let mut ranges = vec![(None, Some(NOW - DAY)), (Some(NOW - 2 * MINUTE), None)];
    for least in instants {
        ranges.push((Some(least), Some(least)));
        ranges.push((Some(least), Some(least + 3 * MINUTE)));
    }
    let ranges: Vec<Range<u64>> = ranges
        .into_iter()
        .map(|(least, greatest)| Range { least, greatest })
        .collect();
    for (n, a) in ranges.iter().enumerate() {
        let b = ranges[(n * 5 + 3) % ranges.len()];
        let started = |range| RequestExpr::Is(RequestTest::Started(range));
        let ended = |range| RequestExpr::Is(RequestTest::Ended(range));
        let not = |expr| RequestExpr::Not(Box::new(expr));
        for expr in [
            RequestExpr::Or(vec![started(*a), ended(b)]),
            RequestExpr::Or(vec![started(*a), started(b)]),
            RequestExpr::And(vec![RequestExpr::Or(vec![ended(*a), started(b)]), odd()]),
            RequestExpr::And(vec![not(started(*a)), not(ended(b))]),
        ] {
            for sort in [Sort::Newest, Sort::Slowest] {
                let whole = Search {
                    sort,
                    ..search(expr.clone())
                };
                // Which ones: looked at one by one, without windows.
                let matching = all
                    .iter()
                    .filter(|one| crate::eval::matches(&expr, &one.summary, &one.spans));
                let mut wanted: Vec<(u64, TraceId)> = matching
                    .map(|one| (sort.key(&one.summary), one.summary.trace_id))
                    .collect();
                wanted.sort_unstable();
                let wanted: Vec<TraceId> = wanted.into_iter().rev().map(|(_, id)| id).collect();
                assert_eq!(found(store, &whole).await, wanted, "{expr:?}");
                let small = Search { limit: 4, ..whole };
                assert_eq!(found(store, &small).await, wanted, "{expr:?} by four");
            }
        }
    }
}
