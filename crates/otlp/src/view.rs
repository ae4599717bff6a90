//! Reading a span where it lies. A view never fails: of malformed bytes it shows what precedes
//! the fault (bytes that passed [`slice`](crate::slice()) have none).

use crate::value::Value;
use crate::wire::{self, Fields, Payload};
use hoplog_model::{SpanId, TraceId, UnixNanos};
use std::borrow::Cow;

/// A `Span` message, without tag and length.
#[derive(Debug, Clone, Copy)]
pub struct SpanView<'a>(pub &'a [u8]);

impl<'a> SpanView<'a> {
    fn fields(self) -> Fields<'a> {
        Fields::new(self.0)
    }

    /// The span's name as sent, UTF-8 or not.
    pub fn name_bytes(self) -> &'a [u8] {
        self.fields().last_bytes(5)
    }

    /// The span's name.
    pub fn name(self) -> Cow<'a, str> {
        wire::text(self.name_bytes())
    }

    /// The request the span belongs to, if its id is valid.
    pub fn trace_id(self) -> Option<TraceId> {
        TraceId::from_slice(self.fields().last_bytes(1)).ok()
    }

    /// The W3C `tracestate`, "" if absent.
    pub fn trace_state(self) -> Cow<'a, str> {
        wire::text(self.fields().last_bytes(3))
    }

    /// The span's attributes, in the order sent.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes::new(self.0, 9)
    }

    /// What happened during the span, in the order sent.
    pub fn events(self) -> impl Iterator<Item = EventView<'a>> + use<'a> {
        self.fields().all_bytes(11).map(EventView::read)
    }

    /// Other spans that this one points at, in the order sent.
    pub fn links(self) -> impl Iterator<Item = LinkView<'a>> + use<'a> {
        self.fields().all_bytes(13).map(LinkView::read)
    }

    /// `Status.message`, "" if absent.
    pub fn status_message(self) -> Cow<'a, str> {
        let messages = self
            .fields()
            .all_bytes(15)
            .flat_map(|part| Fields::new(part).all_bytes(2));
        wire::text(messages.last().unwrap_or_default())
    }

    /// Attributes that the sender left out.
    pub fn dropped_attributes(self) -> u32 {
        self.fields().last_u32(10)
    }

    /// Events that the sender left out.
    pub fn dropped_events(self) -> u32 {
        self.fields().last_u32(12)
    }

    /// Links that the sender left out.
    pub fn dropped_links(self) -> u32 {
        self.fields().last_u32(14)
    }
}

/// Attributes of a span, event, link, resource or scope: keys with values.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    fields: Fields<'a>,
    tag: u32,
}

impl<'a> Attributes<'a> {
    /// The `KeyValue` fields of this tag in a message.
    pub(crate) fn new(message: &'a [u8], tag: u32) -> Self {
        Self {
            fields: Fields::new(message),
            tag,
        }
    }

    /// The attributes of a `Resource` message.
    pub fn of_resource(resource: &'a [u8]) -> Self {
        Self::new(resource, 1)
    }

    /// The value of this key, the first of those not yet passed.
    pub fn get(mut self, key: &str) -> Option<Value<'a>> {
        self.find(|(found, _)| found == key).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.next()? {
                (tag, Payload::Len(bytes)) if tag == self.tag => return Some(key_value(bytes)),
                _ => {}
            }
        }
    }
}

/// Key and value of a `KeyValue` message.
pub(crate) fn key_value(message: &[u8]) -> (Cow<'_, str>, Value<'_>) {
    let (mut key, mut value, mut pieces) = (&[][..], &[][..], 0);
    for field in Fields::new(message) {
        match field {
            (1, Payload::Len(bytes)) => key = bytes,
            (2, Payload::Len(bytes)) => (value, pieces) = (bytes, pieces + 1),
            _ => {}
        }
    }
    let value = if pieces > 1 {
        Value::read_split(message)
    } else {
        Value::read(value)
    };
    (wire::text(key), value)
}

/// An event of a span, e.g. an exception.
#[derive(Debug, Clone)]
pub struct EventView<'a> {
    /// When it happened.
    pub time: UnixNanos,
    /// What happened, e.g. `exception`.
    pub name: Cow<'a, str>,
    raw: &'a [u8],
}

impl<'a> EventView<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let times = Fields::new(raw).filter_map(|field| match field {
            (1, Payload::Fixed64(time)) => Some(time),
            _ => None,
        });
        let time = times.last().unwrap_or_default();
        Self {
            time,
            name: wire::text(Fields::new(raw).last_bytes(2)),
            raw,
        }
    }

    /// The event's attributes, in the order sent.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 3)
    }

    /// Attributes that the sender left out.
    pub fn dropped_attributes(&self) -> u32 {
        Fields::new(self.raw).last_u32(4)
    }
}

/// A pointer to a span, of this or another request.
#[derive(Debug, Clone)]
pub struct LinkView<'a> {
    /// The request pointed at, if its id is valid.
    pub trace_id: Option<TraceId>,
    /// The span pointed at, if its id is valid.
    pub span_id: Option<SpanId>,
    raw: &'a [u8],
}

impl<'a> LinkView<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let fields = Fields::new(raw);
        Self {
            trace_id: TraceId::from_slice(fields.last_bytes(1)).ok(),
            span_id: SpanId::from_slice(fields.last_bytes(2)).ok(),
            raw,
        }
    }

    /// The W3C `tracestate` of the span pointed at, "" if absent.
    pub fn trace_state(&self) -> Cow<'a, str> {
        wire::text(Fields::new(self.raw).last_bytes(3))
    }

    /// The link's attributes, in the order sent.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 4)
    }
}
