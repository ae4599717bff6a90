//! Values as text and as numbers.

use hoplog_otlp::{SpanView, Value, write};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use prost::Message;

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(value: Any) -> String {
    Value::read(&any(value).encode_to_vec()).text().into_owned()
}

#[test]
fn values_have_a_text() {
    assert_eq!(text(Any::StringValue("a\"b".into())), "a\"b");
    assert_eq!(text(Any::BoolValue(false)), "false");
    assert_eq!(text(Any::IntValue(i64::MIN)), i64::MIN.to_string());
    assert_eq!(text(Any::DoubleValue(200.0)), "200");
    assert_eq!(text(Any::DoubleValue(-0.25)), "-0.25");
    assert_eq!(text(Any::DoubleValue(f64::NEG_INFINITY)), "-Infinity");
    assert_eq!(text(Any::DoubleValue(f64::NAN)), "NaN");
    assert_eq!(text(Any::BytesValue(vec![0, 255])), "AP8=");
    assert_eq!(Value::read(&[]).text(), "");
    let entry = |key: &str, value| KeyValue {
        key: key.into(),
        value,
        key_strindex: 0,
    };
    let list = Any::ArrayValue(ArrayValue {
        values: vec![
            any(Any::StringValue("x\n".into())),
            AnyValue { value: None },
            any(Any::DoubleValue(f64::NAN)),
            any(Any::KvlistValue(KeyValueList {
                values: vec![entry("k", Some(any(Any::IntValue(1)))), entry("n", None)],
            })),
        ],
    });
    assert_eq!(text(list), r#"["x\n",null,"NaN",{"k":1,"n":null}]"#);
}

#[test]
fn numbers_are_numbers() {
    let number = |value| Value::read(&any(value).encode_to_vec()).number();
    assert_eq!(number(Any::IntValue(-7)), Some(-7.0));
    assert_eq!(number(Any::DoubleValue(0.5)), Some(0.5));
    assert_eq!(number(Any::StringValue("5".into())), None);
    assert_eq!(number(Any::BoolValue(true)), None);
}

#[test]
fn a_value_in_pieces_is_joined() {
    let list = |n| {
        Any::ArrayValue(ArrayValue {
            values: vec![any(Any::IntValue(n))],
        })
    };
    let mut attribute = Vec::new();
    write::bytes(&mut attribute, 1, b"key");
    write::bytes(&mut attribute, 2, &any(list(1)).encode_to_vec());
    write::bytes(&mut attribute, 2, &any(list(2)).encode_to_vec());
    let mut span = Vec::new();
    write::bytes(&mut span, 9, &attribute);
    assert_eq!(
        SpanView(&span).attributes().get("key").unwrap().text(),
        "[1,2]"
    );
}
