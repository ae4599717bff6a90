//! Changes of roll-ups as bytes: by minute, then interface; each number as the varint of its zigzag.

use super::Changes;
use crate::rollup::Delta;
use crate::segment::Damaged;
use hoplog_otlp::write::varint;

/// The changes as bytes.
pub fn encode(changes: &[((i64, i64), Delta)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24 * changes.len());
    let (mut last_at, mut last_interface) = (0_i64, 0_i64);
    for (key, delta) in changes {
        let numbers = [
            key.0.wrapping_sub(last_at),
            key.1.wrapping_sub(last_interface),
            delta.count,
            delta.errors,
            delta.sum,
            delta.left_out,
        ];
        numbers
            .into_iter()
            .for_each(|number| put(number, &mut bytes));
        varint(&mut bytes, delta.buckets.len() as u64);
        let mut last = 0;
        for (bucket, count) in &delta.buckets {
            varint(&mut bytes, u64::from(bucket - last));
            put(*count, &mut bytes);
            last = *bucket;
        }
        (last_at, last_interface) = *key;
    }
    bytes
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`Damaged`] if it is something else.
pub fn decode(mut bytes: &[u8]) -> Result<Changes, Damaged> {
    let mut changes = Changes::new();
    let mut key = (0_i64, 0_i64);
    while !bytes.is_empty() {
        key.0 = key.0.wrapping_add(signed(&mut bytes)?);
        key.1 = key.1.wrapping_add(signed(&mut bytes)?);
        let mut delta = Delta {
            count: signed(&mut bytes)?,
            errors: signed(&mut bytes)?,
            sum: signed(&mut bytes)?,
            left_out: signed(&mut bytes)?,
            buckets: Vec::new(),
        };
        let mut bucket = 0;
        for _ in 0..number(&mut bytes)? {
            let next = u16::try_from(number(&mut bytes)?).ok();
            bucket = next
                .and_then(|step| step.checked_add(bucket))
                .ok_or(DAMAGED)?;
            delta.buckets.push((bucket, signed(&mut bytes)?));
        }
        changes.push((key, delta));
    }
    Ok(changes)
}

const DAMAGED: Damaged = Damaged("not a list of changes");

fn put(number: i64, to: &mut Vec<u8>) {
    varint(to, (number << 1 ^ number >> 63).cast_unsigned());
}

fn signed(bytes: &mut &[u8]) -> Result<i64, Damaged> {
    let zigzag = number(bytes)?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

fn number(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(DAMAGED)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_and_cuts_are_refused() {
        let delta = |count, buckets: &[(u16, i64)]| Delta {
            count,
            errors: -1,
            sum: i64::MIN,
            left_out: 3,
            buckets: buckets.to_vec(),
        };
        let changes: Changes = vec![
            ((-5, 7), delta(1, &[(0, 1), (1_919, -4)])),
            ((30_000_000, 3), delta(0, &[(7, 1)])),
            ((30_000_000, 20_001), delta(i64::MAX, &[])),
        ];
        let bytes = encode(&changes);
        assert_eq!(decode(&bytes), Ok(changes));
        assert_eq!(decode(&[]), Ok(Changes::new()));
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&[0xff; 40]).is_err());
    }
}
