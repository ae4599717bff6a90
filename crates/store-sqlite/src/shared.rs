//! What writer and readers share.

use crate::catalogue::Dropped;
use crate::config::Config;
use crate::partition::{Partition, next_name};
use crate::readers::Readers;
use hoplog_model::{Clock, TraceId, UnixNanos};
use hoplog_store::Books;
use hoplog_store::pack::Dictionaries;
use hoplog_store::tables::Learned;
use rustc_hash::FxHashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// The parts of an open store that everybody may use at the same time.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    /// The data folder.
    pub(crate) folder: PathBuf,
    pub(crate) dictionaries: Arc<Dictionaries>,
    /// What is known of them.
    pub(crate) learned: Arc<Learned>,
    pub(crate) readers: Arc<Readers>,
    /// How many searches may run.
    pub(crate) searches: Semaphore,
    /// How many other reads may run.
    pub(crate) lookups: Semaphore,
    partitions: RwLock<Vec<Arc<Partition>>>,
    dropped: Mutex<Dropped>,
    /// Names of partitions that were taken away since the start: their files may still be there.
    gone: Mutex<FxHashSet<Arc<str>>>,
    pins: Mutex<Pinned>,
}

/// Requests kept by hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pinned {
    /// All of them.
    pub(crate) ids: FxHashSet<TraceId>,
    /// Another number after every change.
    pub(crate) changes: u64,
}

impl Shared {
    /// Of an open data folder; `partitions` by time.
    pub(crate) fn new(
        (config, clock): (Config, Arc<dyn Clock>),
        folder: PathBuf,
        readers: Readers,
        partitions: Vec<Arc<Partition>>,
        dropped: Dropped,
    ) -> Self {
        Self {
            searches: Semaphore::new(config.searches.max(1)),
            lookups: Semaphore::new(config.lookups.max(1)),
            config,
            clock,
            folder,
            dictionaries: Arc::new(Dictionaries::shipped()),
            learned: Arc::default(),
            readers: Arc::new(readers),
            partitions: RwLock::new(partitions),
            dropped: Mutex::new(dropped),
            gone: Mutex::default(),
            pins: Mutex::default(),
        }
    }

    /// Where partition files are.
    pub(crate) fn partitions_folder(&self) -> PathBuf {
        self.folder.join(PARTITIONS)
    }

    /// Every partition, oldest first.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        // Changes are single calls on the list: it is whole even after a panic.
        self.partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The partition for this instant, if it exists.
    pub(crate) fn partition_at(&self, at: UnixNanos) -> Option<Arc<Partition>> {
        self.partitions()
            .into_iter()
            .find(|one| (one.from..one.to).contains(&at))
    }

    /// Adds a partition.
    pub(crate) fn add_partition(&self, partition: Arc<Partition>) {
        let mut partitions = self
            .partitions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let place = partitions.partition_point(|one| one.from < partition.from);
        partitions.insert(place, partition);
    }

    /// Takes a dropped partition away, puts another one in its place, if any, and counts what is gone; all at
    /// once for whoever reads.
    pub(crate) fn replace_partition(
        &self,
        old: &Partition,
        new: Option<Arc<Partition>>,
        dropped: Dropped,
    ) {
        old.set_dropped();
        let mut partitions = self
            .partitions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        partitions.retain(|one| one.name != old.name);
        if let Some(new) = new {
            let place = partitions.partition_point(|one| one.from < new.from);
            partitions.insert(place, new);
        }
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner) = dropped;
        self.gone_names().insert(Arc::clone(&old.name));
    }

    fn gone_names(&self) -> MutexGuard<'_, FxHashSet<Arc<str>>> {
        // A change is one call.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a new partition: this one, or the next of a partition that is still being removed, or that could
    /// not be. The start removes what is left of these, so that all names are free again.
    pub(crate) fn free_name(&self, mut name: String) -> String {
        let gone = self.gone_names();
        while gone.contains(name.as_str()) {
            name = next_name(&name);
        }
        name
    }

    /// How many partitions were taken away since the start: an answer that failed meanwhile is asked again.
    pub(crate) fn gone(&self) -> usize {
        // No name is taken away twice.
        self.gone_names().len()
    }

    /// Requests kept by hand.
    pub(crate) fn pins(&self) -> MutexGuard<'_, Pinned> {
        // A change is one call, and the number after it.
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Totals of what was dropped.
    pub(crate) fn dropped(&self) -> Dropped {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Totals of everything written since ever.
    pub(crate) fn books(&self) -> Books {
        // Under one lock: retention changes list and totals together.
        let partitions = self
            .partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut books = self.dropped().books;
        for partition in partitions.iter() {
            books.add(partition.figures().books);
        }
        books
    }
}

/// The folder of partition files within the data folder.
pub(crate) const PARTITIONS: &str = "partitions";
