//! The server side: one span for each request that comes in.

use std::fmt::Display;
use std::sync::Arc;
use std::task::{self, Poll};

use http::{HeaderName, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::HopBody;
use crate::future::HopFuture;
use crate::hop::{Hop, Protocol, Side, poll_in};
use crate::tracer::Handle;
use crate::{attributes, grpc, propagation};

/// Adds a SERVER span to every request, for axum's `Router::layer` and tonic's `Server::layer` alike.
///
/// The caller's trace context is taken from the request's headers; without one a new trace begins. The
/// span is current while the service and its response's body are polled. It starts when the service is
/// called and ends
///
/// - when the last byte or the trailers of the response were handed on,
/// - with `error.type` when the service, or the body, fails or panics (the panic goes on),
/// - with `error.type=cancelled` when the caller goes away before.
///
/// In axum, put it on with `Router::layer`: there the matched route is known, and the span is named
/// `GET /orders/{id}`. Wrapped around the whole router it is only named `GET`.
#[derive(Clone, Debug)]
pub struct ServerLayer {
    tracer: Handle,
    options: Arc<Options>,
}

#[derive(Clone, Debug, Default)]
struct Options {
    excluded: Vec<String>,
    trace_header: Option<HeaderName>,
}

impl ServerLayer {
    /// A layer that records through the global tracer provider.
    pub fn new() -> Self {
        Self::with(Handle::global())
    }

    pub(crate) fn with(tracer: Handle) -> Self {
        Self {
            tracer,
            options: Arc::default(),
        }
    }

    /// Leaves a path out: `/health` itself, or with `/internal/*` all that begins with `/internal/`.
    ///
    /// Such a request gets no span. Its caller's context is passed on unchanged, so calls that its
    /// handler makes still belong to the caller's trace, one hop nearer to the caller.
    #[must_use]
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.options).excluded.push(path.into());
        self
    }

    /// Writes the trace ID into this header of every response, unless the handler has set it.
    ///
    /// Off by default: on a public edge it tells callers when the request began.
    #[must_use]
    pub fn trace_id_header(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.options).trace_header = Some(name);
        self
    }
}

impl Default for ServerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService {
            inner,
            tracer: self.tracer.clone(),
            options: Arc::clone(&self.options),
        }
    }
}

/// The service that [`ServerLayer`] makes.
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
    tracer: Handle,
    options: Arc<Options>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ServerService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Display,
    ResBody: Body,
{
    type Response = Response<HopBody<ResBody>>;
    type Error = S::Error;
    type Future = HopFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = propagation::extract(request.headers());
        if self.options.excludes(request.uri().path()) {
            let cx = self.tracer.adopt(&caller);
            let inner = poll_in(&cx, &mut None, || self.inner.call(request));
            return HopFuture::new(inner, cx, None);
        }
        let protocol = if grpc::is_grpc(request.headers()) {
            Protocol::Grpc
        } else {
            Protocol::Http
        };
        let span = attributes::server_span(&request, protocol);
        let cx = self.tracer.start(span, &caller);
        let mut hop = Some(Hop::new(
            cx.clone(),
            Side::Server,
            protocol,
            request.method(),
        ));
        let inner = poll_in(&cx, &mut hop, || self.inner.call(request));
        HopFuture::new(inner, cx, hop).with_trace_header(self.options.trace_header.clone())
    }
}

impl Options {
    fn excludes(&self, path: &str) -> bool {
        self.excluded
            .iter()
            .any(|excluded| match excluded.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == excluded,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusion_is_exact_or_by_prefix() {
        let layer = ServerLayer::new().exclude("/health").exclude("/internal/*");
        for (path, expected) in [
            ("/health", true),
            ("/healthy", false),
            ("/health/", false),
            ("/internal/a/b", true),
            ("/internal", false),
            ("/", false),
        ] {
            assert_eq!(layer.options.excludes(path), expected, "{path}");
        }
    }
}
