//! Learning a dictionary from rows.

use super::squeeze::{Columns, symbols_of};
use super::table::{Attribute, ENTRIES, EXPECTED, SYMBOLS_MAX, Table};
use crate::segment::fields;
use hoplog_otlp::SpanSet;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Longest field in bytes that becomes an entry.
const ENTRY_BYTES_MAX: usize = 1_024;

/// A field must occur so often to become an entry: at least in one of so many spans, and so many times.
const SPANS_PER_ENTRY: usize = 8_000;
const TIMES_MIN: u32 = 4;

/// The trained dictionary's two parts: a table of fields, and what zstd makes of samples squeezed
/// with it. None if there is too little to learn from.
pub(super) fn learn(samples: &[Vec<u8>], size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let sets = samples
        .iter()
        .filter_map(|sample| Some(SpanSet::read_traces(sample).ok()?.1));
    let sets: Vec<SpanSet> = sets.collect();
    let table = learn_table(&sets, size / 2);
    let mut encoded = Vec::new();
    table.encode(&mut encoded);
    let mut columns = Columns::default();
    let squeezed = sets.iter().filter_map(|spans| {
        let mut squeezed = Vec::new();
        let out = (&mut squeezed, &mut Vec::new());
        columns.squeeze(&table, spans, |_| true, &mut (), out)?;
        Some(squeezed)
    });
    let squeezed: Vec<Vec<u8>> = squeezed.collect();
    let left = size.checked_sub(encoded.len())?;
    let zstd = zstd::dict::from_samples(&squeezed, left).ok()?;
    Some((encoded, zstd))
}

/// The table of about `size` bytes that says most fields of these spans.
fn learn_table(sets: &[SpanSet], size: usize) -> Table {
    let mut table = Table::new(&entries(sets, size));
    let mut pairs: FxHashMap<(u16, u16), u32> = FxHashMap::default();
    for (before, symbols) in sets.iter().flat_map(|spans| symbols_of(&table, spans)) {
        let mut last = before;
        for symbol in symbols {
            *pairs.entry((last, symbol)).or_default() += 1;
            last = symbol;
        }
    }
    let mut pairs: Vec<((u16, u16), u32)> = pairs.into_iter().collect();
    pairs.sort_unstable_by_key(|((last, next), times)| (*last, Reverse(*times), *next));
    for after in pairs.chunk_by(|a, b| a.0.0 == b.0.0) {
        let next = after.iter().take(EXPECTED).map(|((_, next), _)| *next);
        table.expect(after[0].0.0, &next.collect::<Vec<u16>>());
    }
    table
}

/// Fields and keys, the most frequent first.
fn entries(sets: &[SpanSet], size: usize) -> Vec<Vec<u8>> {
    let mut wholes: FxHashMap<&[u8], u32> = FxHashMap::default();
    let mut keys: FxHashMap<Vec<u8>, u32> = FxHashMap::default();
    let mut spans = 0;
    for group in sets.iter().flat_map(SpanSet::groups) {
        for message in [&group.resource, &group.scope] {
            let _ = fields(message, |field| {
                *wholes.entry(field.whole).or_default() += 1;
            });
        }
        for schema in [&group.resource_schema, &group.scope_schema] {
            if schema.first().is_some_and(u8::is_ascii) {
                *wholes.entry(schema).or_default() += 1;
            }
        }
    }
    for span in sets.iter().flat_map(SpanSet::iter) {
        spans += 1;
        // A span that cannot be passed over is never squeezed either.
        let _ = fields(span.raw, |field| {
            *wholes.entry(field.whole).or_default() += 1;
        });
    }
    for (whole, times) in &wholes {
        // Of a group's fields none looks like a span's attribute: their tags are lower.
        let _ = fields(whole, |field| {
            if let Some(attribute) = Attribute::of(&field) {
                *keys.entry(attribute.key_entry()).or_default() += times;
            }
        });
    }
    let least = u32::try_from(spans / SPANS_PER_ENTRY)
        .unwrap_or(u32::MAX)
        .max(TIMES_MIN);
    let wholes = wholes
        .into_iter()
        .map(|(whole, times)| (whole.to_vec(), times));
    let mut all: Vec<(Vec<u8>, u32)> = wholes.chain(keys).collect();
    all.retain(|(entry, times)| *times >= least && entry.len() <= ENTRY_BYTES_MAX);
    all.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    let room = SYMBOLS_MAX - usize::from(ENTRIES);
    let mut left = size;
    let some = all
        .into_iter()
        .map(|(entry, _)| entry)
        .take(room)
        .take_while(|entry| {
            // Its bytes, its length, and about two bytes for each symbol expected after it.
            left = left.saturating_sub(entry.len() + 1 + 2 * EXPECTED);
            left > 0
        });
    some.collect()
}
