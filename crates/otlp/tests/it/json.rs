//! OTLP/JSON: each row of what peers send, and the way there and back.

use crate::generate;
use hoplog_otlp::json::{self, Repairs};
use hoplog_otlp::{Limits, Reason, slice};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#;

fn decode(text: &str) -> (ExportTraceServiceRequest, Repairs) {
    let (bytes, repairs) = json::decode(text.as_bytes(), &Limits::default()).unwrap();
    (
        ExportTraceServiceRequest::decode(&bytes[..]).unwrap(),
        repairs,
    )
}

fn in_request(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{span}}}]}}]}}]}}"#)
}

/// The span of these fields, given valid ids, and what had to be repaired.
fn span(fields: &str) -> (Span, Repairs) {
    let (mut request, repairs) = decode(&in_request(&format!("{IDS},{fields}")));
    (
        request
            .resource_spans
            .remove(0)
            .scope_spans
            .remove(0)
            .spans
            .remove(0),
        repairs,
    )
}

/// The value of an attribute written so.
fn value(json: &str) -> Option<Value> {
    let (span, _) = span(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#));
    span.attributes[0].value.as_ref()?.value.clone()
}

fn refused(text: &str) -> json::JsonError {
    json::decode(text.as_bytes(), &Limits::default()).unwrap_err()
}

#[test]
fn the_specifications_example() {
    let text = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"my.service"}}]},"scopeSpans":[{"scope":{"name":"my.library","version":
        "1.0.0","attributes":[]},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":
        "EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
        "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
        "kind":2,"attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}],
        "droppedUnicorns":{"a":[1,{}]}}]}]}],"unknown":null}"#;
    let (request, repairs) = decode(text);
    let bytes = request.encode_to_vec();
    let sliced = slice(bytes.into(), &Limits::default()).unwrap();
    assert_eq!((sliced.spans.len(), repairs.total()), (1, 0));
    let span = &sliced.spans[0];
    assert_eq!(&*sliced.groups[0].service, "my.service");
    assert_eq!(
        span.trace_id.to_string(),
        "5b8efff798038103d269b633813fc60c"
    );
    assert_eq!(span.head.duration(), 1_000_000_000);
}

#[test]
fn nothing_is_an_empty_request() {
    for text in [
        "",
        " \n",
        "{}",
        "null",
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[]}"#,
    ] {
        assert_eq!(
            decode(text).0,
            ExportTraceServiceRequest::default(),
            "{text}"
        );
    }
}

#[test]
fn null_is_the_default_of_every_field() {
    let fields = r#""parentSpanId":null,"name":null,"kind":null,"startTimeUnixNano":null,
        "endTimeUnixNano":null,"attributes":null,"droppedAttributesCount":null,"events":null,
        "links":null,"status":null,"flags":null,"traceState":null"#;
    assert_eq!(span(fields).0, span(r#""name":"""#).0);
    let text = r#"{"resourceSpans":[null,{"resource":null,"schemaUrl":null,"scopeSpans":
        [null,{"scope":null,"spans":[null]},{"spans":null}]}]}"#;
    assert_eq!(decode(text).0.resource_spans[0].scope_spans.len(), 2);
    assert_eq!(span(r#""status":{}"#).0.status.unwrap().code, 0);
    assert_eq!(
        span(r#""status":{"code":null,"message":null}"#)
            .0
            .status
            .unwrap()
            .message,
        ""
    );
}

#[test]
fn numbers_come_as_numbers_and_as_strings() {
    for time in [
        "1544712660000000000",
        "\"1544712660000000000\"",
        "1.54471266e18",
    ] {
        let (span, _) = span(&format!(r#""startTimeUnixNano":{time}"#));
        assert_eq!(
            span.start_time_unix_nano, 1_544_712_660_000_000_000,
            "{time}"
        );
    }
    let (plain, repairs) = span(
        r#""flags":"257","kind":"2","droppedAttributesCount":"3","droppedLinksCount":4.0,
           "status":{"code":"2"}"#,
    );
    assert_eq!(
        (plain.flags, plain.kind, plain.status.unwrap().code),
        (257, 2, 2)
    );
    assert_eq!(
        (plain.dropped_attributes_count, plain.dropped_links_count),
        (3, 4)
    );
    assert_eq!(repairs.total(), 0);
    let max = u64::MAX;
    assert_eq!(
        span(&format!(r#""endTimeUnixNano":"{max}""#))
            .0
            .end_time_unix_nano,
        max
    );
}

#[test]
fn values_come_in_every_form() {
    assert_eq!(value("null"), None);
    assert_eq!(value("{}"), None);
    assert_eq!(value(r#"{"stringValue":null}"#), None);
    assert_eq!(value(r#"{"someFutureValue":{}}"#), None);
    assert_eq!(
        value(r#"{"stringValue":""}"#),
        Some(Value::StringValue(String::new()))
    );
    assert_eq!(
        value(r#"{"boolValue":false}"#),
        Some(Value::BoolValue(false))
    );
    for int in ["-5", "\"-5\"", "-5.0", "\"-5.0\""] {
        assert_eq!(
            value(&format!(r#"{{"intValue":{int}}}"#)),
            Some(Value::IntValue(-5)),
            "{int}"
        );
    }
    assert_eq!(
        value(r#"{"intValue":1.5e18}"#),
        Some(Value::IntValue(1_500_000_000_000_000_000))
    );
    for double in ["2.5", "\"2.5\"", "25e-1"] {
        let read = value(&format!(r#"{{"doubleValue":{double}}}"#));
        assert_eq!(read, Some(Value::DoubleValue(2.5)), "{double}");
    }
    assert_eq!(value(r#"{"doubleValue":3}"#), Some(Value::DoubleValue(3.0)));
    assert_eq!(
        value(r#"{"doubleValue":"-Infinity"}"#),
        Some(Value::DoubleValue(f64::NEG_INFINITY))
    );
    assert!(matches!(value(r#"{"doubleValue":"NaN"}"#), Some(Value::DoubleValue(n)) if n.is_nan()));
    for bytes in ["+/8=", "+/8", "-_8=", "-_8"] {
        let read = value(&format!(r#"{{"bytesValue":"{bytes}"}}"#));
        assert_eq!(read, Some(Value::BytesValue(vec![0xfb, 0xff])), "{bytes}");
    }
    for empty in ["{}", "null", r#"{"values":null}"#, r#"{"values":[]}"#] {
        let list = value(&format!(r#"{{"arrayValue":{empty}}}"#));
        let map = value(&format!(r#"{{"kvlistValue":{empty}}}"#));
        let none = empty == "null";
        assert_eq!(list.is_none(), none, "{empty}: null is no value at all");
        assert_eq!(map.is_none(), none, "{empty}");
    }
    let Some(Value::ArrayValue(list)) =
        value(r#"{"arrayValue":{"values":[{"intValue":1},null,{"boolValue":true}]}}"#)
    else {
        panic!("an array");
    };
    assert_eq!(list.values.len(), 3, "a null element keeps its place");
}

#[test]
fn what_the_specification_forbids_is_read_and_counted() {
    let (named, repairs) =
        span(r#""kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR"}"#);
    assert_eq!(
        (named.kind, named.status.unwrap().code, repairs.enum_names),
        (2, 2, 2)
    );
    assert_eq!(span(r#""kind":"SPAN_KIND_NEW""#).0.kind, 0);

    let text = r#"{"resource_spans":[{"scope_spans":[{"spans":[{
        "trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174",
        "start_time_unix_nano":5,"attributes":[{"key":"k","value":{"int_value":5}}]}]}]}]}"#;
    let (snake, repairs) = decode(text);
    assert_eq!(repairs.snake_case_names, 6);
    assert_eq!(
        snake.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano,
        5
    );

    let fields = r#""name":"""#;
    let text = in_request(r#""traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXQ=""#);
    let (base64, repairs) = decode(&text);
    let decoded = &base64.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(
        repairs,
        Repairs {
            base64_ids: 2,
            ..Repairs::default()
        }
    );
    assert_eq!(
        (&decoded.trace_id, &decoded.span_id),
        (&span(fields).0.trace_id, &span(fields).0.span_id)
    );
}

#[test]
fn a_bad_id_rejects_its_span_and_no_other() {
    let good = format!("{{{IDS}}}");
    let ids = |trace: &str, span: &str, parent: &str| {
        format!(r#"{{"traceId":"{trace}","spanId":"{span}","parentSpanId":"{parent}"}}"#)
    };
    let (trace, id) = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174");
    let spans = [
        good,
        ids("xyz", id, ""),
        ids("0123456789abcdef", id, ""),
        ids(trace, "sixteen letters!", ""),
        ids(trace, "", ""),
        ids(trace, id, "nonsense"),
        ids(trace, id, "0000000000000000"),
    ];
    let spans = spans.join(",");
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
    let (bytes, _) = json::decode(text.as_bytes(), &Limits::default()).unwrap();
    let sliced = slice(bytes.into(), &Limits::default()).unwrap();
    assert_eq!(sliced.spans.len(), 2);
    let count = |reason| sliced.rejected.count(reason);
    assert_eq!(count(Reason::TraceId), 2);
    assert_eq!((count(Reason::SpanId), count(Reason::ParentId)), (2, 1));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let error = refused("{\n  \"resourceSpans\": 5\n}");
    assert_eq!(
        (error.line, error.what.contains("resourceSpans")),
        (2, true),
        "{error}"
    );
    let error = refused(&in_request(r#""name":5"#));
    assert!(error.what.contains("name: expected a string"), "{error}");
    assert!(
        refused(&in_request(r#""flags":4294967296"#))
            .what
            .contains("32 bits")
    );
    assert!(
        refused(&in_request(r#""startTimeUnixNano":-1"#))
            .what
            .contains("64 bits")
    );
    assert!(
        refused(&in_request(r#""droppedLinksCount":1.5"#))
            .what
            .contains("32 bits")
    );
    assert!(refused("{} {}").what.contains("trailing"));
    assert!(refused("{\"resourceSpans\":[").what.contains("EOF"));
    assert!(refused(r#"{"resourceLogs":[]}"#).what.contains("logs"));
    assert!(
        refused(r#"{"resourceMetrics":[]}"#)
            .what
            .contains("metrics")
    );
    let limits = Limits {
        message_bytes: 1,
        ..Limits::default()
    };
    assert!(
        json::decode(b"{}", &limits)
            .unwrap_err()
            .what
            .contains("larger than 1 bytes")
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        let close = "]}}".repeat(levels);
        in_request(&format!(
            r#"{IDS},"attributes":[{{"key":"k","value":{open}{close}}}]"#
        ))
    };
    let read = |levels| {
        let (bytes, _) = json::decode(nested(levels).as_bytes(), &Limits::default()).unwrap();
        slice(bytes.into(), &Limits::default())
            .unwrap()
            .rejected
            .count(Reason::TooDeep)
    };
    assert_eq!((read(32), read(33)), (0, 1));
    assert!(refused(&nested(10_000)).what.contains("recursion"));
    let unknown = format!(
        r#"{{"unknown":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(json::decode(unknown.as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn text_that_is_not_utf8_is_read() {
    let text = in_request(&format!(r#"{IDS},"name":"caf?""#)).replace('?', "\u{1}");
    let bytes: Vec<u8> = text
        .bytes()
        .map(|b| if b == 1 { 0xe9 } else { b })
        .collect();
    let (out, _) = json::decode(&bytes, &Limits::default()).unwrap();
    let request = ExportTraceServiceRequest::decode(&out[..]).unwrap();
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "caf\u{fffd}"
    );
}

#[test]
fn the_written_form_is_the_specifications() {
    let (request, _) = decode(&in_request(&format!(
        r#"{IDS},"kind":2,"startTimeUnixNano":"5","flags":257,"attributes":[
           {{"key":"i","value":{{"intValue":"-5"}}}},{{"key":"d","value":{{"doubleValue":1.5}}}},
           {{"key":"b","value":{{"bytesValue":"+/8="}}}},{{"key":"n"}}],"status":{{"code":2}}"#
    )));
    let written = json::encode(&request.encode_to_vec()).unwrap();
    let ids = IDS
        .to_lowercase()
        .replace("traceid", "traceId")
        .replace("spanid", "spanId");
    let expected = in_request(&format!(
        r#"{ids},"kind":2,"startTimeUnixNano":"5","attributes":[{{"key":"i","value":{{"intValue":"-5"}}}},{{"key":"d","value":{{"doubleValue":1.5}}}},{{"key":"b","value":{{"bytesValue":"+/8="}}}},{{"key":"n"}}],"status":{{"code":2}},"flags":257"#
    ));
    assert_eq!(String::from_utf8(written).unwrap(), expected);
    assert_eq!(json::encode(&[]).unwrap(), b"{}");
    assert!(json::encode(&[0x0a, 5]).is_err());
}

proptest! {
    #[test]
    fn json_goes_out_and_comes_back(mut request in generate::request()) {
        // Ids of other lengths come back as no id.
        for resource_spans in &mut request.resource_spans {
            let spans = resource_spans.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans);
            for span in spans {
                span.trace_id.resize(16, 1);
                span.span_id.resize(8, 1);
                span.parent_span_id.resize(8, 1);
                for link in &mut span.links {
                    link.trace_id.resize(16, 1);
                    link.span_id.resize(8, 1);
                }
            }
        }
        let text = json::encode(&request.encode_to_vec()).unwrap();
        let (bytes, repairs) = json::decode(&text, &Limits::default()).unwrap();
        prop_assert_eq!(ExportTraceServiceRequest::decode(&bytes[..]).unwrap(), request);
        prop_assert_eq!(repairs.total(), 0);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let _ = json::decode(text.as_bytes(), &Limits::default());
    }
}
