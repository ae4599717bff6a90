//! What was decided for a request, remembered for its late spans.

use hoplog_model::times::HOUR;
use hoplog_model::{TraceId, UnixNanos};
use hoplog_store::{Decision, Outcome};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Decisions of the last hour, the oldest forgotten first when there are too many.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    made: FxHashMap<TraceId, Decision>,
    order: VecDeque<(UnixNanos, TraceId)>,
}

impl Decisions {
    /// At about 60 B each: 12 MiB.
    const MOST: usize = 200_000;

    pub(crate) fn new(made: &FxHashMap<TraceId, Decision>) -> Self {
        let mut order: Vec<_> = made
            .iter()
            .map(|(id, decision)| (decision.at, *id))
            .collect();
        order.sort_unstable();
        Self {
            made: made.clone(),
            order: order.into(),
        }
    }

    pub(crate) fn get(&self, trace_id: &TraceId) -> Option<Outcome> {
        self.made.get(trace_id).map(|decision| decision.outcome)
    }

    pub(crate) fn remember(&mut self, trace_id: TraceId, outcome: Outcome, at: UnixNanos) {
        if self
            .made
            .insert(trace_id, Decision { outcome, at })
            .is_none()
        {
            self.order.push_back((at, trace_id));
        }
        while self.order.len() > Self::MOST
            || self
                .order
                .front()
                .is_some_and(|(then, _)| then.saturating_add(HOUR) < at)
        {
            let Some((_, oldest)) = self.order.pop_front() else {
                break;
            };
            self.made.remove(&oldest);
        }
    }
}
