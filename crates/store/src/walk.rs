//! The search algorithm, the same over every database.
//!
//! A database offers its partitions as [`SegmentSource`]s; [`walk()`] visits their segments best
//! first, asks heads, filters and records which rows may match, opens only those in
//! the order of the answer, and verifies each on its spans. What it returns is exact.

mod fetch;
mod needle;
mod partition;
mod progress;

use crate::pack::{Dictionaries, Unpacker};
use crate::segment::{Damaged, Outline, RowSet};
use crate::tables::records;
use crate::{Filed, Page, Search, Sort, StoreError, StoredRequest, summarize};
use async_trait::async_trait;
use hoplog_model::{Clock, Flags, Interface, RowId, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use progress::Walk;
use rustc_hash::FxHashSet;
use std::fmt::Debug;
use std::sync::Arc;

/// Most requests in one page.
const LIMIT_MAX: usize = 1_000;

/// What a whole partition spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBounds {
    /// Least start of any row, in Unix nanoseconds.
    pub min_start: UnixNanos,
    /// Greatest start of any row.
    pub max_start: UnixNanos,
    /// Greatest duration of any row, in nanoseconds.
    pub max_duration: u64,
    /// Greatest extent of any row; [`u64::MAX`] if it is not known.
    pub max_extent: u64,
    /// The greatest segment number so far.
    pub newest: i64,
}

/// A segment's line in its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLine {
    /// Its number.
    pub segment: i64,
    /// Least start of its rows.
    pub min_start: UnixNanos,
    /// Greatest start of its rows.
    pub max_start: UnixNanos,
    /// Least duration of its rows.
    pub min_duration: u64,
    /// Greatest duration of its rows.
    pub max_duration: u64,
    /// Greatest extent of its rows; [`u64::MAX`] if it is not known.
    pub max_extent: u64,
    /// [`crate::segment::Segment::heads`].
    pub heads: Vec<u8>,
}

impl RecordRow {
    /// An entry of a segment's records, if its interface is wanted.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is none.
    pub fn read(
        segment: i64,
        entry: Result<records::Entry<'_>, Damaged>,
        wanted: &FxHashSet<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let damaged = |why| StoreError::corrupt(format!("records of segment {segment}"), why);
        let entry = entry.map_err(damaged)?;
        if !wanted.contains(&entry.interface) {
            return Ok(None);
        }
        let (count, longest) = entry.count_and_longest().map_err(damaged)?;
        Ok(Some(Self {
            interface: entry.interface,
            segment,
            rows: entry.rows.to_vec(),
            count,
            errors: entry.errors,
            longest,
        }))
    }
}

/// What is asked of the filters of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The key.
    pub key: String,
    /// Hashes of the values asked for.
    pub hashes: Vec<u64>,
}

/// A segment as an index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentBounds {
    /// Its number.
    pub segment: i64,
    /// Its greatest start or duration, by how the search sorts.
    pub key: u64,
    /// Least start of its rows.
    pub min_start: UnixNanos,
    /// Greatest start of its rows.
    pub max_start: UnixNanos,
}

/// One [`crate::segment::Record`] as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The interface, by the number [`SegmentSource::interfaces`] gives it.
    pub interface: i64,
    /// The segment.
    pub segment: i64,
    /// [`crate::segment::Record::rows`].
    pub rows: Vec<u8>,
    /// Spans.
    pub count: u32,
    /// Those with status error.
    pub errors: u32,
    /// The longest, in nanoseconds.
    pub longest: u64,
}

/// What one [`crate::segment::KeyFilter`] says of what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterRow {
    /// Index into the probes.
    pub key: usize,
    /// The segment.
    pub segment: i64,
    /// The rows that may have a value, by its hash; values that none has are missing.
    pub hits: Vec<(u64, RowSet)>,
    /// [`crate::segment::KeyFilter::number_min`], or less.
    pub number_min: Option<f64>,
    /// [`crate::segment::KeyFilter::number_max`], or more.
    pub number_max: Option<f64>,
}

impl FilterRow {
    /// Asks a filter. `key` is the probe of its key, `numbers` the least and greatest of its values.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is none.
    pub fn read(
        probes: &[Probe],
        key: usize,
        segment: i64,
        filter: &[u8],
        numbers: (Option<f64>, Option<f64>),
    ) -> Result<Self, StoreError> {
        let mut hits = Vec::new();
        for hash in &probes[key].hashes {
            let rows = crate::filter::rows(filter, *hash).map_err(|why| {
                let at = format!("filters segment {segment}, key {}", probes[key].key);
                StoreError::corrupt(at, why)
            })?;
            if !rows.is_empty() {
                hits.push((*hash, rows));
            }
        }
        Ok(Self {
            key,
            segment,
            hits,
            number_min: numbers.0,
            number_max: numbers.1,
        })
    }

    /// The rows that may have the value of this hash, which was asked for.
    pub fn rows(&self, hash: u64) -> RowSet {
        let hit = self.hits.iter().find(|(of, _)| *of == hash);
        hit.map_or_else(RowSet::new, |(_, rows)| *rows)
    }
}

/// A row as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRow {
    /// Its number.
    pub row: RowId,
    /// Its request.
    pub trace_id: TraceId,
    /// The start by which it is found.
    pub started_at: UnixNanos,
    /// Of its flags at least those that its spans do not tell.
    pub flags: Flags,
    /// Spans left out because of the cap.
    pub capped_spans: u32,
    /// All its frames one after the other, those of its parts included.
    pub frames: Vec<u8>,
}

/// One partition, as a search reads it. What is returned is committed; what `segments` and `since`
/// return stays complete: its records, filters and interfaces are visible to later calls.
#[async_trait]
pub trait SegmentSource: Debug + Send + Sync {
    /// What the partition spans; none if it has no segment. May be wider than the truth.
    async fn bounds(&self) -> Result<Option<PartitionBounds>, StoreError>;

    /// At most `n` segments with a row that may start within `[from, to)` (`min_start < to`,
    /// `max_start >= from`), each with its greatest key (`max_start` or `max_duration`, by `sort`), by that key
    /// descending, then by number descending; with `below` only those after that pair.
    async fn segments(
        &self,
        sort: Sort,
        from: UnixNanos,
        to: UnixNanos,
        below: Option<(u64, i64)>,
        n: usize,
    ) -> Result<Vec<SegmentBounds>, StoreError>;

    /// Segments with a number greater than `segment`, ascending, at most `n`. Asked only when rows
    /// moved while a search ran.
    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentBounds>, StoreError>;

    /// Of these segments the number, [`SegmentLine::max_extent`] and [`crate::segment::Segment::heads`], in any order.
    async fn heads(&self, segments: &[i64]) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError>;

    /// Every interface of the partition with its number. MUST hold all that the segments
    /// returned before use; a cache must be refreshed for that.
    async fn interfaces(&self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError>;

    /// The records of these interfaces in these segments, in any order; pairs without record are missing.
    async fn records(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<Vec<RecordRow>, StoreError>;

    /// What is known of these interfaces in those of these segments whose search records are merged: these segments,
    /// and the outlines, in any order. An interface without outline has no span in the segment.
    async fn outlines(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<(Vec<i64>, Vec<Outline>), StoreError>;

    /// What the filters of these segments say, in any order; a pair without filter is
    /// missing: the key does not occur in the segment.
    async fn filters(
        &self,
        probes: &[Probe],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError>;

    /// These rows, in any order. A row that is no longer there, because it was merged into a later
    /// segment, is missing.
    async fn rows(&self, rows: &[RowId]) -> Result<Vec<PackedRow>, StoreError>;
}

impl PackedRow {
    /// Unpacks the row: the request, and the bytes that took.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the frames are not what was packed.
    pub fn open(
        &self,
        dictionaries: &Dictionaries,
        unpacker: &mut Unpacker,
    ) -> Result<(StoredRequest, u64), StoreError> {
        let mut raw = Vec::new();
        let frames = self.raw(dictionaries, unpacker, &mut raw)?;
        Ok((self.read(&raw, frames)?, raw.len() as u64))
    }

    /// Leaves the OTLP `TracesData` of the row in `raw`; returns how many frames it came from.
    fn raw(
        &self,
        dictionaries: &Dictionaries,
        unpacker: &mut Unpacker,
        raw: &mut Vec<u8>,
    ) -> Result<usize, StoreError> {
        raw.clear();
        let frames = unpacker.raw(dictionaries, &self.frames, raw);
        frames.map_err(|what| self.corrupt(what))
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::corrupt(format!("requests row {} spans", self.row.0), what)
    }

    /// The request, of what [`PackedRow::raw`] left and returned.
    fn read(&self, raw: &[u8], frames: usize) -> Result<StoredRequest, StoreError> {
        let (trace_id, mut spans) = SpanSet::read_traces(raw).map_err(|what| self.corrupt(what))?;
        if frames > 1 {
            spans.dedupe();
        }
        if trace_id != Some(self.trace_id) {
            return Err(self.corrupt("spans of another request"));
        }
        let mut summary = summarize(self.trace_id, &spans);
        let filed = Filed {
            started_at: self.started_at,
            flags: Flags(self.flags.0 & Filed::FLAGS.0),
            capped_spans: self.capped_spans,
        };
        filed.apply(&mut summary);
        Ok(StoredRequest {
            summary,
            spans: Arc::new(spans),
        })
    }
}

/// Answers a search over partitions, in any order of theirs.
///
/// The page is exact and in exact order. A request that stands in two partitions is listed once,
/// by the part that comes first among those that match. Rows that move to a later segment
/// while the search runs are found there. The budget is kept but for rows of one and the same key,
/// which are always looked at together: a cursor cannot stand between them.
///
/// # Errors
/// What the sources say; [`StoreError::Corrupt`] for data that cannot be read,
/// [`StoreError::Invalid`] for a limit out of range.
pub async fn walk(
    sources: &[Arc<dyn SegmentSource>],
    dictionaries: &Dictionaries,
    clock: &dyn Clock,
    search: &Search,
) -> Result<Page, StoreError> {
    if !(1..=LIMIT_MAX).contains(&search.limit) {
        return Err(StoreError::Invalid(format!(
            "a page has 1 to {LIMIT_MAX} requests"
        )));
    }
    Walk::start(sources, dictionaries, clock, search)
        .await?
        .run()
        .await
}

#[cfg(test)]
mod tests;
