//! What every store does. Each sentence with MUST is a case of the conformance suite.

use crate::retention::{Past, Retained};
use crate::tables::Step;
use crate::{
    Books, Checkpoint, Page, Recovery, Search, StatRow, StatsQuery, StoreError, StoredRequest,
    WriteBatch, Written,
};
use async_trait::async_trait;
use hoplog_model::{Interface, TraceId, UnixNanos};
use rustc_hash::FxHashSet;
use serde::Serialize;
use std::fmt::Debug;
use std::sync::Arc;

/// The way in: one caller at a time, the assembler's worker.
#[async_trait]
pub trait SpanWriter: Debug + Send + Sync {
    /// Writes the parts: rows, search records, roll-ups, `upto` positions, decisions and books, in one
    /// transaction per partition. MUST be all or nothing per partition; MUST merge a part into the
    /// row of its request if there is one, with the result equal to all spans at once; MUST NOT
    /// return before readers see the rows. Survives kill -9 after it returned; a power cut only
    /// after [`SpanWriter::checkpoint`].
    async fn write(&self, batch: WriteBatch) -> Result<Written, StoreError>;

    /// Makes everything written so far survive a power cut, then records `checkpoint` durably. MUST
    /// NOT record it before. True when recorded; false when it could not be done yet (a
    /// reader held the log): ask again later.
    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<bool, StoreError>;

    /// What was recorded, for a start.
    async fn recovery(&self) -> Result<Recovery, StoreError>;
}

/// The way out.
#[async_trait]
pub trait TraceReader: Debug + Send + Sync {
    /// A request by id, with all its spans. MUST answer from an index.
    async fn get(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, StoreError>;

    /// Those of these requests that have a row, so that open requests can be joined with them. MUST
    /// answer from an index, few statements for any number of ids; may leave out rows so old that
    /// the store does not look for them when a later part comes.
    async fn stored(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let mut stored = FxHashSet::default();
        for trace_id in trace_ids {
            if self.get(trace_id).await?.is_some() {
                stored.insert(*trace_id);
            }
        }
        Ok(stored)
    }

    /// A page of requests. MUST be exact and in exact order; MUST NOT scan what grows; MUST stop at
    /// the budget and say so.
    async fn search(&self, search: &Search) -> Result<Page, StoreError>;

    /// Roll-ups added up per interface and step, by interface then time. MUST NOT read rows.
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError>;

    /// Interfaces with spans that started within `[from, to)` (by partition: some may lie outside), at most
    /// `limit`, by name.
    async fn interfaces(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError>;

    /// Attribute keys in use, at most `limit`, by name; for suggestions.
    async fn keys(&self, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Totals of what was written.
    async fn books(&self) -> Result<Books, StoreError>;
}

/// Figures of a store for the Pipeline page and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StoreHealth {
    /// Partitions, oldest first: name, first instant, bytes, rows.
    pub partitions: Vec<PartitionHealth>,
    /// Bytes on disk in all.
    pub bytes: u64,
    /// Rows in all.
    pub rows: u64,
    /// Bytes of packed spans per span in the newest partition.
    pub packed_bytes_per_span: f64,
    /// Dictionaries in use.
    pub dictionaries: u64,
    /// Each of them, the oldest first.
    pub packing: Vec<DictionaryHealth>,
    /// Rows that were packed anew with a later dictionary, in the partitions that are there.
    pub repacked_rows: u64,
    /// Bytes of packed spans that this saved.
    pub repacked_saved_bytes: u64,
    /// Rows retention has dropped since ever.
    pub dropped_rows: u64,
    /// The same by reason. What was dropped before hoplog counted by reason is in none.
    pub retained: Retained,
    /// Requests that are kept by hand.
    pub pins: u64,
}

/// Figures of one dictionary.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DictionaryHealth {
    /// As in the headers of frames; 0 is none.
    pub id: u32,
    /// Since when it is in the store; 0 if it is not yet.
    pub added_at: UnixNanos,
    /// Bytes of spans a packed byte when it was trained, on rows it was not trained on; none of the one that
    /// ships.
    pub density_trained: Option<f64>,
    /// The same on the newest rows, of the one in use; none until it was measured.
    pub density_now: Option<f64>,
    /// Rows packed with it (by their first frame). Those written before they were counted are missing.
    pub rows: u64,
    /// Whether new rows are packed with it.
    pub is_current: bool,
}

/// Figures of one partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PartitionHealth {
    /// File name or table name.
    pub name: String,
    /// First instant it is for.
    pub from: UnixNanos,
    /// First instant it is no longer for.
    pub to: UnixNanos,
    /// Bytes on disk.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// Kinds of requests that retention has taken out of it.
    pub thinned: Past,
}

/// One thing `hoplog check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The request, where it is about one.
    pub trace_id: Option<TraceId>,
    /// What differs.
    pub what: String,
}

/// The result of a check of everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// Rows read.
    pub rows: u64,
    /// Spans in them.
    pub spans: u64,
    /// What is not as it must be; the first 1,000.
    pub differences: Vec<Difference>,
    /// Totals.
    pub books: Books,
}

/// Upkeep.
#[async_trait]
pub trait Maintenance: Debug + Send + Sync {
    /// Drops partitions past every age and thins those past some: rows that stay move, the old partition is
    /// dropped. Then drops the oldest until the size fits. A drop, never a delete: space comes free at once. MUST
    /// keep the books and the roll-ups of partitions that stay; MUST NOT drop a row that is pinned, unless the
    /// size fits in no other way; MUST NOT make a writer or reader wait while rows move. A partition that is
    /// being written to is left for the next time. Returns rows dropped.
    async fn retain(&self, now: UnixNanos) -> Result<u64, StoreError>;

    /// Trains and installs a better dictionary when there is enough to learn from. True if one was installed.
    async fn train(&self) -> Result<bool, StoreError>;

    /// Merges the filters of a group of segments, if one is complete and not merged yet: the same answers from fewer
    /// pages. True if there may be another one.
    async fn merge(&self) -> Result<bool, StoreError>;

    /// Packs some rows anew, a segment's at most, that were packed with another dictionary than the one in use.
    /// MUST change no answer, and be all or nothing. Is to be called again while there is more to do, with pauses
    /// in between: what it may take of a processor, the caller knows.
    async fn repack(&self) -> Result<Step, StoreError>;

    /// Gives back what merging and packing anew have freed, to the disk or to what is written next; a step that
    /// lets others in soon. MUST change no answer. True if there is more to give back.
    async fn give_back(&self) -> Result<bool, StoreError>;

    /// Closes everything; later calls fail. A store that is dropped without this loses nothing.
    async fn close(&self) -> Result<(), StoreError>;

    /// Figures.
    async fn health(&self) -> Result<StoreHealth, StoreError>;

    /// Reads everything and verifies it: every row decodes, its summary equals what its spans say,
    /// filters and records hold it, roll-ups and books add up. `progress` is told rows done and rows in all.
    async fn check(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError>;
}

/// Requests kept by hand, whatever their age. Nothing else is written on behalf of readers.
#[async_trait]
pub trait Pins: Debug + Send + Sync {
    /// Keeps a request, or (`is_kept` false) leaves it to its age again. It need not have a row yet. MUST be durable
    /// when it returns. True if that changes anything; [`StoreError::Invalid`] if [`PINS_MAX`](crate::retention::PINS_MAX)
    /// are kept already.
    async fn pin(
        &self,
        trace_id: TraceId,
        is_kept: bool,
        now: UnixNanos,
    ) -> Result<bool, StoreError>;

    /// Those of these requests that are kept by hand, whoever asked for it.
    async fn pinned(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError>;
}

/// All of it; everything above holds `Arc<dyn Store>` or the one role it needs.
pub trait Store: SpanWriter + TraceReader + Maintenance + Pins {}

impl<T: SpanWriter + TraceReader + Maintenance + Pins> Store for T {}

/// A reader shared by all who ask.
pub type SharedReader = Arc<dyn TraceReader>;
