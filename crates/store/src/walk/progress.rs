//! A search on its way: what was found, what may still come.

use super::fetch::{Found, candidates};
use super::needle::Needle;
use super::partition::Partition;
use super::{PackedRow, SegmentSource};
use crate::eval::matches;
use crate::pack::{Dictionaries, Unpacker};
use crate::plan::Plan;
use crate::{Cost, Cursor, Page, Search, StoreError};
use hoplog_model::{Clock, RowId, Summary, TraceId, UnixNanos};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

/// Most rows opened at once, and about as many spans.
const ROWS_MAX: usize = 256;
const SPANS_MAX: u64 = 16_384;

/// Bytes a span takes unpacked, about: to open no more rows than the budget has room for.
const SPAN_BYTES: u64 = 512;

/// How often at the end of a search rows are looked for that moved while it ran.
const CATCH_UPS: usize = 8;

/// A row that may match; the greatest is looked at first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    key: u64,
    partition: usize,
    row: RowId,
    spans: u32,
}

/// What is due next.
enum Step {
    /// Segments of this partition may hold what comes first.
    Fetch(usize),
    /// Candidates come first.
    Verify,
}

pub(super) struct Walk<'a> {
    search: &'a Search,
    dictionaries: &'a Dictionaries,
    clock: &'a dyn Clock,
    began: UnixNanos,
    plan: Plan,
    partitions: Vec<Partition>,
    candidates: BinaryHeap<Candidate>,
    /// Rows opened at once, so that a search that finds little opens more.
    chunk: usize,
    needle: Needle,
    unpacker: Unpacker,
    /// The row looked at, unpacked.
    raw: Vec<u8>,
    hits: BTreeMap<(u64, TraceId), Summary>,
    hit_ids: FxHashSet<TraceId>,
    catch_ups: usize,
    cost: Cost,
}

impl<'a> Walk<'a> {
    pub(super) async fn start(
        sources: &[Arc<dyn SegmentSource>],
        dictionaries: &'a Dictionaries,
        clock: &'a dyn Clock,
        search: &'a Search,
    ) -> Result<Self, StoreError> {
        let began = clock.now();
        let mut partitions = Vec::with_capacity(sources.len());
        for source in sources {
            let bounds = source.bounds().await?;
            let bounds = bounds.as_ref();
            partitions.extend(
                bounds
                    .into_iter()
                    .flat_map(|bounds| Partition::all(source, bounds, search)),
            );
        }
        Ok(Self {
            search,
            dictionaries,
            clock,
            began,
            plan: Plan::new(&search.expr),
            partitions,
            candidates: BinaryHeap::new(),
            chunk: search.limit.saturating_add(1).min(ROWS_MAX),
            needle: Needle::of(&search.expr),
            unpacker: Unpacker::new(),
            raw: Vec::new(),
            hits: BTreeMap::new(),
            hit_ids: FxHashSet::default(),
            catch_ups: 0,
            cost: Cost::default(),
        })
    }

    pub(super) async fn run(mut self) -> Result<Page, StoreError> {
        loop {
            let frontier = self.frontier();
            // One more than asked for tells whether there is a next page.
            if self.settled(frontier) > self.search.limit || frontier.is_none() {
                if self.catch_up().await? {
                    continue;
                }
                return Ok(self.finish(frontier));
            }
            if self.is_spent() && frontier.is_some_and(|key| self.has_progressed_to(key)) {
                if self.catch_up().await? {
                    continue;
                }
                return Ok(self.finish(frontier));
            }
            match self.next_step() {
                Step::Fetch(partition) => self.fetch(partition).await?,
                Step::Verify => self.verify().await?,
            }
        }
    }

    /// The greatest key that something not looked at may have; none if there is nothing.
    fn frontier(&self) -> Option<u64> {
        let unseen = self
            .partitions
            .iter()
            .filter_map(|partition| partition.unseen)
            .max();
        unseen.max(self.candidates.peek().map(|candidate| candidate.key))
    }

    /// Hits that nothing can come before any more.
    fn settled(&self, frontier: Option<u64>) -> usize {
        self.settled_hits(frontier).count()
    }

    fn settled_hits(
        &self,
        frontier: Option<u64>,
    ) -> impl Iterator<Item = (&(u64, TraceId), &Summary)> {
        let lowest = frontier.map_or(Some(0), |key| key.checked_add(1));
        let least = TraceId::from_bytes(LEAST_ID).expect("not zero");
        let from = lowest.map(|key| (Bound::Included((key, least)), Bound::Unbounded));
        from.map(|from| self.hits.range(from))
            .into_iter()
            .flatten()
            .rev()
    }

    fn is_spent(&self) -> bool {
        let bounds = &self.search.bounds;
        self.cost.bytes >= bounds.bytes
            || self.clock.now().saturating_sub(self.began) >= bounds.time
    }

    /// Whether a cursor above this key lies after the one the search began with.
    fn has_progressed_to(&self, frontier: u64) -> bool {
        let next = before(frontier);
        self.search
            .after
            .is_none_or(|after| (next.key, next.trace_id) < (after.key, after.trace_id))
    }

    fn next_step(&self) -> Step {
        let fullest = self.partitions.iter().enumerate();
        let fullest = fullest
            .filter_map(|(index, partition)| Some((partition.unseen?, index)))
            .max();
        match (fullest, self.candidates.peek()) {
            (Some((unseen, index)), top) if top.is_none_or(|top| top.key < unseen) => {
                Step::Fetch(index)
            }
            _ => Step::Verify,
        }
    }

    async fn fetch(&mut self, index: usize) -> Result<(), StoreError> {
        let segments = self.partitions[index].next().await?;
        let rows = self.add_candidates(index, segments).await?;
        self.partitions[index].sifted(rows);
        Ok(())
    }

    /// Returns how many.
    async fn add_candidates(
        &mut self,
        partition: usize,
        segments: Vec<i64>,
    ) -> Result<usize, StoreError> {
        if segments.is_empty() {
            return Ok(0);
        }
        let Partition { source, window, .. } = &self.partitions[partition];
        let asked = (&self.plan, window.as_ref(), &self.search.expr);
        let found = candidates(&**source, &segments, asked, &mut self.cost).await?;
        let Some(found) = found else {
            // No interface of the whole partition fits.
            self.partitions[partition].unseen = None;
            return Ok(0);
        };
        let rows = found.len();
        self.candidates.extend(
            found
                .into_iter()
                .map(|Found { key, row, spans }| Candidate {
                    key,
                    partition,
                    row,
                    spans,
                }),
        );
        Ok(rows)
    }

    /// Opens the next candidates that no unseen segment comes before.
    async fn verify(&mut self) -> Result<(), StoreError> {
        for (partition, mut rows) in self.choose() {
            rows.sort_unstable();
            rows.dedup();
            let source = Arc::clone(&self.partitions[partition].source);
            let found = source.rows(&rows).await?;
            if found.len() < rows.len() {
                // Into any range: a merge may have changed its start.
                let same = |other: &&mut Partition| Arc::ptr_eq(&other.source, &source);
                let ranges = self.partitions.iter_mut().filter(same);
                ranges.for_each(|range| range.moved = true);
            }
            for row in found {
                self.verify_row(&row)?;
            }
        }
        Ok(())
    }

    /// Takes the candidates to open now, by partition: at least one, and no more than the budget
    /// has room for.
    fn choose(&mut self) -> BTreeMap<usize, Vec<RowId>> {
        let unseen = self
            .partitions
            .iter()
            .filter_map(|partition| partition.unseen)
            .max();
        let budget = self.search.bounds.bytes.saturating_sub(self.cost.bytes) / SPAN_BYTES;
        let spans_max = budget.min(SPANS_MAX);
        let mut chosen: BTreeMap<usize, Vec<RowId>> = BTreeMap::new();
        let (mut rows, mut spans) = (0, 0);
        while let Some(top) = self.candidates.peek() {
            spans += u64::from(top.spans);
            let is_due = unseen.is_none_or(|unseen| top.key >= unseen);
            if !is_due || rows >= self.chunk || (rows > 0 && spans > spans_max) {
                break;
            }
            chosen.entry(top.partition).or_default().push(top.row);
            rows += 1;
            self.candidates.pop();
        }
        if rows >= self.chunk {
            self.chunk = (self.chunk * 2).min(ROWS_MAX);
        }
        chosen
    }

    fn verify_row(&mut self, row: &PackedRow) -> Result<(), StoreError> {
        if self.hit_ids.contains(&row.trace_id) {
            return Ok(());
        }
        let frames = row.raw(self.dictionaries, &mut self.unpacker, &mut self.raw)?;
        self.cost.rows += 1;
        self.cost.bytes += self.raw.len() as u64;
        if !self.needle.may_be_in(&self.raw) {
            return Ok(());
        }
        let request = row.read(&self.raw, frames)?;
        let summary = request.summary;
        let place = (self.search.sort.key(&summary), summary.trace_id);
        let is_after = self
            .search
            .after
            .is_none_or(|after| place < (after.key, after.trace_id));
        if is_after && matches(&self.search.expr, &summary, &request.spans) {
            self.hit_ids.insert(summary.trace_id);
            self.hits.insert(place, summary);
        }
        Ok(())
    }

    /// Looks into segments written since the search began, if a row was not where it had been. True
    /// if there were any.
    async fn catch_up(&mut self) -> Result<bool, StoreError> {
        let mut any = false;
        for index in 0..self.partitions.len() {
            if !self.partitions[index].moved || self.catch_ups >= CATCH_UPS {
                continue;
            }
            let segments = self.partitions[index].newer().await?;
            any |= !segments.is_empty();
            self.add_candidates(index, segments).await?;
        }
        self.catch_ups += usize::from(any);
        Ok(any)
    }

    fn finish(mut self, frontier: Option<u64>) -> Page {
        let limit = self.search.limit;
        let settled: Vec<((u64, TraceId), Summary)> = self
            .settled_hits(frontier)
            .take(limit.saturating_add(1))
            .map(|(place, summary)| (*place, summary.clone()))
            .collect();
        let is_full = settled.len() >= limit;
        let has_more = settled.len() > limit || frontier.is_some();
        let last = settled
            .get(limit.saturating_sub(1))
            .map(|((key, trace_id), _)| Cursor {
                key: *key,
                trace_id: *trace_id,
            });
        let next = match (has_more, frontier) {
            (false, _) => None,
            (true, Some(frontier)) if !is_full => Some(before(frontier)),
            (true, _) => last,
        };
        let stopped = frontier.filter(|_| !is_full);
        self.cost.ms = self.clock.now().saturating_sub(self.began) / 1_000_000;
        Page {
            hits: settled
                .into_iter()
                .take(limit)
                .map(|(_, summary)| summary)
                .collect(),
            next,
            complete: stopped.is_none(),
            searched_until: stopped.map(|frontier| before(frontier).key),
            cost: self.cost,
        }
    }
}

const LEAST_ID: [u8; TraceId::LEN] = 1_u128.to_be_bytes();

/// The last place before all that has this key.
fn before(key: u64) -> Cursor {
    let id = |bytes| TraceId::from_bytes(bytes).expect("not zero");
    match key.checked_add(1) {
        Some(above) => Cursor {
            key: above,
            trace_id: id(LEAST_ID),
        },
        None => Cursor {
            key,
            trace_id: id([u8::MAX; TraceId::LEN]),
        },
    }
}
