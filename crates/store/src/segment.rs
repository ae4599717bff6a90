//! What is searched beside the rows: for each flushed batch one *segment* that says where
//! which rows stand, what interfaces and values they have.
//!
//! Everything here may say "perhaps" of a row that does not match, never "no" of one that does.

mod builder;
mod codec;
mod heads;
mod names;
pub(crate) mod outline;
mod rows;
mod scan;
mod values;

pub use builder::SegmentBuilder;
pub use codec::Damaged;
pub(crate) use codec::Reader;
pub use heads::{Code, Heads, RowHead, heads};
pub use names::Names;
pub use outline::Outline;
pub use rows::RowSet;
pub(crate) use scan::{ATTRIBUTE, Field, fields, name_and_statement};
pub(crate) use values::{number_text, value_hash};

use hoplog_model::UnixNanos;

/// Most rows in a segment.
pub const ROWS_MAX: usize = 512;

/// The pseudo key whose filter holds every span's id.
pub const SPAN_ID: &str = "span.id";

/// The pseudo key whose filter holds every row's trace id.
pub const TRACE_ID: &str = "trace.id";

/// In place of what there were too many of: as an interface's name it may stand for any name of
/// its service and kind; as a key, its filter holds the keys that have no filter of their own.
pub const OTHER: &str = "(other)";

/// Longest span name in bytes that is filed under itself; a longer one is filed under [`OTHER`].
pub const NAME_BYTES_MAX: usize = 512;

/// Most attribute keys of a segment with a filter of their own.
pub const KEYS_MAX: usize = 1_024;

/// Longest attribute key in bytes with a filter of its own.
pub const KEY_BYTES_MAX: usize = 256;

/// What a batch's rows look like from outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    /// Rows named.
    pub rows: u16,
    /// Least start of any row, in Unix nanoseconds.
    pub min_start: UnixNanos,
    /// Greatest start of any row.
    pub max_start: UnixNanos,
    /// Least duration of any row, in nanoseconds.
    pub min_duration: u64,
    /// Greatest duration of any row.
    pub max_duration: u64,
    /// Greatest extent of any row: from its first start to its last end.
    pub max_extent: u64,
    /// Every row's head; read with [`heads()`].
    pub heads: Vec<u8>,
    /// One per interface, by number.
    pub records: Vec<Record>,
    /// One per attribute key, no two of the same.
    pub filters: Vec<KeyFilter>,
}

/// The spans of one interface in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose spans: a number of the [`Names`] that the segment was made with.
    pub interface: u32,
    /// Ordinals of the rows that have such a span: [`RowSet::decode`].
    pub rows: Vec<u8>,
    /// Spans.
    pub count: u32,
    /// Those with status error.
    pub errors: u32,
    /// The longest, in nanoseconds.
    pub longest: u64,
    /// Their durations, as [`hoplog_model::Sketch::encode`] writes it.
    pub sketch: Vec<u8>,
}

/// The values of one attribute key in a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyFilter {
    /// The key: an attribute of spans or resources, `exception.type` or `exception.message` of
    /// events, [`SPAN_ID`], [`TRACE_ID`] or [`OTHER`].
    pub key: String,
    /// Distinct values.
    pub values: u32,
    /// Which rows may have them: [`crate::filter::rows`].
    pub filter: Vec<u8>,
    /// Least of the values that are or read as numbers; none if none does.
    pub number_min: Option<f64>,
    /// Greatest of those.
    pub number_max: Option<f64>,
}

#[cfg(test)]
mod tests;
