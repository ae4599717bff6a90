//! Roll-ups, names and totals.

use super::build::{Span, part, set, trace};
use super::{NOW, assert_invalid, books, write};
use crate::summary::collect_keys;
use crate::{Books, Outcome, Part, StatRow, StatsQuery, Store};
use hoplog_model::times::{DAY, HOUR, MINUTE, SECOND};
use hoplog_model::{Interface, Sketch, SpanKind, UnixNanos};
use std::collections::BTreeSet;

async fn stats(store: &dyn Store, query: &StatsQuery) -> Vec<StatRow> {
    store.stats(query).await.expect("the store can be read")
}

fn row(service: &str, name: &str, at: UnixNanos, durations: &[u64], errors: u64) -> StatRow {
    let mut sketch = Sketch::default();
    durations.iter().for_each(|duration| sketch.add(*duration));
    let (service, name) = (service.to_owned(), name.to_owned());
    StatRow {
        interface: Interface {
            service,
            kind: SpanKind::Server,
            name,
        },
        at,
        count: durations.len() as u64,
        errors,
        sum: durations.iter().sum(),
        sketch,
    }
}

/// Counts, errors, sums and sketches per interface and step, in the order of interface then time.
pub async fn stats_add_up_by_interface_and_step(store: &dyn Store) {
    let from = NOW - 3 * HOUR;
    let span = |service: &str, name: &str, minute: u64, duration: u64| {
        let start = from + minute * MINUTE + 7 * SECOND;
        Span::root(1)
            .service(service)
            .name(name)
            .at(start, duration)
    };
    let spans = [
        span("b", "x", 0, 100),
        span("a", "y", 4, 200).failed(""),
        span("a", "y", 5, 300),
        span("a", "x", 6, 400),
        span("a", "y", 64, 500).failed(""),
        span("a", "y", 64, 600),
        span("a", "y", 120, 700),
    ];
    let parts = spans
        .iter()
        .zip(1..)
        .map(|(span, n)| part(trace(n), std::slice::from_ref(span)));
    write(store, parts.collect()).await;
    let query = StatsQuery {
        from,
        to: from + 2 * HOUR,
        ..StatsQuery::default()
    };
    let all = [
        row("a", "x", from, &[400], 0),
        row("a", "y", from, &[200, 300, 500, 600], 2),
        row("b", "x", from, &[100], 0),
    ];
    assert_eq!(stats(store, &query).await, all);
    let steps = StatsQuery {
        step: Some(5 * MINUTE),
        service: Some("a".to_owned()),
        ..query.clone()
    };
    let by_step = [
        row("a", "x", from + 5 * MINUTE, &[400], 0),
        row("a", "y", from, &[200], 1),
        row("a", "y", from + 5 * MINUTE, &[300], 0),
        row("a", "y", from + 60 * MINUTE, &[500, 600], 1),
    ];
    assert_eq!(stats(store, &steps).await, by_step);
    let hours = StatsQuery {
        step: Some(HOUR),
        name: Some("y".to_owned()),
        ..query.clone()
    };
    let by_hour = [
        row("a", "y", from, &[200, 300], 1),
        row("a", "y", from + HOUR, &[500, 600], 1),
    ];
    assert_eq!(stats(store, &hours).await, by_hour);
    let clients = StatsQuery {
        kind: Some(SpanKind::Client),
        ..query
    };
    assert_eq!(stats(store, &clients).await, []);
}

/// A span with a statement counts under its fingerprint, too, also where it is only counted, and no
/// more once it has given way. Nobody sees that who does not ask for statements.
pub async fn stats_of_statements_are_apart(store: &dyn Store) {
    let call = |id, minute: u64, text: &str| {
        let span = Span::child(id, 1).kind(SpanKind::Client).name("query");
        let span = span.at(NOW - HOUR + minute * MINUTE, 100 * id);
        span.with("db.query.text", text)
    };
    let spans = [
        Span::root(1).at(NOW - HOUR, 900),
        call(2, 0, "SELECT * FROM t WHERE id = 1"),
        call(3, 0, "SELECT *  FROM t WHERE id = 'x'").failed(""),
        call(4, 1, "DELETE FROM t").service("bank"),
        call(5, 1, "SELECT 1").with("db.query.summary", "ping"),
        call(6, 1, "-- nothing"),
    ];
    write(store, vec![part(trace(1), &spans)]).await;
    let counted = Part {
        outcome: Outcome::CountOnly,
        ..part(trace(2), &[call(7, 0, "SELECT * FROM t WHERE id = ?")])
    };
    write(store, vec![counted]).await;
    // The same call, finished: it says something else now.
    let later = call(5, 1, "SELECT 1").at(NOW - HOUR + MINUTE, 600);
    write(store, vec![part(trace(1), &[later])]).await;
    let query = StatsQuery {
        from: NOW - HOUR,
        to: NOW,
        kind: Some(SpanKind::Statement),
        ..StatsQuery::default()
    };
    let statement = |service: &str, name: &str, durations: &[u64], errors| {
        let mut row = row(service, name, NOW - HOUR, durations, errors);
        row.interface.kind = SpanKind::Statement;
        row
    };
    let expected = [
        statement("bank", "DELETE FROM t", &[400], 0),
        statement("shop", "SELECT * FROM t WHERE id = ?", &[200, 300, 700], 1),
        statement("shop", "SELECT ?", &[600], 0),
    ];
    assert_eq!(stats(store, &query).await, expected);
    let spans = StatsQuery {
        kind: None,
        ..query
    };
    let all = stats(store, &spans).await;
    assert_eq!(all.iter().map(|row| row.count).sum::<u64>(), 7);
    assert!(all.iter().all(|row| !row.interface.is_statement()));
    let names = store.interfaces(0, NOW, 100).await;
    let names = names.expect("the store can be read");
    assert!(!names.is_empty() && names.iter().all(|one| !one.is_statement()));
}

/// Later parts add what is new, once; the same spans again add nothing.
pub async fn stats_count_a_request_in_parts_once(store: &dyn Store) {
    let spans: Vec<Span> = (1..=6)
        .map(|n| Span::child(n, 99).at(NOW - n * MINUTE, n))
        .collect();
    for some in [&spans[..2], &spans[1..5], &spans[..], &spans[3..]] {
        write(store, vec![part(trace(1), some)]).await;
    }
    let query = StatsQuery {
        from: NOW - HOUR,
        to: NOW,
        ..StatsQuery::default()
    };
    let expected = [row("shop", "GET /", NOW - HOUR, &[1, 2, 3, 4, 5, 6], 0)];
    assert_eq!(stats(store, &query).await, expected);
    let by_minute = StatsQuery {
        step: Some(MINUTE),
        ..query
    };
    assert_eq!(stats(store, &by_minute).await.len(), 6);
}

/// `from` is rounded down and `to` up to a whole minute, and a span counts for the minute it starts in.
pub async fn stats_are_of_whole_minutes(store: &dyn Store) {
    let starts = [
        NOW - 1,
        NOW,
        NOW + MINUTE - 1,
        NOW + MINUTE,
        NOW + 2 * MINUTE,
    ];
    let spans = starts
        .iter()
        .zip(1..)
        .map(|(start, n)| Span::child(n, 99).at(*start, n));
    write(store, vec![part(trace(1), &spans.collect::<Vec<_>>())]).await;
    let query = |from, to| StatsQuery {
        from,
        to,
        ..StatsQuery::default()
    };
    let expected = [row("shop", "GET /", NOW, &[2, 3, 4], 0)];
    assert_eq!(
        stats(store, &query(NOW + 30 * SECOND, NOW + MINUTE + 1)).await,
        expected
    );
    assert_eq!(stats(store, &query(NOW, NOW + 2 * MINUTE)).await, expected);
    assert_eq!(stats(store, &query(NOW + 3 * MINUTE, NOW + HOUR)).await, []);
    assert_eq!(stats(store, &query(0, UnixNanos::MAX)).await.len(), 1);
}

/// A span that gave way to another of its id counts no longer.
pub async fn stats_follow_a_span_that_gave_way(store: &dyn Store) {
    let begun = Span::root(1).name("?").failed("").at(NOW - MINUTE, 5);
    let ended = Span::root(1).name("GET /").at(NOW - MINUTE, 9);
    write(
        store,
        vec![
            part(trace(1), std::slice::from_ref(&begun)),
            part(trace(2), &[begun]),
        ],
    )
    .await;
    write(store, vec![part(trace(1), &[ended])]).await;
    let query = StatsQuery {
        from: NOW - HOUR,
        to: NOW,
        ..StatsQuery::default()
    };
    let expected = [
        row("shop", "?", NOW - HOUR, &[5], 1),
        row("shop", "GET /", NOW - HOUR, &[9], 0),
    ];
    assert_eq!(stats(store, &query).await, expected);
}

/// A step is a multiple of a minute.
pub async fn a_step_that_is_no_whole_minute_is_refused(store: &dyn Store) {
    for step in [0, 1, MINUTE + 1] {
        let query = StatsQuery {
            to: NOW,
            step: Some(step),
            ..StatsQuery::default()
        };
        assert_invalid(&store.stats(&query).await);
    }
}

/// Every span name with its service and kind, in their order, at most as many as asked for.
pub async fn interfaces_are_listed_by_name(store: &dyn Store) {
    let spans = [
        Span::root(1).service("b").name("one"),
        Span::child(2, 1)
            .service("a")
            .name("two")
            .kind(SpanKind::Client),
        Span::child(3, 1).service("a").name("two"),
        Span::child(4, 1).service("a").name("two"),
    ];
    write(
        store,
        vec![part(trace(1), &spans[..2]), part(trace(2), &spans[2..])],
    )
    .await;
    let counted = Part {
        outcome: Outcome::CountOnly,
        ..part(trace(3), &[Span::root(1).service("c").name("counted")])
    };
    write(store, vec![counted]).await;
    let interface = |service: &str, kind, name: &str| Interface {
        service: service.to_owned(),
        kind,
        name: name.to_owned(),
    };
    let expected = [
        interface("a", SpanKind::Server, "two"),
        interface("a", SpanKind::Client, "two"),
        interface("b", SpanKind::Server, "one"),
        interface("c", SpanKind::Server, "counted"),
    ];
    let found = store
        .interfaces(NOW - HOUR, NOW + HOUR, 10)
        .await
        .expect("the store can be read");
    assert_eq!(found, expected);
    let found = store
        .interfaces(NOW - HOUR, NOW + HOUR, 2)
        .await
        .expect("the store can be read");
    assert_eq!(found, expected[..2]);
    let found = store
        .interfaces(0, NOW - 5 * DAY, 10)
        .await
        .expect("the store can be read");
    assert_eq!(found, []);
}

/// Keys of spans, resources and exceptions, by name, at most as many as asked for.
pub async fn keys_in_use_are_listed(store: &dyn Store) {
    let spans = [
        Span::root(1)
            .with("b", 1)
            .with("a", "x")
            .resource("host.name", "n1"),
        Span::child(2, 1).with("c", true).exception("E", "m"),
    ];
    write(store, vec![part(trace(1), &spans[..1])]).await;
    write(store, vec![part(trace(2), &spans[1..])]).await;
    let mut expected = BTreeSet::new();
    collect_keys(&set(trace(1), &spans), &mut expected);
    let expected: Vec<String> = expected.into_iter().collect();
    assert_eq!(expected.len(), 7);
    assert_eq!(
        store.keys(100).await.expect("the store can be read"),
        expected
    );
    assert_eq!(
        store.keys(3).await.expect("the store can be read"),
        expected[..3]
    );
}

/// The books are the sum of what every write said.
pub async fn books_add_up_over_everything_written(store: &dyn Store) {
    assert_eq!(books(store).await, Books::default());
    let mut sum = Books::default();
    for round in 0..4 {
        let parts = (1..=5).map(|n| Part {
            outcome: if n == 5 {
                Outcome::CountOnly
            } else {
                Outcome::Keep
            },
            duplicates: 2,
            capped: 1,
            ..part(trace(n), &[Span::root(1), Span::child(2 + round / 2, 1)])
        });
        let written = write(store, parts.collect()).await;
        sum.stored += written.stored;
        sum.duplicate += written.duplicate;
        sum.left_out += written.left_out;
    }
    assert_eq!(books(store).await, sum);
    // Sent: 20 parts of 2 spans, 2 duplicates and 1 over the cap.
    assert_eq!(sum.total(), 20 * 5);
    assert_eq!(sum.stored, 4 * 3);
}
