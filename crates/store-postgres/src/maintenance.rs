//! Upkeep: partitions made ahead and dropped, dictionaries, figures, checks.

use crate::db::{self, column};
use crate::error;
use crate::partition::{Partition, TABLES, name_of};
use crate::retention;
use crate::rows;
use crate::sql::{self, Args};
use crate::store::{PostgresStore, totals};
use crate::tables::{PartitionTables, begin_snapshot, end_snapshot};
use crate::writer::insert_dictionary;
use async_trait::async_trait;
use hoplog_model::{RowId, UnixNanos};
use hoplog_store::tables::{Checked, ROWS_LEAST, SAMPLES, Step, check, learn};
use hoplog_store::{CheckReport, Maintenance, PartitionHealth, StoreError, StoreHealth};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::sync::Arc;

#[async_trait]
impl Maintenance for PostgresStore {
    async fn retain(&self, now: UnixNanos) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        let runtime = &self.shared.runtime;
        let done = runtime.spawn(async move { shared.retain(now).await });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn train(&self) -> Result<bool, StoreError> {
        let mut connection = self.shared.connection().await?;
        let partitions = self.shared.partitions(&mut connection).await?;
        let Some(partition) = partitions.last() else {
            return Ok(false);
        };
        if partition.rows < ROWS_LEAST {
            return Ok(false);
        }
        let rows = newest_rows(&mut connection, partition).await?;
        let dictionaries = Arc::clone(&self.shared.dictionaries);
        let learned = Arc::clone(&self.shared.learned);
        let trained = tokio::task::spawn_blocking(move || learn(&dictionaries, &learned, &rows));
        let Some((dictionary, density)) = trained.await.map_err(|why| error::task(&why))?? else {
            return Ok(false);
        };
        let now = self.shared.clock.now();
        insert_dictionary(&mut connection, &dictionary, Some(density), now).await?;
        // Every process finds it with its next question, and packs with it from then on.
        self.shared.load_dictionaries(&mut connection).await
    }

    async fn merge(&self) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        let runtime = &self.shared.runtime;
        let done = runtime.spawn(async move { shared.merge_one().await });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn repack(&self) -> Result<Step, StoreError> {
        // A task of its own: a caller that gives up does not leave a transaction half way.
        let shared = Arc::clone(&self.shared);
        let done = self
            .shared
            .runtime
            .spawn(async move { shared.repack().await });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        let runtime = &self.shared.runtime;
        let done = runtime.spawn(async move { shared.vacuum().await });
        done.await.map_err(|why| error::task(&why))??;
        // All at once: where old answers are still being read, more calls would free nothing more.
        Ok(false)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.close_all().await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        let mut connection = self.shared.connection().await?;
        let partitions = self.shared.partitions(&mut connection).await?;
        let sizes = sizes(&mut connection).await?;
        let health = |partition: &Partition| PartitionHealth {
            name: partition.name.clone(),
            from: partition.from,
            to: partition.to,
            bytes: size_of(&sizes, partition.day()),
            rows: partition.rows,
            thinned: partition.thinned,
        };
        let lines: Vec<PartitionHealth> = partitions.iter().map(health).collect();
        let newest = partitions.last();
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let packed_bytes_per_span = newest.map_or(0.0, |newest| {
            newest.packed_bytes as f64 / newest.books.stored.max(1) as f64
        });
        let mut packed_with = BTreeMap::new();
        for (dictionary, rows) in partitions.iter().flat_map(|one| &one.packing.rows) {
            *packed_with.entry(*dictionary).or_default() += rows;
        }
        let dictionaries = &self.shared.dictionaries;
        let packing = || partitions.iter().map(|one| &one.packing);
        Ok(StoreHealth {
            packing: self.shared.learned.health(dictionaries, &packed_with),
            repacked_rows: packing().map(|packing| packing.repacked).sum(),
            repacked_saved_bytes: packing().map(|packing| packing.saved).sum(),
            bytes: lines.iter().map(|line| line.bytes).sum(),
            rows: lines.iter().map(|line| line.rows).sum(),
            partitions: lines,
            packed_bytes_per_span,
            dictionaries: self.shared.dictionaries.len() as u64,
            dropped_rows: totals(&mut connection).await?.1,
            retained: retention::retained(&mut connection).await?,
            pins: retention::pin_state(&mut connection).await?.pins,
        })
    }

    async fn check(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        // A connection of its own, that is closed whatever happens: it is within a transaction all the time.
        let mut connection = db::connect(&self.shared.options).await?;
        begin_snapshot(&mut connection).await?;
        let report = self.check_snapshot(&mut connection, progress).await;
        let ended = end_snapshot(&mut connection).await;
        drop(connection.close().await);
        let report = report?;
        ended?;
        Ok(report)
    }
}

impl PostgresStore {
    async fn check_snapshot(
        &self,
        connection: &mut PgConnection,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        let partitions = self.shared.partitions(connection).await?;
        let all = partitions.iter().map(|partition| partition.rows).sum();
        let mut report = CheckReport {
            books: totals(connection).await?.0,
            ..CheckReport::default()
        };
        for partition in &partitions {
            let said = Checked {
                books: partition.books,
                rows: partition.rows,
                packed_bytes: partition.packed_bytes,
                packing: partition.packing.clone(),
            };
            let mut tables = PartitionTables::open(&self.shared, connection, partition).await?;
            let dictionaries = &self.shared.dictionaries;
            let name = partition.name.as_str();
            check(
                (name, said),
                &mut tables,
                dictionaries,
                &mut report,
                &|rows| {
                    progress(rows, all);
                },
            )
            .await?;
        }
        Ok(report)
    }
}

/// Bytes of each partition, by day.
pub(crate) async fn sizes(connection: &mut PgConnection) -> Result<Vec<(i64, u64)>, StoreError> {
    let args = Args::new().with(TABLES.as_slice());
    let rows = db::all(connection, &sql::READ_SIZES, args).await?;
    rows.iter()
        .map(|row| Ok((column(row, 0)?, column::<i64>(row, 1)?.cast_unsigned())))
        .collect()
}

/// Bytes of the tables of this day, whether they are listed as live or not.
pub(crate) async fn size(connection: &mut PgConnection, day: i64) -> Result<u64, StoreError> {
    let args = Args::new().with(TABLES.as_slice()).with(name_of(day));
    let row = db::one(connection, &sql::READ_SIZE, args).await?;
    Ok(column::<i64>(&row, 0)?.cast_unsigned())
}

/// Bytes of one of them.
fn size_of(sizes: &[(i64, u64)], day: i64) -> u64 {
    let found = sizes.iter().find(|(of, _)| *of == day);
    found.map_or(0, |(_, bytes)| *bytes)
}

async fn newest_rows(
    connection: &mut PgConnection,
    partition: &Partition,
) -> Result<Vec<hoplog_store::walk::PackedRow>, StoreError> {
    // As many rows as there may be in so many segments, if all were full.
    let oldest = RowId::new((partition.newest - 2 * SAMPLES).max(0), 0);
    let args = Args::new().with(oldest.0);
    let day = partition.day();
    let rows = rows::read(connection, day, &sql::READ_NEWEST_ROWS, args.with(SAMPLES)).await?;
    Ok(rows.into_iter().map(|stored| stored.packed).collect())
}
