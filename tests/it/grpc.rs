//! The gRPC query service, over the wire.

use crate::support::{Hoplog, PATIENCE, QUICK, recently};
use anyhow::{Context, Result, bail, ensure};
use futures_util::stream;
use hoplog_model::SpanKind::Server;
use hoplog_model::{Clock, SystemClock, UnixNanos};
use hoplog_query::proto::get_request_response::Part;
use hoplog_query::proto::query_service_client::QueryServiceClient;
use hoplog_query::proto::{
    GetRequestRequest, Request, SearchRequestsRequest, Sort, WatchRequestsRequest,
};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::spans::{Trace, batch, trace};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use std::collections::BTreeSet;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const SERVICE: &str = "hoplog.v1.QueryService";
/// Spans of the large request.
const MANY: usize = 20_000;

async fn channel(hoplog: &Hoplog) -> Result<Channel> {
    Ok(Endpoint::from_shared(hoplog.url(""))?.connect().await?)
}

/// The answer to one question of the reflection service.
async fn reflect(hoplog: &Hoplog, question: MessageRequest) -> Result<MessageResponse> {
    let mut client = ServerReflectionClient::new(channel(hoplog).await?);
    let message_request = Some(question);
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request,
    };
    let mut answers = client
        .server_reflection_info(stream::iter([asked]))
        .await?
        .into_inner();
    let answer = answers.message().await?.context("no answer")?;
    answer.message_response.context("an empty answer")
}

#[tokio::test]
async fn reflection_and_health_tell_what_is_there() -> Result<()> {
    let hoplog = Hoplog::start("").await?;
    let listed = reflect(&hoplog, MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(listed) = listed else {
        bail!("{listed:?}")
    };
    let names: Vec<&str> = listed
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    ensure!(
        names.contains(&SERVICE) && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );

    let file = reflect(
        &hoplog,
        MessageRequest::FileContainingSymbol(SERVICE.to_owned()),
    )
    .await?;
    let MessageResponse::FileDescriptorResponse(file) = file else {
        bail!("{file:?}")
    };
    let described = file.file_descriptor_proto.concat();
    let described = String::from_utf8_lossy(&described);
    for method in [
        "SearchRequests",
        "GetRequest",
        "WatchRequests",
        "ListServices",
        "ListInterfaces",
        "GetLatency",
    ] {
        ensure!(described.contains(method), "{method} is not described");
    }

    let mut health = HealthClient::new(channel(&hoplog).await?);
    for service in ["", SERVICE] {
        let asked = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(asked).await?.into_inner().status();
        ensure!(status == ServingStatus::Serving, "{service}: {status:?}");
    }
    Ok(())
}

/// One span of the service, by number; each takes another time.
fn tiny(service: &str, n: usize, start: UnixNanos) -> Trace {
    trace(&format!("{service}-{n}"))
        .base(start)
        .span("root")
        .service(service)
        .kind(Server)
        .name("GET /")
        .with(|span| span.end_time_unix_nano = start + 1 + (n as u64 * 7919) % 1_000_003)
}

/// Sends so many of them, in order, a thousand at a time.
async fn send(hoplog: &Hoplog, requests: impl Iterator<Item = Trace>) -> Result<BTreeSet<String>> {
    let requests: Vec<Trace> = requests.collect();
    for some in requests.chunks(1_000) {
        hoplog.send(batch(some)).await?;
    }
    Ok(requests
        .iter()
        .map(|request| request.trace_id().to_string())
        .collect())
}

/// Reads every page of a search, before each of which new requests arrive; every id once.
async fn page_through(hoplog: &Hoplog, sort: Sort, name: &str) -> Result<BTreeSet<String>> {
    let mut client = QueryServiceClient::new(channel(hoplog).await?);
    let mut asked = SearchRequestsRequest {
        sort: sort.into(),
        page_size: 500,
        ..SearchRequestsRequest::default()
    };
    let mut found = BTreeSet::new();
    let mut last: Option<Request> = None;
    for page in 0.. {
        let new = (page * 20..(page + 1) * 20).map(|n| tiny(name, n, SystemClock.now()));
        send(hoplog, new).await?;
        let answer = client.search_requests(asked.clone()).await?.into_inner();
        ensure!(answer.complete, "page {page} is incomplete");
        ensure!(answer.requests.len() <= 500, "page {page} has too many");
        for request in answer.requests {
            let key = |request: &Request| match sort {
                Sort::Slowest => request.duration_ns,
                _ => request.started_at_unix_nano,
            };
            let is_next = last.as_ref().is_none_or(|last| {
                (key(last), &last.trace_id) > (key(&request), &request.trace_id)
            });
            ensure!(is_next, "page {page}: {request:?} after {last:?}");
            ensure!(
                found.insert(request.trace_id.clone()),
                "{} again",
                request.trace_id
            );
            last = Some(request);
        }
        if answer.next_page_token.is_empty() {
            break;
        }
        asked.page_token = answer.next_page_token;
    }
    Ok(found)
}

#[tokio::test]
async fn ten_thousand_requests_come_in_pages_each_once_while_new_ones_arrive() -> Result<()> {
    let hoplog = Hoplog::start(QUICK).await?;
    let start = recently();
    let all = (0..10_000).map(|n| tiny("shop", n, start + n as u64 * 1_000));
    let sent = send(&hoplog, all).await?;
    for (sort, name) in [(Sort::Newest, "new"), (Sort::Slowest, "newer")] {
        // Some of it is open, some written, and some being written.
        let found = page_through(&hoplog, sort, name).await?;
        let missing: Vec<_> = sent.difference(&found).collect();
        ensure!(
            missing.is_empty(),
            "{sort:?}: {} are missing",
            missing.len()
        );
    }
    hoplog.settled_books().await?;
    let found = page_through(&hoplog, Sort::Newest, "newest").await?;
    ensure!(sent.is_subset(&found), "written, some are missing");
    Ok(())
}

/// Reads the request's stream: sizes of its chunks, and what they are together.
async fn read_whole(hoplog: &Hoplog, trace_id: &str) -> Result<(Request, Vec<usize>, TracesData)> {
    let mut client = QueryServiceClient::new(channel(hoplog).await?);
    let asked = GetRequestRequest {
        trace_id: trace_id.to_owned(),
    };
    let mut parts = client.get_request(asked).await?.into_inner();
    let first = parts.message().await?.context("an empty stream")?;
    let Some(Part::Summary(summary)) = first.part else {
        bail!("{first:?}")
    };
    let (mut sizes, mut all) = (Vec::new(), Vec::new());
    while let Some(next) = parts.message().await? {
        let Some(Part::TracesData(chunk)) = next.part else {
            bail!("a second summary")
        };
        sizes.push(chunk.len());
        all.extend(chunk);
    }
    Ok((summary, sizes, TracesData::decode(&all[..])?))
}

#[tokio::test]
async fn a_large_request_is_streamed_in_chunks_below_a_mebibyte() -> Result<()> {
    let hoplog = Hoplog::start(QUICK).await?;
    let mut large = trace("large")
        .base(recently())
        .span("root")
        .kind(Server)
        .ms(5_000);
    for n in 1..MANY {
        large = large
            .span(&format!("step-{n}"))
            .child_of("root")
            .start_ms(n as u64 / 10);
        large = large.attr("step.description", format!("the {n}th of very many steps"));
    }
    let mut client = OtlpClient::connect(hoplog.server.otlp_grpc).await?;
    client.export(large.bytes()).await?;
    let trace_id = large.trace_id().to_string();
    for state in ["open", "written"] {
        let (summary, sizes, traces) = read_whole(&hoplog, &trace_id).await?;
        ensure!(summary.trace_id == trace_id && summary.span_count as usize == MANY);
        ensure!(
            sizes.len() > 1,
            "{state}: a single chunk of {sizes:?} bytes"
        );
        ensure!(
            sizes.iter().all(|size| *size < 1 << 20),
            "{state}: chunks of {sizes:?} bytes"
        );
        let spans = traces
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans);
        let ids = spans
            .flat_map(|scope| &scope.spans)
            .map(|span| &span.span_id);
        ensure!(
            ids.clone().count() == MANY,
            "{state}: {} spans",
            ids.count()
        );
        ensure!(
            ids.collect::<BTreeSet<_>>().len() == MANY,
            "{state}: a span twice"
        );
        hoplog.settled_books().await?;
    }
    let mut client = QueryServiceClient::new(channel(&hoplog).await?);
    let unknown = client
        .get_request(GetRequestRequest {
            trace_id: "7".repeat(32),
        })
        .await;
    ensure!(unknown.is_err_and(|status| status.code() == tonic::Code::NotFound));
    Ok(())
}

#[tokio::test]
async fn a_watch_sees_each_new_request_once() -> Result<()> {
    let hoplog = Hoplog::start(QUICK).await?;
    send(
        &hoplog,
        (0..10).map(|n| tiny("watched", n, SystemClock.now())),
    )
    .await?;
    let mut client = QueryServiceClient::new(channel(&hoplog).await?);
    let asked = WatchRequestsRequest {
        query: "entry:watched".to_owned(),
    };
    let mut seen = client.watch_requests(asked).await?.into_inner();
    let others = tiny("other", 0, SystemClock.now());
    let mut expected = send(&hoplog, std::iter::once(others)).await?;
    expected.clear();
    for some in 1..=5 {
        let new = (some * 10..(some + 1) * 10).map(|n| tiny("watched", n, SystemClock.now()));
        expected.extend(send(&hoplog, new).await?);
    }
    hoplog.settled_books().await?;
    // Later parts make no new request of one seen before.
    let late = |n: usize| {
        let span = trace(&format!("watched-{n}"))
            .base(SystemClock.now())
            .span("late");
        span.child_of("root").service("watched")
    };
    send(&hoplog, (10..30).map(late)).await?;
    hoplog.settled_books().await?;
    let last = send(
        &hoplog,
        std::iter::once(tiny("watched", 99, SystemClock.now())),
    )
    .await?;

    let mut found = BTreeSet::new();
    while !last.is_subset(&found) {
        let next = timeout(PATIENCE, seen.message())
            .await
            .context("nothing more is seen")??;
        let next = next.context("the watch ended")?;
        ensure!(!next.skipped, "some were passed over");
        let id = next.request.context("no request")?.trace_id;
        ensure!(found.insert(id.clone()), "{id} is seen again");
    }
    expected.extend(last);
    ensure!(
        found == expected,
        "seen: {}, new: {}",
        found.len(),
        expected.len()
    );
    Ok(())
}
