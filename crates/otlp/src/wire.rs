//! Reading the protobuf wire format: varints, keys, lengths, groups. Nothing here allocates.

use std::borrow::Cow;

/// Wire type of varints.
pub(crate) const VARINT: u32 = 0;
/// Wire type of 8-byte numbers.
pub(crate) const FIXED64: u32 = 1;
/// Wire type of strings, bytes and messages.
pub(crate) const LEN: u32 = 2;
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
/// Wire type of 4-byte numbers.
pub(crate) const FIXED32: u32 = 5;

/// Messages in messages that prost reads, and so do we.
pub(crate) const NESTING: u32 = 100;

/// Something malformed: where (an address, so that no reader needs to carry offsets), and what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    address: usize,
    pub(crate) what: &'static str,
}

impl Fault {
    /// A fault at the first byte of `rest`.
    #[cold]
    pub(crate) fn at(rest: &[u8], what: &'static str) -> Self {
        Self {
            address: rest.as_ptr().addr(),
            what,
        }
    }

    /// Bytes from the start of `message`, of which the faulty bytes are a part.
    pub(crate) fn offset_in(self, message: &[u8]) -> usize {
        self.address
            .saturating_sub(message.as_ptr().addr())
            .min(message.len())
    }
}

pub(crate) type Step<T> = Result<T, Fault>;

/// Reads a varint of 1 to 10 bytes.
#[inline]
pub(crate) fn varint(rest: &mut &[u8]) -> Step<u64> {
    if let Some((&byte, after)) = rest.split_first()
        && byte < 0x80
    {
        *rest = after;
        return Ok(u64::from(byte));
    }
    long_varint(rest)
}

fn long_varint(rest: &mut &[u8]) -> Step<u64> {
    let mut value = 0;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        if index == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(Fault::at(rest, "a varint that does not end"))
}

/// Reads a field's key: `tag << 3 | wire type`, the tag not 0.
#[inline]
pub(crate) fn key(rest: &mut &[u8]) -> Step<u32> {
    let before = *rest;
    match u32::try_from(varint(rest)?) {
        Ok(key) if key >> 3 > 0 => Ok(key),
        _ => Err(Fault::at(before, "a field number out of range")),
    }
}

/// Reads a length and so many bytes.
#[inline]
pub(crate) fn len_delimited<'a>(rest: &mut &'a [u8]) -> Step<&'a [u8]> {
    let before = *rest;
    let len = varint(rest)?;
    let split = usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len));
    let Some((body, after)) = split else {
        return Err(Fault::at(before, "a length beyond the end of the message"));
    };
    *rest = after;
    Ok(body)
}

/// Reads 8 bytes, little-endian.
#[inline]
pub(crate) fn fixed64(rest: &mut &[u8]) -> Step<u64> {
    let Some((bytes, after)) = rest.split_first_chunk() else {
        return Err(Fault::at(rest, "a number cut short"));
    };
    *rest = after;
    Ok(u64::from_le_bytes(*bytes))
}

/// Reads 4 bytes, little-endian.
#[inline]
pub(crate) fn fixed32(rest: &mut &[u8]) -> Step<u32> {
    let Some((bytes, after)) = rest.split_first_chunk() else {
        return Err(Fault::at(rest, "a number cut short"));
    };
    *rest = after;
    Ok(u32::from_le_bytes(*bytes))
}

/// Passes the value of an unknown field whose key was read; `room` is how many more messages may
/// nest here (groups count as such, and so does the skipping itself, as in prost).
pub(crate) fn skip(rest: &mut &[u8], key: u32, room: u32) -> Step<()> {
    if room == 0 {
        return Err(Fault::at(rest, "more than 100 messages in one another"));
    }
    match key & 7 {
        VARINT => varint(rest).map(drop),
        FIXED64 => fixed64(rest).map(drop),
        LEN => len_delimited(rest).map(drop),
        FIXED32 => fixed32(rest).map(drop),
        START_GROUP => loop {
            let before = *rest;
            let inner = self::key(rest)?;
            if inner & 7 != END_GROUP {
                skip(rest, inner, room - 1)?;
            } else if inner >> 3 == key >> 3 {
                return Ok(());
            } else {
                return Err(Fault::at(before, "a group that ends another"));
            }
        },
        END_GROUP => Err(Fault::at(rest, "the end of a group that did not start")),
        _ => Err(Fault::at(rest, "a wire type that does not exist")),
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Len(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message in the order sent, groups left out; ends at the first malformed one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The last length-delimited field of this tag; empty if there is none.
    pub(crate) fn last_bytes(self, tag: u32) -> &'a [u8] {
        self.all_bytes(tag).last().unwrap_or_default()
    }

    /// Every length-delimited field of this tag.
    pub(crate) fn all_bytes(self, tag: u32) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |field| match field {
            (found, Payload::Len(bytes)) if found == tag => Some(bytes),
            _ => None,
        })
    }

    /// The last varint field of this tag, cut to 32 bits as protobuf does; 0 if there is none.
    pub(crate) fn last_u32(self, tag: u32) -> u32 {
        let numbers = self.filter_map(|field| match field {
            (found, Payload::Varint(number)) if found == tag => Some(number),
            _ => None,
        });
        low32(numbers.last().unwrap_or_default())
    }

    fn next_of_any_form(&mut self) -> Option<(u32, Payload<'a>)> {
        self.step().unwrap_or_else(|_| {
            self.rest = &[];
            None
        })
    }

    fn step(&mut self) -> Step<Option<(u32, Payload<'a>)>> {
        let rest = &mut self.rest;
        while !rest.is_empty() {
            let key = key(rest)?;
            let payload = match key & 7 {
                VARINT => Payload::Varint(varint(rest)?),
                FIXED64 => Payload::Fixed64(fixed64(rest)?),
                LEN => Payload::Len(len_delimited(rest)?),
                FIXED32 => Payload::Fixed32(fixed32(rest)?),
                _ => {
                    skip(rest, key, NESTING)?;
                    continue;
                }
            };
            return Ok(Some((key >> 3, payload)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Payload<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Nearly every field: a key of one byte, length-delimited, shorter than 128 bytes.
        if let [key @ 8..0x80, len @ ..0x80, after @ ..] = self.rest
            && u32::from(key & 7) == LEN
            && let Some((body, rest)) = after.split_at_checked(usize::from(*len))
        {
            self.rest = rest;
            return Some((u32::from(key >> 3), Payload::Len(body)));
        }
        self.next_of_any_form()
    }
}

/// The low 32 bits: how protobuf reads a longer varint into a 32-bit field.
#[inline]
pub(crate) fn low32(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).expect("masked to 32 bits")
}

/// Text off the wire; what is not UTF-8 becomes replacement characters.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // What is UTF-8 is known faster this way.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
