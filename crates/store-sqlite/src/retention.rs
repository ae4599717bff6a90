//! Retention: whole partitions first, since that frees space at once; then the few rows move that outlive their
//! partition. Rows move while writers and readers go on with the old file; the writer's lock is held for a line of
//! the catalogue only, and files are removed without it.

use crate::catalogue::Dropping;
use crate::db::column;
use crate::error;
use crate::partition::{Partition, next_name};
use crate::sql::{self, Args};
use crate::store::SqliteStore;
use crate::tables::PartitionTables;
use crate::writer::{Before, Left, NewFile, remove_files};
use async_trait::async_trait;
use hoplog_model::times::{MINUTE, SECOND};
use hoplog_model::{TraceId, UnixNanos};
use hoplog_store::retention::{Gone, Keep, Past, Reason};
use hoplog_store::tables::{Moved, Stay, thin, trace_id};
use hoplog_store::{Books, Pins, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// After a partition could not be thinned, so long passes before the next attempt, in nanoseconds: each reads all of it.
const PATIENCE: u64 = 10 * MINUTE;
/// The same after it was written to meanwhile; twice as long after every further time, up to [`PATIENCE`].
const SOON: u64 = 10 * SECOND;

/// Partitions that could not be thinned: what is past its age, and what the size does not allow.
#[derive(Debug, Default)]
pub(crate) struct PutOff {
    age: Attempts,
    size: Attempts,
}

/// When to try again, and how often in a row something came in between.
#[derive(Debug, Default)]
struct Attempts(FxHashMap<Arc<str>, (UnixNanos, u32)>);

impl Attempts {
    fn is_put_off(&self, partition: &Partition, now: UnixNanos) -> bool {
        let known = self.0.get(&partition.name);
        known.is_some_and(|(until, _)| *until > now)
    }

    /// It was written to, or something was pinned: the first time the next upkeep may try again.
    fn came_between(&mut self, partition: &Partition, now: UnixNanos) {
        let (until, times) = self.0.entry(Arc::clone(&partition.name)).or_default();
        *until = now + ((SOON << (*times).min(10)) - SOON).min(PATIENCE);
        *times += 1;
    }

    fn failed(&mut self, partition: &Partition, now: UnixNanos) {
        let until = now + PATIENCE;
        self.0.insert(Arc::clone(&partition.name), (until, 0));
    }

    fn keep_only(&mut self, partitions: &[Arc<Partition>]) {
        let is_known = |name: &Arc<str>| partitions.iter().any(|one| one.name == *name);
        self.0.retain(|name, _| is_known(name));
    }
}

/// Why rows go, and when.
#[derive(Debug, Clone, Copy)]
struct Why {
    reason: Reason,
    now: UnixNanos,
}

#[async_trait]
impl Pins for SqliteStore {
    async fn pin(
        &self,
        trace_id: TraceId,
        is_kept: bool,
        now: UnixNanos,
    ) -> Result<bool, StoreError> {
        let store = self.handle();
        let done =
            tokio::spawn(async move { store.writer().await?.pin(trace_id, is_kept, now).await });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn pinned(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let pins = self.shared.pins();
        let pinned = trace_ids.iter().filter(|id| pins.ids.contains(id));
        Ok(pinned.copied().collect())
    }
}

impl SqliteStore {
    /// [`hoplog_store::Maintenance::retain`].
    pub(crate) async fn retain_all(&self, now: UnixNanos) -> Result<u64, StoreError> {
        let mut put_off = self.retaining.lock().await;
        let partitions = self.shared.partitions();
        put_off.age.keep_only(&partitions);
        put_off.size.keep_only(&partitions);
        let keep = self.shared.config.policy();
        let why = |reason| Why { reason, now };
        let mut dropped = 0;
        let mut stay = Vec::new();
        let mut failed = None;
        for partition in partitions {
            let past = keep.past(partition.to, now);
            let before = self.shared.before(&partition);
            let mut pinned = Vec::new();
            if past == Past::ALL {
                match self.pinned_in(&partition).await {
                    Ok(found) => pinned = found,
                    Err(why) => {
                        tracing::warn!(partition = %partition.name, %why, "a partition past its age stays: what is kept by hand in it cannot be read");
                        failed = Some(why);
                        continue;
                    }
                }
            }
            if past == Past::ALL && pinned.is_empty() {
                let why = why(Reason::Age);
                dropped += self.drop_whole(&partition, before, why, pinned).await?;
            } else if past != Past::NOTHING {
                let is_more = partition.figures().rows > pinned.len() as u64;
                let is_due = !partition.thinned().contains(past);
                if is_due || past == Past::ALL && is_more {
                    stay.push((partition, past));
                }
            }
        }
        if let Some(bytes_max) = keep.bytes.at_most() {
            dropped += self
                .retain_size(&keep, bytes_max, why(Reason::Size), &mut put_off.size)
                .await?;
        }
        for (partition, past) in stay {
            if put_off.age.is_put_off(&partition, now) || partition.is_dropped() {
                continue;
            }
            let done = self
                .thin(&partition, &keep, past, why(Reason::Outcome))
                .await;
            match done {
                Ok(Some(rows)) => dropped += rows,
                Ok(None) => put_off.age.came_between(&partition, now),
                Err(why) => {
                    tracing::warn!(partition = %partition.name, %why, "what is past its age could not be taken out of a partition");
                    put_off.age.failed(&partition, now);
                    failed = Some(why);
                }
            }
        }
        match failed {
            Some(why) if dropped == 0 => Err(why),
            _ => Ok(dropped),
        }
    }

    /// Drops the oldest until the size fits; the newest stays, whatever its size. What is kept by hand moves as long as
    /// that helps; then it goes, too.
    async fn retain_size(
        &self,
        keep: &Keep,
        most: u64,
        why: Why,
        put_off: &mut Attempts,
    ) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for pinned_stay in [true, false] {
            let partitions = self.shared.partitions();
            for partition in partitions.iter().rev().skip(1).rev() {
                if self.bytes() <= most {
                    return Ok(dropped);
                }
                // What is kept by hand in it goes for want of room alone.
                if put_off.is_put_off(partition, why.now) {
                    continue;
                }
                let before = self.shared.before(partition);
                let pinned = match self.pinned_in(partition).await {
                    Ok(pinned) => pinned,
                    Err(failure) => {
                        put_off.failed(partition, why.now);
                        let why = failure;
                        tracing::warn!(partition = %partition.name, %why, "a partition stays though the store is too large: what is kept by hand in it cannot be read");
                        continue;
                    }
                };
                if pinned_stay && !pinned.is_empty() {
                    if partition.figures().rows == pinned.len() as u64 {
                        continue;
                    }
                    match self.thin(partition, keep, Past::ALL, why).await {
                        Ok(Some(rows)) => {
                            dropped += rows;
                            continue;
                        }
                        // What is newer does not go for what may come free at the next upkeep.
                        Ok(None) => {
                            put_off.came_between(partition, why.now);
                            return Ok(dropped);
                        }
                        Err(failure) => {
                            let failed = why.now;
                            let why = failure;
                            tracing::warn!(partition = %partition.name, %why, "requests kept by hand could not be moved");
                            // Without room for the copy there is nothing left to be done for them.
                            if !error::is_disk_full(&why) {
                                put_off.failed(partition, failed);
                                continue;
                            }
                        }
                    }
                }
                if !pinned.is_empty() {
                    tracing::warn!(
                        partition = %partition.name,
                        requests = pinned.len(),
                        "requests kept by hand are dropped: the store is larger than store.keep.bytes"
                    );
                }
                dropped += self.drop_whole(partition, before, why, pinned).await?;
            }
        }
        Ok(dropped)
    }

    fn bytes(&self) -> u64 {
        let partitions = self.shared.partitions();
        partitions.iter().map(|partition| partition.bytes()).sum()
    }

    /// Requests kept by hand that have a row in the partition.
    async fn pinned_in(&self, partition: &Partition) -> Result<Vec<TraceId>, StoreError> {
        let ids: Vec<TraceId> = self.shared.pins().ids.iter().copied().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection(partition).await?;
        let args = Args::new().with(sql::json_ids(&ids));
        let rows = connection.all(&sql::FIND_ROWS, args).await?;
        self.shared.readers.give_back(partition, connection);
        rows.iter().map(|row| trace_id(column(row, 0)?)).collect()
    }

    /// Drops a partition with all that is in it. Returns rows dropped.
    async fn drop_whole(
        &self,
        partition: &Arc<Partition>,
        mut before: Before,
        why: Why,
        pinned: Vec<TraceId>,
    ) -> Result<u64, StoreError> {
        let gone = Gone {
            partitions: 1,
            rows: 0,
            bytes: partition.bytes(),
            pinned: pinned.len() as u64,
            at: why.now,
        };
        let mut dropping = Dropping {
            books: Books::default(),
            reason: why.reason,
            gone,
            pinned,
        };
        let left = {
            let mut writer = self.writer().await?;
            if writer.before(partition) != before && !partition.is_dropped() {
                // Looked at again while nobody writes: a request kept by hand may have got a row.
                before = writer.before(partition);
                if self.pinned_in(partition).await? != dropping.pinned {
                    return Ok(0);
                }
            }
            writer
                .drop_partition(partition, before, &mut dropping)
                .await?
        };
        let Some(left) = left else { return Ok(0) };
        self.remove(partition, left).await?;
        Ok(dropping.gone.rows)
    }

    /// Removes the files of a partition that was dropped. What fails here is done at the next start.
    async fn remove(&self, partition: &Arc<Partition>, left: Left) -> Result<(), StoreError> {
        self.shared.readers.close(Some(partition)).await;
        let path = partition.path.clone();
        let removed = tokio::task::spawn_blocking(move || remove_files(&path));
        removed.await.map_err(|why| error::task(&why))??;
        if let Left(Some(connection)) = left {
            // It would move the log into a file that is gone; what matters is that it is shut: now the space is free.
            drop(connection.close().await);
        }
        self.writer().await?.forget(partition).await
    }

    /// Moves what stays of a partition into a new one. Returns rows dropped; none if it was written to meanwhile.
    async fn thin(
        &self,
        old: &Arc<Partition>,
        keep: &Keep,
        past: Past,
        why: Why,
    ) -> Result<Option<u64>, StoreError> {
        let folder = self.shared.partitions_folder();
        let name = self.shared.free_name(next_name(&old.name));
        let new = Partition::new(&folder, &name, old.from, old.to);
        new.set_thinned(past);
        let new = Arc::new(new);
        // Of an attempt whose remains could not be removed; mostly there are none.
        remove_files(&new.path)?;
        let (before, position) = {
            let mut writer = self.writer().await?;
            let position = writer.settle(old).await?;
            writer.begin_thinning(&new).await?;
            (writer.before(old), position)
        };
        let pinned = self.shared.pins().ids.clone();
        let stay = Stay {
            keep,
            past,
            pinned: &pinned,
        };
        let done = match self.copy(old, &new, stay, position).await {
            Ok(moved) => self.exchange((old, &new), before, moved, why).await,
            // It was given up early.
            Err(StoreError::Busy(_)) if old.figures().newest != before.newest => Ok(None),
            Err(why) => Err(why),
        };
        if !matches!(done, Ok(Some(rows)) if rows > 0) {
            self.remove(&new, Left(None)).await?;
        }
        done
    }

    /// Makes the new partition, whole and durable, unless every row would stay.
    async fn copy(
        &self,
        old: &Arc<Partition>,
        new: &Arc<Partition>,
        stay: Stay<'_>,
        position: hoplog_model::Position,
    ) -> Result<Moved, StoreError> {
        let mut connection = self.connection(old).await?;
        let made = NewFile::make(&self.shared, (old, &mut connection), new, position).await;
        let mut file = made?;
        let mut tables = PartitionTables {
            partition: old,
            connection: &mut connection,
        };
        let moved = match thin(&mut tables, &mut file, stay).await {
            Ok(moved) if moved.gone > 0 => moved,
            done => {
                file.give_up().await;
                return done;
            }
        };
        self.shared.readers.give_back(old, connection);
        file.finish(old.figures().books).await?;
        Ok(moved)
    }

    /// Puts the new partition in the old one's place.
    async fn exchange(
        &self,
        (old, new): (&Arc<Partition>, &Arc<Partition>),
        before: Before,
        moved: Moved,
        why: Why,
    ) -> Result<Option<u64>, StoreError> {
        if moved.gone == 0 {
            let mut writer = self.writer().await?;
            let done = writer.set_thinned(old, before, new.thinned()).await?;
            return Ok(done.then_some(0));
        }
        let books = Books {
            stored: old.figures().books.stored.saturating_sub(moved.spans),
            ..Books::default()
        };
        let dropping = Dropping {
            books,
            reason: why.reason,
            gone: Gone {
                partitions: 1,
                rows: moved.gone,
                bytes: old.bytes().saturating_sub(new.bytes()),
                pinned: 0,
                at: why.now,
            },
            pinned: Vec::new(),
        };
        let left = {
            let mut writer = self.writer().await?;
            writer.end_thinning((old, new), before, &dropping).await?
        };
        let Some(left) = left else { return Ok(None) };
        self.remove(old, left).await?;
        Ok(Some(moved.gone))
    }
}

#[cfg(test)]
mod tests;
