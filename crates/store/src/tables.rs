//! What the rows of tables hold, the same in every database: a store on a database is made of these and
//! its statements.
//!
//! On the way in, [`place`] says which partition a part belongs to and [`prepare`] turns a batch into
//! rows; on the way out a partition's [`Tables`] feed [`Sums`] and [`check`](check()).

mod check;
mod filters;
mod group;
mod learn;
mod merge;
mod names;
mod numbers;
mod packing;
pub mod place;
mod prepare;
pub mod records;
mod repack;
mod rollups;
mod settled;
mod stats;
mod stored;
mod thin;

pub use check::{Checked, check};
pub use filters::Asked;
pub use group::{Group, read_group};
pub use learn::{Learned, ROWS_LEAST, SAMPLES, learn};
pub use names::{Fresh, INTERFACES_MAX, KEYS_MAX, Names, key_number};
pub use numbers::{bits, lower, ordered, upper};
pub use packing::{Packing, Repacked};
pub use prepare::{
    FilterLine, Job, Moving, NewRow, Prepared, Search as SearchLines, move_rows, prepare,
};
pub use repack::{Line, Smaller, Step, repack, repacked};
pub use rollups::{Cell, Changes, Deltas, Pending, changed, decode, encode, hours};
pub use settled::Settled;
pub use stats::{Rollup, Sums};
pub use stored::{Columns, Stored, WholeRow, check32_of, join, trace_id};
pub use thin::{Kept, Moved, NewPartition, Stay, thin};

use crate::StoreError;
use crate::filter::merged::{self, Merged};
use crate::rollup::Delta;
use crate::walk::SegmentLine;
use async_trait::async_trait;
use hoplog_model::Interface;
use std::ops::Range;
use std::sync::Arc;

/// The tables of one partition, as one reader sees them. What is returned is committed, and of one moment
/// as far as roll-ups are concerned.
#[async_trait]
pub trait Tables: Send {
    /// Every interface with its number, ascending.
    async fn interfaces(&mut self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError>;

    /// The first and the last minute since 1970 of which the table has roll-ups.
    async fn minutes(&mut self) -> Result<Option<(i64, i64)>, StoreError>;

    /// Roll-ups of these minutes (or hours) since 1970, of these interfaces or of all.
    async fn rollups(
        &mut self,
        table: Rollup,
        at: Range<i64>,
        of: Option<&[i64]>,
    ) -> Result<Vec<((i64, i64), Cell)>, StoreError>;

    /// Changes of roll-ups, by minute, that are in no table yet.
    fn pending(&self, each: &mut dyn FnMut((i64, i64), &Delta));

    /// Segments with a greater number, ascending, at most `n`.
    async fn since(&mut self, segment: i64, n: usize) -> Result<Vec<SegmentLine>, StoreError>;

    /// The rows that a segment wrote and that are still there, with all columns. A row that cannot be read is an
    /// error of its own.
    async fn whole_rows(
        &mut self,
        segment: i64,
    ) -> Result<Vec<Result<WholeRow, StoreError>>, StoreError>;

    /// The search records of these segments: segment, and [`records`] by service.
    async fn records(&mut self, segments: Range<i64>) -> Result<Vec<(i64, Vec<u8>)>, StoreError>;

    /// The filters of these segments that are not merged.
    async fn filters(&mut self, segments: Range<i64>) -> Result<Vec<merged::Line>, StoreError>;

    /// The merged filters of a group: all of them, or none.
    async fn merged(&mut self, group: i64) -> Result<Vec<Merged>, StoreError>;
}
