//! The client side for reqwest.

use std::fmt::{self, Write};
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use opentelemetry::Context;
use reqwest::{IntoUrl, Method, Request, RequestBuilder, Response, ResponseBuilderExt};
use tower_service::Service;

use crate::attributes::{self, Target};
use crate::body::HopBody;
use crate::hop::{Hop, Protocol, Side, run_in};
use crate::propagation;
use crate::tracer::Handle;

/// A `reqwest::Client` whose every request is a CLIENT span and carries the trace context.
///
/// The span is a child of the current one and ends when the response's body was read, or dropped.
/// Redirects that reqwest follows are part of the one span.
///
/// ```no_run
/// # async fn run() -> Result<(), reqwest::Error> {
/// let client = hoplog_tower::TracedClient::new(reqwest::Client::new());
/// let stock = client.get("http://inventory/stock/7").template("/stock/{sku}").send().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TracedClient {
    client: reqwest::Client,
    tracer: Handle,
}

impl TracedClient {
    /// A client that records through the global tracer provider.
    pub fn new(client: reqwest::Client) -> Self {
        Self::with(client, Handle::global())
    }

    pub(crate) fn with(client: reqwest::Client, tracer: Handle) -> Self {
        Self { client, tracer }
    }

    /// Begins a GET request.
    pub fn get(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::GET, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::POST, url)
    }

    /// Begins a PUT request.
    pub fn put(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::PUT, url)
    }

    /// Begins a PATCH request.
    pub fn patch(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::PATCH, url)
    }

    /// Begins a DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> TracedRequest {
        self.request(Method::DELETE, url)
    }

    /// Begins a request of any method. A URL that does not parse is the error of its `send`.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> TracedRequest {
        TracedRequest {
            client: self.clone(),
            builder: self.client.request(method, url),
            template: None,
        }
    }

    /// Sends a finished request.
    ///
    /// # Errors
    /// Those of `reqwest::Client::execute`.
    pub async fn execute(&self, request: Request) -> reqwest::Result<Response> {
        self.send(request, None).await
    }

    async fn send(
        &self,
        mut request: Request,
        template: Option<String>,
    ) -> reqwest::Result<Response> {
        let url = request.url();
        let target = Target {
            host: url.host_str().map(str::to_owned),
            port: url.port_or_known_default(),
            url: url.to_string(),
            template,
        };
        let span = attributes::client_span(target, request.method(), Protocol::Http);
        let cx = self.tracer.start(span, &Context::current());
        propagation::inject(&cx, request.headers_mut());
        let mut hop = Some(Hop::new(
            cx.clone(),
            Side::Client,
            Protocol::Http,
            request.method(),
        ));
        let sent = run_in(&cx, &mut hop, self.client.execute(request)).await;
        match sent {
            Ok(response) => {
                if let Some(hop) = &mut hop {
                    hop.response(response.status(), response.headers());
                }
                Ok(wrap(response, cx, hop))
            }
            Err(error) => {
                if let Some(hop) = &mut hop {
                    hop.fail(kind(&error), message(&error));
                }
                Err(error)
            }
        }
    }
}

impl Service<Request> for TracedClient {
    type Response = Response;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

    fn poll_ready(&mut self, _task: &mut task::Context<'_>) -> Poll<reqwest::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let client = self.clone();
        // Taken now: the future may be polled elsewhere.
        let cx = Context::current();
        Box::pin(async move { run_in(&cx, &mut None, client.execute(request)).await })
    }
}

/// A request of a [`TracedClient`] that is being put together.
#[must_use = "nothing is sent before `send`"]
#[derive(Debug)]
pub struct TracedRequest {
    client: TracedClient,
    builder: RequestBuilder,
    template: Option<String>,
}

impl TracedRequest {
    /// The path with names in place of its variable parts, such as `/stock/{sku}`.
    ///
    /// It becomes part of the span's name, which without it is the method alone.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sets a JSON body and its content type.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, body: &T) -> Self {
        self.with(|request| request.json(body))
    }

    /// The longest time from the start until the body is read.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Everything else that reqwest's builder can do.
    pub fn with(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    /// Those of `reqwest::RequestBuilder::send`.
    pub async fn send(self) -> reqwest::Result<Response> {
        self.client.send(self.builder.build()?, self.template).await
    }
}

/// The same response, its body watched.
fn wrap(response: Response, cx: Context, hop: Option<Hop>) -> Response {
    let url = response.url().clone();
    let mut response = http::Response::<reqwest::Body>::from(response);
    // reqwest keeps the URL in an extension of its own; only its builder can make one.
    if let Ok(shell) = http::Response::builder().url(url).body(()) {
        response
            .extensions_mut()
            .extend(shell.into_parts().0.extensions);
    }
    Response::from(response.map(|body| reqwest::Body::wrap(HopBody::new(body, cx, hop))))
}

fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_redirect() {
        "redirect"
    } else if error.is_body() {
        "body"
    } else {
        "request"
    }
}

/// The causes, without the first text: that has the URL in it, with whatever secrets it holds.
fn message(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let comma = if text.is_empty() { "" } else { ": " };
        let written: fmt::Result = write!(text, "{comma}{error}");
        written.expect("a String takes every text");
        cause = error.source();
    }
    if text.is_empty() {
        kind(error).to_owned()
    } else {
        text
    }
}
