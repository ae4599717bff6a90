//! What a segment says of its rows.

use super::*;
use crate::conformance::NOW;
use crate::conformance::build::{Span, set, trace};
use crate::filter;
use crate::plan::tests::questions::spans;
use crate::summarize;
use hoplog_model::{Sketch, SpanKind, SpanStatus};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

proptest! {
    #[test]
    fn heads_say_what_summaries_say(requests in btree_map(0..ROWS_MAX as u16, spans(), 0..20)) {
        let mut builder = SegmentBuilder::new();
        let summaries: Vec<_> = requests
            .iter()
            .map(|(ordinal, of)| {
                let spans = set(trace(9), &of.of(9));
                let summary = summarize(trace(9), &spans);
                builder.push(&mut Names::default(), *ordinal, &summary, &spans);
                (*ordinal, summary)
            })
            .collect();
        let segment = builder.finish();
        let heads = heads(&segment.heads).unwrap();
        prop_assert_eq!(usize::from(segment.rows), heads.rows.len());
        prop_assert_eq!(heads.rows.len(), summaries.len());
        for (head, (ordinal, summary)) in heads.rows.iter().zip(&summaries) {
            prop_assert_eq!(head.ordinal, *ordinal);
            prop_assert_eq!((head.start, head.duration), (summary.started_at, summary.duration));
            prop_assert_eq!(head.status, summary.status);
            let counts = (summary.span_count, summary.hop_count, summary.error_count);
            prop_assert_eq!((head.spans, head.hops, head.errors), counts);
            let code = match head.code {
                Code::Known(index) => Some(heads.codes[index].clone()),
                Code::Absent | Code::Long => None,
            };
            prop_assert_eq!(&code, &summary.code);
        }
        let starts = summaries.iter().map(|(_, summary)| summary.started_at);
        prop_assert_eq!(segment.min_start, starts.clone().min().unwrap_or_default());
        prop_assert_eq!(segment.max_start, starts.max().unwrap_or_default());
        let durations = summaries.iter().map(|(_, summary)| summary.duration);
        prop_assert_eq!(segment.min_duration, durations.clone().min().unwrap_or_default());
        prop_assert_eq!(segment.max_duration, durations.max().unwrap_or_default());
    }

    #[test]
    fn any_bytes_are_heads_or_refused(bytes in vec(any::<u8>(), 0..60)) {
        let _ = heads(&bytes);
    }
}

#[test]
fn a_code_too_long_for_a_head_is_not_taken_for_none() {
    let long = "9".repeat(100);
    let spans = set(
        trace(1),
        &[Span::root(1).with("http.response.status_code", long.as_str())],
    );
    let mut builder = SegmentBuilder::new();
    builder.push(
        &mut Names::default(),
        3,
        &summarize(trace(1), &spans),
        &spans,
    );
    assert_eq!(
        heads(&builder.finish().heads).unwrap().rows[0].code,
        Code::Long
    );
}

#[test]
fn a_record_counts_the_spans_of_its_interface() {
    let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
    for (ordinal, n) in [(4, 1), (9, 2)] {
        let spans = [
            Span::root(1).at(NOW, 50),
            Span::child(2, 1).service("bank").at(NOW, n * 10).failed(""),
            Span::child(3, 1).service("bank").at(NOW, 5),
        ];
        let spans = set(trace(n), &spans);
        builder.push(&mut names, ordinal, &summarize(trace(n), &spans), &spans);
    }
    let segment = builder.finish();
    let [shop, bank] = &segment.records[..] else {
        panic!("two interfaces: {segment:?}")
    };
    let service = |record: &Record| {
        names.interfaces()[record.interface as usize]
            .service
            .clone()
    };
    assert_eq!([service(bank), service(shop)], ["bank", "shop"]);
    assert_eq!((bank.count, bank.errors, bank.longest), (4, 2, 20));
    assert_eq!((shop.count, shop.errors, shop.longest), (2, 0, 50));
    assert_eq!(
        RowSet::decode(&bank.rows)
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [4, 9]
    );
    let mut durations = Sketch::default();
    [10, 20, 5, 5]
        .into_iter()
        .for_each(|duration| durations.add(duration));
    assert_eq!(Sketch::decode(&bank.sketch).unwrap(), durations);
}

#[test]
fn a_filter_per_key_holds_the_values_of_spans_resources_and_exceptions() {
    let span = Span::root(7)
        .with("size", 12)
        .with("size", 3.5)
        .with("ok", true)
        .resource("region", "eu")
        .exception("Oops", "it broke")
        .status(SpanStatus::Error);
    let spans = set(trace(1), &[span]);
    let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
    builder.push(&mut names, 0, &summarize(trace(1), &spans), &spans);
    builder.push(&mut names, 1, &summarize(trace(2), &spans), &spans);
    let filters = builder.finish().filters;
    let keys: Vec<(&str, u32)> = filters.iter().map(|f| (f.key.as_str(), f.values)).collect();
    let expected = [
        ("exception.message", 1),
        ("exception.type", 1),
        ("ok", 1),
        ("region", 1),
        ("service.name", 1),
        ("size", 2),
        (SPAN_ID, 1),
        (TRACE_ID, 2),
    ];
    assert_eq!(keys, expected);
    let has = |key: &str, text: &str| {
        let filter = filters.iter().find(|filter| filter.key == key).unwrap();
        let rows = filter::rows(&filter.filter, value_hash(text.as_bytes()));
        !rows.unwrap().is_empty()
    };
    for (key, text) in [
        ("size", "12"),
        ("size", "3.5"),
        ("ok", "true"),
        ("region", "eu"),
        ("exception.type", "Oops"),
        ("service.name", "shop"),
    ] {
        assert!(has(key, text), "{key} {text}");
    }
    let size = filters.iter().find(|filter| filter.key == "size").unwrap();
    assert_eq!((size.number_min, size.number_max), (Some(3.5), Some(12.0)));
    assert_eq!(filters[3].number_min, None);
}

#[test]
fn a_name_too_long_is_filed_under_other() {
    let spans = set(
        trace(1),
        &[Span::root(1).name(&"n".repeat(NAME_BYTES_MAX + 1))],
    );
    let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
    builder.push(&mut names, 0, &summarize(trace(1), &spans), &spans);
    assert_eq!(builder.finish().records.len(), 1);
    assert_eq!(names.interfaces()[0].name, OTHER);
}

#[test]
fn rows_can_change_places() {
    let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
    for (ordinal, n) in [(0, 1), (1, 2)] {
        let spans = set(
            trace(n),
            &[Span::root(1).at(NOW + n, n).name(&n.to_string())],
        );
        builder.push(&mut names, ordinal, &summarize(trace(n), &spans), &spans);
    }
    builder.reorder(&[1, 0]);
    let segment = builder.finish();
    let starts = heads(&segment.heads)
        .unwrap()
        .rows
        .into_iter()
        .map(|row| row.start);
    assert_eq!(starts.collect::<Vec<_>>(), [NOW + 2, NOW + 1]);
    let rows = |record: &Record| {
        RowSet::decode(&record.rows)
            .unwrap()
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        segment.records.iter().map(rows).collect::<Vec<_>>(),
        [[1], [0]]
    );
}

#[test]
fn names_that_are_no_text_or_too_long_are_known_again() {
    let mut names = Names::default();
    let long = [b'n'; NAME_BYTES_MAX + 1];
    let all: [&[u8]; 3] = [b"ok", b"\xff", &long];
    let service: std::sync::Arc<str> = "shop".into();
    let mut number = |name| names.number(&service, SpanKind::Server, name);
    assert_eq!(all.map(&mut number), [0, 1, 2]);
    assert_eq!(all.map(number), [0, 1, 2]);
    let names: Vec<&str> = names
        .interfaces()
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["ok", "\u{fffd}", OTHER]);
}

#[test]
fn no_rows_make_an_empty_segment() {
    let builder = SegmentBuilder::new();
    assert!(builder.is_empty());
    let segment = builder.finish();
    assert_eq!(heads(&segment.heads).unwrap(), Heads::default());
    assert!(segment.records.is_empty() && segment.filters.is_empty());
}

/// Bytes that no sender is likely to write, but may.
#[test]
fn a_span_out_of_the_ordinary_is_read_by_its_view() {
    let mut odd = set(trace(1), &[Span::root(1).with("k", "v")]);
    let span = odd.get(0).unwrap();
    let (head, group) = (*span.head, span.group.clone());
    // A group of field 20, then a second name: the last counts.
    let raw = [span.raw, &[0xa3, 1, 0xa4, 1, 5 << 3 | 2, 1, b'z']].concat();
    odd = hoplog_otlp::SpanSet::new();
    odd.push(&group, head, &raw);
    let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
    builder.push(&mut names, 0, &summarize(trace(1), &odd), &odd);
    let segment = builder.finish();
    assert_eq!(segment.records.len(), 1);
    assert_eq!(names.interfaces()[0].name, "z");
    assert!(segment.filters.iter().any(|filter| filter.key == "k"));
    assert_eq!(name_and_statement(odd.get(0).unwrap()), (&b"z"[..], None));
}
