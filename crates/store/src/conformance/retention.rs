//! Retention by outcome, and requests kept by hand. A store of these cases keeps [`policy`], or what the case says.

use super::build::{Span, content, part, trace};
use super::volume::questions::merge_all;
use super::{NOW, all_pages, books, found, read, search, write};
use crate::filter::merged::SEGMENTS;
use crate::retention::{Age, Bytes, Keep, Past};
use crate::{HopExpr, HopTest, Part, RequestExpr, StatsQuery, Store, TextMatch, ValueMatch};
use hoplog_model::times::{DAY, SECOND};
use hoplog_model::{TraceId, UnixNanos};

/// Errors for 30 days, slow ones for 14, the rest for 3.
pub fn policy() -> Keep {
    Keep {
        errors: Age::Nanos(30 * DAY),
        slow: Age::Nanos(14 * DAY),
        ..Keep::all(3 * DAY)
    }
}

/// The same, and at most one byte.
pub fn tiny() -> Keep {
    Keep {
        bytes: Bytes::AtMost(1),
        ..Keep::forever()
    }
}

fn day_of(n: u64) -> UnixNanos {
    NOW - n * DAY
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Slow,
    Failed,
    /// An inner span failed, the request did not.
    Recovered,
    SlowFailed,
}

const FATES: [Fate; 5] = [
    Fate::Fine,
    Fate::Slow,
    Fate::Failed,
    Fate::Recovered,
    Fate::SlowFailed,
];

fn id(day: u64, fate: Fate) -> TraceId {
    trace(day * 10 + fate as u64 + 1)
}

fn request(day: u64, fate: Fate) -> Part {
    let at = day_of(day);
    let is_slow = matches!(fate, Fate::Slow | Fate::SlowFailed);
    let ms = if is_slow { SECOND } else { SECOND - 1 };
    let root = Span::root(1).at(at, ms).with("day", day.cast_signed());
    let root = match fate {
        Fate::Failed | Fate::SlowFailed => root.failed("no"),
        _ => root,
    };
    let child = Span::child(2, 1).at(at + 5, 7).name("inner");
    let child = match fate {
        Fate::Recovered => child.failed("again"),
        _ => child,
    };
    Part {
        received_at: at,
        ..part(id(day, fate), &[root, child])
    }
}

/// Whether it is there after retention on its day.
fn stays(day: u64, fate: Fate) -> bool {
    // A day is kept for so long after its end.
    match fate {
        Fate::Fine => day <= 3,
        Fate::Slow => day <= 14,
        Fate::Failed | Fate::Recovered | Fate::SlowFailed => day <= 30,
    }
}

async fn days(store: &dyn Store, days: std::ops::Range<u64>) {
    for day in days {
        let parts = FATES.map(|fate| request(day, fate));
        write(store, parts.to_vec()).await;
    }
}

async fn retain(store: &dyn Store, now: UnixNanos) -> u64 {
    store.retain(now).await.expect("the store can be thinned")
}

async fn counted(store: &dyn Store) -> u64 {
    let query = StatsQuery {
        to: 2 * NOW,
        ..StatsQuery::default()
    };
    let stats = store.stats(&query).await.expect("the store can be read");
    stats.iter().map(|row| row.count).sum()
}

async fn differences(store: &dyn Store) -> Vec<crate::Difference> {
    let report = store.check(&|_, _| ()).await;
    let report = report.expect("the store can be read");
    assert_eq!(report.books, books(store).await);
    report.differences
}

async fn pin(store: &dyn Store, id: TraceId, is_kept: bool) -> bool {
    let done = store.pin(id, is_kept, NOW).await;
    done.expect("a pin can be set")
}

/// Errors and slow requests stay for ages of their own: with spans, records and filters; roll-ups stay
/// exact as long as the partition does; the books stay; `check` finds nothing.
pub async fn outcomes_are_kept_for_ages_of_their_own(store: &dyn Store) {
    const DAYS: u64 = 33;
    days(store, 0..DAYS).await;
    let before = books(store).await;
    let kept: Vec<TraceId> = (0..DAYS)
        .flat_map(|day| FATES.map(|fate| (day, fate)))
        .filter(|(day, fate)| stays(*day, *fate))
        .map(|(day, fate)| id(day, fate))
        .collect();
    let gone = DAYS * 5 - kept.len() as u64;
    assert_eq!(retain(store, NOW).await, gone);
    let mut is = found(store, &search(RequestExpr::everything())).await;
    let mut expected = kept.clone();
    is.sort_unstable();
    expected.sort_unstable();
    assert_eq!(is, expected);
    for day in 0..DAYS {
        for fate in FATES {
            let found = store.get(&id(day, fate)).await;
            let found = found.expect("the store can be read");
            assert_eq!(found.is_some(), stays(day, fate), "{day} {fate:?}");
        }
    }
    let sent = request(20, Fate::Recovered);
    let stored = read(store, sent.trace_id).await;
    assert_eq!(content(&stored.spans), content(&sent.spans));
    // 31 days are there in one form or another, ten spans each.
    assert_eq!(counted(store).await, 31 * 10);
    assert_eq!(books(store).await, before);
    assert_eq!(differences(store).await, []);
    let health = store.health().await.expect("the store can be read");
    assert_eq!(
        (health.rows, health.dropped_rows),
        (kept.len() as u64, gone)
    );
    let retained = health.retained;
    assert_eq!((retained.age.rows, retained.age.partitions), (10, 2));
    assert_eq!(retained.outcome.rows, gone - 10);
    assert_eq!(retained.outcome.partitions, 27);
    let thinned = |day: u64| {
        let of_day = |one: &&crate::PartitionHealth| (one.from..one.to).contains(&day_of(day));
        let found = health.partitions.iter().find(of_day);
        found.map(|one| one.thinned)
    };
    assert_eq!(thinned(3), Some(Past::NOTHING));
    assert_eq!(thinned(4), Some(Past::REST));
    assert_eq!(thinned(15), Some(Past::REST.with(Past::SLOW)));
    assert_eq!(retain(store, NOW).await, 0, "there is nothing more to do");
}

/// Kept rows are found by their attributes, in order, and merge with late parts.
pub async fn a_thinned_day_takes_late_parts(store: &dyn Store) {
    days(store, 5..6).await;
    assert_eq!(retain(store, NOW).await, 1);
    let late = |fate| Part {
        received_at: day_of(5),
        ..part(id(5, fate), &[Span::child(3, 1).at(day_of(5) + 9, 2)])
    };
    write(store, vec![late(Fate::Failed), late(Fate::Fine)]).await;
    assert_eq!(read(store, id(5, Fate::Failed)).await.spans.len(), 3);
    // What was dropped is gone; what comes of it later is a row of its own.
    assert_eq!(read(store, id(5, Fate::Fine)).await.spans.len(), 1);
    assert_eq!(counted(store).await, 12);
    assert_eq!(differences(store).await, []);
    let all = all_pages(store, &search(RequestExpr::everything())).await;
    assert_eq!(all.len(), 5);
    // At the next age what came late goes with the slow ones.
    assert_eq!(retain(store, NOW + 10 * DAY).await, 2);
    assert_eq!(differences(store).await, []);
    assert_eq!(retain(store, NOW + 30 * DAY).await, 3);
    assert_eq!(counted(store).await, 0);
    assert_eq!(differences(store).await, []);
}

/// A pinned request stays whatever its age, alone if need be, and goes once it is let go. It may be
/// pinned before it has a row.
pub async fn a_pinned_request_stays(store: &dyn Store) {
    let (first, second) = (id(40, Fate::Fine), id(10, Fate::Fine));
    assert!(pin(store, first, true).await);
    assert!(!pin(store, first, true).await, "it was so already");
    days(store, 40..41).await;
    days(store, 10..11).await;
    assert!(pin(store, second, true).await);
    let asked = [first, second, id(10, Fate::Slow)];
    let pinned = store.pinned(&asked).await.expect("the store can be read");
    assert_eq!(pinned, [first, second].into_iter().collect());
    let before = books(store).await;
    assert_eq!(retain(store, NOW).await, 4);
    let all = found(store, &search(RequestExpr::everything())).await;
    assert_eq!(all.len(), 6);
    assert!(all.contains(&first) && all.contains(&second));
    assert_eq!(read(store, first).await.spans.len(), 2);
    assert_eq!(differences(store).await, []);
    let health = store.health().await.expect("the store can be read");
    assert_eq!(health.pins, 2);
    assert!(pin(store, first, false).await);
    assert!(!pin(store, first, false).await, "it was so already");
    assert_eq!(retain(store, NOW).await, 1);
    let found = store.get(&first).await.expect("the store can be read");
    assert!(found.is_none());
    assert_eq!(books(store).await, before);
    assert_eq!(differences(store).await, []);
}

/// A day whose filters are merged is thinned; what stays, and what comes late, is found, and merged again.
pub async fn a_merged_day_is_thinned_and_merged_again(store: &dyn Store) {
    const BATCHES: u64 = 2 * SEGMENTS.unsigned_abs() + 3;
    let request = |n: u64| {
        let root = Span::root(1).at(day_of(5) + n, 5);
        let root = root.with("order", format!("o-{n}").as_str());
        let root = if n.is_multiple_of(10) {
            root.failed("no")
        } else {
            root
        };
        Part {
            received_at: day_of(5),
            ..part(trace(n), &[root])
        }
    };
    for n in 1..=BATCHES {
        write(store, vec![request(n)]).await;
    }
    let before = merge_all(store).await;
    assert_eq!(retain(store, NOW).await, BATCHES - BATCHES / 10);
    assert_eq!(differences(store).await, []);
    // One of a request that stayed, then others.
    let late = Span::child(2, 1).at(day_of(5), 5).with("order", "o-late");
    let late = Part {
        received_at: day_of(5),
        ..part(trace(10), &[late])
    };
    write(store, vec![late]).await;
    for n in BATCHES + 1..=2 * BATCHES {
        write(store, vec![request(n)]).await;
    }
    // The memory store has none to merge; in others numbers go on, so that no group is merged of nothing.
    assert_eq!(merge_all(store).await, before);
    assert!(before <= 1, "{before} groups");
    for (order, expected) in [
        ("o-7", None),
        ("o-10", Some(10)),
        ("o-late", Some(10)),
        ("o-250", Some(250)),
        ("o-267", Some(267)),
    ] {
        let value = ValueMatch::Text(TextMatch::Is(order.to_owned()));
        let keys = vec!["order".to_owned()];
        let hop = HopExpr::Is(HopTest::Attribute { keys, value });
        let found = found(store, &search(RequestExpr::Hop(hop))).await;
        assert_eq!(found, expected.map(trace).as_slice(), "{order}");
    }
    assert_eq!(differences(store).await, []);
    assert_eq!(counted(store).await, 2 * BATCHES + 1);
}

/// The bound in bytes is stronger than pins; what it took of them is said. The newest day stays.
pub async fn the_size_is_stronger_than_pins(store: &dyn Store) {
    days(store, 0..3).await;
    assert!(pin(store, id(2, Fate::Fine), true).await);
    assert!(pin(store, id(0, Fate::Fine), true).await);
    let before = books(store).await;
    assert_eq!(retain(store, NOW).await, 10);
    assert_eq!(
        found(store, &search(RequestExpr::everything())).await.len(),
        5
    );
    let health = store.health().await.expect("the store can be read");
    assert_eq!(
        (health.retained.size.rows, health.retained.size.pinned),
        (10, 1)
    );
    assert_eq!(health.pins, 1);
    assert_eq!(books(store).await, before);
    assert_eq!(differences(store).await, []);
}

/// Every case of this module, on stores made by `$fresh`, a path of an `async fn(Arc<dyn Clock>, Keep) -> (guard, store)`.
#[macro_export]
macro_rules! conformance_of_retention {
    ($fresh:path) => {
        $crate::conformance_of_retention! { @cases $fresh;
            outcomes_are_kept_for_ages_of_their_own(policy)
            a_thinned_day_takes_late_parts(policy)
            a_pinned_request_stays(policy)
            a_merged_day_is_thinned_and_merged_again(policy)
            the_size_is_stronger_than_pins(tiny)
        }
    };
    (@cases $fresh:path; $($case:ident($policy:ident))*) => {$(
        #[tokio::test]
        async fn $case() {
            let keep = $crate::conformance::retention::$policy();
            let (_guard, store) = $fresh($crate::conformance::clock(), keep).await;
            $crate::conformance::retention::$case(&store).await;
        }
    )*};
}
