//! Packing rows anew, a segment in a step: read and packed while others write, exchanged under the partition's
//! line, which is held for two statements.

use crate::db::{self, column};
use crate::error;
use crate::partition::Partition;
use crate::shared::Shared;
use crate::sql::{self, Args};
use crate::writer::insert_dictionary;
use hoplog_model::RowId;
use hoplog_store::StoreError;
use hoplog_store::pack::Dictionary;
use hoplog_store::tables::{Line, Packing, Smaller, Step, check32_of, repack, repacked};
use rustc_hash::FxHashSet;
use sqlx::{Connection as _, PgConnection, PgTransaction};
use std::sync::Arc;

/// Key of the advisory lock under which one process at a time packs anew.
const REPACK_LOCK: i64 = db::SCHEMA_LOCK + 2;

impl Shared {
    /// [`hoplog_store::Maintenance::repack`], the newest partition first.
    pub(crate) async fn repack(&self) -> Result<Step, StoreError> {
        let mut connection = self.connection().await?;
        let partitions = self.partitions(&mut connection).await?;
        let Some(dictionary) = self.dictionaries.current() else {
            return Ok(Step::default());
        };
        for partition in partitions.iter().rev() {
            if let Some((_, next)) = next(partition, &dictionary) {
                let day = partition.day();
                let done = self.repack_segment(&mut connection, day, &next, &dictionary);
                return match done.await {
                    // Retention is at it, or has just taken it: there may be others.
                    Err(StoreError::Busy(_)) => Ok(Step {
                        more: true,
                        ..Step::default()
                    }),
                    done => done,
                };
            }
        }
        Ok(Step::default())
    }

    async fn repack_segment(
        &self,
        connection: &mut PgConnection,
        day: i64,
        asked: &Packing,
        dictionary: &Arc<Dictionary>,
    ) -> Result<Step, StoreError> {
        let begun = connection.begin().await;
        let mut transaction = begun.map_err(|why| error::database("begin", &why))?;
        let is_alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(REPACK_LOCK)
            .fetch_one(&mut *transaction)
            .await
            .map_err(|why| error::database("lock re-packing", &why))?;
        if !is_alone {
            // Another process is at it.
            roll_back(transaction).await?;
            return Ok(Step::default());
        }
        let since = Args::new().with(asked.segment - 1).with(1_i64);
        let since = db::all(&mut transaction, sql::READ_SEGMENTS_SINCE.of(day), since);
        let there = since.await?;
        let there = there.first().map(|row| column(row, 0)).transpose()?;
        let segment = asked.segment_there(there);
        let lines = read_lines(&mut transaction, day, segment).await?;
        let (dictionaries, with) = (Arc::clone(&self.dictionaries), Arc::clone(dictionary));
        let packed = tokio::task::spawn_blocking(move || repack(&dictionaries, &with, lines));
        let smaller = packed.await.map_err(|why| error::task(&why))?;

        let line = Args::new().with(day);
        let locked = db::all(&mut transaction, &sql::LOCK_PARTITION, line).await?;
        let partition = locked.first().map(Partition::read).transpose()?;
        // Batches may have come since the rows were read, other processes, or retention.
        let next = partition.and_then(|partition| next(&partition, dictionary));
        let Some((_, next)) = next.filter(|(next, _)| *next == asked.segment) else {
            roll_back(transaction).await?;
            return Ok(Step {
                more: true,
                ..Step::default()
            });
        };
        if !smaller.is_empty() && !self.is_stored(dictionary.id()) {
            insert_dictionary(&mut transaction, dictionary, None, self.clock.now()).await?;
        }
        let done = exchange(&mut transaction, day, smaller).await?;
        let saved: u64 = done.iter().map(|smaller| smaller.saved).sum();
        let packing = repacked(next.skipped_to(segment), &done);
        let args = Args::new().with(day).with(saved.cast_signed());
        let args = args.with(packing.encode());
        db::execute(&mut transaction, &sql::SET_PACKING, args).await?;
        let committed = transaction.commit().await;
        committed.map_err(|why| error::database("commit", &why))?;
        Ok(Step {
            rows: done.len() as u64,
            saved,
            more: true,
        })
    }
}

async fn roll_back(transaction: PgTransaction<'_>) -> Result<(), StoreError> {
    let done = transaction.rollback().await;
    done.map_err(|why| error::database("roll back", &why))
}

fn next(partition: &Partition, dictionary: &Dictionary) -> Option<(i64, Packing)> {
    let Partition { rows, newest, .. } = *partition;
    partition.packing.next(dictionary.id(), rows, newest)
}

pub(crate) async fn read_lines(
    connection: &mut PgConnection,
    day: i64,
    segment: i64,
) -> Result<Vec<Line>, StoreError> {
    let bounds = [segment, segment + 1].map(|segment| RowId::new(segment, 0).0);
    let args = Args::new().with(bounds[0]).with(bounds[1]);
    let rows = db::all(connection, sql::READ_LINES.of(day), args).await?;
    let lines = rows.iter().map(|row| {
        Ok(Line {
            row: RowId(column(row, 0)?),
            check: check32_of(column::<i32>(row, 1)?.into())?,
            frames: column(row, 2)?,
        })
    });
    lines.collect()
}

/// Puts the frames into rows that have not changed since they were read. Returns what was exchanged.
pub(crate) async fn exchange(
    connection: &mut PgConnection,
    day: i64,
    smaller: Vec<Smaller>,
) -> Result<Vec<Smaller>, StoreError> {
    if smaller.is_empty() {
        return Ok(smaller);
    }
    let rows: Vec<i64> = smaller.iter().map(|new| new.row.0).collect();
    let were: Vec<i32> = smaller.iter().map(|new| new.was.cast_signed()).collect();
    let checks: Vec<i32> = smaller.iter().map(|new| new.check.cast_signed()).collect();
    let frames: Vec<&[u8]> = smaller.iter().map(|new| new.frames.as_slice()).collect();
    let args = Args::new().with(rows).with(were).with(checks).with(frames);
    let rows = db::all(connection, sql::UPDATE_FRAMES.of(day), args).await?;
    let done: Result<FxHashSet<i64>, StoreError> = rows.iter().map(|row| column(row, 0)).collect();
    let done = done?;
    let changed = smaller.into_iter().filter(|new| done.contains(&new.row.0));
    Ok(changed.collect())
}
