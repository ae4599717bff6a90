//! What the rows of a partition are packed with, and how far it was re-packed.

use crate::StoreError;
use crate::pack::dictionary_of;
use crate::segment::{Damaged, Reader};
use hoplog_model::RowId;
use hoplog_otlp::write::varint;
use std::collections::BTreeMap;

/// Kept on the line of the partition's figures, in the transaction that changes rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packing {
    /// Rows by the dictionary of their first frame; 0 is none. None counted is not here.
    pub rows: BTreeMap<u32, u64>,
    /// Rows of segments before this one are not counted: they were written when nobody did.
    pub counted_from: i64,
    /// The dictionary with which the partition is re-packed, or was last; 0 if it never was.
    pub dictionary: u32,
    /// Up to this segment that is done.
    pub segment: i64,
    /// The last segment there was when it began: later ones are packed with the dictionary anyway.
    pub upto: i64,
    /// Rows re-packed since ever.
    pub repacked: u64,
    /// Bytes that saved.
    pub saved: u64,
}

/// What a batch changes of [`Packing::rows`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repacked {
    /// By dictionary.
    gained: BTreeMap<u32, u64>,
    /// Dictionaries of rows that went.
    lost: Vec<(RowId, u32)>,
}

impl Repacked {
    /// A row with these frames comes.
    pub(super) fn gain(&mut self, frames: &[u8]) {
        *self.gained.entry(dictionary_of(frames)).or_default() += 1;
    }

    /// A row with these frames goes.
    pub(super) fn lose(&mut self, row: RowId, frames: &[u8]) {
        self.lost.push((row, dictionary_of(frames)));
    }
}

impl Packing {
    /// After a batch.
    pub fn apply(&mut self, change: &Repacked) {
        for (dictionary, rows) in &change.gained {
            *self.rows.entry(*dictionary).or_default() += rows;
        }
        for (row, dictionary) in &change.lost {
            self.lose(*row, *dictionary);
        }
    }

    /// A row is packed anew.
    pub fn change(&mut self, row: RowId, from: u32, to: u32) {
        if row.segment() >= self.counted_from {
            self.lose(row, from);
            *self.rows.entry(to).or_default() += 1;
        }
    }

    fn lose(&mut self, row: RowId, dictionary: u32) {
        if row.segment() < self.counted_from {
            return;
        }
        if let Some(rows) = self.rows.get_mut(&dictionary) {
            *rows = rows.saturating_sub(1);
        }
        self.rows.retain(|_, rows| *rows > 0);
    }

    /// The segment to re-pack next with this dictionary, and the packing to write once that is done; none
    /// if there is nothing left to do. `rows` are all of the partition, `newest` is its newest segment.
    pub fn next(&self, dictionary: u32, rows: u64, newest: i64) -> Option<(i64, Self)> {
        let mut next = self.clone();
        if next.dictionary != dictionary {
            (next.dictionary, next.segment, next.upto) = (dictionary, 0, newest);
        }
        let others = rows.saturating_sub(*self.rows.get(&dictionary).unwrap_or(&0));
        if next.segment >= next.upto || others == 0 {
            return None;
        }
        next.segment += 1;
        Some((next.segment, next))
    }

    /// The same as a step for a later segment: those in between are not there. A partition that took a thinned one's
    /// place begins far up.
    #[must_use]
    pub fn skipped_to(mut self, segment: i64) -> Self {
        self.segment = segment;
        self
    }

    /// The segment of a step, where the least that is there from [`Packing::segment`] on is `found`.
    pub fn segment_there(&self, found: Option<i64>) -> i64 {
        found.map_or(self.upto, |found| found.min(self.upto))
    }

    /// As a column; `counted_from` is another.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let numbers = [
            u64::from(self.dictionary),
            self.segment.cast_unsigned(),
            self.upto.cast_unsigned(),
            self.repacked,
            self.saved,
        ];
        numbers.iter().for_each(|n| varint(&mut bytes, *n));
        for (dictionary, rows) in &self.rows {
            varint(&mut bytes, u64::from(*dictionary));
            varint(&mut bytes, *rows);
        }
        bytes
    }

    /// Of both columns; empty bytes are those of a partition that nobody has counted in yet.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes are something else.
    pub fn decode(counted_from: i64, bytes: &[u8]) -> Result<Self, StoreError> {
        let read = Self::read(counted_from, Reader(bytes));
        read.map_err(|why| StoreError::corrupt("a partition's packing", why))
    }

    fn read(counted_from: i64, mut bytes: Reader<'_>) -> Result<Self, Damaged> {
        let mut packing = Self {
            counted_from,
            ..Self::default()
        };
        if bytes.is_empty() {
            return Ok(packing);
        }
        packing.dictionary = bytes.number()?;
        packing.segment = bytes.number()?;
        packing.upto = bytes.number()?;
        packing.repacked = bytes.varint()?;
        packing.saved = bytes.varint()?;
        while !bytes.is_empty() {
            packing.rows.insert(bytes.number()?, bytes.varint()?);
        }
        Ok(packing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packing_comes_back() {
        let packing = Packing {
            rows: [(0, 1), (1 << 30, 1 << 40)].into(),
            counted_from: 7,
            dictionary: 40_000,
            segment: 3,
            upto: 1 << 41,
            repacked: 12,
            saved: 1 << 50,
        };
        assert_eq!(Packing::decode(7, &packing.encode()).unwrap(), packing);
        let new = Packing::decode(9, &[]).unwrap();
        assert_eq!((new.counted_from, new.rows.len()), (9, 0));
        for cut in 1..packing.encode().len() {
            // Whole numbers may be missing; half ones are damage.
            drop(Packing::decode(7, &packing.encode()[..cut]));
        }
        assert!(Packing::decode(7, &[0xff]).is_err());
    }

    #[test]
    fn rows_from_before_the_count_are_not_counted() {
        let mut packing = Packing {
            counted_from: 5,
            ..Packing::default()
        };
        let (before, after) = (RowId::new(4, 1), RowId::new(5, 1));
        let mut batch = Repacked::default();
        batch.gain(b"no frame");
        batch.lose(before, b"no frame");
        packing.apply(&batch);
        assert_eq!(packing.rows, [(0, 1)].into());
        packing.change(before, 0, 9);
        assert_eq!(packing.rows, [(0, 1)].into());
        packing.change(after, 0, 9);
        assert_eq!(packing.rows, [(9, 1)].into());
    }

    #[test]
    fn segments_are_walked_once_for_each_dictionary() {
        let mut packing = Packing::default();
        let mut seen = Vec::new();
        while let Some((segment, next)) = packing.next(8, 10, 3) {
            seen.push(segment);
            packing = next;
        }
        assert_eq!(seen, [1, 2, 3]);
        // What came since is packed with it; another dictionary begins again.
        assert_eq!(packing.next(8, 20, 5), None);
        assert_eq!(packing.next(9, 20, 5).unwrap().0, 1);
        let (_, far) = packing.next(9, 20, 5_000).unwrap();
        assert_eq!(far.segment_there(Some(4_990)), 4_990);
        assert_eq!(far.segment_there(Some(5_001)), 5_000);
        let there = far.segment_there(None);
        assert_eq!(far.skipped_to(there).next(9, 20, 5_000), None);
        packing.rows = [(9, 20)].into();
        assert_eq!(packing.next(9, 20, 5), None, "there is no row of another");
    }
}
