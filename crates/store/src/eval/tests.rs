//! Each test of a span and of a request, by example.

use super::*;
use crate::TextMatch;
use crate::conformance::build::{Attribute, Span, set, trace};
use crate::summarize;
use proptest::prelude::*;

fn is_true(expr: &RequestExpr, spans: &[Span]) -> bool {
    let spans = set(trace(1), spans);
    matches(expr, &summarize(trace(1), &spans), &spans)
}

fn number_of(value: impl Into<Attribute>) -> Option<f64> {
    let spans = set(trace(1), &[Span::root(1).with("k", value)]);
    let span = spans.get(0).unwrap();
    number(&span.attribute("k").unwrap())
}

#[test]
fn what_counts_as_a_number() {
    assert_eq!(number_of(7), Some(7.0));
    assert_eq!(number_of(f64::INFINITY), Some(f64::INFINITY));
    assert_eq!(number_of("7.5e1"), Some(75.0));
    for text in ["", "7 ", "0x7", "inf", "NaN", "infinity", "1e999"] {
        assert_eq!(number_of(text), None, "{text:?}");
    }
    assert_eq!(number_of(true), None);
}

#[test]
fn bounds_are_open_or_closed_each_on_its_own() {
    let spans = set(trace(1), &[Span::root(1).with("k", 7)]);
    let value = spans.get(0).unwrap().attribute("k").unwrap();
    for (least_open, greatest_open, expected) in [
        (false, false, true),
        (true, false, false),
        (false, true, false),
        (true, true, false),
    ] {
        let range = Range {
            least: Some(7.0),
            greatest: Some(7.0),
        };
        let test = ValueMatch::Number {
            range,
            least_open,
            greatest_open,
        };
        assert_eq!(test.matches(&value), expected, "{test:?}");
    }
}

#[test]
fn a_value_on_the_span_does_not_hide_the_resources() {
    let span = Span::root(1)
        .with("host.name", "a")
        .resource("host.name", "b");
    for (value, expected) in [("a", true), ("b", true), ("c", false)] {
        let test = HopTest::Attribute {
            keys: vec!["host.name".to_owned()],
            value: ValueMatch::Text(TextMatch::Is(value.to_owned())),
        };
        let expr = RequestExpr::Hop(HopExpr::Is(test));
        assert_eq!(
            is_true(&expr, std::slice::from_ref(&span)),
            expected,
            "{value}"
        );
    }
}

proptest! {
    /// Counting covered instants one by one gives the same.
    #[test]
    fn own_time_is_what_no_child_covers(
        parent in (0_u64..20, 0_u64..20),
        children in prop::collection::vec((0_u64..30, 0_u64..15), 0..6),
    ) {
        let mut spans = vec![Span::root(1).at(parent.0, parent.1)];
        spans.extend(children.iter().zip(2..).map(|((start, duration), id)| {
            Span::child(id, 1).at(*start, *duration)
        }));
        let is_covered = |at: u64| {
            children.iter().any(|(start, duration)| (*start..start + duration).contains(&at))
        };
        let plainly = (parent.0..parent.0 + parent.1).filter(|at| !is_covered(*at)).count();
        prop_assert_eq!(own_time::own_times(&set(trace(1), &spans))[0], plainly as u64);
    }
}
