//! A span can be found within 2 s of its acknowledgement, and from then on at every instant, once.

use crate::support::{Home, Hoplog, QUICK, eventually, recently};
use anyhow::{Result, ensure};
use hoplog_model::SpanKind::{Client, Server};
use hoplog_model::{TraceId, UnixNanos};
use hoplog_testkit::spans::{Trace, batch, trace};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// From the acknowledgement to being found.
const SHORTLY: Duration = Duration::from_secs(2);
const REQUESTS: usize = 20;
const NEVER: &str = "[assemble]\nquiet_seconds = 3600\nage_seconds_max = 3600\n";

/// Three spans of an order.
fn order(n: usize, base: UnixNanos) -> Trace {
    trace(&format!("visible-{n}"))
        .base(base)
        .span("root")
        .service("gateway")
        .kind(Server)
        .name("POST /orders")
        .ms(40)
        .span("call")
        .child_of("root")
        .service("gateway")
        .kind(Client)
        .ms(30)
        .span("pay")
        .child_of("call")
        .service("payments")
        .kind(Server)
        .start_ms(5)
        .ms(20)
}

/// A span of the same order that comes late.
fn receipt(n: usize, base: UnixNanos) -> Trace {
    trace(&format!("visible-{n}"))
        .base(base)
        .span("receipt")
        .child_of("root")
        .service("mail")
}

fn is_open(request: &Value) -> bool {
    request["flags"]
        .as_array()
        .is_some_and(|flags| flags.iter().any(|flag| flag == "open"))
}

/// Every request is there by its id and in the search, each once, with at least so many spans; how
/// many of them are open.
async fn look(hoplog: &Hoplog, ids: &[TraceId], spans: u64) -> Result<usize> {
    let mut open = 0;
    for id in ids {
        let found = hoplog.request_with(*id, spans).await?;
        open += usize::from(is_open(&found));
    }
    let hits = hoplog.search("service:gateway {service:payments}").await?;
    let found: BTreeSet<String> = hits.iter().map(|hit| hit["trace_id"].to_string()).collect();
    ensure!(
        hits.len() == ids.len(),
        "{} hits for {} requests",
        hits.len(),
        ids.len()
    );
    ensure!(
        found.len() == hits.len(),
        "a request is in the search twice: {hits:?}"
    );
    for hit in hits {
        ensure!(
            hit["span_count"].as_u64() >= Some(spans),
            "{hit} has not {spans} spans"
        );
    }
    Ok(open)
}

/// Sends, and sees that all of it is found in time.
async fn send(hoplog: &Hoplog, requests: &[Trace], spans: u64) -> Result<Vec<TraceId>> {
    let ids: Vec<TraceId> = requests.iter().map(Trace::trace_id).collect();
    hoplog.send(batch(requests)).await?;
    let acknowledged = Instant::now();
    eventually("what was acknowledged is found", async || {
        Ok(look(hoplog, &ids, spans).await.ok())
    })
    .await?;
    let took = acknowledged.elapsed();
    ensure!(took < SHORTLY, "found after {took:?} only");
    Ok(ids)
}

/// Looks without a pause until nothing is open any more, and some more times.
async fn watch_the_flush(hoplog: &Hoplog, ids: &[TraceId], spans: u64) -> Result<()> {
    eventually("the requests are written", async || {
        Ok((look(hoplog, ids, spans).await? == 0).then_some(()))
    })
    .await?;
    for _ in 0..5 {
        look(hoplog, ids, spans).await?;
    }
    Ok(())
}

#[tokio::test]
async fn across_a_flush_a_later_part_and_restarts() -> Result<()> {
    let hoplog = Hoplog::start(QUICK).await?;
    let base = recently();
    let orders: Vec<Trace> = (0..REQUESTS).map(|n| order(n, base)).collect();
    let ids = send(&hoplog, &orders, 3).await?;
    watch_the_flush(&hoplog, &ids, 3).await?;

    let receipts: Vec<Trace> = (0..REQUESTS).map(|n| receipt(n, base)).collect();
    send(&hoplog, &receipts, 4).await?;
    watch_the_flush(&hoplog, &ids, 4).await?;

    let hoplog = hoplog.stop().await?.start().await?;
    look(&hoplog, &ids, 4).await?;
    let hoplog = hoplog.kill().await?.start().await?;
    look(&hoplog, &ids, 4).await?;
    let home = hoplog.stop().await?;
    ensure!(home.check().await?["spans"] == 4 * REQUESTS);
    Ok(())
}

#[tokio::test]
async fn while_open_even_after_a_kill() -> Result<()> {
    let home = Home::new(NEVER)?;
    let hoplog = home.start().await?;
    let orders: Vec<Trace> = (0..REQUESTS).map(|n| order(n, recently())).collect();
    let ids = send(&hoplog, &orders, 3).await?;
    ensure!(
        look(&hoplog, &ids, 3).await? == REQUESTS,
        "they are written too early"
    );

    let hoplog = hoplog.kill().await?.start().await?;
    ensure!(
        look(&hoplog, &ids, 3).await? == REQUESTS,
        "they are open again"
    );
    ensure!(hoplog.books().await?["waiting"] == 3 * REQUESTS);

    let home = hoplog.stop().await?;
    ensure!(
        home.check().await?["rows"] == REQUESTS,
        "a stop writes what is open"
    );
    let hoplog = home.start().await?;
    ensure!(look(&hoplog, &ids, 3).await? == 0);
    Ok(())
}
