//! Which rows of a segment have a value: small sets of hashes, each with the rows it came from, that may say
//! "perhaps" of one that is not in them.
//!
//! A filter keeps the first [`HASH_BITS`] bits of a value's hash and, where it was seen: up to [`PLACES_MAX`] of 127 groups of about
//! four rows each. A value of more rows may be anywhere. The hashes are of one length whatever the
//! filter's size, so that filters of many segments can be merged into one ([`merged`]) without being made anew.
//!
//! On disk: a zero, then [`sorted`]. Filters written before rows were told apart begin with another byte ([`first`]).

pub(crate) mod first;
pub mod merged;
mod sorted;

use crate::segment::{Damaged, RowSet};
use sorted::{Shape, Sorted};

/// Bits of a hash that are kept: one of a million values that are not there is taken for one that is, in each segment
/// and by each of its values.
pub(crate) const HASH_BITS: u32 = 20;
/// Bits of a place.
const PLACE_BITS: u32 = 7;
/// The place of a value that may be in any row.
const ANYWHERE: u32 = (1 << PLACE_BITS) - 1;
/// Rows of one value that are kept apart.
pub(crate) const PLACES_MAX: usize = 3;
/// What an [`Entry`] has in place of a hash's lowest bits.
const ROW_BITS: u32 = 12;

const SHAPE: Shape = Shape {
    value_bits: HASH_BITS,
    payload_bits: PLACE_BITS,
};

/// In place of a row's ordinal: several rows, or any.
pub(crate) const MANY: u16 = (1 << ROW_BITS) - 1;

/// A value's hash and where it was seen; entries of one value sort together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Entry(u64);

impl Entry {
    /// `row` is an ordinal or [`MANY`].
    pub(crate) fn new(hash: u64, row: u16) -> Self {
        Self(hash >> ROW_BITS << ROW_BITS | u64::from(row))
    }

    /// The hash, but for its last bits.
    pub(crate) fn hash(self) -> u64 {
        self.0 >> ROW_BITS << ROW_BITS
    }

    /// An ordinal or [`MANY`].
    pub(crate) fn row(self) -> u16 {
        u16::try_from(self.0 & u64::from(MANY)).expect("twelve bits")
    }

    /// The same value in another row.
    pub(crate) fn at(self, row: u16) -> Self {
        Self(self.hash() | u64::from(row))
    }
}

/// The first bits of a hash: what a filter knows it by.
pub(crate) fn short(hash: u64) -> u32 {
    u32::try_from(hash >> (u64::BITS - HASH_BITS)).expect("twenty bits")
}

/// The filter of these values, and how many there are. Leaves the entries sorted, each once.
pub(crate) fn build(entries: &mut Vec<Entry>) -> (Vec<u8>, usize) {
    entries.sort_unstable();
    entries.dedup();
    let mut values = 0;
    let mut coded = Vec::with_capacity(entries.len());
    for same in entries.chunk_by(|a, b| a.hash() == b.hash()) {
        values += 1;
        let hash = short(same[0].hash());
        // Many rows sort last.
        if same.len() > PLACES_MAX || same.last().is_some_and(|last| last.row() == MANY) {
            coded.push((hash, ANYWHERE));
            continue;
        }
        let first = coded.len();
        for entry in same {
            let coded_place = (hash, place(entry.row()));
            // Rows of one group are one place.
            if !coded[first..].contains(&coded_place) {
                coded.push(coded_place);
            }
        }
    }
    // Two values with the same first bits: their places may be out of order.
    coded.sort_unstable();
    let mut out = vec![0];
    sorted::encode(SHAPE, &coded, &mut out);
    (out, values)
}

/// Where a row is, as a filter says it.
fn place(row: u16) -> u32 {
    match u32::from(row) {
        row if row < 512 => (row * ANYWHERE) >> 9,
        _ => ANYWHERE,
    }
}

/// The rows of a place.
fn rows_of(place: u32) -> RowSet {
    if place >= ANYWHERE {
        return RowSet::all();
    }
    // About four rows around place * 512 / 127.
    let from = u16::try_from((place << 9).div_ceil(ANYWHERE)).expect("below 512");
    let to = u16::try_from(((place + 1) << 9).div_ceil(ANYWHERE)).expect("at most 512");
    (from..to).collect()
}

/// The rows that may have a value of this hash; all that do are among them.
///
/// # Errors
/// [`Damaged`] if the filter is not what was written.
pub fn rows(filter: &[u8], hash: u64) -> Result<RowSet, Damaged> {
    match filter {
        [0] => Err(Damaged("a filter cut short")),
        [0, rest @ ..] => {
            let places = Sorted::read(SHAPE, rest)?;
            let places = places.payloads(short(hash));
            Ok(places.fold(RowSet::new(), |rows, place| rows.or(&rows_of(place))))
        }
        _ if first::contains(filter, hash)? => Ok(RowSet::all()),
        _ => Ok(RowSet::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use twox_hash::XxHash3_64;

    fn hash(number: u64) -> u64 {
        XxHash3_64::oneshot(&number.to_le_bytes())
    }

    fn filter(values: impl IntoIterator<Item = (u64, u16)>) -> Vec<u8> {
        let entries = values.into_iter();
        let mut entries: Vec<Entry> = entries.map(|(hash, row)| Entry::new(hash, row)).collect();
        build(&mut entries).0
    }

    proptest! {
        #[test]
        fn every_row_of_a_value_is_among_those_told(
            some in vec((any::<u64>(), 0..512_u16), 0..300),
            few in vec((0..8_u64, prop_oneof![4 => 0..512_u16, 1 => Just(MANY)]), 0..40),
        ) {
            let values: Vec<(u64, u16)> = some.into_iter().chain(few.into_iter().map(|(n, row)| (hash(n), row))).collect();
            let filter = filter(values.iter().copied());
            for (hash, row) in values {
                let told = rows(&filter, hash).unwrap();
                let is_told = told.contains(if row == MANY { 511 } else { row });
                prop_assert!(is_told);
                prop_assert!(row != MANY || told == RowSet::all());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..60), hash in any::<u64>()) {
            let _ = rows(&bytes, hash);
        }

        #[test]
        fn a_filter_cut_short_is_refused(count in 1..200_u64, cut in any::<prop::sample::Index>()) {
            let filter = filter((0..count).map(|n| (hash(n), 7)));
            prop_assert!(rows(&filter[..cut.index(filter.len())], 1).is_err());
        }
    }

    #[test]
    fn a_value_of_one_request_opens_a_handful_of_rows() {
        let filter = filter((0..512).map(|n| (hash(n), u16::try_from(n).unwrap())));
        let told: Vec<usize> = (0..512)
            .map(|n| rows(&filter, hash(n)).unwrap().len())
            .collect();
        assert!(told.iter().all(|rows| (4..=10).contains(rows)), "{told:?}");
        // Every row is in one place only.
        assert_eq!(
            (0..ANYWHERE)
                .map(|place| rows_of(place).len())
                .sum::<usize>(),
            512
        );
        assert!((0..512).all(|row| rows_of(place(row)).contains(row)));
    }

    #[test]
    fn few_others_are_taken_for_a_member() {
        for count in [100, 10_000] {
            let filter = filter((0..count).map(|n| (hash(n), 7)));
            let probes = 1_000_000..1_400_000;
            let taken = probes.filter(|n| !rows(&filter, hash(*n)).unwrap().is_empty());
            let rate = 400_000.0 * count as f64 / taken.count().max(1) as f64;
            assert!(
                rate > 0.7 * 2.0_f64.powi(20),
                "one in {rate} with {count} members"
            );
        }
    }

    #[test]
    fn a_member_takes_about_two_bytes() {
        let sizes = [0, 1, 500, 10_000].map(|n| filter((0..n).map(|n| (hash(n), 3))).len());
        assert_eq!(sizes, [3, 7, 1_255, 19_551]);
    }
}
