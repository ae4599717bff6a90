//! A plan never misses a row that matches, and leaves out what it can.

pub(crate) mod questions;

use super::*;
use crate::conformance::NOW;
use crate::conformance::build::{Span, set, span_id, trace};
use crate::eval::matches;
use crate::segment::{Heads, Names, Record, Segment, SegmentBuilder, heads};
use crate::walk::FilterRow;
use crate::{Range, TextMatch, ValueMatch, summarize};
use hoplog_model::{SpanStatus, Summary, TraceId};
use hoplog_otlp::SpanSet;
use proptest::collection::vec;
use proptest::prelude::*;
use questions::{request_expr, spans};

type Row = (Summary, SpanSet);

fn row(n: u64, spans: &[Span]) -> Row {
    let spans = set(trace(n), spans);
    (summarize(trace(n), &spans), spans)
}

fn segment(rows: &[Row], counts_statements: bool) -> (Segment, Names) {
    let mut names = Names::counting_statements(counts_statements);
    let mut builder = SegmentBuilder::new();
    for (ordinal, (summary, spans)) in (0..).zip(rows) {
        builder.push(&mut names, ordinal, summary, spans);
    }
    (builder.finish(), names)
}

/// Files this name under [`OTHER`], as a store does that has too many.
pub(crate) fn without_names(
    records: Vec<Record>,
    names: &Names,
    name: &str,
) -> Vec<(Interface, Record)> {
    let mut kept: Vec<(Interface, Record)> = Vec::new();
    for record in records {
        let mut interface = names.interfaces()[record.interface as usize].clone();
        if interface.name == name {
            OTHER.clone_into(&mut interface.name);
        }
        match kept.iter_mut().find(|(known, _)| *known == interface) {
            Some((_, known)) => {
                let set = |bytes: &[u8]| RowSet::decode(bytes).unwrap();
                known.rows = set(&known.rows).or(&set(&record.rows)).encode();
                known.count += record.count;
                known.errors += record.errors;
                known.longest = known.longest.max(record.longest);
            }
            None => kept.push((interface, record)),
        }
    }
    kept
}

/// The segment of some rows, ready to be asked.
struct Asked {
    heads: Heads,
    interfaces: Vec<(i64, Interface)>,
    records: Vec<Record>,
    segment: Segment,
}

impl Asked {
    fn of(rows: &[Row], forgotten: &str) -> Self {
        Self::counting(rows, forgotten, true)
    }

    fn counting(rows: &[Row], forgotten: &str, counts_statements: bool) -> Self {
        let (segment, names) = segment(rows, counts_statements);
        let records = without_names(segment.records.clone(), &names, forgotten);
        let (interfaces, records): (Vec<_>, _) = records.into_iter().unzip();
        let mut interfaces: Vec<_> = (1..).zip(interfaces).collect();
        if counts_statements {
            interfaces.push((0, crate::statement::counted()));
        }
        Self {
            heads: heads(&segment.heads).unwrap(),
            interfaces,
            records,
            segment,
        }
    }

    fn filters(&self, plan: &Plan) -> Filters {
        let probes = plan.probes();
        let mut filters = Filters::new(probes);
        for filter in &self.segment.filters {
            if let Some(key) = probes.iter().position(|probe| probe.key == filter.key) {
                let numbers = (filter.number_min, filter.number_max);
                filters.insert(FilterRow::read(probes, key, 1, &filter.filter, numbers).unwrap());
            }
        }
        filters
    }

    fn records(&self, interfaces: &Interfaces) -> Vec<KnownRecord<'_>> {
        let wanted = |number: &i64| interfaces.wanted.contains(number);
        let named = self.interfaces.iter().zip(&self.records);
        named
            .filter(|((number, _), _)| wanted(number))
            .map(|((_, interface), record)| KnownRecord {
                interface,
                rows: RowSet::decode(&record.rows).unwrap(),
                count: record.count,
                errors: record.errors,
                longest: record.longest,
            })
            .collect()
    }

    /// Candidates by heads alone, then with filters, then with records too.
    fn candidates(&self, expr: &RequestExpr) -> [RowSet; 3] {
        let plan = Plan::new(expr);
        let interfaces = plan.interfaces(&self.interfaces);
        if !plan.is_possible(&interfaces) {
            return [RowSet::new(); 3];
        }
        let mut facts = Facts::new(&self.heads);
        let by_heads = plan.candidates(&facts, &interfaces);
        facts.filters = Some(self.filters(&plan));
        let by_filters = plan.candidates(&facts, &interfaces);
        facts.records = Some(self.records(&interfaces));
        [by_heads, by_filters, plan.candidates(&facts, &interfaces)]
    }
}

fn matching(rows: &[Row], expr: &RequestExpr) -> RowSet {
    let hits = (0..)
        .zip(rows)
        .filter(|(_, (summary, spans))| matches(expr, summary, spans));
    hits.map(|(ordinal, _)| ordinal).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_row_that_matches_is_missed(
        requests in vec(spans(), 1..8),
        exprs in vec(request_expr(), 12),
        forgotten in "[xya]",
        counts_statements in prop::bool::weighted(0.8),
    ) {
        let rows: Vec<Row> = (1..).zip(requests).map(|(n, of)| row(n, &of.of(n))).collect();
        let asked = Asked::counting(&rows, &forgotten, counts_statements);
        for expr in exprs {
            let hits = matching(&rows, &expr);
            let [by_heads, by_filters, by_all] = asked.candidates(&expr);
            for candidates in [by_heads, by_filters, by_all] {
                prop_assert!(hits.without(&candidates).is_empty(), "{hits:?} in {candidates:?}: {expr:?}");
            }
        }
    }
}

fn hop(test: HopTest) -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(test))
}

fn is(text: &str) -> TextMatch {
    TextMatch::Is(text.to_owned())
}

fn attribute(key: &str, value: ValueMatch) -> HopTest {
    HopTest::Attribute {
        keys: vec![key.to_owned()],
        value,
    }
}

fn not(expr: RequestExpr) -> RequestExpr {
    RequestExpr::Not(Box::new(expr))
}

/// Four requests: a well one over two services, a slow one, a failed one, one with attributes.
fn four() -> Vec<Row> {
    let ms = 1_000_000;
    vec![
        row(
            1,
            &[
                Span::root(11),
                Span::child(12, 11).service("bank").name("pay").at(NOW, ms),
            ],
        ),
        row(2, &[Span::root(21).at(NOW, 900 * ms)]),
        row(
            3,
            &[
                Span::root(31).failed("no"),
                Span::child(32, 31)
                    .failed("no")
                    .service("bank")
                    .name("pay")
                    .at(NOW, ms),
            ],
        ),
        row(
            4,
            &[Span::root(41)
                .service("cart")
                .with("user.id", "ann")
                .with("size", 7)
                .resource("region", "eu")],
        ),
    ]
}

#[track_caller]
fn assert_candidates(expr: &RequestExpr, expected: impl IntoIterator<Item = u16>) {
    let found = Asked::of(&four(), "nothing").candidates(expr)[2];
    assert_eq!(found, expected.into_iter().collect(), "{expr:?}");
}

#[test]
fn a_service_that_is_asked_for_or_ruled_out_is_known_by_row() {
    assert_candidates(&hop(HopTest::Service(is("bank"))), [0, 2]);
    assert_candidates(&not(hop(HopTest::Service(is("bank")))), [1, 3]);
    assert_candidates(&hop(HopTest::Service(is("post"))), []);
    assert_candidates(&RequestExpr::Is(RequestTest::Entry(is("cart"))), [3]);
    let glob = TextMatch::Glob("p?y".to_owned());
    assert_candidates(&hop(HopTest::Name(glob)), [0, 2]);
}

#[test]
fn figures_of_requests_are_known_by_row() {
    let slow = Range {
        least: Some(500_000_000),
        greatest: None,
    };
    assert_candidates(&RequestExpr::Is(RequestTest::Duration(slow)), [1]);
    assert_candidates(
        &RequestExpr::Is(RequestTest::Status(SpanStatus::Error)),
        [2],
    );
    let two = Range {
        least: Some(2),
        greatest: Some(2),
    };
    assert_candidates(&RequestExpr::Is(RequestTest::Spans(two)), [0, 2]);
    assert_candidates(&not(RequestExpr::Is(RequestTest::Errors(two))), [0, 1, 3]);
}

#[test]
fn failed_and_slow_spans_are_known_by_interface() {
    let failed = HopExpr::Is(HopTest::Status(SpanStatus::Error));
    assert_candidates(&RequestExpr::Hop(failed.clone()), [2]);
    let of = |service| {
        HopExpr::And(vec![
            HopExpr::Is(HopTest::Service(is(service))),
            failed.clone(),
        ])
    };
    assert_candidates(&RequestExpr::Hop(of("bank")), [2]);
    assert_candidates(&RequestExpr::Hop(of("cart")), []);
    let slow = Range {
        least: Some(2_000_000),
        greatest: None,
    };
    let slow = |service| {
        let slow = HopExpr::Is(HopTest::Duration(slow));
        RequestExpr::Hop(HopExpr::And(vec![
            HopExpr::Is(HopTest::Service(is(service))),
            slow,
        ]))
    };
    assert_candidates(&slow("bank"), []);
    assert_candidates(&slow("cart"), [3]);
}

#[test]
fn values_that_are_nowhere_in_the_segment_rule_it_out() {
    let all = 0..4;
    assert_candidates(
        &hop(attribute("user.id", ValueMatch::Text(is("ann")))),
        all.clone(),
    );
    assert_candidates(&hop(attribute("user.id", ValueMatch::Text(is("bob")))), []);
    assert_candidates(&hop(attribute("user.name", ValueMatch::Present)), []);
    assert_candidates(
        &not(hop(attribute("user.name", ValueMatch::Present))),
        all.clone(),
    );
    assert_candidates(
        &hop(attribute("region", ValueMatch::Text(is("eu")))),
        all.clone(),
    );
    assert_candidates(&hop(attribute("region", ValueMatch::Text(is("us")))), []);
    let number = |least, greatest| ValueMatch::Number {
        range: Range { least, greatest },
        least_open: false,
        greatest_open: false,
    };
    assert_candidates(
        &hop(attribute("size", number(Some(7.0), Some(7.0)))),
        all.clone(),
    );
    assert_candidates(&hop(attribute("size", number(Some(7.5), None))), []);
    assert_candidates(&hop(attribute("user.id", number(None, None))), []);
    assert_candidates(&hop(HopTest::Exception(is("oops"))), []);
    assert_candidates(&hop(HopTest::SpanId(span_id(32))), all.clone());
    assert_candidates(&hop(HopTest::SpanId(span_id(99))), []);
    assert_candidates(&RequestExpr::Is(RequestTest::Trace(trace(4))), all);
    assert_candidates(&RequestExpr::Is(RequestTest::Trace(trace(5))), []);
}

/// However a number was written, and whatever stands beside it.
#[test]
fn a_number_is_found_by_its_value() {
    let one = |number: f64| ValueMatch::Number {
        range: Range {
            least: Some(number),
            greatest: Some(number),
        },
        least_open: false,
        greatest_open: false,
    };
    let finds = |span: Span, value: ValueMatch| {
        let rows = [row(1, &[span])];
        let expr = hop(attribute("n", value));
        assert_eq!(matching(&rows, &expr).len(), 1, "{expr:?}");
        Asked::of(&rows, "nothing").candidates(&expr)[2].len() == 1
    };
    for text in ["500", "5e2", "500.0", "+500", "0500"] {
        assert!(finds(Span::root(1).with("n", text), one(500.0)), "{text}");
    }
    assert!(finds(Span::root(1).with("n", 500), one(500.0)));
    assert!(finds(Span::root(1).with("n", 500.0), one(500.0)));
    assert!(finds(Span::root(1).with("n", -0.0), one(0.0)));
    assert!(finds(Span::root(1).with("n", 0), one(-0.0)));
    assert!(finds(
        Span::root(1).with("n", f64::INFINITY),
        one(f64::INFINITY)
    ));
    assert!(finds(
        Span::root(1).with("n", (1 << 53) + 1),
        one(9_007_199_254_740_992.0)
    ));
    let any = Range {
        least: None,
        greatest: None,
    };
    let any = ValueMatch::Number {
        range: any,
        least_open: false,
        greatest_open: false,
    };
    assert!(finds(Span::root(1).with("n", f64::NAN), any));
}

#[test]
fn keys_beyond_those_with_filters_are_not_taken_for_absent() {
    let many = (0..2 * crate::segment::KEYS_MAX).map(|n| (format!("key{n}"), "v".into()));
    let mut span = Span::root(1);
    span.attributes = many.collect();
    span = span.with(&"long".repeat(100), "v").with(OTHER, "v");
    let keys: Vec<String> = span.attributes.iter().map(|(key, _)| key.clone()).collect();
    let rows = [row(1, &[span])];
    let asked = Asked::of(&rows, "nothing");
    assert_eq!(asked.segment.filters.len(), crate::segment::KEYS_MAX + 1);
    for key in keys {
        let expr = hop(attribute(&key, ValueMatch::Text(is("v"))));
        assert_eq!(asked.candidates(&expr)[2].len(), 1, "{key}");
    }
    let absent = (0..1_000).filter(|n| {
        let expr = hop(attribute(&format!("absent{n}"), ValueMatch::Present));
        asked.candidates(&expr)[2].is_empty()
    });
    assert!(absent.count() > 950);
}

#[test]
fn a_trace_id_is_no_attribute_value() {
    let id: TraceId = trace(4);
    assert_candidates(
        &hop(attribute(TRACE_ID, ValueMatch::Text(is(&id.to_string())))),
        [],
    );
}
