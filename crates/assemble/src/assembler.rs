//! The pure core: spans in, parts of requests out. No clock, no I/O, no threads.

use crate::config::Config;
use crate::decisions::Decisions;
use crate::policy::Policies;
use hoplog_model::{Position, TraceId, UnixNanos};
use hoplog_otlp::{Group, Sliced, SpanHead, SpanSet};
use hoplog_store::{Filed, Outcome, Part, Recovery, summarize};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

/// Open requests, bounded in bytes.
///
/// A request is due when it has been quiet for [`Config::quiet_seconds`], or is
/// [`Config::age_seconds_max`] old, or memory asks for it (longest quiet first).
#[derive(Debug)]
pub struct Assembler {
    config: Config,
    policies: Policies,
    decisions: Decisions,
    open: FxHashMap<TraceId, Request>,
    queues: Queues,
    bytes: usize,
    spans: usize,
    replayed: FxHashMap<TraceId, Position>,
    next: Position,
}

/// In which order requests fall due. Entries of requests that are gone are passed over.
#[derive(Debug, Default)]
struct Queues {
    /// (last span, request): may be stale (the request got spans since), which is never too late.
    quiet: BinaryHeap<Reverse<(UnixNanos, TraceId)>>,
    /// (first span, request, its serial), oldest first.
    ages: VecDeque<(UnixNanos, TraceId, u64)>,
    /// How many open requests began at a record: the first is where a replay has to start.
    firsts: BTreeMap<Position, u32>,
    serial: u64,
}

impl Queues {
    fn enter(&mut self, trace_id: TraceId, now: UnixNanos, first: Position) -> u64 {
        self.serial += 1;
        self.quiet.push(Reverse((now, trace_id)));
        self.ages.push_back((now, trace_id, self.serial));
        *self.firsts.entry(first).or_default() += 1;
        self.serial
    }

    fn leave(&mut self, first: Position) {
        if let Some(count) = self.firsts.get_mut(&first) {
            *count -= 1;
            if *count == 0 {
                self.firsts.remove(&first);
            }
        }
    }
}

#[derive(Debug)]
struct Request {
    spans: SpanSet,
    /// Bytes of `spans` as counted in the total.
    held: usize,
    /// Earliest start of `spans`.
    start: UnixNanos,
    first: Position,
    upto: Position,
    received_at: UnixNanos,
    last_seen: UnixNanos,
    capped: u32,
    serial: u64,
}

/// Where a record lies in the inbox, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub position: Position,
    /// Just behind it.
    pub next: Position,
    /// When it was received.
    pub received_at: UnixNanos,
}

/// What [`Assembler::push`] did with a record's spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Now open.
    pub taken: u32,
    /// In the store already, by what the store recorded before a crash.
    pub replayed: u32,
}

/// Bookkeeping of one open request beside its spans: map entry, heap and queue entries.
const REQUEST_OVERHEAD: usize = 400;

impl Assembler {
    /// An assembler that goes on where the store's records end.
    pub fn new(config: Config, recovery: &Recovery) -> Self {
        Self {
            policies: Policies::new(config.policy.clone()),
            decisions: Decisions::new(&recovery.decisions),
            replayed: recovery.upto.clone(),
            next: recovery.checkpoint.position,
            config,
            open: FxHashMap::default(),
            queues: Queues::default(),
            bytes: 0,
            spans: 0,
        }
    }

    /// Takes the spans of a record. Records come in the order of their positions.
    pub fn push(&mut self, now: UnixNanos, record: Record, sliced: &Sliced) -> Pushed {
        let Record {
            position,
            next,
            received_at,
        } = record;
        let mut pushed = Pushed::default();
        for span in &sliced.spans {
            if self
                .replayed
                .get(&span.trace_id)
                .is_some_and(|upto| position <= *upto)
            {
                pushed.replayed += 1;
                continue;
            }
            pushed.taken += 1;
            let request = self.open.entry(span.trace_id).or_insert_with(|| {
                self.bytes += REQUEST_OVERHEAD;
                let serial = self.queues.enter(span.trace_id, now, position);
                Request::new(position, received_at, serial)
            });
            request.upto = position;
            request.last_seen = now;
            let group = &sliced.groups[span.group as usize];
            if let Some(grown) = request.add(&self.config, group, span.head, sliced.raw(span)) {
                self.bytes += grown;
                self.spans += 1;
            }
        }
        self.next = next;
        pushed
    }

    /// Takes out at most `most` requests that are due at `now`, the most pressing first, and no more
    /// once they have the bytes of a batch. Requests that are `busy` (an earlier part is being
    /// written) stay until they no longer are.
    pub fn expire(
        &mut self,
        now: UnixNanos,
        most: usize,
        busy: impl Fn(&TraceId) -> bool,
    ) -> Vec<Flushed> {
        let (mut due, mut later) = (Vec::new(), Vec::new());
        let bytes_before = self.bytes;
        while due.len() < most && bytes_before - self.bytes < self.config.batch_bytes() {
            let Some(next) = self.next_due(now) else {
                break;
            };
            if busy(&next.trace_id()) {
                later.push(next);
            } else {
                due.extend(self.take(&next.trace_id()));
            }
        }
        for put_back in later.into_iter().rev() {
            match put_back {
                Due::Old(entry) => self.queues.ages.push_front(entry),
                Due::Quiet(entry) => self.queues.quiet.push(Reverse(entry)),
            }
        }
        due
    }

    fn next_due(&mut self, now: UnixNanos) -> Option<Due> {
        self.too_old(now).or_else(|| self.too_quiet(now))
    }

    fn too_old(&mut self, now: UnixNanos) -> Option<Due> {
        while let Some((first_seen, trace_id, serial)) = self.queues.ages.front().copied() {
            let is_open = self
                .open
                .get(&trace_id)
                .is_some_and(|open| open.serial == serial);
            if is_open && first_seen.saturating_add(self.config.age_max()) > now {
                return None;
            }
            self.queues.ages.pop_front();
            if is_open {
                return Some(Due::Old((first_seen, trace_id, serial)));
            }
        }
        None
    }

    fn too_quiet(&mut self, now: UnixNanos) -> Option<Due> {
        while let Some(Reverse((seen, trace_id))) = self.queues.quiet.peek().copied() {
            let Some(request) = self.open.get(&trace_id) else {
                self.queues.quiet.pop();
                continue;
            };
            if request.last_seen > seen {
                self.queues.quiet.pop();
                self.queues
                    .quiet
                    .push(Reverse((request.last_seen, trace_id)));
                continue;
            }
            let is_due = seen.saturating_add(self.config.quiet()) <= now;
            return (is_due || self.is_over_memory()).then(|| {
                self.queues.quiet.pop();
                Due::Quiet((seen, trace_id))
            });
        }
        None
    }

    fn take(&mut self, trace_id: &TraceId) -> Option<Flushed> {
        let request = self.open.remove(trace_id)?;
        self.bytes -= request.held + REQUEST_OVERHEAD;
        self.spans -= request.spans.len();
        self.queues.leave(request.first);
        let (first, mut part) = (request.first, request.into_part(*trace_id));
        part.outcome = self.decide(&part);
        Some(Flushed { first, part })
    }

    fn decide(&mut self, part: &Part) -> Outcome {
        if self.policies.is_empty() {
            return Outcome::Keep;
        }
        if let Some(outcome) = self.decisions.get(&part.trace_id) {
            return outcome;
        }
        let summary = summarize(part.trace_id, &part.spans);
        let outcome = self.policies.decide(&summary, part.received_at);
        self.decisions
            .remember(part.trace_id, outcome, part.received_at);
        outcome
    }

    /// Everything recorded before a crash has been read again: no span can be a replayed one any more.
    pub fn replay_done(&mut self) {
        self.replayed = FxHashMap::default();
    }

    /// Whether more is held open than the configuration allows.
    pub fn is_over_memory(&self) -> bool {
        self.bytes > self.config.memory_bytes
    }

    /// The lowest position of any span still open; if none is, the place after the last record.
    pub fn low_water(&self) -> Position {
        self.queues
            .firsts
            .keys()
            .next()
            .copied()
            .unwrap_or(self.next)
    }

    /// The open part of a request, as it would be flushed now.
    pub fn get(&self, trace_id: &TraceId) -> Option<&SpanSet> {
        self.open.get(trace_id).map(|request| &request.spans)
    }

    /// Whether a request is open.
    pub fn contains(&self, trace_id: &TraceId) -> bool {
        self.open.contains_key(trace_id)
    }

    /// Open requests with the start they would be filed under. No order.
    pub fn list(&self) -> impl Iterator<Item = (TraceId, UnixNanos)> + '_ {
        self.open
            .iter()
            .map(|(trace_id, request)| (*trace_id, request.filed().started_at))
    }

    /// How a request would be filed if it were flushed now.
    pub fn filed(&self, trace_id: &TraceId) -> Option<Filed> {
        self.open.get(trace_id).map(Request::filed)
    }

    /// Open requests.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Spans held open, received twice or not.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A request that is due, as the entry of the queue that says so.
enum Due {
    Old((UnixNanos, TraceId, u64)),
    Quiet((UnixNanos, TraceId)),
}

impl Due {
    fn trace_id(&self) -> TraceId {
        match self {
            Self::Old((_, trace_id, _)) | Self::Quiet((_, trace_id)) => *trace_id,
        }
    }
}

/// A part on its way to the store.
#[derive(Debug, Clone)]
pub struct Flushed {
    /// Where its first span lies in the inbox: a replay must not start after it until it is stored.
    pub first: Position,
    /// What the store gets.
    pub part: Part,
}

impl Request {
    fn new(first: Position, received_at: UnixNanos, serial: u64) -> Self {
        Self {
            spans: SpanSet::new(),
            held: 0,
            start: UnixNanos::MAX,
            first,
            upto: first,
            received_at,
            last_seen: received_at,
            capped: 0,
            serial,
        }
    }

    /// Takes a span; the bytes it added, or none if the request is at its cap.
    fn add(
        &mut self,
        config: &Config,
        group: &Arc<Group>,
        head: SpanHead,
        raw: &[u8],
    ) -> Option<usize> {
        if self.spans.len() >= config.request_spans_max
            || self.held + raw.len() > config.request_bytes_max
        {
            self.capped += 1;
            return None;
        }
        self.spans.push(group, head, raw);
        self.start = self.start.min(head.start);
        let before = std::mem::replace(&mut self.held, self.spans.bytes());
        Some(self.held - before)
    }

    fn filed(&self) -> Filed {
        Filed::first(self.start, self.received_at, self.capped)
    }

    fn into_part(mut self, trace_id: TraceId) -> Part {
        let received = self.spans.len();
        self.spans.dedupe();
        let duplicates = u32::try_from(received - self.spans.len()).unwrap_or(u32::MAX);
        Part {
            trace_id,
            spans: self.spans,
            upto: self.upto,
            received_at: self.received_at,
            outcome: Outcome::Keep,
            duplicates,
            capped: self.capped,
        }
    }
}

#[cfg(test)]
mod tests;
