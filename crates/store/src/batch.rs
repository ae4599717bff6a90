//! What the assembler hands to the store, and what it gets back.

use crate::StoreError;
use hoplog_model::{Position, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What a policy decided for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Row, search records and roll-ups.
    Keep,
    /// Roll-ups only; its spans count as left out in the books.
    CountOnly,
    /// Nothing; its spans count as left out in the books.
    Drop,
}

/// Some or all spans of one request, flushed together.
#[derive(Debug, Clone)]
pub struct Part {
    /// The request.
    pub trace_id: TraceId,
    /// Its spans: distinct by span id, never empty.
    pub spans: SpanSet,
    /// The last inbox position any of these spans (or their duplicates) came from.
    pub upto: Position,
    /// When the first of them was received.
    pub received_at: UnixNanos,
    /// What the policy says of it.
    pub outcome: Outcome,
    /// Spans received twice in this part, already taken out of `spans`.
    pub duplicates: u32,
    /// Spans over the request's cap, already taken out of `spans`; counted as left out.
    pub capped: u32,
}

/// Parts that become durable together: one transaction per partition, at most 512 parts.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    /// In any order; a trace id occurs at most once. Shared with the readers of open requests.
    pub parts: Vec<Arc<Part>>,
}

/// What became of the spans of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Spans that rows hold now and did not before.
    pub stored: u64,
    /// Spans that were there already, or came twice with different bytes (the better one is kept),
    /// including [`Part::duplicates`].
    pub duplicate: u64,
    /// Spans a policy or the cap left out.
    pub left_out: u64,
    /// Parts that were merged into a row written before.
    pub merged_rows: u64,
}

impl Written {
    /// Adds what became of others.
    pub fn add(&mut self, more: Written) {
        self.stored += more.stored;
        self.duplicate += more.duplicate;
        self.left_out += more.left_out;
        self.merged_rows += more.merged_rows;
    }
}

/// Totals of spans by what became of them, since ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Books {
    /// In rows, or in rows that retention has dropped since.
    pub stored: u64,
    /// Received again.
    pub duplicate: u64,
    /// Left out by a policy or a cap.
    pub left_out: u64,
}

impl Books {
    /// Adds other totals.
    pub fn add(&mut self, more: Books) {
        self.stored += more.stored;
        self.duplicate += more.duplicate;
        self.left_out += more.left_out;
    }

    /// The sum of all.
    pub fn total(&self) -> u64 {
        self.stored + self.duplicate + self.left_out
    }
}

/// How far the inbox has durably become rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Every span at a position before this one is in the store or left out by rule.
    pub position: Position,
    /// The inbox's own totals at that position, opaque to the store.
    pub inbox_totals: Vec<u8>,
}

/// A policy's decision to leave a request out, remembered so that its late spans follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// [`Outcome::CountOnly`] or [`Outcome::Drop`].
    pub outcome: Outcome,
    /// When it was made, by the batch's receive time.
    pub at: UnixNanos,
}

/// What the assembler must know to go on after a start.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// Where to read the inbox from.
    pub checkpoint: Checkpoint,
    /// For requests flushed from beyond the checkpoint: the last position taken. A span of that
    /// request at or before it is in the store already.
    pub upto: FxHashMap<TraceId, Position>,
    /// Requests left out within the last hour.
    pub decisions: FxHashMap<TraceId, Decision>,
    /// Totals of everything written so far.
    pub books: Books,
}

impl Recovery {
    /// Notes the parts of a batch: 16 bytes trace id, 8 bytes position (big-endian) each. Those from before the
    /// checkpoint do not matter.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes are something else.
    pub fn note_upto(&mut self, parts: &[u8]) -> Result<(), StoreError> {
        for part in parts.chunks(24) {
            let (id, upto) = part.split_at_checked(16).unwrap_or((part, &[]));
            let upto = upto.try_into().map(u64::from_be_bytes);
            let upto = upto.map_err(|_| StoreError::corrupt("upto requests", "cut short"))?;
            let upto = Position::from_u64(upto);
            if upto >= self.checkpoint.position {
                let id = crate::tables::trace_id(id)?;
                let known = self.upto.entry(id).or_insert(upto);
                *known = upto.max(*known);
            }
        }
        Ok(())
    }
}
