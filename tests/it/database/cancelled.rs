//! Callers that hang up: no session of the database is left in a transaction, and nothing is half done.

use super::{Acknowledged, Collector, check, corpus, recently};
use anyhow::{Context, Result, ensure};
use hoplog_model::TraceId;
use hoplog_otlp::{Limits, slice};
use hoplog_query::proto::query_service_client::QueryServiceClient;
use hoplog_query::proto::{GetRequestRequest, SearchRequestsRequest};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::corpus::{Batch, Corpus, CorpusOptions};
use hoplog_testkit::cut::cut_short;
use hoplog_testkit::postgres::Database;
use hoplog_testkit::process::Server;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

/// Callers at the same time, and calls of each.
const CALLERS: u64 = 8;
const CALLS: u64 = 50;

/// What the callers share.
struct Shared {
    http: SocketAddr,
    otlp: SocketAddr,
    ids: Vec<TraceId>,
    batches: Mutex<Vec<Batch>>,
}

/// Calls by one caller; those exports that were answered.
async fn calls(shared: Arc<Shared>, caller: u64) -> Result<Vec<Batch>> {
    let mut chance = StdRng::seed_from_u64(caller);
    let mut answered = Vec::new();
    let to = Endpoint::from_shared(format!("http://{}", shared.http))?;
    let channel = to.connect().await?;
    let mut otlp = OtlpClient::connect(shared.otlp).await?;
    for _ in 0..CALLS {
        let polls = chance.random_range(2..8);
        let id = shared.ids[chance.random_range(0..shared.ids.len())];
        let path = match chance.random_range(0..7) {
            0 => "/api/v1/requests?q=status:error&limit=1000".to_owned(),
            1 => format!("/api/v1/requests/{id}/otlp"),
            2 => "/api/v1/services".to_owned(),
            3 => "/api/v1/latency".to_owned(),
            4 => {
                let mut client = QueryServiceClient::new(channel.clone());
                let asked = SearchRequestsRequest::default();
                drop(cut_short(client.search_requests(asked), polls).await);
                continue;
            }
            5 => {
                let mut client = QueryServiceClient::new(channel.clone());
                let trace_id = id.to_string();
                let asked = GetRequestRequest { trace_id };
                drop(cut_short(client.get_request(asked), polls).await);
                continue;
            }
            _ => {
                let next = shared.batches.lock().expect("nobody panics").pop();
                let batch = next.context("enough batches")?;
                if let Some(Ok(_)) = cut_short(otlp.export(batch.bytes.clone()), polls).await {
                    answered.push(batch);
                }
                continue;
            }
        };
        // A client each: a connection that is given up is not used again.
        let asked = reqwest::Client::new().get(format!("http://{}{path}", shared.http));
        drop(cut_short(asked.send(), polls).await);
    }
    Ok(answered)
}

/// Requests and spans of these batches.
fn note(batches: &[Batch], into: &mut Acknowledged) -> Result<()> {
    for batch in batches {
        for span in &slice(batch.bytes.clone(), &Limits::default())?.spans {
            let spans = into.entry(span.trace_id).or_default();
            spans.insert(span.head.span_id);
        }
    }
    Ok(())
}

async fn all_are_there(server: &Server, acknowledged: &Acknowledged) -> Result<()> {
    for (id, spans) in acknowledged {
        let url = format!("http://{}/api/v1/requests/{id}", server.http);
        let answer = reqwest::get(url).await?.error_for_status()?;
        let found: serde_json::Value = answer.json().await?;
        let held = found["span_count"].as_u64();
        ensure!(held >= Some(spans.len() as u64), "{id}: {found}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_hang_up_by_the_hundred_leave_no_transaction() -> Result<()> {
    let database = Database::new()?;
    let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
    let mut collector = Collector::start(&folder, "one", &database.url()).await?;
    let mut acknowledged = Acknowledged::new();
    let first: Vec<Batch> = corpus(1).batches().collect();
    for batch in &first {
        collector.export(batch.bytes.clone()).await?;
    }
    note(&first, &mut acknowledged)?;
    collector.settled().await?;
    let server = collector.server()?;
    let more = Corpus::new(CorpusOptions {
        seed: 2,
        spans: CALLERS * CALLS * 512,
        start_at: recently(),
        ..CorpusOptions::default()
    });
    let shared = Arc::new(Shared {
        http: server.http,
        otlp: server.otlp_grpc,
        ids: acknowledged.keys().copied().collect(),
        batches: Mutex::new(more.batches().take(400).collect()),
    });
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(calls(Arc::clone(&shared), caller));
    }
    for answered in callers.join_all().await {
        note(&answered?, &mut acknowledged)?;
    }
    ensure!(database.idle_in_transaction("hoplog.partitions")? == 0);
    all_are_there(server, &acknowledged).await?;
    collector.settled().await?;
    ensure!(database.idle_in_transaction("hoplog.partitions")? == 0);
    collector.stop().await?;
    let report = check(&database.url()).await?;
    ensure!(report["books"]["waiting"] == 0, "{report}");
    Ok(())
}
