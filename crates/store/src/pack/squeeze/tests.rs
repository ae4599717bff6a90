//! What is squeezed comes back byte for byte, or is not squeezed.

use super::*;
use crate::conformance::NOW;
use crate::conformance::build::{Span, set, span_id, trace};
use crate::pack::table::ENTRIES;
use crate::pack::{Dictionary, Packer};
use crate::plan::tests::questions::{Spans, spans};
use crate::rollup::Rollups;
use crate::segment::{Names, SegmentBuilder};
use crate::summarize;
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
    table.expect(END, &[ENTRIES, TIMES]);
    table.expect(TIMES, &[END, ENTRIES + 1]);
    table
}

fn traces(spans: &SpanSet) -> Vec<u8> {
    let mut raw = Vec::new();
    spans.write_traces(&mut raw);
    raw
}

/// What is compressed, without the mark, and what is not.
type Squeezed = (Vec<u8>, Vec<u8>);

fn squeezed(table: &Table, spans: &SpanSet) -> Option<Squeezed> {
    let (mut out, mut tail) = (Vec::new(), Vec::new());
    let into = (&mut out, &mut tail);
    Columns::default().squeeze(table, spans, |_| true, &mut (), into)?;
    assert_eq!(out[0], MARK);
    Some((out[1..].to_vec(), tail))
}

fn expanded(table: &Table, (bytes, tail): &Squeezed) -> Result<Vec<u8>, PackError> {
    let (mut raw, mut tail) = (Vec::new(), tail.as_slice());
    expand(table, bytes, &mut tail, &mut raw)?;
    assert!(tail.is_empty(), "all of the tail is read");
    Ok(raw)
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
            prop_assert_eq!(expanded(&table, &squeezed).unwrap(), traces(&spans));
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
            prop_assert_eq!(expanded(&table, &squeezed).unwrap(), traces(&odd));
        }
    }

    #[test]
    fn damage_is_refused_or_gives_other_spans(spans in spans(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let spans = set(trace(1), &spans.of(1));
        let table = table(std::slice::from_ref(&spans));
        let (whole, tail) = squeezed(&table, &spans).unwrap();
        let index = place.index(whole.len());
        let mut damaged = whole.clone();
        damaged[index] = byte;
        let _ = expand(&table, &damaged, &mut tail.as_slice(), &mut Vec::new());
        prop_assert!(expand(&table, &whole[..index], &mut tail.as_slice(), &mut Vec::new()).is_err());
        let mut short = &tail[..place.index(tail.len())];
        prop_assert!(expand(&table, &whole, &mut short, &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_noted_while_packing_is_what_is_noted_otherwise(
        known in vec(spans(), 0..4),
        all in vec(spans(), 1..5),
        odd in any::<prop::sample::Index>(),
    ) {
        let mut rows = sets(&all);
        let dictionary = Dictionary::with_table(&table(&[sets(&known), rows.clone()].concat()));
        // One row ends with a span that cannot be squeezed.
        let (index, span) = (odd.index(rows.len()), raw_span(&[0xa3, 1, 0xa4, 1]));
        let mut head = *span.get(0).unwrap().head;
        head.span_id = span_id(77);
        let group = rows[index].get(0).unwrap().group.clone();
        rows[index].push(&group, head, span.get(0).unwrap().raw);

        let (mut names, mut packer) = (Names::default(), Packer::new());
        let (mut apart, mut rollups_apart, mut frames_apart) = Default::default();
        let (mut at_once, mut rollups_at_once, mut frames_at_once) = Default::default();
        for (ordinal, spans) in (0..).zip(&rows) {
            let summary = summarize(trace(1), spans);
            SegmentBuilder::push(&mut apart, &mut names, ordinal, &summary, spans);
            Rollups::add(&mut rollups_apart, &mut names, spans, false);
            packer.pack(Some(&dictionary), spans, &mut frames_apart);
            let (row, packing) = ((ordinal, &summary, spans), (&mut packer, Some(&dictionary)));
            let (rollups, frames) = (&mut rollups_at_once, &mut frames_at_once);
            SegmentBuilder::pack(&mut at_once, &mut names, row, packing, rollups, frames);
        }
        prop_assert_eq!(at_once.finish(), apart.finish());
        prop_assert_eq!(rollups_at_once.finish(), rollups_apart.finish());
        prop_assert_eq!(frames_at_once, frames_apart);
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
        let Some(squeezed) = squeezed(&table, &spans) else {
            continue;
        };
        assert_eq!(
            expanded(&table, &squeezed).unwrap(),
            traces(&spans),
            "{odd:?}"
        );
    }
}
