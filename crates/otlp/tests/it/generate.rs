//! Random OTLP messages, and random but legal ways to write them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        Just(String::new()),
        "[a-zé\"\\\\]{1,6}",
        Just("service.name".to_owned())
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<i32>().prop_map(|n| f64::from(n) / 4.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

pub(crate) fn any_value() -> impl Strategy<Value = AnyValue> + Clone {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|v| Some(Value::StringValue(v))),
        any::<bool>().prop_map(|v| Some(Value::BoolValue(v))),
        any::<i64>().prop_map(|v| Some(Value::IntValue(v))),
        double().prop_map(|v| Some(Value::DoubleValue(v))),
        vec(any::<u8>(), 0..5).prop_map(|v| Some(Value::BytesValue(v))),
        any::<i32>().prop_map(|v| Some(Value::StringValueStrindex(v))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value }).boxed();
    leaf.prop_recursive(4, 16, 4, |inner| {
        let entry = (text(), option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            key_strindex: 0,
        });
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(entry, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> + Clone {
    let attribute = (text(), option::of(any_value()), 0..2_i32);
    vec(
        attribute.prop_map(|(key, value, key_strindex)| KeyValue {
            key,
            value,
            key_strindex,
        }),
        0..4,
    )
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(1..=255_u8, len),
        1 => Just(vec![0; len]),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let entity =
        (text(), text(), vec(text(), 0..2)).prop_map(|(schema_url, r#type, keys)| EntityRef {
            schema_url,
            r#type,
            id_keys: keys.clone(),
            description_keys: keys,
        });
    (attributes(), any::<u32>(), vec(entity, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (
        id(16),
        id(8),
        text(),
        attributes(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
                trace_id,
                span_id,
                trace_state,
                attributes,
                dropped_attributes_count,
                flags,
            },
        )
}

fn kind() -> impl Strategy<Value = i32> {
    prop_oneof![0..7, any::<i32>()]
}

pub(crate) fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), prop_oneof![Just(vec![]), id(8)]);
    let plain = (
        text(),
        text(),
        kind(),
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
    );
    let status = (text(), kind()).prop_map(|(message, code)| Status { message, code });
    let lists = (
        attributes(),
        vec(event(), 0..2),
        vec(link(), 0..2),
        option::of(status),
    );
    (ids, plain, lists, any::<[u32; 3]>()).prop_map(|(ids, plain, lists, dropped)| {
        let (trace_id, span_id, parent_span_id) = ids;
        let (trace_state, name, kind, start_time_unix_nano, end_time_unix_nano, flags) = plain;
        let (attributes, events, links, status) = lists;
        Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count: dropped[0],
            events,
            dropped_events_count: dropped[1],
            links,
            dropped_links_count: dropped[2],
            status,
        }
    })
}

pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans =
        (option::of(scope()), vec(span(), 0..3), text()).prop_map(|(scope, spans, schema_url)| {
            ScopeSpans {
                scope,
                spans,
                schema_url,
            }
        });
    let resource_spans = (option::of(resource()), vec(scope_spans, 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource_spans, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Entropy for [`scramble`]; ends in zeros, which change nothing.
pub(crate) struct Dice<'a>(pub(crate) std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn roll(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }
}

/// The same message written otherwise: fields in another order, twice, with unknown ones between,
/// submessages in pieces, varints longer than they need be. `shape` names the submessages.
pub(crate) fn scramble(bytes: &[u8], shape: &Shape, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire_type) = prost::encoding::decode_key(&mut rest).unwrap();
        let context = prost::encoding::DecodeContext::default();
        let content = rest;
        prost::encoding::skip_field(wire_type, tag, &mut rest, context).unwrap();
        match shape.0.iter().find(|(known, _)| *known == tag) {
            Some((_, inner)) => {
                let mut content = &content[..content.len() - rest.len()];
                prost::encoding::decode_varint(&mut content).unwrap();
                let content = scramble(content, inner, dice);
                let cut = first_field_len(&content);
                let split = if dice.roll() > 200 { cut } else { 0 };
                let pieces = [&content[..split], &content[split..]]
                    .into_iter()
                    .skip(usize::from(split == 0));
                fields.extend(pieces.map(|piece| len_delimited(tag, piece)));
            }
            None => fields.push(before[..before.len() - rest.len()].to_vec()),
        }
    }
    let mut out = Vec::new();
    while !fields.is_empty() {
        match dice.roll() {
            roll @ 220.. => out.extend_from_slice(UNKNOWN[usize::from(roll) % UNKNOWN.len()]),
            roll @ 200.. => {
                let index = usize::from(roll) % fields.len();
                fields.push(fields[index].clone());
            }
            roll => out.append(&mut fields.remove(usize::from(roll) / 16 % fields.len())),
        }
    }
    out
}

/// Fields no message knows: varint, fixed, bytes, groups (nested too), keys longer than need be.
const UNKNOWN: [&[u8]; 7] = [
    &[0xa0, 0x06, 0xff, 0x01],
    &[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0xa2, 0x06, 3, 1, 2, 3],
    &[0xa3, 0x06, 0x08, 1, 0xa4, 0x06],
    &[0xa3, 0x06, 0x0b, 0x12, 1, 0xff, 0x0c, 0xa4, 0x06],
    &[0xa5, 0x86, 0x00, 1, 2, 3, 4],
    &[
        0xa0, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    ],
];

fn first_field_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    if let Ok((tag, wire_type)) = prost::encoding::decode_key(&mut rest) {
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(wire_type, tag, &mut rest, context).unwrap();
    }
    bytes.len() - rest.len()
}

/// A length-delimited field, its length a byte longer than it need be.
pub(crate) fn len_delimited(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut out);
    let mut len = content.len();
    while len > 0x7f {
        out.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    out.extend_from_slice(&[u8::try_from(len).unwrap() | 0x80, 0]);
    out.extend_from_slice(content);
    out
}

/// The submessages of a message: their tags, and their own.
pub(crate) struct Shape(&'static [(u32, &'static Shape)]);

pub(crate) static REQUEST: Shape = Shape(&[(1, &RESOURCE_SPANS)]);
static RESOURCE_SPANS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
static RESOURCE: Shape = Shape(&[(1, &KEY_VALUE), (3, &PLAIN)]);
static SCOPE_SPANS: Shape = Shape(&[(1, &SCOPE), (2, &SPAN)]);
static SCOPE: Shape = Shape(&[(3, &KEY_VALUE)]);
static SPAN: Shape = Shape(&[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &PLAIN)]);
static EVENT: Shape = Shape(&[(3, &KEY_VALUE)]);
static LINK: Shape = Shape(&[(4, &KEY_VALUE)]);
static KEY_VALUE: Shape = Shape(&[(2, &ANY_VALUE)]);
static ANY_VALUE: Shape = Shape(&[(5, &ARRAY), (6, &MAP)]);
static ARRAY: Shape = Shape(&[(1, &ANY_VALUE)]);
static MAP: Shape = Shape(&[(1, &KEY_VALUE)]);
static PLAIN: Shape = Shape(&[]);
