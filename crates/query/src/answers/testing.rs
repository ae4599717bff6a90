//! A small store for tests: real requests in a memory store, and a clock that stands still.

use super::{Answers, BooksAnswer, Pipeline, PipelineReport, ReasonCount, ReceiverLine};
use hoplog_model::{ManualClock, Position, TraceId, UnixNanos, times};
use hoplog_otlp::{Limits, SpanSet};
use hoplog_store::memory::MemoryStore;
use hoplog_store::{Outcome, Part, SpanWriter, WriteBatch};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The present of every test: 2026-11-23T11:00:00Z.
pub(crate) const NOW: UnixNanos = 1_795_431_600 * times::SECOND;
const MS: u64 = 1_000_000;

/// The way in, as the tests set it.
#[derive(Debug)]
pub(crate) struct StubPipeline {
    pub(crate) ready: Mutex<Result<(), String>>,
    pub(crate) commits: watch::Sender<u64>,
}

impl Pipeline for StubPipeline {
    fn books(&self) -> BooksAnswer {
        BooksAnswer {
            received: 20,
            stored: 11,
            duplicate: 1,
            left_out: 2,
            rejected: 3,
            dead_lettered: 0,
            lost: 1,
            waiting: 2,
        }
    }

    fn report(&self) -> PipelineReport {
        PipelineReport {
            receivers: vec![ReceiverLine {
                receiver: "otlp-grpc".to_owned(),
                address: "127.0.0.1:4317".to_owned(),
                requests: 4,
                bytes: 9_000,
                received: 20,
                rejected: 3,
                refused: 1,
            }],
            rejected: vec![ReasonCount {
                reason: "zero_span_id".to_owned(),
                count: 3,
            }],
            overloads: vec![ReasonCount {
                reason: "inbox_full".to_owned(),
                count: 1,
            }],
            open_requests: 1,
            open_bytes: 900,
            inbox_bytes: 4_096,
            inbox_damaged: 0,
            rows_merged: 2,
            newest_committed: Some(NOW - 1_400 * MS),
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.lock().unwrap().clone()
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

/// One span of a test's request.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) service: &'static str,
    /// OTLP's number.
    pub(crate) kind: u8,
    pub(crate) name: &'static str,
    pub(crate) millis: u64,
    pub(crate) failed: bool,
    pub(crate) attributes: Vec<(&'static str, Value)>,
}

/// A span that went well.
pub(crate) fn hop(service: &'static str, kind: u8, name: &'static str, millis: u64) -> Hop {
    Hop {
        service,
        kind,
        name,
        millis,
        failed: false,
        attributes: Vec::new(),
    }
}

impl Hop {
    pub(crate) fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    pub(crate) fn with(mut self, key: &'static str, value: Value) -> Self {
        self.attributes.push((key, value));
        self
    }
}

pub(crate) fn trace_id(n: u64) -> TraceId {
    format!("0af7651916cd43dd8448{n:012x}").parse().unwrap()
}

/// The spans of request `n`: each hop is the child of the one before it and begins a millisecond later.
fn nested(n: u64, start: UnixNanos, hops: &[Hop]) -> SpanSet {
    spans(n, hops, |place| {
        (place.saturating_sub(1), start + place as u64 * MS)
    })
}

/// The spans of request `n`: all others are children of the first, one after the other.
fn beside(n: u64, start: UnixNanos, hops: &[Hop]) -> SpanSet {
    spans(n, hops, |place| {
        let before = hops[..place].iter().skip(1);
        (0, start + before.map(|hop| hop.millis * MS).sum::<u64>())
    })
}

/// The spans of request `n`, each with the place of its parent (of the first: none) and its start.
fn spans(n: u64, hops: &[Hop], stands: impl Fn(usize) -> (usize, UnixNanos)) -> SpanSet {
    let id = |place: usize| format!("{:016x}", (n << 16) + place as u64 + 1);
    let attribute = |(key, value): &(&str, Value)| json!({ "key": key, "value": value });
    let resource = |service| json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] });
    let resource_spans: Vec<Value> = hops
        .iter()
        .enumerate()
        .map(|(place, hop)| {
            let (parent, from) = stands(place);
            let parent = if place == 0 {
                String::new()
            } else {
                id(parent)
            };
            let span = json!({
                "traceId": trace_id(n).to_string(),
                "spanId": id(place),
                "parentSpanId": parent,
                "name": hop.name,
                "kind": hop.kind,
                "startTimeUnixNano": from.to_string(),
                "endTimeUnixNano": (from + hop.millis * MS).to_string(),
                "status": { "code": if hop.failed { 2 } else { 0 } },
                "attributes": hop.attributes.iter().map(attribute).collect::<Vec<_>>(),
            });
            json!({ "resource": resource(hop.service), "scopeSpans": [{ "spans": [span] }] })
        })
        .collect();
    let json = json!({ "resourceSpans": resource_spans }).to_string();
    let (bytes, _) = hoplog_otlp::json::decode(json.as_bytes(), &Limits::NONE).unwrap();
    SpanSet::read_traces(&bytes).unwrap().1
}

/// A database call of `orders`.
pub(crate) fn call(text: &str, millis: u64) -> Hop {
    hop("orders", 3, "query", millis).with("db.query.text", json!({ "stringValue": text }))
}

/// A request to `orders` with these calls.
pub(crate) fn order(calls: &[Hop]) -> Vec<Hop> {
    let mut hops = vec![hop("orders", 2, "GET /orders", 300)];
    hops.extend_from_slice(calls);
    hops
}

/// Everything a test of answers needs.
pub(crate) struct World {
    pub(crate) answers: Arc<Answers>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) pipeline: Arc<StubPipeline>,
}

impl World {
    /// Nothing in the store.
    pub(crate) fn empty() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let store = Arc::new(MemoryStore::new(clock.clone(), 30 * times::DAY));
        let pipeline = Arc::new(StubPipeline {
            ready: Mutex::new(Ok(())),
            commits: watch::channel(0).0,
        });
        let answers = Answers::new(
            store.clone(),
            (store.clone(), store.clone()),
            pipeline.clone(),
            clock.clone(),
        );
        Self {
            answers: Arc::new(answers),
            store,
            clock,
            pipeline,
        }
    }

    /// A small shop: one order that went well, one that was slow, one that failed.
    pub(crate) async fn shop() -> Self {
        let world = Self::empty();
        let text = |value: &str| json!({ "stringValue": value });
        let order = |code: i64| {
            hop("gateway", 2, "POST /orders", 120)
                .with("http.request.method", text("POST"))
                .with("http.route", text("/orders"))
                .with(
                    "http.response.status_code",
                    json!({ "intValue": code.to_string() }),
                )
        };
        let pay =
            hop("payments", 2, "payments.Payments/Charge", 60).with("bank.code", text("KB-04"));
        world
            .write(
                1,
                NOW - 50 * times::MINUTE,
                &[order(200), hop("gateway", 3, "POST", 100), pay.clone()],
            )
            .await;
        let slow = Hop {
            millis: 2_400,
            ..pay.clone()
        };
        world
            .write(
                2,
                NOW - 10 * times::MINUTE,
                &[
                    Hop {
                        millis: 2_500,
                        ..order(200)
                    },
                    slow,
                ],
            )
            .await;
        let declined = pay.failed().with("error.type", text("card_declined"));
        world
            .write(3, NOW - 5 * times::MINUTE, &[order(502).failed(), declined])
            .await;
        world
            .write(
                4,
                NOW - 2 * times::MINUTE,
                &[hop("worker", 1, "tidy up", 5)],
            )
            .await;
        world
    }

    /// Two orders: one with quick statements, one with many equal calls one after the other; and another
    /// service that sends one of the statements, too.
    pub(crate) async fn statements() -> Self {
        let world = Self::empty();
        let one = [
            call("SELECT 1 -- ping", 2).failed(),
            call("DELETE FROM t", 40),
        ];
        world.write(1, NOW - 20 * times::MINUTE, &order(&one)).await;
        let many: Vec<Hop> = (0..6)
            .map(|n| call(&format!("SELECT * FROM items WHERE order_id = {n}"), 20))
            .collect();
        world
            .write_beside(2, NOW - 10 * times::MINUTE, &order(&many))
            .await;
        let audit = hop("audit", 3, "q", 1)
            .with("db.statement", json!({ "stringValue": "select  1" }))
            .with("db.query.summary", json!({ "stringValue": "SELECT ?" }));
        world
            .write(
                3,
                NOW - times::MINUTE,
                &[hop("audit", 2, "GET /", 5), audit],
            )
            .await;
        world
    }

    /// Writes a request and says so.
    pub(crate) async fn write(&self, n: u64, start: UnixNanos, hops: &[Hop]) {
        self.write_spans(n, start, nested(n, start, hops)).await;
    }

    /// As [`World::write`], but all hops are called by the first, one after the other.
    pub(crate) async fn write_beside(&self, n: u64, start: UnixNanos, hops: &[Hop]) {
        self.write_spans(n, start, beside(n, start, hops)).await;
    }

    async fn write_spans(&self, n: u64, start: UnixNanos, spans: SpanSet) {
        let part = Part {
            trace_id: trace_id(n),
            spans,
            upto: Position::default(),
            received_at: start,
            outcome: Outcome::Keep,
            duplicates: 0,
            capped: 0,
        };
        self.store
            .write(WriteBatch {
                parts: vec![Arc::new(part)],
            })
            .await
            .unwrap();
        self.pipeline.commits.send_modify(|n| *n += 1);
    }
}
