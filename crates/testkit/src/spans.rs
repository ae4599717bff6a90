//! Requests in few words, for tests.
//!
//! ```
//! use hoplog_model::SpanKind;
//! let request = hoplog_testkit::spans::trace("t1")
//!     .span("root").service("shop").kind(SpanKind::Server).name("GET /orders").ms(30)
//!     .span("db").child_of("root").service("shop").start_ms(5).ms(10).error("timeout");
//! assert_eq!(request.set().len(), 2);
//! ```

use bytes::Bytes;
use hoplog_model::{SpanId, SpanKind, SpanStatus, TraceId, UnixNanos};
use hoplog_otlp::{Limits, Sliced, SpanSet, slice};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// What [`Trace::start_ms`] counts from, unless [`Trace::base`] says otherwise.
pub const BASE: UnixNanos = 1_760_000_000_000_000_000;

/// The trace id of this name: 32 hex digits stand for themselves.
pub fn trace_id(name: &str) -> TraceId {
    name.parse().unwrap_or_else(|_| {
        let bytes = (u128::from(fnv(name, 1)) << 64 | u128::from(fnv(name, 2) | 1)).to_be_bytes();
        TraceId::from_bytes(bytes).expect("the lowest bit is set")
    })
}

/// The span id of this name: 16 hex digits stand for themselves.
pub fn span_id(name: &str) -> SpanId {
    name.parse().unwrap_or_else(|_| {
        let bytes = (fnv(name, 3) | 1).to_be_bytes();
        SpanId::from_bytes(bytes).expect("the lowest bit is set")
    })
}

/// FNV-1a.
fn fnv(name: &str, seed: u64) -> u64 {
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed << 32, hash)
}

/// A request without spans.
pub fn trace(name: &str) -> Trace {
    Trace {
        trace_id: trace_id(name),
        base: BASE,
        spans: Vec::new(),
    }
}

/// A request being put together: [`Trace::span`] begins a span, what follows is about it.
#[derive(Debug, Clone)]
pub struct Trace {
    trace_id: TraceId,
    base: UnixNanos,
    spans: Vec<(String, Vec<KeyValue>, Span)>,
}

impl Trace {
    /// Begins a span: a root of service "shop", internal, named as its id, 1 ms from the base on.
    #[must_use]
    pub fn span(mut self, name: &str) -> Self {
        let span = Span {
            trace_id: self.trace_id.as_bytes().to_vec(),
            span_id: span_id(name).as_bytes().to_vec(),
            name: name.to_owned(),
            kind: i32::from(SpanKind::Internal.to_wire()),
            start_time_unix_nano: self.base,
            end_time_unix_nano: self.base + 1_000_000,
            ..Span::default()
        };
        self.spans.push(("shop".to_owned(), Vec::new(), span));
        self
    }

    /// What the `start_ms` of later spans count from.
    #[must_use]
    pub fn base(mut self, base: UnixNanos) -> Self {
        self.base = base;
        self
    }

    /// The span's service.
    #[must_use]
    pub fn service(mut self, service: &str) -> Self {
        if let Some((name, ..)) = self.spans.last_mut() {
            service.clone_into(name);
        }
        self
    }

    /// An attribute of the span's resource, beside `service.name`.
    #[must_use]
    pub fn resource_attr(mut self, key: &str, value: impl Into<AttributeValue>) -> Self {
        if let Some((_, attributes, _)) = self.spans.last_mut() {
            attributes.push(key_value(key, value.into().0));
        }
        self
    }

    /// The span's parent, by the name it was begun with.
    #[must_use]
    pub fn child_of(self, parent: &str) -> Self {
        self.with(|span| span.parent_span_id = span_id(parent).as_bytes().to_vec())
    }

    /// The span's kind.
    #[must_use]
    pub fn kind(self, kind: SpanKind) -> Self {
        self.with(|span| span.kind = i32::from(kind.to_wire()))
    }

    /// The span's name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.with(|span| name.clone_into(&mut span.name))
    }

    /// The span's start, in milliseconds from the base; its duration stays.
    #[must_use]
    pub fn start_ms(self, millis: u64) -> Self {
        let start = self.base + millis * 1_000_000;
        self.with(|span| {
            let duration = span.end_time_unix_nano - span.start_time_unix_nano;
            (span.start_time_unix_nano, span.end_time_unix_nano) = (start, start + duration);
        })
    }

    /// The span's duration in milliseconds.
    #[must_use]
    pub fn ms(self, millis: u64) -> Self {
        self.with(|span| span.end_time_unix_nano = span.start_time_unix_nano + millis * 1_000_000)
    }

    /// The span's duration in nanoseconds.
    #[must_use]
    pub fn ns(self, nanos: u64) -> Self {
        self.with(|span| span.end_time_unix_nano = span.start_time_unix_nano + nanos)
    }

    /// An attribute of the span: text, a number or a boolean.
    #[must_use]
    pub fn attr(self, key: &str, value: impl Into<AttributeValue>) -> Self {
        self.with(|span| span.attributes.push(key_value(key, value.into().0)))
    }

    /// The span failed, with this status message.
    #[must_use]
    pub fn error(self, message: &str) -> Self {
        let code = i32::from(SpanStatus::Error.to_wire());
        self.with(|span| {
            span.status = Some(Status {
                message: message.to_owned(),
                code,
            });
        })
    }

    /// The span's status is ok, said expressly.
    #[must_use]
    pub fn ok(self) -> Self {
        let code = i32::from(SpanStatus::Ok.to_wire());
        self.with(|span| {
            span.status = Some(Status {
                message: String::new(),
                code,
            });
        })
    }

    /// An exception event at the span's end; does not make it fail.
    #[must_use]
    pub fn exception(self, kind: &str, message: &str) -> Self {
        self.with(|span| {
            let attributes = vec![
                key_value("exception.type", Value::StringValue(kind.to_owned())),
                key_value("exception.message", Value::StringValue(message.to_owned())),
            ];
            let (name, time_unix_nano) = ("exception".to_owned(), span.end_time_unix_nano);
            span.events.push(Event {
                time_unix_nano,
                name,
                attributes,
                ..Event::default()
            });
        })
    }

    /// Anything else about the span.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Span)) -> Self {
        if let Some((.., span)) = self.spans.last_mut() {
            change(span);
        }
        self
    }

    /// The request's id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// As an export request: neighbours of one service share their resource.
    pub fn request(&self) -> ExportTraceServiceRequest {
        let same = |a: &(String, Vec<KeyValue>, Span), b: &(String, Vec<KeyValue>, Span)| {
            (&a.0, &a.1) == (&b.0, &b.1)
        };
        let resource_spans = self.spans.chunk_by(same).map(|spans| {
            let (service, more, _) = &spans[0];
            let name = key_value("service.name", Value::StringValue(service.clone()));
            let attributes = std::iter::once(name).chain(more.iter().cloned()).collect();
            let spans = spans.iter().map(|(.., span)| span.clone()).collect();
            ResourceSpans {
                resource: Some(Resource {
                    attributes,
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                schema_url: String::new(),
            }
        });
        ExportTraceServiceRequest {
            resource_spans: resource_spans.collect(),
        }
    }

    /// The export request's bytes.
    pub fn bytes(&self) -> Bytes {
        self.request().encode_to_vec().into()
    }

    /// The export request, sliced. Panics if a span was made invalid through [`Trace::with`].
    pub fn sliced(&self) -> Sliced {
        let sliced = slice(self.bytes(), &Limits::default()).expect("prost wrote it");
        assert_eq!(sliced.rejected.message(), None, "the spans are valid");
        sliced
    }

    /// The spans as a set, in the order begun.
    pub fn set(&self) -> SpanSet {
        let sliced = self.sliced();
        let mut set = SpanSet::new();
        for span in &sliced.spans {
            set.push(
                &sliced.groups[span.group as usize],
                span.head,
                sliced.raw(span),
            );
        }
        set
    }
}

/// Several requests in one export request.
pub fn batch(traces: &[Trace]) -> Bytes {
    // Messages in a row read as one.
    traces.iter().flat_map(Trace::bytes).collect()
}

/// What an attribute may be.
#[derive(Debug, Clone)]
pub struct AttributeValue(Value);

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self(Value::StringValue(text.to_owned()))
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self(Value::StringValue(text))
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self(Value::IntValue(number))
    }
}

impl From<f64> for AttributeValue {
    fn from(number: f64) -> Self {
        Self(Value::DoubleValue(number))
    }
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self(Value::BoolValue(value))
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue {
        key: key.to_owned(),
        value,
        key_strindex: 0,
    }
}
