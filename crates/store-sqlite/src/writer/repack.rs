//! A segment's rows with new frames.

use super::Writer;
use super::file::{PartitionFile, insert_dictionary};
use crate::db::column;
use crate::partition::Partition;
use crate::repack::segment_bounds;
use crate::sql::{self, Args, Bulk};
use hoplog_model::UnixNanos;
use hoplog_store::StoreError;
use hoplog_store::pack::Dictionary;
use hoplog_store::tables::{Packing, Smaller, Step, repacked};
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Columns of `requests` whose values matter here.
const CHECK: usize = 15;
const SPANS: usize = 16;

impl Writer {
    /// Exchanges frames of a segment's rows, in one transaction with the figures. Of these segments it is the last, and
    /// the only one that is there.
    pub(crate) async fn repack(
        &mut self,
        partition: &Arc<Partition>,
        (segments, dictionary): (RangeInclusive<i64>, &Dictionary),
        smaller: Vec<Smaller>,
    ) -> Result<Step, StoreError> {
        let (first, segment) = segments.into_inner();
        // Batches may have come since the rows were read, or retention.
        let next = partition.next_to_repack(dictionary.id());
        let Some((_, next)) = next.filter(|(next, _)| *next == first && !partition.is_dropped())
        else {
            return Ok(Step {
                more: true,
                ..Step::default()
            });
        };
        let next = next.skipped_to(segment);
        let mut file = self.take_file(partition).await?;
        let now = self.shared.clock.now();
        let step = file
            .repack((segment, dictionary), smaller, next, now)
            .await?;
        if self.unsynced.iter().all(|one| one.name != partition.name) {
            self.unsynced.push(Arc::clone(partition));
        }
        match file.tidy().await {
            Ok(()) => self.keep_file(file).await,
            Err(why) => tracing::warn!(%why, "a partition could not be tidied"),
        }
        Ok(step)
    }
}

impl PartitionFile {
    async fn repack(
        &mut self,
        (segment, dictionary): (i64, &Dictionary),
        smaller: Vec<Smaller>,
        next: Packing,
        now: UnixNanos,
    ) -> Result<Step, StoreError> {
        self.connection.begin().await?;
        let mut done = Vec::new();
        if !smaller.is_empty() {
            if !self.dictionaries.contains(&dictionary.id()) {
                insert_dictionary(&mut self.connection, dictionary, None, now).await?;
            }
            done = self.exchange(segment, smaller).await?;
        }
        let saved: u64 = done.iter().map(|smaller| smaller.saved).sum();
        let packing = repacked(next, &done);
        let args = Args::new().with(sql::bits(saved)).with(packing.encode());
        self.connection.execute(&sql::SET_PACKING, args).await?;
        self.connection.commit().await?;
        if !done.is_empty() {
            self.dictionaries.insert(dictionary.id());
            self.partition
                .look_for_free_pages(&mut self.connection)
                .await?;
        }
        let mut figures = self.partition.figures();
        figures.packed_bytes = figures.packed_bytes.saturating_sub(saved);
        self.partition.set_figures(figures);
        self.partition.set_packing(packing);
        Ok(Step {
            rows: done.len() as u64,
            saved,
            more: true,
        })
    }

    /// Takes all rows of the segment out and puts them back in their order: a row that only shrinks where it
    /// lies leaves a gap that nothing ever fills (rows are appended), this way they leave whole pages to the
    /// rows to come. Returns what was exchanged.
    async fn exchange(
        &mut self,
        segment: i64,
        smaller: Vec<Smaller>,
    ) -> Result<Vec<Smaller>, StoreError> {
        let mut smaller: FxHashMap<i64, Smaller> = smaller
            .into_iter()
            .map(|smaller| (smaller.row.0, smaller))
            .collect();
        let rows = self
            .connection
            .all(&sql::CHECK_ROWS, segment_bounds(segment))
            .await?;
        let mut bulk = Bulk::new(&sql::REQUESTS, rows.len());
        let mut done = Vec::new();
        for row in &rows {
            let check: i64 = column(row, CHECK)?;
            let new = smaller.remove(&column(row, 0)?);
            let new = new.filter(|new| i64::from(new.was.cast_signed()) == check);
            put(&mut bulk, row, new.as_ref())?;
            done.extend(new);
        }
        self.connection
            .execute(&sql::DELETE_SEGMENT_ROWS, segment_bounds(segment))
            .await?;
        self.connection.insert(bulk).await?;
        Ok(done)
    }
}

/// A row as it was, or with new frames.
fn put(bulk: &mut Bulk, row: &SqliteRow, new: Option<&Smaller>) -> Result<(), StoreError> {
    bulk.value(column::<i64>(row, 0)?)
        .value(column::<Vec<u8>>(row, 1)?);
    for index in 2..=6 {
        bulk.value(column::<i64>(row, index)?);
    }
    bulk.value(column::<Option<String>>(row, 7)?);
    for index in 8..CHECK {
        bulk.value(column::<i64>(row, index)?);
    }
    match new {
        Some(new) => bulk
            .value(i64::from(new.check.cast_signed()))
            .value(new.frames.clone()),
        None => bulk
            .value(column::<i64>(row, CHECK)?)
            .value(column::<Vec<u8>>(row, SPANS)?),
    };
    Ok(())
}
