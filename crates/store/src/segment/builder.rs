//! Making a segment from the rows of a batch.

use super::heads::Heads;
use super::scan::{ATTRIBUTE, EVENT, NAME, scan};
use super::values::Keys;
use super::{Field, Names, Record, RowSet, Segment};
use crate::pack::{Attribute, Dictionary, Listener, Packer};
use crate::rollup::Rollups;
use crate::statement::Said;
use hoplog_model::{Sketch, SpanStatus, Summary};
use hoplog_otlp::{Group, SpanHead, SpanRef, SpanSet, SpanView};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Takes the rows of a batch one by one.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    heads: Heads,
    spans: Vec<Filed>,
    keys: Keys,
    groups: FxHashSet<Arc<Group>>,
    max_extent: u64,
}

/// What a segment says of one span.
#[derive(Debug, Clone, Copy)]
struct Filed {
    interface: u32,
    ordinal: u16,
    bucket: u16,
    is_error: bool,
    duration: u64,
}

impl Filed {
    fn new(interface: u32, ordinal: u16, head: &SpanHead) -> Self {
        let duration = head.duration();
        Self {
            interface,
            ordinal,
            bucket: Sketch::bucket(duration),
            is_error: head.status == SpanStatus::Error,
            duration,
        }
    }
}

impl SegmentBuilder {
    /// A segment without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row: all its spans, and the summary that stands in the row. Each ordinal once, below
    /// [`super::ROWS_MAX`]. The same names for all rows.
    pub fn push(&mut self, names: &mut Names, ordinal: u16, summary: &Summary, spans: &SpanSet) {
        self.begin(ordinal, summary, spans);
        for span in spans.iter() {
            for interface in self.add_fields(names, span) {
                self.spans.push(Filed::new(interface, ordinal, span.head));
            }
        }
    }

    /// As [`SegmentBuilder::push`] of a new row, which is also packed and counted: each span is read once
    /// for all three. The same dictionary for all rows.
    pub fn pack(
        &mut self,
        names: &mut Names,
        (ordinal, summary, spans): (u16, &Summary, &SpanSet),
        (packer, dictionary): (&mut Packer, Option<&Dictionary>),
        rollups: &mut Rollups,
        frames: &mut Vec<u8>,
    ) {
        self.begin(ordinal, summary, spans);
        let (filed, counted) = (self.spans.len(), rollups.len());
        let mut reading = Reading {
            names,
            ordinal,
            spans: &mut self.spans,
            keys: &mut self.keys,
            rollups,
            name: &[],
            statement: None,
            has_events: false,
        };
        if packer.pack_aloud(dictionary, spans, &mut reading, frames) {
            return;
        }
        self.spans.truncate(filed);
        rollups.truncate(counted);
        for span in spans.iter() {
            for interface in self.add_fields(names, span) {
                self.spans.push(Filed::new(interface, ordinal, span.head));
                rollups.count(interface, span.head, 1, false);
            }
        }
    }

    fn begin(&mut self, ordinal: u16, summary: &Summary, spans: &SpanSet) {
        self.heads.push(ordinal, summary);
        self.max_extent = self.max_extent.max(summary.extent);
        self.keys.begin(ordinal, &summary.trace_id);
        for group in spans.groups() {
            if !self.groups.contains(group) {
                self.groups.insert(group.clone());
                self.keys.add_shared(group.attributes());
            }
        }
    }

    /// Counts what a span has; returns the numbers of its interface, and of its statement if it has one.
    fn add_fields(
        &mut self,
        names: &mut Names,
        span: SpanRef<'_>,
    ) -> impl Iterator<Item = u32> + use<> {
        self.keys.add_span_id(&span.head.span_id);
        let view = span.view();
        let mut statement = None;
        let scan = scan(span.raw, |field| {
            Said::hear(&mut statement, field.payload);
            self.keys.add_field(field.whole);
        });
        let (name, has_events) = match scan {
            Some(scan) => (scan.name, scan.has_events),
            None => {
                self.keys.add_own(view.attributes());
                statement = None;
                (view.name_bytes(), true)
            }
        };
        if has_events {
            add_exceptions(&mut self.keys, view);
        }
        names.numbers(&span.group.service, span.head.kind, name, statement)
    }

    /// Rows added.
    pub fn len(&self) -> usize {
        self.heads.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.rows.is_empty()
    }

    /// Gives rows other ordinals: each the one that stands at the place of its old one.
    pub fn reorder(&mut self, ordinals: &[u16]) {
        for row in &mut self.heads.rows {
            row.ordinal = ordinals[usize::from(row.ordinal)];
        }
        for span in &mut self.spans {
            span.ordinal = ordinals[usize::from(span.ordinal)];
        }
        self.keys.reorder(ordinals);
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
        self.spans
            .sort_unstable_by_key(|span| (span.interface, span.ordinal));
        let mut buckets = Vec::new();
        let records = self
            .spans
            .chunk_by(|a, b| a.interface == b.interface)
            .map(|spans| record(spans, &mut buckets));
        Segment {
            rows: u16::try_from(rows.len()).unwrap_or(u16::MAX),
            min_start,
            max_start,
            min_duration,
            max_duration,
            max_extent: self.max_extent,
            heads,
            records: records.collect(),
            filters: self.keys.finish(),
        }
    }
}

/// The record of the spans of one interface, which come by ordinal.
fn record(spans: &[Filed], buckets: &mut Vec<u16>) -> Record {
    buckets.clear();
    buckets.extend(spans.iter().map(|span| span.bucket));
    buckets.sort_unstable();
    let mut sketch = Sketch::default();
    for same in buckets.chunk_by(|a, b| a == b) {
        sketch.add_bucket(same[0], same.len() as u64);
    }
    let mut encoded = Vec::new();
    sketch.encode(&mut encoded);
    let ordinals = spans.chunk_by(|a, b| a.ordinal == b.ordinal);
    let count = |number: usize| u32::try_from(number).expect("rows and their spans are bounded");
    Record {
        interface: spans[0].interface,
        rows: ordinals
            .map(|row| row[0].ordinal)
            .collect::<RowSet>()
            .encode(),
        count: count(spans.len()),
        errors: count(spans.iter().filter(|span| span.is_error).count()),
        longest: spans.iter().map(|span| span.duration).max().unwrap_or(0),
        sketch: encoded,
    }
}

fn add_exceptions(keys: &mut Keys, span: SpanView<'_>) {
    let exceptions = span.events().filter(|event| event.name == "exception");
    let told = |key: &str| key == "exception.type" || key == "exception.message";
    let all = exceptions.flat_map(|event| event.attributes());
    keys.add_own(all.filter(|(key, _)| told(key)));
}

/// Hears of a row while it is packed.
struct Reading<'b, 'a> {
    names: &'b mut Names,
    ordinal: u16,
    spans: &'b mut Vec<Filed>,
    keys: &'b mut Keys,
    rollups: &'b mut Rollups,
    /// Of the span that is being read.
    name: &'a [u8],
    statement: Option<Said<'a>>,
    has_events: bool,
}

impl<'a> Reading<'_, 'a> {
    /// Takes a field that is no attribute; false if it is one.
    fn take(&mut self, field: &Field<'a>) -> bool {
        match field.key {
            ATTRIBUTE => return false,
            NAME => self.name = field.payload,
            EVENT => self.has_events = true,
            _ => {}
        }
        true
    }
}

impl<'a> Listener<'a> for Reading<'_, 'a> {
    fn known(&mut self, symbol: u16, field: &Field<'a>) {
        if !self.take(field) {
            Said::hear(&mut self.statement, field.payload);
            self.keys.add_known(symbol, field.whole);
        }
    }

    fn keyed(&mut self, symbol: u16, attribute: &Attribute<'a>, field: &Field<'a>) {
        Said::hear(&mut self.statement, field.payload);
        self.keys.add_keyed(symbol, attribute, field.whole);
    }

    fn other(&mut self, field: &Field<'a>) {
        if !self.take(field) {
            Said::hear(&mut self.statement, field.payload);
            self.keys.add_field(field.whole);
        }
    }

    fn end(&mut self, span: SpanRef<'a>) {
        self.keys.add_span_id(&span.head.span_id);
        if std::mem::take(&mut self.has_events) {
            add_exceptions(self.keys, span.view());
        }
        let name = std::mem::take(&mut self.name);
        let service = &span.group.service;
        let statement = self.statement.take();
        let kind = span.head.kind;
        for interface in self.names.numbers(service, kind, name, statement) {
            self.spans
                .push(Filed::new(interface, self.ordinal, span.head));
            self.rollups.count(interface, span.head, 1, false);
        }
    }
}
