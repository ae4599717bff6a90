//! Generated operations, on the store under test and on the oracle.

use super::build::{Attribute, Span, content, part, span_id, trace};
use super::{KEEP, NOW, all_pages, clock, search, write};
use crate::memory::MemoryStore;
use crate::{
    Books, HopExpr, HopTest, Maintenance, Outcome, Part, Range, RequestExpr, RequestTest, Search,
    Sort, SpanWriter, StatRow, StatsQuery, Store, TextMatch, TraceReader, ValueMatch,
};
use bytes::Bytes;
use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_model::{Interface, Position, SpanKind, SpanStatus, Summary, TraceId, UnixNanos};
use hoplog_otlp::SpanHead;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// Requests in a plan are numbered from 1 to this.
pub const TRACES: u64 = 6;

/// Spans of a request are numbered from 1 to this, so ids collide now and then.
const SPANS: u64 = 6;

/// Plans compared.
const CASES: u32 = 48;

/// A start that is clamped, but not in relation to the others here.
const FAR: UnixNanos = NOW - DAY - HOUR / 2;

/// Something done to a store.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A batch of parts, one a request.
    Write(Vec<Part>),
    /// Retention, so many days after [`NOW`].
    Retain(u64),
}

/// Operations, and expressions to search for afterwards.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In this order.
    pub operations: Vec<Operation>,
    /// All of them are asked.
    pub questions: Vec<RequestExpr>,
}

/// Plans of a few batches over a small pool of requests and spans.
pub fn plans() -> impl Strategy<Value = Plan> {
    let batches = vec(batch(), 1..8).prop_map(|batches| {
        let numbered = batches.into_iter().zip(1..);
        numbered
            .map(|(parts, n)| Operation::Write(at_position(parts, n)))
            .collect::<Vec<_>>()
    });
    let retention = prop_oneof![
        3 => Just(None),
        1 => (0_usize..8, 0_u64..3).prop_map(|(at, days)| Some((at, KEEP / DAY + days))),
    ];
    (batches, retention, vec(request_expr(), 6)).prop_map(
        |(mut operations, retention, questions)| {
            if let Some((at, days)) = retention {
                operations.insert(at.min(operations.len()), Operation::Retain(days));
            }
            Plan {
                operations,
                questions,
            }
        },
    )
}

fn at_position(mut parts: Vec<Part>, n: u32) -> Vec<Part> {
    for part in &mut parts {
        part.upto = Position {
            segment: 1,
            offset: n * 100,
        };
        part.received_at = NOW + u64::from(n);
    }
    parts
}

fn batch() -> impl Strategy<Value = Vec<Part>> {
    let spans = btree_map(1..=SPANS, span(), 1..5);
    let outcome = prop_oneof![
        8 => Just(Outcome::Keep),
        1 => Just(Outcome::CountOnly),
        1 => Just(Outcome::Drop),
    ];
    let rest = (
        outcome,
        0_u32..2,
        prop_oneof![9 => Just(0_u32), 1 => Just(2)],
    );
    btree_map(1..=TRACES, (spans, rest), 1..4).prop_map(|parts| {
        let parts = parts
            .into_iter()
            .map(|(n, (spans, (outcome, duplicates, capped)))| {
                let spans: Vec<Span> = spans
                    .into_iter()
                    .map(|(id, span)| Span { id, ..span })
                    .collect();
                Part {
                    outcome,
                    duplicates,
                    capped,
                    ..part(trace(n), &spans)
                }
            });
        parts.collect()
    })
}

fn span() -> impl Strategy<Value = Span> {
    let start = prop_oneof![
        6 => (0_u64..4).prop_map(|n| NOW - HOUR + n),
        3 => (0_u64..3).prop_map(|n| NOW - HOUR - n * MINUTE),
        1 => Just(NOW - 13 * HOUR),
        1 => Just(FAR),
    ];
    let place = (
        proptest::option::of(1..=SPANS),
        start,
        select(vec![0_u64, 1, 2, 900, 1_000_000]),
    );
    let what = (
        select(vec!["GET /", "pay", "INSERT"]),
        select(vec!["shop", "bank"]),
        select(SpanKind::ALL.to_vec()),
        select(vec![SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error]),
    );
    let more = (
        vec(
            prop_oneof![4 => (select(KEYS.to_vec()), value()), 1 => statement()],
            0..3,
        ),
        proptest::option::of(select(vec!["E", "F"])),
        proptest::bool::ANY,
    );
    (place, what, more).prop_map(|(place, what, (attributes, exception, has_host))| {
        let (parent, start, duration) = place;
        let (name, service, kind, status) = what;
        let mut span = Span {
            parent,
            ..Span::root(1)
        };
        span = span
            .name(name)
            .service(service)
            .kind(kind)
            .status(status)
            .at(start, duration);
        span = attributes
            .into_iter()
            .fold(span, |span, (key, value)| span.with(key, value));
        if let Some(exception) = exception {
            span = span.exception(exception, "it broke");
        }
        if has_host {
            span.resource("host.name", "n1")
        } else {
            span
        }
    })
}

const STARTS: &[u64] = &[
    NOW - HOUR - 2 * MINUTE,
    NOW - HOUR - MINUTE,
    NOW - HOUR,
    NOW - HOUR + 1,
    NOW - HOUR + 3,
];

const ENDS: &[u64] = &[
    NOW - HOUR - MINUTE,
    NOW - HOUR,
    NOW - HOUR + 2,
    NOW - HOUR + 900,
    NOW - HOUR + 1_000_000,
];

const KEYS: [&str; 3] = ["k", "n", "http.response.status_code"];

fn statement() -> impl Strategy<Value = (&'static str, Attribute)> {
    let texts = vec!["SELECT 1", "SELECT 2", "-- none", "DELETE FROM t"];
    let text = select(texts).prop_map(Attribute::from);
    (select(crate::statement::KEYS.to_vec()), text)
}

fn value() -> impl Strategy<Value = Attribute> {
    select(vec![
        Attribute::from("x"),
        "Y".into(),
        "7".into(),
        7.into(),
        8.into(),
        7.5.into(),
        true.into(),
    ])
}

/// Expressions over the pool, a few levels deep.
pub fn request_expr() -> impl Strategy<Value = RequestExpr> {
    let leaf = prop_oneof![
        2 => hop_expr().prop_map(RequestExpr::Hop),
        1 => request_test().prop_map(RequestExpr::Is),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(RequestExpr::And),
            vec(inner.clone(), 1..3).prop_map(RequestExpr::Or),
            inner.prop_map(|expr| RequestExpr::Not(Box::new(expr))),
        ]
    })
}

fn hop_expr() -> impl Strategy<Value = HopExpr> {
    hop_test()
        .prop_map(HopExpr::Is)
        .prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 1..3).prop_map(HopExpr::And),
                vec(inner.clone(), 1..3).prop_map(HopExpr::Or),
                inner.prop_map(|expr| HopExpr::Not(Box::new(expr))),
            ]
        })
}

fn text(values: &'static [&'static str]) -> impl Strategy<Value = TextMatch> + Clone {
    (select(values), 0..3).prop_map(|(text, how)| match how {
        0 => TextMatch::Is(text.to_owned()),
        1 => TextMatch::Glob(format!("{}*", text.chars().next().unwrap_or('*'))),
        _ => TextMatch::Contains(text.to_lowercase()),
    })
}

fn range(values: &'static [u64]) -> impl Strategy<Value = Range<u64>> {
    let end = || proptest::option::of(select(values));
    (end(), end()).prop_map(|(least, greatest)| Range { least, greatest })
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    let bound = || proptest::option::of(select(vec![7.0, 7.5, 8.0]));
    let flags = (proptest::bool::ANY, proptest::bool::ANY);
    prop_oneof![
        Just(ValueMatch::Present),
        text(&["x", "7", "7.5", "true", "nowhere"]).prop_map(ValueMatch::Text),
        (bound(), bound(), flags).prop_map(|(least, greatest, (least_open, greatest_open))| {
            ValueMatch::Number {
                range: Range { least, greatest },
                least_open,
                greatest_open,
            }
        }),
    ]
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    let key = select(vec!["k", "n", "host.name", "service.name", "nowhere"]);
    vec(key.prop_map(str::to_owned), 1..3)
}

fn hop_test() -> impl Strategy<Value = HopTest> {
    let times: &[u64] = &[0, 1, 2, 900, 1_000_000];
    prop_oneof![
        text(&["shop", "bank", "nobody"]).prop_map(HopTest::Service),
        text(&["GET /", "pay", "INSERT"]).prop_map(HopTest::Name),
        select(SpanKind::ALL.to_vec()).prop_map(HopTest::Kind),
        select(vec![SpanStatus::Ok, SpanStatus::Error]).prop_map(HopTest::Status),
        range(times).prop_map(HopTest::Duration),
        range(times).prop_map(HopTest::SelfTime),
        (keys(), value_match()).prop_map(|(keys, value)| HopTest::Attribute { keys, value }),
        text(&["E", "it broke"]).prop_map(HopTest::Exception),
        text(&["SELECT ?", "SELECT 1", "DELETE FROM t", "(other)"]).prop_map(HopTest::Statement),
        select(vec!["get", "Y", "BROKE", "bank", "nowhere"])
            .prop_map(|text| HopTest::Text(text.to_owned())),
        (1..=SPANS).prop_map(|n| HopTest::SpanId(span_id(n))),
    ]
}

fn request_test() -> impl Strategy<Value = RequestTest> {
    let counts: &[u64] = &[0, 1, 2, 3];
    prop_oneof![
        (1..=TRACES).prop_map(|n| RequestTest::Trace(trace(n))),
        text(&["shop", "bank"]).prop_map(RequestTest::Entry),
        text(&["GET /", "pay"]).prop_map(RequestTest::Name),
        select(vec![SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error])
            .prop_map(RequestTest::Status),
        text(&["7", "8", "x"]).prop_map(RequestTest::Code),
        range(&[0, 1, 900, 1_000_000]).prop_map(RequestTest::Duration),
        range(STARTS).prop_map(RequestTest::Started),
        range(ENDS).prop_map(RequestTest::Ended),
        range(counts).prop_map(RequestTest::Hops),
        range(counts).prop_map(RequestTest::Spans),
        range(counts).prop_map(RequestTest::Errors),
        (keys(), value_match())
            .prop_map(|(keys, value)| RequestTest::RootAttribute { keys, value }),
    ]
}

/// Spans as [`content`] gives them.
pub type Content = Vec<(SpanHead, [Bytes; 2], Vec<u8>)>;

/// What a reader says when asked everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// The requests that were found, by id.
    pub requests: BTreeMap<TraceId, (Summary, Content)>,
    /// The hits of each question, newest first and slowest first, whole and in a window.
    pub hits: Vec<Vec<Summary>>,
    /// Roll-ups over everything, as one, by minute and by hour, and of statements.
    pub stats: Vec<Vec<StatRow>>,
    /// Names of everything.
    pub interfaces: Vec<Interface>,
    /// The totals.
    pub books: Books,
}

/// Asks a reader everything.
///
/// # Panics
/// If it cannot be read.
pub async fn ask(reader: &dyn TraceReader, questions: &[RequestExpr]) -> Answers {
    let readable = "the store can be read";
    let mut requests = BTreeMap::new();
    for id in (1..=TRACES).map(trace) {
        if let Some(found) = reader.get(&id).await.expect(readable) {
            requests.insert(id, (found.summary, content(&found.spans)));
        }
    }
    let mut hits = Vec::new();
    for expr in questions {
        for sort in [Sort::Newest, Sort::Slowest] {
            let whole = Search {
                sort,
                limit: 2,
                ..search(expr.clone())
            };
            hits.push(all_pages(reader, &whole).await);
            let window = Search {
                from: NOW - HOUR,
                to: NOW - HOUR + 2,
                limit: 1_000,
                ..whole
            };
            hits.push(all_pages(reader, &window).await);
        }
    }
    let mut stats = Vec::new();
    let statements = Some(SpanKind::Statement);
    for (step, kind) in [
        (None, None),
        (Some(MINUTE), None),
        (Some(HOUR), None),
        (Some(HOUR), statements),
    ] {
        let query = StatsQuery {
            from: NOW - 5 * DAY,
            to: NOW + DAY,
            step,
            kind,
            ..StatsQuery::default()
        };
        stats.push(reader.stats(&query).await.expect(readable));
    }
    let interfaces = reader
        .interfaces(0, NOW + DAY, 1_000)
        .await
        .expect(readable);
    let books = reader.books().await.expect(readable);
    Answers {
        requests,
        hits,
        stats,
        interfaces,
        books,
    }
}

/// Runs `case` on many plans and shows the smallest one that fails.
///
/// # Panics
/// If one fails.
pub fn run(case: impl Fn(Plan) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&plans(), case);
    assert!(result.is_ok(), "{}", result.expect_err("just seen"));
}

/// Does the plan's operations on an empty store and on the oracle and compares what both say.
pub async fn compare(store: &dyn Store, plan: Plan) -> Result<(), TestCaseError> {
    let oracle = MemoryStore::new(clock(), KEEP);
    let readable = "the store can be read";
    let mut has_dropped = false;
    for operation in &plan.operations {
        match operation {
            Operation::Write(parts) => {
                let expected = write(&oracle, parts.clone()).await;
                prop_assert_eq!(write(store, parts.clone()).await, expected);
            }
            Operation::Retain(days) => {
                has_dropped = true;
                let now = NOW + days * DAY;
                let expected = oracle.retain(now).await.expect(readable);
                prop_assert_eq!(store.retain(now).await.expect(readable), expected);
            }
        }
    }
    let expected = ask(&oracle, &plan.questions).await;
    let answers = ask(store, &plan.questions).await;
    same(&answers, &expected, &plan.questions)?;
    prop_assert_eq!(answers.books, expected.books);
    let expected = oracle.keys(1_000).await.expect(readable);
    let keys = store.keys(1_000).await.expect(readable);
    prop_assert!(
        expected.iter().all(|key| keys.contains(key)),
        "{:?}, not {:?}",
        keys,
        expected
    );
    if !has_dropped {
        let expected = oracle.recovery().await.expect(readable);
        let recovery = store.recovery().await.expect(readable);
        prop_assert_eq!(recovery.upto, expected.upto);
        prop_assert_eq!(recovery.decisions, expected.decisions);
    }
    let report = store.check(&|_, _| ()).await.expect(readable);
    prop_assert_eq!(report.differences, vec![]);
    Ok(())
}

/// That both answer alike; names may be more than those in use.
pub fn same(
    answers: &Answers,
    expected: &Answers,
    questions: &[RequestExpr],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(&answers.requests, &expected.requests);
    for (index, (hits, expected)) in answers.hits.iter().zip(&expected.hits).enumerate() {
        prop_assert_eq!(hits, expected, "{:?}", questions[index / 4]);
    }
    prop_assert_eq!(&answers.stats, &expected.stats);
    let is_known = |interface| answers.interfaces.contains(interface);
    prop_assert!(
        expected.interfaces.iter().all(is_known),
        "{:?}",
        answers.interfaces
    );
    Ok(())
}
