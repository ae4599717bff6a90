//! The spans of one request.

mod absorb;
mod traces;

pub use absorb::{Absorbed, Replaced};

use crate::group::Group;
use crate::head::SpanHead;
use crate::value::Value;
use crate::view::SpanView;
use crate::write;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Tag of `ScopeSpans.spans`, with which every span is framed in memory as it will be on disk.
const SPANS_TAG: u32 = 2;

/// The spans of one request, raw, each with its head and its group. Spans keep the index at which
/// they were added.
#[derive(Clone, Default)]
pub struct SpanSet {
    /// Spans one after the other, each with tag and length.
    framed: Vec<u8>,
    entries: Vec<Entry>,
    groups: Vec<Arc<Group>>,
    /// Bytes of the groups' content.
    group_bytes: usize,
}

#[derive(Clone)]
struct Entry {
    head: SpanHead,
    group: u32,
    /// The frame: where it starts in `framed`, where the span itself does, and where both end.
    frame: u32,
    raw: u32,
    end: u32,
}

impl Entry {
    fn frame(&self) -> Range<usize> {
        self.frame as usize..self.end as usize
    }

    fn raw(&self) -> Range<usize> {
        self.raw as usize..self.end as usize
    }
}

/// A set's spans take this many bytes at first; powers of two from here, so that memory that one
/// request leaves fits the next.
const ROOM_LEAST: usize = 1 << 10;

/// One span of a [`SpanSet`].
#[derive(Debug, Clone, Copy)]
pub struct SpanRef<'a> {
    /// Ids, times, kind, status.
    pub head: &'a SpanHead,
    /// Resource and scope.
    pub group: &'a Arc<Group>,
    /// The `Span` message, without tag and length.
    pub raw: &'a [u8],
}

impl<'a> SpanRef<'a> {
    /// Reads the rest of the span.
    pub fn view(&self) -> SpanView<'a> {
        SpanView(self.raw)
    }

    /// The attribute of this key: the span's own, else the resource's.
    pub fn attribute(&self, key: &str) -> Option<Value<'a>> {
        self.view()
            .attributes()
            .get(key)
            .or_else(|| self.group.attribute(key))
    }
}

impl SpanSet {
    /// A set without spans; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a span, whether or not one with its id is there already (see [`SpanSet::dedupe`]).
    /// `raw` is its `Span` message without tag and length, `head` what [`slice`](crate::slice())
    /// read of it. The set takes a copy.
    pub fn push(&mut self, group: &Arc<Group>, head: SpanHead, raw: &[u8]) {
        let group = self.group_index(group);
        let frame = self.framed.len();
        self.make_room(raw.len());
        write::len_prefix(&mut self.framed, SPANS_TAG, raw.len());
        let start = self.framed.len();
        self.framed.extend_from_slice(raw);
        let [frame, raw, end] = [frame, start, self.framed.len()]
            .map(|place| u32::try_from(place).expect("a request has less than 4 GiB"));
        self.entries.push(Entry {
            head,
            group,
            frame,
            raw,
            end,
        });
    }

    fn make_room(&mut self, bytes: usize) {
        let needed = self.framed.len() + write::len_delimited_len(SPANS_TAG, bytes);
        if needed > self.framed.capacity() {
            let room = needed.next_power_of_two().max(ROOM_LEAST);
            self.framed.reserve_exact(room - self.framed.len());
        }
    }

    fn group_index(&mut self, group: &Arc<Group>) -> u32 {
        // The last group first: a sender's spans come together.
        let known = self
            .groups
            .iter()
            .rposition(|known| Arc::ptr_eq(known, group));
        let index = known.or_else(|| self.groups.iter().rposition(|known| known == group));
        let index = index.unwrap_or_else(|| {
            self.groups.push(group.clone());
            self.group_bytes += group.bytes();
            self.groups.len() - 1
        });
        u32::try_from(index).expect("groups take far more than a byte each")
    }

    /// Spans in the set.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory held, groups included (which other sets may share: an upper bound).
    pub fn bytes(&self) -> usize {
        self.framed.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.groups.capacity() * size_of::<Arc<Group>>()
            + self.group_bytes
    }

    /// Bytes of the spans as sent, without groups.
    pub fn span_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.raw().len()).sum()
    }

    /// The groups that spans were added with, each once.
    pub fn groups(&self) -> &[Arc<Group>] {
        &self.groups
    }

    /// The span at `index`, counted from 0 in the order added.
    pub fn get(&self, index: usize) -> Option<SpanRef<'_>> {
        self.entries.get(index).map(|entry| self.span(entry))
    }

    /// All spans, in the order added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SpanRef<'_>> {
        self.entries.iter().map(|entry| self.span(entry))
    }

    /// Indices of all spans by start, then span id: an order that does not depend on arrival.
    pub fn sorted_indices(&self) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..self.len()).collect();
        indices.sort_unstable_by_key(|index| {
            let head = &self.entries[*index].head;
            (head.start, head.span_id)
        });
        indices
    }

    /// Fills `order` with the indices that `pick` chooses, group by group.
    pub fn order_by_group(&self, pick: impl Fn(usize) -> bool, order: &mut Vec<usize>) {
        order.clear();
        order.extend((0..self.len()).filter(|index| pick(*index)));
        order.sort_by_key(|index| self.entries[*index].group);
    }

    fn span<'a>(&'a self, entry: &'a Entry) -> SpanRef<'a> {
        SpanRef {
            head: &entry.head,
            group: &self.groups[entry.group as usize],
            raw: &self.framed[entry.raw()],
        }
    }
}

impl fmt::Debug for SpanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|span| (span.head, &span.group.service)))
            .finish()
    }
}
