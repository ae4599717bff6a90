//! What rows and search records cost, on the benchmark's corpus.
//!
//! `cargo run --release -p hoplog-store --example figures` prints nanoseconds and bytes per span;
//! with `-- dictionary` it first trains `src/dictionary.bin`, the dictionary that ships;
//! with `-- 50000` it takes so many spans.

use hoplog_model::TraceId;
use hoplog_otlp::{Limits, SpanSet, slice};
use hoplog_store::pack::{Dictionaries, SHIPPED};
use hoplog_store::pack::{Dictionary, LEVEL, Packer, Unpacker, train};
use hoplog_store::rollup::Rollups;
use hoplog_store::segment::{Names, ROWS_MAX, Segment, SegmentBuilder};
use hoplog_store::summarize;
use hoplog_testkit::corpus::{Corpus, CorpusOptions};
use hoplog_testkit::spans::{Trace, trace};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

/// Bytes of the dictionary that ships.
const DICTIONARY_BYTES: usize = 64 << 10;

type Requests = Vec<(TraceId, SpanSet)>;

fn main() {
    let bytes = if std::env::args().any(|arg| arg == "dictionary") {
        ship()
    } else {
        SHIPPED.to_vec()
    };
    let count = std::env::args().find_map(|arg| arg.parse().ok());
    let requests = requests(1, count.unwrap_or(200_000));
    rows(&requests, "no", Vec::new());
    rows(&requests, "the shipped", bytes);
    let learnt = &raw(requests.iter().take(3_000).map(|(_, spans)| spans));
    for size in [112 << 10, 256 << 10] {
        let bytes = train(learnt, size).expect("there is enough to learn from");
        rows(&requests, &format!("a {} KiB", size >> 10), bytes);
    }
    let bytes = train(learnt, 112 << 10).expect("there is enough to learn from");
    records(&requests, bytes);
}

/// Whole requests, in the order in which their first spans arrive.
fn requests(seed: u64, spans: u64) -> Requests {
    let corpus = Corpus::new(CorpusOptions {
        seed,
        spans,
        ..CorpusOptions::default()
    });
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    let mut requests = Requests::new();
    for batch in corpus.batches() {
        let sliced = slice(batch.bytes, &Limits::default()).expect("the corpus is well formed");
        for span in &sliced.spans {
            let place = *places.entry(span.trace_id).or_insert_with(|| {
                requests.push((span.trace_id, SpanSet::new()));
                requests.len() - 1
            });
            let group = &sliced.groups[span.group as usize];
            requests[place].1.push(group, span.head, sliced.raw(span));
        }
    }
    requests
}

/// Trains the dictionary that ships and writes it.
fn ship() -> Vec<u8> {
    // Another seed than the one measured: other ids and values, the same instrumentation.
    let corpus = requests(4_711, 60_000).into_iter().map(|(_, spans)| spans);
    let all: Vec<SpanSet> = corpus.chain((0..400).map(|n| shop(n).set())).collect();
    let samples = raw(all.iter());
    let dictionary = train(&samples, DICTIONARY_BYTES).expect("there is enough to learn from");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dictionary.bin");
    std::fs::write(&path, &dictionary).expect("the source tree can be written");
    println!("wrote {} bytes to src/dictionary.bin", dictionary.len());
    dictionary
}

fn raw<'a>(all: impl Iterator<Item = &'a SpanSet>) -> Vec<Vec<u8>> {
    let write = |spans: &SpanSet| {
        let mut raw = Vec::new();
        spans.write_traces(&mut raw);
        raw
    };
    all.map(write).collect()
}

/// A request as the instrumentations of Rust, Python and JavaScript tell it.
fn shop(n: u64) -> Trace {
    let id = format!("shop-{n}");
    let (port, code) = (
        8_000 + n.cast_signed() % 9,
        [200, 201, 404, 500][n as usize % 4],
    );
    let root = trace(&id).span("root").name("POST /orders").ms(40);
    let root = with_resource(root, n, "gateway")
        .attr("http.request.method", "POST")
        .attr("http.route", "/orders")
        .attr("url.scheme", "http")
        .attr("url.path", "/orders")
        .attr("url.query", "page=1")
        .attr("server.address", "127.0.0.1")
        .attr("server.port", port)
        .attr("client.address", "127.0.0.1")
        .attr("network.peer.address", "127.0.0.1")
        .attr("network.protocol.version", "1.1")
        .attr(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        )
        .attr("http.response.status_code", code);
    let call = root
        .span("call")
        .child_of("root")
        .name("POST")
        .start_ms(2)
        .ms(30);
    let call = with_resource(call, n, "gateway")
        .attr("http.request.method", "POST")
        .attr(
            "url.full",
            format!("http://127.0.0.1:{port}/orders/{n}").as_str(),
        )
        .attr("server.address", "127.0.0.1")
        .attr("server.port", port)
        .attr("network.protocol.version", "1.1")
        .attr("http.response.status_code", code)
        .attr("error.type", "500");
    behind(call, n)
}

/// What the gateway's call leads to.
fn behind(call: Trace, n: u64) -> Trace {
    let query = call
        .span("query")
        .child_of("call")
        .name("INSERT orders")
        .start_ms(5)
        .ms(3);
    let query = with_resource(query, n, "orders")
        .attr("db.system.name", "sqlite")
        .attr("db.namespace", "shop")
        .attr("db.operation.name", "INSERT")
        .attr("db.collection.name", "orders")
        .attr(
            "db.query.text",
            "INSERT INTO orders (id, customer, item, quantity) VALUES (?, ?, ?, ?)",
        )
        .attr("code.function.name", "orders::insert")
        .attr("code.file.path", "src/orders.rs")
        .attr("code.line.number", 42)
        .attr("thread.name", "tokio-runtime-worker");
    let pay = query
        .span("pay")
        .child_of("call")
        .name("shop.Payments/Charge")
        .start_ms(9)
        .ms(12);
    let pay = with_resource(pay, n, "payments")
        .attr("rpc.system.name", "grpc")
        .attr("rpc.service", "shop.Payments")
        .attr("rpc.method", "Charge")
        .attr("rpc.response.status_code", "UNAVAILABLE");
    if n % 4 == 3 {
        return pay
            .error("the bank did not answer")
            .exception("std::io::Error", "connection refused (os error 111)");
    }
    let send = pay
        .span("send")
        .child_of("call")
        .name("send orders")
        .start_ms(25)
        .ms(1);
    with_resource(send, n, "orders")
        .attr("messaging.system", "kafka")
        .attr("messaging.destination.name", "orders")
        .attr("messaging.operation.type", "send")
        .attr("messaging.message.id", format!("{n}").as_str())
}

fn with_resource(trace: Trace, n: u64, service: &str) -> Trace {
    let (language, sdk) = [
        ("rust", "0.33.0"),
        ("python", "1.40.0"),
        ("nodejs", "2.6.0"),
    ][n as usize % 3];
    let pid = 4_000 + n.cast_signed() % 9;
    trace
        .service(service)
        .resource_attr("telemetry.sdk.language", language)
        .resource_attr("telemetry.sdk.name", "opentelemetry")
        .resource_attr("telemetry.sdk.version", sdk)
        .resource_attr("service.version", "1.0.0")
        .resource_attr(
            "service.instance.id",
            format!("{n:08x}-1f2e-4d3c-8b4a-5{n:011x}").as_str(),
        )
        .resource_attr("deployment.environment.name", "production")
        .resource_attr("host.name", "localhost")
        .resource_attr("process.pid", pid)
}

fn spans(requests: &Requests) -> usize {
    requests.iter().map(|(_, spans)| spans.len()).sum()
}

/// Runs `work` and prints nanoseconds per span.
fn timed<T>(what: &str, spans: usize, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    println!(
        "{what:<44}{:>8.0} ns/span",
        began.elapsed().as_nanos() as f64 / spans as f64
    );
    result
}

fn size(what: &str, spans: usize, bytes: usize) {
    println!("{what:<44}{:>8.2} B/span", bytes as f64 / spans as f64);
}

fn rows(requests: &Requests, which: &str, bytes: Vec<u8>) {
    let dictionaries = Dictionaries::plain();
    let dictionary = Dictionary::new(bytes.clone()).ok();
    if dictionary.is_some() {
        dictionaries.install(bytes).expect("it was just prepared");
    }
    let count = spans(requests);
    let mut packer = Packer::new();
    let mut frames: Vec<Vec<u8>> = vec![Vec::new(); requests.len()];
    let what = format!("pack, zstd {LEVEL}, {which} dictionary");
    timed(&what, count, || {
        let all = requests.iter().zip(&mut frames);
        all.for_each(|((_, spans), frames)| packer.pack(dictionary.as_ref(), spans, frames));
    });
    size("  into", count, frames.iter().map(Vec::len).sum());
    let mut unpacker = Unpacker::new();
    let mut read = |frames: &Vec<u8>| unpacker.unpack(&dictionaries, frames);
    let found: usize = timed("unpack", count, || {
        frames
            .iter()
            .map(|frames| read(frames).expect("just packed").spans.len())
            .sum()
    });
    assert_eq!(found, count, "every span comes back");
}

fn records(requests: &Requests, bytes: Vec<u8>) {
    let count = spans(requests);
    let summaries: Vec<_> = timed("summarize", count, || {
        requests
            .iter()
            .map(|(trace_id, spans)| summarize(*trace_id, spans))
            .collect()
    });
    let all: Vec<_> = requests.iter().zip(&summaries).collect();
    let mut names = Names::default();
    let builders: Vec<SegmentBuilder> = timed("SegmentBuilder::push", count, || {
        let segments = all.chunks(ROWS_MAX).map(|rows| {
            let mut builder = SegmentBuilder::new();
            for (ordinal, ((_, spans), summary)) in (0..).zip(rows) {
                builder.push(&mut names, ordinal, summary, spans);
            }
            builder
        });
        segments.collect()
    });
    let segments: Vec<Segment> = timed("SegmentBuilder::finish", count, || {
        builders.into_iter().map(SegmentBuilder::finish).collect()
    });
    let deltas: usize = timed("Rollups::add and finish", count, || {
        let batches = requests.chunks(ROWS_MAX).map(|batch| {
            let mut rollups = Rollups::new();
            for (_, spans) in batch {
                rollups.add(&mut names, spans, false);
            }
            rollups.finish().len()
        });
        batches.sum()
    });
    let dictionary = Dictionary::new(bytes).ok();
    let mut packer = Packer::new();
    let packed: usize = timed("all of it at once", count, || {
        let batches = all.chunks(ROWS_MAX).map(|rows| {
            let (mut builder, mut rollups) = (SegmentBuilder::new(), Rollups::new());
            let mut frames = Vec::new();
            for (ordinal, ((_, spans), summary)) in (0..).zip(rows) {
                let packing = (&mut packer, dictionary.as_ref());
                let row = (ordinal, *summary, spans);
                builder.pack(&mut names, row, packing, &mut rollups, &mut frames);
            }
            frames.len() + builder.finish().records.len() + rollups.finish().len()
        });
        batches.sum()
    });
    size("  into", count, packed);
    println!("{} segments, {deltas} changes of roll-ups", segments.len());
    let sum = |of: &dyn Fn(&Segment) -> usize| segments.iter().map(of).sum::<usize>();
    size("heads", count, sum(&|segment| segment.heads.len()));
    let records = |of: fn(&hoplog_store::segment::Record) -> usize| {
        sum(&|segment| segment.records.iter().map(of).sum())
    };
    size(
        "records: row sets",
        count,
        records(|record| record.rows.len()),
    );
    size(
        "records: sketches",
        count,
        records(|record| record.sketch.len()),
    );
    println!("records a segment: {}", records(|_| 1) / segments.len());
    size(
        "filters",
        count,
        sum(&|segment| segment.filters.iter().map(|f| f.filter.len()).sum()),
    );
    println!(
        "filters a segment: {}",
        sum(&|segment| segment.filters.len()) / segments.len()
    );
    let mut by_key: HashMap<&str, usize> = HashMap::new();
    for filter in segments.iter().flat_map(|segment| &segment.filters) {
        *by_key.entry(&filter.key).or_default() += filter.filter.len();
    }
    let mut by_key: Vec<_> = by_key.into_iter().collect();
    by_key.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    by_key
        .iter()
        .take(8)
        .for_each(|(key, bytes)| size(&format!("  {key}"), count, *bytes));
}
