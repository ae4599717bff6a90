//! Making a segment from the rows of a batch.

use super::heads::Heads;
use super::scan::scan;
use super::values::Keys;
use super::{Names, Record, RowSet, Segment};
use hoplog_model::{Interface, Sketch, SpanStatus, Summary};
use hoplog_otlp::{Group, SpanHead, SpanRef, SpanSet};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Takes the rows of a batch one by one.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    heads: Heads,
    names: Names,
    records: Vec<RecordBuilder>,
    keys: Keys,
    groups: FxHashSet<Arc<Group>>,
}

impl SegmentBuilder {
    /// A segment without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row: all its spans, and the summary that stands in the row. Each ordinal once, below
    /// [`super::ROWS_MAX`].
    pub fn push(&mut self, ordinal: u16, summary: &Summary, spans: &SpanSet) {
        self.heads.push(ordinal, summary);
        self.keys.add_trace_id(&summary.trace_id);
        for group in spans.groups() {
            if !self.groups.contains(group) {
                self.groups.insert(group.clone());
                self.keys.add_all(group.attributes());
            }
        }
        spans.iter().for_each(|span| self.add_span(ordinal, span));
    }

    fn add_span(&mut self, ordinal: u16, span: SpanRef<'_>) {
        self.keys.add_span_id(&span.head.span_id);
        let view = span.view();
        let scan = scan(span.raw, |field| self.keys.add_field(field));
        let (name, has_events) = match scan {
            Some(scan) => (scan.name(), scan.has_events),
            None => {
                self.keys.add_all(view.attributes());
                (view.name(), true)
            }
        };
        if has_events {
            let exceptions = view.events().filter(|event| event.name == "exception");
            let told = |key: &str| key == "exception.type" || key == "exception.message";
            let all = exceptions.flat_map(|event| event.attributes());
            self.keys.add_all(all.filter(|(key, _)| told(key)));
        }
        let number = self
            .names
            .number(&span.group.service, span.head.kind, &name);
        if number == self.records.len() {
            self.records.push(RecordBuilder::default());
        }
        self.records[number].add(ordinal, span.head);
    }

    /// Rows added.
    pub fn len(&self) -> usize {
        self.heads.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.rows.is_empty()
    }

    /// The segment. Records are by interface, filters by key.
    pub fn finish(mut self) -> Segment {
        let heads = self.heads.encode();
        let rows = &self.heads.rows;
        let bounds = |key: fn(&super::RowHead) -> u64| {
            let least = rows.iter().map(key).min().unwrap_or_default();
            (least, rows.iter().map(key).max().unwrap_or_default())
        };
        let (min_start, max_start) = bounds(|row| row.start);
        let (min_duration, max_duration) = bounds(|row| row.duration);
        let named = self.names.into_interfaces().into_iter().zip(self.records);
        let mut records: Vec<Record> = named
            .map(|(interface, record)| record.finish(interface))
            .collect();
        records.sort_unstable_by(|a, b| a.interface.cmp(&b.interface));
        Segment {
            rows: u16::try_from(rows.len()).unwrap_or(u16::MAX),
            min_start,
            max_start,
            min_duration,
            max_duration,
            heads,
            records,
            filters: self.keys.finish(),
        }
    }
}

#[derive(Debug, Default)]
struct RecordBuilder {
    ordinals: Vec<u16>,
    count: u32,
    errors: u32,
    longest: u64,
    buckets: Vec<u16>,
}

impl RecordBuilder {
    fn add(&mut self, ordinal: u16, head: &SpanHead) {
        if self.ordinals.last() != Some(&ordinal) {
            self.ordinals.push(ordinal);
        }
        self.count += 1;
        self.errors += u32::from(head.status == SpanStatus::Error);
        self.longest = self.longest.max(head.duration());
        self.buckets.push(Sketch::bucket(head.duration()));
    }

    fn finish(mut self, interface: Interface) -> Record {
        self.buckets.sort_unstable();
        let mut sketch = Sketch::default();
        for same in self.buckets.chunk_by(|a, b| a == b) {
            sketch.add_bucket(same[0], same.len() as u64);
        }
        let mut encoded = Vec::new();
        sketch.encode(&mut encoded);
        Record {
            interface,
            rows: self.ordinals.into_iter().collect::<RowSet>().encode(),
            count: self.count,
            errors: self.errors,
            longest: self.longest,
            sketch: encoded,
        }
    }
}
