//! A small shop with an hour of requests, the same at every run: what pages are tested with and
//! what `examples/preview.rs` shows.

mod shapes;

use hoplog_model::times::{DAY, MINUTE};
use hoplog_model::{Flags, ManualClock, Position, SpanKind, TraceId, UnixNanos};
use hoplog_query::Answers;
use hoplog_query::answers::{BooksAnswer, Pipeline, PipelineReport, ReasonCount, ReceiverLine};
use hoplog_query::retention::{Age, Bytes, Keep};
use hoplog_store::memory::MemoryStore;
use hoplog_store::summary::summarize;
use hoplog_store::{Joined, OpenRequests, Outcome, Part, SpanWriter, StoredRequest, WriteBatch};
use hoplog_testkit::spans::{Trace, trace};
use hoplog_web::Config;
use shapes::{linked, many, open, orphaned, repeated, rootless};
use std::sync::Arc;
use tokio::sync::watch;

/// The present: 2026-11-23T11:02:04Z.
pub(crate) const NOW: UnixNanos = 1_795_431_724_000_000_000;
const MS: u64 = 1_000_000;

/// The way in, as the pages see it.
#[derive(Debug)]
struct StubPipeline {
    empty: bool,
    commits: watch::Sender<u64>,
}

impl Pipeline for StubPipeline {
    fn books(&self) -> BooksAnswer {
        if self.empty {
            return BooksAnswer::default();
        }
        BooksAnswer {
            received: 1_204_377,
            stored: 1_201_118,
            duplicate: 2_048,
            left_out: 640,
            rejected: 17,
            dead_lettered: 0,
            lost: 0,
            waiting: 554,
        }
    }

    fn report(&self) -> PipelineReport {
        if self.empty {
            return PipelineReport::default();
        }
        let receiver = |receiver: &str, address: &str, requests, received, rejected| ReceiverLine {
            receiver: receiver.into(),
            address: address.into(),
            requests,
            bytes: received * 451,
            received,
            rejected,
            refused: 0,
        };
        let reason = |reason: &str, count| ReasonCount {
            reason: reason.into(),
            count,
        };
        PipelineReport {
            receivers: vec![
                receiver("otlp-grpc", "127.0.0.1:4317", 2_310, 1_180_120, 5),
                receiver("otlp-http", "127.0.0.1:4318", 48, 24_257, 12),
            ],
            rejected: vec![reason("zero_span_id", 12), reason("end_before_start", 5)],
            overloads: Vec::new(),
            open_requests: 41,
            open_bytes: 1_310_720,
            inbox_bytes: 8_388_608,
            inbox_damaged: 0,
            rows_merged: 1_204,
            newest_committed: Some(NOW - 1_400 * MS),
        }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

/// The one request that is still arriving.
#[derive(Debug)]
struct StillOpen(StoredRequest);

impl OpenRequests for StillOpen {
    fn get(&self, trace_id: &TraceId) -> Option<StoredRequest> {
        (self.0.summary.trace_id == *trace_id).then(|| self.0.clone())
    }

    fn list(&self, from: UnixNanos, to: UnixNanos) -> Vec<(TraceId, UnixNanos)> {
        let summary = &self.0.summary;
        let open = (from..to).contains(&summary.started_at);
        open.then_some((summary.trace_id, summary.started_at))
            .into_iter()
            .collect()
    }
}

/// What pages need: answers, and where the process listens.
pub(crate) fn config() -> Config {
    Config {
        hosts: Vec::new(),
        otlp_grpc: "http://127.0.0.1:4317".into(),
        otlp_http: "http://127.0.0.1:4318".into(),
        keep: Keep {
            errors: Age::Nanos(30 * DAY),
            slow: Age::Nanos(14 * DAY),
            bytes: Bytes::AtMost(20 << 30),
            ..Keep::all(3 * DAY)
        },
    }
}

/// Answers over an empty store.
pub(crate) fn empty() -> Arc<Answers> {
    let clock = Arc::new(ManualClock::at(NOW));
    let store = Arc::new(MemoryStore::new(clock.clone(), 30 * DAY));
    let pipeline = Arc::new(StubPipeline {
        empty: true,
        commits: watch::channel(0).0,
    });
    Arc::new(Answers::new(
        store.clone(),
        (store.clone(), store),
        pipeline,
        clock,
    ))
}

/// Answers over an hour of the shop, with a request of `large` spans in it.
pub(crate) async fn shop(large: usize) -> Arc<Answers> {
    let clock = Arc::new(ManualClock::at(NOW));
    let store = Arc::new(MemoryStore::new(clock.clone(), 30 * DAY));
    let mut traces = hour();
    traces.extend([
        failing(),
        repeated(),
        orphaned(),
        rootless(),
        linked(),
        many(large),
    ]);
    for traces in traces.chunks(256) {
        let parts = traces.iter().map(|trace| Arc::new(part(trace))).collect();
        store
            .write(WriteBatch { parts })
            .await
            .expect("memory takes everything");
    }
    let (open, spans) = (open(), open().set());
    let mut summary = summarize(open.trace_id(), &spans);
    summary.flags = summary.flags.with(Flags::OPEN);
    let open = Arc::new(StillOpen(StoredRequest {
        summary,
        spans: Arc::new(spans),
    }));
    let reader = Arc::new(Joined::new(store.clone(), open, clock.clone()));
    let pipeline = Arc::new(StubPipeline {
        empty: false,
        commits: watch::channel(0).0,
    });
    Arc::new(Answers::new(
        reader,
        (store.clone(), store),
        pipeline,
        clock,
    ))
}

fn part(trace: &Trace) -> Part {
    Part {
        trace_id: trace.trace_id(),
        spans: trace.set(),
        upto: Position {
            segment: 1,
            offset: 1,
        },
        received_at: NOW,
        outcome: Outcome::Keep,
        duplicates: 0,
        capped: 0,
    }
}

/// Numbers that look random and are the same at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Ordinary requests, some of them failing, more from the 39th minute on.
fn hour() -> Vec<Trace> {
    let mut dice = Dice(0x5eed);
    let mut traces = Vec::new();
    for minute in 0..60 {
        for n in 0..6 + dice.roll(4) {
            let at =
                NOW - (60 - minute) * MINUTE + dice.roll(59) * 1_000 * MS + dice.roll(1_000) * MS;
            let name = format!("{minute}-{n}");
            let broken = dice.roll(if minute > 38 { 6 } else { 40 }) == 0;
            traces.push(match dice.roll(5) {
                0 => browse(&name, at, &mut dice),
                1 => job(&name, at, &mut dice),
                _ => order(&name, at, broken, &mut dice),
            });
        }
    }
    traces
}

fn browse(name: &str, at: UnixNanos, dice: &mut Dice) -> Trace {
    let ms = 6 + dice.roll(20);
    trace(&format!("browse-{name}"))
        .base(at)
        .span("root")
        .service("web-gateway")
        .kind(SpanKind::Server)
        .name("GET /products")
        .ms(ms + 4)
        .attr("http.request.method", "GET")
        .attr("http.route", "/products")
        .attr("http.response.status_code", 200)
        .span("call")
        .child_of("root")
        .service("web-gateway")
        .kind(SpanKind::Client)
        .name("GET")
        .start_ms(1)
        .ms(ms + 2)
        .span("stock")
        .child_of("call")
        .service("inventory")
        .kind(SpanKind::Server)
        .name("GET /stock")
        .start_ms(2)
        .ms(ms)
        .attr("http.response.status_code", 200)
}

fn job(name: &str, at: UnixNanos, dice: &mut Dice) -> Trace {
    let ms = 900 + dice.roll(2_400);
    trace(&format!("job-{name}"))
        .base(at)
        .span("root")
        .service("mail-worker")
        .kind(SpanKind::Consumer)
        .name("consume order.placed")
        .ms(ms)
        .attr("messaging.destination.name", "order.placed")
        .span("smtp")
        .child_of("root")
        .service("mail-worker")
        .kind(SpanKind::Client)
        .name("SMTP send")
        .start_ms(20)
        .ms(ms - 60)
}

fn order(name: &str, at: UnixNanos, broken: bool, dice: &mut Dice) -> Trace {
    let pay = if broken { 400 } else { 40 + dice.roll(90) };
    let stock = 8 + dice.roll(30);
    let code = if broken { 502 } else { 201 };
    let mut request = trace(&format!("order-{name}"))
        .base(at)
        .span("root")
        .service("web-gateway")
        .kind(SpanKind::Server)
        .name("POST /orders")
        .ms(stock + pay + 30)
        .attr("http.request.method", "POST")
        .attr("http.route", "/orders")
        .attr("http.response.status_code", code);
    if broken {
        request = request.error("");
    }
    request = request
        .span("orders")
        .child_of("root")
        .service("orders")
        .kind(SpanKind::Server)
        .name("POST /v1/orders")
        .start_ms(4)
        .ms(stock + pay + 22)
        .attr("http.response.status_code", code);
    if broken {
        request = request.error("");
    }
    request = request
        .span("insert")
        .child_of("orders")
        .service("orders")
        .kind(SpanKind::Client)
        .name("INSERT orders")
        .start_ms(6)
        .ms(stock)
        .attr(
            "db.query.text",
            "INSERT INTO orders (id, total) VALUES ($1, $2)",
        )
        .span("pay")
        .child_of("orders")
        .service("payments")
        .kind(SpanKind::Server)
        .name("payments.Payments/Charge")
        .start_ms(10 + stock)
        .ms(pay)
        .attr("rpc.system.name", "grpc")
        .attr("bank.code", if broken { "KB-04" } else { "SH-02" })
        .attr(
            "rpc.response.status_code",
            if broken { "DEADLINE_EXCEEDED" } else { "OK" },
        );
    if !broken {
        return request;
    }
    match dice.roll(3) {
        0 => request
            .error("은행 응답 지연 (BANK-0451)")
            .exception("DeadlineExceeded", "은행 응답 지연 (BANK-0451)"),
        1 => request
            .error("card declined")
            .exception("CardDeclined", "the bank said no"),
        _ => request
            .error("deadline exceeded")
            .exception("DeadlineExceeded", "after 400 ms"),
    }
}

/// A checkout that gave up on the bank after three calls, with an N+1 and a gap on the way.
pub(crate) fn failing() -> Trace {
    let request = trace("4bf92f3577b34da6a3ce929d0e0e4736")
        .base(NOW - 11_797 * MS)
        .span("root")
        .service("web-gateway")
        .kind(SpanKind::Server)
        .name("POST /orders")
        .ms(1_840)
        .attr("http.request.method", "POST")
        .attr("http.route", "/orders")
        .attr("http.response.status_code", 502)
        .attr("user.id", "u-2291")
        .error("")
        .resource_attr("service.version", "v8.2.0")
        .resource_attr("host.name", "gw-1")
        .span("auth")
        .child_of("root")
        .service("auth")
        .kind(SpanKind::Server)
        .name("POST /introspect")
        .start_ms(4)
        .ms(12)
        .span("cart")
        .child_of("root")
        .service("web-gateway")
        .name("validate_cart")
        .start_ms(17)
        .ms(6)
        .span("rates")
        .child_of("root")
        .service("pricing")
        .kind(SpanKind::Server)
        .name("GET /rates")
        .start_ms(24)
        .ms(22)
        .span("reserve")
        .child_of("root")
        .service("inventory")
        .kind(SpanKind::Server)
        .name("POST /v1/reserve")
        .start_ms(48)
        .ms(286)
        .span("lock")
        .child_of("reserve")
        .service("inventory")
        .kind(SpanKind::Client)
        .name("SELECT stock … FOR UPDATE")
        .start_ms(52)
        .ms(41);
    let request = bank_calls(item_queries(request));
    request
        .span("rollback")
        .child_of("root")
        .service("web-gateway")
        .name("rollback_reservation")
        .start_ms(1_768)
        .ms(54)
        .span("undo")
        .child_of("rollback")
        .service("inventory")
        .kind(SpanKind::Server)
        .name("DELETE /v1/reserve/{id}")
        .start_ms(1_772)
        .ms(44)
        .span("publish")
        .child_of("root")
        .service("web-gateway")
        .kind(SpanKind::Producer)
        .name("publish order.failed")
        .start_ms(1_824)
        .ms(5)
}

/// The same statement for every line of the order, then the call that fails begins.
fn item_queries(mut request: Trace) -> Trace {
    for n in 0..24 {
        request = request
            .span(&format!("item-{n}"))
            .child_of("reserve")
            .service("inventory")
            .kind(SpanKind::Client)
            .name("SELECT order_items")
            .start_ms(96 + n * 8)
            .ms(7)
            .attr("db.system.name", "postgresql")
            .attr(
                "db.query.text",
                "SELECT sku, amount FROM order_items WHERE order_id = $1 AND line = $2",
            );
    }
    request = request
        .span("cache")
        .child_of("reserve")
        .service("inventory")
        .kind(SpanKind::Client)
        .name("SET lock:order")
        .start_ms(294)
        .ms(2)
        .span("update")
        .child_of("reserve")
        .service("inventory")
        .kind(SpanKind::Client)
        .name("UPDATE reservation")
        .start_ms(298)
        .ms(32)
        .span("charge")
        .child_of("root")
        .service("payments")
        .kind(SpanKind::Server)
        .name("POST /v1/charges")
        .start_ms(482)
        .ms(1_284)
        .attr("http.response.status_code", 504)
        .error("gave up after three attempts")
        .span("fraud")
        .child_of("charge")
        .service("fraud-score")
        .kind(SpanKind::Server)
        .name("Score/Evaluate")
        .start_ms(488)
        .ms(38);
    request
}

/// Three calls to the bank, each over its deadline; the clock of the last one is behind.
fn bank_calls(mut request: Trace) -> Trace {
    for n in 0..3_u64 {
        let (call, bank, start) = (format!("call-{n}"), format!("bank-{n}"), 530 + n * 420);
        request = request
            .span(&call)
            .child_of("charge")
            .service("payments")
            .kind(SpanKind::Client)
            .name("POST /charges")
            .start_ms(start)
            .ms(402)
            .error("deadline exceeded")
            .attr(
                "http.request.resend_count",
                i64::try_from(n).expect("three"),
            )
            .attr("server.address", "bank-adapter.pay")
            .attr("http.client.timeout_ms", 400);
        request = request
            .span(&bank).child_of(&call).service("bank-adapter").kind(SpanKind::Server)
            .name("POST /charges").start_ms(if n == 2 { start - 32 } else { start + 1 }).ms(399)
            .attr("http.request.method", "POST").attr("bank.code", "KB-04").attr("retry.count", 3)
            .attr("http.response.body", "{\"order\": \"ord-20261123-7Q4K\", \"amount\": 48900, \"currency\": \"KRW\", \"account\": \"***-**-**4242\"}")
            .resource_attr("service.version", "v1.18.2").resource_attr("host.zone", "ap-northeast-2c")
            .error("은행 응답 지연 (BANK-0451)").exception("DeadlineExceeded", "은행 응답 지연 (BANK-0451)")
            .with(|span| {
                let mut event = span.events[0].clone();
                event.attributes.clear();
                event.name = "connect kb04.bank:443".into();
                event.time_unix_nano = span.start_time_unix_nano + 50 * MS;
                span.events.insert(0, event);
                let stack = span.events[1].attributes[1].clone();
                let attributes = &mut span.events[1].attributes;
                attributes.push(stack);
                attributes[2].key = "exception.stacktrace".into();
            });
    }
    request
}
