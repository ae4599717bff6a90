//! Upkeep: retention, dictionaries, figures.

use crate::error;
use crate::partition::Partition;
use crate::rows;
use crate::sql::{self, Args};
use crate::store::SqliteStore;
use async_trait::async_trait;
use hoplog_model::{RowId, UnixNanos};
use hoplog_store::tables::{ROWS_LEAST, SAMPLES, Step, learn};
use hoplog_store::walk::PackedRow;
use hoplog_store::{CheckReport, Maintenance, PartitionHealth, StoreError, StoreHealth};
use std::collections::BTreeMap;
use std::sync::Arc;

#[async_trait]
impl Maintenance for SqliteStore {
    async fn retain(&self, now: UnixNanos) -> Result<u64, StoreError> {
        let store = self.handle();
        let done = tokio::spawn(async move { store.retain_all(now).await });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn train(&self) -> Result<bool, StoreError> {
        let partitions = self.shared.partitions();
        let Some(partition) = partitions.last() else {
            return Ok(false);
        };
        if partition.figures().rows < ROWS_LEAST {
            return Ok(false);
        }
        let rows = self.newest_rows(partition).await?;
        let dictionaries = Arc::clone(&self.shared.dictionaries);
        let learned = Arc::clone(&self.shared.learned);
        let trained = tokio::task::spawn_blocking(move || learn(&dictionaries, &learned, &rows));
        let Some((dictionary, density)) = trained.await.map_err(|why| error::task(&why))?? else {
            return Ok(false);
        };
        let known = self
            .shared
            .dictionaries
            .install(dictionary.bytes().to_vec());
        if let Err(why) = known {
            tracing::warn!(%why, "a trained dictionary cannot be used");
            return Ok(false);
        }
        // In the file before the first frame that needs it, and in no other file: each gets it with
        // the first batch that uses it.
        self.writer()
            .await?
            .add_dictionary(partition, &dictionary, density)
            .await?;
        let now = self.shared.clock.now();
        self.shared
            .learned
            .note(dictionary.id(), now, Some(density));
        Ok(self.shared.dictionaries.choose(dictionary.id()))
    }

    async fn merge(&self) -> Result<bool, StoreError> {
        self.merge_one().await
    }

    async fn repack(&self) -> Result<Step, StoreError> {
        self.repack_step().await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        let partitions = self.shared.partitions();
        let Some(partition) = partitions.iter().find(|one| one.has_free_pages()) else {
            return Ok(false);
        };
        self.writer().await?.give_back(partition).await?;
        Ok(true)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.close_all().await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        let partitions = self.shared.partitions();
        let health = |partition: &Arc<Partition>| PartitionHealth {
            name: partition.name.as_ref().to_owned(),
            from: partition.from,
            to: partition.to,
            bytes: partition.bytes(),
            rows: partition.figures().rows,
            thinned: partition.thinned(),
        };
        let lines: Vec<PartitionHealth> = partitions.iter().map(health).collect();
        let newest = partitions
            .last()
            .map(|partition| partition.figures())
            .unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let packed_bytes_per_span = newest.packed_bytes as f64 / newest.books.stored.max(1) as f64;
        let (mut packed_with, mut repacked_rows, mut repacked_saved_bytes) =
            (BTreeMap::new(), 0, 0);
        for packing in partitions.iter().map(|partition| partition.packing()) {
            repacked_rows += packing.repacked;
            repacked_saved_bytes += packing.saved;
            for (dictionary, rows) in packing.rows {
                *packed_with.entry(dictionary).or_default() += rows;
            }
        }
        let dictionaries = &self.shared.dictionaries;
        Ok(StoreHealth {
            packing: self.shared.learned.health(dictionaries, &packed_with),
            repacked_rows,
            repacked_saved_bytes,
            bytes: lines.iter().map(|line| line.bytes).sum(),
            rows: lines.iter().map(|line| line.rows).sum(),
            partitions: lines,
            packed_bytes_per_span,
            dictionaries: self.shared.dictionaries.len() as u64,
            dropped_rows: self.shared.dropped().rows,
            retained: self.shared.dropped().retained,
            pins: self.shared.pins().ids.len() as u64,
        })
    }

    async fn check(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        self.check_all(progress).await
    }
}

impl SqliteStore {
    async fn newest_rows(&self, partition: &Partition) -> Result<Vec<PackedRow>, StoreError> {
        let mut connection = self.connection(partition).await?;
        // As many rows as there may be in so many segments, if all were full.
        let oldest = RowId::new((partition.figures().newest - 2 * SAMPLES).max(0), 0);
        let args = Args::new().with(oldest.0).with(SAMPLES);
        let rows = rows::read(&mut connection, &sql::READ_NEWEST_ROWS, args).await?;
        self.shared.readers.give_back(partition, connection);
        Ok(rows.into_iter().map(|stored| stored.packed).collect())
    }
}
