//! What the answers need to know of the way in. The server implements it.

use hoplog_model::UnixNanos;
use serde::Serialize;
use std::fmt::Debug;
use tokio::sync::watch;

/// Where every span received went, since ever. `received` is the sum of the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BooksAnswer {
    /// Spans that arrived in requests that were answered.
    pub received: u64,
    /// In rows, or in rows that retention has dropped since.
    pub stored: u64,
    /// Received again.
    pub duplicate: u64,
    /// Left out by a policy or a cap.
    pub left_out: u64,
    /// Refused with a reason.
    pub rejected: u64,
    /// Put aside because they could not be processed.
    pub dead_lettered: u64,
    /// Acknowledged, but damaged on disk before they were in a row.
    pub lost: u64,
    /// Acknowledged, not yet in a row.
    pub waiting: u64,
}

impl BooksAnswer {
    /// Whether `received` is the sum of the rest.
    pub fn balances(&self) -> bool {
        let rest = [
            self.stored,
            self.duplicate,
            self.left_out,
            self.rejected,
            self.dead_lettered,
            self.lost,
            self.waiting,
        ];
        self.received == rest.iter().sum::<u64>()
    }
}

/// How often something happened, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// The reason: one word or a few joined by `_`, e.g. `zero_span_id`, `inbox_full`.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// One receiver's figures since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverLine {
    /// Its name, e.g. `otlp-grpc`.
    pub receiver: String,
    /// The address it listens on; empty if it does not listen.
    pub address: String,
    /// Export requests answered.
    pub requests: u64,
    /// Bytes of them, decompressed.
    pub bytes: u64,
    /// Spans in them.
    pub received: u64,
    /// Spans of them refused.
    pub rejected: u64,
    /// Export requests told to retry or refused whole.
    pub refused: u64,
}

/// The state of the way in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PipelineReport {
    /// A line per receiver.
    pub receivers: Vec<ReceiverLine>,
    /// Spans rejected, by reason, since the start of the process.
    pub rejected: Vec<ReasonCount>,
    /// Export requests refused or slowed, by reason, since the start.
    pub overloads: Vec<ReasonCount>,
    /// Requests in memory that are not rows yet.
    pub open_requests: u64,
    /// Bytes they take.
    pub open_bytes: u64,
    /// Bytes of inbox files on disk.
    pub inbox_bytes: u64,
    /// Inbox records that are damaged and were passed over.
    pub inbox_damaged: u64,
    /// Later parts of requests that were merged into the row of an earlier part, since the start.
    pub rows_merged: u64,
    /// When the newest span that readers can see was received; none if nothing was yet.
    pub newest_committed: Option<UnixNanos>,
}

/// The way in, as readers see it. Calls are cheap and do no I/O.
pub trait Pipeline: Debug + Send + Sync {
    /// The books.
    fn books(&self) -> BooksAnswer;

    /// Figures of every part.
    fn report(&self) -> PipelineReport;

    /// Ok when everything acknowledged before the start is readable and exports are taken; else
    /// why not, in one English sentence.
    fn ready(&self) -> Result<(), String>;

    /// A number that changes whenever there may be something new to read.
    fn commits(&self) -> watch::Receiver<u64>;
}
