//! OTLP/gRPC: `TraceService/Export` over raw bytes.

use crate::answer;
use crate::receiver::{GRPC, Receiver, too_large};
use crate::refusal::Refusal;
use ::http::{HeaderValue, Request, Response};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::any;
use bytes::{Buf, BufMut, Bytes};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder,
};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tower::Service;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const SERVICES: [&str; 2] = [
    "/opentelemetry.proto.collector.logs.v1.LogsService/{method}",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/{method}",
];

pub(crate) fn routes(receiver: Arc<Receiver>) -> Router {
    let router = Router::new().route_service(EXPORT, Export { receiver });
    SERVICES.into_iter().fold(router, |router, path| {
        router.route(path, any(unimplemented))
    })
}

async fn unimplemented() -> impl IntoResponse {
    Status::unimplemented("this server takes traces only: TraceService/Export").into_http::<Body>()
}

#[derive(Debug, Clone)]
struct Export {
    receiver: Arc<Receiver>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Export {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let receiver = Arc::clone(&self.receiver);
        Box::pin(async move {
            let limit = receiver.config().message_bytes_max;
            let mut grpc = Grpc::new(Raw)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(limit);
            let reached = Arc::new(AtomicBool::new(false));
            let take = Take {
                receiver: Arc::clone(&receiver),
                reached: Arc::clone(&reached),
            };
            let mut answer = grpc.unary(take, request).await;
            if !reached.load(Ordering::Relaxed) {
                correct_oversize(&mut answer, &receiver);
            }
            Ok(answer.map(Body::new))
        })
    }
}

/// tonic refused the request before we saw it. It answers an oversized message with `OUT_OF_RANGE`,
/// which OTLP clients must retry; the specification asks for `RESOURCE_EXHAUSTED` without `RetryInfo`.
fn correct_oversize<B>(answer: &mut Response<B>, receiver: &Receiver) {
    let status = answer
        .headers()
        .get("grpc-status")
        .and_then(|code| code.to_str().ok());
    match status
        .and_then(|code| code.parse::<i32>().ok())
        .map(Code::from_i32)
    {
        Some(Code::OutOfRange | Code::ResourceExhausted) => {
            answer
                .headers_mut()
                .insert("grpc-status", HeaderValue::from_static("8"));
            receiver.note(GRPC, &too_large(receiver.config().message_bytes_max));
        }
        Some(Code::Unimplemented) => {
            receiver.note(GRPC, &Refusal::Encoding("unknown grpc-encoding".to_owned()));
        }
        _ => receiver.note(GRPC, &Refusal::Malformed("not a gRPC message".to_owned())),
    }
}

struct Take {
    receiver: Arc<Receiver>,
    reached: Arc<AtomicBool>,
}

impl UnaryService<Bytes> for Take {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        self.reached.store(true, Ordering::Relaxed);
        let receiver = Arc::clone(&self.receiver);
        Box::pin(async move {
            let taken = receiver.take(GRPC, request.into_inner()).await;
            let taken = taken.map_err(|refusal| refusal.to_status())?;
            Ok(tonic::Response::new(answer::protobuf(&taken)))
        })
    }
}

/// Messages as they are: nothing is decoded, nothing copied.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(512, 512)
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(64 * 1024, 64 * 1024)
    }
}
