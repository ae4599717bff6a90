//! Rows as zstd frames: one frame a flush. Frames one after the other read as one.
//!
//! A frame's header names its dictionary. Without one, a frame holds an OTLP `TracesData`; with
//! one, the same spans by columns and in the symbols of the dictionary's table, which are byte for
//! byte `TracesData` again when read; behind such a frame stand its ids and times, which do not
//! compress. Spans that are written in an unusual way stay `TracesData`.

mod dictionary;
mod frames;
mod learn;
mod places;
mod squeeze;
mod table;

pub use dictionary::{Dictionaries, Dictionary, SHIPPED, train};
pub use frames::{PackError, Packer, Unpacked, Unpacker, check32, dictionary_of};
pub(crate) use squeeze::Listener;
pub(crate) use table::{Attribute, INT, TEXT};

/// The compression level of every frame.
pub const LEVEL: i32 = 3;

/// Most that is read back of a row, in bytes unpacked; a larger size means damage.
pub const ROW_BYTES_READ_MAX: usize = 512 << 20;

/// Bytes of a row's spans, with their resources, from which on it takes no later part. A part is
/// bounded by what the assembler holds of a request, so that no row outgrows
/// [`ROW_BYTES_READ_MAX`].
pub const ROW_BYTES_FULL: usize = 256 << 20;
