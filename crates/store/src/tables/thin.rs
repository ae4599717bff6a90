//! A partition is thinned: the few rows that stay move into a new one, for the same time, and the old one is
//! dropped. Nobody waits meanwhile: the old partition answers and takes rows until the new one is whole, and the
//! new one takes its place only if nothing was written in between.
//!
//! Roll-ups move as they are, but for the count of spans that stand in no row: charts stay exact for what is gone.

use super::{Cell, Changes, Deltas, Rollup, Stored, Tables, hours};
use crate::StoreError;
use crate::retention::{Keep, Past};
use crate::segment::ROWS_MAX;
use async_trait::async_trait;
use hoplog_model::{SpanStatus, TraceId};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// Bytes of frames that move together, about at most.
const BYTES: usize = 4 << 20;
/// Segments listed at once.
const SEGMENTS: usize = 64;

/// Which rows stay.
#[derive(Debug, Clone, Copy)]
pub struct Stay<'a> {
    /// Says what is slow.
    pub keep: &'a Keep,
    /// What goes.
    pub past: Past,
    /// What does not, whatever it is.
    pub pinned: &'a FxHashSet<TraceId>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows that stayed.
    pub rows: u64,
    /// Spans in them.
    pub spans: u64,
    /// Rows that did not.
    pub gone: u64,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Kept {
    /// Spans in the rows.
    pub spans: u64,
    /// What the roll-ups hold of them.
    pub rollups: Changes,
}

/// The partition that rows move to. It has the names of the old one from the start.
#[async_trait]
pub trait NewPartition: Send {
    /// Writes rows as the next segment, without roll-ups.
    async fn write(&mut self, rows: Vec<Stored>) -> Result<Kept, StoreError>;

    /// Writes roll-ups, by time and interface.
    async fn rollups(
        &mut self,
        table: Rollup,
        cells: Vec<((i64, i64), Cell)>,
    ) -> Result<(), StoreError>;
}

impl Stay<'_> {
    fn stays(&self, row: &super::WholeRow) -> bool {
        let columns = &row.columns;
        let has_error =
            columns.status == i64::from(SpanStatus::Error.to_wire()) || columns.counts[3] > 0;
        let is_slow = self.keep.is_slow(columns.duration.cast_unsigned());
        !self.past.takes(has_error, is_slow) || self.pinned.contains(&row.stored.packed.trace_id)
    }
}

/// Moves the rows that stay, and all roll-ups.
///
/// # Errors
/// What the partitions say; [`StoreError::Corrupt`] if a row is damaged: then nothing must be dropped.
pub async fn thin(
    from: &mut impl Tables,
    to: &mut impl NewPartition,
    stay: Stay<'_>,
) -> Result<Moved, StoreError> {
    let mut moving = Moving::default();
    // All numbers first: a row that a late part moves meanwhile goes to a segment that is not among them, and is
    // not met a second time. Such a copy is thrown away in the end.
    for segment in segments(from).await? {
        for row in from.whole_rows(segment).await? {
            let row = row?;
            if !stay.stays(&row) {
                moving.moved.gone += 1;
                continue;
            }
            moving.bytes += row.stored.packed.frames.len();
            moving.rows.push(row.stored);
            if moving.rows.len() == ROWS_MAX || moving.bytes >= BYTES {
                moving.write(to).await?;
            }
        }
    }
    moving.write(to).await?;
    if moving.moved.gone > 0 {
        rollups(from, to, &moving.kept).await?;
    }
    Ok(moving.moved)
}

/// Numbers of all segments, ascending.
async fn segments(from: &mut impl Tables) -> Result<Vec<i64>, StoreError> {
    let mut segments: Vec<i64> = Vec::new();
    loop {
        let after = segments.last().copied().unwrap_or(0);
        let more = from.since(after, SEGMENTS).await?;
        if more.is_empty() {
            return Ok(segments);
        }
        segments.extend(more.iter().map(|line| line.segment));
    }
}

/// Rows on their way.
#[derive(Default)]
struct Moving {
    rows: Vec<Stored>,
    bytes: usize,
    moved: Moved,
    /// What the roll-ups hold of the rows that stay.
    kept: Deltas,
}

impl Moving {
    async fn write(&mut self, to: &mut impl NewPartition) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        self.moved.rows += rows.len() as u64;
        let written = to.write(rows).await?;
        self.moved.spans += written.spans;
        for (key, delta) in written.rollups {
            self.kept.entry(key).or_default().merge(&delta);
        }
        Ok(())
    }
}

/// Moves the roll-ups, an hour at a time.
async fn rollups(
    from: &mut impl Tables,
    to: &mut impl NewPartition,
    kept: &Deltas,
) -> Result<(), StoreError> {
    let mut pending = Deltas::default();
    from.pending(&mut |key, delta| pending.entry(key).or_default().merge(delta));
    let all = cells(
        from,
        Rollup::Hours,
        (0, i64::MAX),
        (&hours(&pending), &hours(kept)),
    )
    .await?;
    let mut hours: Vec<i64> = all.keys().map(|(hour, _)| *hour).collect();
    hours.dedup();
    to.rollups(Rollup::Hours, all.into_iter().collect()).await?;
    for hour in hours {
        let within = (hour * 60, (hour + 1) * 60);
        let minutes = cells(from, Rollup::Minutes, within, (&pending, kept)).await?;
        to.rollups(Rollup::Minutes, minutes.into_iter().collect())
            .await?;
    }
    Ok(())
}

/// Roll-ups with what is pending of them, once only `kept` of their spans stand in rows.
async fn cells(
    from: &mut impl Tables,
    table: Rollup,
    (start, end): (i64, i64),
    (pending, kept): (&Deltas, &Deltas),
) -> Result<BTreeMap<(i64, i64), Cell>, StoreError> {
    let read = from.rollups(table, start..end, None).await?;
    let mut cells: BTreeMap<(i64, i64), Cell> = read.into_iter().collect();
    for (key, delta) in pending {
        if (start..end).contains(&key.0) {
            cells.entry(*key).or_default().change(delta);
        }
    }
    // A delta may have taken away the last span of a roll-up.
    cells.retain(|_, cell| *cell != Cell::default());
    for (key, cell) in &mut cells {
        cell.left_out = cell.count - kept.get(key).map_or(0, |kept| kept.count);
    }
    Ok(cells)
}
