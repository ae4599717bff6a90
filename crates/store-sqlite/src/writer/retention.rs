//! What retention does to partitions under the writer's lock: little, so that nobody waits.

use super::{PartitionFile, Writer};
use crate::catalogue::Dropping;
use crate::db::Connection;
use crate::partition::Partition;
use crate::shared::Shared;
use hoplog_model::{Position, TraceId, UnixNanos};
use hoplog_store::StoreError;
use hoplog_store::retention::{PINS_MAX, Past, too_many_pins};
use std::sync::Arc;

/// A partition as it is when rows begin to move out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    /// Its newest segment.
    pub(crate) newest: i64,
    /// Of the requests kept by hand.
    pub(crate) pin_changes: u64,
}

/// What is still open of a partition that was dropped: to be closed where nobody waits for it.
#[derive(Debug)]
pub(crate) struct Left(pub(crate) Option<Connection>);

impl Shared {
    /// A partition as it is now. Without the writer's lock it may lack what is just being written, and is then another
    /// one when that is done.
    pub(crate) fn before(&self, partition: &Partition) -> Before {
        Before {
            newest: partition.figures().newest,
            pin_changes: self.pins().changes,
        }
    }
}

impl Writer {
    /// What must be the same when rows have moved, see [`Shared::before`].
    pub(crate) fn before(&self, partition: &Partition) -> Before {
        self.shared.before(partition)
    }

    /// Puts all changes of roll-ups into the tables, so that these stand still as long as nothing is written. Returns
    /// the checkpoint's position.
    pub(crate) async fn settle(
        &mut self,
        partition: &Arc<Partition>,
    ) -> Result<Position, StoreError> {
        if !partition.pending().is_empty() {
            let mut file = self.take_file(partition).await?;
            file.put_rollups().await?;
            self.keep_file(file).await;
        }
        Ok(self.catalogue.checkpoint().await?.position)
    }

    /// Lists a partition that rows are to move to. Its files go at the next start, unless it takes its place before.
    pub(crate) async fn begin_thinning(&mut self, new: &Partition) -> Result<(), StoreError> {
        self.catalogue.begin_thinning(new).await
    }

    /// Puts the new partition, whole and durable, in the old one's place. None if something was written or pinned
    /// since `before`: then nothing is changed.
    pub(crate) async fn end_thinning(
        &mut self,
        (old, new): (&Arc<Partition>, &Arc<Partition>),
        before: Before,
        dropping: &Dropping,
    ) -> Result<Option<Left>, StoreError> {
        if self.before(old) != before || old.is_dropped() {
            return Ok(None);
        }
        let names = (&*old.name, &*new.name);
        let past = new.thinned();
        self.catalogue.end_thinning(names, past, dropping).await?;
        Ok(Some(self.leave(old, Some(Arc::clone(new)), dropping)))
    }

    /// Notes that a partition holds nothing of what is past its age. False if that may have changed since `before`.
    pub(crate) async fn set_thinned(
        &mut self,
        partition: &Partition,
        before: Before,
        past: Past,
    ) -> Result<bool, StoreError> {
        if self.before(partition) != before {
            return Ok(false);
        }
        self.catalogue.set_thinned(&partition.name, past).await?;
        partition.set_thinned(past);
        Ok(true)
    }

    /// Drops a partition: its books move to the catalogue; its files may go then, and [`Writer::forget`] is to be
    /// called. After a crash anywhere in between the next start ends it. None if something was written or pinned since
    /// `before`.
    pub(crate) async fn drop_partition(
        &mut self,
        partition: &Arc<Partition>,
        before: Before,
        dropping: &mut Dropping,
    ) -> Result<Option<Left>, StoreError> {
        if self.before(partition) != before || partition.is_dropped() {
            return Ok(None);
        }
        let figures = partition.figures();
        (dropping.books, dropping.gone.rows) = (figures.books, figures.rows);
        let name = &partition.name;
        let mut done = self.catalogue.drop_partition(name, dropping).await;
        if matches!(done, Err(StoreError::Unavailable(_))) {
            self.give_up_reserve();
            done = self.catalogue.drop_partition(name, dropping).await;
        }
        done?;
        Ok(Some(self.leave(partition, None, dropping)))
    }

    /// Lets nobody find a partition any more that was dropped.
    fn leave(
        &mut self,
        old: &Arc<Partition>,
        new: Option<Arc<Partition>>,
        dropping: &Dropping,
    ) -> Left {
        let dropped = self.shared.dropped().with(dropping);
        self.shared.replace_partition(old, new, dropped);
        let mut pins = self.shared.pins();
        for id in &dropping.pinned {
            pins.ids.remove(id);
        }
        drop(pins);
        self.unsynced.retain(|one| one.name != old.name);
        let is_old = |file: &PartitionFile| file.partition.name == old.name;
        let place = self.files.iter().position(is_old);
        Left(place.map(|place| self.files.remove(place).connection))
    }

    /// Takes a dropped partition off the list: its files are gone.
    pub(crate) async fn forget(&mut self, partition: &Partition) -> Result<(), StoreError> {
        self.catalogue.forget(&partition.name).await?;
        self.keep_reserve();
        Ok(())
    }

    /// [`hoplog_store::Pins::pin`].
    pub(crate) async fn pin(
        &mut self,
        id: TraceId,
        is_kept: bool,
        now: UnixNanos,
    ) -> Result<bool, StoreError> {
        let (known, count) = {
            let pins = self.shared.pins();
            (pins.ids.contains(&id), pins.ids.len())
        };
        if known == is_kept {
            return Ok(false);
        }
        if is_kept && count >= PINS_MAX {
            return Err(too_many_pins());
        }
        self.catalogue.pin(&id, is_kept, now).await?;
        let mut pins = self.shared.pins();
        pins.changes += 1;
        if is_kept {
            pins.ids.insert(id);
        } else {
            pins.ids.remove(&id);
        }
        Ok(true)
    }
}
