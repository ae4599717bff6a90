//! The store's contract: rows, search, traits, the memory store, the conformance suite.
//!
//! A store holds **one row per request**. [`SpanWriter`] takes batches of request parts from the
//! assembler, [`TraceReader`] answers, [`Maintenance`] keeps it small and checks it. Everything a
//! database does not have to do lives here, once for all databases: what a row is
//! ([`summarize`], [`pack`]), what is searched beside the rows ([`segment`]), how a search
//! walks segments ([`walk`]), whether a request matches ([`eval`]).

mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
pub mod eval;
pub mod filter;
pub mod memory;
mod open;
pub mod pack;
mod plan;
mod ranges;
pub mod retention;
pub mod rollup;
mod search;
pub mod segment;
pub mod statement;
mod stats;
pub mod summary;
pub mod tables;
mod traits;
pub mod walk;

pub use batch::{Books, Checkpoint, Decision, Outcome, Part, Recovery, WriteBatch, Written};
pub use error::StoreError;
pub use open::{Joined, OpenRequests};
pub use search::{
    Bounds, Cost, Cursor, HopExpr, HopTest, Page, Range, RequestExpr, RequestTest, Search, Sort,
    TextMatch, ValueMatch,
};
pub use stats::{StatRow, StatsQuery};
pub use summary::{Filed, summarize};
pub use traits::{
    CheckReport, DictionaryHealth, Difference, Maintenance, PartitionHealth, Pins, SharedReader,
    SpanWriter, Store, StoreHealth, TraceReader,
};

use hoplog_model::Summary;
use hoplog_otlp::SpanSet;
use std::sync::Arc;

/// A request as a reader gets it: its line and its spans, which always agree.
#[derive(Debug, Clone)]
pub struct StoredRequest {
    /// What search and lists show.
    pub summary: Summary,
    /// Every span held.
    pub spans: Arc<SpanSet>,
}
