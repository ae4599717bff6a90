//! One partition, as far as a search has come in it.

use super::{PartitionBounds, SegmentSource};
use crate::{Search, Sort, StoreError};
use hoplog_model::UnixNanos;
use std::sync::Arc;

/// Segments asked for first, and at most, at once.
const FEW: usize = 8;
const MANY: usize = 128;
/// The same where filters leave few of them.
const SIFTED: usize = 512;

/// Which keys and starts a search can list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) sort: Sort,
    pub(super) from: UnixNanos,
    /// First start that does not matter any more.
    pub(super) to: UnixNanos,
    /// The greatest key that matters.
    pub(super) top: u64,
}

impl Window {
    pub(super) fn of(search: &Search) -> Self {
        let top = search.after.map_or(u64::MAX, |after| after.key);
        let to = match search.sort {
            Sort::Newest => search.to.min(top.saturating_add(1)),
            Sort::Slowest => search.to,
        };
        let top = match search.sort {
            Sort::Newest => top.min(to.saturating_sub(1)),
            Sort::Slowest => top,
        };
        Self {
            sort: search.sort,
            from: search.from,
            to,
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
        (self.from <= start && start < self.to && key <= self.top).then_some(key)
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) source: Arc<dyn SegmentSource>,
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
    /// None if the partition has nothing within the window.
    pub(super) fn new(
        source: Arc<dyn SegmentSource>,
        bounds: &PartitionBounds,
        window: &Window,
    ) -> Option<Self> {
        let within = bounds.min_start < window.to && bounds.max_start >= window.from;
        let unseen = window
            .key(bounds.max_start, bounds.max_duration)
            .min(window.top);
        within.then_some(Self {
            source,
            unseen: Some(unseen),
            below: None,
            chunk: FEW,
            newest: bounds.newest,
            moved: false,
        })
    }

    /// The next segments in order.
    pub(super) async fn next(
        &mut self,
        window: &Window,
        is_sifted: bool,
    ) -> Result<Vec<i64>, StoreError> {
        let Window { sort, from, to, .. } = *window;
        let segments = self
            .source
            .segments(sort, from, to, self.below, self.chunk)
            .await?;
        self.unseen = None;
        if let (Some((key, segment)), true) = (segments.last(), segments.len() >= self.chunk) {
            self.below = Some((*key, *segment));
            self.unseen = Some((*key).min(window.top));
        }
        // Twice as many, so that no more are read in all than twice those that it took; where filters leave few, a segment
        // costs next to nothing.
        self.chunk = if is_sifted {
            (self.chunk * 4).min(SIFTED)
        } else {
            (self.chunk * 2).min(MANY)
        };
        Ok(segments.into_iter().map(|(_, segment)| segment).collect())
    }

    /// Segments written since the search began or looked last.
    pub(super) async fn newer(&mut self) -> Result<Vec<i64>, StoreError> {
        let segments = self.source.since(self.newest, MANY).await?;
        self.newest = segments.iter().copied().max().unwrap_or(self.newest);
        self.moved = segments.len() >= MANY;
        Ok(segments)
    }
}
