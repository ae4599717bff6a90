//! One pass over a span's fields, for the hot path: it finds where name, attributes and events lie
//! without reading them.

use crate::statement::Said;
use hoplog_otlp::SpanRef;

pub(super) const NAME: u64 = 5 << 3 | 2;
pub(crate) const ATTRIBUTE: u64 = 9 << 3 | 2;
pub(super) const EVENT: u64 = 11 << 3 | 2;

/// What a pass found.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    pub(super) name: &'a [u8],
    /// Whether there is any event.
    pub(super) has_events: bool,
}

/// One field of a message, groups aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// Tag and wire type.
    pub(crate) key: u64,
    /// All its bytes.
    pub(crate) whole: &'a [u8],
    /// Those of its value, for wire type 2 without the length.
    pub(crate) payload: &'a [u8],
}

/// Passes over a message and shows each field. None if there is something out of the ordinary,
/// such as groups.
#[inline]
pub(crate) fn fields<'a>(message: &'a [u8], mut show: impl FnMut(Field<'a>)) -> Option<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let head = start.len() - rest.len();
        let (prefix, len) = match key & 7 {
            2 => {
                let behind_key = rest.len();
                let len = usize::try_from(varint(&mut rest)?).ok()?;
                (head + behind_key - rest.len(), len)
            }
            0 => {
                let behind_key = rest.len();
                varint(&mut rest)?;
                (head, behind_key - rest.len())
            }
            1 => (head, 8),
            5 => (head, 4),
            _ => return None,
        };
        let (whole, after) = start.split_at_checked(prefix.checked_add(len)?)?;
        rest = after;
        show(Field {
            key,
            whole,
            payload: &whole[prefix..],
        });
    }
    Some(())
}

/// Passes over a span and shows each attribute's field. None if there is
/// something out of the ordinary: then [`hoplog_otlp::SpanView`] knows better.
pub(super) fn scan<'a>(raw: &'a [u8], mut attribute: impl FnMut(Field<'a>)) -> Option<Scan<'a>> {
    let mut scan = Scan::default();
    fields(raw, |field| match field.key {
        NAME => scan.name = field.payload,
        ATTRIBUTE => attribute(field),
        EVENT => scan.has_events = true,
        _ => {}
    })?;
    Some(scan)
}

#[inline]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    // Nearly all are of one byte.
    if let Some((byte @ 0..0x80, after)) = rest.split_first() {
        *rest = after;
        return Some(u64::from(*byte));
    }
    long_varint(rest)
}

#[cold]
fn long_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

/// The span's name as sent, and what it says of its statement.
pub(crate) fn name_and_statement(span: SpanRef<'_>) -> (&[u8], Option<Said<'_>>) {
    let mut heard = None;
    let scan = scan(span.raw, |field| Said::hear(&mut heard, field.payload));
    match scan {
        Some(scan) => (scan.name, heard),
        None => (span.view().name_bytes(), None),
    }
}
