//! Walks over the records of one segment file and over what is damaged between them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::format::{MARKER, RECORD_HEADER, RecordHeader};

/// How much is read at once, in bytes, where a record does not need more.
const CHUNK: u32 = 256 * 1024;

/// What stands at a place in the file.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole, undamaged record; the next place is `end`.
    Record { header: RecordHeader, end: u32 },
    /// Bytes that are no record; the next place is `end`.
    Gap { end: u32 },
    /// Nothing more before the limit.
    End,
}

/// An open segment file and a window of its bytes.
#[derive(Debug)]
pub(crate) struct Walk {
    file: File,
    segment: u32,
    window: Vec<u8>,
    window_at: u32,
    /// Sequences rise within a file; what does not is left from an earlier life of the file.
    last_sequence: Option<u64>,
}

impl Walk {
    pub(crate) fn open(path: &Path, segment: u32) -> io::Result<Walk> {
        let file = File::open(path)?;
        Ok(Walk {
            file,
            segment,
            window: Vec::new(),
            window_at: 0,
            last_sequence: None,
        })
    }

    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    /// What stands at `at`, not looking at `limit` or beyond: what is there may not be synced.
    pub(crate) fn step(&mut self, at: u32, limit: u32) -> io::Result<Step> {
        if at >= limit {
            return Ok(Step::End);
        }
        if let Some(header) = self.header_at(at, limit)? {
            let end = at
                .saturating_add(RECORD_HEADER)
                .saturating_add(header.stored);
            if end > limit {
                return Ok(Step::Gap { end: limit });
            }
            if !self.payload_is_whole(at, &header, limit)? {
                return Ok(Step::Gap { end });
            }
            self.last_sequence = Some(header.sequence);
            return Ok(Step::Record { header, end });
        }
        let end = self.next_header(at + 1, limit)?.unwrap_or(limit);
        Ok(Step::Gap { end })
    }

    /// The stored payload of the record that `step` has just found at `at`.
    pub(crate) fn payload(&self, at: u32, header: &RecordHeader) -> &[u8] {
        let from = (at - self.window_at + RECORD_HEADER) as usize;
        &self.window[from..from + header.stored as usize]
    }

    fn header_at(&mut self, at: u32, limit: u32) -> io::Result<Option<RecordHeader>> {
        if limit.saturating_sub(at) < RECORD_HEADER {
            return Ok(None);
        }
        let segment = self.segment;
        let header = RecordHeader::decode(self.fill(at, RECORD_HEADER, limit)?, segment);
        Ok(header.filter(|header| self.last_sequence.is_none_or(|last| header.sequence > last)))
    }

    fn payload_is_whole(&mut self, at: u32, header: &RecordHeader, limit: u32) -> io::Result<bool> {
        let bytes = self.fill(at, RECORD_HEADER + header.stored, limit)?;
        Ok(crc32c::crc32c(&bytes[RECORD_HEADER as usize..]) == header.payload_crc)
    }

    /// The next place from `from` on where a record header stands.
    fn next_header(&mut self, mut from: u32, limit: u32) -> io::Result<Option<u32>> {
        while limit.saturating_sub(from) >= RECORD_HEADER {
            let length = CHUNK.min(limit - from);
            let chunk = self.fill(from, length, limit)?;
            let Some(found) = chunk
                .windows(MARKER.len())
                .position(|bytes| bytes == MARKER)
            else {
                // The marker may begin in the last bytes of this chunk.
                from += length - (MARKER.len() as u32 - 1);
                continue;
            };
            from += found as u32;
            if self.header_at(from, limit)?.is_some() {
                return Ok(Some(from));
            }
            from += 1;
        }
        Ok(None)
    }

    /// The `length` bytes at `at`, which must end before `limit`.
    fn fill(&mut self, at: u32, length: u32, limit: u32) -> io::Result<&[u8]> {
        let window_end = self.window_at as usize + self.window.len();
        let end = at as usize + length as usize;
        if at < self.window_at || end > window_end {
            let wanted = length.max(CHUNK.min(limit - at)) as usize;
            if self.window.capacity() > 4 * wanted.max(CHUNK as usize) {
                self.window = Vec::new();
            }
            // Nothing of it counts as read should the read fail.
            self.window.clear();
            self.window.resize(wanted, 0);
            self.window_at = at;
            if let Err(error) = self.file.read_exact_at(&mut self.window, u64::from(at)) {
                self.window.clear();
                return Err(error);
            }
        }
        let from = (at - self.window_at) as usize;
        Ok(&self.window[from..from + length as usize])
    }
}
