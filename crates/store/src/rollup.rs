//! Counts, errors and durations per interface and minute, as differences to what is stored.

use crate::segment::{Names, name_and_statement};
use hoplog_model::times::{DAY, MINUTE};
use hoplog_model::{Sketch, SpanStatus, UnixNanos};
use hoplog_otlp::{Absorbed, SpanHead, SpanRef, SpanSet};

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
}

/// What a batch changes in the roll-ups of one partition. A span counts in the minute it starts in.
#[derive(Debug, Default)]
pub struct Rollups {
    counted: Vec<Counted>,
}

/// A span that counts, or no longer does.
#[derive(Debug, Clone, Copy)]
struct Counted {
    interface: u32,
    /// Since 1970.
    minute: u32,
    bucket: u16,
    /// 1 or -1.
    times: i8,
    is_error: bool,
    left_out: bool,
    /// Nanoseconds, at most [`SUM_MAX`].
    sum: i64,
}

impl Counted {
    fn key(&self) -> (u32, u32, u16) {
        (self.interface, self.minute, self.bucket)
    }
}

impl Rollups {
    /// Nothing changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts all spans. `left_out`: they will stand in no row. The same names for all that is counted.
    pub fn add(&mut self, names: &mut Names, spans: &SpanSet, left_out: bool) {
        spans
            .iter()
            .for_each(|span| self.add_span(names, span, left_out));
    }

    /// Counts one span.
    pub fn add_span(&mut self, names: &mut Names, span: SpanRef<'_>, left_out: bool) {
        self.change(names, span, 1, left_out);
    }

    /// Counts one span, or takes it back, under its interface and its statement.
    fn change(&mut self, names: &mut Names, span: SpanRef<'_>, times: i8, left_out: bool) {
        let (name, statement) = name_and_statement(span);
        let service = &span.group.service;
        for interface in names.numbers(service, span.head.kind, name, statement) {
            self.count(interface, span.head, times, left_out);
        }
    }

    /// Counts what a row gained when spans were absorbed into it: `spans` are the row's after that.
    pub fn absorbed(&mut self, names: &mut Names, spans: &SpanSet, absorbed: &Absorbed) {
        absorbed
            .added
            .iter()
            .filter_map(|index| spans.get(*index))
            .for_each(|span| {
                self.add_span(names, span, false);
            });
        for replaced in &absorbed.replaced {
            self.change(names, replaced.span(), -1, false);
            if let Some(new) = spans.get(replaced.index) {
                self.add_span(names, new, false);
            }
        }
    }

    pub(crate) fn count(&mut self, interface: u32, head: &SpanHead, times: i8, left_out: bool) {
        let duration = head.duration();
        self.counted.push(Counted {
            interface,
            minute: u32::try_from(head.start / MINUTE).expect("2^64 ns are fewer minutes"),
            bucket: Sketch::bucket(duration),
            times,
            is_error: head.status == SpanStatus::Error,
            left_out,
            sum: i64::try_from(duration.min(SUM_MAX)).expect("7 days fit"),
        });
    }

    /// Spans counted so far.
    pub(crate) fn len(&self) -> usize {
        self.counted.len()
    }

    /// Forgets the spans counted since there were so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.counted.truncate(len);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// The changes that are not zero, each interface (by its number in the names) and minute once, by
    /// interface, then time.
    pub fn finish(mut self) -> Vec<(u32, UnixNanos, Delta)> {
        self.counted.sort_unstable_by_key(Counted::key);
        self.counted
            .chunk_by(|a, b| (a.interface, a.minute) == (b.interface, b.minute))
            .map(|same| {
                let minute = UnixNanos::from(same[0].minute) * MINUTE;
                (same[0].interface, minute, delta(same))
            })
            .filter(|(.., delta)| !delta.is_zero())
            .collect()
    }
}

/// What these spans, which come by bucket, change.
fn delta(counted: &[Counted]) -> Delta {
    let mut delta = Delta::default();
    for one in counted {
        let times = i64::from(one.times);
        delta.count += times;
        delta.errors += times * i64::from(one.is_error);
        delta.sum = delta.sum.wrapping_add(times * one.sum);
        delta.left_out += times * i64::from(one.left_out);
    }
    let buckets = counted.chunk_by(|a, b| a.bucket == b.bucket).map(|same| {
        let times = same.iter().map(|one| i64::from(one.times)).sum();
        (same[0].bucket, times)
    });
    delta.buckets = buckets.filter(|(_, times)| *times != 0).collect();
    delta
}

#[cfg(test)]
mod tests;
