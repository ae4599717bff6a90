//! The bytes of a segment file, little endian:
//!
//! ```text
//! segment header, 64 bytes
//!    0  magic "hoplogIN"
//!    8  format version u32            the first 16 bytes are the same in every version, so that
//!   12  CRC-32C of bytes 0..12        a newer version and a flipped bit can be told apart
//!   16  segment number u32
//!   20  sequence of the first record u64
//!   28  totals before the first record: accepted u64, rejected u64 for each receiver
//!   60  CRC-32C of bytes 16..60
//!
//! record header, 80 bytes, then the stored payload
//!    0  marker "hREC"
//!    4  CRC-32C of the segment number (u32) and bytes 8..80
//!    8  stored length u32
//!   12  payload length before compression u32
//!   16  CRC-32C of the stored payload
//!   20  sequence u64                  counts records through all segments
//!   28  received at u64               Unix nanoseconds
//!   36  spans accepted u32
//!   40  spans rejected u32
//!   44  receiver u8
//!   45  1 if compressed with zstd, else 0
//!   46  0 u16
//!   48  totals before this record, as above
//! ```
//!
//! Segment number and sequence are part of what the checksum covers, so bytes of another segment,
//! or of an earlier life of this file, never pass for a record. Each record carries the totals
//! before it: the books stay exact over records that cannot be read.

use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use crate::entry::{Counts, RECEIVERS, Totals};

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
pub(crate) const SEGMENT_HEADER: u32 = 64;
pub(crate) const RECORD_HEADER: u32 = 80;
pub(crate) const MARKER: [u8; 4] = *b"hREC";

const MAGIC: [u8; 8] = *b"hoplogIN";
const HEADER_BYTES: usize = SEGMENT_HEADER as usize;
const RECORD_BYTES: usize = RECORD_HEADER as usize;

/// What a segment file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentLineer {
    pub(crate) segment: u32,
    pub(crate) first_sequence: u64,
    pub(crate) start: Totals,
}

/// What a segment file's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    Valid(SegmentLineer),
    /// Not (or not yet) a header: cut short, or damaged.
    Damaged,
    /// Written by a newer version.
    Newer(u32),
}

/// What stands before each payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// Bytes of the payload as stored.
    pub(crate) stored: u32,
    /// Bytes of the payload before compression.
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
    pub(crate) sequence: u64,
    pub(crate) received_at: u64,
    pub(crate) accepted: u32,
    pub(crate) rejected: u32,
    pub(crate) receiver: u8,
    pub(crate) compressed: bool,
    pub(crate) before: Totals,
}

/// The file of a segment.
pub(crate) fn segment_path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:010}.seg"))
}

/// The segment whose file has this name.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

// === impl SegmentLineer ===

impl SegmentLineer {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = &mut bytes[..12];
        out.put_slice(&MAGIC);
        out.put_u32_le(FORMAT);
        let preamble = crc32c::crc32c(&bytes[..12]);
        let mut out = &mut bytes[12..60];
        out.put_u32_le(preamble);
        out.put_u32_le(self.segment);
        out.put_u64_le(self.first_sequence);
        put_totals(&mut out, &self.start);
        let crc = crc32c::crc32c(&bytes[16..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a file's first bytes, as far as there are any.
    pub(crate) fn decode(bytes: &[u8]) -> HeaderRead {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return HeaderRead::Damaged;
        };
        let mut input = &bytes[8..];
        let format = input.get_u32_le();
        if bytes[..8] != MAGIC || input.get_u32_le() != crc32c::crc32c(&bytes[..12]) {
            return HeaderRead::Damaged;
        }
        if format > FORMAT {
            return HeaderRead::Newer(format);
        }
        let header = SegmentLineer {
            segment: input.get_u32_le(),
            first_sequence: input.get_u64_le(),
            start: get_totals(&mut input),
        };
        if input.get_u32_le() == crc32c::crc32c(&bytes[16..60]) {
            HeaderRead::Valid(header)
        } else {
            HeaderRead::Damaged
        }
    }
}

// === impl RecordHeader ===

impl RecordHeader {
    pub(crate) fn encode(&self, segment: u32) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let mut out = &mut bytes[8..];
        out.put_u32_le(self.stored);
        out.put_u32_le(self.length);
        out.put_u32_le(self.payload_crc);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.received_at);
        out.put_u32_le(self.accepted);
        out.put_u32_le(self.rejected);
        out.put_u8(self.receiver);
        out.put_u8(u8::from(self.compressed));
        out.put_u16_le(0);
        put_totals(&mut out, &self.before);
        bytes[..4].copy_from_slice(&MARKER);
        let crc = record_crc(segment, &bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` when these are not the first bytes of a record header of this segment.
    pub(crate) fn decode(bytes: &[u8], segment: u32) -> Option<RecordHeader> {
        let bytes = bytes.first_chunk::<RECORD_BYTES>()?;
        let mut input = &bytes[4..];
        if bytes[..4] != MARKER || input.get_u32_le() != record_crc(segment, bytes) {
            return None;
        }
        let header = RecordHeader {
            stored: input.get_u32_le(),
            length: input.get_u32_le(),
            payload_crc: input.get_u32_le(),
            sequence: input.get_u64_le(),
            received_at: input.get_u64_le(),
            accepted: input.get_u32_le(),
            rejected: input.get_u32_le(),
            receiver: input.get_u8(),
            compressed: input.get_u8() == 1,
            before: {
                input.advance(2);
                get_totals(&mut input)
            },
        };
        // A payload that does not shrink is stored as it is, so `stored` is never the greater.
        let sane = header.stored <= header.length
            && header.length as usize <= crate::MAX_PAYLOAD_BYTES
            && usize::from(header.receiver) < RECEIVERS;
        sane.then_some(header)
    }

    /// The totals after this record.
    pub(crate) fn after(&self) -> Totals {
        self.before
            .plus(self.receiver, self.accepted, self.rejected)
    }
}

fn record_crc(segment: u32, bytes: &[u8; RECORD_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&segment.to_le_bytes()), &bytes[8..])
}

fn put_totals(out: &mut impl BufMut, totals: &Totals) {
    for counts in &totals.receivers {
        out.put_u64_le(counts.accepted);
        out.put_u64_le(counts.rejected);
    }
}

fn get_totals(input: &mut impl Buf) -> Totals {
    let receivers = std::array::from_fn(|_| Counts {
        accepted: input.get_u64_le(),
        rejected: input.get_u64_le(),
    });
    Totals { receivers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals::default().plus(0, 7, 1).plus(1, 9, 2)
    }

    fn record() -> RecordHeader {
        RecordHeader {
            stored: 10,
            length: 20,
            payload_crc: 3,
            sequence: 4,
            received_at: 5,
            accepted: 6,
            rejected: 7,
            receiver: 1,
            compressed: true,
            before: totals(),
        }
    }

    #[test]
    fn headers_come_back_as_they_went() {
        let header = SegmentLineer {
            segment: 3,
            first_sequence: 99,
            start: totals(),
        };
        assert_eq!(
            SegmentLineer::decode(&header.encode()),
            HeaderRead::Valid(header)
        );
        assert_eq!(RecordHeader::decode(&record().encode(3), 3), Some(record()));
    }

    #[test]
    fn a_record_of_another_segment_is_none() {
        assert_eq!(RecordHeader::decode(&record().encode(3), 4), None);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let segment = SegmentLineer {
            segment: 3,
            first_sequence: 99,
            start: totals(),
        }
        .encode();
        let record = record().encode(3);
        for bit in 0..segment.len() * 8 {
            let mut bytes = segment;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentLineer::decode(&bytes),
                HeaderRead::Damaged,
                "bit {bit}"
            );
        }
        for bit in 0..record.len() * 8 {
            let mut bytes = record;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&bytes, 3), None, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = SegmentLineer {
            segment: 3,
            first_sequence: 99,
            start: totals(),
        }
        .encode();
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(SegmentLineer::decode(&bytes), HeaderRead::Damaged);
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentLineer::decode(&bytes), HeaderRead::Newer(2));
    }

    #[test]
    fn names_and_numbers() {
        let path = segment_path(Path::new("d"), 7);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(segment_number(name), Some(7));
        for other in [
            "lock",
            "7.seg",
            "+000000007.seg",
            "0000000007.seg.bak",
            "9999999999.seg",
        ] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }
}
