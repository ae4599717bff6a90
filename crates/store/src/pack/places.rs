//! Parents by place.

use hoplog_model::SpanId;
use rustc_hash::FxHashMap;

/// Where each span of a frame stands, by id.
#[derive(Debug, Default)]
pub(super) struct Places {
    ids: Vec<SpanId>,
    by_id: FxHashMap<SpanId, usize>,
}

impl Places {
    /// Up to so many ids are faster looked through than looked up.
    const FEW: usize = 48;

    pub(super) fn fill(&mut self, ids: impl Iterator<Item = SpanId>) {
        self.ids.clear();
        self.ids.extend(ids);
        self.by_id.clear();
        if self.ids.len() > Self::FEW {
            self.by_id.extend(self.ids.iter().copied().zip(0..));
        }
    }

    pub(super) fn find(&self, id: &SpanId) -> Option<usize> {
        if self.ids.len() > Self::FEW {
            self.by_id.get(id).copied()
        } else {
            self.ids.iter().position(|known| known == id)
        }
    }
}
