//! Rows as they lie in `requests` and `parts`.

use crate::pack::check32;
use crate::walk::PackedRow;
use crate::{Filed, StoreError, StoredRequest, summarize};
use hoplog_model::{RowId, TraceId};
use std::sync::Arc;

/// A row, still packed.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The row with its frames: at first those in `requests`, after [`Stored::complete`] all.
    pub packed: PackedRow,
    /// Bytes of those of its frames that stand in `requests`; the others are in `parts`.
    pub own_bytes: usize,
    /// How many rows of `parts` it has.
    pub part_count: i64,
}

/// The columns of a row that its spans determine, as they lie in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// [`bits`](super::bits) of it, as the next two.
    pub started_at: i64,
    /// See there.
    pub duration: i64,
    /// See there.
    pub extent: i64,
    /// On the wire.
    pub status: i64,
    /// Of the root.
    pub code: Option<String>,
    /// Spans, hops, services, errors.
    pub counts: [i64; 4],
    /// All of them.
    pub flags: i64,
    /// Spans left out because of the cap.
    pub capped_spans: i64,
    /// Its number.
    pub interface: i64,
}

/// A row with everything that the table says of it.
#[derive(Debug, Clone)]
pub struct WholeRow {
    /// Its columns.
    pub columns: Columns,
    /// The row itself.
    pub stored: Stored,
}

/// A place in the database, for [`StoreError::Corrupt`].
pub(super) fn place(row: RowId) -> String {
    format!("requests row {} spans", row.0)
}

impl Stored {
    /// The row with its parts, verified. Parts are only ever added, so that those the row counts are there
    /// unchanged even if the row was merged in between.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the frames are not those that `check` was made of.
    pub fn complete<'a>(
        mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        check: u32,
    ) -> Result<Self, StoreError> {
        for part in parts {
            self.packed.frames.extend_from_slice(part);
        }
        if check32(&self.packed.frames) == check {
            Ok(self)
        } else {
            Err(StoreError::corrupt(
                place(self.packed.row),
                "the bytes do not match their check",
            ))
        }
    }
}

/// A `check32` column: the 32 bits as a signed number.
///
/// # Errors
/// [`StoreError::Corrupt`] if it has more.
pub fn check32_of(stored: i64) -> Result<u32, StoreError> {
    let check = i32::try_from(stored).map_err(|why| StoreError::corrupt("a check32", why))?;
    Ok(check.cast_unsigned())
}

/// A trace id column.
///
/// # Errors
/// [`StoreError::Corrupt`] if it is none.
pub fn trace_id(bytes: &[u8]) -> Result<TraceId, StoreError> {
    TraceId::from_slice(bytes).map_err(|why| StoreError::corrupt("a trace_id", why))
}

/// One request of two rows, the first of the older partition: those of a request that was filed in two.
pub fn join(first: StoredRequest, second: &StoredRequest) -> StoredRequest {
    let trace_id = first.summary.trace_id;
    let filed = Filed::of(&first.summary);
    let mut spans = Arc::unwrap_or_clone(first.spans);
    let absorbed = spans.absorb(&second.spans);
    let mut summary = summarize(trace_id, &spans);
    let filed = filed.later(summary.started_at, &absorbed, second.summary.capped_spans);
    filed.apply(&mut summary);
    StoredRequest {
        summary,
        spans: Arc::new(spans),
    }
}
