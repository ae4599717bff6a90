//! The records of one service in one segment, as bytes: by interface number, each its number less the
//! one before, its failed spans, its rows and its durations. Spans are as many as there are durations,
//! and the longest is in the last bucket.

use crate::segment::{Damaged, Record};
use hoplog_model::Sketch;
use hoplog_otlp::write::varint;

/// Appends a record. `last` is the number of the one before, at first 0.
pub(super) fn encode(interface: i64, last: i64, record: &Record, to: &mut Vec<u8>) {
    varint(to, interface.abs_diff(last));
    varint(to, u64::from(record.errors));
    for bytes in [&record.rows, &record.sketch] {
        varint(to, bytes.len() as u64);
        to.extend_from_slice(bytes);
    }
}

/// A record as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub interface: i64,
    /// Failed spans.
    pub errors: u32,
    /// [`Record::rows`].
    pub rows: &'a [u8],
    /// [`Record::sketch`].
    sketch: &'a [u8],
}

impl Entry<'_> {
    /// Spans, and nanoseconds that none of them is longer than.
    ///
    /// # Errors
    /// [`Damaged`] if the durations cannot be read.
    pub fn count_and_longest(&self) -> Result<(u32, u64), Damaged> {
        let sketch = Sketch::decode(self.sketch).map_err(|_| Damaged("a record's durations"))?;
        let count = u32::try_from(sketch.count()).map_err(|_| Damaged("a record's count"))?;
        let last = sketch.buckets().last();
        Ok((count, last.map_or(0, |(bucket, _)| Sketch::range(bucket).1)))
    }
}

/// Reads what [`encode`] wrote.
pub fn decode(mut bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Damaged>> {
    let mut last = 0_i64;
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let entry = take(&mut bytes, last);
            match &entry {
                Ok(entry) => last = entry.interface,
                Err(_) => bytes = &[],
            }
            entry
        })
    })
}

fn take<'a>(bytes: &mut &'a [u8], last: i64) -> Result<Entry<'a>, Damaged> {
    let interface = last.checked_add_unsigned(number(bytes)?);
    let errors = u32::try_from(number(bytes)?).map_err(|_| Damaged("a record's errors"))?;
    let rows = part(bytes)?;
    let sketch = part(bytes)?;
    let interface = interface.ok_or(Damaged("a record's interface"))?;
    Ok(Entry {
        interface,
        errors,
        rows,
        sketch,
    })
}

fn part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = usize::try_from(number(bytes)?).map_err(|_| Damaged("a record's length"))?;
    let (part, rest) = bytes
        .split_at_checked(length)
        .ok_or(Damaged("a record cut short"))?;
    *bytes = rest;
    Ok(part)
}

fn number(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Damaged("a record cut short"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged("a record's number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(errors: u32, durations: &[u64]) -> Record {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|duration| sketch.add(*duration));
        let mut encoded = Vec::new();
        sketch.encode(&mut encoded);
        Record {
            interface: 0,
            rows: vec![1, 2, 3],
            count: u32::try_from(durations.len()).unwrap(),
            errors,
            longest: durations.iter().copied().max().unwrap_or_default(),
            sketch: encoded,
        }
    }

    #[test]
    fn records_come_back() {
        let records = [
            (7, record(0, &[5, 5_000, 77])),
            (900, record(3, &[1 << 40])),
        ];
        let (mut bytes, mut last) = (Vec::new(), 0);
        for (interface, record) in &records {
            encode(*interface, last, record, &mut bytes);
            last = *interface;
        }
        let decoded: Vec<Entry<'_>> = decode(&bytes).map(Result::unwrap).collect();
        for (entry, (interface, record)) in decoded.iter().zip(&records) {
            assert_eq!((entry.interface, entry.errors), (*interface, record.errors));
            assert_eq!(entry.rows, record.rows);
            let (count, longest) = entry.count_and_longest().unwrap();
            assert_eq!(count, record.count);
            assert!(
                longest >= record.longest && longest <= record.longest + record.longest / 32 + 1
            );
        }
        assert_eq!(decoded.len(), 2);
    }

    #[test]
    fn any_cut_is_read_or_refused() {
        let mut bytes = Vec::new();
        encode(300, 0, &record(1, &[9, 99, 999]), &mut bytes);
        for end in 1..bytes.len() {
            let last = decode(&bytes[..end]).last().unwrap();
            assert!(last.is_err(), "{end}");
        }
        assert!(decode(&[0x80; 20]).last().unwrap().is_err());
    }
}
