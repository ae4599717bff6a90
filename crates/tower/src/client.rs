//! The client side for services that take `http::Request`: tonic's channel, hyper's client.

use std::fmt::Display;
use std::task::{self, Poll};

use http::{Request, Response};
use http_body::Body;
use opentelemetry::Context;
use tower_layer::Layer;
use tower_service::Service;

use crate::attributes::{self, Target};
use crate::body::HopBody;
use crate::future::HopFuture;
use crate::hop::{Hop, Protocol, Side, poll_in};
use crate::tracer::Handle;
use crate::{grpc, propagation};

/// Adds a CLIENT span to every call and sends the trace context along.
///
/// The span is a child of the current one, starts when the call starts and ends when the response's
/// last byte or trailers came in. A call that fails, and every answer that is an error to the caller
/// (4xx, 5xx, any gRPC code but OK), makes it an error. A response whose body is not read ends it without one.
#[derive(Clone, Debug)]
pub struct ClientLayer {
    tracer: Handle,
    server: Option<(String, u16)>,
}

impl ClientLayer {
    /// A layer that records through the global tracer provider.
    pub fn new() -> Self {
        Self::with(Handle::global())
    }

    pub(crate) fn with(tracer: Handle) -> Self {
        Self {
            tracer,
            server: None,
        }
    }

    /// The host and port at the other end, for clients whose requests do not name them: a tonic
    /// channel knows its endpoint, its requests only have a path.
    #[must_use]
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        self.server = Some((host.into(), port));
        self
    }
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`ClientLayer`] makes.
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ClientService<S>
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let protocol = if grpc::is_grpc(request.headers()) {
            Protocol::Grpc
        } else {
            Protocol::Http
        };
        let mut target = Target::of(request.uri());
        if let Some((host, port)) = self.layer.server.clone().filter(|_| target.host.is_none()) {
            target.host = Some(host);
            target.port = Some(port);
        }
        let span = attributes::client_span(target, request.method(), protocol);
        let cx = self.layer.tracer.start(span, &Context::current());
        propagation::inject(&cx, request.headers_mut());
        let mut hop = Some(Hop::new(
            cx.clone(),
            Side::Client,
            protocol,
            request.method(),
        ));
        let inner = poll_in(&cx, &mut hop, || self.inner.call(request));
        HopFuture::new(inner, cx, hop)
    }
}
