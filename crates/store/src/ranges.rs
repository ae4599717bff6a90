//! Which starts a search can find, from what its expression says of starts and ends.
//!
//! Ranges are walked one by one, each along the index on starts; what is in none of them is never looked at. The
//! expression itself is still verified on every row, so a range may be wider than the truth, never narrower.

use crate::{Range, RequestExpr, RequestTest};
use hoplog_model::UnixNanos;

/// Most ranges of one search; of more, those with the smallest gaps between them become one.
const RANGES_MAX: usize = 16;

/// A first instant, and the first no longer in it.
pub(crate) type Span = std::ops::Range<UnixNanos>;

/// Everything but the last instant there is, which no search reaches.
const EVERYTHING: Span = 0..UnixNanos::MAX;

/// Ranges, ascending and apart, that hold the start of every request that fulfils the expression and whose
/// extent is at most this.
pub(crate) fn starts(expr: &RequestExpr, extent: u64) -> Vec<Span> {
    let mut ranges = of(expr, extent, false);
    while ranges.len() > RANGES_MAX {
        let gaps = ranges.windows(2).map(|pair| pair[1].start - pair[0].end);
        let least = gaps.enumerate().min_by_key(|(_, gap)| *gap);
        let Some((place, _)) = least else { break };
        ranges[place].end = ranges[place + 1].end;
        ranges.remove(place + 1);
    }
    ranges
}

/// What lies in these ranges and between those instants.
pub(crate) fn within(ranges: &[Span], from: UnixNanos, to: UnixNanos) -> Vec<Span> {
    both(ranges, std::slice::from_ref(&(from..to)))
}

/// Whether starts are narrowed by when requests ended.
pub(crate) fn asks_for_ends(expr: &RequestExpr) -> bool {
    match expr {
        RequestExpr::And(parts) | RequestExpr::Or(parts) => parts.iter().any(asks_for_ends),
        RequestExpr::Not(expr) => asks_for_ends(expr),
        RequestExpr::Is(test) => matches!(test, RequestTest::Ended(_)),
        RequestExpr::Hop(_) => false,
    }
}

impl RequestExpr {
    /// The first start and the first start no longer that the expression leaves, where it leaves any out. An end
    /// says nothing of the earliest start.
    pub fn start_bounds(&self) -> (Option<UnixNanos>, Option<UnixNanos>) {
        let ranges = of(self, u64::MAX, false);
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return (None, None);
        };
        let from = (first.start > EVERYTHING.start).then_some(first.start);
        (from, (last.end < EVERYTHING.end).then_some(last.end))
    }
}

/// Of the expression or, `negated`, of its opposite.
fn of(expr: &RequestExpr, extent: u64, negated: bool) -> Vec<Span> {
    let parts = |parts: &[RequestExpr], all: bool| {
        let each = parts.iter().map(|part| of(part, extent, negated));
        match all {
            true => each.fold(vec![EVERYTHING], |left, right| both(&left, &right)),
            false => either(each.flatten().collect()),
        }
    };
    match expr {
        RequestExpr::And(all) => parts(all, !negated),
        RequestExpr::Or(any) => parts(any, negated),
        RequestExpr::Not(expr) => of(expr, extent, !negated),
        RequestExpr::Is(RequestTest::Started(range)) => instants(range, negated, 0),
        RequestExpr::Is(RequestTest::Ended(range)) => instants(range, negated, extent),
        RequestExpr::Is(_) | RequestExpr::Hop(_) => vec![EVERYTHING],
    }
}

/// Starts from which one comes into the range, or out of it, in at most `extent`.
fn instants(range: &Range<u64>, outside: bool, extent: u64) -> Vec<Span> {
    let least = range.least.unwrap_or(0);
    let end = range
        .greatest
        .map_or(EVERYTHING.end, |last| last.saturating_add(1));
    let from = least.saturating_sub(extent);
    let ranges = match (outside, least < end) {
        (true, true) => [0..least, end.saturating_sub(extent)..EVERYTHING.end],
        (false, true) => [from..end, 0..0],
        // What is empty leaves everything out.
        (true, false) => [EVERYTHING, 0..0],
        (false, false) => [0..0, 0..0],
    };
    either(ranges.to_vec())
}

/// In one of them or more.
fn either(mut ranges: Vec<Span>) -> Vec<Span> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Span> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// In both.
fn both(left: &[Span], right: &[Span]) -> Vec<Span> {
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
    let common = pairs.map(|(a, b)| a.start.max(b.start)..a.end.min(b.end));
    either(common.collect())
}

#[cfg(test)]
mod tests;
