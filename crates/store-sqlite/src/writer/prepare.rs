//! Everything about a batch that needs no database: merging, summaries, packing, search records. Runs
//! on a thread of its own, before the transaction.

use super::layout;
use super::merge::{self, Frames};
use crate::area::Area;
use crate::names::{Names, key_number};
use crate::records;
use crate::rollups::Changes;
use crate::rows::Stored;
use crate::sql::{self, Bulk};
use hoplog_model::times::MINUTE;
use hoplog_model::{RowId, Summary, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use hoplog_store::pack::{Dictionaries, Dictionary, Packer, ROW_BYTES_FULL, Unpacker, check32};
use hoplog_store::rollup::Rollups;
use hoplog_store::segment::{OTHER, Record, RowSet, SPAN_ID, Segment, SegmentBuilder, TRACE_ID};
use hoplog_store::{Filed, Outcome, Part, StoreError, Written, summarize};
use std::sync::Arc;

/// A batch for one partition.
#[derive(Debug)]
pub(crate) struct Job {
    /// The parts, each with the row its request has already.
    pub(crate) parts: Vec<(Arc<Part>, Option<Stored>)>,
    /// The number of the segment that this batch becomes.
    pub(crate) segment: i64,
    pub(crate) names: Names,
    pub(crate) dictionaries: Arc<Dictionaries>,
    /// Spans after which a row takes no more.
    pub(crate) request_spans: u32,
}

/// The batch as rows of tables.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) names: Names,
    /// The dictionary of all new frames.
    pub(crate) dictionary: Option<Arc<Dictionary>>,
    /// Rows that give way to merged ones.
    pub(crate) replaced_rows: Vec<i64>,
    /// Inserts in the order in which they are to be made.
    pub(crate) inserts: Vec<Bulk>,
    /// The segment's own line; none if the batch wrote no row.
    pub(crate) segment: Option<Segment>,
    /// By minute since 1970 and interface.
    pub(crate) rollups: Changes,
    pub(crate) upto: Vec<u8>,
    pub(crate) upto_max: u64,
    pub(crate) written: Written,
    /// Rows gained.
    pub(crate) rows: u64,
    /// Bytes of frames gained, less those that went.
    pub(crate) packed_bytes: i64,
}

/// A row to be.
pub(super) struct NewRow {
    pub(super) summary: Summary,
    frames: Vec<u8>,
    pub(super) part_count: i64,
    /// As a signed number it is shorter in SQLite.
    pub(super) check: i32,
}

impl NewRow {
    /// Bytes of the frames that stand in the row itself.
    pub(super) fn own_bytes(&self) -> usize {
        self.frames.len()
    }
}

/// What a batch comes to, request by request.
struct Work {
    segment: i64,
    request_spans: u32,
    dictionaries: Arc<Dictionaries>,
    dictionary: Option<Arc<Dictionary>>,
    packer: Packer,
    unpacker: Unpacker,
    names: Names,
    builder: SegmentBuilder,
    rollups: Rollups,
    rows: Vec<NewRow>,
    parts: Vec<(TraceId, i64, Vec<u8>)>,
    decisions: Vec<(TraceId, Outcome, UnixNanos)>,
    replaced_rows: Vec<i64>,
    written: Written,
    packed_bytes: i64,
}

/// Prepares a batch; fails only on damaged rows.
pub(crate) fn prepare(job: Job) -> Result<Prepared, StoreError> {
    let mut work = Work {
        segment: job.segment,
        request_spans: job.request_spans,
        dictionary: job.dictionaries.current(),
        dictionaries: job.dictionaries,
        packer: Packer::new(),
        unpacker: Unpacker::new(),
        names: job.names,
        builder: SegmentBuilder::new(),
        rollups: Rollups::new(),
        rows: Vec::with_capacity(job.parts.len()),
        parts: Vec::new(),
        decisions: Vec::new(),
        replaced_rows: Vec::new(),
        written: Written::default(),
        packed_bytes: 0,
    };
    let mut upto = Vec::with_capacity(job.parts.len() * 24);
    let mut upto_max = 0;
    for (part, stored) in job.parts {
        let position = part.upto.to_u64();
        upto.extend_from_slice(part.trace_id.as_bytes());
        upto.extend_from_slice(&position.to_be_bytes());
        upto_max = upto_max.max(position);
        work.take(&part, stored)?;
    }
    Ok(work.finish(upto, upto_max))
}

impl Work {
    fn take(&mut self, part: &Arc<Part>, stored: Option<Stored>) -> Result<(), StoreError> {
        self.written.duplicate += u64::from(part.duplicates);
        self.written.left_out += u64::from(part.capped);
        if part.outcome != Outcome::Keep {
            self.written.left_out += part.spans.len() as u64;
            self.decisions
                .push((part.trace_id, part.outcome, part.received_at));
            if part.outcome == Outcome::CountOnly {
                self.rollups.add(&mut self.names.met, &part.spans, true);
            }
            return Ok(());
        }
        match stored {
            Some(stored) => self.merge(part, stored),
            None => {
                self.insert(part);
                Ok(())
            }
        }
    }

    /// A request's first part.
    fn insert(&mut self, part: &Arc<Part>) {
        if part.spans.is_empty() {
            return;
        }
        let mut summary = summarize(part.trace_id, &part.spans);
        Filed::first(summary.started_at, part.received_at, part.capped).apply(&mut summary);
        self.written.stored += part.spans.len() as u64;
        let frames = self.pack(&summary, &part.spans);
        self.push(summary, frames);
    }

    /// Packs a new row, and notes for search and roll-ups what is in it.
    fn pack(&mut self, summary: &Summary, spans: &SpanSet) -> Frames {
        let ordinal = self.next_ordinal();
        let dictionary = self.dictionary.as_deref();
        let names = &mut self.names.met;
        if !merge::may_be_one_frame(spans) {
            self.builder.push(names, ordinal, summary, spans);
            self.rollups.add(names, spans, false);
            return merge::pack_chunks(&mut self.packer, dictionary, spans);
        }
        let mut packed = Vec::new();
        let packing = (&mut self.packer, dictionary);
        let row = (ordinal, summary, spans);
        self.builder
            .pack(names, row, packing, &mut self.rollups, &mut packed);
        Frames::one(packed)
            .unwrap_or_else(|| merge::pack_chunks(&mut self.packer, dictionary, spans))
    }

    /// A later part.
    fn merge(&mut self, part: &Part, stored: Stored) -> Result<(), StoreError> {
        let before = merge::unpack(&mut self.unpacker, &self.dictionaries, &stored)?;
        let filed = filed(&stored);
        let is_full =
            before.len() >= self.request_spans as usize || before.bytes() >= ROW_BYTES_FULL;
        let (spans, absorbed, capped) = if is_full {
            let refused = u32::try_from(part.spans.len()).unwrap_or(u32::MAX);
            self.written.left_out += u64::from(refused);
            (
                before,
                hoplog_otlp::Absorbed::default(),
                part.capped.saturating_add(refused),
            )
        } else {
            let mut spans = before;
            let absorbed = spans.absorb(&part.spans);
            (spans, absorbed, part.capped)
        };
        self.written.merged_rows += 1;
        self.written.stored += absorbed.added.len() as u64;
        self.written.duplicate += u64::from(absorbed.duplicates) + u64::from(absorbed.conflicts);
        let mut summary = summarize(part.trace_id, &spans);
        let later = filed.later(summary.started_at, &absorbed, capped);
        if later == filed && absorbed.added.is_empty() && absorbed.replaced.is_empty() {
            return Ok(());
        }
        later.apply(&mut summary);
        let names = &mut self.names.met;
        self.rollups.absorbed(names, &spans, &absorbed);
        self.replaced_rows.push(stored.packed.row.0);
        self.packed_bytes -= signed(stored.packed.frames.len());
        let dictionary = self.dictionary.as_deref();
        let frames = merge::repack(&mut self.packer, dictionary, &spans, &absorbed, stored);
        let ordinal = self.next_ordinal();
        self.builder
            .push(&mut self.names.met, ordinal, &summary, &spans);
        self.push(summary, frames);
        Ok(())
    }

    fn next_ordinal(&self) -> u16 {
        u16::try_from(self.rows.len()).expect("a batch is bounded")
    }

    fn push(&mut self, summary: Summary, frames: Frames) {
        self.packed_bytes += signed(frames.all.len());
        for (part, n) in frames.new_parts.iter().zip(frames.old_parts..) {
            self.parts
                .push((summary.trace_id, n, frames.all[part.clone()].to_vec()));
        }
        let check = check32(&frames.all).cast_signed();
        let part_count = frames.old_parts + i64::try_from(frames.new_parts.len()).expect("few");
        let mut own = frames.all;
        own.truncate(frames.own_bytes);
        self.rows.push(NewRow {
            summary,
            frames: own,
            part_count,
            check,
        });
    }

    /// The rows in the order in which they are written, each with the number of its interface.
    fn ordered_rows(&mut self) -> Vec<(NewRow, i64)> {
        let rows = std::mem::take(&mut self.rows).into_iter();
        let rows: Vec<_> = rows
            .map(|row| {
                let interface = self.names.interface(&row.summary.interface);
                (row, interface)
            })
            .collect();
        let sizes: Vec<usize> = rows
            .iter()
            .map(|(row, interface)| layout::size(row, *interface))
            .collect();
        let order = layout::fill_pages(&sizes);
        let mut ordinals = vec![0; order.len()];
        for (place, ordinal) in order.iter().zip(0..) {
            ordinals[*place] = ordinal;
        }
        self.builder.reorder(&ordinals);
        let mut rows: Vec<_> = rows.into_iter().map(Some).collect();
        order
            .into_iter()
            .filter_map(|place| rows[place].take())
            .collect()
    }

    fn finish(mut self, upto: Vec<u8>, upto_max: u64) -> Prepared {
        let rows = self.ordered_rows();
        let count = rows.len();
        let mut names = self.names;
        let mut parts = Bulk::new(&sql::PARTS, self.parts.len());
        for (trace_id, n, frames) in self.parts {
            parts
                .value(trace_id.as_bytes().to_vec())
                .value(n)
                .value(frames);
        }
        let mut decisions = Bulk::new(&sql::DECISIONS, self.decisions.len());
        for (trace_id, outcome, at) in self.decisions {
            let outcome = if outcome == Outcome::Drop {
                "drop"
            } else {
                "count_only"
            };
            decisions
                .value(trace_id.as_bytes().to_vec())
                .value(outcome)
                .value(sql::ordered(at));
        }
        let mut inserts = vec![requests(rows, self.segment), parts, decisions];
        let segment = (count > 0)
            .then(|| self.builder.finish())
            .map(|mut segment| {
                let mut area = Area::default();
                inserts.push(filters(self.segment, &mut segment, &mut names, &mut area));
                inserts.push(records(self.segment, &mut segment, &mut names, &mut area));
                inserts.push(area.into_rows(self.segment));
                segment
            });
        let rollups = rollups(self.rollups, &mut names);
        inserts.extend(names.take_fresh());
        names.bound();
        Prepared {
            names,
            dictionary: self.dictionary.filter(|_| count > 0),
            rows: (count - self.replaced_rows.len()) as u64,
            replaced_rows: self.replaced_rows,
            inserts,
            segment,
            rollups,
            upto,
            upto_max,
            written: self.written,
            packed_bytes: self.packed_bytes,
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a length")
}

fn requests(rows: Vec<(NewRow, i64)>, segment: i64) -> Bulk {
    let mut bulk = Bulk::new(&sql::REQUESTS, rows.len());
    for (
        (
            NewRow {
                summary,
                frames,
                part_count,
                check,
                ..
            },
            interface,
        ),
        ordinal,
    ) in rows.into_iter().zip(0..)
    {
        bulk.value(RowId::new(segment, ordinal).0)
            .value(summary.trace_id.as_bytes().to_vec())
            .value(sql::bits(summary.started_at))
            .value(sql::bits(summary.duration))
            .value(sql::bits(summary.extent))
            .value(interface)
            .value(i64::from(summary.status.to_wire()))
            .value(summary.code)
            .value(i64::from(summary.span_count))
            .value(i64::from(summary.hop_count))
            .value(i64::from(summary.service_count))
            .value(i64::from(summary.error_count))
            .value(i64::from(summary.flags.0))
            .value(i64::from(summary.capped_spans))
            .value(part_count)
            .value(i64::from(check))
            .value(frames);
    }
    bulk
}

/// The search records by service. Several interfaces can have one number, that of [`OTHER`].
fn records(number: i64, segment: &mut Segment, names: &mut Names, area: &mut Area) -> Bulk {
    let mut placed: Vec<((i64, i64), Record)> = std::mem::take(&mut segment.records)
        .into_iter()
        .map(|record| {
            let (interface, service) = names.place(record.interface);
            ((service, interface), record)
        })
        .collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.dedup_by(|next, first| {
        let is_same = next.0 == first.0;
        if is_same {
            join(&mut first.1, &next.1);
        }
        is_same
    });
    let mut services: Vec<(i64, i64, Vec<u8>)> = Vec::new();
    for ((service, interface), record) in placed {
        if services.last().is_none_or(|(last, ..)| *last != service) {
            services.push((service, 0, Vec::new()));
        }
        let (_, last, bytes) = services.last_mut().expect("one was just pushed");
        records::encode(interface, *last, &record, bytes);
        *last = interface;
    }
    let mut bulk = Bulk::new(&sql::RECORDS, services.len());
    for (service, _, bytes) in services {
        bulk.value(number >> sql::BIN_BITS)
            .value(service)
            .value(number);
        area.put(bytes).add_to(&mut bulk);
    }
    bulk
}

fn join(first: &mut Record, other: &Record) {
    let decode = |rows: &[u8]| RowSet::decode(rows).expect("encoded a moment ago");
    first.rows = decode(&first.rows).or(&decode(&other.rows)).encode();
    first.count += other.count;
    first.errors += other.errors;
    first.longest = first.longest.max(other.longest);
    let decode = |bytes: &[u8]| hoplog_model::Sketch::decode(bytes).expect("encoded a moment ago");
    let mut sketch = decode(&first.sketch);
    sketch.merge(&decode(&other.sketch));
    first.sketch.clear();
    sketch.encode(&mut first.sketch);
}

fn filters(number: i64, segment: &mut Segment, names: &mut Names, area: &mut Area) -> Bulk {
    let mut filters = std::mem::take(&mut segment.filters);
    filters.sort_by_cached_key(|filter| key_number(&filter.key));
    let mut bulk = Bulk::new(&sql::FILTERS, filters.len());
    for filter in filters {
        if ![SPAN_ID, TRACE_ID, OTHER].contains(&filter.key.as_str()) {
            names.note_key(&filter.key);
        }
        bulk.value(number >> sql::BIN_BITS)
            .value(key_number(&filter.key))
            .value(number)
            .value(i64::from(filter.values))
            .value(filter.number_min)
            .value(filter.number_max);
        area.put(filter.filter).add_to(&mut bulk);
    }
    bulk
}

fn rollups(rollups: Rollups, names: &mut Names) -> Changes {
    let mut changes: Changes = rollups
        .finish()
        .into_iter()
        .map(|(met, minute, delta)| ((sql::ordered(minute / MINUTE), names.place(met).0), delta))
        .collect();
    changes.sort_unstable_by_key(|(key, _)| *key);
    changes.dedup_by(|next, first| {
        let is_same = next.0 == first.0;
        if is_same {
            first.1.merge(&next.1);
        }
        is_same
    });
    changes
}

/// What was filed of a row.
fn filed(stored: &Stored) -> Filed {
    let packed = &stored.packed;
    Filed {
        started_at: packed.started_at,
        flags: hoplog_model::Flags(packed.flags.0 & Filed::FLAGS.0),
        capped_spans: packed.capped_spans,
    }
}
