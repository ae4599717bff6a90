//! The store and the open requests as one.

mod search;
mod stats;

use super::OpenRequests;
use crate::{
    Books, Filed, Page, Search, SharedReader, StatRow, StatsQuery, StoreError, StoredRequest,
    TraceReader, summarize,
};
use async_trait::async_trait;
use hoplog_model::{Clock, Flags, Interface, TraceId, UnixNanos};
use hoplog_otlp::Absorbed;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Open requests whose names are looked at for suggestions, at most; the newest.
const NAMED: usize = 1_000;

/// A reader of everything acknowledged: what the store holds and what is still open.
///
/// Everywhere the open part is read before the row: a request that is flushed in between is then in
/// both, which does no harm, and never in neither.
#[derive(Debug, Clone)]
pub struct Joined {
    store: SharedReader,
    open: Arc<dyn OpenRequests>,
    clock: Arc<dyn Clock>,
}

impl Joined {
    /// A reader over both; the clock is for the budget of searches.
    pub fn new(store: SharedReader, open: Arc<dyn OpenRequests>, clock: Arc<dyn Clock>) -> Self {
        Self { store, open, clock }
    }

    /// Of these open requests, those that have a row.
    async fn stored(
        &self,
        listed: &[(TraceId, UnixNanos)],
    ) -> Result<FxHashSet<TraceId>, StoreError> {
        let ids: Vec<TraceId> = listed.iter().map(|(trace_id, _)| *trace_id).collect();
        self.store.stored(&ids).await
    }

    /// The newest open requests that began before `to`.
    fn newest(&self, to: UnixNanos) -> impl Iterator<Item = StoredRequest> + '_ {
        let mut listed = self.open.list(0, to);
        listed.sort_unstable_by_key(|(_, start)| std::cmp::Reverse(*start));
        listed.truncate(NAMED);
        listed
            .into_iter()
            .filter_map(|(trace_id, _)| self.open.get(&trace_id))
    }
}

/// The request as it will be once its open part is written, and what the open part brought. A
/// part whose spans the row holds already changes nothing: it is no longer open but in name.
fn join(row: StoredRequest, open: &StoredRequest) -> (StoredRequest, Absorbed) {
    let mut spans = Arc::unwrap_or_clone(row.spans);
    let absorbed = spans.absorb(&open.spans);
    let mut summary = summarize(row.summary.trace_id, &spans);
    let filed = Filed::of(&row.summary);
    let joined = filed.later(summary.started_at, &absorbed, open.summary.capped_spans);
    joined.apply(&mut summary);
    if joined != filed || !absorbed.added.is_empty() || !absorbed.replaced.is_empty() {
        summary.flags = summary.flags.with(Flags::OPEN);
    }
    (
        StoredRequest {
            summary,
            spans: Arc::new(spans),
        },
        absorbed,
    )
}

#[async_trait]
impl TraceReader for Joined {
    async fn get(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, StoreError> {
        let open = self.open.get(trace_id);
        let row = self.store.get(trace_id).await?;
        Ok(match (row, open) {
            (Some(row), Some(open)) => Some(join(row, &open).0),
            (row, open) => row.or(open),
        })
    }

    async fn stored(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let open = trace_ids
            .iter()
            .filter(|trace_id| self.open.get(trace_id).is_some());
        let open: Vec<TraceId> = open.copied().collect();
        let mut stored = self.store.stored(trace_ids).await?;
        stored.extend(open);
        Ok(stored)
    }

    async fn search(&self, search: &Search) -> Result<Page, StoreError> {
        self.search_both(search).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        self.stats_of_both(query).await
    }

    async fn interfaces(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError> {
        let mut all = BTreeSet::new();
        for request in self.newest(to) {
            all.extend(request.spans.iter().map(crate::summary::interface));
        }
        all.extend(self.store.interfaces(from, to, limit).await?);
        Ok(all.into_iter().take(limit).collect())
    }

    async fn keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut all = BTreeSet::new();
        for request in self.newest(UnixNanos::MAX) {
            crate::summary::collect_keys(&request.spans, &mut all);
        }
        all.extend(self.store.keys(limit).await?);
        Ok(all.into_iter().take(limit).collect())
    }

    async fn books(&self) -> Result<Books, StoreError> {
        self.store.books().await
    }
}

#[cfg(test)]
mod tests;
