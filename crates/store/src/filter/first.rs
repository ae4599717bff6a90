//! Filters as schema 1 wrote them, which tell no rows apart: small sets of hashes that may say "perhaps" of one that
//! is not in them, once in 4,096 times. They are only read.
//!
//! The n distinct 64-bit hashes are scaled down to numbers below n * 4096, sorted and Elias-Fano
//! coded: the low 12 bits of each as they are, the high parts as n groups of ones, each
//! closed by a zero. That is 14 bits a hash, and one byte or two for n.
//!
//! On disk: n as a varint, the 2n high bits, the 12n low bits, each filled up to a byte.

use crate::segment::{Damaged, Reader};

const LOW_BITS: usize = 12;

/// Where a hash falls: its group, 0 to count - 1, and its place within, 0 to 4,095.
fn scale(hash: u64, count: usize) -> (usize, u16) {
    let range = (count as u128) << LOW_BITS;
    let scaled = (u128::from(hash) * range) >> 64;
    let group = usize::try_from(scaled >> LOW_BITS).expect("below count");
    (
        group,
        u16::try_from(scaled & ((1 << LOW_BITS) - 1)).expect("twelve bits"),
    )
}

/// Whether the hash may be among those the filter was built of. Never false for one that was.
///
/// # Errors
/// [`Damaged`] if it is no such filter.
pub(crate) fn contains(filter: &[u8], hash: u64) -> Result<bool, Damaged> {
    let mut reader = Reader(filter);
    let count: usize = reader.number::<u32>()? as usize;
    let high = reader.bytes((2 * count).div_ceil(8))?;
    let low = reader.bytes((LOW_BITS * count).div_ceil(8))?;
    if !reader.is_empty() {
        return Err(Damaged("a filter with bytes left over"));
    }
    if count == 0 {
        return Ok(false);
    }
    let (group, wanted) = scale(hash, count);
    let start = match group {
        0 => 0,
        _ => nth_zero(high, group - 1).ok_or(Damaged("a filter with groups missing"))? + 1,
    };
    let is_one = |place: &usize| {
        high.get(place / 8)
            .is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    };
    let members = (start..).take_while(is_one).map(|place| place - group);
    Ok(members
        .map(|index| low_bits(low, index))
        .any(|found| found == Some(wanted)))
}

/// Where the zero lies that `skip` zeros precede.
pub(super) fn nth_zero(bits: &[u8], mut skip: usize) -> Option<usize> {
    for (index, chunk) in bits.chunks(8).enumerate() {
        let mut bytes = [0xff; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let mut zeros = !u64::from_le_bytes(bytes);
        let here = zeros.count_ones() as usize;
        if skip < here {
            for _ in 0..skip {
                zeros &= zeros - 1;
            }
            return Some(index * 64 + zeros.trailing_zeros() as usize);
        }
        skip -= here;
    }
    None
}

fn low_bits(low: &[u8], index: usize) -> Option<u16> {
    let place = LOW_BITS * index;
    let (first, second) = (*low.get(place / 8)?, *low.get(place / 8 + 1)?);
    let bits = u16::from_le_bytes([first, second]) >> (place % 8);
    Some(bits & ((1 << LOW_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_otlp::write::varint;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use twox_hash::XxHash3_64;

    /// The filter of these hashes. Leaves them sorted, each once.
    fn build(hashes: &mut Vec<u64>) -> Vec<u8> {
        hashes.sort_unstable();
        hashes.dedup();
        let count = hashes.len();
        let mut out =
            Vec::with_capacity(10 + (2 * count).div_ceil(8) + (LOW_BITS * count).div_ceil(8));
        varint(&mut out, count as u64);
        let high = out.len();
        let low = high + (2 * count).div_ceil(8);
        out.resize(low + (LOW_BITS * count).div_ceil(8), 0);
        for (index, hash) in hashes.iter().enumerate() {
            let (group, rest) = scale(*hash, count);
            let place = group + index;
            out[high + place / 8] |= 1 << (place % 8);
            let bits = u32::from(rest) << (LOW_BITS * index % 8);
            let bytes = bits.to_le_bytes();
            out[low + LOW_BITS * index / 8..]
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, byte)| *to |= byte);
        }
        out
    }

    fn hashes(of: std::ops::Range<u64>) -> Vec<u64> {
        of.map(|number| XxHash3_64::oneshot(&number.to_le_bytes()))
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_in_is_found(mut some in vec(any::<u64>(), 0..300), many in 0..2_000_u64) {
            some.extend(hashes(0..many));
            some.extend([0, u64::MAX]);
            let filter = build(&mut some);
            for hash in some {
                prop_assert_eq!(contains(&filter, hash), Ok(true));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..60), hash in any::<u64>()) {
            let _ = contains(&bytes, hash);
        }

        #[test]
        fn a_filter_cut_short_is_refused(count in 1..200_u64, cut in any::<prop::sample::Index>()) {
            let filter = build(&mut hashes(0..count));
            let cut = &filter[..cut.index(filter.len())];
            prop_assert!(contains(cut, 1).is_err());
        }
    }

    #[test]
    fn about_one_in_4096_others_is_taken_for_a_member() {
        for count in [1, 2, 7, 100, 10_000] {
            let filter = build(&mut hashes(0..count));
            let probes = hashes(1_000_000..1_400_000);
            let taken = probes
                .iter()
                .filter(|hash| contains(&filter, **hash).unwrap())
                .count();
            let rate = probes.len() as f64 / taken as f64;
            // One member may share its place with another, so a little less is right too.
            assert!(
                (2_900.0..5_800.0).contains(&rate),
                "one in {rate} with {count} members"
            );
        }
    }
}
