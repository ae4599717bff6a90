//! Spans and parts for cases, written as protobuf by hand.

use super::NOW;
use crate::{Outcome, Part};
use bytes::Bytes;
use hoplog_model::{Position, SpanId, SpanKind, SpanStatus, TraceId, UnixNanos};
use hoplog_otlp::{Group, SpanHead, SpanRef, SpanSet, write};
use std::sync::Arc;

/// The n-th request's id, n from 1: not in the order of n, and not of the v7 layout.
pub fn trace(n: u64) -> TraceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    TraceId::from_bytes(id).expect("n is not 0")
}

/// An id of the v7 layout for that time.
pub fn trace_v7(at: UnixNanos, n: u16) -> TraceId {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&(at / 1_000_000).to_be_bytes()[2..]);
    (id[6], id[8]) = (0x70, 0x80);
    id[14..].copy_from_slice(&n.to_be_bytes());
    TraceId::from_bytes(id).expect("the version is set")
}

/// The n-th span's id, n from 1.
pub fn span_id(n: u64) -> SpanId {
    SpanId::from_bytes(n.to_be_bytes()).expect("n is not 0")
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A boolean.
    Bool(bool),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A span to be. By default a root of kind server of service `shop` that starts at [`NOW`] and takes 10 ms.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its number, see [`span_id`].
    pub id: u64,
    /// Its parent's number.
    pub parent: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its service, an attribute of the resource.
    pub service: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Its status.
    pub status: SpanStatus,
    /// The status message.
    pub message: String,
    /// Its start.
    pub start: UnixNanos,
    /// Its duration in nanoseconds.
    pub duration: u64,
    /// Its attributes.
    pub attributes: Vec<(String, Attribute)>,
    /// Further attributes of the resource.
    pub resource: Vec<(String, Attribute)>,
    /// Types and messages of its exceptions.
    pub exceptions: Vec<(String, String)>,
}

impl Span {
    /// The n-th span, a root.
    pub fn root(id: u64) -> Self {
        Self {
            id,
            parent: None,
            name: "GET /".to_owned(),
            service: "shop".to_owned(),
            kind: SpanKind::Server,
            status: SpanStatus::Unset,
            message: String::new(),
            start: NOW,
            duration: 10_000_000,
            attributes: Vec::new(),
            resource: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    /// The n-th span, a child of another.
    pub fn child(id: u64, parent: u64) -> Self {
        Self {
            parent: Some(parent),
            ..Self::root(id)
        }
    }

    /// With this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Of this service.
    #[must_use]
    pub fn service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.service);
        self
    }

    /// Of this kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Starting then and taking so many nanoseconds.
    #[must_use]
    pub fn at(mut self, start: UnixNanos, duration: u64) -> Self {
        (self.start, self.duration) = (start, duration);
        self
    }

    /// Of this status.
    #[must_use]
    pub fn status(mut self, status: SpanStatus) -> Self {
        self.status = status;
        self
    }

    /// Failed, with this status message.
    #[must_use]
    pub fn failed(mut self, message: &str) -> Self {
        self.status = SpanStatus::Error;
        message.clone_into(&mut self.message);
        self
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Attribute>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// With an attribute of the resource.
    #[must_use]
    pub fn resource(mut self, key: &str, value: impl Into<Attribute>) -> Self {
        self.resource.push((key.to_owned(), value.into()));
        self
    }

    /// With an exception.
    #[must_use]
    pub fn exception(mut self, kind: &str, message: &str) -> Self {
        self.exceptions.push((kind.to_owned(), message.to_owned()));
        self
    }

    pub(super) fn head(&self) -> SpanHead {
        SpanHead {
            span_id: span_id(self.id),
            parent: self.parent.map(span_id),
            kind: self.kind,
            status: self.status,
            start: self.start,
            end: self.start.saturating_add(self.duration),
            flags: 0,
        }
    }

    pub(super) fn raw(&self, trace_id: TraceId) -> Vec<u8> {
        let head = self.head();
        let mut out = Vec::new();
        write::bytes(&mut out, 1, trace_id.as_bytes());
        write::bytes(&mut out, 2, head.span_id.as_bytes());
        if let Some(parent) = head.parent {
            write::bytes(&mut out, 4, parent.as_bytes());
        }
        write::bytes(&mut out, 5, self.name.as_bytes());
        write::uint(&mut out, 6, u64::from(head.kind.to_wire()));
        write::fixed64(&mut out, 7, head.start);
        write::fixed64(&mut out, 8, head.end);
        attributes(&mut out, 9, &self.attributes);
        for (kind, message) in &self.exceptions {
            write::message(&mut out, 11, |event| {
                write::fixed64(event, 1, head.end);
                write::bytes(event, 2, b"exception");
                write::string_attribute(event, 3, "exception.type", kind);
                write::string_attribute(event, 3, "exception.message", message);
            });
        }
        write::message(&mut out, 15, |status| {
            write::bytes(status, 2, self.message.as_bytes());
            write::uint(status, 3, u64::from(head.status.to_wire()));
        });
        out
    }

    pub(super) fn group(&self) -> Arc<Group> {
        let mut resource = Vec::new();
        write::string_attribute(&mut resource, 1, "service.name", &self.service);
        attributes(&mut resource, 1, &self.resource);
        let mut scope = Vec::new();
        write::bytes(&mut scope, 1, b"conformance");
        Arc::new(Group::new(
            resource.into(),
            Bytes::new(),
            scope.into(),
            Bytes::new(),
        ))
    }
}

fn attributes(out: &mut Vec<u8>, tag: u32, all: &[(String, Attribute)]) {
    for (key, value) in all {
        write::message(out, tag, |pair| {
            write::bytes(pair, 1, key.as_bytes());
            write::message(pair, 2, |any| match value {
                Attribute::Text(text) => write::bytes(any, 1, text.as_bytes()),
                Attribute::Bool(value) => write::uint(any, 2, u64::from(*value)),
                Attribute::Int(number) => write::uint(any, 3, number.cast_unsigned()),
                Attribute::Double(number) => write::fixed64(any, 4, number.to_bits()),
            });
        });
    }
}

/// The spans as a set.
pub fn set(trace_id: TraceId, spans: &[Span]) -> SpanSet {
    let mut set = SpanSet::new();
    for span in spans {
        set.push(&span.group(), span.head(), &span.raw(trace_id));
    }
    set
}

/// The spans as a part that is kept, received at [`NOW`].
pub fn part(trace_id: TraceId, spans: &[Span]) -> Part {
    Part {
        trace_id,
        spans: set(trace_id, spans),
        upto: Position {
            segment: 1,
            offset: 0,
        },
        received_at: NOW,
        outcome: Outcome::Keep,
        duplicates: 0,
        capped: 0,
    }
}

/// What a set holds, in an order that does not depend on how it came together: per span its head, its
/// resource and scope, its bytes.
pub fn content(spans: &SpanSet) -> Vec<(SpanHead, [Bytes; 2], Vec<u8>)> {
    let of = |span: SpanRef<'_>| {
        let group = [span.group.resource.clone(), span.group.scope.clone()];
        (*span.head, group, span.raw.to_vec())
    };
    let sorted = spans.sorted_indices();
    sorted
        .into_iter()
        .filter_map(|index| spans.get(index))
        .map(of)
        .collect()
}
