//! One range of starts in one partition, as far as a search has come in it.

use super::{PartitionBounds, SegmentBounds, SegmentSource};
use crate::ranges::{Span, starts, within};
use crate::{Search, Sort, StoreError};
use hoplog_model::UnixNanos;
use std::sync::Arc;

/// Segments asked for first, and at most, at once.
const FEW: usize = 8;
const MANY: usize = 128;
/// The same where filters and records leave fewer rows than there are segments.
const SIFTED: usize = 4_096;

/// Which keys and starts a search can list in a partition.
#[derive(Debug)]
pub(super) struct Window {
    sort: Sort,
    /// Ascending and apart.
    ranges: Vec<Span>,
    /// The greatest key that matters.
    top: u64,
}

impl Window {
    fn of(search: &Search, bounds: &PartitionBounds) -> Self {
        let top = search.after.map_or(u64::MAX, |after| after.key);
        let to = match search.sort {
            Sort::Newest => search.to.min(top.saturating_add(1)),
            Sort::Slowest => search.to,
        };
        let ranges = within(&starts(&search.expr, bounds.max_extent), search.from, to);
        Self {
            sort: search.sort,
            ranges,
            top,
        }
    }

    fn key(&self, start: UnixNanos, duration: u64) -> u64 {
        match self.sort {
            Sort::Newest => start,
            Sort::Slowest => duration,
        }
    }

    /// The key of a row, if it matters.
    pub(super) fn row_key(&self, start: UnixNanos, duration: u64) -> Option<u64> {
        let key = self.key(start, duration);
        let is_in = self.ranges.iter().any(|range| range.contains(&start));
        (is_in && key <= self.top).then_some(key)
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) source: Arc<dyn SegmentSource>,
    pub(super) window: Arc<Window>,
    /// Of the window's ranges the one that is walked here.
    range: usize,
    /// No segment that was not fetched has a greater key; none: all were fetched.
    pub(super) unseen: Option<u64>,
    below: Option<(u64, i64)>,
    chunk: usize,
    /// The greatest segment number that was looked for.
    newest: i64,
    /// A row was not where its segment said: it may stand in a newer one.
    pub(super) moved: bool,
}

impl Partition {
    /// One for each range of which the partition has something.
    pub(super) fn all(
        source: &Arc<dyn SegmentSource>,
        bounds: &PartitionBounds,
        search: &Search,
    ) -> Vec<Self> {
        let window = Arc::new(Window::of(search, bounds));
        let ranges =
            window.ranges.iter().enumerate().filter(|(_, range)| {
                bounds.min_start < range.end && bounds.max_start >= range.start
            });
        ranges
            .map(|(place, range)| {
                let unseen = window
                    .key(bounds.max_start, bounds.max_duration)
                    .min(window.top);
                let (unseen, below) = match window.sort {
                    Sort::Newest => {
                        // What reaches into a later range is listed there. Rows of this one start before its end.
                        let later = window.ranges.get(place + 1);
                        let below = later.map(|later| (later.start, i64::MIN));
                        (unseen.min(range.end - 1), below)
                    }
                    Sort::Slowest => (unseen, None),
                };
                Self {
                    source: Arc::clone(source),
                    window: Arc::clone(&window),
                    range: place,
                    unseen: Some(unseen),
                    below,
                    chunk: FEW,
                    newest: bounds.newest,
                    moved: false,
                }
            })
            .collect()
    }

    /// The next segments in order.
    pub(super) async fn next(&mut self) -> Result<Vec<i64>, StoreError> {
        let window = &self.window;
        let Span { start, end } = window.ranges[self.range];
        let segments = self
            .source
            .segments(window.sort, start, end, self.below, self.chunk)
            .await?;
        let before = self.unseen.take();
        if let (Some(last), true) = (segments.last(), segments.len() >= self.chunk) {
            self.below = Some((last.key, last.segment));
            self.unseen = before.map(|before| last.key.min(before));
        }
        Ok(self.owned(&segments))
    }

    /// How many rows the segments fetched last have left. Next time twice as many segments, so that no more are read in
    /// all than twice those that it took; where few rows are left, a segment costs next to nothing.
    pub(super) fn sifted(&mut self, rows: usize) {
        self.chunk = if rows < self.chunk {
            (self.chunk * 4).min(SIFTED)
        } else {
            (self.chunk * 2).min(MANY)
        };
    }

    /// Segments written since the search began or looked last.
    pub(super) async fn newer(&mut self) -> Result<Vec<i64>, StoreError> {
        let segments = self.source.since(self.newest, MANY).await?;
        let newest = segments.iter().map(|segment| segment.segment).max();
        self.newest = newest.unwrap_or(self.newest);
        self.moved = segments.len() >= MANY;
        Ok(self.owned(&segments))
    }

    /// Those of the segments that are looked at here: they have rows of this range and of no later one, as far as their
    /// bounds tell.
    fn owned(&self, segments: &[SegmentBounds]) -> Vec<i64> {
        let ranges = &self.window.ranges;
        let is_owned = |segment: &&SegmentBounds| {
            let reaches =
                |range: &Span| segment.min_start < range.end && segment.max_start >= range.start;
            reaches(&ranges[self.range]) && !ranges[self.range + 1..].iter().any(reaches)
        };
        let owned = segments.iter().filter(is_owned);
        owned.map(|segment| segment.segment).collect()
    }
}
