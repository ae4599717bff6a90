//! A payload as it is stored: compressed on the task of whoever appends it.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

/// Little work (a fifth less than level 1), and still a seventh of the bytes to write.
const LEVEL: i32 = -1;

/// A thread keeps its compression buffer up to this size, in bytes.
const SCRATCH_BYTES: usize = 4 * 1024 * 1024;

/// A payload's stored form.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Bytes,
    /// Whether `bytes` is a zstd frame; else it is the payload itself.
    pub(crate) compressed: bool,
    /// CRC-32C of `bytes`.
    pub(crate) crc: u32,
}

#[derive(Default)]
struct Scratch {
    compressor: Option<Compressor<'static>>,
    buffer: Vec<u8>,
}

thread_local! {
    // Setting up a zstd context costs more than compressing a small request with it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The stored form of `payload`: compressed where that is smaller.
pub(crate) fn pack(payload: &Bytes) -> Packed {
    let frame = SCRATCH.with_borrow_mut(|scratch| compress(scratch, payload));
    let (bytes, compressed) = match frame {
        Some(frame) => (frame, true),
        None => (payload.clone(), false),
    };
    let crc = crc32c::crc32c(&bytes);
    Packed {
        bytes,
        compressed,
        crc,
    }
}

/// `None` when it would not be smaller, or zstd cannot get its memory.
fn compress(scratch: &mut Scratch, payload: &[u8]) -> Option<Bytes> {
    if scratch.compressor.is_none() {
        scratch.compressor = Compressor::new(LEVEL).ok();
    }
    let compressor = scratch.compressor.as_mut()?;
    scratch.buffer.clear();
    scratch
        .buffer
        .reserve(zstd::zstd_safe::compress_bound(payload.len()));
    let length = compressor
        .compress_to_buffer(payload, &mut scratch.buffer)
        .ok()?;
    let frame = (length < payload.len()).then(|| Bytes::copy_from_slice(&scratch.buffer));
    if scratch.buffer.capacity() > SCRATCH_BYTES {
        scratch.buffer = Vec::new();
    }
    frame
}

/// The way back.
pub(crate) struct Unpacker(Decompressor<'static>);

impl Unpacker {
    /// Fails when zstd cannot get its memory.
    pub(crate) fn new() -> io::Result<Unpacker> {
        Decompressor::new().map(Unpacker)
    }

    /// The payload of `length` bytes; `None` when `stored` does not hold one.
    pub(crate) fn unpack(&mut self, stored: &[u8], compressed: bool, length: u32) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        let payload = if compressed {
            Bytes::from(self.0.decompress(stored, length).ok()?)
        } else {
            Bytes::copy_from_slice(stored)
        };
        (payload.len() == length).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let repeated = Bytes::from(b"span ".repeat(1000));
        let packed = pack(&repeated);
        assert!(packed.compressed && packed.bytes.len() < 100);
        let mut unpacker = Unpacker::new().unwrap();
        assert_eq!(unpacker.unpack(&packed.bytes, true, 5000), Some(repeated));
        assert_eq!(unpacker.unpack(&packed.bytes, true, 4999), None);
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        for payload in [Bytes::new(), Bytes::from_static(b"ab")] {
            let packed = pack(&payload);
            assert!(!packed.compressed);
            assert_eq!(packed.bytes, payload);
            let length = u32::try_from(payload.len()).unwrap();
            assert_eq!(
                Unpacker::new()
                    .unwrap()
                    .unpack(&packed.bytes, false, length),
                Some(payload)
            );
        }
    }
}
