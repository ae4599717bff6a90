//! The gRPC service over a real socket.

use super::chunks::Chunks;
use super::grpc_routes;
use crate::answers::testing::{NOW, World, hop, trace_id};
use crate::http_routes;
use crate::proto::get_request_response::Part;
use crate::proto::query_service_client::QueryServiceClient;
use crate::proto::*;
use futures_util::StreamExt;
use hoplog_otlp::SpanSet;
use std::collections::HashSet;
use tonic::transport::Channel;
use tonic::{Code, Request as Call};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Serves the API and gRPC together on a port of the system's choice, until the test ends.
async fn serve(world: &World) -> Channel {
    let routes = http_routes(world.answers.clone()).merge(grpc_routes(world.answers.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn reflected(channel: &Channel, ask: MessageRequest) -> ServerReflectionResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(ask),
    };
    let asked = futures_util::stream::iter([request]);
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut answers = client
        .server_reflection_info(asked)
        .await
        .unwrap()
        .into_inner();
    answers.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn reflection_lists_and_describes_the_service() {
    let world = World::empty();
    let channel = serve(&world).await;
    let listed = reflected(&channel, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(list)) = listed.message_response else {
        panic!("{listed:?}");
    };
    let names: HashSet<&str> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert!(names.contains("hoplog.v1.QueryService"), "{names:?}");
    assert!(names.contains("grpc.health.v1.Health"), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol("hoplog.v1.QueryService".to_owned());
    let described = reflected(&channel, symbol).await;
    assert!(matches!(
        described.message_response,
        Some(MessageResponse::FileDescriptorResponse(files)) if files.file_descriptor_proto.len() == 1
    ));
}

#[tokio::test]
async fn health_follows_readiness() {
    let world = World::empty();
    let mut client = HealthClient::new(serve(&world).await);
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in ["", "hoplog.v1.QueryService"] {
        assert_eq!(
            client
                .check(ask(service))
                .await
                .unwrap()
                .into_inner()
                .status,
            1
        );
    }
    assert_eq!(
        client.check(ask("nobody")).await.unwrap_err().code(),
        Code::NotFound
    );
    let mut watched = client.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status, 1);
    *world.pipeline.ready.lock().unwrap() = Err("stopping".to_owned());
    world.pipeline.commits.send_modify(|n| *n += 1);
    assert_eq!(watched.next().await.unwrap().unwrap().status, 2);
    assert_eq!(client.check(ask("")).await.unwrap().into_inner().status, 2);
}

#[tokio::test]
async fn searches_page_and_errors_carry_their_code() {
    let world = World::shop().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let mut ask = SearchRequestsRequest {
        page_size: 3,
        ..SearchRequestsRequest::default()
    };
    let first = client
        .search_requests(ask.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.requests.len(), first.complete), (3, true));
    ask.page_token = first.next_page_token;
    let last = client
        .search_requests(ask.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (last.requests.len(), last.next_page_token.as_str()),
        (1, "")
    );
    let request = &last.requests[0];
    assert_eq!(
        (request.interface.as_str(), request.code.as_deref()),
        ("POST /orders", Some("200"))
    );
    assert_eq!(
        (request.kind(), request.status()),
        (SpanKind::Server, Status::Unset)
    );
    let failed = client.search_requests(SearchRequestsRequest {
        query: "status:error".to_owned(),
        sort: Sort::Slowest.into(),
        ..SearchRequestsRequest::default()
    });
    let failed = failed.await.unwrap().into_inner();
    assert_eq!(failed.canonical_query, "status:error");
    let first_error = failed.requests[0].first_error.clone().unwrap();
    assert_eq!(
        (first_error.service.as_str(), first_error.r#type.as_str()),
        ("payments", "card_declined")
    );
    let wrong = SearchRequestsRequest {
        query: "statsu:x".to_owned(),
        ..ask.clone()
    };
    let status = client.search_requests(wrong).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("column 1"), "{status}");
    let missing = GetRequestRequest {
        trace_id: trace_id(99).to_string(),
    };
    assert_eq!(
        client.get_request(missing).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_request_comes_as_summary_and_spans() {
    let world = World::shop().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let ask = GetRequestRequest {
        trace_id: trace_id(1).to_string(),
    };
    let parts = client.get_request(ask).await.unwrap().into_inner();
    let parts: Vec<Part> = parts
        .map(|message| message.unwrap().part.unwrap())
        .collect()
        .await;
    let [Part::Summary(summary), Part::TracesData(bytes)] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert_eq!(
        (summary.span_count, summary.trace_id.as_str()),
        (3, &*trace_id(1).to_string())
    );
    assert_eq!(SpanSet::read_traces(bytes).unwrap().1.len(), 3);
}

#[tokio::test]
async fn chunks_stay_below_a_mebibyte_and_lose_nothing() {
    let world = World::empty();
    let huge = serde_json::json!({ "stringValue": "x".repeat(2_500_000) });
    let large = serde_json::json!({ "stringValue": "y".repeat(40_000) });
    let mut hops = vec![hop("a", 2, "GET /", 1).with("body", huge)];
    hops.extend((0..60).map(|_| hop("a", 1, "step", 1).with("body", large.clone())));
    world.write(1, NOW, &hops).await;
    let stored = world.answers.request(&trace_id(1)).await.unwrap().unwrap();
    let chunks: Vec<Vec<u8>> = Chunks::of(stored.spans.clone()).collect();
    assert!(chunks.iter().all(|chunk| chunk.len() < 1 << 20));
    let (_, spans) = SpanSet::read_traces(&chunks.concat()).unwrap();
    let ids = |spans: &SpanSet| {
        spans
            .iter()
            .map(|span| span.head.span_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&spans), ids(&stored.spans));
}

#[tokio::test]
async fn figures_and_books_are_those_of_the_api() {
    let world = World::shop().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let services = client
        .list_services(ListServicesRequest::default())
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = services
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(names, ["gateway", "payments", "worker"]);
    let ask = ListInterfacesRequest {
        service: "worker".to_owned(),
        ..Default::default()
    };
    let interfaces = client
        .list_interfaces(ask)
        .await
        .unwrap()
        .into_inner()
        .interfaces;
    assert_eq!(
        (interfaces.len(), interfaces[0].kind()),
        (1, SpanKind::Internal)
    );
    let ask = GetLatencyRequest {
        service: "gateway".to_owned(),
        ..Default::default()
    };
    let latency = client.get_latency(ask).await.unwrap().into_inner();
    assert_eq!(latency.steps.iter().map(|step| step.count).sum::<u64>(), 3);
    let books = client
        .get_books(GetBooksRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((books.received, books.lost, books.waiting), (20, 1, 2));
    let wrong = GetLatencyRequest {
        kind: 77,
        ..Default::default()
    };
    assert_eq!(
        client.get_latency(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_watch_brings_what_arrives() {
    let world = World::shop().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let ask = WatchRequestsRequest {
        query: "service:a".to_owned(),
    };
    let mut watch = client
        .watch_requests(Call::new(ask))
        .await
        .unwrap()
        .into_inner();
    world.write(10, NOW, &[hop("b", 2, "GET /", 1)]).await;
    world.write(11, NOW + 1, &[hop("a", 2, "GET /", 1)]).await;
    let seen = watch.next().await.unwrap().unwrap();
    assert_eq!(seen.request.unwrap().trace_id, trace_id(11).to_string());
}

#[tokio::test]
async fn statements_are_those_of_the_api() {
    let world = World::statements().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let ask = ListQueriesRequest {
        service: "orders".to_owned(),
        ..ListQueriesRequest::default()
    };
    let list = client.list_queries(ask).await.unwrap().into_inner();
    assert_eq!((list.count, list.total_ns), (3, 162_000_000));
    let first = &list.queries[0];
    assert_eq!(first.fingerprint, "SELECT * FROM items WHERE order_id = ?");
    assert_eq!(first.figures.as_ref().map(|figures| figures.count), Some(6));
    assert_eq!(first.calls_per_request, Some(6.0));
    let run = CallRun {
        calls: 6,
        total_ns: 120_000_000,
    };
    assert_eq!(first.n_plus_one, Some(run));
    let request = first.requests[0].request.as_ref().unwrap();
    assert_eq!(request.trace_id, trace_id(2).to_string());
    let ask = ListQueriesRequest {
        limit: 201,
        ..ListQueriesRequest::default()
    };
    let error = client.list_queries(ask).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_is_kept_until_it_is_let_go() {
    let world = World::shop().await;
    let mut client = QueryServiceClient::new(serve(&world).await);
    let id = trace_id(1).to_string();
    for (kept, changed) in [(true, true), (true, false), (false, true), (false, false)] {
        let ask = KeepRequestRequest {
            trace_id: id.clone(),
            kept,
        };
        let done = client.keep_request(ask).await.unwrap().into_inner();
        assert_eq!(done, KeepRequestResponse { kept, changed });
        let list = client.search_requests(SearchRequestsRequest::default());
        let list = list.await.unwrap().into_inner().requests;
        let is_flagged = |one: &&Request| one.flags.iter().any(|flag| flag == "kept");
        let flagged: Vec<&str> = list
            .iter()
            .filter(is_flagged)
            .map(|one| one.trace_id.as_str())
            .collect();
        let expected: &[&str] = if kept { &[&id] } else { &[] };
        assert_eq!(flagged, expected);
    }
    let ask = KeepRequestRequest {
        trace_id: "nothing".to_owned(),
        kept: true,
    };
    let error = client.keep_request(ask).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}
