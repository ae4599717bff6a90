//! Sets of rows of one segment.
//!
//! On disk: the gaps between ordinals in Rice code, one byte for its parameter first. Parameter 0
//! is a plain bitmap cut after its last one; larger ones suit sparser sets.

use super::codec::Damaged;
use hoplog_model::RowId;
use std::fmt;

/// Ordinals that a [`RowId`] can hold.
const ORDINALS: usize = 1 << RowId::ORDINAL_BITS;
const WORDS: usize = ORDINALS / 64;

/// A set of rows of one segment, by ordinal (0 to 1,023).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSet([u64; WORDS]);

impl RowSet {
    /// No row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every row that a segment can have.
    pub fn all() -> Self {
        Self([u64::MAX; WORDS])
    }

    /// Puts a row in; an ordinal that no row can have is ignored.
    pub fn insert(&mut self, ordinal: u16) {
        if let Some(word) = self.0.get_mut(usize::from(ordinal) / 64) {
            *word |= 1 << (ordinal % 64);
        }
    }

    /// Whether the row is in.
    pub fn contains(&self, ordinal: u16) -> bool {
        let word = self.0.get(usize::from(ordinal) / 64);
        word.is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    /// Rows of either.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word |= other);
        self
    }

    /// Rows of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word &= other);
        self
    }

    /// Rows that are not in `other`.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word &= !other);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Ordinals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0_u16..).zip(self.0).flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(index * 64 + u16::try_from(bit).expect("below 64"))
            })
        })
    }

    /// The set as bytes, as few as its Rice code needs.
    pub fn encode(&self) -> Vec<u8> {
        let ordinals: Vec<u16> = self.iter().collect();
        let bits = |rice: u32| -> usize {
            let ones = ordinals.len() * (1 + rice as usize);
            ones + gaps(&ordinals)
                .map(|gap| usize::from(gap >> rice))
                .sum::<usize>()
        };
        let rice = (0..RowId::ORDINAL_BITS)
            .min_by_key(|rice| bits(*rice))
            .unwrap_or_default();
        let mut out = vec![0; 1 + bits(rice).div_ceil(8)];
        out[0] = u8::try_from(rice).expect("below 10");
        let mut at = 8;
        for gap in gaps(&ordinals) {
            at += usize::from(gap >> rice);
            let code = 1 | (gap & ((1 << rice) - 1)) << 1;
            for bit in (0..=rice).filter(|bit| code >> bit & 1 == 1) {
                let place = at + bit as usize;
                out[place / 8] |= 1 << (place % 8);
            }
            at += 1 + rice as usize;
        }
        out
    }

    /// Reads what [`RowSet::encode`] wrote.
    ///
    /// # Errors
    /// [`Damaged`] if it did not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let (rice, bits) = bytes
            .split_first()
            .ok_or(Damaged("a row set without bytes"))?;
        let rice = usize::from(*rice);
        if rice >= RowId::ORDINAL_BITS as usize {
            return Err(Damaged("a row set of an unknown kind"));
        }
        let mut bits = Bits { bits, at: 0 };
        let (mut set, mut next) = (Self::new(), 0);
        while let Some(high) = bits.zeros() {
            let low = bits.take(rice).ok_or(Damaged("a row set cut short"))?;
            next += high << rice | low;
            if next >= ORDINALS {
                return Err(Damaged("a row set with a row that no segment has"));
            }
            set.0[next / 64] |= 1 << (next % 64);
            next += 1;
        }
        Ok(set)
    }
}

/// Rows left out between each row and the one before.
fn gaps(ordinals: &[u16]) -> impl Iterator<Item = u16> + '_ {
    let before = std::iter::once(0).chain(ordinals.iter().map(|ordinal| ordinal + 1));
    ordinals
        .iter()
        .zip(before)
        .map(|(ordinal, before)| ordinal - before)
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bits: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Passes zeros and the one behind them; says how many, or none where no one follows.
    fn zeros(&mut self) -> Option<usize> {
        let start = self.at;
        loop {
            let byte = self.bits.get(self.at / 8)? >> (self.at % 8);
            if byte != 0 {
                self.at += byte.trailing_zeros() as usize;
                self.at += 1;
                return Some(self.at - 1 - start);
            }
            self.at = (self.at / 8 + 1) * 8;
        }
    }

    /// The next `count` bits as a number, or none if there are not so many.
    fn take(&mut self, count: usize) -> Option<usize> {
        let bit = |place: usize| Some(usize::from(self.bits.get(place / 8)? >> (place % 8) & 1));
        let value = (0..count).try_fold(0, |value, index| {
            Some(value | bit(self.at + index)? << index)
        })?;
        self.at += count;
        Some(value)
    }
}

impl FromIterator<u16> for RowSet {
    fn from_iter<T: IntoIterator<Item = u16>>(ordinals: T) -> Self {
        let mut set = Self::new();
        ordinals.into_iter().for_each(|ordinal| set.insert(ordinal));
        set
    }
}

impl fmt::Debug for RowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_comes_back(ordinals in prop_oneof![btree_set(0..1_024_u16, 0..20), btree_set(0..512_u16, 0..512)]) {
            let set: RowSet = ordinals.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), ordinals.iter().copied().collect::<Vec<_>>());
            let bytes = set.encode();
            prop_assert_eq!(RowSet::decode(&bytes), Ok(set));
            let bitmap = 1 + ordinals.last().map_or(0, |last| usize::from(*last) / 8 + 1);
            let steps = 1 + 2 * ordinals.len();
            prop_assert!(bytes.len() <= bitmap.min(steps));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..40)) {
            if let Ok(set) = RowSet::decode(&bytes) {
                prop_assert_eq!(RowSet::decode(&set.encode()), Ok(set));
            }
        }

        #[test]
        fn sets_combine_as_sets_do(a in btree_set(0..300_u16, 0..60), b in btree_set(0..300_u16, 0..60)) {
            let set = |ordinals: &std::collections::BTreeSet<u16>| ordinals.iter().copied().collect::<RowSet>();
            prop_assert_eq!(set(&a).or(&set(&b)), set(&(&a | &b)));
            prop_assert_eq!(set(&a).and(&set(&b)), set(&(&a & &b)));
            prop_assert_eq!(set(&a).without(&set(&b)), set(&(&a - &b)));
            prop_assert_eq!(set(&a).len(), a.len());
        }
    }
}
