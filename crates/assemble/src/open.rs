//! The open requests as readers see them: in the assembler, or on their way to the store.

use crate::assembler::{Assembler, Flushed};
use hoplog_model::{Flags, Position, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use hoplog_store::{Books, Filed, OpenRequests, Part, StoredRequest, summarize};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Figures of the assembler for the Pipeline page and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssembleStats {
    /// Requests in memory, being written or not.
    pub open_requests: usize,
    /// Their spans.
    pub open_spans: usize,
    /// Bytes they take.
    pub open_bytes: usize,
    /// Spans read again after a start that the store had already.
    pub replayed_spans: u64,
    /// Spans of unreadable inbox records that the store has all the same, from before they were
    /// damaged: no loss, although the inbox counts them as lost.
    pub lost_but_stored: u64,
    /// What the store made of all spans since ever.
    pub books: Books,
    /// Batches the store has taken.
    pub batches: u64,
    /// Rows a later part was merged into.
    pub merged_rows: u64,
    /// Spans in the dead letter folder: the store refuses them for good.
    pub dead_lettered: u64,
    /// Latest end of any span taken so far, Unix nanoseconds; 0 before the first.
    pub newest_span: UnixNanos,
    /// Why the store does not take batches at present.
    pub trouble: Option<String>,
}

/// Shared by the worker, which fills it, and readers.
#[derive(Debug)]
pub struct Open {
    state: Mutex<State>,
    commits: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) assembler: Assembler,
    flushing: FxHashMap<TraceId, Arc<Part>>,
    pub(crate) stats: AssembleStats,
}

impl Open {
    /// An empty set of open requests around `assembler`; `books` is what the store holds already.
    pub fn new(assembler: Assembler, books: Books) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                assembler,
                flushing: FxHashMap::default(),
                stats: AssembleStats {
                    books,
                    ..AssembleStats::default()
                },
            }),
            commits: watch::Sender::new(0),
        })
    }

    /// Present figures.
    pub fn stats(&self) -> AssembleStats {
        let state = self.lock();
        let flushing = state.flushing.values();
        AssembleStats {
            open_requests: state.assembler.len() + state.flushing.len(),
            open_spans: state.assembler.spans()
                + flushing.clone().map(|part| part.spans.len()).sum::<usize>(),
            open_bytes: state.assembler.bytes()
                + flushing.map(|part| part.spans.bytes()).sum::<usize>(),
            ..state.stats.clone()
        }
    }

    /// Changes whenever there may be something new to read: spans arrived, or requests were written.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left at worst a span half taken; readers go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves up to `most` due requests out of the assembler; they stay visible.
    pub(crate) fn take_due(&self, now: UnixNanos, most: usize) -> Vec<InFlight> {
        let mut state = self.lock();
        let State {
            assembler,
            flushing,
            ..
        } = &mut *state;
        let due = assembler.expire(now, most, |trace_id| flushing.contains_key(trace_id));
        due.into_iter()
            .map(|flushed| state.begin_flush(flushed))
            .collect()
    }

    /// The parts are in the store, or will never be: they are no longer open.
    pub(crate) fn settle(&self, parts: &[InFlight]) {
        let mut state = self.lock();
        for part in parts {
            state.flushing.remove(&part.part.trace_id);
        }
        drop(state);
        self.announce();
    }

    /// Tells those who watch that there is something new to read.
    pub(crate) fn announce(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }
}

/// A part that is open until the store has it.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) first: Position,
    pub(crate) part: Arc<Part>,
}

impl State {
    fn begin_flush(&mut self, flushed: Flushed) -> InFlight {
        let part = Arc::new(flushed.part);
        self.flushing.insert(part.trace_id, Arc::clone(&part));
        InFlight {
            first: flushed.first,
            part,
        }
    }

    fn union(&self, trace_id: &TraceId) -> Option<SpanSet> {
        let flushing = self.flushing.get(trace_id).map(|part| &part.spans);
        let mut all = SpanSet::new();
        for spans in flushing.into_iter().chain(self.assembler.get(trace_id)) {
            all.absorb(spans);
        }
        (!all.is_empty()).then_some(all)
    }
}

/// How a part is filed as long as it is the only one.
fn filed(part: &Part) -> Filed {
    let start = part
        .spans
        .iter()
        .map(|span| span.head.start)
        .min()
        .unwrap_or(part.received_at);
    Filed::first(start, part.received_at, part.capped)
}

impl OpenRequests for Open {
    fn get(&self, trace_id: &TraceId) -> Option<StoredRequest> {
        let state = self.lock();
        let spans = state.union(trace_id)?;
        let flushing = state.flushing.get(trace_id).map(|part| filed(part));
        let filed = flushing.or_else(|| state.assembler.filed(trace_id));
        drop(state);
        let mut summary = summarize(*trace_id, &spans);
        if let Some(filed) = filed {
            filed.apply(&mut summary);
        }
        summary.flags = summary.flags.with(Flags::OPEN);
        Some(StoredRequest {
            summary,
            spans: Arc::new(spans),
        })
    }

    fn list(&self, from: UnixNanos, to: UnixNanos) -> Vec<(TraceId, UnixNanos)> {
        let state = self.lock();
        let mut starts: FxHashMap<TraceId, UnixNanos> = state.assembler.list().collect();
        for part in state.flushing.values() {
            let start = filed(part).started_at;
            let earliest = starts.entry(part.trace_id).or_insert(start);
            *earliest = start.min(*earliest);
        }
        drop(state);
        starts
            .into_iter()
            .filter(|(_, start)| (from..to).contains(start))
            .collect()
    }
}
