//! The answers of protocols.md 1.1 to 1.7, over real sockets.

use crate::{Config, Receiver, router};
use ::http::StatusCode;
use bytes::Bytes;
use hoplog_inbox::{Account, Inbox, Reader};
use hoplog_model::{Position, SystemClock};
use hoplog_otlp::Sliced;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_types::StatusExt;

/// A receiver on a port of its own, with its inbox in a folder of its own.
struct Server {
    address: SocketAddr,
    receiver: Arc<Receiver>,
    reader: Reader,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inbox_config = hoplog_inbox::Config::default();
        let (inbox, reader) = Inbox::open(
            folder.path(),
            inbox_config,
            Position::default(),
            Account::default(),
        )
        .unwrap();
        let receiver = Receiver::new(inbox, config, Arc::new(SystemClock));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = router(&receiver);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            receiver,
            reader,
            task,
            _folder: folder,
        }
    }

    async fn post(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        self.post_to("/v1/traces", headers, body).await
    }

    async fn post_to(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = reqwest::Client::new().post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer {
            status,
            headers,
            body: answer.bytes().await.unwrap(),
        }
    }

    async fn grpc(&self) -> TraceServiceClient<tonic::transport::Channel> {
        TraceServiceClient::connect(format!("http://{}", self.address))
            .await
            .unwrap()
    }

    /// Spans of the records that are in the inbox by now.
    fn taken(&mut self) -> usize {
        let records = std::iter::from_fn(|| self.reader.try_next());
        records
            .map(|record| {
                let sliced = record
                    .entry
                    .extra
                    .as_ref()
                    .unwrap()
                    .downcast_ref::<Sliced>()
                    .unwrap();
                assert_eq!(sliced.spans.len(), record.entry.accepted as usize);
                sliced.spans.len()
            })
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Answer {
    status: StatusCode,
    headers: ::http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn response(&self) -> ExportTraceServiceResponse {
        ExportTraceServiceResponse::decode(&self.body[..]).unwrap()
    }

    fn refusal(&self) -> tonic_types::Status {
        tonic_types::Status::decode(&self.body[..]).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

fn good(id: u8) -> Span {
    Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: "GET /orders/{id}".to_owned(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

fn bytes(spans: Vec<Span>) -> Vec<u8> {
    request(spans).encode_to_vec()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn protobuf_is_taken_under_every_name_and_encoding() {
    let mut server = Server::start(Config::default()).await;
    let plain = bytes(vec![good(1)]);
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (path, kind, encoding, body) in [
        (
            "/v1/traces",
            "application/x-protobuf",
            "identity",
            plain.clone(),
        ),
        (
            "/v1/traces/",
            "Application/X-Protobuf; charset=utf-8",
            "gzip",
            gzip(&plain),
        ),
        ("/", "application/protobuf", "ZSTD", zstd),
    ] {
        let headers = [("content-type", kind), ("content-encoding", encoding)];
        let answer = server.post_to(path, &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {encoding}");
        assert_eq!(answer.header("content-type"), "application/x-protobuf");
        assert!(
            answer.body.is_empty(),
            "full success has no partial_success"
        );
        assert_eq!(server.taken(), 1);
    }
    let empty = server.post(&[PROTOBUF], Vec::new()).await;
    assert_eq!((empty.status, server.taken()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn json_is_taken_and_answered_in_json() {
    let mut server = Server::start(Config::default()).await;
    let body = r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":[
        {"traceId":"01010101010101010101010101010101","spanId":"0101010101010101","parentSpanId":null,
         "name":"GET /","kind":"2","startTimeUnixNano":"1","end_time_unix_nano":2,"attributes":null}]}]}]}"#;
    let answer = server
        .post(&[("content-type", "application/json; charset=utf-8")], body)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::OK, serde_json::json!({}))
    );
    assert_eq!(server.taken(), 1);
    assert!(server.receiver.stats().repaired > 0);

    let broken = server.post(&[JSON], r#"{"resourceSpans":["#).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert_eq!(broken.json()["code"], 3);
    assert!(
        broken.json()["message"]
            .as_str()
            .unwrap()
            .contains("line 1")
    );
}

#[tokio::test]
async fn a_bad_span_is_rejected_alone_and_counted() {
    let mut server = Server::start(Config::default()).await;
    let mut spans: Vec<Span> = (1..=99).map(good).collect();
    spans.push(Span {
        trace_id: vec![0; 16],
        ..good(100)
    });
    let answer = server.post(&[PROTOBUF], bytes(spans.clone())).await;
    let partial = answer.response().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_spans), (StatusCode::OK, 1));
    assert!(
        partial.error_message.contains("trace_id"),
        "{}",
        partial.error_message
    );
    assert_eq!(server.taken(), 99);

    let answer = server
        .grpc()
        .await
        .export(request(spans))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    assert_eq!(server.taken(), 99);
    assert_eq!(server.receiver.stats().rejected["trace_id"], 2);
}

#[tokio::test]
async fn logs_sent_to_the_traces_path_are_told_so() {
    use opentelemetry_proto::tonic::trace::v1::Status;
    let server = Server::start(Config::default()).await;
    // A log record read as a span: time in field 1 would be malformed; a body in field 5 is its name.
    let log = Span {
        name: "order failed".to_owned(),
        status: Some(Status::default()),
        ..Span::default()
    };
    let answer = server.post(&[PROTOBUF], bytes(vec![log])).await;
    let partial = answer.response().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(
        partial.error_message.contains("logs or metrics"),
        "{}",
        partial.error_message
    );
    for path in ["/v1/logs", "/v1/metrics"] {
        assert_eq!(
            server.post_to(path, &[PROTOBUF], "").await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_status_message() {
    let mut server = Server::start(Config::default()).await;
    let cut = {
        let whole = bytes(vec![good(1)]);
        whole[..whole.len() - 1].to_vec()
    };
    let answer = server.post(&[PROTOBUF], cut.clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.refusal().code, 3);
    assert!(!answer.refusal().message.is_empty());

    let answer = server
        .post(&[PROTOBUF, ("content-encoding", "br")], "x")
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("accept-encoding"), "gzip, zstd, deflate");

    let answer = server.post(&[("content-type", "text/html")], "x").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.refusal().message.contains("text/html"));

    let get = reqwest::get(format!("http://{}/v1/traces", server.address))
        .await
        .unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get.headers()["allow"], "POST");
    assert_eq!(server.taken(), 0);
    let refused = server.receiver.stats().refused;
    for reason in ["malformed", "encoding", "content_type"] {
        assert_eq!(refused[reason].count, 1, "{reason}");
    }
}

#[tokio::test]
async fn oversize_is_told_not_to_retry() {
    let config = Config {
        message_bytes_max: 10_000,
        ..Config::default()
    };
    let mut server = Server::start(config).await;
    let large = bytes(vec![Span {
        name: "x".repeat(10_000),
        ..good(1)
    }]);

    for (headers, body) in [
        (vec![PROTOBUF], large.clone()),
        (vec![PROTOBUF, ("content-encoding", "gzip")], gzip(&large)),
    ] {
        let answer = server.post(&headers, body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.header("retry-after"), "");
        assert_eq!(answer.refusal().code, 8);
    }
    // Without a length, as SDKs for Node send it.
    let chunks = futures_util::stream::iter(
        large
            .chunks(1_000)
            .map(<[u8]>::to_vec)
            .map(Ok::<_, std::io::Error>)
            .collect::<Vec<_>>(),
    );
    let answer = server
        .post(&[PROTOBUF], reqwest::Body::wrap_stream(chunks))
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    let message = request(vec![Span {
        name: "x".repeat(10_000),
        ..good(1)
    }]);
    for mut client in [
        server.grpc().await,
        server
            .grpc()
            .await
            .send_compressed(CompressionEncoding::Gzip),
        server
            .grpc()
            .await
            .send_compressed(CompressionEncoding::Zstd),
    ] {
        let status = client.export(message.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_none());
    }
    assert_eq!(server.taken(), 0);
    assert_eq!(server.receiver.stats().refused["too_large"].count, 6);
}

#[tokio::test]
async fn a_flood_of_refused_bodies_does_not_hold_the_server() {
    let server = Server::start(Config::default()).await;
    let turns = u32::try_from(crate::body::DISCARDS).unwrap();
    let _all_turns = server.receiver.discards.acquire_many(turns).await.unwrap();
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 99999999\r\n\r\nthe rest never comes";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413 "));
    let stats = server.receiver.stats();
    assert_eq!((stats.cut_off, stats.refused["too_large"].count), (1, 1));
}

#[tokio::test]
async fn overload_is_told_to_retry() {
    let config = Config {
        in_flight_bytes_max: 1024,
        retry_after_seconds: 7,
        ..Config::default()
    };
    let server = Server::start(config).await;
    let _all_the_room = server.receiver.reserve(1024).unwrap();

    let answer = server.post(&[PROTOBUF], bytes(vec![good(1)])).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.refusal().code, 14);

    let status = server
        .grpc()
        .await
        .export(request(vec![good(1)]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let wait = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert_eq!(wait.as_secs(), 7);
    assert_eq!(server.receiver.stats().refused["overloaded"].count, 2);
}

#[tokio::test]
async fn floods_and_nesting_stay_small() {
    let mut server = Server::start(Config::default()).await;
    // Two bytes a span: 64 MiB of them would be 32 million.
    let flood = gzip(&bytes(vec![Span::default(); 1_000_000]));
    let answer = server
        .post(&[PROTOBUF, ("content-encoding", "gzip")], flood)
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        answer.refusal().message.contains("200000"),
        "{}",
        answer.refusal().message
    );

    let mut nested = AnyValue {
        value: Some(Value::BoolValue(true)),
    };
    for _ in 0..40 {
        let values = vec![nested];
        nested = AnyValue {
            value: Some(Value::ArrayValue(
                opentelemetry_proto::tonic::common::v1::ArrayValue { values },
            )),
        };
    }
    let deep = KeyValue {
        key: "deep".to_owned(),
        value: Some(nested),
        ..KeyValue::default()
    };
    let spans = vec![
        Span {
            attributes: vec![deep],
            ..good(1)
        },
        good(2),
    ];
    let answer = server.post(&[PROTOBUF], bytes(spans)).await;
    assert_eq!(answer.response().partial_success.unwrap().rejected_spans, 1);
    assert_eq!(server.taken(), 1);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send() {
    let config = Config {
        cors_origins: vec!["https://*.example".to_owned()],
        ..Config::default()
    };
    let server = Server::start(config).await;
    let preflight = reqwest::Client::new()
        .request(
            ::http::Method::OPTIONS,
            format!("http://{}/v1/traces", server.address),
        )
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(
        preflight.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
    assert_eq!(
        preflight.headers()["access-control-allow-credentials"],
        "true"
    );

    let origin = ("origin", "https://shop.example");
    let refused = server
        .post(&[("content-type", "text/html"), origin], "x")
        .await;
    assert_eq!(
        refused.header("access-control-allow-origin"),
        "https://shop.example"
    );
    let beacon = server
        .post(&[("content-type", "text/plain"), origin], "{}")
        .await;
    assert_eq!(beacon.status, StatusCode::OK);
    let stranger = server
        .post(&[PROTOBUF, ("origin", "https://evil.test")], "")
        .await;
    assert_eq!(stranger.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn other_signals_are_unimplemented_over_grpc() {
    let server = Server::start(Config::default()).await;
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let answer = server
        .post_to(path, &[("content-type", "application/grpc")], "")
        .await;
    assert_eq!(answer.header("grpc-status"), "12");
}
