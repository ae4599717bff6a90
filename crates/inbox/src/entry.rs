//! What goes in and what comes out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hoplog_model::Position;
use serde::{Deserialize, Serialize};

/// How many receivers are counted apart: 0 is OTLP/gRPC, 1 is OTLP/HTTP.
pub const RECEIVERS: usize = 2;

/// One export request, as a receiver hands it in.
#[derive(Clone)]
pub struct Entry {
    /// Which receiver took it: 0 OTLP/gRPC, 1 OTLP/HTTP. Less than [`RECEIVERS`].
    pub receiver: u8,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_at: u64,
    /// How many of its spans were accepted.
    pub accepted: u32,
    /// How many of its spans were rejected, to balance the books: readers do nothing with them.
    pub rejected: u32,
    /// The export request: protobuf, not compressed.
    pub payload: Bytes,
    /// What the receiver has already parsed, handed to readers so that nothing is parsed twice.
    /// `None` when the record was read from disk.
    pub extra: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a record costs in memory beside its payload.
const ENTRY_OVERHEAD: usize = 256;

impl Entry {
    /// What it is reckoned to hold in memory, in bytes. `extra` holds slices of the payload and a
    /// table of them; half the payload again is on the safe side for spans of the usual size.
    pub(crate) fn weight(&self) -> usize {
        let parsed = if self.extra.is_some() {
            self.payload.len() / 2
        } else {
            0
        };
        self.payload.len() + parsed + ENTRY_OVERHEAD
    }
}

impl fmt::Debug for Entry {
    // Without the payload: it holds what users' services said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("receiver", &self.receiver)
            .field("received_at", &self.received_at)
            .field("accepted", &self.accepted)
            .field("rejected", &self.rejected)
            .field("payload_bytes", &self.payload.len())
            .field("parsed", &self.extra.is_some())
            .finish()
    }
}

/// One durable record, as a reader gets it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Where the record stands. Positions rise from record to record and are never used again.
    pub position: Position,
    /// Just behind the record: the checkpoint when nothing up to and with this record is open.
    pub next: Position,
    /// Counts records since ever, from 0.
    pub sequence: u64,
    /// The spans of all records before this one since ever: what [`crate::Inbox::totals_at`]
    /// would say for `position`.
    pub before: Totals,
    /// The request.
    pub entry: Entry,
}

/// Spans counted by one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Spans accepted.
    pub accepted: u64,
    /// Spans rejected.
    pub rejected: u64,
}

/// Spans counted per receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// By [`Entry::receiver`].
    pub receivers: [Counts; RECEIVERS],
}

/// What is counted before a place in the inbox: what a checkpoint records of it.
///
/// As JSON it is that of [`Totals`] with one field more; older checkpoints, which have only those,
/// read as one without losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The spans of all records before it, since ever, readable or not.
    #[serde(flatten)]
    pub totals: Totals,
    /// Those of them whose records could not be read when they were to be handed out.
    #[serde(default)]
    pub lost: Totals,
}

impl Totals {
    /// Accepted spans of all receivers.
    pub fn accepted(&self) -> u64 {
        self.receivers.iter().map(|counts| counts.accepted).sum()
    }

    /// Rejected spans of all receivers.
    pub fn rejected(&self) -> u64 {
        self.receivers.iter().map(|counts| counts.rejected).sum()
    }

    /// Spans of all receivers, accepted or rejected.
    pub fn spans(&self) -> u64 {
        self.accepted() + self.rejected()
    }

    /// These totals with one record more.
    #[must_use]
    pub fn plus(mut self, receiver: u8, accepted: u32, rejected: u32) -> Totals {
        if let Some(counts) = self.receivers.get_mut(usize::from(receiver)) {
            counts.accepted = counts.accepted.saturating_add(u64::from(accepted));
            counts.rejected = counts.rejected.saturating_add(u64::from(rejected));
        }
        self
    }

    /// What was counted after `earlier`; 0 where `earlier` is greater.
    #[must_use]
    pub fn since(mut self, earlier: &Totals) -> Totals {
        for (counts, before) in self.receivers.iter_mut().zip(&earlier.receivers) {
            counts.accepted = counts.accepted.saturating_sub(before.accepted);
            counts.rejected = counts.rejected.saturating_sub(before.rejected);
        }
        self
    }

    /// The sum of both.
    #[must_use]
    pub fn and(mut self, other: &Totals) -> Totals {
        for (counts, more) in self.receivers.iter_mut().zip(&other.receivers) {
            counts.accepted = counts.accepted.saturating_add(more.accepted);
            counts.rejected = counts.rejected.saturating_add(more.rejected);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_what_was_written_before_losses_were() {
        let totals = Totals::default().plus(0, 7, 1).plus(1, 5, 0);
        let old = serde_json::to_string(&totals).unwrap();
        let account: Account = serde_json::from_str(&old).unwrap();
        let lost = Totals::default();
        assert_eq!(account, Account { totals, lost });

        let lost = Totals::default().plus(1, 5, 0);
        let new = serde_json::to_string(&Account { totals, lost }).unwrap();
        let account: Account = serde_json::from_str(&new).unwrap();
        assert_eq!(account, Account { totals, lost });
        let by_older: Totals = serde_json::from_str(&new).unwrap();
        assert_eq!(by_older, totals, "and the other way round");
    }
}
