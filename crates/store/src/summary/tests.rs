//! The rules of the summary, one by one.

use super::*;
use crate::conformance::build::{Span, set, span_id, trace};
use proptest::prelude::*;
use proptest::sample::select;

fn of(spans: &[Span]) -> Summary {
    summarize(trace(1), &set(trace(1), spans))
}

#[test]
fn without_spans_there_is_no_root_and_nothing_else() {
    let summary = of(&[]);
    assert_eq!(summary.flags, Flags::NO_ROOT);
    assert_eq!(
        (summary.started_at, summary.extent, summary.span_count),
        (0, 0, 0)
    );
    assert_eq!(summary.interface, Interface::default());
}

#[test]
fn of_several_roots_the_earliest_counts_then_the_smallest_id() {
    let spans = [
        Span::root(3).at(20, 5).name("late"),
        Span::root(2).at(10, 5).name("second"),
        Span::root(1)
            .at(10, 7)
            .name("first")
            .kind(hoplog_model::SpanKind::Client),
        Span::child(4, 1).at(5, 1).name("early child"),
    ];
    let summary = of(&spans);
    assert_eq!((summary.root, summary.duration), (Some(span_id(1)), 7));
    assert_eq!((summary.started_at, summary.extent), (5, 20));
    assert_eq!(summary.interface.name, "first");
    // Three of kind server, and the root although it is a client.
    assert_eq!((summary.hop_count, summary.span_count), (4, 4));
    assert_eq!(summary.flags, Flags::default());
}

#[test]
fn an_end_before_the_start_counts_as_the_start() {
    let mut spans = SpanSet::new();
    let whole = set(trace(1), &[Span::root(1).at(100, 0)]);
    let span = whole.get(0).unwrap();
    spans.push(
        span.group,
        SpanHead {
            end: 40,
            ..*span.head
        },
        span.raw,
    );
    let summary = summarize(trace(1), &spans);
    assert_eq!(
        (summary.duration, summary.extent, summary.started_at),
        (0, 0, 100)
    );
}

#[test]
fn the_better_code_wins_and_only_the_roots_counts() {
    let code = |spans: &[Span]| of(spans).code;
    let root = Span::root(1).with("rpc.grpc.status_code", 14);
    assert_eq!(code(std::slice::from_ref(&root)).as_deref(), Some("14"));
    let root = root.with("http.status_code", 500);
    assert_eq!(code(std::slice::from_ref(&root)).as_deref(), Some("500"));
    let root = root.with("http.response.status_code", "502");
    assert_eq!(code(&[root]).as_deref(), Some("502"));
    let child = Span::child(2, 1).with("http.response.status_code", 404);
    assert_eq!(code(&[Span::root(1), child]), None);
}

#[test]
fn the_first_error_is_the_earliest_that_no_child_explains() {
    let spans = [
        Span::root(1).at(0, 9).failed("root"),
        Span::child(2, 1).at(1, 3).failed("explained"),
        Span::child(3, 2).at(5, 1).failed("later"),
        Span::child(4, 2)
            .at(2, 1)
            .failed("status")
            .name("deep")
            .service("bank"),
    ];
    let first = of(&spans).first_error.unwrap();
    assert_eq!(
        (first.service.as_str(), first.name.as_str()),
        ("bank", "deep")
    );
    assert_eq!(
        (first.kind.as_str(), first.message.as_str()),
        ("", "status")
    );
}

#[test]
fn an_error_is_told_by_its_exception_then_by_its_attributes() {
    let told = |span: Span| {
        let first = of(&[span]).first_error.unwrap();
        (first.kind, first.message)
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let span = Span::root(1).failed("said").with("error.type", "timeout");
    assert_eq!(told(span.clone()), pair("timeout", "said"));
    let span = span.exception("E1", "first").exception("E2", "second");
    assert_eq!(told(span), pair("E1", "first"));
}

#[test]
fn failed_spans_in_a_circle_have_a_first_error_all_the_same() {
    let spans = [
        Span::child(1, 2).at(5, 1).failed(""),
        Span::child(2, 1).at(3, 1).failed("here"),
    ];
    assert_eq!(of(&spans).first_error.unwrap().message, "here");
}

#[test]
fn a_filed_row_keeps_its_clamped_start() {
    let clamped = Filed::first(5, 9 * DAY, 0);
    assert_eq!(
        clamped,
        Filed {
            started_at: 9 * DAY,
            flags: Flags::CLAMPED_TIME,
            capped_spans: 0
        }
    );
    assert_eq!(Filed::first(8 * DAY, 9 * DAY, 0).flags, Flags::default());
    let nothing_new = Absorbed {
        duplicates: 4,
        ..Absorbed::default()
    };
    assert_eq!(clamped.later(3, &nothing_new, 0), clamped);
    let new = Absorbed {
        added: vec![1],
        ..Absorbed::default()
    };
    let later = clamped.later(8 * DAY, &new, 2);
    assert_eq!((later.started_at, later.capped_spans), (9 * DAY, 2));
    let expected = Flags::CLAMPED_TIME
        .with(Flags::LATE_PART)
        .with(Flags::CAPPED);
    assert_eq!(later.flags, expected);
    let mut summary = of(&[Span::root(1)]);
    later.apply(&mut summary);
    assert_eq!(Filed::of(&summary), later);
}

proptest! {
    #[test]
    fn the_order_of_spans_does_not_matter(
        parents in prop::collection::vec((prop::option::of(1_u64..9), 0_u64..4, 0_u64..4, select(vec![0_u64, 1, 2])), 1..8),
        seed in any::<u64>(),
    ) {
        let mut spans: Vec<Span> = parents.iter().zip(1..).map(|((parent, start, duration, status), id)| {
            let span = Span { parent: *parent, ..Span::root(id) };
            span.at(*start, *duration).name(&id.to_string()).service(&(id % 3).to_string())
                .status(SpanStatus::from_wire(*status))
        }).collect();
        let expected = of(&spans);
        spans.sort_by_key(|span| (span.id ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        prop_assert_eq!(of(&spans), expected);
    }
}
