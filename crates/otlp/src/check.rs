//! Checking messages against the schema, in agreement with prost, and measuring their depth.

use crate::schema::{Kind, Message};
use crate::wire::{self, Fault, Step};

/// Checks messages and remembers how deep the deepest value was.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Arrays and maps in one another, at most.
    pub(crate) deepest: u32,
}

impl Checker {
    /// Checks the content of a message. `room` is how many messages may nest in it; the depth of
    /// recursion is bounded by it.
    pub(crate) fn check(&mut self, message: &Message, rest: &[u8], room: u32) -> Step<()> {
        self.walk(message, rest, room, 0)
    }

    fn walk(&mut self, message: &Message, mut rest: &[u8], room: u32, depth: u32) -> Step<()> {
        let depth = depth + u32::from(message.container);
        self.deepest = self.deepest.max(depth);
        while !rest.is_empty() {
            let before = rest;
            let key = wire::key(&mut rest)?;
            let kind = message.field(key >> 3).kind;
            match kind.wire_type() {
                None => wire::skip(&mut rest, key, room)?,
                Some(wire_type) if wire_type != key & 7 => {
                    return Err(Fault::at(before, message.wrong_type));
                }
                Some(wire::LEN) => {
                    let body = wire::len_delimited(&mut rest)?;
                    if let Kind::Message(inner) = kind {
                        self.walk(inner, body, nest(body, room)?, depth)?;
                    }
                }
                Some(wire::VARINT) => drop(wire::varint(&mut rest)?),
                Some(wire::FIXED64) => drop(wire::fixed64(&mut rest)?),
                Some(_) => drop(wire::fixed32(&mut rest)?),
            }
        }
        Ok(())
    }
}

/// Whether this `KeyValue` is a short key with a short text and nothing else, as most are: then it
/// is well formed, and asking costs a tenth of checking.
#[inline]
pub(crate) fn is_text_attribute(key_value: &[u8]) -> bool {
    let [0x0a, key_len @ ..0x80, rest @ ..] = key_value else {
        return false;
    };
    let Some((_, rest)) = rest.split_at_checked(usize::from(*key_len)) else {
        return false;
    };
    let [0x12, len @ ..0x80, value @ ..] = rest else {
        return false;
    };
    let [0x0a, text_len @ ..0x80, text @ ..] = value else {
        return false;
    };
    value.len() == usize::from(*len) && text.len() == usize::from(*text_len)
}

/// The room inside a message that lies where there is `room`.
#[inline]
pub(crate) fn nest(body: &[u8], room: u32) -> Step<u32> {
    room.checked_sub(1)
        .ok_or_else(|| Fault::at(body, "more than 100 messages in one another"))
}

/// Passes a field that the caller has no use for: unknown, or of a wrong type.
pub(crate) fn pass(message: &Message, rest: &mut &[u8], key: u32, room: u32) -> Step<()> {
    match message.field(key >> 3).kind {
        Kind::Unknown => wire::skip(rest, key, room),
        _ => Err(Fault::at(rest, message.wrong_type)),
    }
}
