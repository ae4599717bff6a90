//! A partition in memory, which merges later parts as databases do.

use super::super::{
    FilterRow, PackedRow, PartitionBounds, Probe, RecordRow, SegmentBounds, SegmentLine,
    SegmentSource,
};
use crate::pack::{Dictionaries, Packer, Unpacker};
use crate::segment::{KeyFilter, Names, Outline, Segment, SegmentBuilder};
use crate::{Filed, Sort, StoreError, StoredRequest, summarize};
use async_trait::async_trait;
use hoplog_model::{Flags, Interface, RowId, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One partition. Later parts move their row to the segment that brings them.
#[derive(Debug, Default)]
pub(super) struct MemoryPartition {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    interfaces: Vec<(i64, Interface)>,
    segments: Vec<SegmentLine>,
    records: Vec<RecordRow>,
    filters: Vec<(i64, KeyFilter)>,
    rows: BTreeMap<RowId, PackedRow>,
    by_trace: BTreeMap<TraceId, RowId>,
    /// Flushed when rows are read next: what a writer does meanwhile.
    meanwhile: Vec<(TraceId, SpanSet)>,
}

impl MemoryPartition {
    /// Writes one batch.
    pub(super) fn flush(&self, parts: &[(TraceId, SpanSet)]) {
        self.state.lock().unwrap().flush(parts);
    }

    /// Writes one batch as soon as someone reads rows.
    pub(super) fn flush_meanwhile(&self, parts: Vec<(TraceId, SpanSet)>) {
        self.state.lock().unwrap().meanwhile = parts;
    }

    /// Every request.
    pub(super) fn all(&self) -> Vec<StoredRequest> {
        let rows = &self.state.lock().unwrap().rows;
        let (plain, mut unpacker) = (Dictionaries::plain(), Unpacker::new());
        rows.values()
            .map(|row| row.open(&plain, &mut unpacker).unwrap().0)
            .collect()
    }

    /// Heads that point at no row.
    pub(super) fn dangling(&self) -> usize {
        let state = self.state.lock().unwrap();
        let heads = state.segments.iter().map(|segment| &segment.heads);
        let named: usize = heads
            .map(|heads| crate::segment::heads(heads).unwrap().rows.len())
            .sum();
        named - state.rows.len()
    }
}

impl State {
    fn flush(&mut self, parts: &[(TraceId, SpanSet)]) {
        let number = i64::try_from(self.segments.len()).unwrap() + 1;
        let (mut builder, mut names) = (SegmentBuilder::new(), Names::default());
        for (ordinal, (trace_id, part)) in (0..).zip(parts) {
            let old = self
                .by_trace
                .get(trace_id)
                .and_then(|row| self.rows.remove(row));
            let mut spans = SpanSet::new();
            let mut flags = Flags::default();
            if let Some(old) = old {
                let plain = Dictionaries::plain();
                spans = (*old.open(&plain, &mut Unpacker::new()).unwrap().0.spans).clone();
                flags = Flags::LATE_PART;
            }
            spans.absorb(part);
            let mut summary = summarize(*trace_id, &spans);
            Filed {
                flags,
                started_at: summary.started_at,
                capped_spans: 0,
            }
            .apply(&mut summary);
            builder.push(&mut names, ordinal, &summary, &spans);
            let mut frames = Vec::new();
            Packer::new().pack(None, &spans, &mut frames);
            let row = RowId::new(number, ordinal);
            self.by_trace.insert(*trace_id, row);
            let (trace_id, started_at) = (*trace_id, summary.started_at);
            self.rows.insert(
                row,
                PackedRow {
                    row,
                    trace_id,
                    started_at,
                    flags,
                    capped_spans: 0,
                    frames,
                },
            );
        }
        self.add(number, builder.finish(), &names);
    }

    fn add(&mut self, number: i64, segment: Segment, names: &Names) {
        if self.interfaces.is_empty() {
            self.interfaces.push((1, crate::statement::counted()));
        }
        self.segments.push(SegmentLine {
            segment: number,
            min_start: segment.min_start,
            max_start: segment.max_start,
            min_duration: segment.min_duration,
            max_duration: segment.max_duration,
            max_extent: segment.max_extent,
            heads: segment.heads,
        });
        for record in segment.records {
            let named = &names.interfaces()[record.interface as usize];
            let known = self.interfaces.iter().find(|(_, known)| known == named);
            let interface = known.map(|(number, _)| *number);
            let interface = interface.unwrap_or_else(|| {
                let number = i64::try_from(self.interfaces.len()).unwrap() + 1;
                self.interfaces.push((number, named.clone()));
                number
            });
            self.records.push(RecordRow {
                interface,
                segment: number,
                rows: record.rows,
                count: record.count,
                errors: record.errors,
                longest: record.longest,
            });
        }
        self.filters
            .extend(segment.filters.into_iter().map(|filter| (number, filter)));
    }
}

#[async_trait]
impl SegmentSource for MemoryPartition {
    async fn bounds(&self) -> Result<Option<PartitionBounds>, StoreError> {
        let segments = &self.state.lock().unwrap().segments;
        let of = |key: fn(&SegmentLine) -> u64| segments.iter().map(key);
        let Some(min_start) = of(|segment| segment.min_start).min() else {
            return Ok(None);
        };
        Ok(Some(PartitionBounds {
            min_start,
            max_start: of(|segment| segment.max_start).max().unwrap(),
            max_duration: of(|segment| segment.max_duration).max().unwrap(),
            max_extent: of(|segment| segment.max_extent).max().unwrap(),
            newest: segments
                .iter()
                .map(|segment| segment.segment)
                .max()
                .unwrap(),
        }))
    }

    async fn segments(
        &self,
        sort: Sort,
        from: UnixNanos,
        to: UnixNanos,
        below: Option<(u64, i64)>,
        n: usize,
    ) -> Result<Vec<SegmentBounds>, StoreError> {
        let place = |segment: &SegmentLine| match sort {
            Sort::Newest => (segment.max_start, segment.segment),
            Sort::Slowest => (segment.max_duration, segment.segment),
        };
        let mut found = self.state.lock().unwrap().segments.clone();
        found.retain(|segment| segment.min_start < to && segment.max_start >= from);
        found.retain(|segment| below.is_none_or(|below| place(segment) < below));
        found.sort_unstable_by_key(|segment| std::cmp::Reverse(place(segment)));
        found.truncate(n);
        Ok(found
            .iter()
            .map(|segment| bounds(segment, place(segment).0))
            .collect())
    }

    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentBounds>, StoreError> {
        let segments = &self.state.lock().unwrap().segments;
        let newer = segments.iter().filter(|known| known.segment > segment);
        let newer = newer.take(n);
        Ok(newer.map(|known| bounds(known, known.max_start)).collect())
    }

    async fn heads(&self, segments: &[i64]) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError> {
        let known = &self.state.lock().unwrap().segments;
        let asked = known
            .iter()
            .filter(|known| segments.contains(&known.segment));
        Ok(asked
            .map(|known| (known.segment, known.max_extent, known.heads.clone()))
            .collect())
    }

    async fn interfaces(&self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
        Ok(Arc::new(self.state.lock().unwrap().interfaces.clone()))
    }

    async fn records(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<Vec<RecordRow>, StoreError> {
        let mut found = self.state.lock().unwrap().records.clone();
        found.retain(|record| {
            interfaces.contains(&record.interface) && segments.contains(&record.segment)
        });
        Ok(found)
    }

    async fn outlines(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<(Vec<i64>, Vec<Outline>), StoreError> {
        // As if every other group of two were merged.
        let known: Vec<i64> = segments.iter().copied().filter(|of| of & 2 == 0).collect();
        let outline = |record: RecordRow| Outline {
            interface: record.interface,
            segment: record.segment,
            has_errors: record.errors > 0,
            longest: record.longest,
        };
        let found = self.records(interfaces, &known).await?;
        Ok((known, found.into_iter().map(outline).collect()))
    }

    async fn filters(
        &self,
        probes: &[Probe],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError> {
        let state = self.state.lock().unwrap();
        let found = state
            .filters
            .iter()
            .filter(|(segment, _)| segments.contains(segment));
        let rows = found.filter_map(|(segment, filter)| {
            let key = probes.iter().position(|probe| probe.key == filter.key)?;
            let numbers = (filter.number_min, filter.number_max);
            Some(FilterRow::read(probes, key, *segment, &filter.filter, numbers).unwrap())
        });
        Ok(rows.collect())
    }

    async fn rows(&self, rows: &[RowId]) -> Result<Vec<PackedRow>, StoreError> {
        let mut state = self.state.lock().unwrap();
        let meanwhile = std::mem::take(&mut state.meanwhile);
        if !meanwhile.is_empty() {
            state.flush(&meanwhile);
        }
        Ok(rows
            .iter()
            .filter_map(|row| state.rows.get(row).cloned())
            .collect())
    }
}

fn bounds(segment: &SegmentLine, key: u64) -> SegmentBounds {
    SegmentBounds {
        segment: segment.segment,
        key,
        min_start: segment.min_start,
        max_start: segment.max_start,
    }
}
