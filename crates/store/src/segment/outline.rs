//! Of one interface in a group of segments: which segments have spans of it, which have failed ones, and how long the
//! longest takes. A search passes over a segment by it without reading its records.
//!
//! On disk: a set of segments, a byte (1: a set of those with failed spans follows), and a byte for each segment that has
//! the interface, ascending: its longest span, rounded up.

use super::codec::{Damaged, Reader};
use crate::StoreError;
use crate::filter::merged::{SEGMENTS, segments_of};
use std::collections::BTreeMap;

const WORDS: usize = SEGMENTS as usize / 64;

/// What is known of an interface in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Its number.
    pub interface: i64,
    /// The segment.
    pub segment: i64,
    /// Whether a span of it failed.
    pub has_errors: bool,
    /// No span of it takes longer, in nanoseconds.
    pub longest: u64,
}

impl Outline {
    /// [`outlines`] of a table.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they are not what was written.
    pub fn read(group: i64, interface: i64, bytes: &[u8]) -> Result<Vec<Self>, StoreError> {
        outlines(group, interface, bytes).map_err(|why| {
            StoreError::corrupt(
                format!("outlines of group {group}, interface {interface}"),
                why,
            )
        })
    }
}

type Set = [u64; WORDS];

fn place(segment: i64) -> usize {
    usize::try_from(segment & (SEGMENTS - 1)).expect("below SEGMENTS")
}

fn insert(set: &mut Set, place: usize) {
    set[place / 64] |= 1 << (place % 64);
}

fn has(set: &Set, place: usize) -> bool {
    set[place / 64] >> (place % 64) & 1 == 1
}

/// The outlines of a group by interface: each interface's number and bytes.
pub(crate) fn encode(outlines: impl Iterator<Item = Outline>) -> Vec<(i64, Vec<u8>)> {
    let mut by_interface: BTreeMap<i64, BTreeMap<usize, Outline>> = BTreeMap::new();
    for outline in outlines {
        let of = by_interface.entry(outline.interface).or_default();
        of.insert(place(outline.segment), outline);
    }
    by_interface
        .into_iter()
        .map(|(interface, of)| (interface, encode_one(&of)))
        .collect()
}

fn encode_one(outlines: &BTreeMap<usize, Outline>) -> Vec<u8> {
    let (mut present, mut failed) = (Set::default(), Set::default());
    for (place, outline) in outlines {
        insert(&mut present, *place);
        if outline.has_errors {
            insert(&mut failed, *place);
        }
    }
    let has_failed = failed != Set::default();
    let mut out = Vec::with_capacity(65 + outlines.len());
    present
        .iter()
        .for_each(|word| out.extend(word.to_le_bytes()));
    out.push(u8::from(has_failed));
    if has_failed {
        failed
            .iter()
            .for_each(|word| out.extend(word.to_le_bytes()));
    }
    out.extend(outlines.values().map(|outline| rounded(outline.longest)));
    out
}

/// What [`encode`] wrote of this interface in this group.
///
/// # Errors
/// [`Damaged`] if it did not.
fn outlines(group: i64, interface: i64, bytes: &[u8]) -> Result<Vec<Outline>, Damaged> {
    let mut reader = Reader(bytes);
    let present = set(&mut reader)?;
    let failed = match reader.bytes(1)? {
        [0] => Set::default(),
        _ => set(&mut reader)?,
    };
    let count: u32 = present.iter().map(|word| word.count_ones()).sum();
    let longest = reader.bytes(count as usize)?;
    if !reader.is_empty() {
        return Err(Damaged("an outline with bytes left over"));
    }
    let places = (0..WORDS * 64).filter(|place| has(&present, *place));
    let first = segments_of(group).start;
    Ok(places
        .zip(longest)
        .map(|(place, longest)| Outline {
            interface,
            segment: first + i64::try_from(place).expect("below SEGMENTS"),
            has_errors: has(&failed, place),
            longest: at_most(*longest),
        })
        .collect())
}

fn set(reader: &mut Reader<'_>) -> Result<Set, Damaged> {
    let mut set = Set::default();
    for word in &mut set {
        *word = u64::from_le_bytes(reader.bytes(8)?.try_into().expect("eight bytes"));
    }
    Ok(set)
}

/// The least code of what is not shorter: the place of the highest bit and the two bits behind it.
fn rounded(nanos: u64) -> u8 {
    let fits = |code: &u8| at_most(*code) >= nanos;
    (0..=u8::MAX).find(fits).unwrap_or(u8::MAX)
}

/// The greatest duration of a code.
fn at_most(code: u8) -> u64 {
    let (exponent, rest) = (u32::from(code >> 2), u128::from(code & 3));
    let next = (5 + rest) << exponent >> 2;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(group in 0..9_i64, some in vec((1..4_i64, 0..SEGMENTS, any::<bool>(), any::<u64>()), 0..60)) {
            let first = segments_of(group).start;
            let all: BTreeMap<(i64, i64), Outline> = some
                .into_iter()
                .map(|(interface, place, has_errors, longest)| ((interface, place), Outline { interface, segment: first + place, has_errors, longest }))
                .collect();
            let read: Vec<Outline> = encode(all.values().copied())
                .into_iter()
                .flat_map(|(interface, bytes)| outlines(group, interface, &bytes).unwrap())
                .collect();
            prop_assert_eq!(read.len(), all.len());
            for (read, written) in read.iter().zip(all.values()) {
                prop_assert_eq!((read.interface, read.segment, read.has_errors), (written.interface, written.segment, written.has_errors));
                prop_assert!(read.longest >= written.longest);
                prop_assert!(u128::from(read.longest) <= u128::from(written.longest) * 5 / 4 + 1);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..120)) {
            let _ = outlines(3, 7, &bytes);
        }
    }
}
