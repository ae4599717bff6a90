//! The critical path: at every instant, the one span the caller was waiting for.

use super::tree::{Node, Tree};
use hoplog_model::{SpanKind, UnixNanos};
use std::cmp::Reverse;

/// A stretch of the request in which one span held it up. Times are as shown (clocks put right).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Place in [`Tree::nodes`].
    pub place: usize,
    /// First instant.
    pub start: UnixNanos,
    /// First instant past it.
    pub end: UnixNanos,
}

impl Segment {
    /// Its length in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end - self.start
    }
}

/// Why there is no critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPath {
    /// No root was received: nobody is known who waited.
    NoRoot,
    /// The root takes no time at all.
    NoTime,
}

/// Segments in order of time; they follow each other without gap and add up to the root's duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticalPath {
    /// The segments.
    pub segments: Vec<Segment>,
}

impl CriticalPath {
    /// Walks back from the root's end, from each instant to the child that explains it: the one that
    /// ended there, or as near to it as there is. Before that child began, to the next; where none
    /// is left, the time is the span's own.
    pub fn of(tree: &Tree) -> Result<Self, NoPath> {
        let root = tree.root_place().ok_or(NoPath::NoRoot)?;
        let whole = Segment {
            place: root,
            start: tree.nodes[root].shown_start(),
            end: tree.nodes[root].shown_end(),
        };
        if whole.duration() == 0 {
            return Err(NoPath::NoTime);
        }
        let mut segments = Vec::new();
        let mut stack = vec![Frame::of(tree, whole)];
        while let Some(frame) = stack.last_mut() {
            let child = frame.next();
            let own = Segment {
                place: frame.place,
                start: child.map_or(frame.from, |child| child.end),
                end: frame.until,
            };
            if own.duration() > 0 {
                segments.push(own);
            }
            if let Some(child) = child {
                frame.until = child.start;
                stack.push(Frame::of(tree, child));
            } else {
                stack.pop();
            }
        }
        segments.reverse();
        Ok(Self { segments })
    }

    /// Nanoseconds of the path in these segments.
    pub fn share_of(&self, belongs: impl Fn(&Segment) -> bool) -> u64 {
        let belonging = self.segments.iter().filter(|segment| belongs(segment));
        belonging.map(Segment::duration).sum()
    }

    /// The whole path in nanoseconds: the root's duration.
    pub fn duration(&self) -> u64 {
        self.segments.iter().map(Segment::duration).sum()
    }
}

/// A span whose children are being looked at, from its end back to its start.
struct Frame {
    place: usize,
    /// Nothing before this is looked at: the part of the span that its caller waited for.
    from: UnixNanos,
    /// Everything from here on is accounted for.
    until: UnixNanos,
    /// Children not yet come to, clipped to the frame: the last to end on top.
    ended: Vec<Segment>,
    /// Children that still ran at `until`, passed over so far: the first to end on top.
    running: Vec<Segment>,
}

impl Frame {
    fn of(tree: &Tree, of: Segment) -> Self {
        let node = &tree.nodes[of.place];
        let waited_for = node
            .children
            .iter()
            .filter(|child| waits_for(node, &tree.nodes[**child]));
        let clipped = waited_for.map(|child| Segment {
            place: *child,
            start: tree.nodes[*child].shown_start().max(of.start),
            end: tree.nodes[*child].shown_end().min(of.end),
        });
        let mut ended: Vec<Segment> = clipped.filter(|child| child.start < child.end).collect();
        // Of those that ended together the longest is on top, as it explains most.
        ended.sort_by_key(|child| (child.end, Reverse(child.start), Reverse(child.place)));
        Self {
            place: of.place,
            from: of.start,
            until: of.end,
            ended,
            running: Vec::new(),
        }
    }

    /// The child whose end is nearest to `until`. It most often ended before; but clocks differ and
    /// calls overlap, so one that ran a little longer counts as well, up to `until`. Every child is
    /// taken at most once.
    fn next(&mut self) -> Option<Segment> {
        let until = self.until;
        while let Some(child) = self.ended.pop_if(|child| child.end > until) {
            self.running.push(child);
        }
        while self.running.pop_if(|child| child.start >= until).is_some() {}
        let before = self.ended.last().map(|child| until - child.end);
        let beyond = self.running.last().map(|child| child.end - until);
        match (before, beyond) {
            (Some(before), Some(beyond)) if beyond < before => self.take_running(),
            (None, Some(_)) => self.take_running(),
            _ => self.ended.pop(),
        }
    }

    fn take_running(&mut self) -> Option<Segment> {
        let end = self.until;
        self.running.pop().map(|child| Segment { end, ..child })
    }
}

/// Whether a span can have waited for its child. For one that ended after it only if it gave up, or
/// the two have different clocks, or the end is late by so little that it was only noted late.
fn waits_for(node: &Node, child: &Node) -> bool {
    let late = child.shown_end().saturating_sub(node.shown_end());
    match child.kind {
        _ if late == 0 => true,
        SpanKind::Consumer => false,
        SpanKind::Server => true,
        _ => node.failed() || late <= child.duration() / 2,
    }
}
