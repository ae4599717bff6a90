//! One hop from its first byte to its last: what its span says, and when it ends.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use crate::context::record_exception_in;
use crate::grpc;

/// Which end of the wire this is. It decides what counts as an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// What is spoken on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
    /// Nothing: a piece of work inside the process, or one whose protocol says nothing here.
    None,
}

/// The open span of a hop. It ends once, by [`Hop::finish`], [`Hop::fail`], [`Hop::panicked`], or on drop.
#[derive(Debug)]
pub(crate) struct Hop {
    cx: Context,
    side: Side,
    protocol: Protocol,
    is_open: bool,
    /// No body follows the head whatever the headers say.
    is_head: bool,
    /// The status code, once the head was seen.
    http_status: Option<StatusCode>,
    grpc_status: Option<grpc::Status>,
    /// Bytes of the announced body that are still to come, where its length was announced.
    remaining: Option<u64>,
}

impl Hop {
    /// Takes over the current span of `cx`.
    pub(crate) fn new(cx: Context, side: Side, protocol: Protocol, method: &Method) -> Self {
        Self {
            cx,
            side,
            protocol,
            is_open: true,
            is_head: method == Method::HEAD,
            http_status: None,
            grpc_status: None,
            remaining: None,
        }
    }

    /// Takes over a span that has nothing to do with a wire.
    pub(crate) fn local(cx: Context) -> Self {
        Self::new(cx, Side::Client, Protocol::None, &Method::GET)
    }

    /// The head of the response is there.
    pub(crate) fn response(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.http_status = Some(status);
        if self.protocol == Protocol::Grpc {
            self.grpc_status = grpc::status(headers);
        }
        let is_empty =
            self.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.remaining = if is_empty {
            Some(0)
        } else {
            content_length(headers)
        };
    }

    /// A piece of the body went by.
    pub(crate) fn data(&mut self, bytes: usize) {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes as u64);
        }
    }

    /// The trailers went by.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.protocol == Protocol::Grpc
            && let Some(status) = grpc::status(trailers)
        {
            self.grpc_status = Some(status);
        }
    }

    /// The whole response went by.
    pub(crate) fn finish(&mut self) {
        match self.protocol {
            Protocol::Http => self.finish_http(),
            Protocol::Grpc => self.finish_grpc(),
            Protocol::None => {}
        }
        self.end();
    }

    fn finish_http(&self) {
        let Some(status) = self.http_status else {
            return;
        };
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() || (self.side == Side::Client && status.is_client_error()) {
            self.set("error.type", status.as_str().to_owned());
            self.cx.span().set_status(Status::error(""));
        }
    }

    fn finish_grpc(&mut self) {
        let answered = self.grpc_status.take();
        if answered.is_none()
            && self
                .http_status
                .is_some_and(|status| status != StatusCode::OK)
        {
            // Something before the service answered, and it does not speak gRPC.
            return self.finish_http();
        }
        let status = answered.unwrap_or_else(grpc::Status::missing);
        self.set("rpc.status_code", status.name);
        let is_error = match self.side {
            Side::Server => status.is_server_error(),
            Side::Client => !status.is_ok(),
        };
        if is_error {
            self.set("error.type", status.name);
            self.cx.span().set_status(Status::error(status.message));
        }
    }

    /// No response, or not all of it: the transport or the service failed.
    pub(crate) fn fail(&mut self, kind: &'static str, message: String) {
        self.note_status();
        self.set("error.type", kind);
        record_exception_in(&self.cx, kind.to_owned(), message.clone());
        self.cx.span().set_status(Status::error(message));
        self.end();
    }

    fn panicked(&mut self, message: String) {
        self.note_status();
        self.set("error.type", "panic");
        record_exception_in(&self.cx, "panic".to_owned(), message.clone());
        self.cx.span().set_status(Status::error(message));
        self.end();
    }

    /// Nobody waits for the response any more. That is not an error of this service.
    fn cancelled(&mut self) {
        self.note_status();
        if self.protocol == Protocol::Grpc {
            self.set("rpc.status_code", "CANCELLED");
        }
        self.set("error.type", "cancelled");
        self.end();
    }

    /// The status code of a response that began but did not end.
    fn note_status(&self) {
        if self.protocol == Protocol::Http
            && let Some(status) = self.http_status
        {
            self.set("http.response.status_code", i64::from(status.as_u16()));
        }
    }

    fn set(&self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        self.cx.span().set_attribute(KeyValue::new(key, value));
    }

    fn end(&mut self) {
        self.is_open = false;
        self.cx.span().end();
    }

    /// Whether a response that is dropped here was complete: a server stops asking a body for more
    /// once the announced length is sent, and a client need not read what it does not want.
    fn is_complete(&self) -> bool {
        match self.side {
            Side::Server => self.remaining == Some(0),
            Side::Client => self.protocol == Protocol::Http && self.http_status.is_some(),
        }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if std::thread::panicking() {
            self.panicked(String::new());
        } else if self.grpc_status.is_some() || self.is_complete() {
            self.finish();
        } else {
            self.cancelled();
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)
        .map(HeaderValue::to_str)?
        .ok()?
        .parse()
        .ok()
}

/// Polls with `cx` as the current context; a panic in it is noted on the hop and goes on.
pub(crate) fn poll_in<T>(cx: &Context, hop: &mut Option<Hop>, poll: impl FnOnce() -> T) -> T {
    let guard = cx.clone().attach();
    // What `poll` may have left half done is not seen again: the panic goes on at once.
    let polled = catch_unwind(AssertUnwindSafe(poll));
    drop(guard);
    polled.unwrap_or_else(|payload| {
        if let Some(mut hop) = hop.take() {
            hop.panicked(panic_message(payload.as_ref()));
        }
        resume_unwind(payload)
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

/// Runs a future with `cx` as the current context whenever it is polled.
pub(crate) async fn run_in<F: Future>(cx: &Context, hop: &mut Option<Hop>, work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(move |task| {
        let work: Pin<&mut F> = work.as_mut();
        poll_in(cx, hop, || work.poll(task))
    })
    .await
}
