//! Rows: what a batch makes of its parts, alone and on top of what is there.

use super::build::{Span, content, part, set, span_id, trace, trace_v7};
use super::{NOW, all_pages, found, read, search, write};
use crate::{
    HopExpr, HopTest, RequestExpr, Sort, StatsQuery, Store, TextMatch, ValueMatch, Written,
    summarize,
};
use hoplog_model::times::{DAY, HOUR, SECOND};
use hoplog_model::{FirstError, Flags, Interface, SpanKind, SpanStatus, Summary};

/// A checkout of five spans in three services; the payment fails.
fn checkout() -> Vec<Span> {
    vec![
        Span::root(1)
            .name("POST /orders")
            .service("gateway")
            .at(NOW - 5 * SECOND, 90_000_000)
            .with("http.response.status_code", 502)
            .failed(""),
        Span::child(2, 1)
            .name("orders")
            .service("gateway")
            .kind(SpanKind::Client)
            .at(NOW - 5 * SECOND + 1_000_000, 80_000_000)
            .failed(""),
        Span::child(3, 2)
            .name("place")
            .service("orders")
            .at(NOW - 5 * SECOND + 2_000_000, 70_000_000)
            .failed(""),
        Span::child(4, 3)
            .name("pay")
            .service("payments")
            .at(NOW - 5 * SECOND + 3_000_000, 60_000_000)
            .failed("declined")
            .exception("CardError", "card declined"),
        Span::child(5, 3)
            .name("INSERT orders")
            .service("orders")
            .kind(SpanKind::Internal)
            .at(NOW - 5 * SECOND + 4_000_000, 95_000_000),
    ]
}

fn without_late_part(mut summary: Summary) -> Summary {
    summary.flags = summary.flags.without(Flags::LATE_PART);
    summary
}

/// A request is in every answer when `write` returns.
pub async fn a_request_is_read_as_soon_as_it_is_written(store: &dyn Store) {
    let written = write(store, vec![part(trace(1), &checkout())]).await;
    assert_eq!(
        written,
        Written {
            stored: 5,
            ..Written::default()
        }
    );
    let expected = Summary {
        trace_id: trace(1),
        started_at: NOW - 5 * SECOND,
        duration: 90_000_000,
        extent: 99_000_000,
        root: Some(span_id(1)),
        interface: Interface {
            service: "gateway".to_owned(),
            kind: SpanKind::Server,
            name: "POST /orders".to_owned(),
        },
        status: SpanStatus::Error,
        code: Some("502".to_owned()),
        span_count: 5,
        hop_count: 3,
        service_count: 3,
        error_count: 4,
        capped_spans: 0,
        first_error: Some(FirstError {
            service: "payments".to_owned(),
            name: "pay".to_owned(),
            kind: "CardError".to_owned(),
            message: "card declined".to_owned(),
        }),
        flags: Flags::default(),
    };
    let row = read(store, trace(1)).await;
    assert_eq!(row.summary, expected);
    assert_eq!(content(&row.spans), content(&set(trace(1), &checkout())));
    let hits = all_pages(store, &search(RequestExpr::everything())).await;
    assert_eq!(hits, [expected]);
}

/// Not found is `None`.
pub async fn an_unknown_request_is_not_found(store: &dyn Store) {
    assert!(
        store
            .get(&trace(1))
            .await
            .expect("the store can be read")
            .is_none()
    );
    write(store, vec![part(trace(1), &checkout())]).await;
    assert!(
        store
            .get(&trace(2))
            .await
            .expect("the store can be read")
            .is_none()
    );
}

/// Writing nothing writes nothing.
pub async fn an_empty_batch_changes_nothing(store: &dyn Store) {
    assert_eq!(write(store, Vec::new()).await, Written::default());
    assert!(
        found(store, &search(RequestExpr::everything()))
            .await
            .is_empty()
    );
}

/// A batch has up to 512 parts.
pub async fn a_full_batch_is_taken(store: &dyn Store) {
    let parts = (1..=512).map(|n| part(trace(n), &checkout()));
    let written = write(store, parts.collect()).await;
    assert_eq!(written.stored, 512 * 5);
    assert_eq!(
        found(store, &search(RequestExpr::everything())).await.len(),
        512
    );
}

/// Parts in any order, alone or with others in their batch, give the row of all spans at once.
pub async fn parts_in_any_order_give_the_row_of_all_at_once(store: &dyn Store) {
    let spans = checkout();
    let orders: [[&[Span]; 3]; 4] = [
        [&spans[..1], &spans[1..4], &spans[4..]],
        [&spans[4..], &spans[1..4], &spans[..1]],
        [&spans[1..4], &spans[..1], &spans[4..]],
        // Parts overlap: each brings a span that was there.
        [&spans[..3], &spans[2..], &spans[1..4]],
    ];
    for round in 0..3 {
        let ids = (1..).map(trace);
        let parts = orders
            .iter()
            .zip(ids)
            .map(|(order, id)| part(id, order[round]));
        write(store, parts.collect()).await;
    }
    for n in 1..=4 {
        let row = read(store, trace(n)).await;
        let whole = set(trace(n), &spans);
        assert_eq!(content(&row.spans), content(&whole), "request {n}");
        assert!(row.summary.flags.contains(Flags::LATE_PART), "request {n}");
        let summary = without_late_part(row.summary.clone());
        assert_eq!(summary, summarize(trace(n), &whole), "request {n}");
        let by_id = search(RequestExpr::Is(crate::RequestTest::Trace(trace(n))));
        assert_eq!(all_pages(store, &by_id).await, [row.summary]);
    }
}

/// `write` is idempotent on the spans: what is there already is a duplicate.
pub async fn a_part_sent_again_changes_nothing(store: &dyn Store) {
    write(store, vec![part(trace(1), &checkout())]).await;
    let before = read(store, trace(1)).await.summary;
    let mut again = part(trace(1), &checkout()[1..]);
    again.duplicates = 3;
    let written = write(store, vec![again]).await;
    assert_eq!(
        written,
        Written {
            duplicate: 7,
            merged_rows: 1,
            ..Written::default()
        }
    );
    let row = read(store, trace(1)).await;
    assert_eq!(row.summary, before);
    assert_eq!(row.spans.len(), 5);
    let stats = store
        .stats(&StatsQuery {
            to: 2 * NOW,
            ..StatsQuery::default()
        })
        .await;
    let stats = stats.expect("the store can be read");
    assert_eq!(stats.iter().map(|row| row.count).sum::<u64>(), 5);
}

/// An unfinished record gives way to its end, whichever came first; what gave way is a duplicate.
pub async fn of_two_spans_with_one_id_the_later_end_stays(store: &dyn Store) {
    let unfinished = Span::root(1).at(NOW, 0).with("stage", "begun");
    let finished = Span::root(1).at(NOW, 3_000).with("stage", "done");
    for (n, order) in [(1, [&unfinished, &finished]), (2, [&finished, &unfinished])] {
        write(store, vec![part(trace(n), std::slice::from_ref(order[0]))]).await;
        let written = write(store, vec![part(trace(n), std::slice::from_ref(order[1]))]).await;
        assert_eq!(
            written,
            Written {
                duplicate: 1,
                merged_rows: 1,
                ..Written::default()
            }
        );
        let row = read(store, trace(n)).await;
        assert_eq!((row.summary.span_count, row.summary.duration), (1, 3_000));
        assert!(
            row.summary.flags.contains(Flags::CONFLICT),
            "{:?}",
            row.summary.flags
        );
        let expected = set(trace(n), std::slice::from_ref(&finished));
        assert_eq!(content(&row.spans), content(&expected));
    }
    let stage = |value: &str| {
        search(RequestExpr::Hop(HopExpr::Is(HopTest::Attribute {
            keys: vec!["stage".to_owned()],
            value: ValueMatch::Text(TextMatch::Is(value.to_owned())),
        })))
    };
    assert_eq!(found(store, &stage("begun")).await, []);
    assert_eq!(found(store, &stage("done")).await.len(), 2);
}

/// A request that has no root yet, or none ever, is a row, and says so.
pub async fn a_request_without_root_says_so_until_it_comes(store: &dyn Store) {
    let spans = checkout();
    write(store, vec![part(trace(1), &spans[2..])]).await;
    let row = read(store, trace(1)).await.summary;
    assert!(
        row.flags.contains(Flags::NO_ROOT.with(Flags::ORPHANS)),
        "{:?}",
        row.flags
    );
    assert_eq!((row.root, row.interface.name.as_str()), (None, "place"));
    assert_eq!((row.duration, row.extent), (97_000_000, 97_000_000));
    assert_eq!((row.status, row.code), (SpanStatus::Error, None));
    write(store, vec![part(trace(1), &spans[..2])]).await;
    let row = read(store, trace(1)).await.summary;
    assert_eq!(
        without_late_part(row),
        summarize(trace(1), &set(trace(1), &spans))
    );
}

/// A start more than a day off the time of receipt does not decide where a request is filed.
pub async fn a_far_off_start_is_filed_by_the_time_of_receipt(store: &dyn Store) {
    let past = Span::root(1).at(1, 500);
    let future = Span::root(1).at(NOW + 400 * DAY, 500);
    let near = Span::root(1).at(NOW - 23 * HOUR, 500);
    let spans = [past, future, near];
    let parts = spans
        .iter()
        .zip(1..)
        .map(|(span, n)| part(trace(n), std::slice::from_ref(span)));
    write(store, parts.collect()).await;
    for (n, started_at) in [(1, NOW), (2, NOW), (3, NOW - 23 * HOUR)] {
        let row = read(store, trace(n)).await;
        assert_eq!(row.summary.started_at, started_at, "request {n}");
        let is_clamped = row.summary.flags.contains(Flags::CLAMPED_TIME);
        assert_eq!(is_clamped, started_at == NOW, "request {n}");
        assert_eq!(
            row.spans.get(0).expect("one span").head.start,
            spans[n as usize - 1].start
        );
    }
    let mut today = search(RequestExpr::everything());
    (today.from, today.to) = (NOW, NOW + 1);
    assert_eq!(found(store, &today).await.len(), 2);
    // The row stays where it was filed, also when a span with a credible start comes.
    write(
        store,
        vec![part(trace(2), &[Span::child(2, 1).at(NOW - HOUR, 5)])],
    )
    .await;
    let row = read(store, trace(2)).await;
    assert_eq!((row.summary.started_at, row.spans.len()), (NOW, 2));
    assert!(row.summary.flags.contains(Flags::CLAMPED_TIME));
    // Nor does a later part move a row by more than a day.
    write(
        store,
        vec![part(trace(3), &[Span::child(2, 1).at(NOW - 48 * HOUR, 5)])],
    )
    .await;
    let row = read(store, trace(3)).await;
    assert_eq!(
        (row.summary.started_at, row.spans.len()),
        (NOW - 23 * HOUR, 2)
    );
    assert!(row.summary.flags.contains(Flags::CLAMPED_TIME));
}

/// A request over midnight is one row, in whatever order its parts come.
pub async fn a_later_part_finds_its_row_over_midnight(store: &dyn Store) {
    let midnight = NOW - NOW % DAY;
    let before = Span::root(1).at(midnight - SECOND, 2 * SECOND);
    let after = Span::child(2, 1).at(midnight + SECOND, 100);
    let others = || (100..103).map(|n| part(trace(n), &checkout())).collect();
    for (n, order) in [(1, [&before, &after]), (2, [&after, &before])] {
        write(store, vec![part(trace(n), std::slice::from_ref(order[0]))]).await;
        write(store, others()).await;
        write(store, vec![part(trace(n), std::slice::from_ref(order[1]))]).await;
        let row = read(store, trace(n)).await;
        assert_eq!(
            (row.summary.span_count, row.summary.started_at),
            (2, midnight - SECOND)
        );
    }
    for sort in [Sort::Newest, Sort::Slowest] {
        let mut yesterday = search(RequestExpr::everything());
        (yesterday.to, yesterday.sort) = (midnight, sort);
        assert_eq!(
            found(store, &yesterday).await,
            [trace(2).max(trace(1)), trace(1).min(trace(2))]
        );
    }
}

/// Ids that tell the time give the same rows as those that do not, also where they lie.
pub async fn a_time_ordered_id_changes_nothing(store: &dyn Store) {
    let spans = checkout();
    let honest = trace_v7(NOW - 5 * SECOND, 1);
    let lying = trace_v7(NOW - 3 * DAY, 2);
    for id in [honest, lying] {
        write(store, vec![part(id, &spans[3..])]).await;
        write(store, vec![part(id, &spans[..3])]).await;
        let row = read(store, id).await;
        assert_eq!(
            without_late_part(row.summary),
            summarize(id, &set(id, &spans))
        );
    }
    assert_eq!(
        found(store, &search(RequestExpr::everything())).await,
        [honest, lying]
    );
}

/// Text that does not compress well.
pub fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let letters = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 94).expect("below 94"))
    });
    letters.take(len).collect()
}

/// A request that keeps growing far beyond what is packed as one frame is one row, exact after every part.
pub async fn a_row_may_be_large(store: &dyn Store) {
    let spans: Vec<Span> = (1..=150)
        .map(|n| {
            let span = if n == 1 {
                Span::root(1)
            } else {
                Span::child(n, 1)
            };
            span.at(NOW + n, 1_000 - n)
                .with("n", n.cast_signed())
                .with("noise", noise(n, 4_000).as_str())
        })
        .collect();
    for (round, some) in spans.chunks(30).enumerate() {
        write(
            store,
            vec![
                part(trace(1), some),
                part(trace(10 + round as u64), &checkout()),
            ],
        )
        .await;
        let so_far = &spans[..(round + 1) * 30];
        let row = read(store, trace(1)).await;
        let whole = set(trace(1), so_far);
        assert_eq!(content(&row.spans), content(&whole));
        assert_eq!(without_late_part(row.summary), summarize(trace(1), &whole));
    }
    let again = write(store, vec![part(trace(1), &spans[20..100])]).await;
    assert_eq!((again.stored, again.duplicate), (0, 80));
    // One span, which lies in a frame of its own by now, gives way to its end.
    let longer = spans[40].clone().at(NOW + 41, 5_000);
    let replaced = write(store, vec![part(trace(1), std::slice::from_ref(&longer))]).await;
    assert_eq!((replaced.stored, replaced.duplicate), (0, 1));
    let mut spans = spans;
    spans[40] = longer;
    let row = read(store, trace(1)).await;
    assert_eq!(content(&row.spans), content(&set(trace(1), &spans)));
    for n in [1, 41, 150] {
        let by_number = RequestExpr::Hop(HopExpr::Is(HopTest::Attribute {
            keys: vec!["n".to_owned()],
            value: ValueMatch::Text(TextMatch::Is(n.to_string())),
        }));
        assert_eq!(
            found(store, &search(by_number)).await,
            [trace(1)],
            "span {n}"
        );
    }
}

/// `stored` names those that have a row and no other.
pub async fn stored_tells_which_requests_have_a_row(store: &dyn Store) {
    let parts = (1..=600)
        .step_by(2)
        .map(|n| part(trace(n), &[Span::root(1).at(NOW - n % 3 * DAY, 5)]));
    write(store, parts.collect()).await;
    let ids: Vec<_> = (1..=600).map(trace).collect();
    let stored = store.stored(&ids).await.expect("the store can be read");
    let expected = (1..=600).step_by(2).map(trace).collect();
    assert_eq!(stored, expected);
    assert!(
        store
            .stored(&[])
            .await
            .expect("the store can be read")
            .is_empty()
    );
}
