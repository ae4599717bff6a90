//! OTLP/HTTP: `POST /v1/traces`, protobuf and JSON.

use crate::answer;
use crate::body::{self, Encoding};
use crate::receiver::{HTTP, Receiver, Taken, too_large};
use crate::refusal::Refusal;
use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use std::sync::Arc;

/// A body larger than this is decoded on a thread of its own, so that other connections go on.
const LARGE: usize = 1 << 20;

pub(crate) fn routes(receiver: Arc<Receiver>) -> Router {
    let traces = || post(export).fallback(only_post);
    let router = Router::new()
        .route("/v1/traces", traces())
        .route("/v1/traces/", traces())
        // An SDK that is given a per-signal endpoint without a path posts to the root.
        .route("/", traces());
    let others = ["/v1/logs", "/v1/metrics", "/v1/logs/", "/v1/metrics/"];
    others
        .into_iter()
        .fold(router, |router, path| router.route(path, any(traces_only)))
        .with_state(receiver)
}

async fn only_post() -> impl IntoResponse {
    let allow = [(header::ALLOW, "POST")];
    (
        StatusCode::METHOD_NOT_ALLOWED,
        allow,
        "OTLP/HTTP exports are POST requests\n",
    )
}

async fn traces_only() -> impl IntoResponse {
    (
        StatusCode::NOT_FOUND,
        "this server takes traces only: POST /v1/traces\n",
    )
}

/// The two ways to write an OTLP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// By media type, parameters and case aside.
    fn parse(headers: &HeaderMap, receiver: &Receiver) -> Result<Self, Refusal> {
        let given = text(headers, header::CONTENT_TYPE).unwrap_or_default();
        let media = given
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match media.as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            // What `navigator.sendBeacon` can send without asking first.
            "text/plain" if !receiver.config().cors_origins.is_empty() => Ok(Self::Json),
            _ => Err(Refusal::ContentType(format!(
                "Content-Type {given:?} is not one of application/x-protobuf and application/json"
            ))),
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn export(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> Response {
    let mut body = body;
    let format = Format::parse(&headers, &receiver);
    let answer_in = *format.as_ref().unwrap_or(&Format::Protobuf);
    let payload = match format {
        Ok(format) => read(&receiver, &headers, &mut body, format).await,
        Err(refusal) => Err(refusal),
    };
    match payload {
        Err(refusal) => {
            receiver.note(HTTP, &refusal);
            receiver.see_out(&mut body).await;
            refused(&refusal, answer_in)
        }
        Ok(payload) => match receiver.take(HTTP, payload).await {
            Ok(taken) => accepted(&taken, answer_in),
            Err(refusal) => refused(&refusal, answer_in),
        },
    }
}

/// The request as protobuf, whatever it came as.
async fn read(
    receiver: &Arc<Receiver>,
    headers: &HeaderMap,
    body: &mut Body,
    format: Format,
) -> Result<Bytes, Refusal> {
    let limit = receiver.config().message_bytes_max;
    let encoding = Encoding::parse(text(headers, header::CONTENT_ENCODING))?;
    let announced = text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(too_large(limit));
    }
    let _room = receiver.reserve(announced.unwrap_or(0))?;
    let packed = body::read(body, limit).await?;
    if encoding == Encoding::Identity && format == Format::Protobuf {
        return Ok(packed);
    }
    let decode = {
        let receiver = Arc::clone(receiver);
        move || decode(&receiver, packed, encoding, format)
    };
    if announced.is_some_and(|length| length <= LARGE) {
        return decode();
    }
    tokio::task::spawn_blocking(decode)
        .await
        .unwrap_or_else(|_| {
            Err(Refusal::Malformed(
                "the body could not be decoded".to_owned(),
            ))
        })
}

fn decode(
    receiver: &Receiver,
    packed: Bytes,
    encoding: Encoding,
    format: Format,
) -> Result<Bytes, Refusal> {
    let plain = encoding.decode(packed, receiver.config().message_bytes_max)?;
    match format {
        Format::Protobuf => Ok(plain),
        Format::Json => receiver.decode_json(&plain),
    }
}

fn accepted(taken: &Taken, format: Format) -> Response {
    let body = match format {
        Format::Protobuf => answer::protobuf(taken),
        Format::Json => answer::json(taken),
    };
    ([(header::CONTENT_TYPE, format.media_type())], body).into_response()
}

fn refused(refusal: &Refusal, format: Format) -> Response {
    let body = match format {
        Format::Protobuf => answer::status_protobuf(refusal),
        Format::Json => answer::status_json(refusal),
    };
    let head = [(header::CONTENT_TYPE, format.media_type())];
    let mut response = (refusal.http_status(), head, body).into_response();
    if let Some(seconds) = refusal.retry_after() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    if matches!(refusal, Refusal::Encoding(_)) {
        let accepted = HeaderValue::from_static(Encoding::ACCEPTED);
        response
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, accepted);
    }
    response
}
