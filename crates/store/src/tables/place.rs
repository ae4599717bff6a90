//! Which partition a part belongs to, and which ones may hold its request's row already.

use crate::summary::CLOCK_SLACK;
use crate::{Filed, Outcome, Part};
use hoplog_model::times::HOUR;
use hoplog_model::{TraceId, UnixNanos};
use std::cmp::Reverse;
use std::ops::Range;

/// How far from a partition a part may start and still belong to a row there, in nanoseconds, where
/// its id tells no time. Readers join what is further apart.
const NEAR: u64 = CLOCK_SLACK;

/// The last instant that has a partition: databases count nanoseconds up to the year 2262. What starts later is
/// filed there.
const LAST: UnixNanos = i64::MAX.cast_unsigned() - 1;

/// A partition, as far as its place in time goes.
pub trait Ranged {
    /// The starts it is for.
    fn range(&self) -> Range<UnixNanos>;
}

impl<T: Ranged> Ranged for std::sync::Arc<T> {
    fn range(&self) -> Range<UnixNanos> {
        T::range(self)
    }
}

/// When a request began as far as it decides the partition: what a time-ordered id says, if the part starts
/// within a day of that; else the start (the time of receipt, if the start is not believed). And whether the id
/// told.
fn filed_under(part: &Part) -> (UnixNanos, bool) {
    let start = part.spans.iter().map(|span| span.head.start).min();
    let start = Filed::first(start.unwrap_or(part.received_at), part.received_at, 0).started_at;
    match told(&part.trace_id).filter(|told| told.abs_diff(start) <= CLOCK_SLACK) {
        Some(told) => (told, true),
        None => (start, false),
    }
}

/// The time that a time-ordered id tells.
fn told(id: &TraceId) -> Option<UnixNanos> {
    id.v7_millis()
        .and_then(|millis| millis.checked_mul(1_000_000))
}

/// The instant whose partition a new row of the part goes into, and the partitions that may hold its
/// row already, the likeliest first.
pub fn candidates<P: Ranged + Clone>(part: &Part, partitions: &[P]) -> (UnixNanos, Vec<P>) {
    let (at, is_told) = filed_under(part);
    let at = at.min(LAST);
    let slack = if is_told { 0 } else { NEAR };
    let (from, to) = (at.saturating_sub(slack), at.saturating_add(slack));
    let mut near: Vec<P> = partitions.to_vec();
    // What is left out is counted where it began, and has no row to find.
    near.retain(|one| {
        part.outcome == Outcome::Keep && one.range().start <= to && from < one.range().end
    });
    // Its own first, then the newest.
    near.sort_by_key(|one| (!one.range().contains(&at), Reverse(one.range().start)));
    (at, near)
}

/// The partitions (oldest first) in the order in which a request is looked for in them.
pub fn search_order<P: Ranged>(id: &TraceId, partitions: &[P]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..partitions.len()).rev().collect();
    if let Some(told) = told(id) {
        order.sort_by_key(|place| distance(&partitions[*place].range(), told));
    }
    order
}

/// Nanoseconds from an instant to a partition.
fn distance(range: &Range<UnixNanos>, at: UnixNanos) -> u64 {
    if at < range.start {
        range.start - at
    } else {
        at.saturating_sub(range.end)
    }
}

/// Of the partitions (oldest first) those in which a row of a request that is still open is looked for: a
/// start lies within [`CLOCK_SLACK`] of its receipt, and a row within that of the start. After a long
/// stop what is read again is as old as the newest partition.
pub fn recent<P: Ranged>(mut partitions: Vec<P>, now: UnixNanos) -> Vec<P> {
    let newest = partitions.last().map_or(0, |newest| newest.range().start);
    let since = newest.min(now).saturating_sub(2 * CLOCK_SLACK + HOUR);
    partitions.retain(|partition| partition.range().end > since);
    partitions
}

/// The span of time that a new partition for this instant is for: a multiple of `hours` (1 to 744), less what
/// other partitions are for.
pub fn new_range<P: Ranged>(at: UnixNanos, hours: u32, partitions: &[P]) -> Range<UnixNanos> {
    let width = u64::from(hours.clamp(1, 744)) * HOUR;
    let from = at - at % width;
    let ranges = || partitions.iter().map(Ranged::range);
    let before = ranges().map(|one| one.end).filter(|to| *to <= at).max();
    let after = ranges()
        .map(|one| one.start)
        .filter(|from| *from > at)
        .min();
    let to = from.saturating_add(width).min(after.unwrap_or(u64::MAX));
    from.max(before.unwrap_or(0))..to
}
