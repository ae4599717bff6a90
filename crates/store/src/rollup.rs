//! Counts, errors and durations per interface and minute, as differences to what is stored.

use crate::segment::{Names, name};
use hoplog_model::times::{DAY, MINUTE};
use hoplog_model::{Interface, Sketch, SpanStatus, UnixNanos};
use hoplog_otlp::{Absorbed, SpanHead, SpanRef, SpanSet};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// Most nanoseconds that one span adds to a sum (7 days): a broken clock must not drown the rest.
pub const SUM_MAX: u64 = 7 * DAY;

/// By how much a stored roll-up changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Spans.
    pub count: i64,
    /// Those with status error.
    pub errors: i64,
    /// Nanoseconds of their durations, each at most [`SUM_MAX`]. Wraps around.
    pub sum: i64,
    /// Spans that are counted but stand in no row.
    pub left_out: i64,
    /// Durations by [`Sketch::bucket`], ascending, none of them zero.
    pub buckets: Vec<(u16, i64)>,
}

impl Delta {
    /// Adds the changes of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.sum = self.sum.wrapping_add(other.sum);
        self.left_out += other.left_out;
        other
            .buckets
            .iter()
            .for_each(|(bucket, count)| self.add_bucket(*bucket, *count));
    }

    /// Whether nothing changes.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a stored sketch; false if it holds fewer durations than are taken away, which means
    /// that it belongs to something else (those that it holds are taken).
    pub fn apply(&self, sketch: &mut Sketch) -> bool {
        let mut fits = true;
        for (bucket, count) in &self.buckets {
            if *count >= 0 {
                sketch.add_bucket(*bucket, count.unsigned_abs());
            } else {
                fits &= sketch.remove_bucket(*bucket, count.unsigned_abs());
            }
        }
        fits
    }

    fn add_bucket(&mut self, bucket: u16, count: i64) {
        match self
            .buckets
            .binary_search_by_key(&bucket, |(bucket, _)| *bucket)
        {
            Ok(place) => {
                self.buckets[place].1 += count;
                if self.buckets[place].1 == 0 {
                    self.buckets.remove(place);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    fn count(&mut self, head: &SpanHead, times: i64, left_out: bool) {
        let duration = head.duration();
        let sum = i64::try_from(duration.min(SUM_MAX)).expect("7 days fit");
        self.count += times;
        self.errors += times * i64::from(head.status == SpanStatus::Error);
        self.sum = self.sum.wrapping_add(times * sum);
        self.left_out += times * i64::from(left_out);
        self.add_bucket(Sketch::bucket(duration), times);
    }
}

/// What a batch changes in the roll-ups of one partition. A span counts in the minute it starts in.
#[derive(Debug, Default)]
pub struct Rollups {
    names: Names,
    deltas: FxHashMap<(usize, UnixNanos), Delta>,
}

impl Rollups {
    /// Nothing changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts all spans. `left_out`: they will stand in no row.
    pub fn add(&mut self, spans: &SpanSet, left_out: bool) {
        spans.iter().for_each(|span| self.add_span(span, left_out));
    }

    /// Counts one span.
    pub fn add_span(&mut self, span: SpanRef<'_>, left_out: bool) {
        self.count(&Counted::of(span), 1, left_out);
    }

    /// Counts what a row gained when spans were absorbed into it: `spans` are the row's after that.
    pub fn absorbed(&mut self, spans: &SpanSet, absorbed: &Absorbed) {
        absorbed
            .added
            .iter()
            .filter_map(|index| spans.get(*index))
            .for_each(|span| {
                self.add_span(span, false);
            });
        for replaced in &absorbed.replaced {
            let old = Counted {
                service: &replaced.group.service,
                name: String::from_utf8_lossy(&replaced.name),
                head: &replaced.head,
            };
            self.count(&old, -1, false);
            if let Some(new) = spans.get(replaced.index) {
                self.add_span(new, false);
            }
        }
    }

    fn count(&mut self, span: &Counted<'_>, times: i64, left_out: bool) {
        let interface = self.names.number(span.service, span.head.kind, &span.name);
        let minute = span.head.start - span.head.start % MINUTE;
        self.deltas
            .entry((interface, minute))
            .or_default()
            .count(span.head, times, left_out);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.deltas.values().all(Delta::is_zero)
    }

    /// The changes that are not zero, each interface and minute once, by interface, then time.
    pub fn finish(self) -> Vec<(Interface, UnixNanos, Delta)> {
        let interfaces = self.names.into_interfaces();
        let mut deltas: Vec<(Interface, UnixNanos, Delta)> = self
            .deltas
            .into_iter()
            .filter(|(_, delta)| !delta.is_zero())
            .map(|((number, minute), delta)| (interfaces[number].clone(), minute, delta))
            .collect();
        deltas.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        deltas
    }
}

/// What a roll-up needs of a span.
struct Counted<'a> {
    service: &'a Arc<str>,
    name: Cow<'a, str>,
    head: &'a SpanHead,
}

impl<'a> Counted<'a> {
    fn of(span: SpanRef<'a>) -> Self {
        Self {
            service: &span.group.service,
            name: name(span),
            head: span.head,
        }
    }
}

#[cfg(test)]
mod tests;
