//! A row against its columns, and against what its segment says of it.

use crate::filter::merged::{Head, Merged, hits, slice};
use crate::segment::{Heads, NAME_BYTES_MAX, OTHER, RowSet, SPAN_ID, TRACE_ID};
use crate::tables::{Columns, Tables, bits, key_number, records};
use crate::walk::{PackedRow, SegmentLine};
use crate::{StoreError, StoredRequest, filter, summary};
use hoplog_model::{Interface, RowId, TraceId};
use hoplog_otlp::{SpanRef, SpanSet};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// The search records of neighbouring segments, by (interface or key, segment).
#[derive(Debug, Default)]
pub(super) struct Bin {
    records: FxHashMap<(i64, i64), RowSet>,
    filters: FxHashMap<(i64, i64), Vec<u8>>,
    merged: Arc<MergedGroup>,
}

/// The merged filters of a group, by key.
#[derive(Debug, Default)]
pub(super) struct MergedGroup {
    group: i64,
    keys: FxHashMap<i64, (Head, Merged)>,
}

impl MergedGroup {
    /// Those of this group; the ones at hand if they are.
    pub(super) async fn read(
        known: Option<Arc<Self>>,
        tables: &mut impl Tables,
        group: i64,
    ) -> Result<Arc<Self>, StoreError> {
        if let Some(known) = known.filter(|known| known.group == group) {
            return Ok(known);
        }
        let mut keys = FxHashMap::default();
        for merged in tables.merged(group).await? {
            let head = Head::read(&merged.head).map_err(|why| {
                StoreError::corrupt(format!("merged filters of group {group}"), why)
            })?;
            keys.insert(merged.key, (head, merged));
        }
        Ok(Arc::new(Self { group, keys }))
    }

    fn rows(&self, key: i64, hash: u64, segment: i64) -> RowSet {
        let found = self.keys.get(&key).filter(|(head, _)| head.has(segment));
        let Some((_, merged)) = found else {
            return RowSet::new();
        };
        let slice = slice(hash) >> merged.shift;
        let slice = merged
            .slices
            .binary_search_by_key(&slice, |(number, _)| *number);
        let hits = slice
            .ok()
            .and_then(|place| hits(self.group, merged.shift, &merged.slices[place].1, hash).ok());
        let own = hits.into_iter().flatten().find(|(of, _)| *of == segment);
        own.map_or_else(RowSet::new, |(_, rows)| rows)
    }
}

impl Bin {
    /// All records of these segments. One that cannot be read counts as missing.
    pub(super) async fn read(
        tables: &mut impl Tables,
        segments: Range<i64>,
        merged: Arc<MergedGroup>,
    ) -> Result<Self, StoreError> {
        let mut all = Self {
            merged,
            ..Self::default()
        };
        for (segment, bytes) in tables.records(segments.clone()).await? {
            for entry in records::decode(&bytes).filter_map(Result::ok) {
                if let Ok(rows) = RowSet::decode(entry.rows) {
                    all.records.insert((entry.interface, segment), rows);
                }
            }
        }
        for line in tables.filters(segments).await? {
            all.filters.insert((line.key, line.segment), line.filter);
        }
        Ok(all)
    }

    fn names(&self, interface: i64, row: RowId) -> bool {
        let record = self.records.get(&(interface, row.segment()));
        record.is_some_and(|rows| rows.contains(row.ordinal()))
    }

    /// Whether the segment's filters let this value of this key through, for this row.
    fn holds(&self, key: &str, value: &[u8], row: RowId) -> bool {
        let probe = |key: &str, hash| {
            let (key, segment) = (key_number(key), row.segment());
            let single = self.filters.get(&(key, segment));
            let single = single.and_then(|filter| filter::rows(filter, hash).ok());
            let rows = single.unwrap_or_else(|| self.merged.rows(key, hash, segment));
            rows.contains(row.ordinal())
        };
        // A key without a filter of its own is named in that of the others.
        probe(key, XxHash3_64::oneshot(value)) || probe(OTHER, XxHash3_64::oneshot(key.as_bytes()))
    }
}

/// A row that could be read.
pub(super) struct CheckedRow {
    pub(super) packed: PackedRow,
    pub(super) columns: Columns,
    pub(super) request: StoredRequest,
}

impl CheckedRow {
    pub(super) fn trace_id(&self) -> TraceId {
        self.packed.trace_id
    }

    /// Everything that is not as it must be.
    pub(super) fn compare(
        &self,
        head: &SegmentLine,
        heads: &Heads,
        bin: &Bin,
        (interfaces, counts_statements): (&FxHashMap<Interface, i64>, bool),
    ) -> Vec<String> {
        let row = self.packed.row;
        let mut wrong = Vec::new();
        let number = |interface: &Interface| number(interfaces, interface);
        if self.expected(number(&self.request.summary.interface)) != self.columns {
            wrong.push(format!(
                "requests row {}: the columns are not what the spans say",
                row.0
            ));
        }
        if !self.agrees(head, heads) {
            wrong.push(format!(
                "segments {} heads: not what row {} says",
                head.segment, row.0
            ));
        }
        let spans = self.request.spans.iter();
        let names: FxHashSet<Interface> = spans.flat_map(summary::interfaces).collect();
        let filed = names
            .into_iter()
            .filter(|one| counts_statements || !one.is_statement());
        for interface in filed {
            let is_named = number(&interface).is_some_and(|number| bin.names(number, row));
            if !is_named {
                let Interface {
                    service,
                    kind,
                    name,
                } = interface;
                wrong.push(format!(
                    "records: {service} {kind} {name} does not name row {}",
                    row.0
                ));
            }
        }
        let segment = row.segment();
        let mut holds = |key: &str, value: &[u8]| {
            if !bin.holds(key, value, self.packed.row) {
                let value = String::from_utf8_lossy(value);
                wrong.push(format!(
                    "filters {key}, segment {segment}: without {value:?}"
                ));
            }
        };
        holds(TRACE_ID, self.packed.trace_id.as_bytes());
        each_value(&self.request.spans, &mut holds);
        wrong
    }

    /// The columns as the spans say.
    fn expected(&self, interface: Option<i64>) -> Columns {
        let summary = &self.request.summary;
        let counts = [
            summary.span_count,
            summary.hop_count,
            summary.service_count,
            summary.error_count,
        ];
        Columns {
            started_at: bits(summary.started_at),
            duration: bits(summary.duration),
            extent: bits(summary.extent),
            status: i64::from(summary.status.to_wire()),
            code: summary.code.clone(),
            counts: counts.map(i64::from),
            flags: i64::from(summary.flags.0),
            capped_spans: i64::from(summary.capped_spans),
            interface: interface.unwrap_or_default(),
        }
    }

    /// Whether the segment's line and the row's head in it are right.
    fn agrees(&self, head: &SegmentLine, heads: &Heads) -> bool {
        let summary = &self.request.summary;
        let ordinal = self.packed.row.ordinal();
        let is_within = (head.min_start..=head.max_start).contains(&summary.started_at)
            && (head.min_duration..=head.max_duration).contains(&summary.duration)
            && summary.extent <= head.max_extent;
        let found = heads.rows.iter().find(|row| row.ordinal == ordinal);
        is_within
            && found.is_some_and(|row| {
                (row.start, row.duration, row.status)
                    == (summary.started_at, summary.duration, summary.status)
                    && (row.spans, row.hops, row.errors)
                        == (summary.span_count, summary.hop_count, summary.error_count)
            })
    }
}

/// The number under which spans of the interface are filed.
pub(super) fn number(interfaces: &FxHashMap<Interface, i64>, interface: &Interface) -> Option<i64> {
    let other = || Interface {
        name: OTHER.to_owned(),
        ..interface.clone()
    };
    let own = if interface.name.len() > NAME_BYTES_MAX {
        None
    } else {
        interfaces.get(interface)
    };
    own.or_else(|| interfaces.get(&other())).copied()
}

/// Every key and value that filters must hold, as they are hashed.
fn each_value(spans: &SpanSet, holds: &mut impl FnMut(&str, &[u8])) {
    for group in spans.groups() {
        group
            .attributes()
            .for_each(|(key, value)| holds(&key, value.text().as_bytes()));
    }
    for span in spans.iter() {
        holds(SPAN_ID, span.head.span_id.as_bytes());
        each_value_of(span, holds);
    }
}

fn each_value_of(span: SpanRef<'_>, holds: &mut impl FnMut(&str, &[u8])) {
    span.view()
        .attributes()
        .for_each(|(key, value)| holds(&key, value.text().as_bytes()));
    for (kind, message) in summary::exceptions(span.view()) {
        kind.iter()
            .for_each(|kind| holds("exception.type", kind.as_bytes()));
        message
            .iter()
            .for_each(|message| holds("exception.message", message.as_bytes()));
    }
}
