//! A search over both, in exact order.
//!
//! Open requests that have a row are few (late parts); each is joined with it and stands for it, so
//! the store's hit for it is passed over. The others are evaluated newest first, and only as
//! many as a page takes. All of that happens before the store is asked, so what is flushed meanwhile
//! is found there.

use super::{Joined, join};
use crate::eval::matches;
use crate::{
    Cost, Cursor, Page, RequestExpr, RequestTest, Search, Sort, StoreError, StoredRequest,
};
use hoplog_model::{Clock, Summary, TraceId, UnixNanos};
use rustc_hash::FxHashSet;
use std::cmp::Reverse;

impl Joined {
    pub(super) async fn search_both(&self, search: &Search) -> Result<Page, StoreError> {
        let mut listed = self.open.list(0, UnixNanos::MAX);
        if let Some(only) = only_trace(&search.expr) {
            listed.retain(|(trace_id, _)| *trace_id == only);
        }
        if listed.is_empty() {
            return self.store.search(search).await;
        }
        let open = self.search_open(search, listed).await?;
        let stored = self.search_store(search, &open).await?;
        Ok(merge(search, open, stored))
    }

    async fn search_open(
        &self,
        search: &Search,
        listed: Vec<(TraceId, UnixNanos)>,
    ) -> Result<OpenSide, StoreError> {
        let stored = self.stored(&listed).await?;
        let (known, mut fresh): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .partition(|(trace_id, _)| stored.contains(trace_id));
        let budget = Budget::new(&*self.clock, search);
        let mut side = OpenSide::default();
        for (trace_id, _) in known {
            if budget.is_spent(&side.cost) {
                // Those left out are found as far as the store holds them.
                side.is_short = true;
                break;
            }
            let Some(open) = self.open.get(&trace_id) else {
                continue;
            };
            let joined = match self.store.get(&trace_id).await? {
                Some(row) => join(row, &open).0,
                None => open,
            };
            side.stands_for.insert(trace_id);
            side.consider(search, &joined);
        }
        fresh.retain(|(trace_id, start)| may_answer(search, *trace_id, *start));
        fresh.sort_unstable_by_key(|(trace_id, start)| Reverse((*start, *trace_id)));
        self.search_fresh(search, &fresh, &budget, &mut side);
        Ok(side)
    }

    /// Requests without a row, newest first, until the page is full or the budget spent. One is looked
    /// at in any case, so that going on from there gets somewhere.
    fn search_fresh(
        &self,
        search: &Search,
        fresh: &[(TraceId, UnixNanos)],
        budget: &Budget<'_>,
        side: &mut OpenSide,
    ) {
        let is_newest = search.sort == Sort::Newest;
        let (mut found, mut last) = (0, None);
        for (trace_id, start) in fresh {
            if is_newest && found == search.limit {
                side.has_more = true;
                return;
            }
            if budget.is_spent(&side.cost) && (last.is_some() || !is_newest) {
                side.is_short = true;
                side.until = last.filter(|_| is_newest);
                return;
            }
            last = Some(Cursor {
                key: *start,
                trace_id: *trace_id,
            });
            let Some(open) = self.open.get(trace_id) else {
                continue;
            };
            if side.consider(search, &open) {
                side.stands_for.insert(*trace_id);
                found += 1;
            }
        }
    }

    /// The store's hits but those that an open request stands for: asks again while they leave the
    /// page short.
    async fn search_store(&self, search: &Search, open: &OpenSide) -> Result<Page, StoreError> {
        let mut asked = search.clone();
        let mut all = Page::default();
        loop {
            let page = self.store.search(&asked).await?;
            let hits = page.hits.into_iter();
            all.hits
                .extend(hits.filter(|hit| !open.stands_for.contains(&hit.trace_id)));
            add(&mut all.cost, &page.cost);
            (all.complete, all.searched_until) = (page.complete, page.searched_until);
            all.next = page.next;
            if !page.complete || page.next.is_none() || all.hits.len() >= search.limit {
                return Ok(all);
            }
            asked.after = page.next;
        }
    }
}

/// What the open requests give.
#[derive(Default)]
struct OpenSide {
    hits: Vec<Summary>,
    /// Requests whose hits in the store are passed over.
    stands_for: FxHashSet<TraceId>,
    /// There are more hits after these.
    has_more: bool,
    /// The budget ran out.
    is_short: bool,
    /// Then, where it can be said: what sorts up to here was looked at.
    until: Option<Cursor>,
    cost: Cost,
}

/// What the open side may use up.
struct Budget<'a> {
    clock: &'a dyn Clock,
    deadline: UnixNanos,
    bytes: u64,
}

impl<'a> Budget<'a> {
    fn new(clock: &'a dyn Clock, search: &Search) -> Self {
        let deadline = clock.now().saturating_add(search.bounds.time);
        Self {
            clock,
            deadline,
            bytes: search.bounds.bytes,
        }
    }

    fn is_spent(&self, cost: &Cost) -> bool {
        cost.bytes > self.bytes || self.clock.now() > self.deadline
    }
}

impl OpenSide {
    /// Takes the request if it answers the search; true if it does.
    fn consider(&mut self, search: &Search, request: &StoredRequest) -> bool {
        self.cost.rows += 1;
        self.cost.bytes += request.spans.span_bytes() as u64;
        let summary = &request.summary;
        let answers = (search.from..search.to).contains(&summary.started_at)
            && search
                .after
                .is_none_or(|after| place(search.sort, summary) < order(after))
            && matches(&search.expr, summary, &request.spans);
        if answers {
            self.hits.push(summary.clone());
        }
        answers
    }
}

/// Whether a request without a row can be in this page, by its start alone.
fn may_answer(search: &Search, trace_id: TraceId, start: UnixNanos) -> bool {
    let is_after = |after| search.sort != Sort::Newest || (start, trace_id) < order(after);
    (search.from..search.to).contains(&start) && search.after.is_none_or(is_after)
}

/// What requests are ordered by, descending.
fn place(sort: Sort, summary: &Summary) -> (u64, TraceId) {
    (sort.key(summary), summary.trace_id)
}

fn order(cursor: Cursor) -> (u64, TraceId) {
    (cursor.key, cursor.trace_id)
}

/// The request without which nothing matches, if the expression names one.
fn only_trace(expr: &RequestExpr) -> Option<TraceId> {
    match expr {
        RequestExpr::Is(RequestTest::Trace(trace_id)) => Some(*trace_id),
        RequestExpr::And(all) => all.iter().find_map(only_trace),
        _ => None,
    }
}

fn merge(search: &Search, open: OpenSide, stored: Page) -> Page {
    let OpenSide {
        mut hits,
        has_more,
        is_short,
        until,
        cost,
        ..
    } = open;
    hits.extend(stored.hits);
    hits.sort_unstable_by_key(|hit| Reverse(place(search.sort, hit)));
    // Beyond what both sides have looked at, hits of one may lie between those of the other.
    let stored_until = stored.next.filter(|_| !stored.complete);
    let until = [until, stored_until]
        .into_iter()
        .flatten()
        .max_by_key(|until| order(*until));
    hits.retain(|hit| until.is_none_or(|until| place(search.sort, hit) >= order(until)));
    let is_full = hits.len() >= search.limit;
    let is_last =
        !has_more && until.is_none() && stored.next.is_none() && hits.len() <= search.limit;
    hits.truncate(search.limit);
    let last = hits.last().map(|hit| Cursor {
        key: search.sort.key(hit),
        trace_id: hit.trace_id,
    });
    let complete = is_full || stored.complete && !is_short;
    let mut page = Page {
        next: if is_full && !is_last { last } else { until },
        complete,
        searched_until: until.filter(|_| !complete).map(|until| until.key),
        hits,
        cost: stored.cost,
    };
    add(&mut page.cost, &cost);
    page
}

fn add(sum: &mut Cost, more: &Cost) {
    sum.segments += more.segments;
    sum.filters += more.filters;
    sum.rows += more.rows;
    sum.bytes += more.bytes;
    sum.ms += more.ms;
}
