//! Protobuf to JSON.

use crate::check::Checker;
use crate::error::SliceError;
use crate::schema::{self, Kind, Message};
use crate::value::double_text;
use crate::wire::{self, Fields, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Writes OTLP `TracesData` (or several in a row) as OTLP/JSON: ids in hex, 64-bit integers as
/// decimal strings, enums as numbers, bytes in base64. Unknown fields are left out.
///
/// # Errors
/// The bytes are malformed.
pub fn encode(traces: &[u8]) -> Result<Vec<u8>, SliceError> {
    if let Err(fault) = Checker::default().check(&schema::REQUEST, traces, wire::NESTING) {
        let offset = fault.offset_in(traces);
        return Err(SliceError::Malformed {
            offset,
            what: fault.what,
        });
    }
    let mut out = Vec::with_capacity(traces.len() * 2);
    write_message(&schema::REQUEST, traces, &mut out);
    Ok(out)
}

/// The recursion ends: the message was checked, so it nests at most 100 deep.
fn write_message(message: &Message, bytes: &[u8], out: &mut Vec<u8>) {
    let fields = if message.oneof {
        winner(message, bytes)
    } else {
        Fields::new(bytes)
    };
    let known = fields.filter(|(tag, _)| !matches!(message.field(*tag).kind, Kind::Unknown));
    // Known tags are below 32; a set of them keeps the scans few.
    let present = known.fold(0_u32, |set, (tag, _)| set | 1 << tag);
    out.push(b'{');
    let mut first = true;
    for tag in (0..u32::BITS).filter(|tag| present & 1 << tag != 0) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_field(message, fields, tag, out);
    }
    out.push(b'}');
}

/// The fields of a oneof from where the one that counts starts: the last that was set.
fn winner<'a>(message: &Message, bytes: &'a [u8]) -> Fields<'a> {
    let mut rest = Fields::new(bytes);
    let (mut start, mut current) = (rest, 0);
    loop {
        let here = rest;
        match rest.next() {
            None => return start,
            Some((tag, _)) if matches!(message.field(tag).kind, Kind::Unknown) => {}
            Some((tag, _)) if tag == current => {}
            Some((tag, _)) => (start, current) = (here, tag),
        }
    }
}

fn write_field(message: &Message, fields: Fields<'_>, tag: u32, out: &mut Vec<u8>) {
    let field = message.field(tag);
    write_text(field.name, out);
    out.push(b':');
    let mut payloads = fields
        .filter(|(found, _)| *found == tag)
        .map(|(_, payload)| payload);
    if field.repeated {
        out.push(b'[');
        for (index, payload) in payloads.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_value(field.kind, payload, out);
        }
        out.push(b']');
    } else if let Kind::Message(inner) = field.kind {
        write_message(inner, &joined(fields.all_bytes(tag)), out);
    } else if let Some(last) = payloads.by_ref().last() {
        write_value(field.kind, last, out);
    }
}

fn joined<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> Cow<'a, [u8]> {
    let first = Cow::Borrowed(pieces.next().unwrap_or_default());
    pieces.fold(first, |mut all, piece| {
        all.to_mut().extend_from_slice(piece);
        all
    })
}

fn write_value(kind: Kind, payload: Payload<'_>, out: &mut Vec<u8>) {
    match (kind, payload) {
        (Kind::Message(inner), Payload::Len(bytes)) => write_message(inner, bytes, out),
        (Kind::Bytes, Payload::Len(bytes)) => write_text(&STANDARD.encode(bytes), out),
        (Kind::Id(_), Payload::Len(bytes)) => write_text(&hex(bytes), out),
        (_, Payload::Len(bytes)) => write_text(&wire::text(bytes), out),
        (Kind::Bool, Payload::Varint(number)) => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        (Kind::I64, Payload::Varint(number)) => write_text(&number.cast_signed().to_string(), out),
        (Kind::Enum(_), Payload::Varint(number)) => {
            let number = wire::low32(number).cast_signed();
            out.extend_from_slice(number.to_string().as_bytes());
        }
        (_, Payload::Varint(number)) => {
            out.extend_from_slice(wire::low32(number).to_string().as_bytes());
        }
        (Kind::Double, Payload::Fixed64(bits)) => write_double(f64::from_bits(bits), out),
        (_, Payload::Fixed64(number)) => write_text(&number.to_string(), out),
        (_, Payload::Fixed32(number)) => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        serde_json::to_writer(out, &number).expect("a Vec takes everything");
    } else {
        write_text(&double_text(number), out);
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text is always JSON");
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}
