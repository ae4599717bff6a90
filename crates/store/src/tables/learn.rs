//! When a dictionary is trained, and on what.

use super::stored::place;
use crate::StoreError;
use crate::pack::{Dictionaries, Dictionary, Packer, Unpacker, train};
use crate::walk::PackedRow;

/// Rows that a partition must have before a dictionary is trained on it.
pub const ROWS_LEAST: u64 = 5_000;
/// Rows a dictionary is trained on.
pub const SAMPLES: i64 = 1_500;
/// Of these, the rows that tell how dense frames are.
const MEASURED: usize = 200;
/// Bytes of a dictionary; measured: twice as many save two bytes a span more.
const DICTIONARY_BYTES: usize = 112 << 10;
/// A dictionary is trained again when frames are less dense than this share of what it once reached.
const FALLEN: f64 = 0.85;

/// A dictionary learnt from the rows, and how dense it packs them; none if the one in use is good enough, or
/// there is too little to learn.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row is damaged.
pub fn learn(
    dictionaries: &Dictionaries,
    rows: &[PackedRow],
    reached: Option<f64>,
) -> Result<Option<(Dictionary, f64)>, StoreError> {
    let damaged = |row: &PackedRow, why| StoreError::corrupt(place(row.row), why);
    let mut unpacker = Unpacker::new();
    let mut samples = Vec::with_capacity(rows.len());
    for row in rows {
        let mut raw = Vec::new();
        let read = unpacker.raw(dictionaries, &row.frames, &mut raw);
        read.map_err(|why| damaged(row, why))?;
        samples.push(raw);
    }
    let measured = || rows.iter().zip(&samples).take(MEASURED);
    let mut spans = Vec::with_capacity(MEASURED);
    for (row, _) in measured() {
        let unpacked = unpacker.unpack(dictionaries, &row.frames);
        spans.push(unpacked.map_err(|why| damaged(row, why))?.spans);
    }
    let raw: usize = measured().map(|(_, raw)| raw.len()).sum();
    let density = |dictionary: Option<&Dictionary>| {
        let (mut packer, mut frames) = (Packer::new(), Vec::new());
        for spans in &spans {
            packer.pack(dictionary, spans, &mut frames);
        }
        ratio(raw, frames.len())
    };
    let now = density(dictionaries.current().as_deref());
    if reached.is_some_and(|reached| now >= reached * FALLEN) {
        return Ok(None);
    }
    let trained = train(&samples, DICTIONARY_BYTES).and_then(|bytes| Dictionary::new(bytes).ok());
    let Some(dictionary) = trained else {
        return Ok(None);
    };
    let then = density(Some(&dictionary));
    tracing::info!(id = dictionary.id(), now, then, "a dictionary was trained");
    Ok(Some((dictionary, then)))
}

/// Bytes of spans a packed byte.
fn ratio(raw: usize, packed: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "of a few megabytes")]
    let ratio = raw as f64 / packed.max(1) as f64;
    ratio
}
