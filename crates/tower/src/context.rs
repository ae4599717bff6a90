//! What travels with a request inside the process, and out of it through anything that is no HTTP request.
//!
//! Between services over HTTP and gRPC the layers carry the trace context. For a queue table, a file or
//! a job, [`inject`] gives the pairs to store beside the message, and [`extract`] reads them back.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};

use crate::propagation::TraceContextPropagator;
use crate::tracer::Handle;

/// The trace context of the work at hand as pairs of name and value; empty outside of any span.
///
/// ```
/// assert!(hoplog_tower::context::inject().is_empty());
/// ```
pub fn inject() -> Vec<(String, String)> {
    let mut pairs = HashMap::new();
    TraceContextPropagator.inject(&mut pairs);
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort();
    pairs
}

/// The `traceparent` of the work at hand, for where there is room for one text only.
pub fn traceparent() -> Option<String> {
    inject()
        .into_iter()
        .find(|(name, _)| name == "traceparent")
        .map(|(_, value)| value)
}

/// The context that [`inject`] wrote; an empty one if the pairs hold no valid trace context.
pub fn extract<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Context
where
    K: Into<String>,
    V: Into<String>,
{
    let pairs: HashMap<String, String> = pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    TraceContextPropagator.extract_with_context(&Context::new(), &pairs)
}

/// The trace ID of the work at hand as 32 lower-case hexadecimal digits.
pub fn trace_id() -> Option<String> {
    Context::map_current(|cx| {
        let span = cx.span();
        let span_context = span.span_context();
        span_context
            .is_valid()
            .then(|| span_context.trace_id().to_string())
    })
}

/// Notes on the current span that something went wrong: an event `exception` with type and message.
///
/// `kind` is a name of few values, such as a type's name; `message` is for people. The span's status stays
/// as it is: a server span gets its own from the answer. Does nothing outside of a span.
pub fn record_exception(kind: impl Into<String>, message: impl Into<String>) {
    let cx = Context::current();
    record_exception_in(&cx, kind.into(), message.into());
}

/// As [`record_exception`], with the error's type as kind and its text as message.
pub fn record_error<E: std::error::Error>(error: &E) {
    record_exception(error_kind::<E>(), error.to_string());
}

/// Sets an attribute of the current span. Does nothing outside of a span.
pub fn set_attribute(key: impl Into<opentelemetry::Key>, value: impl Into<opentelemetry::Value>) {
    Context::current()
        .span()
        .set_attribute(KeyValue::new(key, value));
}

pub(crate) fn record_exception_in(cx: &Context, kind: String, message: String) {
    let attributes = vec![
        KeyValue::new("exception.type", kind),
        KeyValue::new("exception.message", message),
    ];
    cx.span().add_event("exception", attributes);
}

/// A type's name as `error.type`; what is behind a box is not known.
pub(crate) fn error_kind<E: ?Sized>() -> &'static str {
    let name = std::any::type_name::<E>();
    if name.contains("dyn ") {
        "_OTHER"
    } else {
        name
    }
}

/// What the context carries besides the span: one entry, so that a hop pays for one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baton {
    tracer: Option<Handle>,
    random: Option<TraceId>,
}

impl Baton {
    pub(crate) fn of(cx: &Context) -> Self {
        cx.get::<Self>().cloned().unwrap_or_default()
    }

    /// The tracer of the service that the work at hand belongs to.
    pub(crate) fn tracer(&self) -> Option<&Handle> {
        self.tracer.as_ref()
    }

    pub(crate) fn with_tracer(mut self, tracer: &Handle) -> Self {
        self.tracer = Some(tracer.clone());
        self
    }

    /// Notes that the low bits of this trace ID are random: received so, or made so here.
    pub(crate) fn random(mut self, trace_id: TraceId) -> Self {
        self.random = Some(trace_id);
        self
    }

    pub(crate) fn is_random(&self, trace_id: TraceId) -> bool {
        self.random == Some(trace_id)
    }

    pub(crate) fn put_into(self, cx: &Context) -> Context {
        cx.with_value(self)
    }
}
