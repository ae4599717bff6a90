//! How durations are spread: counts in buckets whose width grows with the value.
//!
//! Values below 32 ns have a bucket each. Above, every power of two is cut into 32 equal
//! buckets, so a bucket's middle is within 1/64 (1.6 %) of every value in it. Counts are
//! integers, so sketches add up, and subtract, exactly and in any order.

const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;

/// Bytes that are no sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sketch: {0}")]
pub struct SketchError(&'static str);

/// A distribution of durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Ascending, none of them empty: flat, since charts merge thousands of sketches.
    buckets: Vec<(u16, u64)>,
}

impl Sketch {
    /// Largest relative error of [`Sketch::quantile`]; below 2 % as the API states.
    pub const RELATIVE_ERROR: f64 = 1.0 / 64.0;

    /// The bucket of a duration; at most 1,919.
    pub fn bucket(nanos: u64) -> u16 {
        let bucket = if nanos < SUB {
            nanos
        } else {
            let power = 63 - nanos.leading_zeros();
            let shift = power - SUB_BITS;
            u64::from(shift + 1) * SUB + ((nanos >> shift) - SUB)
        };
        u16::try_from(bucket).expect("60 rows of 32 buckets")
    }

    /// Least value of a bucket, and how many values it spans.
    fn bounds(bucket: u16) -> (u64, u64) {
        let (row, column) = (u64::from(bucket) / SUB, u64::from(bucket) % SUB);
        if row == 0 {
            (column, 1)
        } else {
            ((SUB + column) << (row - 1), 1 << (row - 1))
        }
    }

    /// A bucket's middle, in nanoseconds.
    pub fn middle(bucket: u16) -> u64 {
        let (least, width) = Self::bounds(bucket);
        least + (width - 1) / 2
    }

    /// A bucket's least value and its first value past the end (saturating), in nanoseconds.
    pub fn range(bucket: u16) -> (u64, u64) {
        let (least, width) = Self::bounds(bucket);
        (least, least.saturating_add(width))
    }

    /// Counts one duration.
    pub fn add(&mut self, nanos: u64) {
        self.add_bucket(Self::bucket(nanos), 1);
    }

    /// Counts `count` durations of one bucket.
    pub fn add_bucket(&mut self, bucket: u16, count: u64) {
        if count == 0 {
            return;
        }
        match self.place(bucket) {
            Ok(place) => self.buckets[place].1 += count,
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// Takes `count` durations out of a bucket; false (and nothing done) if it holds fewer.
    pub fn remove_bucket(&mut self, bucket: u16, count: u64) -> bool {
        match self.place(bucket) {
            Ok(place) if self.buckets[place].1 > count => self.buckets[place].1 -= count,
            Ok(place) if self.buckets[place].1 == count => {
                self.buckets.remove(place);
            }
            _ => return count == 0,
        }
        true
    }

    /// Where a bucket is, or would be.
    fn place(&self, bucket: u16) -> Result<usize, usize> {
        // Often it is the last one, or comes after it.
        match self.buckets.last() {
            Some((last, _)) if *last < bucket => Err(self.buckets.len()),
            _ => self
                .buckets
                .binary_search_by_key(&bucket, |(known, _)| *known),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        // From behind, into the room made at the end: what is moved was read before.
        let (mut from, mut more) = (self.buckets.len(), other.buckets.len());
        let mut to = from + more;
        self.buckets.resize(to, (0, 0));
        while more > 0 {
            let theirs = other.buckets[more - 1];
            to -= 1;
            match from.checked_sub(1).map(|last| self.buckets[last]) {
                Some(ours) if ours.0 > theirs.0 => {
                    self.buckets[to] = ours;
                    from -= 1;
                }
                Some(ours) if ours.0 == theirs.0 => {
                    self.buckets[to] = (ours.0, ours.1 + theirs.1);
                    (from, more) = (from - 1, more - 1);
                }
                _ => {
                    self.buckets[to] = theirs;
                    more -= 1;
                }
            }
        }
        // Buckets that both had leave a gap between what stayed and what was written.
        self.buckets.drain(from..to);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Buckets that hold something, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.buckets.iter().copied()
    }

    /// The duration below or at which a share `q` (0 to 1) of all lie, in nanoseconds; none if empty.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let total = self.count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank: counts stay far below 2^53"
        )]
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| Self::middle(*bucket))
        })
    }

    /// Appends the sketch: for each bucket the varint step from the last one, then the varint count.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let mut last = 0;
        for (bucket, count) in &self.buckets {
            varint(u64::from(bucket - last), to);
            varint(*count, to);
            last = *bucket;
        }
    }

    /// Reads what [`Sketch::encode`] wrote; the bytes must end with it.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, SketchError> {
        let mut sketch = Self::default();
        let mut bucket = 0_u64;
        while !bytes.is_empty() {
            bucket += take_varint(&mut bytes)?;
            let count = take_varint(&mut bytes)?;
            let bucket = u16::try_from(bucket).map_err(|_| SketchError("bucket out of range"))?;
            sketch.add_bucket(bucket, count);
        }
        Ok(sketch)
    }
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).expect("seven bits"));
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, SketchError> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(SketchError("cut short"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(SketchError("number too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_within_the_error(nanos in any::<u64>()) {
            let bucket = Sketch::bucket(nanos);
            let (least, end) = Sketch::range(bucket);
            prop_assert!(least <= nanos && (nanos < end || end == u64::MAX));
            let off = Sketch::middle(bucket).abs_diff(nanos) as f64;
            prop_assert!(off <= nanos as f64 * Sketch::RELATIVE_ERROR);
        }

        #[test]
        fn encoding_and_merging_lose_nothing(a in prop::collection::vec(any::<u64>(), 0..50),
                                             b in prop::collection::vec(any::<u64>(), 0..50)) {
            let of = |values: &[u64]| {
                let mut sketch = Sketch::default();
                values.iter().for_each(|v| sketch.add(*v));
                sketch
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &of(&[a.clone(), b.clone()].concat()));
            let mut bytes = Vec::new();
            merged.encode(&mut bytes);
            prop_assert_eq!(Sketch::decode(&bytes).unwrap(), merged.clone());
            for value in &b {
                prop_assert!(merged.remove_bucket(Sketch::bucket(*value), 1));
            }
            prop_assert_eq!(merged, of(&a));
        }
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let mut sketch = Sketch::default();
        (1..=100).for_each(|ms| sketch.add(ms * 1_000_000));
        let p95 = sketch.quantile(0.95).unwrap();
        assert!(p95.abs_diff(95_000_000) < 95_000_000 / 50, "{p95}");
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert!(Sketch::decode(&[0x80]).is_err());
    }
}
