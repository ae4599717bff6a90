//! A row's frames: packing new ones, adding to those there are.

use super::stored::{Stored, place};
use crate::StoreError;
use crate::pack::{Dictionaries, Dictionary, Packer, Unpacker};
use hoplog_otlp::{Absorbed, SpanSet};
use rustc_hash::FxHashSet;
use std::ops::Range;

/// Bytes of frames up to which a row is one frame, made anew at every merge.
const ONE_FRAME: usize = 64 << 10;
/// Bytes of spans, not packed, in each frame of a larger row.
const CHUNK: usize = 512 << 10;

/// All frames of a row in order, and where they go.
#[derive(Debug)]
pub(super) struct Frames {
    /// One after the other.
    pub(super) all: Vec<u8>,
    /// Of these the first so many bytes stand in the row.
    pub(super) own_bytes: usize,
    /// Then come so many parts that are there already.
    pub(super) old_parts: i64,
    /// Then these, which are new.
    pub(super) new_parts: Vec<Range<usize>>,
}

/// The spans of a row as it was.
pub(super) fn unpack(
    unpacker: &mut Unpacker,
    dictionaries: &Dictionaries,
    stored: &Stored,
) -> Result<SpanSet, StoreError> {
    let unpacked = unpacker.unpack(dictionaries, &stored.packed.frames);
    let unpacked = unpacked.map_err(|why| StoreError::corrupt(place(stored.packed.row), why))?;
    Ok(unpacked.spans)
}

impl Frames {
    /// A row of one frame; none if it is too large for that.
    pub(super) fn one(all: Vec<u8>) -> Option<Self> {
        (all.len() <= ONE_FRAME).then_some(Self {
            own_bytes: all.len(),
            all,
            old_parts: 0,
            new_parts: Vec::new(),
        })
    }
}

/// Whether it is worth trying to pack these spans as one frame.
pub(super) fn may_be_one_frame(spans: &SpanSet) -> bool {
    spans.span_bytes() <= 2 * CHUNK
}

/// The frames of a new row that is too large for one.
pub(super) fn pack_chunks(
    packer: &mut Packer,
    dictionary: Option<&Dictionary>,
    spans: &SpanSet,
) -> Frames {
    let (mut all, mut places) = (Vec::new(), Vec::new());
    for chunk in spans.chunks(CHUNK) {
        let start = all.len();
        packer.pack_some(dictionary, spans, |index| chunk.contains(&index), &mut all);
        places.push(start..all.len());
    }
    let own_bytes = places.first().map_or(0, |first| first.end);
    places.drain(..1.min(places.len()));
    Frames {
        all,
        own_bytes,
        old_parts: 0,
        new_parts: places,
    }
}

/// The frames of a row after a merge: one, if it is small; else those it had, and one more with what is new.
pub(super) fn repack(
    packer: &mut Packer,
    dictionary: Option<&Dictionary>,
    spans: &SpanSet,
    absorbed: &Absorbed,
    stored: Stored,
) -> Frames {
    let old = stored.packed.frames;
    if stored.part_count == 0 && old.len() <= ONE_FRAME {
        let mut all = Vec::new();
        packer.pack(dictionary, spans, &mut all);
        if let Some(one) = Frames::one(all) {
            return one;
        }
    }
    let replaced = absorbed.replaced.iter().map(|replaced| replaced.index);
    let new: FxHashSet<usize> = absorbed.added.iter().copied().chain(replaced).collect();
    let mut all = old;
    let start = all.len();
    if !new.is_empty() {
        packer.pack_some(dictionary, spans, |index| new.contains(&index), &mut all);
    }
    let end = all.len();
    Frames {
        all,
        own_bytes: stored.own_bytes,
        old_parts: stored.part_count,
        new_parts: std::iter::once(start..end)
            .filter(|part| !part.is_empty())
            .collect(),
    }
}
