//! Attribute values, read where they lie.

use crate::view::key_value;
use crate::wire::{self, Fields, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt::Write;

/// An attribute's value (OTLP `AnyValue`).
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// No value was set, or one of a kind that traces do not have.
    Empty,
    /// Text as sent, UTF-8 or not.
    Str(&'a [u8]),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    Array(List<'a>),
    /// Keys with values, in the order sent.
    Map(Map<'a>),
}

impl<'a> Value<'a> {
    /// The value in the bytes of an `AnyValue` message.
    pub fn read(any_value: &'a [u8]) -> Self {
        // Nearly every value: text and nothing else.
        if let [0x0a, len @ ..0x80, text @ ..] = any_value
            && text.len() == usize::from(*len)
        {
            return Self::Str(text);
        }
        Pieces {
            any: Fields::new(any_value),
            outer: Fields::new(&[]),
        }
        .read()
    }

    /// The value of a `KeyValue` message whose value comes in several pieces.
    pub(crate) fn read_split(key_value: &'a [u8]) -> Self {
        Pieces {
            any: Fields::new(&[]),
            outer: Fields::new(key_value),
        }
        .read()
    }

    /// The value as text: a string as it is, numbers in decimal, `true` and `false`, bytes in
    /// base64, arrays and maps as compact JSON, an empty value as "".
    pub fn text(&self) -> Cow<'a, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Str(bytes) => wire::text(bytes),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Double(number) => Cow::Owned(double_text(*number)),
            Self::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes)),
            Self::Array(_) | Self::Map(_) => {
                let mut json = String::new();
                self.write_json(&mut json, wire::NESTING);
                Cow::Owned(json)
            }
        }
    }

    /// The value as a number, if it is an integer or a double; a large integer is rounded.
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "said above")]
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    fn write_json(&self, out: &mut String, room: u32) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::Bool(_) | Self::Int(_) => out.push_str(&self.text()),
            Self::Double(number) if number.is_finite() => out.push_str(&self.text()),
            Self::Str(_) | Self::Bytes(_) | Self::Double(_) => quote(out, &self.text()),
            _ if room == 0 => out.push_str("null"),
            Self::Array(list) => {
                out.push('[');
                for (index, value) in list.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    value.write_json(out, room - 1);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    quote(out, &key);
                    out.push(':');
                    value.write_json(out, room - 1);
                }
                out.push('}');
            }
        }
    }
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("text is always JSON"));
}

/// A double as JSON's protobuf mapping names it: the shortest decimal, or `NaN`, `Infinity`.
pub(crate) fn double_text(number: f64) -> String {
    let mut text = String::new();
    if number.is_infinite() {
        text.push_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    } else {
        write!(text, "{number}").expect("a String takes everything");
    }
    text
}

/// The fields of an `AnyValue`, which may come in pieces: protobuf joins repeated submessages.
#[derive(Debug, Clone, Copy)]
struct Pieces<'a> {
    any: Fields<'a>,
    /// A `KeyValue`, whose fields 2 are further pieces.
    outer: Fields<'a>,
}

impl<'a> Pieces<'a> {
    /// The last field set wins; arrays and maps join with what directly precedes them.
    fn read(mut self) -> Value<'a> {
        let mut value = Value::Empty;
        loop {
            let here = self;
            value = match self.next() {
                None => return value,
                Some((1, Payload::Len(bytes))) => Value::Str(bytes),
                Some((2, Payload::Varint(number))) => Value::Bool(number != 0),
                Some((3, Payload::Varint(number))) => Value::Int(number.cast_signed()),
                Some((4, Payload::Fixed64(bits))) => Value::Double(f64::from_bits(bits)),
                Some((5, Payload::Len(_))) if matches!(value, Value::Array(_)) => value,
                Some((5, Payload::Len(_))) => Value::Array(List { pieces: here }),
                Some((6, Payload::Len(_))) if matches!(value, Value::Map(_)) => value,
                Some((6, Payload::Len(_))) => Value::Map(Map { pieces: here }),
                Some((7, Payload::Len(bytes))) => Value::Bytes(bytes),
                Some((8, Payload::Varint(_))) => Value::Empty,
                Some(_) => value,
            };
        }
    }

    /// Elements of the `ArrayValue` (field 5) or `KeyValueList` (6) that starts here.
    fn elements(self, tag: u32) -> impl Iterator<Item = &'a [u8]> {
        let lists = self.filter_map(move |field| match field {
            (found, Payload::Len(list)) if found == tag => Some(list),
            _ => None,
        });
        lists.flat_map(|list| Fields::new(list).all_bytes(1))
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (u32, Payload<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(field) = self.any.next() {
                return Some(field);
            }
            if let (2, Payload::Len(piece)) = self.outer.next()? {
                self.any = Fields::new(piece);
            }
        }
    }
}

/// An array's values.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    pieces: Pieces<'a>,
}

impl<'a> List<'a> {
    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.pieces.elements(5).map(Value::read)
    }
}

/// A map's keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    pieces: Pieces<'a>,
}

impl<'a> Map<'a> {
    /// The entries, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + use<'a> {
        self.pieces.elements(6).map(key_value)
    }
}
