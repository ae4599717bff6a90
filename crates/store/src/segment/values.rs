//! Which values each attribute key has in a segment.

use super::{KEY_BYTES_MAX, KEYS_MAX, KeyFilter, OTHER, Reader, SPAN_ID, TRACE_ID};
use crate::eval::number;
use crate::filter::{self, Entry, MANY, PLACES_MAX};
use crate::pack::{Attribute, INT, TEXT};
use hoplog_model::{SpanId, TraceId};
use hoplog_otlp::{SpanView, Value};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use twox_hash::XxHash3_64;

/// The hash by which a filter knows a text.
pub(crate) fn value_hash(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// A number as the one text that stands for all ways to write it.
pub(crate) fn number_text(number: f64) -> String {
    // Adding zero makes -0 the same as 0.
    format!("{}", number + 0.0)
}

/// Attributes remembered, by the hash of their bytes, to pass over what comes again and again.
const SEEN: usize = 4_096;

/// Where ids stand among the keys.
const TRACE_IDS: usize = 0;
const SPAN_IDS: usize = 1;

/// The attributes of a segment. Spans are not told apart, and rows only of what is rare.
#[derive(Debug)]
pub(super) struct Keys {
    /// The row that is being read.
    row: u16,
    keys: Vec<Key>,
    by_hash: FxHashMap<u64, usize>,
    /// Hashes of the keys there was no room for.
    others: Vec<u64>,
    seen: Vec<Seen>,
    /// By symbol of the dictionary in use.
    symbols: Vec<Symbol>,
}

/// What is known of a symbol's field.
#[derive(Debug, Clone, Copy, Default)]
enum Symbol {
    #[default]
    New,
    /// The whole field is counted.
    Counted(Rows),
    /// Its key's number.
    Key(usize),
    /// There was no room for its key.
    Other,
}

impl Default for Keys {
    fn default() -> Self {
        let (keys, others) = (Vec::new(), Vec::new());
        let mut keys = Self {
            row: MANY,
            keys,
            by_hash: FxHashMap::default(),
            others,
            seen: vec![Seen::default(); SEEN],
            symbols: Vec::new(),
        };
        [TRACE_ID, SPAN_ID].iter().for_each(|key| {
            keys.number(key);
        });
        keys
    }
}

impl Keys {
    /// Begins a row. Each ordinal once.
    pub(super) fn begin(&mut self, row: u16, trace_id: &TraceId) {
        self.row = row;
        self.keys[TRACE_IDS].add_hash(value_hash(trace_id.as_bytes()), row);
    }

    pub(super) fn add_span_id(&mut self, span_id: &SpanId) {
        self.keys[SPAN_IDS].add_hash(value_hash(span_id.as_bytes()), self.row);
    }

    /// Counts an attribute of a span, which comes as one field of it.
    pub(super) fn add_field(&mut self, field: &[u8]) {
        if let Some(row) = remember(&mut self.seen, value_hash(field), self.row) {
            self.add_all(row, SpanView(field).attributes());
        }
    }

    /// Counts attributes that are those of other rows, too.
    pub(super) fn add_shared<'a>(
        &mut self,
        attributes: impl Iterator<Item = (Cow<'a, str>, Value<'a>)>,
    ) {
        self.add_all(MANY, attributes);
    }

    /// Counts attributes of the row.
    pub(super) fn add_own<'a>(
        &mut self,
        attributes: impl Iterator<Item = (Cow<'a, str>, Value<'a>)>,
    ) {
        self.add_all(self.row, attributes);
    }

    /// Gives rows other ordinals: each the one that stands at the place of its old one.
    pub(super) fn reorder(&mut self, ordinals: &[u16]) {
        for entry in self.keys.iter_mut().flat_map(|key| &mut key.entries) {
            if let Some(ordinal) = ordinals.get(usize::from(entry.row())) {
                *entry = entry.at(*ordinal);
            }
        }
    }

    /// Counts an attribute that is always the same for this symbol.
    pub(super) fn add_known(&mut self, symbol: u16, field: &[u8]) {
        let mut rows = match self.symbol(symbol) {
            Symbol::Counted(rows) => rows,
            _ => Rows::default(),
        };
        if let Some(row) = rows.add(self.row) {
            self.symbols[usize::from(symbol)] = Symbol::Counted(rows);
            self.add_all(row, SpanView(field).attributes());
        }
    }

    /// Counts an attribute whose key and kind are always the same for this symbol.
    pub(super) fn add_keyed(&mut self, symbol: u16, attribute: &Attribute<'_>, field: &[u8]) {
        let known = match self.symbol(symbol) {
            Symbol::New => {
                let key = String::from_utf8_lossy(attribute.key);
                let key = self.number(&key).map_or(Symbol::Other, Symbol::Key);
                self.symbols[usize::from(symbol)] = key;
                key
            }
            known => known,
        };
        let Symbol::Key(key) = known else { return };
        let row = self.row;
        match attribute.kind {
            TEXT if attribute.value[1..].is_ascii() && attribute.value[0] < 0x80 => {
                self.keys[key].add_ascii(row, &attribute.value[1..]);
            }
            INT => {
                let number = Reader(attribute.value).varint().unwrap_or_default();
                self.keys[key].add(row, &Value::Int(number.cast_signed()));
            }
            _ => self.add_field(field),
        }
    }

    fn symbol(&mut self, symbol: u16) -> Symbol {
        let place = usize::from(symbol);
        if place >= self.symbols.len() {
            self.symbols.resize(place + 1, Symbol::New);
        }
        self.symbols[place]
    }

    fn add_all<'a>(
        &mut self,
        row: u16,
        attributes: impl Iterator<Item = (Cow<'a, str>, Value<'a>)>,
    ) {
        for (key, value) in attributes {
            if let Some(number) = self.number(&key) {
                self.keys[number].add(row, &value);
            }
        }
    }

    fn number(&mut self, key: &str) -> Option<usize> {
        let key_hash = value_hash(key.as_bytes());
        let mut hash = key_hash;
        // Two keys with one hash: the second stands at the next free one.
        while let Some(number) = self.by_hash.get(&hash) {
            if self.keys[*number].key == key {
                return Some(*number);
            }
            hash = hash.wrapping_add(1);
        }
        if self.keys.len() >= KEYS_MAX || key.len() > KEY_BYTES_MAX || key == OTHER {
            self.others.push(key_hash);
            return None;
        }
        self.by_hash.insert(hash, self.keys.len());
        self.keys.push(Key::new(key));
        Some(self.keys.len() - 1)
    }

    /// One filter a key, by key.
    pub(super) fn finish(self) -> Vec<KeyFilter> {
        let others = self.others.into_iter();
        let others = Key {
            entries: others.map(|hash| Entry::new(hash, MANY)).collect(),
            ..Key::new(OTHER)
        };
        let keys = self
            .keys
            .into_iter()
            .chain([others])
            .filter(|key| !key.entries.is_empty());
        let mut filters: Vec<KeyFilter> = keys.map(Key::finish).collect();
        filters.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        filters
    }
}

/// Rows that a value was counted in: the last one, and how many. Rows come one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rows {
    last: u16,
    count: u8,
}

impl Rows {
    /// The row to count it under now: none if that is done. From the row on that is one too many to tell it is counted as
    /// that of many, so that what is common is passed over.
    fn add(&mut self, row: u16) -> Option<u16> {
        let is_known = self.count > 0 && (self.last == row || self.last == MANY);
        if is_known {
            return None;
        }
        self.count += 1;
        self.last = if usize::from(self.count) > PLACES_MAX {
            MANY
        } else {
            row
        };
        Some(self.last)
    }
}

/// A value that was counted of late.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u64,
    rows: Rows,
}

/// [`Rows::add`] for a value that may be among those seen of late.
fn remember(seen: &mut [Seen], hash: u64, row: u16) -> Option<u16> {
    let place = &mut seen[hash as usize % seen.len()];
    if place.hash != hash {
        *place = Seen {
            hash,
            rows: Rows::default(),
        };
    }
    place.rows.add(row)
}

/// Values remembered for the same end, of each key.
const RECENT: usize = 32;

#[derive(Debug)]
struct Key {
    key: String,
    entries: Vec<Entry>,
    recent: [Seen; RECENT],
    least: f64,
    greatest: f64,
}

impl Key {
    fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            entries: Vec::new(),
            recent: [Seen::default(); RECENT],
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, row: u16, value: &Value<'_>) {
        let hash = match value {
            Value::Int(number) => int_hash(*number),
            _ => value_hash(value.text().as_bytes()),
        };
        if let Some(row) = self.add_hash(hash, row)
            && let Some(number) = number(value)
        {
            self.add_number(number);
            // The text of a small integer is that of its number already.
            if !matches!(value, Value::Int(small) if small.unsigned_abs() < 1 << 53) {
                let hash = value_hash(number_text(number).as_bytes());
                self.add_hash(hash, row);
            }
        }
    }

    fn add_ascii(&mut self, row: u16, text: &[u8]) {
        if let Some(row) = self.add_hash(value_hash(text), row)
            && let Ok(text) = std::str::from_utf8(text)
            && let Some(number) = number(&Value::Str(text.as_bytes()))
        {
            self.add_number(number);
            let hash = value_hash(number_text(number).as_bytes());
            self.add_hash(hash, row);
        }
    }

    /// The row that the value was counted under; none if it was counted before.
    fn add_hash(&mut self, hash: u64, row: u16) -> Option<u16> {
        let row = remember(&mut self.recent, hash, row)?;
        self.entries.push(Entry::new(hash, row));
        Some(row)
    }

    fn add_number(&mut self, number: f64) {
        if number.is_nan() {
            // Not to be compared with, so that any range may hold it.
            (self.least, self.greatest) = (f64::NEG_INFINITY, f64::INFINITY);
        }
        self.least = self.least.min(number);
        self.greatest = self.greatest.max(number);
    }

    fn finish(mut self) -> KeyFilter {
        let (filter, values) = filter::build(&mut self.entries);
        let has_numbers = self.least <= self.greatest;
        KeyFilter {
            key: self.key,
            values: u32::try_from(values).unwrap_or(u32::MAX),
            filter,
            number_min: has_numbers.then_some(self.least),
            number_max: has_numbers.then_some(self.greatest),
        }
    }
}

/// The hash of an integer's text, without allocating it.
fn int_hash(number: i64) -> u64 {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).expect("one digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    value_hash(&digits[start..])
}
