//! Everything about a batch that needs no database: merging, summaries, packing, search records. Runs
//! on a thread of its own.

mod moved;

pub use moved::{Moving, move_rows};

use super::merge::{self, Frames};
use super::names::{Fresh, Names, key_number};
use super::packing::Repacked;
use super::rollups::Changes;
use super::stored::Stored;
use super::{ordered, records};
use crate::pack::{Dictionaries, Dictionary, Packer, ROW_BYTES_FULL, Unpacker, check32};
use crate::rollup::Rollups;
use crate::segment::{
    KeyFilter, OTHER, Record, RowSet, SPAN_ID, Segment, SegmentBuilder, TRACE_ID,
};
use crate::{Filed, Outcome, Part, StoreError, Written, summarize};
use hoplog_model::times::MINUTE;
use hoplog_model::{Summary, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use std::sync::Arc;

/// A batch for one partition.
#[derive(Debug)]
pub struct Job {
    /// The parts, each with the row its request has already.
    pub parts: Vec<(Arc<Part>, Option<Stored>)>,
    /// Of the partition.
    pub names: Names,
    /// Those that its rows are packed with.
    pub dictionaries: Arc<Dictionaries>,
    /// Spans after which a row takes no more.
    pub request_spans: u32,
}

/// The batch as rows of tables.
#[derive(Debug)]
pub struct Prepared {
    /// Of the partition, with what is new.
    pub names: Names,
    /// What of these is new.
    pub fresh: Fresh,
    /// The dictionary of all new frames.
    pub dictionary: Option<Arc<Dictionary>>,
    /// Rows that give way to merged ones.
    pub replaced_rows: Vec<i64>,
    /// New and merged rows by ordinal, each with the number of its interface.
    pub rows: Vec<(NewRow, i64)>,
    /// Further frames of large rows: request, number, frames.
    pub parts: Vec<(TraceId, i64, Vec<u8>)>,
    /// Requests that are left out, and since when.
    pub decisions: Vec<(TraceId, Outcome, UnixNanos)>,
    /// How the rows are found; none if the batch wrote no row.
    pub search: Option<Search>,
    /// By minute since 1970 and interface.
    pub rollups: Changes,
    /// 16 bytes trace id, 8 bytes position (big-endian) for each part.
    pub upto: Vec<u8>,
    /// The greatest of these positions.
    pub upto_max: u64,
    /// What became of the spans.
    pub written: Written,
    /// Rows gained.
    pub rows_gained: u64,
    /// Bytes of frames gained, less those that went.
    pub packed_bytes: i64,
    /// What rows are packed with.
    pub repacked: Repacked,
}

/// The search records of a batch's rows.
#[derive(Debug)]
pub struct Search {
    /// The segment's own line; its records and filters are in the other fields.
    pub segment: Segment,
    /// By number of the service, ascending: [`records`].
    pub records: Vec<(i64, Vec<u8>)>,
    /// By key, ascending.
    pub filters: Vec<FilterLine>,
}

/// A filter of the values of one key.
#[derive(Debug)]
pub struct FilterLine {
    /// [`key_number`].
    pub key: i64,
    /// Distinct values.
    pub values: u32,
    /// Least number among them.
    pub number_min: Option<f64>,
    /// Greatest number among them.
    pub number_max: Option<f64>,
    /// The filter.
    pub filter: Vec<u8>,
}

/// A row to be.
#[derive(Debug)]
pub struct NewRow {
    /// Its columns.
    pub summary: Summary,
    /// Those of its frames that stand in the row itself.
    pub frames: Vec<u8>,
    /// How many rows of `parts` it has.
    pub part_count: i64,
    /// [`check32`] of all frames, as a signed number: in SQLite that is shorter.
    pub check: i32,
}

/// What a batch comes to, request by request.
struct Work {
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
    repacked: Repacked,
}

/// Prepares a batch. `order` says in which order its rows are best written, as indices into them.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row that a part belongs to is damaged.
pub fn prepare(
    job: Job,
    order: impl FnOnce(&[(NewRow, i64)]) -> Vec<usize>,
) -> Result<Prepared, StoreError> {
    let mut work = Work::new(
        job.names,
        job.dictionaries,
        job.request_spans,
        job.parts.len(),
    );
    let mut upto = Vec::with_capacity(job.parts.len() * 24);
    let mut upto_max = 0;
    for (part, stored) in job.parts {
        let position = part.upto.to_u64();
        upto.extend_from_slice(part.trace_id.as_bytes());
        upto.extend_from_slice(&position.to_be_bytes());
        upto_max = upto_max.max(position);
        work.take(&part, stored)?;
    }
    Ok(work.finish(upto, upto_max, order))
}

impl Work {
    fn new(names: Names, dictionaries: Arc<Dictionaries>, request_spans: u32, rows: usize) -> Self {
        Self {
            request_spans,
            dictionary: dictionaries.current(),
            dictionaries,
            packer: Packer::new(),
            unpacker: Unpacker::new(),
            names,
            builder: SegmentBuilder::new(),
            rollups: Rollups::new(),
            rows: Vec::with_capacity(rows),
            parts: Vec::new(),
            decisions: Vec::new(),
            replaced_rows: Vec::new(),
            written: Written::default(),
            packed_bytes: 0,
            repacked: Repacked::default(),
        }
    }

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
        self.repacked.lose(stored.packed.row, &stored.packed.frames);
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
        self.repacked.gain(&frames.all);
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
    fn ordered_rows(
        &mut self,
        order: impl FnOnce(&[(NewRow, i64)]) -> Vec<usize>,
    ) -> Vec<(NewRow, i64)> {
        let rows = std::mem::take(&mut self.rows).into_iter();
        let rows: Vec<_> = rows
            .map(|row| {
                let interface = self.names.interface(&row.summary.interface);
                (row, interface)
            })
            .collect();
        let order = order(&rows);
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

    fn finish(
        mut self,
        upto: Vec<u8>,
        upto_max: u64,
        order: impl FnOnce(&[(NewRow, i64)]) -> Vec<usize>,
    ) -> Prepared {
        let rows = self.ordered_rows(order);
        let mut names = self.names;
        let search = (!rows.is_empty()).then(|| search(self.builder.finish(), &mut names));
        let rollups = rollups(self.rollups, &mut names);
        let fresh = names.take_fresh();
        names.bound();
        Prepared {
            names,
            fresh,
            dictionary: self.dictionary.filter(|_| !rows.is_empty()),
            rows_gained: (rows.len() - self.replaced_rows.len()) as u64,
            replaced_rows: self.replaced_rows,
            rows,
            parts: self.parts,
            decisions: self.decisions,
            search,
            rollups,
            upto,
            upto_max,
            written: self.written,
            packed_bytes: self.packed_bytes,
            repacked: self.repacked,
        }
    }
}

fn search(mut segment: Segment, names: &mut Names) -> Search {
    Search {
        filters: filters(&mut segment, names),
        records: records(&mut segment, names),
        segment,
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a length")
}

/// The search records by service. Several interfaces can have one number, that of [`OTHER`].
fn records(segment: &mut Segment, names: &mut Names) -> Vec<(i64, Vec<u8>)> {
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
    let records = services.into_iter();
    records
        .map(|(service, _, bytes)| (service, bytes))
        .collect()
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

fn filters(segment: &mut Segment, names: &mut Names) -> Vec<FilterLine> {
    let mut filters = std::mem::take(&mut segment.filters);
    filters.sort_by_cached_key(|filter| key_number(&filter.key));
    let line = |filter: KeyFilter| {
        if ![SPAN_ID, TRACE_ID, OTHER].contains(&filter.key.as_str()) {
            names.note_key(&filter.key);
        }
        FilterLine {
            key: key_number(&filter.key),
            values: filter.values,
            number_min: filter.number_min,
            number_max: filter.number_max,
            filter: filter.filter,
        }
    };
    filters.into_iter().map(line).collect()
}

fn rollups(rollups: Rollups, names: &mut Names) -> Changes {
    let mut changes: Changes = rollups
        .finish()
        .into_iter()
        .map(|(met, minute, delta)| ((ordered(minute / MINUTE), names.place(met).0), delta))
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
