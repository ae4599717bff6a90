//! Filters that are merged in the background answer as before.

use super::build::{Span, part, span_id, trace};
use super::{NOW, found, search, write};
use crate::filter::merged::SEGMENTS;
use crate::{HopExpr, HopTest, Range, RequestExpr, RequestTest, Store, TextMatch, ValueMatch};
use hoplog_model::TraceId;

/// Batches: four groups of segments, the last of which is not merged yet, and a few over.
const BATCHES: u64 = 4 * SEGMENTS.unsigned_abs() + 7;

async fn fill(store: &dyn Store) {
    for n in 1..=BATCHES {
        let mut span = Span::root(n)
            .at(NOW + n * 1_000, 10)
            .with("order", format!("o-{n}").as_str())
            .with("size", n.cast_signed())
            .with("ratio", 0.1)
            .resource("region", "eu");
        if n % 100 == 0 {
            span = span.with("rare", "once in a while");
        }
        write(store, vec![part(trace(n), &[span])]).await;
    }
}

fn hop(test: HopTest) -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(test))
}

fn is(key: &str, value: ValueMatch) -> RequestExpr {
    let keys = vec![key.to_owned()];
    hop(HopTest::Attribute { keys, value })
}

fn text(text: &str) -> ValueMatch {
    ValueMatch::Text(TextMatch::Is(text.to_owned()))
}

fn number(least: Option<f64>, greatest: Option<f64>) -> ValueMatch {
    ValueMatch::Number {
        range: Range { least, greatest },
        least_open: false,
        greatest_open: false,
    }
}

/// Requests by number, newest first.
fn requests(numbers: impl DoubleEndedIterator<Item = u64>) -> Vec<TraceId> {
    numbers.rev().map(trace).collect()
}

async fn ask(store: &dyn Store) {
    let hundreds = || requests((1..=BATCHES).filter(|n| n % 100 == 0));
    let questions = [
        (is("order", text("o-300")), requests(300..=300)),
        (is("order", text("o-0")), Vec::new()),
        (is("nowhere", text("o-300")), Vec::new()),
        (is("rare", text("once in a while")), hundreds()),
        (is("rare", ValueMatch::Present), hundreds()),
        (
            is("size", number(Some(250.0), Some(260.0))),
            requests(250..=260),
        ),
        (
            is("size", number(Some(77.0), Some(77.0))),
            requests(77..=77),
        ),
        (
            is("ratio", number(Some(0.1), Some(0.1))),
            requests(1..=BATCHES),
        ),
        (is("ratio", number(Some(0.2), None)), Vec::new()),
        (is("region", text("eu")), requests(1..=BATCHES)),
        (hop(HopTest::SpanId(span_id(9))), requests(9..=9)),
        (
            RequestExpr::Is(RequestTest::Trace(trace(400))),
            requests(400..=400),
        ),
        (
            RequestExpr::And(vec![
                is("rare", text("once in a while")),
                is("order", text("o-200")),
            ]),
            requests(200..=200),
        ),
        (
            RequestExpr::Or(vec![is("order", text("o-3")), is("order", text("o-500"))]),
            requests([3, 500].into_iter()),
        ),
        (
            RequestExpr::And(vec![
                RequestExpr::Not(Box::new(is("rare", ValueMatch::Present))),
                is("size", number(Some(98.0), Some(101.0))),
            ]),
            requests([98, 99, 101].into_iter()),
        ),
    ];
    for (expr, expected) in questions {
        assert_eq!(
            found(store, &search(expr.clone())).await,
            expected,
            "{expr:?}"
        );
    }
}

async fn assert_sound(store: &dyn Store) {
    let report = store
        .check(&|_, _| ())
        .await
        .expect("the store can be read");
    assert_eq!(report.differences, []);
}

/// `merge` merges each complete group once and changes no answer, for a row that moves later either.
pub async fn merging_changes_no_answer(store: &dyn Store) {
    fill(store).await;
    ask(store).await;
    let mut merged = 0;
    while store.merge().await.expect("filters can be merged") {
        merged += 1;
        ask(store).await;
    }
    // The memory store has none to merge; segments may be numbered from 0 or 1.
    assert!([0, 3].contains(&merged), "{merged} groups");
    assert_sound(store).await;
    while store.give_back().await.expect("space can be given back") {}
    ask(store).await;
    assert_sound(store).await;
    let later = Span::child(1_000, 300)
        .at(NOW + 300_001, 1)
        .with("order", "o-later");
    write(store, vec![part(trace(300), &[later])]).await;
    ask(store).await;
    let moved = is("order", text("o-later"));
    assert_eq!(found(store, &search(moved)).await, [trace(300)]);
    assert_sound(store).await;
}
