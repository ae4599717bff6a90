//! Which values each attribute key has in a segment.

use super::{KEY_BYTES_MAX, KEYS_MAX, KeyFilter, OTHER, Reader, SPAN_ID, TRACE_ID};
use crate::eval::number;
use crate::filter;
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

/// The attributes of a segment. Rows and spans are not told apart.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    by_hash: FxHashMap<u64, usize>,
    /// Hashes of the keys there was no room for.
    others: Vec<u64>,
    seen: Vec<u64>,
    /// By symbol of the dictionary in use.
    symbols: Vec<Symbol>,
}

/// What is known of a symbol's field.
#[derive(Debug, Clone, Copy, Default)]
enum Symbol {
    #[default]
    New,
    /// The whole field is counted, or there was no room for its key.
    Counted,
    /// Its key's number.
    Key(usize),
}

impl Default for Keys {
    fn default() -> Self {
        let (keys, others) = (Vec::new(), Vec::new());
        let mut keys = Self {
            keys,
            by_hash: FxHashMap::default(),
            others,
            seen: vec![0; SEEN],
            symbols: Vec::new(),
        };
        [TRACE_ID, SPAN_ID].iter().for_each(|key| {
            keys.number(key);
        });
        keys
    }
}

impl Keys {
    pub(super) fn add_trace_id(&mut self, trace_id: &TraceId) {
        self.keys[TRACE_IDS].add_hash(value_hash(trace_id.as_bytes()));
    }

    pub(super) fn add_span_id(&mut self, span_id: &SpanId) {
        self.keys[SPAN_IDS].add_hash(value_hash(span_id.as_bytes()));
    }

    /// Counts an attribute of a span, which comes as one field of it.
    pub(super) fn add_field(&mut self, field: &[u8]) {
        let hash = value_hash(field);
        if !remember(&mut self.seen, hash) {
            self.add_all(SpanView(field).attributes());
        }
    }

    /// Counts an attribute that is always the same for this symbol.
    pub(super) fn add_known(&mut self, symbol: u16, field: &[u8]) {
        if matches!(self.symbol(symbol), Symbol::New) {
            self.symbols[usize::from(symbol)] = Symbol::Counted;
            self.add_field(field);
        }
    }

    /// Counts an attribute whose key and kind are always the same for this symbol.
    pub(super) fn add_keyed(&mut self, symbol: u16, attribute: &Attribute<'_>, field: &[u8]) {
        let known = match self.symbol(symbol) {
            Symbol::New => {
                let key = String::from_utf8_lossy(attribute.key);
                let key = self.number(&key).map_or(Symbol::Counted, Symbol::Key);
                self.symbols[usize::from(symbol)] = key;
                key
            }
            known => known,
        };
        let Symbol::Key(key) = known else { return };
        match attribute.kind {
            TEXT if attribute.value[1..].is_ascii() && attribute.value[0] < 0x80 => {
                self.keys[key].add_ascii(&attribute.value[1..]);
            }
            INT => {
                let number = Reader(attribute.value).varint().unwrap_or_default();
                self.keys[key].add(&Value::Int(number.cast_signed()));
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

    /// Counts these attributes.
    pub(super) fn add_all<'a>(
        &mut self,
        attributes: impl Iterator<Item = (Cow<'a, str>, Value<'a>)>,
    ) {
        for (key, value) in attributes {
            if let Some(number) = self.number(&key) {
                self.keys[number].add(&value);
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
        let others = Key {
            hashes: self.others,
            ..Key::new(OTHER)
        };
        let keys = self
            .keys
            .into_iter()
            .chain([others])
            .filter(|key| !key.hashes.is_empty());
        let mut filters: Vec<KeyFilter> = keys.map(Key::finish).collect();
        filters.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        filters
    }
}

/// Whether the hash was seen of late; it is from here on.
fn remember(seen: &mut [u64], hash: u64) -> bool {
    let place = &mut seen[hash as usize % seen.len()];
    // A hash of zero would look like an empty place, and is never known.
    let is_known = *place == hash && hash != 0;
    *place = hash;
    is_known
}

/// Hashes of values remembered for the same end, of each key.
const RECENT: usize = 32;

#[derive(Debug)]
struct Key {
    key: String,
    hashes: Vec<u64>,
    recent: [u64; RECENT],
    least: f64,
    greatest: f64,
}

impl Key {
    fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            hashes: Vec::new(),
            recent: [0; RECENT],
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, value: &Value<'_>) {
        let is_new = match value {
            Value::Int(number) => self.add_hash(int_hash(*number)),
            _ => self.add_hash(value_hash(value.text().as_bytes())),
        };
        if is_new && let Some(number) = number(value) {
            self.add_number(number);
            // The text of a small integer is that of its number already.
            if !matches!(value, Value::Int(small) if small.unsigned_abs() < 1 << 53) {
                self.add_hash(value_hash(number_text(number).as_bytes()));
            }
        }
    }

    fn add_ascii(&mut self, text: &[u8]) {
        if self.add_hash(value_hash(text))
            && let Ok(text) = std::str::from_utf8(text)
            && let Some(number) = number(&Value::Str(text.as_bytes()))
        {
            self.add_number(number);
            self.add_hash(value_hash(number_text(number).as_bytes()));
        }
    }

    /// False if the hash is known to be in already.
    fn add_hash(&mut self, hash: u64) -> bool {
        let is_new = !remember(&mut self.recent, hash);
        if is_new {
            self.hashes.push(hash);
        }
        is_new
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
        let filter = filter::build(&mut self.hashes);
        let has_numbers = self.least <= self.greatest;
        KeyFilter {
            key: self.key,
            values: u32::try_from(self.hashes.len()).unwrap_or(u32::MAX),
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
