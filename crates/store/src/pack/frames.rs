//! Packing spans into frames and getting them back.

use super::squeeze::{Columns, Listener, MARK, expand};
use super::{Dictionaries, Dictionary, LEVEL, ROW_BYTES_READ_MAX};
use crate::segment::Damaged;
use hoplog_model::TraceId;
use hoplog_otlp::{SliceError, SpanSet};
use std::fmt;
use std::sync::Arc;
use twox_hash::XxHash3_64;
use zstd::zstd_safe::{self, CCtx, DCtx};

/// Why frames cannot be read, or a dictionary not be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The frame's dictionary is not installed.
    #[error("dictionary {0} is not there")]
    UnknownDictionary(u32),
    /// Made by another version of hoplog, whose frames this one cannot read.
    #[error("a dictionary of another version of hoplog")]
    OtherVersion,
    /// The bytes are no trained dictionary.
    #[error("these bytes are no dictionary")]
    NoDictionary,
    /// Another dictionary has this id.
    #[error("there is another dictionary with id {0}")]
    SameId(u32),
    /// Damaged or cut short; says what zstd says.
    #[error("not a whole frame: {0}")]
    Frame(&'static str),
    /// The frame holds something else than spans.
    #[error(transparent)]
    Spans(#[from] SliceError),
}

impl From<Damaged> for PackError {
    fn from(damaged: Damaged) -> Self {
        Self::Frame(damaged.0)
    }
}

/// A check of frames, to be stored beside them: the low half of their XXH3 hash.
pub fn check32(frames: &[u8]) -> u32 {
    let low = XxHash3_64::oneshot(frames) & u64::from(u32::MAX);
    u32::try_from(low).expect("masked to 32 bits")
}

/// The id of the dictionary that the first of these frames is packed with; 0 is none, and no frame.
pub fn dictionary_of(frames: &[u8]) -> u32 {
    zstd_safe::get_dict_id_from_frame(frames).map_or(0, std::num::NonZeroU32::get)
}

/// Makes frames; keeps its buffers for the next.
pub struct Packer {
    context: CCtx<'static>,
    columns: Columns,
    raw: Vec<u8>,
    tail: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    /// A packer.
    pub fn new() -> Self {
        Self {
            context: CCtx::create(),
            columns: Columns::default(),
            raw: Vec::new(),
            tail: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// Appends the spans to `frames` as one frame.
    pub fn pack(&mut self, dictionary: Option<&Dictionary>, spans: &SpanSet, frames: &mut Vec<u8>) {
        self.pack_some(dictionary, spans, |_| true, frames);
    }

    /// As [`Packer::pack`], of those spans whose index `pick` chooses.
    pub fn pack_some(
        &mut self,
        dictionary: Option<&Dictionary>,
        spans: &SpanSet,
        pick: impl Fn(usize) -> bool,
        frames: &mut Vec<u8>,
    ) {
        if self.squeeze(dictionary, spans, &pick, &mut ()).is_none() {
            self.raw.clear();
            spans.write_some(pick, &mut self.raw);
        }
        self.compress(dictionary, frames);
    }

    /// As [`Packer::pack`]; the listener hears of every span. False if it does not, or only of some,
    /// because a span is out of the ordinary.
    pub(crate) fn pack_aloud<'a>(
        &mut self,
        dictionary: Option<&Dictionary>,
        spans: &'a SpanSet,
        listener: &mut impl Listener<'a>,
        frames: &mut Vec<u8>,
    ) -> bool {
        let squeezed = self.squeeze(dictionary, spans, |_| true, listener);
        if squeezed.is_none() {
            self.raw.clear();
            spans.write_traces(&mut self.raw);
        }
        self.compress(dictionary, frames);
        squeezed.is_some()
    }

    fn squeeze<'a>(
        &mut self,
        dictionary: Option<&Dictionary>,
        spans: &'a SpanSet,
        pick: impl Fn(usize) -> bool,
        listener: &mut impl Listener<'a>,
    ) -> Option<()> {
        self.raw.clear();
        self.tail.clear();
        let table = dictionary?.table();
        let out = (&mut self.raw, &mut self.tail);
        self.columns.squeeze(table, spans, pick, listener, out)
    }

    /// Appends `self.raw` as a frame, and its tail.
    fn compress(&mut self, dictionary: Option<&Dictionary>, frames: &mut Vec<u8>) {
        self.packed.clear();
        self.packed
            .reserve(zstd_safe::compress_bound(self.raw.len()));
        let done = match dictionary {
            Some(dictionary) => {
                let dictionary = dictionary.encoder();
                self.context
                    .compress_using_cdict(&mut self.packed, &self.raw, dictionary)
            }
            None => self.context.compress(&mut self.packed, &self.raw, LEVEL),
        };
        done.expect("the buffer has room for the worst case");
        frames.extend_from_slice(&self.packed);
        frames.extend_from_slice(&self.tail);
    }
}

impl Default for Packer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// What frames held.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    /// The request; none if there were no spans.
    pub trace_id: Option<TraceId>,
    /// Its spans, each id once.
    pub spans: SpanSet,
    /// Bytes after decompression.
    pub bytes: u64,
}

/// Reads frames; keeps its buffers for the next.
pub struct Unpacker {
    context: DCtx<'static>,
    frame: Vec<u8>,
    raw: Vec<u8>,
}

impl Unpacker {
    /// An unpacker.
    pub fn new() -> Self {
        Self {
            context: DCtx::create(),
            frame: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Appends what the frames hold to `raw`, which is one OTLP `TracesData`; returns how many frames
    /// there were. A span can be in several frames: the best one counts, as
    /// [`SpanSet::dedupe`] chooses it.
    ///
    /// # Errors
    /// Any [`PackError`] about frames; `raw` then has what precedes the fault.
    pub fn raw(
        &mut self,
        dictionaries: &Dictionaries,
        mut frames: &[u8],
        raw: &mut Vec<u8>,
    ) -> Result<usize, PackError> {
        let mut count = 0;
        while !frames.is_empty() {
            let size = zstd_safe::find_frame_compressed_size(frames).map_err(said)?;
            let (frame, mut rest) = frames
                .split_at_checked(size)
                .ok_or(PackError::Frame("cut short"))?;
            let dictionary = self.unpack_frame(dictionaries, frame)?;
            match (self.frame.split_first(), dictionary) {
                (Some((&MARK, squeezed)), Some(dictionary)) => {
                    expand(dictionary.table(), squeezed, &mut rest, raw)?;
                }
                _ => raw.extend_from_slice(&self.frame),
            }
            if raw.len() > ROW_BYTES_READ_MAX {
                return Err(PackError::Frame("of a mad size"));
            }
            frames = rest;
            count += 1;
        }
        Ok(count)
    }

    /// Reads the spans of a row from all its frames.
    ///
    /// # Errors
    /// Any [`PackError`] about frames.
    pub fn unpack(
        &mut self,
        dictionaries: &Dictionaries,
        frames: &[u8],
    ) -> Result<Unpacked, PackError> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        let count = self.raw(dictionaries, frames, &mut raw);
        let read = count.and_then(|count| Ok((count, SpanSet::read_traces(&raw)?)));
        let bytes = raw.len() as u64;
        self.raw = raw;
        let (count, (trace_id, mut spans)) = read?;
        if count > 1 {
            spans.dedupe();
        }
        Ok(Unpacked {
            trace_id,
            spans,
            bytes,
        })
    }

    /// Leaves the frame's content in `self.frame`; returns its dictionary.
    fn unpack_frame(
        &mut self,
        dictionaries: &Dictionaries,
        frame: &[u8],
    ) -> Result<Option<Arc<Dictionary>>, PackError> {
        let size = zstd_safe::get_frame_content_size(frame).ok().flatten();
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size
            .filter(|size| *size <= ROW_BYTES_READ_MAX)
            .ok_or(PackError::Frame("without a size, or a mad one"))?;
        self.frame.clear();
        self.frame.reserve(size);
        let Some(id) = zstd_safe::get_dict_id_from_frame(frame) else {
            self.context
                .decompress(&mut self.frame, frame)
                .map_err(said)?;
            return Ok(None);
        };
        let dictionary = dictionaries.get(id.get());
        let dictionary = dictionary.ok_or(PackError::UnknownDictionary(id.get()))?;
        let decoder = dictionary.decoder();
        self.context
            .decompress_using_ddict(&mut self.frame, frame, decoder)
            .map_err(said)?;
        Ok(Some(dictionary))
    }
}

impl Default for Unpacker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

fn said(code: usize) -> PackError {
    PackError::Frame(zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests;
