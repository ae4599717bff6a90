//! gRPC: over real sockets with tonic's health service, and frame by frame where tonic would not do it.

use std::convert::Infallible;

use bytes::Bytes;
use hoplog_tower::Telemetry;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Running, Spans, attribute, is_error, is_root, listener, service};

#[tokio::test]
async fn tonic_both_ends() {
    let (payments, served) = service("payments");
    let (orders, called) = service("orders");
    let (listener, address) = listener().await;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let layer = payments.server_layer();
    let server = Running::start(|stop| async move {
        let mut server = Server::builder().layer(layer);
        let router = server.add_service(health);
        let incoming = TcpIncoming::from(listener);
        router
            .serve_with_incoming_shutdown(incoming, async move { stop.notified().await })
            .await
            .unwrap();
    });
    let channel = Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(orders.client_layer().server("payments", address.port()))
        .service(channel);
    let mut client = HealthClient::new(channel);
    let check = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    client.check(check("")).await.unwrap();
    let missing = client.check(check("no such")).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
    drop(client);
    server.stop().await;

    let (calls, hops) = (called.all(), served.all());
    assert_eq!((calls.len(), hops.len()), (2, 2));
    for (call, hop) in calls.iter().zip(&hops) {
        assert_eq!(call.span_kind, SpanKind::Client);
        assert_eq!(hop.span_kind, SpanKind::Server);
        assert!(is_root(call));
        assert_eq!(hop.parent_span_id, call.span_context.span_id());
        assert_eq!(hop.span_context.trace_id(), call.span_context.trace_id());
        for span in [call, hop] {
            assert_eq!(span.name, "grpc.health.v1.Health/Check");
            assert_eq!(attribute(span, "rpc.system.name").as_deref(), Some("grpc"));
            assert_eq!(
                attribute(span, "rpc.method").as_deref(),
                Some("grpc.health.v1.Health/Check")
            );
        }
        assert_eq!(
            attribute(hop, "network.peer.address").as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!(
            attribute(call, "server.address").as_deref(),
            Some("payments")
        );
    }
    for (span, code, error) in [
        (&calls[0], "OK", false),
        (&hops[0], "OK", false),
        (&calls[1], "NOT_FOUND", true),
        (&hops[1], "NOT_FOUND", false),
    ] {
        assert_eq!(attribute(span, "rpc.status_code").as_deref(), Some(code));
        assert_eq!(is_error(span), error, "{code} {:?}", span.span_kind);
    }
}

type Frames = Vec<Result<Frame<Bytes>, Infallible>>;

fn status_line(code: &'static str) -> HeaderMap {
    [(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(code),
    )]
    .into_iter()
    .collect()
}

/// One call answered with these headers and frames; its body is read as far as `reads` says.
async fn answer<L>(layer: L, headers: HeaderMap, status: u16, frames: Frames, reads: usize)
where
    L: Layer<Answer>,
    L::Service: tower::Service<Request<Full<Bytes>>, Response: IntoBody, Error = Infallible>,
{
    let answer = Answer {
        headers,
        status,
        frames: std::sync::Arc::new(std::sync::Mutex::new(frames)),
    };
    let request = Request::post("/shop.v1.Payments/Charge")
        .header("content-type", "application/grpc")
        .body(Full::default())
        .unwrap();
    let response = layer.layer(answer).oneshot(request).await.unwrap();
    response.read(reads).await;
}

#[derive(Clone)]
struct Answer {
    headers: HeaderMap,
    status: u16,
    frames: std::sync::Arc<std::sync::Mutex<Frames>>,
}

type FrameBody =
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl tower::Service<Request<Full<Bytes>>> for Answer {
    type Response = Response<FrameBody>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let frames = std::mem::take(&mut *self.frames.lock().unwrap());
        let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
        *response.headers_mut() = self.headers.clone();
        *response.status_mut() = self.status.try_into().unwrap();
        std::future::ready(Ok(response))
    }
}

/// Reads up to so many frames of a response and drops the rest.
trait IntoBody {
    async fn read(self, frames: usize);
}

impl<B: http_body::Body<Error = Infallible>> IntoBody for Response<B> {
    async fn read(self, frames: usize) {
        let mut body = std::pin::pin!(self.into_body());
        for _ in 0..frames {
            if body.frame().await.is_none() {
                return;
            }
        }
    }
}

fn data() -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(b"message")))
}

async fn served(headers: HeaderMap, status: u16, frames: Frames, reads: usize) -> SpanData {
    let (telemetry, spans): (Telemetry, Spans) = service("payments");
    answer(telemetry.server_layer(), headers, status, frames, reads).await;
    spans.only()
}

async fn called(headers: HeaderMap, status: u16, frames: Frames, reads: usize) -> SpanData {
    let (telemetry, spans): (Telemetry, Spans) = service("orders");
    answer(telemetry.client_layer(), headers, status, frames, reads).await;
    spans.only()
}

#[tokio::test]
async fn the_status_is_read_from_trailers_or_headers() {
    let trailers = |code| vec![data(), data(), Ok(Frame::trailers(status_line(code)))];
    let span = served(HeaderMap::new(), 200, trailers("0"), 9).await;
    assert_eq!(attribute(&span, "rpc.status_code").as_deref(), Some("OK"));
    assert!(!is_error(&span));
    assert_eq!(attribute(&span, "http.response.status_code"), None);

    let span = served(HeaderMap::new(), 200, trailers("14"), 9).await;
    assert_eq!(
        attribute(&span, "rpc.status_code").as_deref(),
        Some("UNAVAILABLE")
    );
    assert_eq!(
        attribute(&span, "error.type").as_deref(),
        Some("UNAVAILABLE")
    );
    assert!(is_error(&span));

    let span = served(status_line("9"), 200, Vec::new(), 9).await;
    assert_eq!(
        attribute(&span, "rpc.status_code").as_deref(),
        Some("FAILED_PRECONDITION")
    );
    assert!(!is_error(&span), "the caller's fault");
    let span = called(status_line("9"), 200, Vec::new(), 9).await;
    assert!(is_error(&span), "to the caller it is one");
}

#[tokio::test]
async fn an_answer_that_says_no_status_is_unknown_and_one_that_is_no_grpc_is_http() {
    let span = served(HeaderMap::new(), 200, vec![data()], 9).await;
    assert_eq!(
        attribute(&span, "rpc.status_code").as_deref(),
        Some("UNKNOWN")
    );
    assert!(is_error(&span));
    let span = called(HeaderMap::new(), 503, Vec::new(), 9).await;
    assert_eq!(
        attribute(&span, "http.response.status_code").as_deref(),
        Some("503")
    );
    assert_eq!(attribute(&span, "rpc.status_code"), None);
    assert!(is_error(&span));
}

#[tokio::test]
async fn a_stream_given_up_is_cancelled_on_both_ends() {
    let frames = || vec![data(), data(), Ok(Frame::trailers(status_line("0")))];
    for span in [
        served(HeaderMap::new(), 200, frames(), 1).await,
        called(HeaderMap::new(), 200, frames(), 1).await,
    ] {
        assert_eq!(
            attribute(&span, "rpc.status_code").as_deref(),
            Some("CANCELLED")
        );
        assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
        assert!(!is_error(&span));
    }
}
