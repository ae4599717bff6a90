//! When a dictionary is trained, and on what.

use super::stored::place;
use crate::pack::{Dictionaries, Dictionary, Packer, Unpacker, train};
use crate::walk::PackedRow;
use crate::{DictionaryHealth, StoreError};
use hoplog_model::UnixNanos;
use hoplog_otlp::SpanSet;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows that a partition must have before a dictionary is trained on it.
pub const ROWS_LEAST: u64 = 5_000;
/// Rows a dictionary is trained on, and those that tell how dense frames are.
pub const SAMPLES: i64 = 1_500;
/// Of these, one in so many tells how dense frames are, and none of them is trained on: what was learnt by
/// heart is no measure.
const MEASURED: usize = 8;
/// Bytes of a dictionary; measured: twice as many save two bytes a span more.
const DICTIONARY_BYTES: usize = 112 << 10;
/// A dictionary is trained again when frames are less dense than this share of what it once reached.
const FALLEN: f64 = 0.85;
/// A new one must pack so much denser, or the old one stays: then it is the rows that are less alike.
const BETTER: f64 = 1.03;

/// What is known of dictionaries beside their bytes.
#[derive(Debug, Default)]
pub struct Learned(Mutex<BTreeMap<u32, Known>>);

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    added_at: UnixNanos,
    /// The density that it reached on rows it was not trained on; none of the one that ships.
    trained: Option<f64>,
    /// The density against which it is measured, where that is another.
    settled: Option<f64>,
    /// On the newest rows, the last time that somebody looked.
    now: Option<f64>,
}

impl Learned {
    /// A dictionary as it is stored; `density` is that of its training, where it is known.
    pub fn note(&self, id: u32, added_at: UnixNanos, density: Option<f64>) {
        let mut all = self.lock();
        let known = all.entry(id).or_insert(Known {
            added_at,
            ..Known::default()
        });
        known.added_at = known.added_at.min(added_at);
        known.trained = known.trained.or(density);
    }

    /// Every dictionary that rows are or may be packed with, the oldest first, with the rows of `rows`.
    pub fn health(
        &self,
        dictionaries: &Dictionaries,
        rows: &BTreeMap<u32, u64>,
    ) -> Vec<DictionaryHealth> {
        let current = dictionaries.current().map(|dictionary| dictionary.id());
        let mut all = self.lock().clone();
        for id in rows.keys().copied().chain(current) {
            all.entry(id).or_default();
        }
        let mut lines: Vec<DictionaryHealth> = all
            .into_iter()
            .map(|(id, known)| DictionaryHealth {
                id,
                added_at: known.added_at,
                density_trained: known.trained,
                density_now: known.now,
                rows: rows.get(&id).copied().unwrap_or(0),
                is_current: current == Some(id),
            })
            .collect();
        lines.sort_by_key(|line| (line.added_at, line.id));
        lines
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        // Figures; each is written at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the dictionary reaches now; whether that is good enough.
    fn is_good(&self, id: u32, now: f64) -> bool {
        let mut all = self.lock();
        all.values_mut().for_each(|known| known.now = None);
        let known = all.entry(id).or_default();
        known.now = Some(now);
        let reached = known.settled.or(known.trained);
        reached.is_some_and(|reached| now >= reached * FALLEN)
    }

    fn settle(&self, id: u32, density: f64) {
        self.lock().entry(id).or_default().settled = Some(density);
    }
}

/// A dictionary learnt from the rows, and how dense it packs others; none if the one in use is good enough, or
/// there is too little to learn.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row is damaged.
pub fn learn(
    dictionaries: &Dictionaries,
    learned: &Learned,
    rows: &[PackedRow],
) -> Result<Option<(Dictionary, f64)>, StoreError> {
    let (measured, others): (Vec<_>, Vec<_>) = rows
        .iter()
        .enumerate()
        .partition(|(n, _)| n % MEASURED == 0);
    let measured = Measured::new(dictionaries, measured.into_iter().map(|(_, row)| row))?;
    let current = dictionaries.current();
    let id = current.as_ref().map_or(0, |dictionary| dictionary.id());
    let now = measured.density(current.as_deref());
    if learned.is_good(id, now) {
        return Ok(None);
    }
    let mut unpacker = Unpacker::new();
    let mut samples = Vec::with_capacity(others.len());
    for (_, row) in others {
        let mut raw = Vec::new();
        let read = unpacker.raw(dictionaries, &row.frames, &mut raw);
        read.map_err(|why| StoreError::corrupt(place(row.row), why))?;
        samples.push(raw);
    }
    let trained = train(&samples, DICTIONARY_BYTES).and_then(|bytes| Dictionary::new(bytes).ok());
    let trained = trained.map(|dictionary| (measured.density(Some(&dictionary)), dictionary));
    let Some((then, dictionary)) = trained.filter(|(then, _)| *then >= now * BETTER) else {
        tracing::info!(
            id,
            now,
            "no dictionary packs much better than the one in use"
        );
        learned.settle(id, now);
        return Ok(None);
    };
    tracing::info!(id = dictionary.id(), now, then, "a dictionary was trained");
    Ok(Some((dictionary, then)))
}

/// Rows that tell how dense a dictionary packs.
struct Measured {
    spans: Vec<SpanSet>,
    raw: u64,
}

impl Measured {
    fn new<'a>(
        dictionaries: &Dictionaries,
        rows: impl Iterator<Item = &'a PackedRow>,
    ) -> Result<Self, StoreError> {
        let mut unpacker = Unpacker::new();
        let mut measured = Self {
            spans: Vec::new(),
            raw: 0,
        };
        for row in rows {
            let unpacked = unpacker.unpack(dictionaries, &row.frames);
            let unpacked = unpacked.map_err(|why| StoreError::corrupt(place(row.row), why))?;
            measured.raw += unpacked.bytes;
            measured.spans.push(unpacked.spans);
        }
        Ok(measured)
    }

    /// Bytes of spans a packed byte.
    fn density(&self, dictionary: Option<&Dictionary>) -> f64 {
        let (mut packer, mut frames) = (Packer::new(), Vec::new());
        for spans in &self.spans {
            packer.pack(dictionary, spans, &mut frames);
        }
        #[expect(clippy::cast_precision_loss, reason = "of a few megabytes")]
        let density = self.raw as f64 / frames.len().max(1) as f64;
        density
    }
}

#[cfg(test)]
mod tests;
