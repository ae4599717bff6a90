//! The filters of neighbouring segments as one for each key, so that asking many segments for a value reads a few pages.
//!
//! A group is [`SEGMENTS`] segments that follow one another, all written. Of each key its filters' hashes are sorted
//! together, each with its segment and place, and cut by their first bits into slices of about a kilobyte: a value is
//! looked for in one slice. What a hit opens is what it opened before: the few rows of the segment that the filter named.
//!
//! On disk, for each key: a head (which of the segments have the key, and the least and greatest number of each) and its
//! slices ([`super::sorted`]).

use super::sorted::{self, Shape, Sorted};
use super::{HASH_BITS, PLACE_BITS, rows_of, short};
use crate::segment::{Damaged, Reader, RowSet};
use rustc_hash::FxHashMap;

/// Segments of a group.
pub const SEGMENTS: i64 = 1 << SEGMENT_BITS;
const SEGMENT_BITS: u32 = 7;
/// Bytes of a slice to aim for: a row that stays within a quarter of SQLite's page, and in the line on PostgreSQL.
const SLICE_BYTES: usize = 1_400;
/// Slices of a key at most.
const SLICE_BITS_MAX: u32 = 14;
/// Words of a set of the group's segments.
const WORDS: usize = 1 << (SEGMENT_BITS - 6);

/// The group of a segment.
pub fn group_of(segment: i64) -> i64 {
    segment >> SEGMENT_BITS
}

/// The segments of a group.
pub fn segments_of(group: i64) -> std::ops::Range<i64> {
    group << SEGMENT_BITS..(group + 1) << SEGMENT_BITS
}

/// Whether a group is to be merged in a partition whose newest segment is this one: when the next one is complete, too. What
/// merging frees is taken by what is written then, so that files of few groups do not hold more than they need.
pub fn is_due(group: i64, newest: i64) -> bool {
    segments_of(group + 1).end <= newest + 1
}

/// Those of these segments whose groups are among the merged ones, and the groups.
pub fn known(segments: &[i64], merged: &std::ops::Range<i64>) -> (Vec<i64>, Vec<i64>) {
    let is_known = |segment: &i64| merged.contains(&group_of(*segment));
    let known: Vec<i64> = segments.iter().copied().filter(is_known).collect();
    let mut groups: Vec<i64> = known.iter().map(|segment| group_of(*segment)).collect();
    groups.sort_unstable();
    groups.dedup();
    (known, groups)
}

/// Where in its group a segment stands.
fn place_of(segment: i64) -> usize {
    usize::try_from(segment & (SEGMENTS - 1)).expect("below SEGMENTS")
}

/// A filter of one key and segment, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// [`crate::tables::key_number`].
    pub key: i64,
    /// The segment.
    pub segment: i64,
    /// Least number among its values.
    pub number_min: Option<f64>,
    /// Greatest number among its values.
    pub number_max: Option<f64>,
    /// [`crate::segment::KeyFilter::filter`].
    pub filter: Vec<u8>,
}

/// All filters of one key in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// [`crate::tables::key_number`].
    pub key: i64,
    /// Which segments have the key: [`Head::read`].
    pub head: Vec<u8>,
    /// A value's [`slice()`] is its hash without so many bits.
    pub shift: u32,
    /// By number, ascending; an empty one is left out.
    pub slices: Vec<(i64, Vec<u8>)>,
}

impl Merged {
    /// Puts together what tables hold of a group: key, [`Merged::shift`] and [`Merged::head`]; key, number and bytes
    /// of each slice, ascending.
    ///
    /// # Errors
    /// [`Damaged`] for a shift that nothing was written with.
    pub fn gather(
        heads: Vec<(i64, i64, Vec<u8>)>,
        slices: Vec<(i64, i64, Vec<u8>)>,
    ) -> Result<Vec<Self>, Damaged> {
        let mut of_key: FxHashMap<i64, Vec<(i64, Vec<u8>)>> = FxHashMap::default();
        for (key, number, bytes) in slices {
            of_key.entry(key).or_default().push((number, bytes));
        }
        let merged = heads.into_iter().map(|(key, shift, head)| {
            let shift = u32::try_from(shift)
                .ok()
                .filter(|shift| *shift <= HASH_BITS);
            Ok(Self {
                key,
                head,
                shift: shift.ok_or(Damaged("a merged filter of longer hashes than there are"))?,
                slices: of_key.remove(&key).unwrap_or_default(),
            })
        });
        merged.collect()
    }
}

/// The first bits of a value's hash as databases are asked for it: shifted by [`Merged::shift`], they are the slice's number.
pub fn slice(hash: u64) -> i64 {
    short(hash).into()
}

/// Merges the filters of a group, in any order; by key. None if one of them is of a kind that cannot be merged: it was
/// written by schema 1.
///
/// # Errors
/// [`Damaged`] if a filter is not what was written.
pub fn merge(mut lines: Vec<Line>) -> Result<Option<Vec<Merged>>, Damaged> {
    lines.sort_unstable_by_key(|line| (line.key, line.segment));
    let mut merged = Vec::new();
    for of_key in lines.chunk_by(|a, b| a.key == b.key) {
        let Some(entries) = entries(of_key)? else {
            return Ok(None);
        };
        let shift = shift(entries.len());
        let slices = entries
            .chunk_by(|a, b| a.0 >> shift == b.0 >> shift)
            .map(|entries| {
                let within: Vec<(u32, u32)> = entries
                    .iter()
                    .map(|(value, payload)| (value & ((1 << shift) - 1), *payload))
                    .collect();
                let mut bytes = Vec::new();
                sorted::encode(shape(shift), &within, &mut bytes);
                (i64::from(entries[0].0 >> shift), bytes)
            });
        merged.push(Merged {
            key: of_key[0].key,
            head: Head::of(of_key).encode(),
            shift,
            slices: slices.collect(),
        });
    }
    Ok(Some(merged))
}

/// Every hash of these filters with its segment and place, sorted.
fn entries(lines: &[Line]) -> Result<Option<Vec<(u32, u32)>>, Damaged> {
    let mut entries = Vec::new();
    for line in lines {
        let [0, rest @ ..] = line.filter.as_slice() else {
            return Ok(None);
        };
        if rest.is_empty() {
            return Ok(None);
        }
        let segment = u32::try_from(place_of(line.segment)).expect("small") << PLACE_BITS;
        let own = Sorted::read(super::SHAPE, rest)?.iter();
        entries.extend(own.map(|(value, place)| (value, segment | place)));
    }
    entries.sort_unstable();
    Ok(Some(entries))
}

fn shape(shift: u32) -> Shape {
    Shape {
        value_bits: shift,
        payload_bits: SEGMENT_BITS + PLACE_BITS,
    }
}

/// How many bits of a hash tell the values of a slice apart, with so many entries in all slices.
fn shift(entries: usize) -> u32 {
    let spread = ((1_usize << HASH_BITS) / entries.max(1))
        .checked_ilog2()
        .unwrap_or(0);
    let bits = entries * (SEGMENT_BITS + PLACE_BITS + spread + 3) as usize;
    let slices = (bits / 8).div_ceil(SLICE_BYTES).max(1);
    HASH_BITS - slices.next_power_of_two().ilog2().min(SLICE_BITS_MAX)
}

/// Which segments of a group have a key, and the numbers of each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    present: [u64; WORDS],
    /// Least and greatest number, by place.
    numbers: FxHashMap<usize, (f32, f32)>,
}

impl Head {
    fn of(lines: &[Line]) -> Self {
        let mut head = Self::default();
        for line in lines {
            let place = place_of(line.segment);
            head.present[place / 64] |= 1 << (place % 64);
            if let (Some(least), Some(greatest)) = (line.number_min, line.number_max) {
                head.numbers.insert(place, (below(least), above(greatest)));
            }
        }
        head
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 8 * self.numbers.len());
        let words = |set: &[u64; WORDS], out: &mut Vec<u8>| {
            set.iter()
                .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        };
        words(&self.present, &mut out);
        if self.numbers.is_empty() {
            return out;
        }
        let mut places: Vec<(usize, (f32, f32))> = self
            .numbers
            .iter()
            .map(|(place, of)| (*place, *of))
            .collect();
        places.sort_unstable_by_key(|(place, _)| *place);
        let mut numeric = [0; WORDS];
        for (place, _) in &places {
            numeric[place / 64] |= 1 << (place % 64);
        }
        words(&numeric, &mut out);
        for (_, (least, greatest)) in places {
            out.extend_from_slice(&least.to_le_bytes());
            out.extend_from_slice(&greatest.to_le_bytes());
        }
        out
    }

    /// Reads [`Merged::head`].
    ///
    /// # Errors
    /// [`Damaged`] if it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader(bytes);
        let present = words(&mut reader)?;
        let mut head = Self {
            present,
            numbers: FxHashMap::default(),
        };
        if reader.is_empty() {
            return Ok(head);
        }
        let numeric = words(&mut reader)?;
        for place in (0..WORDS * 64).filter(|place| is_in(&numeric, *place)) {
            let mut number = || -> Result<f32, Damaged> {
                let bytes = reader.bytes(4)?.try_into().expect("four bytes");
                Ok(f32::from_le_bytes(bytes))
            };
            head.numbers.insert(place, (number()?, number()?));
        }
        if !reader.is_empty() {
            return Err(Damaged("a merged filter's head with bytes left over"));
        }
        Ok(head)
    }

    /// Whether the segment, which is one of the group, has the key.
    pub fn has(&self, segment: i64) -> bool {
        is_in(&self.present, place_of(segment))
    }

    /// Bounds of the segment's numbers, not narrower than they are.
    pub fn numbers(&self, segment: i64) -> Option<(f64, f64)> {
        let (least, greatest) = self.numbers.get(&place_of(segment))?;
        Some((f64::from(*least), f64::from(*greatest)))
    }
}

fn words(reader: &mut Reader<'_>) -> Result<[u64; WORDS], Damaged> {
    let mut set = [0; WORDS];
    for word in &mut set {
        *word = u64::from_le_bytes(reader.bytes(8)?.try_into().expect("eight bytes"));
    }
    Ok(set)
}

fn is_in(set: &[u64; WORDS], place: usize) -> bool {
    set[place / 64] >> (place % 64) & 1 == 1
}

/// The nearest short number that is not greater.
#[expect(clippy::cast_possible_truncation, reason = "mended in the next line")]
fn below(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) > number {
        near.next_down()
    } else {
        near
    }
}

/// The nearest short number that is not less.
#[expect(clippy::cast_possible_truncation, reason = "mended in the next line")]
fn above(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) < number {
        near.next_up()
    } else {
        near
    }
}

/// The segments of `group` with rows that may have a value of this hash, by the slice it falls into.
///
/// # Errors
/// [`Damaged`] if the slice is not what was written.
pub fn hits(
    group: i64,
    shift: u32,
    slice: &[u8],
    hash: u64,
) -> Result<Vec<(i64, RowSet)>, Damaged> {
    if shift > HASH_BITS {
        return Err(Damaged("a merged filter of longer hashes than there are"));
    }
    let within = short(hash) & ((1 << shift) - 1);
    let mut hits: Vec<(i64, RowSet)> = Vec::new();
    for payload in Sorted::read(shape(shift), slice)?.payloads(within) {
        let segment = segments_of(group).start | i64::from(payload >> PLACE_BITS);
        let rows = rows_of(payload & ((1 << PLACE_BITS) - 1));
        match hits.last_mut() {
            Some((last, known)) if *last == segment => *known = known.or(&rows),
            _ => hits.push((segment, rows)),
        }
    }
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, MANY, build, rows};
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    type Values = Vec<(u64, u16)>;

    fn hash(number: u64) -> u64 {
        twox_hash::XxHash3_64::oneshot(&number.to_le_bytes())
    }

    fn values() -> impl Strategy<Value = Values> {
        let row = || prop_oneof![5 => 0..512_u16, 1 => Just(MANY)];
        let common = vec((0..20_u64, row()), 0..10);
        (common, vec((any::<u64>(), row()), 0..80)).prop_map(|(common, rare)| {
            common
                .into_iter()
                .map(|(n, row)| (hash(n), row))
                .chain(rare)
                .collect()
        })
    }

    fn line(key: i64, segment: i64, values: &Values, numbers: Option<(f64, f64)>) -> Line {
        let mut entries: Vec<Entry> = values
            .iter()
            .map(|(hash, row)| Entry::new(*hash, *row))
            .collect();
        Line {
            key,
            segment,
            number_min: numbers.map(|(least, greatest)| least.min(greatest)),
            number_max: numbers.map(|(least, greatest)| least.max(greatest)),
            filter: build(&mut entries).0,
        }
    }

    /// What the group says of a value.
    fn ask(merged: &Merged, group: i64, hash: u64) -> Vec<(i64, RowSet)> {
        let slice = slice(hash) >> merged.shift;
        let found = merged.slices.iter().find(|(number, _)| *number == slice);
        found.map_or_else(Vec::new, |(_, bytes)| {
            hits(group, merged.shift, bytes, hash).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn a_group_says_what_its_segments_said(
            filters in btree_map((0..3_i64, 0..SEGMENTS), (values(), proptest::option::of((any::<f64>(), any::<f64>()))), 1..40),
            group in 0..1_000_i64,
            others in vec(any::<u64>(), 10),
        ) {
            let first = segments_of(group).start;
            let lines: Vec<Line> = filters
                .iter()
                .map(|((key, place), (values, numbers))| line(*key, first + place, values, numbers.filter(|(a, b)| !a.is_nan() && !b.is_nan())))
                .collect();
            let merged = merge(lines.clone()).unwrap().unwrap();
            for one in &merged {
                let of_key: Vec<&Line> = lines.iter().filter(|line| line.key == one.key).collect();
                let head = Head::read(&one.head).unwrap();
                for segment in segments_of(group) {
                    let line = of_key.iter().find(|line| line.segment == segment);
                    prop_assert_eq!(head.has(segment), line.is_some());
                    let own = line.and_then(|line| line.number_min.zip(line.number_max));
                    prop_assert_eq!(head.numbers(segment).is_some(), own.is_some());
                    if let (Some(own), Some(told)) = (own, head.numbers(segment)) {
                        prop_assert!(told.0 <= own.0 && told.1 >= own.1);
                    }
                }
                let asked = filters.values().flat_map(|(values, _)| values.iter().map(|(hash, _)| *hash)).chain(others.iter().copied());
                for hash in asked {
                    let expected: Vec<(i64, RowSet)> = of_key
                        .iter()
                        .map(|line| (line.segment, rows(&line.filter, hash).unwrap()))
                        .filter(|(_, rows)| !rows.is_empty())
                        .collect();
                    prop_assert_eq!(ask(one, group, hash), expected);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100), shift in 0..40_u32, hash in any::<u64>()) {
            let _ = hits(3, shift, &bytes, hash);
            let _ = Head::read(&bytes);
        }
    }

    #[test]
    fn a_value_is_looked_for_in_one_small_slice() {
        let lines = (0..SEGMENTS).map(|segment| {
            let values = (0..2_000).map(|n| (hash(segment.cast_unsigned() << 32 | n), 7));
            line(1, segment, &values.collect(), None)
        });
        let lines: Vec<Line> = lines.collect();
        let before: usize = lines.iter().map(|line| line.filter.len()).sum();
        let merged = merge(lines).unwrap().unwrap().remove(0);
        let longest = merged
            .slices
            .iter()
            .map(|(_, bytes)| bytes.len())
            .max()
            .unwrap();
        assert!(longest < 1_700, "{longest}");
        let after: usize = merged.slices.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(after < before + before / 50, "{after} bytes of {before}");
    }

    #[test]
    fn filters_of_schema_1_stay_as_they_are() {
        let old = Line {
            key: 1,
            segment: 3,
            number_min: None,
            number_max: None,
            filter: vec![1, 1, 9, 0],
        };
        assert_eq!(merge(vec![old]), Ok(None));
    }
}
