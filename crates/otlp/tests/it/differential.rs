//! The slicer against prost: the same spans, or both refuse. The one difference is text that is
//! not UTF-8, which prost refuses.

use crate::generate::{self, Dice, scramble};
use hoplog_model::{SpanId, SpanKind, SpanStatus, TraceId};
use hoplog_otlp::{Attributes, Limits, SliceError, Sliced, SpanHead, SpanView, Value, slice};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProstValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

/// The ids and head that a decoded span should have; none if it must be rejected.
fn expected(span: &Span) -> Option<(TraceId, SpanHead)> {
    let parent = match &span.parent_span_id[..] {
        [] | [0, 0, 0, 0, 0, 0, 0, 0] => None,
        id => Some(SpanId::from_slice(id).ok()?),
    };
    let head = SpanHead {
        span_id: SpanId::from_slice(&span.span_id).ok()?,
        parent,
        kind: SpanKind::from_wire(u64::try_from(span.kind).unwrap_or(0)),
        status: SpanStatus::from_wire(
            span.status
                .as_ref()
                .and_then(|s| u64::try_from(s.code).ok())
                .unwrap_or(0),
        ),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        flags: span.flags,
    };
    Some((TraceId::from_slice(&span.trace_id).ok()?, head))
}

fn compare(bytes: &[u8], limits: &Limits) -> Result<(), TestCaseError> {
    let ours = slice(bytes.to_vec().into(), limits);
    match ExportTraceServiceRequest::decode(bytes) {
        Err(error) if error.to_string().contains("UTF-8") => {}
        Err(error) => prop_assert!(ours.is_err(), "prost refuses: {error}"),
        Ok(theirs) => compare_spans(&ours, &theirs)?,
    }
    Ok(())
}

fn compare_spans(
    ours: &Result<Sliced, SliceError>,
    theirs: &ExportTraceServiceRequest,
) -> Result<(), TestCaseError> {
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => return Err(TestCaseError::fail(format!("prost accepts: {error}"))),
    };
    let mut spans = ours.spans.iter();
    let mut rejected = 0;
    let mut group = 0;
    for ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    } in &theirs.resource_spans
    {
        for scope in scope_spans {
            for span in &scope.spans {
                let Some((trace_id, head)) = expected(span) else {
                    rejected += 1;
                    continue;
                };
                let sliced = spans.next().expect("a span that prost has");
                prop_assert_eq!(sliced.trace_id, trace_id);
                prop_assert_eq!(sliced.head, head);
                prop_assert_eq!(sliced.group, group);
                compare_span(ours.raw(sliced), span)?;
            }
            let ours = &ours.groups[group as usize];
            compare_group(ours, resource.as_ref(), scope)?;
            prop_assert_eq!(&ours.resource_schema[..], schema_url.as_bytes());
            group += 1;
        }
    }
    prop_assert_eq!(spans.next(), None);
    prop_assert_eq!(ours.rejected.total(), rejected);
    prop_assert_eq!(ours.groups.len(), group as usize);
    Ok(())
}

fn compare_group(
    ours: &hoplog_otlp::Group,
    resource: Option<&Resource>,
    theirs: &ScopeSpans,
) -> Result<(), TestCaseError> {
    let resource = resource.cloned().unwrap_or_default();
    let scope = theirs.scope.clone().unwrap_or_default();
    let decoded = Resource::decode(ours.resource.clone()).unwrap();
    prop_assert_eq!(decoded.encode_to_vec(), resource.encode_to_vec());
    let decoded = InstrumentationScope::decode(ours.scope.clone()).unwrap();
    prop_assert_eq!(decoded.encode_to_vec(), scope.encode_to_vec());
    prop_assert_eq!(ours.scope_name(), &*scope.name);
    prop_assert_eq!(ours.scope_version(), &*scope.version);
    prop_assert_eq!(&ours.scope_schema[..], theirs.schema_url.as_bytes());
    compare_attributes(ours.attributes(), &resource.attributes)?;
    compare_attributes(ours.scope_attributes(), &scope.attributes)?;
    let service = resource
        .attributes
        .iter()
        .find(|attribute| attribute.key == "service.name");
    let service = service.and_then(|attribute| attribute.value.as_ref());
    match service.and_then(|value| value.value.as_ref()) {
        Some(ProstValue::StringValue(name)) => prop_assert_eq!(&*ours.service, &**name),
        None => prop_assert_eq!(&*ours.service, ""),
        Some(_) => {}
    }
    Ok(())
}

fn compare_span(ours: &[u8], theirs: &Span) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        Span::decode(ours).unwrap().encode_to_vec(),
        theirs.encode_to_vec()
    );
    let view = SpanView(ours);
    prop_assert_eq!(view.name(), &*theirs.name);
    prop_assert_eq!(view.trace_state(), &*theirs.trace_state);
    prop_assert_eq!(view.dropped_attributes(), theirs.dropped_attributes_count);
    prop_assert_eq!(view.dropped_events(), theirs.dropped_events_count);
    prop_assert_eq!(view.dropped_links(), theirs.dropped_links_count);
    let message = theirs.status.as_ref().map_or("", |status| &status.message);
    prop_assert_eq!(view.status_message(), message);
    compare_attributes(view.attributes(), &theirs.attributes)?;
    prop_assert_eq!(view.events().count(), theirs.events.len());
    for (ours, theirs) in view.events().zip(&theirs.events) {
        prop_assert_eq!(ours.time, theirs.time_unix_nano);
        prop_assert_eq!(&ours.name, &theirs.name);
        prop_assert_eq!(ours.dropped_attributes(), theirs.dropped_attributes_count);
        compare_attributes(ours.attributes(), &theirs.attributes)?;
    }
    prop_assert_eq!(view.links().count(), theirs.links.len());
    for (ours, theirs) in view.links().zip(&theirs.links) {
        prop_assert_eq!(ours.trace_id, TraceId::from_slice(&theirs.trace_id).ok());
        prop_assert_eq!(ours.span_id, SpanId::from_slice(&theirs.span_id).ok());
        compare_attributes(ours.attributes(), &theirs.attributes)?;
    }
    Ok(())
}

fn compare_attributes(ours: Attributes<'_>, theirs: &[KeyValue]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.count(), theirs.len());
    for ((key, value), theirs) in ours.zip(theirs) {
        prop_assert_eq!(&key, &theirs.key);
        compare_values(&value, theirs.value.as_ref())?;
    }
    Ok(())
}

fn compare_values(ours: &Value<'_>, theirs: Option<&AnyValue>) -> Result<(), TestCaseError> {
    use ProstValue as P;
    match (ours, theirs.and_then(|value| value.value.as_ref())) {
        (Value::Empty, None | Some(P::StringValueStrindex(_))) => {}
        (Value::Str(a), Some(P::StringValue(b))) => prop_assert_eq!(*a, b.as_bytes()),
        (Value::Bool(a), Some(P::BoolValue(b))) => prop_assert_eq!(a, b),
        (Value::Int(a), Some(P::IntValue(b))) => prop_assert_eq!(a, b),
        (Value::Double(a), Some(P::DoubleValue(b))) => prop_assert_eq!(a.to_bits(), b.to_bits()),
        (Value::Bytes(a), Some(P::BytesValue(b))) => prop_assert_eq!(*a, &b[..]),
        (Value::Array(a), Some(P::ArrayValue(b))) => {
            prop_assert_eq!(a.iter().count(), b.values.len());
            for (a, b) in a.iter().zip(&b.values) {
                compare_values(&a, Some(b))?;
            }
        }
        (Value::Map(a), Some(P::KvlistValue(b))) => {
            prop_assert_eq!(a.iter().count(), b.values.len());
            for ((key, a), b) in a.iter().zip(&b.values) {
                prop_assert_eq!(&key, &b.key);
                compare_values(&a, b.value.as_ref())?;
            }
        }
        (ours, theirs) => prop_assert!(false, "{ours:?} is not {theirs:?}"),
    }
    Ok(())
}

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    // Bytes that matter on the wire: keys, small lengths, long varints.
    let byte = prop_oneof![
        any::<u8>(),
        0..4_u8,
        Just(0x80),
        Just(0xff),
        Just(0x0a),
        Just(0x4b)
    ];
    prop_oneof![
        4 => (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<usize>(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => any::<usize>().prop_map(Edit::Remove),
        1 => any::<usize>().prop_map(Edit::Truncate),
    ]
}

fn apply(edit: &Edit, bytes: &mut Vec<u8>) {
    let len = bytes.len();
    match *edit {
        Edit::Insert(at, byte) => bytes.insert(at % (len + 1), byte),
        Edit::Set(at, byte) if len > 0 => bytes[at % len] = byte,
        Edit::Remove(at) if len > 0 => drop(bytes.remove(at % len)),
        Edit::Truncate(at) if len > 0 => bytes.truncate(at % len),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_prost_writes_we_read(request in generate::request()) {
        compare(&request.encode_to_vec(), &Limits::default())?;
    }

    #[test]
    fn any_legal_way_to_write_it_is_read(
        request in generate::request(), dice in vec(any::<u8>(), 0..400),
    ) {
        let bytes = scramble(&request.encode_to_vec(), &generate::REQUEST, &mut Dice(dice.iter()));
        compare(&bytes, &Limits::default())?;
    }

    #[test]
    fn damaged_bytes_are_refused_by_both_or_by_none(
        request in generate::request(), edits in vec(edit(), 1..4), dice in vec(any::<u8>(), 0..60),
    ) {
        let mut bytes =
            scramble(&request.encode_to_vec(), &generate::REQUEST, &mut Dice(dice.iter()));
        for edit in &edits {
            apply(edit, &mut bytes);
        }
        compare(&bytes, &Limits::default())?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        compare(&bytes, &Limits::default())?;
        SpanView(&bytes).attributes().for_each(|(_, value)| drop(value.text()));
        SpanView(&bytes).events().for_each(drop);
        drop(Value::read(&bytes).text());
    }

    #[test]
    fn every_depth_is_refused_where_prost_refuses(
        levels in vec(0..3_u8, 0..70), place in 0..4_u8,
    ) {
        // Arrays, maps and (unknown) groups in one another, in a span's, event's, scope's or
        // resource's attribute.
        let value = levels.iter().fold(vec![], |inner, level| match level {
            0 => generate::len_delimited(5, &generate::len_delimited(1, &inner)),
            1 => {
                let entry = generate::len_delimited(2, &inner);
                generate::len_delimited(6, &generate::len_delimited(1, &entry))
            }
            _ => [&[0x5b], &inner[..], &[0x5c]].concat(),
        });
        let attribute = generate::len_delimited(2, &value);
        let wrap = |tag, body: &[u8]| generate::len_delimited(tag, body);
        let resource_spans = match place {
            0 => wrap(2, &wrap(2, &wrap(9, &attribute))),
            1 => wrap(2, &wrap(2, &wrap(11, &wrap(3, &attribute)))),
            2 => wrap(2, &wrap(1, &wrap(3, &attribute))),
            _ => wrap(1, &wrap(1, &attribute)),
        };
        compare(&wrap(1, &resource_spans), &Limits::default())?;
    }
}
