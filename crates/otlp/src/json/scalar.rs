//! One JSON value that is no object and no list, as the protobuf field it should be.

use super::decode::Repairs;
use super::number::Number;
use crate::schema::{Field, Kind};
use crate::write;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};
use std::fmt;

/// Padding or none, both are read.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Stands for an id that is none, so that the span (and no other) is rejected: it has the length
/// of no id, and unlike an empty one it is not "no parent" either.
const NO_ID: [u8; 1] = [0];

/// Writes a scalar as field `tag` of the message that `out` ends with; null writes nothing.
pub(super) struct Scalar<'a> {
    pub(super) tag: u32,
    pub(super) field: &'static Field,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) repairs: &'a mut Repairs,
}

impl Scalar<'_> {
    fn wrong<E: Error>(&self) -> E {
        let expected = match self.field.kind {
            Kind::Text => "a string",
            Kind::Bytes => "bytes in base64",
            Kind::Id(_) => "an id in hex",
            Kind::Bool => "true or false",
            Kind::Double => "a number",
            Kind::U32 | Kind::Fixed32 => "a whole number of 32 bits",
            Kind::I64 | Kind::Fixed64 => "a whole number of 64 bits",
            Kind::Enum(_) => "a number",
            Kind::Unknown | Kind::Message(_) => "something else",
        };
        E::custom(format_args!("{}: expected {expected}", self.field.name))
    }

    fn number(self, number: Number) -> Option<()> {
        let Self { tag, out, .. } = self;
        match self.field.kind {
            Kind::I64 => write::uint(out, tag, number.signed()?.cast_unsigned()),
            Kind::Enum(_) => {
                let number = i32::try_from(number.signed()?).ok()?;
                write::uint(out, tag, i64::from(number).cast_unsigned());
            }
            Kind::U32 => write::uint(out, tag, u64::from(u32::try_from(number.unsigned()?).ok()?)),
            Kind::Fixed32 => write::fixed32(out, tag, u32::try_from(number.unsigned()?).ok()?),
            Kind::Fixed64 => write::fixed64(out, tag, number.unsigned()?),
            Kind::Double => write::fixed64(out, tag, number.double().to_bits()),
            _ => return None,
        }
        Some(())
    }

    fn finish<E: Error>(self, number: Number) -> Result<(), E> {
        let wrong = self.wrong();
        self.number(number).ok_or(wrong)
    }

    fn id(self, len: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        let id = hex(text).filter(|id| id.len() == len).or_else(|| {
            let bytes = base64(text).filter(|bytes| bytes.len() == len)?;
            self.repairs.base64_ids += 1;
            Some(bytes)
        });
        write::bytes(self.out, self.tag, id.as_deref().unwrap_or(&NO_ID));
    }
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a plain value for {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                write::uint(self.out, self.tag, u64::from(value));
                Ok(())
            }
            _ => Err(self.wrong()),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.finish(Number::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.finish(Number::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.finish(Number::Double(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.field.kind {
            Kind::Text => write::bytes(self.out, self.tag, text.as_bytes()),
            Kind::Id(len) => self.id(len, text),
            Kind::Bytes => match base64(text) {
                Some(bytes) => write::bytes(self.out, self.tag, &bytes),
                None => return Err(self.wrong()),
            },
            Kind::Bool => match text {
                "true" => write::uint(self.out, self.tag, 1),
                "false" => write::uint(self.out, self.tag, 0),
                _ => return Err(self.wrong()),
            },
            Kind::Enum(names) if Number::parse(text).is_none() => {
                let number = names.iter().position(|name| *name == text).unwrap_or(0);
                self.repairs.enum_names += 1;
                write::uint(self.out, self.tag, number as u64);
            }
            _ => match Number::parse(text) {
                Some(number) => return self.finish(number),
                None => return Err(self.wrong()),
            },
        }
        Ok(())
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    pairs.iter().map(byte).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}
