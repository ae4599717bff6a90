//! Fields of spans that occur again and again, as small numbers.
//!
//! An entry is a whole field of a span, such as the attribute `http.request.method: POST`, of a
//! resource or a scope, or a schema's URL; or it is the key of an attribute whose values vary. After each symbol
//! the table expects a few others, so that a span of a known kind is mostly a row of zeros.

use super::PackError;
use crate::segment::{Damaged, Field, Reader, fields, value_hash};
use hoplog_otlp::write::varint;
use rustc_hash::FxHashMap;
use twox_hash::XxHash3_64;

/// The end of a span, and what stands before its first field.
pub(super) const END: u16 = 0;
/// A field that is in no table, whole.
pub(super) const RAW: u16 = 1;
/// Start and end.
pub(super) const TIMES: u16 = 2;
/// The end of one of a group's parts, and what stands before the first.
pub(super) const PART: u16 = 3;
/// The first entry.
pub(super) const ENTRIES: u16 = 4;

/// Most symbols of a table: what two bytes can say.
pub(super) const SYMBOLS_MAX: usize = 16_000;

/// Most symbols that are expected after another.
pub(super) const EXPECTED: usize = 6;

/// Marks a key entry; no field starts with it, since there is no wire type 7.
const KEY_ENTRY: u8 = 0xff;

/// What an attribute's value starts with: the kinds whose values are told by literals.
pub(crate) const TEXT: u8 = 1 << 3 | 2;
pub(crate) const INT: u8 = 3 << 3;
pub(super) const DOUBLE: u8 = 4 << 3 | 1;

/// An attribute whose bytes follow from key, kind and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) key: &'a [u8],
    /// [`TEXT`], [`INT`] or [`DOUBLE`].
    pub(crate) kind: u8,
    /// The value's bytes after the kind, for text with their length.
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    const FIELD: u8 = 9 << 3 | 2;

    /// None if the field is no attribute, or not written as [`Attribute::write`] would.
    pub(super) fn of(field: &Field<'a>) -> Option<Self> {
        Self::of_short(field.whole).or_else(|| Self::of_any(field))
    }

    /// The same where every length takes one byte, which is nearly always.
    fn of_short(whole: &'a [u8]) -> Option<Self> {
        let (&[Self::FIELD, pair @ 0..0x80, 0x0a, key_len @ 0..0x80], rest) =
            whole.split_first_chunk()?
        else {
            return None;
        };
        let (key, rest) = rest.split_at_checked(usize::from(key_len))?;
        let (&[0x12, any @ 0..0x80, kind], value) = rest.split_first_chunk()? else {
            return None;
        };
        let is_one = match kind {
            TEXT => value
                .first()
                .is_some_and(|len| usize::from(*len) + 1 == value.len() && *len < 0x80),
            INT => {
                let last = value.len().checked_sub(1)?;
                last < 10 && value[last] < 0x80 && value[..last].iter().all(|byte| *byte >= 0x80)
            }
            DOUBLE => value.len() == 8,
            _ => false,
        };
        let fits = usize::from(pair) + 2 == whole.len() && usize::from(any) == 1 + value.len();
        (is_one && fits).then_some(Self { key, kind, value })
    }

    fn of_any(field: &Field<'a>) -> Option<Self> {
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

    fn key_hash(&self) -> u64 {
        key_hash(self.kind, self.key)
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

/// The entries of one dictionary. Laid out so that a field costs few cache lines: most of the time of
/// packing goes there.
#[derive(Debug, Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Where each entry begins in `bytes`, and where the last one ends.
    starts: Vec<u32>,
    /// By symbol: what mostly follows.
    expected: Vec<Expected>,
    wholes: FxHashMap<u32, u16>,
    keys: FxHashMap<u64, u16>,
    /// By symbol: whether a whole field of this key is an entry, too.
    has_wholes: Vec<bool>,
}

/// What mostly follows a symbol.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    /// Of each that is an entry its clue; 0 of others.
    clues: [u32; EXPECTED],
    symbols: [u16; EXPECTED],
    count: u16,
}

impl Expected {
    fn symbols(&self) -> &[u16] {
        &self.symbols[..usize::from(self.count)]
    }

    /// The first with this clue of which `is` holds, with its rank.
    fn find(&self, clue: u32, is: impl Fn(u16) -> bool) -> Option<(u16, usize)> {
        let mut alike = 0_u32;
        for (rank, known) in self.clues.iter().enumerate() {
            alike |= u32::from(*known == clue) << rank;
        }
        while alike != 0 {
            let rank = alike.trailing_zeros() as usize;
            if is(self.symbols[rank]) {
                return Some((self.symbols[rank], rank));
            }
            alike &= alike - 1;
        }
        None
    }
}

/// What an entry looks like at a glance: its length and its end, since fields mostly begin alike.
/// Never 0. `kind` is 0 for whole fields.
fn clue(kind: u8, bytes: &[u8]) -> u32 {
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => bytes
            .iter()
            .fold(0, |end, byte| end << 8 | u64::from(*byte)),
    };
    let about = (bytes.len() as u64) << 56 | u64::from(kind) << 48;
    let mixed = (end ^ about).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from(mixed >> 32).expect("32 bits") | 1
}

impl Table {
    /// A table of these entries; after `expect`, symbols count from [`ENTRIES`].
    pub(super) fn new(entries: &[Vec<u8>]) -> Self {
        let mut table = Self {
            starts: vec![0],
            ..Self::default()
        };
        for (symbol, entry) in (ENTRIES..).zip(entries) {
            table.bytes.extend_from_slice(entry);
            let end = u32::try_from(table.bytes.len()).expect("a dictionary is small");
            table.starts.push(end);
            match Self::read(entry) {
                Entry::Whole(whole) => table.wholes.entry(whole_hash(whole)).or_insert(symbol),
                Entry::Key { kind, key } => table.keys.entry(key_hash(kind, key)).or_insert(symbol),
            };
        }
        table.expected = vec![Expected::default(); table.symbols()];
        table.has_wholes = vec![false; table.symbols()];
        for entry in entries {
            // What cannot be passed over is no attribute.
            let _ = fields(entry, |field| {
                let key = Attribute::of(&field).and_then(|one| table.keys.get(&one.key_hash()));
                if let Some(key) = key {
                    table.has_wholes[usize::from(*key)] = true;
                }
            });
        }
        table
    }

    /// Symbols in all.
    pub(super) fn symbols(&self) -> usize {
        usize::from(ENTRIES) + self.starts.len() - 1
    }

    /// Sets what mostly follows a symbol: [`EXPECTED`] at most.
    pub(super) fn expect(&mut self, symbol: u16, next: &[u16]) {
        let mut expected = Expected::default();
        for (place, next) in next.iter().enumerate().take(EXPECTED) {
            expected.clues[place] = match self.entry(*next) {
                Some(Entry::Whole(whole)) => clue(0, whole),
                Some(Entry::Key { kind, key }) => clue(kind, key),
                None => 0,
            };
            expected.symbols[place] = *next;
            expected.count += 1;
        }
        if let Some(place) = self.expected.get_mut(usize::from(symbol)) {
            *place = expected;
        }
    }

    pub(super) fn expected(&self, symbol: u16) -> &[u16] {
        self.expected
            .get(usize::from(symbol))
            .map_or(&[], Expected::symbols)
    }

    fn read(entry: &[u8]) -> Entry<'_> {
        match entry {
            [KEY_ENTRY, kind, key @ ..] => Entry::Key { kind: *kind, key },
            whole => Entry::Whole(whole),
        }
    }

    pub(super) fn entry(&self, symbol: u16) -> Option<Entry<'_>> {
        self.entry_bytes(symbol).map(Self::read)
    }

    fn entry_bytes(&self, symbol: u16) -> Option<&[u8]> {
        let index = usize::from(symbol.checked_sub(ENTRIES)?);
        let end = *self.starts.get(index + 1)?;
        self.bytes.get(self.starts[index] as usize..end as usize)
    }

    /// The symbol and rank of a whole field that is expected after `last`.
    pub(super) fn find_expected(&self, last: u16, whole: &[u8]) -> Option<(u16, usize)> {
        let expected = self.expected.get(usize::from(last))?;
        expected.find(clue(0, whole), |symbol| self.is_whole(symbol, whole))
    }

    /// The symbol of a whole field.
    pub(super) fn find(&self, whole: &[u8]) -> Option<u16> {
        let symbol = self.wholes.get(&whole_hash(whole)).copied()?;
        self.is_whole(symbol, whole).then_some(symbol)
    }

    fn is_whole(&self, symbol: u16, whole: &[u8]) -> bool {
        self.entry_bytes(symbol) == Some(whole) && whole.first() != Some(&KEY_ENTRY)
    }

    /// Whether a whole field of the key with this symbol is an entry.
    pub(super) fn has_wholes(&self, key: u16) -> bool {
        self.has_wholes.get(usize::from(key)) == Some(&true)
    }

    /// The rank of a symbol among those expected after `last`.
    pub(super) fn rank(&self, last: u16, symbol: u16) -> Option<usize> {
        self.expected(last)
            .iter()
            .position(|expected| *expected == symbol)
    }

    /// The symbol of an attribute's key, and its rank if it is expected after `last`.
    pub(super) fn find_key(
        &self,
        last: u16,
        attribute: &Attribute<'_>,
    ) -> Option<(u16, Option<usize>)> {
        let Attribute { key, kind, .. } = *attribute;
        let is = |symbol: u16| self.entry(symbol) == Some(Entry::Key { kind, key });
        let expected = self.expected.get(usize::from(last))?;
        if let Some((symbol, rank)) = expected.find(clue(kind, key), is) {
            return Some((symbol, Some(rank)));
        }
        let symbol = self.keys.get(&attribute.key_hash()).copied()?;
        is(symbol).then_some((symbol, None))
    }

    /// Appends the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint(out, self.starts.len() as u64 - 1);
        for ends in self.starts.windows(2) {
            let entry = &self.bytes[ends[0] as usize..ends[1] as usize];
            varint(out, entry.len() as u64);
            out.extend_from_slice(entry);
        }
        for next in self.expected.iter().map(Expected::symbols) {
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
            table.expect(u16::try_from(symbol).expect("SYMBOLS_MAX fits"), &next);
        }
        Ok(table)
    }
}

fn whole_hash(whole: &[u8]) -> u32 {
    // Half of it: the entry itself decides.
    u32::try_from(value_hash(whole) >> 32).expect("32 bits")
}

fn key_hash(kind: u8, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(kind), key)
}
