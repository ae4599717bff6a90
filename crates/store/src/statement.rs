//! What a span asks a database: its statement, by a fingerprint that is the same for every call of it.
//!
//! A span with a statement counts, beside its own interface, under one of kind
//! [`SpanKind::Statement`], whose name is the fingerprint. So roll-ups, search records, limits
//! and retention hold for statements as they do for span names.

mod fingerprint;

pub use fingerprint::{BYTES_MAX, fingerprint};

use crate::segment::{Field, Reader, fields};
use hoplog_model::{Interface, SpanKind};
use hoplog_otlp::SpanRef;
use std::borrow::Cow;

/// Where a statement stands, the better ones first: `db.query.summary` is of low cardinality by its
/// definition, the others are [`fingerprint`]ed.
pub const KEYS: [&str; 3] = ["db.query.summary", "db.query.text", "db.statement"];

/// The service and name of an interface of kind [`SpanKind::Statement`] that stands for none: where it
/// is among a partition's, all its rows were written by a hoplog that counts statements. What
/// an older one began stays without.
const COUNTED: &str = "";

/// The interface by which a partition says that its statements are counted.
pub fn counted() -> Interface {
    Interface {
        service: COUNTED.to_owned(),
        kind: SpanKind::Statement,
        name: COUNTED.to_owned(),
    }
}

/// What a span says of its statement, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    /// Place in [`KEYS`].
    rank: usize,
    /// UTF-8 or not; never empty.
    pub(crate) text: &'a [u8],
}

impl<'a> Said<'a> {
    /// Whether the text is a summary already.
    pub(crate) fn is_summary(&self) -> bool {
        self.rank == 0
    }

    /// Takes an attribute, given as the bytes of its `KeyValue`, if it says more of the statement than what
    /// was heard before.
    #[inline]
    pub(crate) fn hear(heard: &mut Option<Self>, attribute: &'a [u8]) {
        // All but a few attributes are told apart by these bytes: the key's tag, length and beginning.
        if let [0x0a, 12 | 13 | 16, b'd', b'b', b'.', ..] = attribute {
            Self::listen(heard, attribute);
        }
    }

    #[cold]
    fn listen(heard: &mut Option<Self>, attribute: &'a [u8]) {
        let Some(said) = Self::read(attribute) else {
            return;
        };
        if heard.is_none_or(|best| said.rank < best.rank) {
            *heard = Some(said);
        }
    }

    /// Key, then value, then nothing, which is how protobuf is written.
    fn read(attribute: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(attribute);
        let key = part(&mut rest, 1 << 3 | 2)?;
        let rank = KEYS.iter().position(|known| known.as_bytes() == key)?;
        let mut value = Reader(part(&mut rest, 2 << 3 | 2)?);
        let text = part(&mut value, 1 << 3 | 2)?;
        let is_whole = rest.is_empty() && value.is_empty() && !text.is_empty();
        is_whole.then_some(Self { rank, text })
    }

    /// What a span says. A span that is not written as protobuf is (with groups) says nothing.
    pub(crate) fn of(raw: &'a [u8]) -> Option<Self> {
        let mut heard = None;
        fields(raw, |field: Field<'a>| {
            if field.key == crate::segment::ATTRIBUTE {
                Self::hear(&mut heard, field.payload);
            }
        })?;
        heard
    }

    /// The statement's name; none if nothing but comments is left of it.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.text);
        let name = if self.is_summary() {
            fingerprint::bounded(Cow::Borrowed(text.trim()))
        } else {
            fingerprint(&text)
        };
        (!name.is_empty()).then_some(name)
    }
}

/// A length-delimited field.
fn part<'a>(rest: &mut Reader<'a>, key: u8) -> Option<&'a [u8]> {
    if rest.bytes(1).ok()? != [key] {
        return None;
    }
    let len = rest.number().ok()?;
    rest.bytes(len).ok()
}

/// The fingerprint of the span's statement, if it has one.
pub fn of(span: SpanRef<'_>) -> Option<String> {
    Said::of(span.raw)?.fingerprint()
}

/// The span's statement by its text: what the fingerprint is, unless there is a summary.
pub fn text(span: SpanRef<'_>) -> Option<String> {
    let mut heard = None;
    fields(span.raw, |field: Field<'_>| {
        if field.key == crate::segment::ATTRIBUTE
            && let Some(said) = Said::read(field.payload).filter(|said| !said.is_summary())
            && heard.is_none_or(|best: Said<'_>| said.rank < best.rank)
        {
            heard = Some(said);
        }
    })?;
    heard?.fingerprint()
}

/// The interface under which the span's statement counts, if it has one.
pub fn interface(span: SpanRef<'_>) -> Option<Interface> {
    Some(Interface {
        service: span.group.service.as_ref().to_owned(),
        kind: SpanKind::Statement,
        name: of(span)?,
    })
}

#[cfg(test)]
mod tests;
