//! One request of the corpus: which spans, when, where.

use super::dice::Dice;
use super::names::{self, CONSUMER, SERVICES, STATEMENTS, STEPS};
use super::{Corpus, INSTANCES, Ids};
use hoplog_model::{SpanId, SpanKind, TraceId, UnixNanos};

/// What a span does; numbers are indices into the tables of `names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A request or message arrives at this interface of the span's service.
    Hop { interface: usize },
    /// A call (or message, if the interface is the consumer) to another service.
    Call { to: usize, interface: usize },
    /// A database call.
    Statement(usize),
    /// Work inside the service.
    Step(usize),
}

/// A span of the corpus.
#[derive(Debug, Clone)]
pub struct PlannedSpan {
    /// Its id.
    pub span_id: SpanId,
    /// Its parent's index in the request; none for the root.
    pub parent: Option<usize>,
    /// When it starts.
    pub start: UnixNanos,
    /// When it ends.
    pub end: UnixNanos,
    /// Whether its status is error.
    pub failed: bool,
    /// Whether it brought an exception along.
    pub exception: bool,
    pub(super) service: usize,
    pub(super) instance: usize,
    pub(super) role: Role,
    /// Chance for the values of attributes.
    pub(super) salt: u64,
}

impl PlannedSpan {
    /// Its service.
    pub fn service(&self) -> &'static str {
        SERVICES[self.service].0
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self.role {
            Role::Hop { interface } => names::table().interface(self.service, interface),
            Role::Call { to, interface } => names::table().interface(to, interface),
            Role::Statement(statement) => names::table().statement(self.service, statement),
            Role::Step(step) => STEPS[step],
        }
    }

    /// Its kind.
    pub fn kind(&self) -> SpanKind {
        match self.role {
            Role::Hop {
                interface: CONSUMER,
            } => SpanKind::Consumer,
            Role::Hop { .. } => SpanKind::Server,
            Role::Call {
                interface: CONSUMER,
                ..
            } => SpanKind::Producer,
            Role::Call { .. } | Role::Statement(_) => SpanKind::Client,
            Role::Step(_) => SpanKind::Internal,
        }
    }
}

/// A request of the corpus.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id.
    pub trace_id: TraceId,
    /// Its `customer.id`, which some of its spans have, its root among them.
    pub customer: String,
    /// Its spans, parents before children, the root first.
    pub spans: Vec<PlannedSpan>,
}

/// Spans of request `number`: 3 to 40, mostly few. The first thing its dice say.
pub(super) fn span_count(seed: u64, number: u64) -> usize {
    first_roll(&mut Dice::new(seed, number))
}

fn first_roll(dice: &mut Dice) -> usize {
    3 + (38.0 * dice.unit().powi(2)) as usize
}

/// The id of request `number`.
pub(super) fn trace_id(corpus: &Corpus, number: u64) -> TraceId {
    let mut dice = Dice::new(corpus.options.seed, number);
    first_roll(&mut dice);
    roll_trace_id(corpus, number, &mut dice)
}

fn roll_trace_id(corpus: &Corpus, number: u64, dice: &mut Dice) -> TraceId {
    let (mut high, mut low) = (dice.next(), dice.next() | 1);
    if corpus.options.ids == Ids::V7 {
        let millis = corpus.start_of(number) / 1_000_000;
        high = millis << 16 | 0x7000 | high & 0xfff;
        low = low & (u64::MAX >> 2) | 1 << 63;
    }
    let id = u128::from(high) << 64 | u128::from(low);
    TraceId::from_bytes(id.to_be_bytes()).expect("the lowest bit is set")
}

impl Request {
    pub(super) fn plan(corpus: &Corpus, number: u64) -> Self {
        let dice = &mut Dice::new(corpus.options.seed, number);
        let count = first_roll(dice);
        let trace_id = roll_trace_id(corpus, number, dice);
        let customer = format!("c-{}", dice.below(50_000));
        let mut spans = tree(dice, count);
        time(&mut spans, corpus.start_of(number), dice);
        if dice.below(1000) < 30 {
            fail(&mut spans, dice);
        }
        let customer = corpus.rare_value(number).unwrap_or(customer);
        Self {
            trace_id,
            customer,
            spans,
        }
    }
}

/// The spans without times: hops over 2 to 9 services, then work within these.
fn tree(dice: &mut Dice, count: usize) -> Vec<PlannedSpan> {
    let most = count.div_ceil(2).min(9);
    let services = 2 + dice.below(most - 1);
    let mut spans = Vec::with_capacity(count);
    let first = dice.below(SERVICES.len());
    let interface = dice.below(names::INTERFACES);
    let mut hops = vec![add(&mut spans, None, first, Role::Hop { interface }, dice)];
    while hops.len() < services {
        let caller = hops[dice.below(hops.len())];
        let from = spans[caller].service;
        let to = other_service(&spans, &hops, dice);
        // One call in eight goes through a queue.
        let interface = if dice.below(8) == 0 {
            CONSUMER
        } else {
            dice.below(CONSUMER)
        };
        let call = add(
            &mut spans,
            Some(caller),
            from,
            Role::Call { to, interface },
            dice,
        );
        hops.push(add(
            &mut spans,
            Some(call),
            to,
            Role::Hop { interface },
            dice,
        ));
    }
    while spans.len() < count {
        let hop = hops[dice.below(hops.len())];
        let role = match dice.below(3) {
            0 => Role::Step(dice.below(STEPS.len())),
            _ => Role::Statement(dice.below(STATEMENTS.len())),
        };
        let service = spans[hop].service;
        add(&mut spans, Some(hop), service, role, dice);
    }
    // All spans of a request in one service come from one instance.
    let salt = dice.next();
    for span in &mut spans {
        span.instance = ((salt >> span.service) % INSTANCES as u64) as usize;
    }
    spans
}

/// A service that the request has not been at yet.
fn other_service(spans: &[PlannedSpan], hops: &[usize], dice: &mut Dice) -> usize {
    let mut service = dice.below(SERVICES.len());
    while hops.iter().any(|hop| spans[*hop].service == service) {
        service = (service + 1) % SERVICES.len();
    }
    service
}

fn add(
    spans: &mut Vec<PlannedSpan>,
    parent: Option<usize>,
    service: usize,
    role: Role,
    dice: &mut Dice,
) -> usize {
    let id = dice.next() | 1;
    spans.push(PlannedSpan {
        span_id: SpanId::from_bytes(id.to_be_bytes()).expect("the lowest bit is set"),
        parent,
        start: 0,
        end: 0,
        failed: false,
        exception: false,
        service,
        instance: 0,
        role,
        salt: dice.next(),
    });
    spans.len() - 1
}

/// A span's own median in nanoseconds: each interface and step has its pace.
fn median(span: &PlannedSpan) -> f64 {
    let pace = |number: usize| ((number * 7919 + span.service * 104_729) % 97) as f64;
    match span.role {
        Role::Hop { interface } => 200_000.0 + pace(interface) * 60_000.0,
        Role::Call { .. } => 150_000.0,
        Role::Statement(statement) => 300_000.0 + pace(statement) * 25_000.0,
        Role::Step(step) => 40_000.0 + pace(step) * 4_000.0,
    }
}

/// Durations from the leaves up (a span takes its own time and its children's, one after the
/// other), then starts from the root down. What a queue delivers comes after its producer's end.
fn time(spans: &mut [PlannedSpan], start: UnixNanos, dice: &mut Dice) {
    let is_queued = |span: &PlannedSpan| {
        matches!(
            span.role,
            Role::Hop {
                interface: CONSUMER
            }
        )
    };
    let mut durations: Vec<u64> = spans
        .iter()
        .map(|span| 1000 + dice.log_normal(median(span)) as u64)
        .collect();
    for index in (1..spans.len()).rev() {
        if let (Some(parent), false) = (spans[index].parent, is_queued(&spans[index])) {
            durations[parent] += durations[index];
        }
    }
    // Where the next child of each span starts: after a part of the span's own time.
    let mut next: Vec<u64> = vec![0; spans.len()];
    for index in 0..spans.len() {
        let begin = match spans[index].parent {
            None => start,
            Some(parent) if is_queued(&spans[index]) => {
                spans[parent].end + dice.log_normal(8e6) as u64
            }
            Some(parent) => {
                next[parent] += durations[index];
                next[parent] - durations[index]
            }
        };
        let span = &mut spans[index];
        (span.start, span.end) = (begin, begin + durations[index]);
        next[index] = begin + 500;
    }
}

/// Something fails, and all that waited for it.
fn fail(spans: &mut [PlannedSpan], dice: &mut Dice) {
    let origin = dice.below(spans.len());
    spans[origin].exception = dice.below(10) < 7;
    let mut failed = Some(origin);
    while let Some(index) = failed {
        spans[index].failed = true;
        failed = spans[index].parent;
    }
}
