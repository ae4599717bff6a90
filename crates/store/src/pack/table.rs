//! Fields of spans that occur again and again, as small numbers.
//!
//! An entry is a whole field of the `Span` message, such as the attribute
//! `http.request.method: POST`, or the key of an attribute whose values vary. After each symbol
//! the table expects a few others, so that a span of a known kind is mostly a row of zeros.

use super::PackError;
use crate::segment::{Damaged, Field, Reader, value_hash};
use hoplog_otlp::write::varint;
use rustc_hash::FxHashMap;
use twox_hash::XxHash3_64;

/// The end of a span, and what stands before its first field.
pub(super) const END: u16 = 0;
/// A field that is in no table, whole.
pub(super) const RAW: u16 = 1;
/// Start and end.
pub(super) const TIMES: u16 = 2;
/// The first entry.
pub(super) const ENTRIES: u16 = 3;

/// Most symbols of a table: what two bytes can say.
pub(super) const SYMBOLS_MAX: usize = 16_000;

/// Most symbols that are expected after another.
pub(super) const EXPECTED: usize = 6;

/// Marks a key entry; no field starts with it, since there is no wire type 7.
const KEY_ENTRY: u8 = 0xff;

/// What an attribute's value starts with: the kinds whose values are told by literals.
pub(super) const TEXT: u8 = 1 << 3 | 2;
pub(super) const INT: u8 = 3 << 3;
pub(super) const DOUBLE: u8 = 4 << 3 | 1;

/// An attribute whose bytes follow from key, kind and value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a [u8],
    /// [`TEXT`], [`INT`] or [`DOUBLE`].
    pub(super) kind: u8,
    /// The value's bytes after the kind, for text with their length.
    pub(super) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    const FIELD: u8 = 9 << 3 | 2;

    /// None if the field is no attribute, or not written as [`Attribute::write`] would.
    pub(super) fn of(field: &Field<'a>) -> Option<Self> {
        let mut rest = Reader(field.payload);
        let key = take_part(&mut rest, 1 << 3 | 2)?;
        let any = take_part(&mut rest, 2 << 3 | 2)?;
        let (kind, value) = any.split_first()?;
        let attribute = Self {
            key,
            kind: *kind,
            value,
        };
        let is_told = rest.is_empty() && matches!(*kind, TEXT | INT | DOUBLE);
        let is_one = attribute.value_len(value) == Some(value.len());
        (is_told && is_one && attribute.len() == field.whole.len()).then_some(attribute)
    }

    /// How many of these bytes are the value; none if they are not one.
    pub(super) fn value_len(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = Reader(bytes);
        match self.kind {
            TEXT => {
                let len = rest.number().ok()?;
                rest.bytes(len).ok()?;
            }
            INT => {
                rest.varint().ok()?;
            }
            _ => {
                rest.bytes(8).ok()?;
            }
        }
        Some(bytes.len() - rest.0.len())
    }

    fn any_len(&self) -> usize {
        1 + self.value.len()
    }

    fn pair_len(&self) -> usize {
        use hoplog_otlp::write::len_delimited_len;
        len_delimited_len(1, self.key.len()) + len_delimited_len(2, self.any_len())
    }

    /// Bytes of the whole field.
    fn len(&self) -> usize {
        hoplog_otlp::write::len_delimited_len(9, self.pair_len())
    }

    /// Appends the whole field.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(Self::FIELD);
        varint(out, self.pair_len() as u64);
        hoplog_otlp::write::bytes(out, 1, self.key);
        hoplog_otlp::write::len_prefix(out, 2, self.any_len());
        out.push(self.kind);
        out.extend_from_slice(self.value);
    }

    /// Its key as an entry.
    pub(super) fn key_entry(&self) -> Vec<u8> {
        [&[KEY_ENTRY, self.kind], self.key].concat()
    }
}

/// The next field's payload, if it is length-delimited and has this key of one byte.
fn take_part<'a>(rest: &mut Reader<'a>, key: u8) -> Option<&'a [u8]> {
    if rest.bytes(1).ok()? != [key] {
        return None;
    }
    let len = rest.number().ok()?;
    rest.bytes(len).ok()
}

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A field, all its bytes.
    Whole(&'a [u8]),
    /// An attribute's key and the kind of its value.
    Key { kind: u8, key: &'a [u8] },
}

/// The entries of one dictionary.
#[derive(Debug, Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Where each entry ends in `bytes`.
    ends: Vec<usize>,
    /// By symbol: what mostly follows.
    expected: Vec<Vec<u16>>,
    wholes: FxHashMap<u64, u16>,
    keys: FxHashMap<u64, u16>,
}

impl Table {
    /// A table of these entries; after `expect`, symbols count from [`ENTRIES`].
    pub(super) fn new(entries: &[Vec<u8>]) -> Self {
        let mut table = Self::default();
        for (symbol, entry) in (ENTRIES..).zip(entries) {
            table.bytes.extend_from_slice(entry);
            table.ends.push(table.bytes.len());
            match Self::read(entry) {
                Entry::Whole(whole) => table.wholes.entry(value_hash(whole)).or_insert(symbol),
                Entry::Key { kind, key } => table.keys.entry(key_hash(kind, key)).or_insert(symbol),
            };
        }
        table.expected = vec![Vec::new(); table.symbols()];
        table
    }

    /// Symbols in all.
    pub(super) fn symbols(&self) -> usize {
        usize::from(ENTRIES) + self.ends.len()
    }

    /// Sets what mostly follows a symbol.
    pub(super) fn expect(&mut self, symbol: u16, next: Vec<u16>) {
        if let Some(expected) = self.expected.get_mut(usize::from(symbol)) {
            *expected = next;
        }
    }

    pub(super) fn expected(&self, symbol: u16) -> &[u16] {
        self.expected
            .get(usize::from(symbol))
            .map_or(&[], Vec::as_slice)
    }

    fn read(entry: &[u8]) -> Entry<'_> {
        match entry {
            [KEY_ENTRY, kind, key @ ..] => Entry::Key { kind: *kind, key },
            whole => Entry::Whole(whole),
        }
    }

    pub(super) fn entry(&self, symbol: u16) -> Option<Entry<'_>> {
        let index = usize::from(symbol.checked_sub(ENTRIES)?);
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(Self::read(&self.bytes[start..end]))
    }

    /// The symbol of a whole field, and its rank if it is expected after `last`.
    pub(super) fn find(&self, last: u16, whole: &[u8]) -> Option<(u16, Option<usize>)> {
        let is = |symbol: &u16| self.entry(*symbol) == Some(Entry::Whole(whole));
        let expected = self.expected(last);
        if let Some(rank) = expected.iter().position(is) {
            return Some((expected[rank], Some(rank)));
        }
        let symbol = self.wholes.get(&value_hash(whole)).copied().filter(is)?;
        Some((symbol, None))
    }

    /// The rank of a symbol among those expected after `last`.
    pub(super) fn rank(&self, last: u16, symbol: u16) -> Option<usize> {
        self.expected(last)
            .iter()
            .position(|expected| *expected == symbol)
    }

    /// The symbol of an attribute's key.
    pub(super) fn find_key(&self, attribute: &Attribute<'_>) -> Option<u16> {
        let Attribute { key, kind, .. } = *attribute;
        let symbol = self.keys.get(&key_hash(kind, key)).copied()?;
        (self.entry(symbol) == Some(Entry::Key { kind, key })).then_some(symbol)
    }

    /// Appends the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint(out, self.ends.len() as u64);
        let mut start = 0;
        for end in &self.ends {
            varint(out, (end - start) as u64);
            out.extend_from_slice(&self.bytes[start..*end]);
            start = *end;
        }
        for next in &self.expected {
            varint(out, next.len() as u64);
            next.iter()
                .for_each(|symbol| varint(out, u64::from(*symbol)));
        }
    }

    /// Reads what [`Table::encode`] wrote.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, PackError> {
        let count = reader.number::<usize>()?;
        let mut entries = Vec::new();
        for _ in 0..count.min(SYMBOLS_MAX) {
            let len = reader.number()?;
            entries.push(reader.bytes(len)?.to_vec());
        }
        let mut table = Self::new(&entries);
        for symbol in 0..table.symbols() {
            let next = reader.number::<usize>()?.min(EXPECTED);
            let next = (0..next)
                .map(|_| reader.number())
                .collect::<Result<Vec<u16>, Damaged>>()?;
            table.expected[symbol] = next;
        }
        Ok(table)
    }
}

fn key_hash(kind: u8, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(kind), key)
}
