//! The messages of OTLP traces, as tables: what checking and JSON need to know of each field.

use crate::wire::{FIXED32, FIXED64, LEN, VARINT};

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its name, as in "a field of the wrong type in Span".
    pub(crate) wrong_type: &'static str,
    /// Its fields by tag; unused tags are [`Kind::Unknown`].
    pub(crate) fields: &'static [Field],
    /// Whether it is an array or map in a value, which counts for the nesting limit.
    pub(crate) container: bool,
    /// Whether its fields exclude each other, so that a default value says something too.
    pub(crate) oneof: bool,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// Name in OTLP/JSON.
    pub(crate) name: &'static str,
    /// Name in the proto file.
    pub(crate) snake: &'static str,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Unknown,
    Text,
    Bytes,
    /// An id of so many bytes, hex in JSON.
    Id(usize),
    /// A 32-bit number as varint.
    U32,
    /// An enum: the names of its values, from 0.
    Enum(&'static [&'static str]),
    Bool,
    I64,
    Double,
    Fixed64,
    Fixed32,
    Message(&'static Message),
}

impl Kind {
    /// The wire type, none if the field is unknown.
    #[inline]
    pub(crate) fn wire_type(self) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Text | Self::Bytes | Self::Id(_) | Self::Message(_) => Some(LEN),
            Self::U32 | Self::Enum(_) | Self::Bool | Self::I64 => Some(VARINT),
            Self::Double | Self::Fixed64 => Some(FIXED64),
            Self::Fixed32 => Some(FIXED32),
        }
    }
}

impl Message {
    /// The field of this tag; an unknown one if the message has none.
    #[inline]
    pub(crate) fn field(&self, tag: u32) -> &'static Field {
        self.fields.get(tag as usize).unwrap_or(&NONE)
    }
}

const NONE: Field = one("", "", Kind::Unknown);

const fn one(name: &'static str, snake: &'static str, kind: Kind) -> Field {
    Field {
        name,
        snake,
        kind,
        repeated: false,
    }
}

const fn many(name: &'static str, snake: &'static str, kind: Kind) -> Field {
    Field {
        name,
        snake,
        kind,
        repeated: true,
    }
}

const fn message(wrong_type: &'static str, fields: &'static [Field]) -> Message {
    Message {
        wrong_type,
        fields,
        container: false,
        oneof: false,
    }
}

const ATTRIBUTES: Field = many("attributes", "attributes", Kind::Message(&KEY_VALUE));
const DROPPED_ATTRIBUTES: Field = one(
    "droppedAttributesCount",
    "dropped_attributes_count",
    Kind::U32,
);
const SCHEMA_URL: Field = one("schemaUrl", "schema_url", Kind::Text);
const TRACE_ID: Field = one("traceId", "trace_id", Kind::Id(16));
const SPAN_ID: Field = one("spanId", "span_id", Kind::Id(8));
const TRACE_STATE: Field = one("traceState", "trace_state", Kind::Text);
const FLAGS: Field = one("flags", "flags", Kind::Fixed32);
const NAME: Field = one("name", "name", Kind::Text);

/// `ExportTraceServiceRequest`, and `TracesData`.
pub(crate) static REQUEST: Message = message(
    "a field of the wrong type in ExportTraceServiceRequest",
    &[
        NONE,
        many(
            "resourceSpans",
            "resource_spans",
            Kind::Message(&RESOURCE_SPANS),
        ),
    ],
);

pub(crate) static RESOURCE_SPANS: Message = message(
    "a field of the wrong type in ResourceSpans",
    &[
        NONE,
        one("resource", "resource", Kind::Message(&RESOURCE)),
        many("scopeSpans", "scope_spans", Kind::Message(&SCOPE_SPANS)),
        SCHEMA_URL,
    ],
);

pub(crate) static RESOURCE: Message = message(
    "a field of the wrong type in Resource",
    &[
        NONE,
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        many("entityRefs", "entity_refs", Kind::Message(&ENTITY_REF)),
    ],
);

static ENTITY_REF: Message = message(
    "a field of the wrong type in EntityRef",
    &[
        NONE,
        SCHEMA_URL,
        one("type", "type", Kind::Text),
        many("idKeys", "id_keys", Kind::Text),
        many("descriptionKeys", "description_keys", Kind::Text),
    ],
);

pub(crate) static SCOPE_SPANS: Message = message(
    "a field of the wrong type in ScopeSpans",
    &[
        NONE,
        one("scope", "scope", Kind::Message(&SCOPE)),
        many("spans", "spans", Kind::Message(&SPAN)),
        SCHEMA_URL,
    ],
);

pub(crate) static SCOPE: Message = message(
    "a field of the wrong type in InstrumentationScope",
    &[
        NONE,
        NAME,
        one("version", "version", Kind::Text),
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
    ],
);

pub(crate) static SPAN: Message = message(
    "a field of the wrong type in Span (logs and metrics have paths of their own)",
    &[
        NONE,
        TRACE_ID,
        SPAN_ID,
        TRACE_STATE,
        one("parentSpanId", "parent_span_id", Kind::Id(8)),
        NAME,
        one("kind", "kind", Kind::Enum(&KINDS)),
        one("startTimeUnixNano", "start_time_unix_nano", Kind::Fixed64),
        one("endTimeUnixNano", "end_time_unix_nano", Kind::Fixed64),
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        many("events", "events", Kind::Message(&EVENT)),
        one("droppedEventsCount", "dropped_events_count", Kind::U32),
        many("links", "links", Kind::Message(&LINK)),
        one("droppedLinksCount", "dropped_links_count", Kind::U32),
        one("status", "status", Kind::Message(&STATUS)),
        FLAGS,
    ],
);

static KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

pub(crate) static EVENT: Message = message(
    "a field of the wrong type in Span.Event",
    &[
        NONE,
        one("timeUnixNano", "time_unix_nano", Kind::Fixed64),
        NAME,
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
    ],
);

pub(crate) static LINK: Message = message(
    "a field of the wrong type in Span.Link",
    &[
        NONE,
        TRACE_ID,
        SPAN_ID,
        TRACE_STATE,
        ATTRIBUTES,
        DROPPED_ATTRIBUTES,
        FLAGS,
    ],
);

pub(crate) static STATUS: Message = message(
    "a field of the wrong type in Status",
    &[
        NONE,
        NONE,
        one("message", "message", Kind::Text),
        one(
            "code",
            "code",
            Kind::Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]),
        ),
    ],
);

pub(crate) static KEY_VALUE: Message = message(
    "a field of the wrong type in KeyValue",
    &[
        NONE,
        one("key", "key", Kind::Text),
        one("value", "value", Kind::Message(&ANY_VALUE)),
        one("keyStrindex", "key_strindex", Kind::U32),
    ],
);

pub(crate) static ANY_VALUE: Message = Message {
    oneof: true,
    ..message(
        "a field of the wrong type in AnyValue",
        &[
            NONE,
            one("stringValue", "string_value", Kind::Text),
            one("boolValue", "bool_value", Kind::Bool),
            one("intValue", "int_value", Kind::I64),
            one("doubleValue", "double_value", Kind::Double),
            one("arrayValue", "array_value", Kind::Message(&ARRAY)),
            one("kvlistValue", "kvlist_value", Kind::Message(&MAP)),
            one("bytesValue", "bytes_value", Kind::Bytes),
            one("stringValueStrindex", "string_value_strindex", Kind::U32),
        ],
    )
};

static ARRAY: Message = Message {
    container: true,
    ..message(
        "a field of the wrong type in ArrayValue",
        &[NONE, many("values", "values", Kind::Message(&ANY_VALUE))],
    )
};

static MAP: Message = Message {
    container: true,
    ..message(
        "a field of the wrong type in KeyValueList",
        &[NONE, many("values", "values", Kind::Message(&KEY_VALUE))],
    )
};
