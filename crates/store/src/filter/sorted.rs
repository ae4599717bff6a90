//! Sorted numbers, each with a payload, so that those of one number are found without reading the rest.
//!
//! Elias-Fano: of n numbers below 2^v the high parts are groups of ones, each closed by a zero; the low parts follow as
//! they are, each with its payload behind it. That is about 2.5 + v - log2(n) bits a number, and its payload.
//!
//! On disk: n as a varint, the high bits, the low bits and payloads, each filled up to a byte.

use super::first::nth_zero;
use crate::segment::{Damaged, Reader};
use hoplog_otlp::write::varint;

/// How wide numbers and payloads are: together at most 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) value_bits: u32,
    pub(super) payload_bits: u32,
}

impl Shape {
    /// Low bits of each of so many numbers.
    fn low_bits(self, count: usize) -> u32 {
        ((1_usize << self.value_bits) / count.max(1))
            .checked_ilog2()
            .unwrap_or(0)
    }

    /// Bytes of the high parts, and of the rest.
    fn lengths(self, count: usize) -> (usize, usize) {
        let low = self.low_bits(count);
        let high = count + (1 << (self.value_bits - low));
        let rest = count * (low + self.payload_bits) as usize;
        (high.div_ceil(8), rest.div_ceil(8))
    }
}

/// Appends these numbers and payloads, which come sorted.
pub(super) fn encode(shape: Shape, entries: &[(u32, u32)], out: &mut Vec<u8>) {
    let low_bits = shape.low_bits(entries.len());
    let (high_bytes, rest_bytes) = shape.lengths(entries.len());
    varint(out, entries.len() as u64);
    let high = out.len();
    let rest = high + high_bytes;
    out.resize(rest + rest_bytes, 0);
    let width = (low_bits + shape.payload_bits) as usize;
    for (index, (value, payload)) in entries.iter().enumerate() {
        let place = (value >> low_bits) as usize + index;
        out[high + place / 8] |= 1 << (place % 8);
        let low = u64::from(value & ((1 << low_bits) - 1));
        let bits = low << shape.payload_bits | u64::from(*payload);
        let at = index * width;
        let bytes = (bits << (at % 8)).to_le_bytes();
        out[rest + at / 8..]
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to |= byte);
    }
}

/// What [`encode`] wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    shape: Shape,
    count: usize,
    low_bits: u32,
    high: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Sorted<'a> {
    /// # Errors
    /// [`Damaged`] if the bytes are too few or too many.
    pub(super) fn read(shape: Shape, bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut reader = Reader(bytes);
        let count = reader.number::<u32>()? as usize;
        let (high, rest) = shape.lengths(count);
        let sorted = Self {
            shape,
            count,
            low_bits: shape.low_bits(count),
            high: reader.bytes(high)?,
            rest: reader.bytes(rest)?,
        };
        if !reader.is_empty() {
            return Err(Damaged("a filter with bytes left over"));
        }
        Ok(sorted)
    }

    /// The payloads of this number, ascending.
    pub(super) fn payloads(self, value: u32) -> impl Iterator<Item = u32> + 'a {
        let group = (value >> self.low_bits) as usize;
        // Groups begin behind the zero of the group before. One that is missing is empty.
        let start = match group {
            0 => Some(0),
            _ => nth_zero(self.high, group - 1).map(|zero| zero + 1),
        };
        let low = value & ((1 << self.low_bits) - 1);
        start
            .into_iter()
            .flat_map(move |start| (start..).take_while(move |place| self.is_one(*place)))
            .map(move |place| self.entry(place - group))
            .filter_map(move |(found, payload)| (found == low).then_some(payload))
    }

    /// Every number with its payload, ascending.
    pub(super) fn iter(self) -> impl Iterator<Item = (u32, u32)> + 'a {
        let mut group = 0;
        let places = (0..self.high.len() * 8).filter_map(move |place| {
            let is_one = self.is_one(place);
            group += u32::from(!is_one);
            is_one.then_some(group)
        });
        places
            .take(self.count)
            .enumerate()
            .map(move |(index, group)| {
                let (low, payload) = self.entry(index);
                (group << self.low_bits | low, payload)
            })
    }

    fn is_one(self, place: usize) -> bool {
        let byte = self.high.get(place / 8);
        byte.is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// The low part and the payload of a number; zeros beyond the last.
    fn entry(self, index: usize) -> (u32, u32) {
        let width = self.low_bits + self.shape.payload_bits;
        let at = index * width as usize;
        let mut bytes = [0; 8];
        let from = self.rest.get(at / 8..).unwrap_or_default();
        let taken = from.len().min(8);
        bytes[..taken].copy_from_slice(&from[..taken]);
        let bits = u64::from_le_bytes(bytes) >> (at % 8);
        let take = |bits: u64, width: u32| {
            u32::try_from(bits & ((1 << width) - 1)).expect("at most 32 bits")
        };
        let payload = take(bits, self.shape.payload_bits);
        (
            take(bits >> self.shape.payload_bits, self.low_bits),
            payload,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn shape() -> impl Strategy<Value = Shape> {
        (1..=20_u32, 0..=12_u32).prop_map(|(value_bits, payload_bits)| Shape {
            value_bits,
            payload_bits,
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read((shape, entries) in shape().prop_flat_map(|shape| {
            let entry = (0..1_u32 << shape.value_bits, 0..1_u32 << shape.payload_bits);
            (Just(shape), vec(entry, 0..400))
        })) {
            let mut entries = entries;
            entries.sort_unstable();
            let mut bytes = Vec::new();
            encode(shape, &entries, &mut bytes);
            let sorted = Sorted::read(shape, &bytes).unwrap();
            prop_assert_eq!(&sorted.iter().collect::<Vec<_>>(), &entries);
            for (value, _) in &entries {
                let expected: Vec<u32> = entries.iter().filter(|(of, _)| of == value).map(|(_, payload)| *payload).collect();
                prop_assert_eq!(sorted.payloads(*value).collect::<Vec<_>>(), expected);
            }
            let absent = (0..1_u32 << shape.value_bits).find(|value| entries.iter().all(|(of, _)| of != value));
            if let Some(absent) = absent {
                prop_assert_eq!(sorted.payloads(absent).count(), 0);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(shape in shape(), bytes in vec(any::<u8>(), 0..60), value in any::<u32>()) {
            if let Ok(sorted) = Sorted::read(shape, &bytes) {
                let _ = sorted.payloads(value & ((1 << shape.value_bits) - 1)).count();
                let _ = sorted.iter().count();
            }
        }
    }
}
