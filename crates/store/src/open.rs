//! Open requests: those still in the assembler's memory, which are part of every answer.

use crate::StoredRequest;
use hoplog_model::{TraceId, UnixNanos};
use std::fmt::Debug;

/// The assembler's requests that are not in the store yet, as readers see them.
///
/// A request being flushed stays visible here until the store has it: a reader never finds a
/// request in neither.
pub trait OpenRequests: Debug + Send + Sync {
    /// The open part of a request. Its summary carries [`hoplog_model::Flags::OPEN`].
    fn get(&self, trace_id: &TraceId) -> Option<StoredRequest>;

    /// Trace ids of all open requests that started within `[from, to)` as far as known,
    /// each with its start so far. No order.
    fn list(&self, from: UnixNanos, to: UnixNanos) -> Vec<(TraceId, UnixNanos)>;
}

mod joined;
pub use joined::Joined;
