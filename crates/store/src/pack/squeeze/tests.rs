//! What is squeezed comes back byte for byte, or is not squeezed.

use super::*;
use crate::conformance::NOW;
use crate::conformance::build::{Span, set, span_id, trace};
use crate::pack::table::ENTRIES;
use crate::plan::tests::questions::{Spans, spans};
use hoplog_model::{SpanKind, SpanStatus};
use hoplog_otlp::SpanHead;
use proptest::collection::vec;
use proptest::prelude::*;

/// A table that knows what these sets often say: each field but those of ids and times.
fn table(sets: &[SpanSet]) -> Table {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for span in sets.iter().flat_map(SpanSet::iter) {
        fields(span.raw, |field| {
            let key = Attribute::of(&field).map(|attribute| attribute.key_entry());
            entries.extend(key);
            if field.key != START && field.key != END_TIME {
                entries.push(field.whole.to_vec());
            }
        });
    }
    entries.sort_unstable();
    entries.dedup();
    // Half of it, so that some fields are not known.
    let entries: Vec<Vec<u8>> = entries.into_iter().step_by(2).collect();
    let mut table = Table::new(&entries);
    table.expect(END, vec![ENTRIES, TIMES]);
    table.expect(TIMES, vec![END, ENTRIES + 1]);
    table
}

fn traces(spans: &SpanSet) -> Vec<u8> {
    let mut raw = Vec::new();
    spans.write_traces(&mut raw);
    raw
}

fn squeezed(table: &Table, spans: &SpanSet) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Columns::default().squeeze(table, spans, |_| true, &mut out)?;
    assert_eq!(out[0], MARK);
    Some(out[1..].to_vec())
}

fn sets(all: &[Spans]) -> Vec<SpanSet> {
    (1..)
        .zip(all)
        .map(|(n, spans)| set(trace(n), &spans.of(n)))
        .collect()
}

proptest! {
    #[test]
    fn spans_come_back_byte_for_byte(known in vec(spans(), 0..6), all in vec(spans(), 1..6)) {
        let table = table(&sets(&known));
        for spans in sets(&all) {
            let squeezed = squeezed(&table, &spans).expect("nothing out of the ordinary");
            let mut raw = Vec::new();
            expand(&table, &squeezed, &mut raw).unwrap();
            prop_assert_eq!(raw, traces(&spans));
        }
    }

    #[test]
    fn fields_in_any_order_come_back_or_are_left(places in vec(any::<prop::sample::Index>(), 0..4), spans in spans()) {
        let spans = set(trace(1), &spans.of(1));
        let mut odd = SpanSet::new();
        for span in spans.iter() {
            let mut parts: Vec<&[u8]> = Vec::new();
            fields(span.raw, |field| parts.push(field.whole)).unwrap();
            for place in &places {
                // Moves a field to the end, or doubles it.
                let index = place.index(parts.len());
                let part = if index % 2 == 0 { parts.remove(index) } else { parts[index] };
                parts.push(part);
            }
            odd.push(span.group, *span.head, &parts.concat());
        }
        let table = table(std::slice::from_ref(&spans));
        if let Some(squeezed) = squeezed(&table, &odd) {
            let mut raw = Vec::new();
            expand(&table, &squeezed, &mut raw).unwrap();
            prop_assert_eq!(raw, traces(&odd));
        }
    }

    #[test]
    fn damage_is_refused_or_gives_other_spans(spans in spans(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let spans = set(trace(1), &spans.of(1));
        let table = table(std::slice::from_ref(&spans));
        let mut squeezed = squeezed(&table, &spans).unwrap();
        let index = place.index(squeezed.len());
        squeezed[index] = byte;
        let _ = expand(&table, &squeezed, &mut Vec::new());
        prop_assert!(expand(&table, &squeezed[..index], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_table_comes_back(all in vec(spans(), 1..4)) {
        let table = table(&sets(&all));
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        let mut reader = Reader(&bytes);
        let read = Table::decode(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        let mut again = Vec::new();
        read.encode(&mut again);
        prop_assert_eq!(again, bytes);
    }
}

fn raw_span(raw: &[u8]) -> SpanSet {
    let head = SpanHead {
        span_id: span_id(1),
        parent: None,
        kind: SpanKind::Server,
        status: SpanStatus::Unset,
        start: NOW,
        end: NOW,
        flags: 0,
    };
    let mut spans = set(trace(1), &[Span::root(1)]);
    let group = spans.get(0).unwrap().group.clone();
    spans = SpanSet::new();
    spans.push(&group, head, raw);
    spans
}

#[test]
fn what_is_out_of_the_ordinary_is_left() {
    let whole = set(trace(1), &[Span::root(1)]);
    let raw = whole.get(0).unwrap().raw.to_vec();
    let left = |raw: &[u8]| squeezed(&Table::new(&[]), &raw_span(raw)).is_none();
    assert!(!left(&raw));
    assert!(left(&[]), "no ids");
    assert!(left(&raw[..28]), "no times");
    assert!(left(&raw[18..]), "no trace id");
    assert!(left(&[&raw[..], &[0x53, 0x54]].concat()), "a group");
    assert!(left(&[&raw[..], &[9]].concat()), "cut short");
    assert!(left(&[&raw[..], &raw[28..]].concat()), "times twice");
    assert!(
        left(&[&raw[..1], &[0x90, 0], &raw[2..]].concat()),
        "a length of more bytes than need be"
    );
}

#[test]
fn an_attribute_written_otherwise_is_kept_as_it_is() {
    let whole = set(trace(1), &[Span::root(1).with("k", "v")]);
    let raw = whole.get(0).unwrap().raw;
    let table = table(std::slice::from_ref(&whole));
    // Value before key; a length of two bytes; two values.
    for odd in [
        &[0x4a, 8, 0x12, 3, 0x0a, 1, b'v', 0x0a, 1, b'k'][..],
        &[0x4a, 8, 0x0a, 1, b'k', 0x12, 0x83, 0, 0x0a, 1, b'v'],
        &[
            0x4a, 11, 0x0a, 1, b'k', 0x12, 6, 0x0a, 1, b'v', 0x0a, 1, b'w',
        ],
        &[0x4a, 0],
    ] {
        let spans = raw_span(&[raw, odd].concat());
        let mut back = Vec::new();
        match squeezed(&table, &spans) {
            Some(squeezed) => expand(&table, &squeezed, &mut back).unwrap(),
            None => continue,
        }
        assert_eq!(back, traces(&spans), "{odd:?}");
    }
}
