//! The response future of both layers.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::{HeaderName, HeaderValue, Response};
use http_body::Body;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use pin_project_lite::pin_project;

use crate::body::HopBody;
use crate::context::error_kind;
use crate::hop::{Hop, poll_in};

pin_project! {
    /// Polls the service inside the hop's context and hands the open span on to the response's body.
    ///
    /// If it is dropped before it is ready, the span ends as cancelled.
    #[derive(Debug)]
    pub struct HopFuture<F> {
        // Before the hop, so that what it still holds ends within it.
        #[pin]
        inner: F,
        cx: Context,
        hop: Option<Hop>,
        trace_header: Option<HeaderName>,
    }
}

impl<F> HopFuture<F> {
    pub(crate) fn new(inner: F, cx: Context, hop: Option<Hop>) -> Self {
        Self {
            inner,
            cx,
            hop,
            trace_header: None,
        }
    }

    /// Writes the trace ID into this header of the response, unless the service has set it.
    pub(crate) fn with_trace_header(mut self, name: Option<HeaderName>) -> Self {
        self.trace_header = name;
        self
    }
}

impl<F, B, E> Future for HopFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Display,
{
    type Output = Result<Response<HopBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(poll_in(this.cx, this.hop, || this.inner.poll(task)));
        let mut hop = this.hop.take();
        match result {
            Ok(mut response) => {
                if let Some(hop) = &mut hop {
                    hop.response(response.status(), response.headers());
                }
                if let Some(name) = this.trace_header.take()
                    && let Some(value) = trace_id(this.cx)
                {
                    response.headers_mut().entry(name).or_insert(value);
                }
                let cx = this.cx.clone();
                Ok(response.map(|body| HopBody::new(body, cx, hop))).into()
            }
            Err(error) => {
                if let Some(hop) = &mut hop {
                    hop.fail(error_kind::<E>(), error.to_string());
                }
                Err(error).into()
            }
        }
    }
}

fn trace_id(cx: &Context) -> Option<HeaderValue> {
    let span = cx.span();
    let span_context = span.span_context();
    if !span_context.is_valid() {
        return None;
    }
    HeaderValue::try_from(span_context.trace_id().to_string()).ok()
}
