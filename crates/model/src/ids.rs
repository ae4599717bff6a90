//! Identifiers: trace, span, row.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text or a byte string is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not of the length an id has.
    #[error("an id of this kind has {expected} bytes ({} hex digits)", expected * 2)]
    Length {
        /// Bytes an id of this kind has.
        expected: usize,
    },
    /// A character that is no hex digit.
    #[error("an id is written in the hex digits 0-9 and a-f")]
    NotHex,
    /// W3C Trace Context and OTLP both call the all-zero id invalid.
    #[error("an id of only zeros is invalid")]
    Zero,
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let text = text.as_bytes();
    if text.len() != N * 2 {
        return Err(IdError::Length { expected: N });
    }
    let digit = |c: u8| char::from(c).to_digit(16).ok_or(IdError::NotHex);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).expect("two hex digits fit");
    }
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Bytes in an id of this kind.
            pub const LEN: usize = $bytes;

            /// An id from bytes off the wire: the right length and not all zeros.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let bytes: [u8; $bytes] =
                    bytes.try_into().map_err(|_| IdError::Length { expected: $bytes })?;
                Self::from_bytes(bytes)
            }

            /// An id from its bytes; all zeros is [`IdError::Zero`].
            pub fn from_bytes(bytes: [u8; $bytes]) -> Result<Self, IdError> {
                if bytes == [0; $bytes] { Err(IdError::Zero) } else { Ok(Self(bytes)) }
            }

            /// The id's bytes, in wire order.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            /// Hex, either case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_bytes(from_hex(text)?)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A request's id: 16 bytes, never all zeros, written as 32 lower-case hex digits.
    TraceId, 16
);
id!(
    /// A span's id: 8 bytes, never all zeros, written as 16 lower-case hex digits.
    SpanId, 8
);

impl TraceId {
    /// The creation time in Unix milliseconds if the id has the UUIDv7 layout (version 7,
    /// variant 10), else none. A random id passes for one in one of 64 cases: a hint, no proof.
    pub fn v7_millis(&self) -> Option<u64> {
        let id = &self.0;
        (id[6] >> 4 == 7 && id[8] >> 6 == 0b10).then(|| {
            id[..6]
                .iter()
                .fold(0, |millis, byte| millis << 8 | u64::from(*byte))
        })
    }
}

/// A row's number: the segment that wrote it, and its place among the segment's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i64);

impl RowId {
    /// Bits that hold a row's place in its segment.
    pub const ORDINAL_BITS: u32 = 10;

    /// The row at `ordinal` of segment `segment`.
    pub fn new(segment: i64, ordinal: u16) -> Self {
        Self(segment << Self::ORDINAL_BITS | i64::from(ordinal))
    }

    /// The segment that wrote the row.
    pub fn segment(self) -> i64 {
        self.0 >> Self::ORDINAL_BITS
    }

    /// The row's place among its segment's rows.
    pub fn ordinal(self) -> u16 {
        u16::try_from(self.0 & ((1 << Self::ORDINAL_BITS) - 1)).expect("ten bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_out_and_comes_back() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        assert_eq!(
            text.to_uppercase().parse::<TraceId>().unwrap().to_string(),
            text
        );
        assert_eq!("".parse::<TraceId>(), Err(IdError::Length { expected: 16 }));
        assert_eq!("zzzzzzzzzzzzzzzz".parse::<SpanId>(), Err(IdError::NotHex));
        assert_eq!("0000000000000000".parse::<SpanId>(), Err(IdError::Zero));
    }

    #[test]
    fn a_v7_id_tells_its_time_and_another_does_not() {
        let v7: TraceId = "018bcfe56800700080000000000000ff".parse().unwrap();
        assert_eq!(v7.v7_millis(), Some(0x018b_cfe5_6800));
        let v4: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(v4.v7_millis(), None);
    }

    #[test]
    fn a_row_id_holds_segment_and_ordinal() {
        let row = RowId::new(77, 511);
        assert_eq!((row.segment(), row.ordinal()), (77, 511));
    }
}
