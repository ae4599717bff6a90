//! One pass over a span's fields, for the hot path: it finds where name, attributes and events lie
//! without reading them.

use hoplog_otlp::SpanRef;
use std::borrow::Cow;

const NAME: u64 = 5 << 3 | 2;
const ATTRIBUTE: u64 = 9 << 3 | 2;
const EVENT: u64 = 11 << 3 | 2;

/// What a pass found.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    name: &'a [u8],
    /// Whether there is any event.
    pub(super) has_events: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }
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
pub(crate) fn fields<'a>(message: &'a [u8], mut show: impl FnMut(Field<'a>)) -> Option<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let value = rest;
        let (payload, after) = match key & 7 {
            0 => {
                varint(&mut rest)?;
                (&value[..value.len() - rest.len()], rest)
            }
            1 => rest.split_at_checked(8)?,
            2 => {
                let len = usize::try_from(varint(&mut rest)?).ok()?;
                rest.split_at_checked(len)?
            }
            5 => rest.split_at_checked(4)?,
            _ => return None,
        };
        rest = after;
        show(Field {
            key,
            whole: &start[..start.len() - after.len()],
            payload,
        });
    }
    Some(())
}

/// Passes over a span and shows each attribute, with its field's key and length. None if there is
/// something out of the ordinary: then [`hoplog_otlp::SpanView`] knows better.
pub(super) fn scan<'a>(raw: &'a [u8], mut attribute: impl FnMut(&'a [u8])) -> Option<Scan<'a>> {
    let mut scan = Scan::default();
    fields(raw, |field| match field.key {
        NAME => scan.name = field.payload,
        ATTRIBUTE => attribute(field.whole),
        EVENT => scan.has_events = true,
        _ => {}
    })?;
    Some(scan)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
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

/// The span's name.
pub(crate) fn name(span: SpanRef<'_>) -> Cow<'_, str> {
    scan(span.raw, |_| {}).map_or_else(|| span.view().name(), |scan| scan.name())
}
