//! JSON to protobuf.

use super::scalar::Scalar;
use crate::limits::Limits;
use crate::schema::{self, Field, Kind, Message};
use crate::write;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What was read although the specification does not allow it, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Field names in `snake_case` instead of `lowerCamelCase`.
    pub snake_case_names: u32,
    /// Ids in base64 instead of hex.
    pub base64_ids: u32,
    /// Enum values by name instead of by number.
    pub enum_names: u32,
}

impl Repairs {
    /// All of them.
    pub fn total(&self) -> u32 {
        self.snake_case_names + self.base64_ids + self.enum_names
    }
}

/// Why JSON was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed OTLP/JSON at line {line}, column {column}: {what}")]
pub struct JsonError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// Reads an OTLP/JSON export request, leniently, into the protobuf message
/// `ExportTraceServiceRequest`. Unknown fields are ignored; null is a field's default. A span
/// with a bad id is written so that [`slice`](crate::slice()) rejects it, alone. Memory is
/// bounded by the text's size.
///
/// # Errors
/// Not JSON, a field of the wrong type, logs or metrics, or more than
/// [`Limits::message_bytes`].
pub fn decode(text: &[u8], limits: &Limits) -> Result<(Vec<u8>, Repairs), JsonError> {
    let limit = limits.message_bytes;
    if text.len() > limit {
        let what = format!("the request is larger than {limit} bytes");
        return Err(JsonError {
            line: 1,
            column: 1,
            what,
        });
    }
    let (mut out, mut repairs) = (Vec::new(), Repairs::default());
    // As on the wire, text that is not UTF-8 is read with replacement characters.
    let text = String::from_utf8_lossy(text);
    if text.trim_ascii().is_empty() {
        return Ok((out, repairs));
    }
    let mut json = serde_json::Deserializer::from_str(&text);
    let request = MessageSeed {
        message: &schema::REQUEST,
        place: Place::Top,
        out: &mut out,
        repairs: &mut repairs,
    };
    request
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| JsonError {
            line: error.line(),
            column: error.column(),
            what: message_of(&error),
        })?;
    Ok((out, repairs))
}

/// The error's text without its place, which serde_json appends.
fn message_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Where a message goes.
#[derive(Clone, Copy)]
enum Place {
    /// It is the whole output.
    Top,
    /// It is a field of this tag; null stands for none.
    Field(u32),
    /// It is an element of a repeated field of this tag.
    Element(u32),
}

/// Writes a JSON object as a message. serde_json bounds the recursion (128 levels).
struct MessageSeed<'a> {
    message: &'static Message,
    place: Place,
    out: &'a mut Vec<u8>,
    repairs: &'a mut Repairs,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // A value that is null in an array keeps its place; any other null is nothing.
        if let (Place::Element(tag), true) = (self.place, self.message.oneof) {
            write::bytes(self.out, tag, &[]);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self {
            message,
            out,
            repairs,
            ..
        } = self;
        match self.place {
            Place::Top => read_fields(message, map, out, repairs),
            Place::Field(tag) | Place::Element(tag) => {
                write::message(out, tag, |out| read_fields(message, map, out, repairs))
            }
        }
    }
}

fn read_fields<'de, A: MapAccess<'de>>(
    message: &'static Message,
    mut map: A,
    out: &mut Vec<u8>,
    repairs: &mut Repairs,
) -> Result<(), A::Error> {
    while let Some(found) = map.next_key_seed(Name(message))? {
        match found {
            Found::Unknown => {
                map.next_value::<IgnoredAny>()?;
            }
            Found::Field { tag, field, snake } => {
                repairs.snake_case_names += u32::from(snake);
                read_field(tag, field, &mut map, out, repairs)?;
            }
        }
    }
    Ok(())
}

fn read_field<'de, A: MapAccess<'de>>(
    tag: u32,
    field: &'static Field,
    map: &mut A,
    out: &mut Vec<u8>,
    repairs: &mut Repairs,
) -> Result<(), A::Error> {
    match field.kind {
        _ if field.repeated => map.next_value_seed(Repeated {
            tag,
            field,
            out,
            repairs,
        }),
        Kind::Message(message) => {
            let place = Place::Field(tag);
            map.next_value_seed(MessageSeed {
                message,
                place,
                out,
                repairs,
            })
        }
        _ => map.next_value_seed(Scalar {
            tag,
            field,
            out,
            repairs,
        }),
    }
}

/// Writes a JSON array as a repeated field.
struct Repeated<'a> {
    tag: u32,
    field: &'static Field,
    out: &'a mut Vec<u8>,
    repairs: &'a mut Repairs,
}

impl<'de> DeserializeSeed<'de> for Repeated<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Repeated<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self {
            tag,
            field,
            out,
            repairs,
        } = self;
        loop {
            let (out, repairs) = (&mut *out, &mut *repairs);
            let more = match field.kind {
                Kind::Message(message) => {
                    let place = Place::Element(tag);
                    seq.next_element_seed(MessageSeed {
                        message,
                        place,
                        out,
                        repairs,
                    })?
                }
                _ => seq.next_element_seed(Scalar {
                    tag,
                    field,
                    out,
                    repairs,
                })?,
            };
            if more.is_none() {
                return Ok(());
            }
        }
    }
}

/// Looks a field's name up.
struct Name(&'static Message);

enum Found {
    Unknown,
    Field {
        tag: u32,
        field: &'static Field,
        snake: bool,
    },
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Found, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Found, E> {
        for (tag, field) in (0..).zip(self.0.fields) {
            let camel = name == field.name;
            if !matches!(field.kind, Kind::Unknown) && (camel || name == field.snake) {
                return Ok(Found::Field {
                    tag,
                    field,
                    snake: !camel,
                });
            }
        }
        let top = std::ptr::eq(self.0, &raw const schema::REQUEST);
        match name {
            "resourceLogs" | "resource_logs" if top => Err(E::custom(
                "resourceLogs: these are logs, and this is the traces path",
            )),
            "resourceMetrics" | "resource_metrics" if top => Err(E::custom(
                "resourceMetrics: these are metrics, and this is the traces path",
            )),
            _ => Ok(Found::Unknown),
        }
    }
}
