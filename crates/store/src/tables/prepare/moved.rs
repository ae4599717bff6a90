//! Rows that move into another partition: the same requests, in segments of their own.

use super::super::names::Names;
use super::super::stored::Stored;
use super::{NewRow, Prepared, Work};
use crate::StoreError;
use crate::pack::Dictionaries;
use std::sync::Arc;

/// Rows of one partition for another one, at most [`ROWS_MAX`](crate::segment::ROWS_MAX).
#[derive(Debug)]
pub struct Moving {
    /// The rows, whole.
    pub rows: Vec<Stored>,
    /// Of the partition they move to.
    pub names: Names,
    /// Those that they are packed with, and will be.
    pub dictionaries: Arc<Dictionaries>,
}

/// Prepares rows that move. What [`Prepared::written`] says is stored and what [`Prepared::rollups`] says is counted,
/// is so already where they come from. `order` as for [`prepare`](super::prepare).
///
/// # Errors
/// [`StoreError::Corrupt`] if one of them is damaged.
pub fn move_rows(
    moving: Moving,
    order: impl FnOnce(&[(NewRow, i64)]) -> Vec<usize>,
) -> Result<Prepared, StoreError> {
    let rows = moving.rows.len();
    let mut work = Work::new(moving.names, moving.dictionaries, u32::MAX, rows);
    for stored in moving.rows {
        let (request, _) = stored.packed.open(&work.dictionaries, &mut work.unpacker)?;
        work.written.stored += request.spans.len() as u64;
        let frames = work.pack(&request.summary, &request.spans);
        work.push(request.summary, frames);
    }
    Ok(work.finish(Vec::new(), 0, order))
}
