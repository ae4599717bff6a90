//! What was refused, rejected and repaired since the start.

use crate::refusal::Refusal;
use hoplog_otlp::{Reason, Rejected};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Figures since the process started; totals of spans since ever are the inbox's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiveStats {
    /// Requests taken, by receiver: OTLP/gRPC, OTLP/HTTP.
    pub requests: [u64; 2],
    /// Bytes of them, decompressed, by receiver.
    pub bytes: [u64; 2],
    /// Requests refused as a whole, by receiver.
    pub refusals: [u64; 2],
    /// Requests refused as a whole, by reason, with the last explanation given.
    pub refused: BTreeMap<&'static str, RefusalCount>,
    /// Spans rejected, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// OTLP/JSON fields that were not as the specification says and were understood all the same.
    pub repaired: u64,
    /// Times a sender was slowed down because the assembler was behind.
    pub slowed: u64,
    /// Refused requests that were still being sent when they were answered, because many others were
    /// being read to their end already: the connection was closed on their senders.
    pub cut_off: u64,
}

/// How often, and what the last one was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalCount {
    /// Requests.
    pub count: u64,
    /// The last explanation.
    pub last: String,
}

/// The counters behind [`ReceiveStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<ReceiveStats>);

impl Counters {
    fn change(&self, change: impl FnOnce(&mut ReceiveStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn taken(&self, receiver: u8, bytes: usize, rejected: &Rejected) {
        self.change(|stats| {
            stats.requests[usize::from(receiver)] += 1;
            stats.bytes[usize::from(receiver)] += bytes as u64;
            if rejected.total() > 0 {
                for reason in Reason::ALL {
                    let count = u64::from(rejected.count(reason));
                    if count > 0 {
                        *stats.rejected.entry(reason.as_str()).or_default() += count;
                    }
                }
            }
        });
    }

    pub(crate) fn refused(&self, receiver: u8, refusal: &Refusal) {
        self.change(|stats| {
            stats.refusals[usize::from(receiver)] += 1;
            let counted = stats.refused.entry(refusal.reason()).or_default();
            counted.count += 1;
            counted.last = refusal.to_string();
        });
    }

    pub(crate) fn repaired(&self, count: u64) {
        if count > 0 {
            self.change(|stats| stats.repaired += count);
        }
    }

    pub(crate) fn slowed(&self) {
        self.change(|stats| stats.slowed += 1);
    }

    pub(crate) fn cut_off(&self) {
        self.change(|stats| stats.cut_off += 1);
    }

    pub(crate) fn snapshot(&self) -> ReceiveStats {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
