//! A store at volume: rows by the million, cheaply made, written as everything is. What is asked of it
//! ([`questions`]) must cost the same pages at ten times the size ([`ledger`]).
//!
//! Four days of requests. A slice is two hours of each day; after the first there are a million spans, after the
//! tenth ten million, in the same partitions.

pub mod beside;
pub mod ledger;
pub mod questions;

use super::build::{Span, part, span_id, trace, trace_v7};
use super::{NOW, write};
use crate::{Checkpoint, Outcome, Part, Store, WriteBatch};
use hoplog_model::times::{DAY, HOUR};
use hoplog_model::{Position, SpanKind, TraceId, UnixNanos};
use hoplog_otlp::{Group, SpanHead, SpanSet, write as wire};
use std::ops::Range;
use std::sync::Arc;

/// Days of the history, each a partition.
pub const DAYS: u64 = 4;
/// Slices of a day.
pub const SLICES: u64 = 10;
/// How long a slice of a day is.
const WIDTH: u64 = 2 * HOUR;
/// Spans of a request.
const SPANS: u64 = 10;
/// Batches of a slice of one day: as many as roll-ups wait for to be put into the tables, so that each slice leaves
/// none behind.
const BATCHES: u64 = 64;
/// Requests of a batch; a segment holds 512.
const BATCH: u64 = 400;
/// Requests of a slice of one day.
const REQUESTS: u64 = BATCHES * BATCH;
/// Spans of a slice of all days: a million.
pub const SLICE_SPANS: u64 = DAYS * REQUESTS * SPANS;
/// Batches from one checkpoint to the next: some seconds' worth.
const CHECKPOINT_EVERY: u64 = 16;

/// Numbers of requests that are not of the history.
const LATER: u64 = 1 << 40;

/// Services that most requests come from.
const SERVICES: u64 = 8;
/// Interfaces of a service.
const INTERFACES: u64 = 6;
/// Shapes of requests: one for each interface at which they come in.
const SHAPES: u64 = SERVICES * INTERFACES;
/// One request in so many fails.
const FAILS: u64 = 50;
/// One in so many takes a second or two in place of some milliseconds; all come in at interface 0 of service 0.
const SLOW: u64 = SHAPES * 10;
/// One in so many passes through a service that none of the others does.
const SELDOM: u64 = 2_000;
/// One in so many is only counted, one has a span that comes with the next batch.
const COUNTED: u64 = 64;
const LATE: u64 = 256;
/// The request of a slice of a day whose id tells when it began.
const TIME_ORDERED: u64 = 100;

/// The first instant of a day of the history, counted from 0, the oldest.
pub fn day(number: u64) -> UnixNanos {
    NOW - NOW % DAY - (DAYS - number) * DAY
}

/// The name of a service.
fn service(number: u64) -> String {
    format!("service-{}", number % SERVICES)
}

/// The name of an interface.
fn operation(number: u64) -> String {
    format!("GET /{}", number % INTERFACES)
}

/// A span as bytes, into which only ids and times are yet to be written.
#[derive(Debug, Clone)]
struct Template {
    raw: Vec<u8>,
    head: SpanHead,
    group: Arc<Group>,
    /// Where the start stands in `raw`; the end comes nine bytes later.
    start: usize,
}

impl Template {
    fn new(span: &Span, group: &Arc<Group>) -> Self {
        const MARK: UnixNanos = 0x0123_4567_89ab_cdef;
        let raw = span.clone().at(MARK, 1).raw(trace(1));
        let mark = MARK.to_le_bytes();
        let start = raw.windows(8).position(|window| window == mark);
        Self {
            start: start.expect("a span has a start"),
            raw,
            head: span.head(),
            group: Arc::clone(group),
        }
    }

    /// Adds the span to a request, with more attributes than it has.
    fn stamp(&self, set: &mut SpanSet, request: &Request, raw: &mut Vec<u8>, more: &[u8]) {
        // Ids are distinct over the whole history, as real ones are.
        let id = |span: hoplog_model::SpanId| {
            let local = u64::from_be_bytes(*span.as_bytes());
            span_id(request.number * 16 + local)
        };
        let head = SpanHead {
            span_id: id(self.head.span_id),
            parent: self.head.parent.map(id),
            start: request.start + self.head.start,
            end: request.start + self.head.start + self.lasts(request),
            ..self.head
        };
        raw.clear();
        raw.extend_from_slice(&self.raw);
        raw[2..18].copy_from_slice(request.trace_id.as_bytes());
        raw[20..28].copy_from_slice(head.span_id.as_bytes());
        if let Some(parent) = head.parent {
            raw[30..38].copy_from_slice(parent.as_bytes());
        }
        raw[self.start..self.start + 8].copy_from_slice(&head.start.to_le_bytes());
        raw[self.start + 9..self.start + 17].copy_from_slice(&head.end.to_le_bytes());
        raw.extend_from_slice(more);
        set.push(&self.group, head, raw);
    }

    fn lasts(&self, request: &Request) -> u64 {
        let own = self.head.end - self.head.start;
        match self.head.parent {
            None => request.duration,
            Some(_) => own,
        }
    }
}

/// A request to be.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// From 0, over all of the history.
    number: u64,
    trace_id: TraceId,
    start: UnixNanos,
    duration: u64,
}

impl Request {
    fn new(slice: u64, day_number: u64, n: u64) -> Self {
        let number = (slice * DAYS + day_number) * REQUESTS + n;
        // A few bits of chance, so that no two are alike.
        let chance = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34;
        let slow = number.is_multiple_of(SLOW);
        let start = day(day_number) + slice * WIDTH + n * (WIDTH / REQUESTS);
        Self {
            number,
            trace_id: match n {
                TIME_ORDERED => trace_v7(start, 1),
                _ => trace(number + 1),
            },
            start,
            duration: if slow { 1_000_000_000 } else { 30_000_000 } + chance,
        }
    }

    /// One that is not of the history: it comes late, on its last day.
    fn late(number: u64) -> Self {
        let number = LATER + number;
        Self {
            number,
            trace_id: trace(number),
            start: day(DAYS - 1) + HOUR + number % HOUR,
            duration: 40_000_000,
        }
    }
}

/// The spans of all shapes.
#[derive(Debug)]
struct Shapes {
    /// Of each shape the spans of a request, the root first.
    spans: Vec<Vec<Template>>,
    /// Of each shape the root of a request that fails.
    failed: Vec<Template>,
    /// In place of the sixth span of some.
    seldom: Template,
}

impl Shapes {
    fn new() -> Self {
        let groups: Vec<_> = (0..SERVICES)
            .map(|one| Span::root(1).service(&service(one)).group())
            .collect();
        let of = |shape: u64, span: &Span, hop: u64| {
            let group = (shape / INTERFACES + hop) % SERVICES;
            Template::new(span, &groups[usize::try_from(group).expect("few")])
        };
        let spans = (0..SHAPES).map(|shape| {
            let spans = shape_spans(shape);
            spans
                .iter()
                .map(|(span, hop)| of(shape, span, *hop))
                .collect()
        });
        let failed = (0..SHAPES).map(|shape| {
            let (root, hop) = shape_spans(shape).remove(0);
            of(shape, &root.failed("no answer"), hop)
        });
        let seldom = Span::child(6, 3)
            .name("GET /seldom")
            .service("seldom")
            .at(2_000_000, 1_000_000);
        Self {
            spans: spans.collect(),
            failed: failed.collect(),
            seldom: Template::new(&seldom, &seldom.group()),
        }
    }

    fn part(&self, request: &Request, upto: Position, raw: &mut Vec<u8>) -> Part {
        let shape = usize::try_from(request.number % SHAPES).expect("few");
        let mut spans = SpanSet::new();
        for (index, template) in self.spans[shape].iter().enumerate() {
            let mut more = Vec::new();
            let template = match index {
                0 => {
                    root_attributes(&mut more, request.number);
                    let fails = request.number % FAILS == 7;
                    if fails { &self.failed[shape] } else { template }
                }
                5 if request.number % SELDOM == 11 => &self.seldom,
                _ => template,
            };
            template.stamp(&mut spans, request, raw, &more);
        }
        let outcome = if request.number % COUNTED == 5 {
            Outcome::CountOnly
        } else {
            Outcome::Keep
        };
        Part {
            trace_id: request.trace_id,
            spans,
            upto,
            received_at: request.start + HOUR / 60,
            outcome,
            duplicates: 0,
            capped: 0,
        }
    }
}

/// The spans of a shape, each with how many services it is from where the request came in.
fn shape_spans(shape: u64) -> Vec<(Span, u64)> {
    let at = |hop: u64| service(shape / INTERFACES + hop);
    let hop = |id: u64, parent: u64, hop: u64, kind: SpanKind, name: &str| {
        let (start, duration) = (id * 1_000_000, 20_000_000 - id * 1_000_000);
        let span = Span::child(id, parent)
            .service(&at(hop))
            .kind(kind)
            .name(name);
        (span.at(start, duration), hop)
    };
    let root = Span::root(1)
        .service(&at(0))
        .name(&operation(shape))
        .at(0, 0)
        .with("http.request.method", "GET")
        .with("http.response.status_code", 200);
    vec![
        (root, 0),
        hop(2, 1, 0, SpanKind::Client, "GET"),
        hop(3, 2, 1, SpanKind::Server, &operation(shape + 1)),
        hop(4, 3, 1, SpanKind::Internal, "render"),
        hop(5, 3, 1, SpanKind::Client, "GET"),
        hop(6, 5, 2, SpanKind::Server, &operation(shape + 2)),
        hop(7, 6, 2, SpanKind::Internal, "load"),
        hop(8, 6, 2, SpanKind::Client, "SELECT orders"),
        hop(9, 8, 2, SpanKind::Internal, "fetch"),
        hop(10, 6, 2, SpanKind::Internal, "store"),
    ]
}

/// What tells a request from others of its shape: a number of its own, a customer that it shares with some.
fn root_attributes(out: &mut Vec<u8>, number: u64) {
    let customer = match number % REQUESTS {
        n if n == REQUESTS / 2 => rare(number / REQUESTS / DAYS, number / REQUESTS % DAYS),
        n => format!("customer-{}", n % 1_000),
    };
    wire::string_attribute(out, 9, "customer.id", &customer);
    wire::int_attribute(out, 9, "order.id", number.cast_signed());
}

/// A `customer.id` that one request has: the one in the middle of that slice of that day.
fn rare(slice: u64, day_number: u64) -> String {
    format!("rare-{slice}-{day_number}")
}

/// Writes slices of the history into a store, and makes checkpoints as it goes.
#[derive(Debug)]
pub struct Filler {
    shapes: Shapes,
    batches: u32,
}

impl Default for Filler {
    fn default() -> Self {
        Self {
            shapes: Shapes::new(),
            batches: 0,
        }
    }
}

impl Filler {
    /// Where the inbox is after another batch.
    fn next_position(&mut self) -> Position {
        self.batches += 1;
        Position {
            segment: 1,
            offset: self.batches,
        }
    }

    /// Writes these slices. Dictionaries are learned in the first one.
    ///
    /// # Panics
    /// If the store does not take them.
    pub async fn fill(&mut self, store: &dyn Store, slices: Range<u64>) {
        for slice in slices {
            for day_number in 0..DAYS {
                self.fill_day(store, slice, day_number).await;
                if slice == 0 {
                    let trained = store.train().await;
                    trained.expect("the store can be written");
                }
            }
        }
        questions::merge_all(store).await;
        self.checkpoint(store).await;
    }

    async fn fill_day(&mut self, store: &dyn Store, slice: u64, day_number: u64) {
        let mut raw = Vec::new();
        let mut parts: Vec<Arc<Part>> = Vec::new();
        for batch in 0..BATCHES {
            let upto = self.next_position();
            let mut late = Vec::new();
            for n in batch * BATCH..(batch + 1) * BATCH {
                let request = Request::new(slice, day_number, n);
                let mut part = self.shapes.part(&request, upto, &mut raw);
                let is_late = request.number % LATE == 3 && batch + 1 < BATCHES;
                if is_late && part.outcome == Outcome::Keep {
                    let (first, second) = halves(&part);
                    part = first;
                    late.push(Arc::new(second));
                }
                parts.push(Arc::new(part));
            }
            write_batch(store, std::mem::replace(&mut parts, late)).await;
            if batch % CHECKPOINT_EVERY == 0 {
                self.checkpoint(store).await;
            }
        }
    }

    /// Makes a checkpoint after what was written so far.
    ///
    /// # Panics
    /// If the store does not take it.
    pub async fn checkpoint(&mut self, store: &dyn Store) {
        let checkpoint = Checkpoint {
            position: self.next_position(),
            inbox_totals: Vec::new(),
        };
        let made = store.checkpoint(checkpoint).await;
        made.expect("the store takes the checkpoint");
    }
}

/// A part, and its last span as a later part.
fn halves(part: &Part) -> (Part, Part) {
    let (mut first, mut second) = (SpanSet::new(), SpanSet::new());
    for (index, span) in part.spans.iter().enumerate() {
        let is_last = index + 1 == part.spans.len();
        let set = if is_last { &mut second } else { &mut first };
        set.push(span.group, *span.head, span.raw);
    }
    let of = |spans| Part {
        spans,
        ..part.clone()
    };
    (of(first), of(second))
}

async fn write_batch(store: &dyn Store, parts: Vec<Arc<Part>>) {
    let written = store.write(WriteBatch { parts }).await;
    written.expect("the store takes the batch");
}

/// A store of a few rows: `batches` of 50 requests, a second apart from `start` on, of which one in nine is only
/// counted.
///
/// # Panics
/// If the store does not take them.
pub async fn fill_a_little(store: &dyn Store, batches: u64, start: UnixNanos) {
    for batch in 0..batches {
        let parts = (1..=50).map(|n| {
            let n = batch * 50 + n;
            let at = start + n * 1_000_000_000;
            let root = Span::root(1)
                .name(&format!("GET /{}", n % 60))
                .at(at, n)
                .with("n", n.cast_signed());
            let outcome = match n % 9 {
                0 => Outcome::CountOnly,
                _ => Outcome::Keep,
            };
            let id = trace(start / DAY * 1_000_000 + n);
            Part {
                outcome,
                ..part(id, &[root, Span::child(2, 1).at(at, 5)])
            }
        });
        write(store, parts.collect()).await;
    }
}
