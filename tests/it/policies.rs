//! What rules and retention leave out, they leave out by the book: figures stay exact.

use crate::support::{Home, Hoplog, PATIENCE, QUICK, balanced, recently};
use anyhow::{Context, Result, ensure};
use hoplog_model::SpanKind::Server;
use hoplog_model::times::HOUR;
use hoplog_model::{Clock, SystemClock, TraceId};
use hoplog_testkit::spans::{Trace, batch, trace};
use serde_json::Value;

const RULES: &str = "
[[assemble.policy]]
name = \"GET /health*\"
keep = \"drop\"
[[assemble.policy]]
name = \"GET /poll\"
keep = \"count\"
[[assemble.policy]]
service = \"shop\"
name = \"GET /list\"
keep = \"samples\"
slow_ms = 500
samples_per_minute = 3
";

/// A request of two spans.
fn request(name: &str, n: usize, operation: &str, ms: u64) -> Trace {
    trace(&format!("{name}-{n}"))
        .base(recently())
        .span("root")
        .kind(Server)
        .name(operation)
        .ms(ms)
        .span("db")
        .child_of("root")
        .name("SELECT")
        .ms(ms / 2)
}

fn failed(request: Trace) -> Trace {
    request
        .span("call")
        .child_of("root")
        .name("call")
        .error("refused")
}

fn count(books: &Value, term: &str) -> u64 {
    books[term].as_u64().unwrap_or(u64::MAX)
}

/// Count and errors of the shop's spans of this name.
async fn figures(hoplog: &Hoplog, name: &str) -> Result<(u64, u64)> {
    let answer = hoplog.get("/api/v1/services/shop/interfaces", &[]).await?;
    let lines = answer["interfaces"].as_array().context("no interfaces")?;
    let line = lines.iter().find(|line| line["name"] == name);
    Ok(line.map_or((0, 0), |line| (count(line, "count"), count(line, "errors"))))
}

/// What must be true however often one looks.
async fn look(hoplog: &Hoplog) -> Result<()> {
    for (operation, rows) in [
        ("GET /healthz", 0),
        ("GET /poll", 0),
        // Three samples, two slow ones, two with an error.
        ("GET /list", 7),
        ("GET /orders", 20),
    ] {
        let found = hoplog.search(&format!("op:{operation:?}")).await?;
        ensure!(
            found.len() == rows,
            "{operation}: {} rows, not {rows}",
            found.len()
        );
    }
    for (name, expected) in [
        ("GET /healthz", (0, 0)),
        ("GET /poll", (20, 0)),
        ("GET /list", (24, 0)),
        ("GET /orders", (20, 0)),
        ("SELECT", (64, 0)),
        ("call", (2, 2)),
        ("late", (2, 0)),
    ] {
        let found = figures(hoplog, name).await?;
        ensure!(found == expected, "{name}: {found:?}, not {expected:?}");
    }
    let books = hoplog.settled_books().await?;
    let stored = 20 * 2 + (3 + 2) * 2 + 2 * 3 + 1;
    ensure!(count(&books, "stored") == stored, "{books}");
    ensure!(
        count(&books, "left_out") == 20 * 2 + (20 * 2 + 1) + 17 * 2,
        "{books}"
    );
    Ok(())
}

#[tokio::test]
async fn rules_leave_out_rows_but_no_figures() -> Result<()> {
    let hoplog = Hoplog::start(&format!("{QUICK}{RULES}")).await?;
    let mut all = Vec::new();
    for n in 0..20 {
        all.push(request("health", n, "GET /healthz", 1));
        all.push(request("poll", n, "GET /poll", 10));
        all.push(request("list", n, "GET /list", 20));
        all.push(request("orders", n, "GET /orders", 30));
    }
    for n in 0..2 {
        all.push(request("slow", n, "GET /list", 600));
        all.push(failed(request("failed", n, "GET /list", 20)));
    }
    // In one request: samples are counted by the minute of receipt, and this is one instant.
    hoplog.send(batch(&all)).await?;
    hoplog.settled_books().await?;
    // Late spans follow what was decided for their request.
    let late = |name| trace(name).base(recently()).span("late").child_of("root");
    hoplog
        .send(batch(&[late("poll-0"), late("orders-0")]))
        .await?;
    look(&hoplog).await?;

    let home = hoplog.stop().await?;
    let report = home.check().await?;
    balanced(&report["books"])?;
    ensure!(report["rows"] == 27, "{report}");
    look(&home.start().await?).await
}

#[tokio::test]
async fn what_is_only_counted_has_exact_percentiles() -> Result<()> {
    let hoplog = Hoplog::start(&format!("{QUICK}{RULES}")).await?;
    let polls: Vec<Trace> = (1..=100)
        .map(|n| request("poll", n, "GET /poll", n as u64))
        .collect();
    hoplog.send(batch(&polls)).await?;
    hoplog.settled_books().await?;
    let answer = hoplog.get("/api/v1/services/shop/interfaces", &[]).await?;
    let lines = answer["interfaces"].as_array().context("no interfaces")?;
    let line = lines
        .iter()
        .find(|line| line["name"] == "GET /poll")
        .context("no GET /poll")?;
    for (key, millis) in [("p50_ns", 50.0), ("p95_ns", 95.0), ("p99_ns", 99.0)] {
        let nanos = line[key]
            .as_f64()
            .with_context(|| format!("{key} in {line}"))?;
        let off = (nanos / 1e6 / millis - 1.0).abs();
        ensure!(off < 0.04, "{key}: {nanos} ns instead of {millis} ms");
    }
    Ok(())
}

/// So many requests that started in the same hour, each with a text that cannot be packed.
fn hour(ago: u64) -> Vec<Trace> {
    let base = SystemClock.now() - ago * HOUR;
    let of = |n: u64| {
        let root = trace(&format!("hour-{ago}-{n}"))
            .base(base)
            .span("root")
            .kind(Server);
        let noise = (0..256).map(|i| (ago, n, i));
        let text = noise.fold(String::new(), |text, seed| text + &scramble(seed));
        root.name("PUT /files").attr("noise", text)
    };
    (0..100).map(of).collect()
}

/// 16 hex digits that no dictionary knows.
fn scramble((a, b, c): (u64, u64, u64)) -> String {
    let mut x = a << 40 ^ b << 20 ^ c ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        x = (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    format!("{:016x}", x ^ x >> 32)
}

/// A figure of `/metrics`.
async fn metric(hoplog: &Hoplog, name: &str) -> Result<f64> {
    let text = reqwest::get(hoplog.url("/metrics")).await?.text().await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line
        .with_context(|| format!("no {name} in\n{text}"))?
        .trim()
        .parse()?)
}

#[tokio::test]
async fn retention_by_size_drops_the_oldest_and_keeps_the_books() -> Result<()> {
    const HOURS: u64 = 5;
    let hourly = format!("{QUICK}\n[store]\npartition_hours = 1\n");
    let hoplog = Home::new(&hourly)?.start().await?;
    for ago in (0..HOURS).rev() {
        hoplog.send(batch(&hour(ago))).await?;
    }
    let before = hoplog.settled_books().await?;
    ensure!(metric(&hoplog, "hoplog_store_partitions").await? >= HOURS as f64);

    let home = hoplog.stop().await?;
    // The noise alone is 2 KiB a request.
    let bound = 600_000.0;
    home.configure(&format!("{hourly}retain_bytes = {bound}\n"))?;
    let hoplog = home.start().await?;
    let dropped = async || {
        let bytes = metric(&hoplog, "hoplog_store_bytes").await?;
        let is_alone = metric(&hoplog, "hoplog_store_partitions").await? <= 1.0;
        Ok((bytes <= bound || is_alone).then_some(()))
    };
    let what = "the oldest partitions are dropped";
    hoplog.server.until(what, PATIENCE, dropped).await?;
    let dropped = metric(&hoplog, "hoplog_store_dropped_rows_total").await?;
    ensure!(dropped + metric(&hoplog, "hoplog_store_rows").await? == HOURS as f64 * 100.0);
    let oldest: TraceId = hour(HOURS - 1)[0].trace_id();
    let newest: TraceId = hour(0)[0].trace_id();
    ensure!(
        hoplog.request(oldest).await?.is_none(),
        "the oldest is still there"
    );
    hoplog.request_with(newest, 1).await?;
    let after = hoplog.books().await?;
    ensure!(after == before, "the books changed: {after}, not {before}");
    let report = hoplog.stop().await?.check().await?;
    balanced(&report["books"])
}
