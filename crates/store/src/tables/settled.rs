//! Parts of a batch that failed elsewhere, but were written: a batch is a transaction for each of its
//! partitions, and is tried again as a whole.

use crate::{Part, Written};
use hoplog_model::{Position, TraceId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What need not be written when a batch comes again.
#[derive(Debug, Default)]
pub struct Settled {
    parts: FxHashMap<TraceId, Position>,
    /// What these came to.
    written: Written,
}

impl Settled {
    /// Of these parts, those that are written already, and the others.
    pub fn split(&self, parts: Vec<Arc<Part>>) -> (Vec<Arc<Part>>, Vec<Arc<Part>>) {
        parts.into_iter().partition(|part| {
            self.parts
                .get(&part.trace_id)
                .is_some_and(|upto| part.upto <= *upto)
        })
    }

    /// The rest of the batch failed, but these were written.
    pub fn keep(&mut self, parts: impl IntoIterator<Item = (TraceId, Position)>, written: Written) {
        self.parts.extend(parts);
        self.written.add(written);
    }

    /// The batch that `settled` were of is written; what they came to.
    pub fn take(&mut self, settled: &[Arc<Part>]) -> Written {
        for part in settled {
            self.parts.remove(&part.trace_id);
        }
        std::mem::take(&mut self.written)
    }
}
