//! Rules 4, 5, 7 and 11: where the time went.

use super::{Case, Finding, MOST};
use crate::insight::path::Segment;
use crate::insight::tree::{Node, uncovered};
use hoplog_model::{SpanKind, UnixNanos};
use std::cmp::Reverse;
use std::collections::HashMap;

/// What holds up at least this share of the path is worth a sentence, in percent …
const SHARE_MIN: u64 = 40;
/// … if it took at least this many times its usual duration.
const TIMES_USUAL: u64 = 2;
/// Time in which nothing was recorded is told from this share of the path on, in percent, …
const GAP_SHARE_MIN: u64 = 15;
/// … and from this length on, in nanoseconds.
const GAP_MIN: u64 = 50_000_000;

/// Whether a part is at least so many percent of the whole.
fn is_share(part: u64, whole: u64, percent: u64) -> bool {
    u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}

/// Service, kind and name.
type Key<'a> = (&'a str, SpanKind, &'a str);

/// All calls of one interface on the path, but for those within another.
#[derive(Default)]
struct Wait {
    /// The calls, in the order of the tree.
    calls: Vec<usize>,
    /// Nanoseconds of the path.
    took: u64,
    /// The part of it that slow calls further down explain.
    explained: u64,
    /// Places before this one are within the last of the calls.
    next: usize,
    /// Usual duration of one, where it is slow.
    usual: u64,
}

impl Case<'_> {
    /// Of what held up the path, the deepest that explains it: what slow calls further down account
    /// for by themselves is not told of their callers.
    pub(super) fn waited(&self) -> Option<Finding> {
        let of = self.path?.duration();
        let held = self.held();
        let mut slow = self.slow_waits(&held, of);
        self.explain(&mut slow, &held);
        let deepest = |wait: &&Wait| !is_share(wait.explained, of, SHARE_MIN);
        let most = |wait: &&Wait| (wait.took, Reverse(wait.calls.first().copied()));
        // Where two call each other in turns, each explains the other: then the longer one.
        let wait = slow.iter().filter(deepest).max_by_key(most);
        let wait = wait.or_else(|| slow.iter().max_by_key(most))?;
        let longest = wait.calls.iter().copied();
        let longest = longest.max_by_key(|call| (held[*call], Reverse(*call)))?;
        Some(Finding::Waited {
            place: self.told(longest, &held),
            took: wait.took,
            of,
            usual: wait.usual,
        })
    }

    /// Time on the path of each span and all below it, by place.
    fn held(&self) -> Vec<u64> {
        let mut held = vec![0; self.tree.nodes.len()];
        for segment in self.path.iter().flat_map(|path| &path.segments) {
            held[segment.place] += segment.duration();
        }
        // Children come after parents.
        for place in (0..held.len()).rev() {
            if let Some(parent) = self.node(place).parent {
                held[parent] += held[place];
            }
        }
        held
    }

    /// Calls by interface, of those that took much of the path and longer than usual.
    fn slow_waits(&self, held: &[u64], of: u64) -> Vec<Wait> {
        let mut waits: HashMap<Key<'_>, Wait> = HashMap::new();
        for place in (0..held.len()).filter(|place| held[*place] > 0 && self.is_call(*place)) {
            let hop = self.node(self.hop_of(place));
            let wait = waits
                .entry((&hop.service, hop.kind, &hop.name))
                .or_default();
            if place >= wait.next {
                wait.calls.push(place);
                wait.took += held[place];
                wait.next = self.behind(place);
            }
        }
        let long = waits.into_values();
        let long = long.filter(|wait| is_share(wait.took, of, SHARE_MIN));
        let slow = long.filter_map(|wait| {
            let usual = self.slower_than(&wait)?;
            Some(Wait { usual, ..wait })
        });
        slow.collect()
    }

    /// Whether a span is a wait of its own: a call, or a hop that no call leads to.
    fn is_call(&self, place: usize) -> bool {
        let node = self.node(place);
        let Some(parent) = node.parent else {
            return false;
        };
        let is_answer =
            self.node(parent).kind == SpanKind::Client && self.node(parent).parent.is_some();
        node.kind != SpanKind::Internal && !(node.kind == SpanKind::Server && is_answer)
    }

    /// What one of the calls usually takes, if all of them together took longer.
    fn slower_than(&self, wait: &Wait) -> Option<u64> {
        let first = *wait.calls.first()?;
        let usual = self
            .usual(self.hop_of(first))
            .or_else(|| self.usual(first))?;
        let durations = wait
            .calls
            .iter()
            .map(|call| u128::from(self.node(*call).duration()));
        let expected = u128::from(usual) * wait.calls.len() as u128;
        let is_slow = durations.sum::<u128>() >= expected * u128::from(TIMES_USUAL);
        is_slow.then_some(usual)
    }

    /// Notes of each wait how much of it other waits further down account for.
    fn explain(&self, slow: &mut [Wait], held: &[u64]) {
        let mut is_slow = vec![false; held.len()];
        for call in slow.iter().flat_map(|wait| &wait.calls) {
            is_slow[*call] = true;
        }
        let mut explained = vec![0; held.len()];
        for place in (0..held.len()).rev() {
            if let Some(parent) = self.node(place).parent {
                explained[parent] += if is_slow[place] {
                    held[place]
                } else {
                    explained[place]
                };
            }
        }
        for wait in slow {
            wait.explained = wait.calls.iter().map(|call| explained[*call]).sum();
        }
    }

    /// Whom to name: the hop, unless most of the time passed before it was reached and after.
    fn told(&self, call: usize, held: &[u64]) -> usize {
        let hop = self.hop_of(call);
        if is_share(held[hop], held[call], 50) {
            hop
        } else {
            call
        }
    }

    /// The stretches of the path in which only the span itself is known to have run: none of its
    /// children, and no span whose parent is missing and who may be one. By place, then time.
    pub(super) fn unexplained(&self) -> Vec<Segment> {
        let Some((path, root)) = self.path.zip(self.tree.root()) else {
            return Vec::new();
        };
        let others = self.tree.roots.iter().skip(1).map(|root| self.node(*root));
        let others = others.filter(|node| is_part(node));
        let free = uncovered((root.shown_start(), root.shown_end()), others);
        let mut alone = clip(&path.segments, &free);
        alone.sort_by_key(|segment| (segment.place, segment.start));
        let by_place = alone.chunk_by(|a, b| a.place == b.place);
        let own = by_place.flat_map(|segments| {
            clip(
                segments,
                &self.tree.own_intervals(segments[0].place, is_part),
            )
        });
        own.collect()
    }

    /// The span with the most work of its own. A call works elsewhere; and where nothing below the span
    /// that was `waited` for was recorded, this would only tell the same again.
    pub(super) fn worked(&self, unexplained: &[Segment], waited: Option<usize>) -> Option<Finding> {
        let of = self.path?.duration();
        let by_place = unexplained.chunk_by(|a, b| a.place == b.place);
        let own = by_place.map(|segments| {
            let took: u64 = segments.iter().map(Segment::duration).sum();
            (segments[0].place, took)
        });
        let own = own.filter(|(place, _)| Some(*place) != waited || self.records(*place));
        let (place, took) = own
            .filter(|(place, took)| is_share(*took, of, SHARE_MIN) && self.works(*place, *took))
            .max_by_key(|(place, took)| (*took, Reverse(*place)))?;
        Some(Finding::Worked { place, took, of })
    }

    /// Whether the span took longer than usual by its own work: that alone takes what usually all of it
    /// does.
    fn works(&self, place: usize, took: u64) -> bool {
        let node = self.node(place);
        let is_call = matches!(node.kind, SpanKind::Client | SpanKind::Producer);
        let usual = self.usual(place).filter(|_| !is_call);
        usual.is_some_and(|usual| {
            took >= usual && node.duration() >= usual.saturating_mul(TIMES_USUAL)
        })
    }

    /// Whether anything is recorded of what the span does.
    fn records(&self, place: usize) -> bool {
        let mut children = self.node(place).children.iter();
        children.any(|child| is_part(self.node(*child)))
    }

    /// The longest stretch in which a span that does record what it does recorded nothing, unless it
    /// is part of the work told of `worked`.
    pub(super) fn gap(&self, unexplained: &[Segment], worked: Option<usize>) -> Option<Finding> {
        let of = self.path?.duration();
        let gaps = unexplained
            .iter()
            .filter(|segment| Some(segment.place) != worked && self.records(segment.place));
        let longest = gaps.max_by_key(|segment| (segment.duration(), Reverse(segment.start)))?;
        let (place, took) = (longest.place, longest.duration());
        let is_long = is_share(took, of, GAP_SHARE_MIN) && took >= GAP_MIN;
        is_long.then_some(Finding::Gap { place, took })
    }

    /// Places by their own time on the path, the largest first.
    pub(super) fn largest_shares(&self) -> Vec<(usize, u64)> {
        let mut shares: HashMap<usize, u64> = HashMap::new();
        for segment in self.path.iter().flat_map(|path| &path.segments) {
            *shares.entry(segment.place).or_default() += segment.duration();
        }
        let mut shares: Vec<(usize, u64)> = shares.into_iter().collect();
        shares.sort_by_key(|(place, took)| (Reverse(*took), *place));
        shares.truncate(MOST);
        shares
    }
}

/// Whether a span is part of what its parent does. What takes a message works for nobody who waits.
fn is_part(node: &Node) -> bool {
    node.kind != SpanKind::Consumer
}

/// The parts of the segments that lie in these intervals. Both are in order of time.
fn clip(segments: &[Segment], intervals: &[(UnixNanos, UnixNanos)]) -> Vec<Segment> {
    let (mut clipped, mut next) = (Vec::new(), 0);
    for segment in segments {
        // An interval may reach into the next segment: only what is past is left behind.
        while intervals
            .get(next)
            .is_some_and(|(_, end)| *end <= segment.start)
        {
            next += 1;
        }
        let within = intervals[next..]
            .iter()
            .take_while(|(start, _)| *start < segment.end);
        clipped.extend(within.map(|(start, end)| Segment {
            start: segment.start.max(*start),
            end: segment.end.min(*end),
            ..*segment
        }));
    }
    clipped
}
