//! Joining two sets: one span an id, the same result in every order.

use super::SpanSet;
use crate::group::Group;
use crate::head::SpanHead;
use crate::set::SpanRef;
use hoplog_model::SpanId;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// What [`SpanSet::absorb`] did.
#[derive(Debug, Clone, Default)]
pub struct Absorbed {
    /// Indices of spans whose id was new, ascending.
    pub added: Vec<usize>,
    /// Spans that were there already, byte for byte and in an equal group.
    pub duplicates: u32,
    /// Spans whose id was there with other content, whichever of the two was kept.
    pub conflicts: u32,
    /// Spans that were there before the call and gave way to another of their id; each once, with
    /// what it was before the call, ascending.
    pub replaced: Vec<Replaced>,
}

/// A span that gave way to another of its id.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The index, at which the set now holds the span that won.
    pub index: usize,
    /// The head of the span that gave way.
    pub head: SpanHead,
    /// Its group.
    pub group: Arc<Group>,
    /// Its bytes.
    pub raw: Vec<u8>,
}

impl Replaced {
    /// The span that gave way.
    pub fn span(&self) -> SpanRef<'_> {
        SpanRef {
            head: &self.head,
            group: &self.group,
            raw: &self.raw,
        }
    }
}

/// Below this many spans, comparing ids one by one is faster than a map.
const FEW: usize = 32;

impl SpanSet {
    /// Takes in the spans of `other`. Of spans with one id, the later end wins (an unfinished
    /// record gives way to its end), then the longer, then the greater in bytes, then in group:
    /// so any order of absorption leaves the same spans. `self` must hold every id once (see
    /// [`SpanSet::dedupe`]); `other` need not.
    pub fn absorb(&mut self, other: &Self) -> Absorbed {
        let mut absorbed = Absorbed::default();
        let mut places = Places::new(self, other.len());
        let before = self.len();
        for span in other.iter() {
            match places.find(self, span.head.span_id) {
                None => {
                    absorbed.added.push(self.len());
                    places.note(span.head.span_id, self.len());
                    self.push(span.group, *span.head, span.raw);
                }
                Some(index) => self.settle(index, span, &mut absorbed),
            }
        }
        // Only the net effect counts: what was there before, against what is there now.
        absorbed.replaced.retain(|replaced| replaced.index < before);
        absorbed.replaced.sort_by_key(|replaced| replaced.index);
        absorbed.replaced.dedup_by_key(|replaced| replaced.index);
        absorbed
    }

    /// Leaves one span an id, as [`SpanSet::absorb`] into an empty set does. Indices may change.
    pub fn dedupe(&mut self) -> Absorbed {
        if self.has_unique_ids() {
            return Absorbed {
                added: (0..self.len()).collect(),
                ..Absorbed::default()
            };
        }
        let all = std::mem::take(self);
        self.absorb(&all)
    }

    fn has_unique_ids(&self) -> bool {
        let id = |index: usize| self.entries[index].head.span_id;
        if self.len() <= FEW {
            return (1..self.len()).all(|one| (0..one).all(|other| id(one) != id(other)));
        }
        let mut ids: Vec<SpanId> = (0..self.len()).map(id).collect();
        ids.sort_unstable();
        ids.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Decides between the span at `index` and a newcomer of the same id.
    fn settle(&mut self, index: usize, new: SpanRef<'_>, absorbed: &mut Absorbed) {
        let old = self.span(&self.entries[index]);
        let order = rank(new, old);
        if order == Ordering::Equal {
            absorbed.duplicates += 1;
            return;
        }
        absorbed.conflicts += 1;
        if order == Ordering::Greater {
            let (head, group) = (*old.head, old.group.clone());
            let raw = old.raw.to_vec();
            absorbed.replaced.push(Replaced {
                index,
                head,
                group,
                raw,
            });
            self.push(new.group, *new.head, new.raw);
            self.entries.swap_remove(index);
        }
    }
}

/// Which of two spans of one id is kept: the greater.
fn rank(a: SpanRef<'_>, b: SpanRef<'_>) -> Ordering {
    (a.head.end.cmp(&b.head.end))
        .then_with(|| a.raw.len().cmp(&b.raw.len()))
        .then_with(|| a.raw.cmp(b.raw))
        .then_with(|| {
            if a.group == b.group {
                Ordering::Equal
            } else {
                by_parts(a.group, b.group)
            }
        })
}

fn by_parts(a: &Group, b: &Group) -> Ordering {
    a.parts().cmp(&b.parts())
}

/// Where each id lies: looked for one by one in small sets, in a map in large ones.
struct Places(Option<HashMap<SpanId, usize>>);

impl Places {
    fn new(set: &SpanSet, more: usize) -> Self {
        let many = set.len() + more > FEW;
        Self(many.then(|| {
            let ids = set.entries.iter().map(|entry| entry.head.span_id);
            let mut places = HashMap::with_capacity(set.len() + more);
            places.extend(ids.zip(0..));
            places
        }))
    }

    fn find(&self, set: &SpanSet, id: SpanId) -> Option<usize> {
        match &self.0 {
            Some(places) => places.get(&id).copied(),
            None => set
                .entries
                .iter()
                .position(|entry| entry.head.span_id == id),
        }
    }

    fn note(&mut self, id: SpanId, index: usize) {
        if let Some(places) = &mut self.0 {
            places.insert(id, index);
        }
    }
}
