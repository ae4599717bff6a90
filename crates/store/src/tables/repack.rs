//! Packing rows anew, with the dictionary that is in use now.
//!
//! Only frames change: a row keeps its number, its columns and its search records. Rows with parts stay as they
//! are: their frames are large, and gain next to nothing from a dictionary.

use super::Packing;
use crate::pack::{Dictionaries, Dictionary, Packer, Unpacker, check32, dictionary_of};
use hoplog_model::RowId;
use std::sync::Arc;

/// Rows of a segment that tell whether the others are worth it.
const SAMPLE: usize = 32;
/// Percent of their bytes that these must save.
const WORTH: u64 = 5;

/// A row without parts as it lies in the table.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number.
    pub row: RowId,
    /// Its `check32`.
    pub check: u32,
    /// Its frames.
    pub frames: Vec<u8>,
}

/// Frames to take the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smaller {
    /// Whose.
    pub row: RowId,
    /// The row's `check32` before: if it has another by now, it stays as it is.
    pub was: u32,
    /// Its dictionary before.
    pub dictionary: u32,
    /// The new frames.
    pub frames: Vec<u8>,
    /// Their `check32`.
    pub check: u32,
    /// Bytes they are fewer.
    pub saved: u64,
}

/// What a step of re-packing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows packed anew.
    pub rows: u64,
    /// Bytes saved.
    pub saved: u64,
    /// Whether there may be more to do at once.
    pub more: bool,
}

/// Finds smaller frames for a segment's rows. None of them if a sample saves too little.
pub fn repack(
    dictionaries: &Dictionaries,
    dictionary: &Arc<Dictionary>,
    lines: Vec<Line>,
) -> Vec<Smaller> {
    let mut work = Work {
        dictionaries,
        dictionary,
        packer: Packer::new(),
        unpacker: Unpacker::new(),
        raw: [Vec::new(), Vec::new()],
    };
    let mut lines = lines;
    lines.retain(|line| dictionary_of(&line.frames) != dictionary.id());
    // Rows may lie in the order of their size: the sample is spread over all.
    let every = lines.len().div_ceil(SAMPLE).max(1);
    let (mut before, mut saved) = (0, 0);
    let mut better = Vec::new();
    for line in lines.iter().step_by(every) {
        before += line.frames.len() as u64;
        if let Some(smaller) = work.smaller(line) {
            saved += smaller.saved;
            better.push(smaller);
        }
    }
    if saved * 100 < before * WORTH {
        return Vec::new();
    }
    let others = lines.iter().enumerate().filter(|(n, _)| n % every != 0);
    better.extend(others.filter_map(|(_, line)| work.smaller(line)));
    better.sort_unstable_by_key(|smaller| smaller.row);
    better
}

/// The packing after these rows were re-packed, as part of the step to `next`.
pub fn repacked<'a>(mut next: Packing, done: impl IntoIterator<Item = &'a Smaller>) -> Packing {
    for smaller in done {
        next.change(smaller.row, smaller.dictionary, next.dictionary);
        next.repacked += 1;
        next.saved += smaller.saved;
    }
    next
}

struct Work<'a> {
    dictionaries: &'a Dictionaries,
    dictionary: &'a Dictionary,
    packer: Packer,
    unpacker: Unpacker,
    raw: [Vec<u8>; 2],
}

impl Work<'_> {
    /// Frames that say the same in fewer bytes. None for a row that is damaged: a check tells of those.
    fn smaller(&mut self, line: &Line) -> Option<Smaller> {
        if check32(&line.frames) != line.check {
            return None;
        }
        let unpacked = self.unpacker.unpack(self.dictionaries, &line.frames);
        let spans = unpacked.ok()?.spans;
        let mut frames = Vec::new();
        self.packer.pack(Some(self.dictionary), &spans, &mut frames);
        let saved = line.frames.len().checked_sub(frames.len())? as u64;
        (saved > 0 && self.say_the_same(&line.frames, &frames)).then(|| Smaller {
            row: line.row,
            was: line.check,
            dictionary: dictionary_of(&line.frames),
            check: check32(&frames),
            frames,
            saved,
        })
    }

    /// Nobody looks at these rows again before somebody needs them, so they are compared here.
    fn say_the_same(&mut self, before: &[u8], after: &[u8]) -> bool {
        let mut counts = [0; 2];
        for ((frames, raw), count) in [before, after]
            .into_iter()
            .zip(&mut self.raw)
            .zip(&mut counts)
        {
            raw.clear();
            match self.unpacker.raw(self.dictionaries, frames, raw) {
                Ok(found) => *count = found,
                Err(_) => return false,
            }
        }
        counts == [1, 1] && self.raw[0] == self.raw[1]
    }
}

#[cfg(test)]
mod tests;
