//! The spans of a request as a tree.

use hoplog_model::{SpanId, SpanKind, SpanStatus, UnixNanos};
use hoplog_otlp::{SpanRef, SpanSet};
use std::collections::HashMap;
use std::sync::Arc;

/// No span is moved by more than this, in nanoseconds: a larger difference is no clock's fault.
const SKEW_MAX: u64 = 1_000_000_000;

/// A span in its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Index in the [`SpanSet`], for the rest of the span.
    pub index: usize,
    /// Its id.
    pub span_id: SpanId,
    /// `service.name`, empty if the sender gave none.
    pub service: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Its status.
    pub status: SpanStatus,
    /// Its start as sent.
    pub start: UnixNanos,
    /// Its end as sent, not before the start.
    pub end: UnixNanos,
    /// Nanoseconds to add to its times so that it does not begin before its parent: different
    /// clocks. Spans of one service share a clock, so it is handed down within a service.
    pub shift: u64,
    /// Place of its parent in [`Tree::nodes`].
    pub parent: Option<usize>,
    /// Places of its children, by start as sent.
    pub children: Vec<usize>,
    /// Steps from its root.
    pub depth: usize,
    /// It names a parent that was not received.
    pub is_orphan: bool,
    /// Nanoseconds in which none of its children ran.
    pub own: u64,
    /// Failed spans below it.
    pub failed_below: u32,
    /// Spans below it; they stand right behind it in [`Tree::nodes`].
    pub below: u32,
}

impl Node {
    /// End minus start in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end - self.start
    }

    /// Start with the clock put right.
    pub fn shown_start(&self) -> UnixNanos {
        self.start.saturating_add(self.shift)
    }

    /// End with the clock put right.
    pub fn shown_end(&self) -> UnixNanos {
        self.end.saturating_add(self.shift)
    }

    /// Whether the span itself failed.
    pub fn failed(&self) -> bool {
        self.status == SpanStatus::Error
    }

    /// Whether it failed and nothing below it did: the failure began here.
    pub fn is_origin(&self) -> bool {
        self.failed() && self.failed_below == 0
    }

    fn of(index: usize, span: SpanRef<'_>) -> Self {
        let head = span.head;
        Self {
            index,
            span_id: head.span_id,
            service: Arc::clone(&span.group.service),
            name: span.view().name().into_owned(),
            kind: head.kind,
            status: head.status,
            start: head.start,
            end: head.end.max(head.start),
            shift: 0,
            parent: None,
            children: Vec::new(),
            depth: 0,
            is_orphan: false,
            own: 0,
            failed_below: 0,
            below: 0,
        }
    }
}

/// The spans of a request: depth first, children by start.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// In the order they are shown.
    pub nodes: Vec<Node>,
    /// Places of the nodes without a parent here: the root first, then others that name no parent,
    /// then the rest, each by start.
    pub roots: Vec<usize>,
    /// Whether the first of `roots` names no parent.
    has_root: bool,
    /// Place of each span.
    places: HashMap<SpanId, usize>,
}

impl Tree {
    /// The tree of these spans, each id once. The same for every order of the spans. Where parents
    /// go in a circle, the earliest span of the circle is treated as if it had none.
    pub fn of(spans: &SpanSet) -> Self {
        let family = Family::of(spans);
        let mut tree = Self {
            has_root: family.has_root(),
            ..Self::default()
        };
        tree.lay_out(&family);
        tree.put_clocks_right();
        tree.sum_up();
        tree
    }

    /// Where a span stands in [`Tree::nodes`].
    pub fn place(&self, span_id: &SpanId) -> Option<usize> {
        self.places.get(span_id).copied()
    }

    /// The root, if one was received: of the spans that name no parent, the one that starts first.
    pub fn root(&self) -> Option<&Node> {
        self.root_place().map(|place| &self.nodes[place])
    }

    /// The place of the root, if one was received.
    pub fn root_place(&self) -> Option<usize> {
        self.roots.first().copied().filter(|_| self.has_root)
    }

    /// First and last instant shown.
    pub fn extent(&self) -> (UnixNanos, UnixNanos) {
        let start = self.nodes.iter().map(Node::shown_start).min().unwrap_or(0);
        let end = self.nodes.iter().map(Node::shown_end).max().unwrap_or(0);
        (start, end)
    }

    /// When a span ran and none of these children of it did: shown times, in order.
    pub(super) fn own_intervals(
        &self,
        place: usize,
        counts: impl Fn(&Node) -> bool,
    ) -> Vec<(UnixNanos, UnixNanos)> {
        let node = &self.nodes[place];
        let children = node.children.iter().map(|child| &self.nodes[*child]);
        let children = children.filter(|child| counts(child));
        uncovered((node.shown_start(), node.shown_end()), children)
    }

    /// Depth first, with a stack of its own: a chain may be as long as a request has spans.
    fn lay_out(&mut self, family: &Family<'_>) {
        let mut place = vec![0; family.spans.len()];
        let mut stack: Vec<usize> = family.heads.iter().rev().copied().collect();
        while let Some(rank) = stack.pop() {
            let (index, span) = family.spans[rank];
            let parent = family.parents[rank].map(|parent| place[parent]);
            place[rank] = self.nodes.len();
            self.places.insert(span.head.span_id, place[rank]);
            match parent {
                Some(parent) => self.nodes[parent].children.push(place[rank]),
                None => self.roots.push(place[rank]),
            }
            self.nodes.push(Node {
                parent,
                depth: parent.map_or(0, |parent| self.nodes[parent].depth + 1),
                is_orphan: family.is_orphan(rank),
                ..Node::of(index, span)
            });
            stack.extend(family.children[rank].iter().rev());
        }
    }

    /// Parents come before children, so one pass down is enough.
    fn put_clocks_right(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let Some(parent) = node.parent.map(|parent| &self.nodes[parent]) else {
                continue;
            };
            let has_its_clock = node.service == parent.service;
            let shift = if has_its_clock { parent.shift } else { 0 };
            let early = parent
                .shown_start()
                .saturating_sub(node.start.saturating_add(shift));
            let right = shift.saturating_add(early);
            self.nodes[place].shift = if right <= SKEW_MAX { right } else { shift };
        }
    }

    /// Children come after parents, so one pass up is enough.
    fn sum_up(&mut self) {
        for place in (0..self.nodes.len()).rev() {
            let own = self.own_intervals(place, |_| true);
            let node = &mut self.nodes[place];
            node.own = own.iter().map(|(start, end)| end - start).sum();
            let failed = node.failed_below + u32::from(node.failed());
            let below = node.below + 1;
            if let Some(parent) = node.parent {
                self.nodes[parent].failed_below += failed;
                self.nodes[parent].below += below;
            }
        }
    }
}

/// The parts of a time in which none of the nodes ran, in order.
pub(super) fn uncovered<'a>(
    (from, until): (UnixNanos, UnixNanos),
    nodes: impl Iterator<Item = &'a Node>,
) -> Vec<(UnixNanos, UnixNanos)> {
    // As shown: a clock put right may have changed their order.
    let mut times: Vec<_> = nodes
        .map(|node| (node.shown_start(), node.shown_end()))
        .collect();
    times.sort_unstable();
    let (mut at, mut free) = (from, Vec::new());
    for (start, end) in times {
        if at < start && at < until {
            free.push((at, start.min(until)));
        }
        at = at.max(end);
    }
    if at < until {
        free.push((at, until));
    }
    free
}

/// Who is whose child. Spans are named by rank: by start, then id.
struct Family<'a> {
    /// Index in the set, and the span.
    spans: Vec<(usize, SpanRef<'a>)>,
    ranks: HashMap<SpanId, usize>,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Those without a parent here, in the order of [`Tree::roots`].
    heads: Vec<usize>,
}

impl<'a> Family<'a> {
    fn of(spans: &'a SpanSet) -> Self {
        let order = spans.sorted_indices().into_iter();
        let spans: Vec<_> = order
            .filter_map(|index| Some((index, spans.get(index)?)))
            .collect();
        let ids = spans.iter().map(|(_, span)| span.head.span_id);
        let ranks: HashMap<SpanId, usize> = ids.enumerate().map(|(rank, id)| (id, rank)).collect();
        let parent = |(_, span): &(usize, SpanRef<'_>)| ranks.get(&span.head.parent?).copied();
        let mut parents: Vec<Option<usize>> = spans.iter().map(parent).collect();
        cut_circles(&mut parents);
        let mut children = vec![Vec::new(); spans.len()];
        let mut heads = Vec::new();
        for (rank, parent) in parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(rank),
                None => heads.push(rank),
            }
        }
        heads.sort_by_key(|rank| (spans[*rank].1.head.parent.is_some(), *rank));
        Self {
            spans,
            ranks,
            parents,
            children,
            heads,
        }
    }

    fn has_root(&self) -> bool {
        let first = self.heads.first();
        first.is_some_and(|rank| self.spans[*rank].1.head.parent.is_none())
    }

    fn is_orphan(&self, rank: usize) -> bool {
        let parent = self.spans[rank].1.head.parent;
        parent.is_some_and(|parent| !self.ranks.contains_key(&parent))
    }
}

/// Spans that are each other's ancestors have no root: the earliest of each circle loses its parent.
fn cut_circles(parents: &mut [Option<usize>]) {
    // 0: not seen; otherwise the walk that saw it.
    let mut seen = vec![0_usize; parents.len()];
    for start in 0..parents.len() {
        let walk = start + 1;
        let mut at = Some(start);
        while let Some(rank) = at {
            if seen[rank] == walk {
                cut_one(parents, rank);
            }
            if seen[rank] != 0 {
                break;
            }
            seen[rank] = walk;
            at = parents[rank];
        }
    }
}

fn cut_one(parents: &mut [Option<usize>], member: usize) {
    let (mut earliest, mut at) = (member, parents[member]);
    while let Some(rank) = at.filter(|rank| *rank != member) {
        earliest = earliest.min(rank);
        at = parents[rank];
    }
    parents[earliest] = None;
}
