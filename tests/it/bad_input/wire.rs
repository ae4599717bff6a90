//! Requests that are not as they should be, sent to a real server beside good ones.

use crate::support::{Answer, Hoplog, QUICK, recently};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hoplog_model::SpanKind::Server;
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::spans::{Trace, trace};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use prost::Message;
use serde_json::{Value, json};
use std::io::Write;
use tonic::Code;
use tonic_types::StatusExt;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const ZSTD: (&str, &str) = ("content-encoding", "zstd");

/// The documented limit of a message, before and after decompression.
const MESSAGE: usize = 64 << 20;
/// What the server may hold in memory at any time.
const MEMORY: u64 = 400 << 20;

/// A good request of one span.
fn good(name: &str) -> Trace {
    trace(name)
        .base(recently())
        .span("root")
        .kind(Server)
        .name("GET /orders")
}

/// The refusal of a whole request: HTTP status, code of the status message, and what it says.
fn refused(answer: &Answer, status: u16, code: i32) -> Result<String> {
    ensure!(answer.status.as_u16() == status, "{answer:?}");
    ensure!(
        answer.header("retry-after").is_empty(),
        "it is told to retry: {answer:?}"
    );
    let said = tonic_types::Status::decode(&answer.body[..])?;
    ensure!(said.code == code && !said.message.is_empty(), "{said:?}");
    Ok(said.message)
}

/// How many spans of a request were rejected, and why.
fn partial(answer: &Answer) -> Result<(i64, String)> {
    ensure!(answer.status == 200, "{answer:?}");
    let said = ExportTraceServiceResponse::decode(&answer.body[..])?;
    let partial = said.partial_success.context("it was taken whole")?;
    Ok((partial.rejected_spans, partial.error_message))
}

/// A server to which good and bad is sent.
struct Target {
    hoplog: Hoplog,
    good: Vec<Trace>,
    rejected: u64,
}

impl Target {
    async fn start() -> Result<Self> {
        Ok(Self {
            hoplog: Hoplog::start(QUICK).await?,
            good: Vec::new(),
            rejected: 0,
        })
    }

    async fn post(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer> {
        self.hoplog.export(headers, body.into()).await
    }

    /// A good request goes along.
    async fn beside(&mut self) -> Result<()> {
        let request = good(&format!("beside-{}", self.good.len()));
        self.hoplog.send(request.bytes()).await?;
        self.good.push(request);
        Ok(())
    }

    /// Everything good is there, the books balance, memory stayed bounded.
    async fn nothing_else_is_lost(self) -> Result<()> {
        let books = self.hoplog.settled_books().await?;
        for request in &self.good {
            self.hoplog.request_with(request.trace_id(), 1).await?;
        }
        ensure!(self.hoplog.search("").await?.len() == self.good.len());
        ensure!(books["stored"] == self.good.len(), "{books}");
        ensure!(books["rejected"] == self.rejected, "{books}");
        let peak = self.hoplog.server.peak_rss_bytes()?;
        ensure!(peak < MEMORY, "{} MiB at the peak", peak >> 20);
        let log = self.hoplog.server.log();
        ensure!(!log.contains("panicked"), "{log}");
        self.hoplog.stop().await?.check().await?;
        Ok(())
    }
}

fn gzip(plain: &[u8]) -> Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(plain)?;
    Ok(packed.finish()?)
}

/// A protobuf field that holds bytes.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut out).expect("a Vec grows");
    out.extend_from_slice(content);
    out
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_whole() -> Result<()> {
    let mut target = Target::start().await?;
    let whole = good("cut").bytes();
    for end in [1, whole.len() / 2, whole.len() - 1] {
        let answer = target.post(&[PROTOBUF], whole.slice(..end)).await?;
        refused(&answer, 400, 3).with_context(|| format!("{end} of {} bytes", whole.len()))?;
        target.beside().await?;
    }
    let mut client = OtlpClient::connect(target.hoplog.server.otlp_grpc).await?;
    let cut = client.export(whole.slice(..whole.len() - 1)).await;
    ensure!(cut.is_err_and(|status| status.code() == Code::InvalidArgument));

    let cut = gzip(&whole)?;
    let answer = target
        .post(&[PROTOBUF, GZIP], cut[..cut.len() / 2].to_vec())
        .await?;
    refused(&answer, 400, 3).context("gzip that ends early")?;
    target.beside().await?;

    let answer = target
        .post(&[JSON], r#"{"resourceSpans":[{"scopeSpans":["#)
        .await?;
    let said: Value = serde_json::from_slice(&answer.body)?;
    ensure!(answer.status == 400 && said["code"] == 3, "{said}");
    target.beside().await?;
    target.nothing_else_is_lost().await
}

#[tokio::test]
async fn what_nobody_understands_is_refused_with_what_is_understood() -> Result<()> {
    let mut target = Target::start().await?;
    let whole = good("unknown").bytes();
    let answer = target
        .post(&[PROTOBUF, ("content-encoding", "br")], whole.clone())
        .await?;
    refused(&answer, 400, 12)?;
    for known in ["gzip", "zstd"] {
        ensure!(
            answer.header("accept-encoding").contains(known),
            "{answer:?}"
        );
    }
    target.beside().await?;
    let answer = target.post(&[("content-type", "text/html")], whole).await?;
    ensure!(
        refused(&answer, 415, 3)?.contains("text/html"),
        "{answer:?}"
    );
    target.beside().await?;
    target.nothing_else_is_lost().await
}

#[tokio::test]
async fn bad_spans_are_rejected_alone() -> Result<()> {
    let mut target = Target::start().await?;
    let ids: [fn(&mut opentelemetry_proto::tonic::trace::v1::Span); 5] = [
        |span| span.trace_id.clear(),
        |span| span.trace_id = vec![0; 16],
        |span| span.trace_id = vec![7; 8],
        |span| span.span_id = vec![0; 8],
        |span| span.parent_span_id = vec![7; 3],
    ];
    for (n, spoil) in ids.into_iter().enumerate() {
        let with = good(&format!("with-bad-id-{n}"));
        let mixed = with.clone().span("bad").child_of("root").with(spoil);
        let answer = target.post(&[PROTOBUF], mixed.bytes()).await?;
        let (rejected, why) = partial(&answer)?;
        ensure!(rejected == 1 && why.contains("_id"), "{rejected}: {why}");
        target.good.push(with);
        target.rejected += 1;
    }
    let deep = |levels: u32| {
        let mut value = AnyValue {
            value: Some(Any::BoolValue(true)),
        };
        for _ in 0..levels {
            let values = vec![value];
            value = AnyValue {
                value: Some(Any::ArrayValue(ArrayValue { values })),
            };
        }
        KeyValue {
            key: "deep".to_owned(),
            value: Some(value),
            ..KeyValue::default()
        }
    };
    let with = good("with-nested");
    let mixed = with
        .clone()
        .span("bad")
        .with(|span| span.attributes.push(deep(40)));
    let (rejected, why) = partial(&target.post(&[PROTOBUF], mixed.bytes()).await?)?;
    ensure!(rejected == 1 && why.contains("nested"), "{rejected}: {why}");
    target.good.push(with);
    target.rejected += 1;

    // Deeper than protobuf itself goes: nothing after it can be trusted.
    let bottomless = good("bottomless").with(|span| span.attributes.push(deep(2_000)));
    refused(&target.post(&[PROTOBUF], bottomless.bytes()).await?, 400, 3)?;
    target.nothing_else_is_lost().await
}

#[tokio::test]
async fn nulls_in_json_mean_nothing_was_said() -> Result<()> {
    let mut target = Target::start().await?;
    let request = good("nulls");
    let start = recently();
    let span = json!({
        "traceId": request.trace_id().to_string(), "spanId": "00f067aa0ba902b7",
        "parentSpanId": null, "traceState": null, "name": "GET /orders", "kind": 2,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000).to_string(),
        "attributes": [{"key": "empty", "value": null}], "droppedAttributesCount": null,
        "events": null, "links": null, "status": null, "flags": null,
    });
    let body = json!({"resourceSpans": [
        {"resource": null, "scopeSpans": null, "schemaUrl": null},
        {"resource": {"attributes": null}, "scopeSpans": [{"scope": null, "spans": [span]}]},
    ]});
    let answer = target.post(&[JSON], body.to_string()).await?;
    ensure!(answer.status == 200 && answer.body == "{}", "{answer:?}");
    target.good.push(request);
    for nothing in [r#"{"resourceSpans":null}"#, "{}"] {
        let answer = target.post(&[JSON], nothing).await?;
        ensure!(
            answer.status == 200 && answer.body == "{}",
            "{nothing}: {answer:?}"
        );
    }
    target.nothing_else_is_lost().await
}

#[tokio::test]
async fn logs_on_the_traces_path_are_told_so() -> Result<()> {
    let mut target = Target::start().await?;
    let logs = |record: &[u8]| field(1, &field(2, &field(2, record)));
    // A log record with nothing but a body reads as a span without ids.
    let body = field(5, &field(1, b"order failed"));
    let answer = target.post(&[PROTOBUF], logs(&body)).await?;
    let (rejected, why) = partial(&answer)?;
    ensure!(
        rejected == 1 && why.contains("logs or metrics"),
        "{rejected}: {why}"
    );
    target.rejected += 1;
    // With a time it is no span at all.
    let timed = [&[9][..], &recently().to_le_bytes(), &body].concat();
    refused(&target.post(&[PROTOBUF], logs(&timed)).await?, 400, 3)?;
    let body =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    let answer = target.post(&[JSON], body).await?;
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 400 && said.contains("these are logs"),
        "{said}"
    );

    let http = reqwest::Client::new();
    for path in ["/v1/logs", "/v1/metrics"] {
        let url = format!("http://{}{path}", target.hoplog.server.otlp_http);
        ensure!(
            http.post(url).body(Vec::new()).send().await?.status() == 404,
            "{path}"
        );
    }
    target.beside().await?;
    target.nothing_else_is_lost().await
}

/// 64 MiB of spans without content, two bytes each.
fn flood() -> Bytes {
    // Tag and length of the two messages around them take five bytes each.
    let empty = [0x12, 0x00].repeat((MESSAGE - 16) / 2);
    field(1, &field(2, &empty)).into()
}

#[tokio::test]
async fn sixty_four_mebibytes_of_empty_spans_are_refused_within_memory() -> Result<()> {
    let mut target = Target::start().await?;
    let flood = flood();
    ensure!(
        flood.len() <= MESSAGE,
        "the flood is refused for its size already"
    );
    let said = refused(&target.post(&[PROTOBUF], flood.clone()).await?, 413, 8)?;
    ensure!(said.contains("spans"), "{said}");
    target.beside().await?;
    let packed = zstd::encode_all(&flood[..], 1)?;
    refused(&target.post(&[PROTOBUF, ZSTD], packed).await?, 413, 8)?;
    target.beside().await?;
    let mut client = OtlpClient::connect(target.hoplog.server.otlp_grpc).await?;
    let status = client
        .export(flood)
        .await
        .err()
        .context("it was taken over gRPC")?;
    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
    ensure!(
        status.get_details_retry_info().is_none(),
        "it is told to retry: {status:?}"
    );
    target.beside().await?;
    target.nothing_else_is_lost().await
}

#[tokio::test]
async fn bombs_and_oversize_are_refused_within_memory() -> Result<()> {
    let mut target = Target::start().await?;
    let bomb = gzip(&vec![0; MESSAGE + (1 << 20)])?;
    ensure!(bomb.len() < 1 << 20, "no bomb: {} bytes", bomb.len());
    refused(&target.post(&[PROTOBUF, GZIP], bomb).await?, 413, 8)?;
    target.beside().await?;
    let gibibyte = std::io::Read::take(std::io::repeat(0), 1 << 30);
    let bomb = zstd::encode_all(gibibyte, 1)?;
    refused(&target.post(&[PROTOBUF, ZSTD], bomb).await?, 413, 8)?;
    target.beside().await?;

    let oversize = Bytes::from(field(1, &vec![0; MESSAGE]));
    refused(&target.post(&[PROTOBUF], oversize.clone()).await?, 413, 8)?;
    target.beside().await?;
    let mut client = OtlpClient::connect(target.hoplog.server.otlp_grpc).await?;
    let status = client
        .export(oversize)
        .await
        .err()
        .context("it was taken over gRPC")?;
    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
    ensure!(
        status.get_details_retry_info().is_none(),
        "it is told to retry: {status:?}"
    );
    target.beside().await?;
    target.nothing_else_is_lost().await
}
