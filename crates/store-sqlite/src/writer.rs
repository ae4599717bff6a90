//! The way in: batches become rows.

mod file;
mod inserts;
mod layout;
mod moving;
mod place;
mod repack;
mod retention;

pub(crate) use file::dictionary_id;
pub(crate) use moving::NewFile;
pub(crate) use retention::{Before, Left};

use crate::catalogue::Catalogue;
use crate::partition::Partition;
use crate::rows;
use crate::shared::Shared;
use crate::sql::{self, Args, Bulk};
use crate::{db, error};
use file::PartitionFile;
use hoplog_model::times::HOUR;
use hoplog_model::{Position, RowId, TraceId, UnixNanos};
use hoplog_store::pack::Dictionary;
use hoplog_store::segment::ROWS_MAX;
use hoplog_store::tables::place::new_range;
use hoplog_store::tables::{Job, Settled, Stored, prepare};
use hoplog_store::{Checkpoint, StoreError, WriteBatch, Written};
use place::Group;
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Partition files open for writing at once: today's, and what late parts need.
const OPEN_FILES: usize = 3;
/// How long a decision to leave a request out is kept, in nanoseconds.
pub(crate) const DECISION_AGE: u64 = HOUR;
/// Bytes of the file that is given up when the disk is full, so that dropping a partition can be recorded.
const RESERVE_BYTES: usize = 256 << 10;

/// Everything that writes. There is one, behind a lock.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    catalogue: Catalogue,
    /// The one used last in front.
    files: Vec<PartitionFile>,
    /// Partitions written since the last checkpoint.
    unsynced: Vec<Arc<Partition>>,
    settled: Settled,
    /// A sync failed: what was written before may be lost without another one telling.
    is_fenced: bool,
}

impl Writer {
    /// A writer of an open data folder.
    pub(crate) fn new(shared: Arc<Shared>, catalogue: Catalogue) -> Self {
        let writer = Self {
            shared,
            catalogue,
            files: Vec::new(),
            unsynced: Vec::new(),
            settled: Settled::default(),
            is_fenced: false,
        };
        writer.keep_reserve();
        writer
    }

    /// [`hoplog_store::SpanWriter::write`].
    pub(crate) async fn write(&mut self, batch: WriteBatch) -> Result<Written, StoreError> {
        if batch.parts.len() > ROWS_MAX {
            return Err(StoreError::Invalid(format!(
                "a batch has at most {ROWS_MAX} parts"
            )));
        }
        let (settled, parts) = self.settled.split(batch.parts);
        let groups = self.place(parts).await?;
        let mut total = Written::default();
        let mut done: Vec<(TraceId, Position)> = Vec::new();
        for group in groups {
            let taken: Vec<_> = group
                .1
                .iter()
                .map(|(part, _)| (part.trace_id, part.upto))
                .collect();
            match self.write_group(group).await {
                Ok(written) => total.add(written),
                Err(why) => {
                    self.settled.keep(done, total);
                    return Err(why);
                }
            }
            done.extend(taken);
        }
        total.add(self.settled.take(&settled));
        Ok(total)
    }

    async fn write_group(&mut self, (partition, parts): Group) -> Result<Written, StoreError> {
        let mut file = self.take_file(&partition).await?;
        let rows: Vec<RowId> = parts.iter().filter_map(|(_, row)| *row).collect();
        let mut stored = read_rows(&mut file, &rows).await?;
        let number = partition.figures().newest + 1;
        let job = Job {
            parts: (parts.into_iter())
                .map(|(part, row)| (part, row.and_then(|row| stored.remove(&row))))
                .collect(),
            names: std::mem::take(&mut file.names),
            dictionaries: Arc::clone(&self.shared.dictionaries),
            request_spans: self.shared.config.request_spans,
        };
        let prepared = tokio::task::spawn_blocking(move || {
            let mut prepared = prepare(job, layout::order)?;
            let inserts = inserts::inserts(&mut prepared, number);
            Ok::<_, StoreError>((prepared, inserts))
        });
        let (prepared, inserts) = prepared.await.map_err(|why| error::task(&why))??;
        let written = prepared.written;
        file.write(number, prepared, inserts, self.shared.clock.now())
            .await?;
        if self.unsynced.iter().all(|one| one.name != partition.name) {
            self.unsynced.push(partition);
        }
        // The batch is written. What is put off here is done after the next one.
        match file.tidy().await {
            Ok(()) => self.keep_file(file).await,
            Err(why) => tracing::warn!(%why, "a partition could not be tidied"),
        }
        Ok(written)
    }

    async fn take_file(&mut self, partition: &Arc<Partition>) -> Result<PartitionFile, StoreError> {
        let place = self
            .files
            .iter()
            .position(|file| file.partition.name == partition.name);
        match place {
            Some(place) => Ok(self.files.remove(place)),
            None => PartitionFile::open(partition, &self.shared.config).await,
        }
    }

    async fn keep_file(&mut self, file: PartitionFile) {
        self.files.insert(0, file);
        while self.files.len() > OPEN_FILES {
            let file = self.files.pop().expect("there is more than one");
            if let Err(why) = file.connection.close().await {
                tracing::warn!(partition = %file.partition.name, %why, "a partition did not close");
            }
        }
    }

    /// The partition for this instant; makes it if there is none. It is whole, and its name durable,
    /// before the catalogue lists it; a file that is not listed is listed or removed at the next start.
    async fn partition_for(&mut self, at: UnixNanos) -> Result<Arc<Partition>, StoreError> {
        if let Some(known) = self.shared.partition_at(at) {
            return Ok(known);
        }
        let hours = self.shared.config.partition_hours;
        let Range {
            start: from,
            end: to,
        } = new_range(at, hours, &self.shared.partitions());
        let name = self.shared.free_name(Partition::name_of(from));
        let folder = self.shared.partitions_folder();
        let partition = Arc::new(Partition::new(&folder, &name, from, to));
        let mut file = PartitionFile::open(&partition, &self.shared.config).await?;
        let args = Args::new().with(sql::ordered(from)).with(sql::ordered(to));
        file.connection.execute(&sql::INSERT_META, args).await?;
        db::sync_log(&partition.path)?;
        db::sync_folder(&folder)?;
        self.catalogue.add(&name, from, to).await?;
        self.shared.add_partition(Arc::clone(&partition));
        self.keep_file(file).await;
        Ok(partition)
    }

    /// [`hoplog_store::SpanWriter::checkpoint`].
    pub(crate) async fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        if self.is_fenced {
            return Err(StoreError::Unavailable(
                "a sync failed before: nothing is recorded as durable until the next start"
                    .to_owned(),
            ));
        }
        let paths: Vec<PathBuf> = self.unsynced.iter().map(|one| one.path.clone()).collect();
        let synced = tokio::task::spawn_blocking(move || {
            paths.iter().try_for_each(|path| db::sync_log(path))
        });
        if let Err(why) = synced.await.map_err(|why| error::task(&why))? {
            self.is_fenced = true;
            return Err(why);
        }
        let position = checkpoint.position.to_u64();
        self.catalogue.set_checkpoint(checkpoint).await?;
        self.unsynced.clear();
        let decided_before = self.shared.clock.now().saturating_sub(DECISION_AGE);
        for mut file in std::mem::take(&mut self.files) {
            match file.forget(position, decided_before).await {
                Ok(()) => self.files.push(file),
                // The checkpoint stands; the rest is tidied at the next.
                Err(why) => tracing::warn!(%why, "positions before the checkpoint stay for now"),
            }
        }
        Ok(true)
    }

    /// What was recorded last.
    pub(crate) async fn recorded(&mut self) -> Result<Checkpoint, StoreError> {
        self.catalogue.checkpoint().await
    }

    /// Puts merged filters in the place of those of the group's segments. From `from` on all groups are merged.
    pub(crate) async fn write_merged(
        &mut self,
        partition: &Arc<Partition>,
        from: i64,
        group: i64,
        rows: Vec<Bulk>,
    ) -> Result<(), StoreError> {
        if partition.is_dropped() {
            return Ok(());
        }
        let mut file = self.take_file(partition).await?;
        file.put_merged(from, group, rows).await?;
        if self.unsynced.iter().all(|one| one.name != partition.name) {
            self.unsynced.push(Arc::clone(partition));
        }
        self.keep_file(file).await;
        Ok(())
    }

    /// Shortens the file of a partition a little.
    pub(crate) async fn give_back(&mut self, partition: &Arc<Partition>) -> Result<(), StoreError> {
        if partition.is_dropped() {
            return Ok(());
        }
        let mut file = self.take_file(partition).await?;
        file.give_back().await?;
        if self.unsynced.iter().all(|one| one.name != partition.name) {
            self.unsynced.push(Arc::clone(partition));
        }
        self.keep_file(file).await;
        Ok(())
    }

    /// Puts a dictionary into the partition it was trained on.
    pub(crate) async fn add_dictionary(
        &mut self,
        partition: &Arc<Partition>,
        dictionary: &Dictionary,
        density: f64,
    ) -> Result<(), StoreError> {
        // Its file is gone; the next one gets the dictionary with its first batch.
        if partition.is_dropped() {
            return Ok(());
        }
        let mut file = self.take_file(partition).await?;
        file.add_dictionary(dictionary, density, self.shared.clock.now())
            .await?;
        self.keep_file(file).await;
        Ok(())
    }

    /// Closes every file; logs are moved into their files and removed.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.shared.readers.close(None).await;
        for mut file in self.files {
            file.put_rollups().await?;
            file.connection.close().await?;
        }
        for partition in self.shared.partitions() {
            // One that was only read of late still has a log, if an empty one.
            if db::log_path(&partition.path).exists() {
                PartitionFile::open(&partition, &self.shared.config)
                    .await?
                    .connection
                    .close()
                    .await?;
            }
        }
        self.catalogue.close().await
    }

    fn reserve(&self) -> PathBuf {
        self.shared.folder.join("reserve")
    }

    /// Sets disk space aside, if there is none yet and the disk has it.
    fn keep_reserve(&self) {
        let reserve = self.reserve();
        let is_kept =
            std::fs::metadata(&reserve).is_ok_and(|file| file.len() == RESERVE_BYTES as u64);
        if !is_kept && std::fs::write(&reserve, vec![0x55; RESERVE_BYTES]).is_err() {
            self.give_up_reserve();
        }
    }

    fn give_up_reserve(&self) {
        if let Err(why) = std::fs::remove_file(self.reserve()) {
            tracing::warn!(%why, "the reserve could not be given up");
        }
    }
}

/// Takes away a partition's file, log and index; those that are gone already are no fault.
pub(crate) fn remove_files(path: &Path) -> Result<(), StoreError> {
    // The log last: a file without its log could be taken for a whole one.
    for file in [path.to_owned(), db::index_path(path), db::log_path(path)] {
        match std::fs::remove_file(&file) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                return Err(error::file(&file, "remove", &why));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn read_rows(
    file: &mut PartitionFile,
    rows: &[RowId],
) -> Result<FxHashMap<RowId, Stored>, StoreError> {
    if rows.is_empty() {
        return Ok(FxHashMap::default());
    }
    let args = Args::new().with(sql::json(rows.iter().map(|row| row.0)));
    let stored = rows::read(&mut file.connection, &sql::READ_ROWS, args).await?;
    Ok(stored
        .into_iter()
        .map(|stored| (stored.packed.row, stored))
        .collect())
}

#[cfg(test)]
mod tests;
