//! The store in memory: the contract said as plainly as possible, and so the oracle of the
//! conformance suite. It scans everything for every answer and keeps nothing on disk.

mod retention;
mod rollup;

use crate::eval::matches;
use crate::retention::{Keep, Past, Retained};
use crate::summary::collect_keys;
use crate::tables::Step;
use crate::{
    Books, CheckReport, Checkpoint, Cost, Cursor, Decision, Difference, Filed, Maintenance,
    Outcome, Page, Part, PartitionHealth, Recovery, Search, SpanWriter, StatRow, StatsQuery,
    StoreError, StoreHealth, StoredRequest, TraceReader, WriteBatch, Written, summarize,
};
use async_trait::async_trait;
use hoplog_model::times::{DAY, HOUR};
use hoplog_model::{Clock, Interface, Summary, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use rollup::RollUps;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a decision to leave a request out is remembered, in nanoseconds.
const DECISION_AGE: u64 = HOUR;

/// Requests in one page at most.
const PAGE: usize = 1_000;

/// A store that is gone with the process.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    keep: Keep,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: FxHashMap<TraceId, Row>,
    rollups: RollUps,
    books: Books,
    checkpoint: Checkpoint,
    upto: FxHashMap<TraceId, hoplog_model::Position>,
    decisions: FxHashMap<TraceId, Decision>,
    dropped_rows: u64,
    retained: Retained,
    thinned: BTreeMap<u64, Past>,
    pins: FxHashSet<TraceId>,
}

#[derive(Debug)]
struct Row {
    /// The UTC day under which the request was first filed.
    day: u64,
    summary: Summary,
    spans: Arc<SpanSet>,
}

impl MemoryStore {
    /// An empty store that keeps days for `keep` nanoseconds after their end.
    pub fn new(clock: Arc<dyn Clock>, keep: u64) -> Self {
        Self::keeping(clock, Keep::all(keep))
    }

    /// An empty store that keeps what `keep` says.
    pub fn keeping(clock: Arc<dyn Clock>, keep: Keep) -> Self {
        Self {
            clock,
            keep,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is a failed test already; readers may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, part: &Part, written: &mut Written) {
        let upto = self.upto.entry(part.trace_id).or_default();
        *upto = part.upto.max(*upto);
        written.duplicate += u64::from(part.duplicates);
        written.left_out += u64::from(part.capped);
        if part.outcome == Outcome::Keep {
            self.keep(part, written);
            return;
        }
        let decision = Decision {
            outcome: part.outcome,
            at: part.received_at,
        };
        self.decisions.insert(part.trace_id, decision);
        written.left_out += part.spans.len() as u64;
        if part.outcome == Outcome::CountOnly {
            let day = Filed::first(start(&part.spans), part.received_at, 0).started_at / DAY;
            part.spans
                .iter()
                .for_each(|span| self.rollups.add(day, span));
        }
    }

    fn keep(&mut self, part: &Part, written: &mut Written) {
        let old = self.rows.remove(&part.trace_id);
        let mut spans = old
            .as_ref()
            .map(|row| (*row.spans).clone())
            .unwrap_or_default();
        let absorbed = spans.absorb(&part.spans);
        let filed = match &old {
            Some(row) => Filed::of(&row.summary).later(start(&spans), &absorbed, part.capped),
            None => Filed::first(start(&spans), part.received_at, part.capped),
        };
        let day = old.as_ref().map_or(filed.started_at / DAY, |row| row.day);
        for gone in &absorbed.replaced {
            self.rollups.remove(day, gone.span());
        }
        let replaced = absorbed.replaced.iter().map(|gone| gone.index);
        for index in absorbed.added.iter().copied().chain(replaced) {
            self.rollups.add(
                day,
                spans.get(index).expect("absorb names spans of the set"),
            );
        }
        written.stored += absorbed.added.len() as u64;
        written.duplicate += u64::from(absorbed.duplicates) + u64::from(absorbed.conflicts);
        written.merged_rows += u64::from(old.is_some());
        let mut summary = summarize(part.trace_id, &spans);
        filed.apply(&mut summary);
        self.rows.insert(
            part.trace_id,
            Row {
                day,
                summary,
                spans: Arc::new(spans),
            },
        );
    }

    /// Every row within the search's bounds and after its cursor, in its order.
    fn in_order(&self, search: &Search) -> Vec<&Row> {
        let place = |row: &Row| (search.sort.key(&row.summary), row.summary.trace_id);
        let mut rows: Vec<&Row> = self.rows.values().collect();
        rows.retain(|row| (search.from..search.to).contains(&row.summary.started_at));
        rows.retain(|row| {
            search
                .after
                .is_none_or(|after| place(row) < (after.key, after.trace_id))
        });
        rows.sort_unstable_by_key(|row| Reverse(place(row)));
        rows
    }

    fn days(&self) -> BTreeMap<u64, PartitionHealth> {
        let mut days = BTreeMap::new();
        for row in self.rows.values() {
            let health = days.entry(row.day).or_insert_with(|| PartitionHealth {
                name: format!("day {}", row.day),
                from: row.day * DAY,
                to: row.day.saturating_add(1).saturating_mul(DAY),
                thinned: self.thinned.get(&row.day).copied().unwrap_or_default(),
                ..PartitionHealth::default()
            });
            health.rows += 1;
            health.bytes += row.spans.span_bytes() as u64;
        }
        days
    }
}

fn start(spans: &SpanSet) -> UnixNanos {
    spans
        .iter()
        .map(|span| span.head.start)
        .min()
        .unwrap_or_default()
}

#[async_trait]
impl SpanWriter for MemoryStore {
    async fn write(&self, batch: WriteBatch) -> Result<Written, StoreError> {
        let mut state = self.lock();
        let mut written = Written::default();
        for part in &batch.parts {
            state.take(part, &mut written);
        }
        state.books.stored += written.stored;
        state.books.duplicate += written.duplicate;
        state.books.left_out += written.left_out;
        Ok(written)
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        self.lock().checkpoint = checkpoint;
        Ok(true)
    }

    async fn recovery(&self) -> Result<Recovery, StoreError> {
        let state = self.lock();
        let position = state.checkpoint.position;
        let since = self.clock.now().saturating_sub(DECISION_AGE);
        let upto = state.upto.iter().filter(|(_, upto)| **upto >= position);
        let decisions = state
            .decisions
            .iter()
            .filter(|(_, decision)| decision.at >= since);
        Ok(Recovery {
            checkpoint: state.checkpoint.clone(),
            upto: upto.map(|(trace_id, upto)| (*trace_id, *upto)).collect(),
            decisions: decisions
                .map(|(trace_id, decision)| (*trace_id, *decision))
                .collect(),
            books: state.books,
        })
    }
}

#[async_trait]
impl TraceReader for MemoryStore {
    async fn get(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, StoreError> {
        Ok(self.lock().rows.get(trace_id).map(|row| StoredRequest {
            summary: row.summary.clone(),
            spans: Arc::clone(&row.spans),
        }))
    }

    async fn stored(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let state = self.lock();
        Ok(trace_ids
            .iter()
            .filter(|id| state.rows.contains_key(id))
            .copied()
            .collect())
    }

    async fn search(&self, search: &Search) -> Result<Page, StoreError> {
        if !(1..=PAGE).contains(&search.limit) {
            return Err(StoreError::Invalid(format!(
                "a page has 1 to {PAGE} requests"
            )));
        }
        let state = self.lock();
        let mut page = Page {
            complete: true,
            ..Page::default()
        };
        for row in state.in_order(search) {
            let is_full = page.hits.len() == search.limit;
            if is_full || page.cost.bytes > search.bounds.bytes {
                page.complete = is_full;
                page.searched_until = page.next.filter(|_| !is_full).map(|last| last.key);
                return Ok(page);
            }
            page.cost = Cost {
                rows: page.cost.rows + 1,
                bytes: page.cost.bytes + row.spans.span_bytes() as u64,
                ..page.cost
            };
            let key = search.sort.key(&row.summary);
            page.next = Some(Cursor {
                key,
                trace_id: row.summary.trace_id,
            });
            if matches(&search.expr, &row.summary, &row.spans) {
                page.hits.push(row.summary.clone());
            }
        }
        page.next = None;
        Ok(page)
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        query.check()?;
        Ok(self.lock().rollups.sum(query))
    }

    async fn interfaces(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError> {
        let query = StatsQuery {
            from,
            to,
            ..StatsQuery::default()
        };
        let rows = self.lock().rollups.sum(&query);
        Ok(rows
            .into_iter()
            .map(|row| row.interface)
            .take(limit)
            .collect())
    }

    async fn keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut keys = BTreeSet::new();
        for row in self.lock().rows.values() {
            collect_keys(&row.spans, &mut keys);
        }
        Ok(keys.into_iter().take(limit).collect())
    }

    async fn books(&self) -> Result<Books, StoreError> {
        Ok(self.lock().books)
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn retain(&self, now: UnixNanos) -> Result<u64, StoreError> {
        Ok(self.lock().retain(&self.keep, now))
    }

    async fn train(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn merge(&self) -> Result<bool, StoreError> {
        // It has no filters.
        Ok(false)
    }

    async fn repack(&self) -> Result<Step, StoreError> {
        // Nothing is packed here.
        Ok(Step::default())
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        let state = self.lock();
        let partitions: Vec<PartitionHealth> = state.days().into_values().collect();
        Ok(StoreHealth {
            bytes: partitions.iter().map(|day| day.bytes).sum(),
            rows: state.rows.len() as u64,
            dropped_rows: state.dropped_rows,
            retained: state.retained,
            pins: state.pins.len() as u64,
            partitions,
            ..StoreHealth::default()
        })
    }

    async fn check(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        let state = self.lock();
        let rows = state.rows.len() as u64;
        let mut report = CheckReport {
            books: state.books,
            ..CheckReport::default()
        };
        for row in state.rows.values() {
            let mut summary = summarize(row.summary.trace_id, &row.spans);
            Filed::of(&row.summary).apply(&mut summary);
            if summary != row.summary {
                report.differences.push(Difference {
                    trace_id: Some(row.summary.trace_id),
                    what: "the summary is not that of the spans".to_owned(),
                });
            }
            report.rows += 1;
            report.spans += row.spans.len() as u64;
            progress(report.rows, rows);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::KEEP;

    async fn fresh(clock: Arc<dyn Clock>) -> ((), MemoryStore) {
        ((), MemoryStore::new(clock, KEEP))
    }

    crate::conformance!(fresh);

    async fn keeping(clock: Arc<dyn Clock>, keep: Keep) -> ((), MemoryStore) {
        ((), MemoryStore::keeping(clock, keep))
    }

    crate::conformance_of_retention!(keeping);
}
