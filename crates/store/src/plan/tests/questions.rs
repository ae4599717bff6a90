//! Requests and questions of few words, so that they meet.

use crate::conformance::NOW;
use crate::conformance::build::{Attribute, Span, span_id, trace};
use crate::segment::{OTHER, SPAN_ID};
use crate::{HopExpr, HopTest, Range, RequestExpr, RequestTest, TextMatch, ValueMatch};
use hoplog_model::{SpanKind, SpanStatus};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: [&str; 8] = [
    "k",
    "db.query.summary",
    "db.query.text",
    "n",
    "http.response.status_code",
    "exception.type",
    SPAN_ID,
    OTHER,
];
const TEXTS: [&str; 10] = ["", "5", "500", "5e2", "x", "y", "a", "ü", OTHER, "inf"];

fn kind() -> impl Strategy<Value = SpanKind> {
    select(SpanKind::ALL.to_vec())
}

fn status() -> impl Strategy<Value = SpanStatus> {
    prop_oneof![4 => Just(SpanStatus::Unset), 1 => Just(SpanStatus::Ok), 2 => Just(SpanStatus::Error)]
}

fn attribute() -> impl Strategy<Value = (String, Attribute)> {
    let value = prop_oneof![
        select(TEXTS.to_vec()).prop_map(Attribute::from),
        select(vec![5_i64, 500, -3, i64::MAX, (1 << 53) + 1]).prop_map(Attribute::from),
        select(vec![0.5, 500.0, -0.0, f64::NAN, f64::INFINITY]).prop_map(Attribute::from),
        any::<bool>().prop_map(Attribute::from),
    ];
    (select(KEYS.to_vec()).prop_map(ToOwned::to_owned), value)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[xy]",
        1 => Just(OTHER.to_owned()),
        1 => Just("x".repeat(600)),
    ]
}

fn span() -> impl Strategy<Value = Span> {
    let figures = (0..40_u64, 0..12_u64, kind(), status());
    let said = (
        vec(attribute(), 0..4),
        vec(attribute(), 0..2),
        vec("[a5]", 0..2),
    );
    ("[abc]", name(), figures, said).prop_map(|(service, name, figures, said)| {
        let (start, duration, kind, status) = figures;
        let (attributes, resource, exceptions) = said;
        let span = Span::root(1)
            .service(&service)
            .name(&name)
            .kind(kind)
            .status(status);
        let exceptions = exceptions.into_iter().map(|kind| (kind, "x".to_owned()));
        Span {
            attributes,
            resource,
            exceptions: exceptions.collect(),
            ..span.at(NOW + start, duration)
        }
    })
}

/// Spans that get their ids with their request's number.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    spans: Vec<Span>,
    has_root: bool,
}

impl Spans {
    /// The spans of the n-th request, at most 10.
    pub(crate) fn of(&self, n: u64) -> Vec<Span> {
        let first = n * 10;
        let ids = first..;
        let placed = ids.zip(&self.spans).map(|(id, span)| {
            let is_root = self.has_root && id == first;
            Span {
                id,
                parent: (!is_root).then_some(first),
                ..span.clone()
            }
        });
        placed.collect()
    }
}

/// Spans of a request, mostly with a root.
pub(crate) fn spans() -> impl Strategy<Value = Spans> {
    let all = (vec(span(), 1..5), prop::bool::weighted(0.8));
    all.prop_map(|(spans, has_root)| Spans { spans, has_root })
}

fn text() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        4 => select(TEXTS.to_vec()).prop_map(|text| TextMatch::Is(text.to_owned())),
        1 => select(vec!["*", "?", "5*", "x", "500"]).prop_map(|text| TextMatch::Glob(text.to_owned())),
        1 => select(vec!["", "0", "X"]).prop_map(|text| TextMatch::Contains(text.to_owned())),
        2 => "[abc]".prop_map(TextMatch::Is),
    ]
}

fn range(top: u64) -> impl Strategy<Value = Range<u64>> {
    let bound = || prop::option::of(0..top);
    (bound(), bound()).prop_map(|(least, greatest)| Range { least, greatest })
}

fn value() -> impl Strategy<Value = ValueMatch> {
    let numbers = vec![
        0.0,
        -0.0,
        5.0,
        500.0,
        0.4,
        f64::INFINITY,
        9_007_199_254_740_992.0,
    ];
    let bound = move || prop::option::of(select(numbers.clone()));
    let range =
        (bound.clone()(), bound(), any::<bool>()).prop_map(|(least, greatest, same)| Range {
            least,
            greatest: if same { least } else { greatest },
        });
    prop_oneof![
        Just(ValueMatch::Present),
        text().prop_map(ValueMatch::Text),
        (range, any::<bool>(), any::<bool>()).prop_map(|(range, least_open, greatest_open)| {
            ValueMatch::Number {
                range,
                least_open,
                greatest_open,
            }
        }),
    ]
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    vec(
        select(vec![
            "k",
            "n",
            "absent",
            "http.response.status_code",
            "exception.type",
            SPAN_ID,
            OTHER,
        ])
        .prop_map(ToOwned::to_owned),
        1..3,
    )
}

fn hop_test() -> impl Strategy<Value = HopTest> {
    prop_oneof![
        3 => text().prop_map(HopTest::Service),
        3 => text().prop_map(HopTest::Name),
        1 => kind().prop_map(HopTest::Kind),
        2 => status().prop_map(HopTest::Status),
        2 => range(12).prop_map(HopTest::Duration),
        1 => range(12).prop_map(HopTest::SelfTime),
        3 => (keys(), value()).prop_map(|(keys, value)| HopTest::Attribute { keys, value }),
        1 => text().prop_map(HopTest::Exception),
        2 => text().prop_map(HopTest::Statement),
        1 => Just(HopTest::Statement(TextMatch::Is("?".to_owned()))),
        1 => select(TEXTS.to_vec()).prop_map(|text| HopTest::Text(text.to_owned())),
        1 => (1..100_u64).prop_map(|n| HopTest::SpanId(span_id(n))),
    ]
}

fn hop_expr() -> impl Strategy<Value = HopExpr> {
    hop_test()
        .prop_map(HopExpr::Is)
        .prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                2 => vec(inner.clone(), 0..4).prop_map(HopExpr::And),
                1 => vec(inner.clone(), 0..4).prop_map(HopExpr::Or),
                1 => inner.prop_map(|expr| HopExpr::Not(Box::new(expr))),
            ]
        })
}

fn instants() -> impl Strategy<Value = Range<u64>> {
    range(60).prop_map(|Range { least, greatest }| Range {
        least: least.map(|n| NOW + n),
        greatest: greatest.map(|n| NOW + n),
    })
}

fn request_test() -> impl Strategy<Value = RequestTest> {
    prop_oneof![
        (1..10_u64).prop_map(|n| RequestTest::Trace(trace(n))),
        text().prop_map(RequestTest::Entry),
        text().prop_map(RequestTest::Name),
        status().prop_map(RequestTest::Status),
        text().prop_map(RequestTest::Code),
        range(60).prop_map(RequestTest::Duration),
        instants().prop_map(RequestTest::Started),
        instants().prop_map(RequestTest::Ended),
        range(5).prop_map(RequestTest::Hops),
        range(5).prop_map(RequestTest::Spans),
        range(5).prop_map(RequestTest::Errors),
        (keys(), value()).prop_map(|(keys, value)| RequestTest::RootAttribute { keys, value }),
    ]
}

/// Any question.
pub(crate) fn request_expr() -> impl Strategy<Value = RequestExpr> {
    let leaf = prop_oneof![
        2 => request_test().prop_map(RequestExpr::Is),
        3 => hop_expr().prop_map(RequestExpr::Hop),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 0..4).prop_map(RequestExpr::And),
            1 => vec(inner.clone(), 0..4).prop_map(RequestExpr::Or),
            1 => inner.prop_map(|expr| RequestExpr::Not(Box::new(expr))),
        ]
    })
}
