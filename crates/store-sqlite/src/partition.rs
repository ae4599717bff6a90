//! One partition file, as everybody sees it.

use crate::db::{self, Connection, column};
use crate::rollups;
use crate::sql::{self, Args};
use hoplog_model::{Interface, SpanKind, UnixNanos};
use hoplog_store::retention::Past;
use hoplog_store::tables::place::Ranged;
use hoplog_store::tables::{Packing, Pending};
use hoplog_store::walk::PartitionBounds;
use hoplog_store::{Books, StoreError};
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::RwLock;

/// Free pages below this many are left to what is written next.
const FREE_PAGES_LEAST: u64 = 64;

/// A file and what is kept in memory of it.
#[derive(Debug)]
pub(crate) struct Partition {
    /// File name without ending.
    pub(crate) name: Arc<str>,
    /// The file.
    pub(crate) path: PathBuf,
    /// First instant it is for.
    pub(crate) from: UnixNanos,
    /// First instant it is no longer for.
    pub(crate) to: UnixNanos,
    figures: Mutex<Figures>,
    packing: Mutex<Packing>,
    interfaces: Mutex<Interfaces>,
    pending: Mutex<Pending>,
    /// Held while roll-ups are read and pending changes added, so that these do not go into the tables in between.
    pub(crate) answering: RwLock<()>,
    /// Groups whose filters are merged.
    merged: Mutex<Range<i64>>,
    /// Pages of the file that hold nothing, when it was last looked.
    free_pages: AtomicU64,
    dropped: AtomicBool,
    /// [`Past`] of what retention has taken out.
    thinned: AtomicU8,
}

/// The interfaces of a partition, as far as they were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interfaces {
    /// By number.
    pub(crate) list: Arc<Vec<(i64, Interface)>>,
    /// The number of each one's service.
    pub(crate) services: Arc<FxHashMap<i64, i64>>,
}

impl Interfaces {
    fn with(&self, added: Vec<(i64, Interface)>) -> Self {
        let list: Vec<_> = self.list.iter().cloned().chain(added).collect();
        let mut first: FxHashMap<&str, i64> = FxHashMap::default();
        let mut services = FxHashMap::default();
        for (id, interface) in &list {
            // Numbers ascend, so the first is the least.
            services.insert(*id, *first.entry(interface.service.as_str()).or_insert(*id));
        }
        let services = Arc::new(services);
        Self {
            list: Arc::new(list),
            services,
        }
    }
}

/// Totals of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// What became of the spans written to it.
    pub(crate) books: Books,
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes of all frames.
    pub(crate) packed_bytes: u64,
    /// What its segments span.
    pub(crate) bounds: Option<PartitionBounds>,
    /// The greatest number of any flushed batch.
    pub(crate) newest: i64,
}

impl Ranged for Partition {
    fn range(&self) -> Range<UnixNanos> {
        self.from..self.to
    }
}

impl Partition {
    /// The partition of this name, whose file is in `folder`; figures are those of an empty one.
    pub(crate) fn new(folder: &Path, name: &str, from: UnixNanos, to: UnixNanos) -> Self {
        Self {
            name: name.into(),
            path: folder.join(format!("{name}.db")),
            from,
            to,
            figures: Mutex::default(),
            packing: Mutex::default(),
            interfaces: Mutex::default(),
            pending: Mutex::default(),
            answering: RwLock::default(),
            merged: Mutex::default(),
            free_pages: AtomicU64::new(0),
            dropped: AtomicBool::new(false),
            thinned: AtomicU8::default(),
        }
    }

    /// The name of a partition that begins then: `p-20261123T000000`.
    pub(crate) fn name_of(from: UnixNanos) -> String {
        let text = hoplog_model::times::rfc3339(from);
        let digits = text.chars().filter(char::is_ascii_alphanumeric).take(15);
        format!("p-{}", digits.collect::<String>())
    }

    /// Reads the figures and pending roll-ups from the file.
    pub(crate) async fn load(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let loaded = Figures::read(connection).await?;
        let (figures, packing) = loaded;
        *self.figures_mut() = figures;
        self.set_packing(packing);
        let pending = rollups::read_pending(connection).await?;
        *self.pending() = pending;
        let merged = connection.one(&sql::READ_MERGING, Args::new()).await?;
        self.set_merged(column(&merged, 0)?..column(&merged, 1)?);
        self.look_for_free_pages(connection).await
    }

    /// Reads how many pages of the file hold nothing.
    pub(crate) async fn look_for_free_pages(
        &self,
        connection: &mut Connection,
    ) -> Result<(), StoreError> {
        let free = connection.free_pages().await?;
        self.free_pages.store(free, Ordering::Relaxed);
        Ok(())
    }

    /// Whether so much of the file is free that it is worth shortening it.
    pub(crate) fn has_free_pages(&self) -> bool {
        self.free_pages.load(Ordering::Relaxed) >= FREE_PAGES_LEAST
    }

    /// Groups whose filters are merged; more may be by the time they are read.
    pub(crate) fn merged(&self) -> Range<i64> {
        let merged = self.merged.lock();
        merged.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are merged from now on.
    pub(crate) fn set_merged(&self, merged: Range<i64>) {
        *self.merged.lock().unwrap_or_else(PoisonError::into_inner) = merged;
    }

    fn figures_mut(&self) -> MutexGuard<'_, Figures> {
        // Only ever assigned as a whole.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it now.
    pub(crate) fn figures(&self) -> Figures {
        *self.figures_mut()
    }

    /// What is known of it from now on.
    pub(crate) fn set_figures(&self, figures: Figures) {
        *self.figures_mut() = figures;
    }

    /// What its rows are packed with, as it is now.
    pub(crate) fn packing(&self) -> Packing {
        // Only ever assigned as a whole.
        let packing = self.packing.lock();
        packing.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What they are packed with from now on.
    pub(crate) fn set_packing(&self, packing: Packing) {
        *self.packing.lock().unwrap_or_else(PoisonError::into_inner) = packing;
    }

    /// The segment to pack anew next with this dictionary, see [`Packing::next`].
    pub(crate) fn next_to_repack(&self, dictionary: u32) -> Option<(i64, Packing)> {
        let Figures { rows, newest, .. } = self.figures();
        self.packing().next(dictionary, rows, newest)
    }

    /// Changes of roll-ups that are not in the tables yet.
    pub(crate) fn pending(&self) -> MutexGuard<'_, Pending> {
        // A panic in between would leave a part of a batch out until the next start.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a row may have started within `[from, to)`.
    pub(crate) fn may_hold(&self, from: UnixNanos, to: UnixNanos) -> bool {
        let bounds = self.figures().bounds;
        bounds.is_some_and(|bounds| bounds.min_start < to && bounds.max_start >= from)
    }

    /// Marks it as gone: connections to it are no longer kept.
    pub(crate) fn set_dropped(&self) {
        self.dropped.store(true, Ordering::SeqCst);
    }

    /// Whether retention took it.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }

    /// What retention has taken out of it.
    pub(crate) fn thinned(&self) -> Past {
        Past(self.thinned.load(Ordering::SeqCst))
    }

    /// Notes what retention has taken out of it.
    pub(crate) fn set_thinned(&self, past: Past) {
        self.thinned.store(past.0, Ordering::SeqCst);
    }

    /// Bytes on disk, log included.
    pub(crate) fn bytes(&self) -> u64 {
        let files = [
            self.path.clone(),
            db::log_path(&self.path),
            db::index_path(&self.path),
        ];
        files
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|file| file.len())
            .sum()
    }

    /// Every interface; asks the file for those added since.
    pub(crate) async fn interfaces(
        &self,
        connection: &mut Connection,
    ) -> Result<Interfaces, StoreError> {
        let known = self.interfaces_mut().clone();
        let last = known.list.last().map_or(0, |(id, _)| *id);
        let added = read_interfaces(connection, last).await?;
        if added.is_empty() {
            return Ok(known);
        }
        let all = known.with(added);
        *self.interfaces_mut() = all.clone();
        Ok(all)
    }

    fn interfaces_mut(&self) -> MutexGuard<'_, Interfaces> {
        // Only ever assigned as a whole.
        self.interfaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the partition that comes after this one for the same time: `p-20261123T000000-2`, then `-3`.
pub(crate) fn next_name(name: &str) -> String {
    // The date has one dash before it.
    let parts: Vec<&str> = name.splitn(3, '-').collect();
    match parts.as_slice() {
        [p, date, n] => {
            let next = n.parse::<u64>().map_or(2, |n| n.saturating_add(1));
            format!("{p}-{date}-{next}")
        }
        _ => format!("{name}-2"),
    }
}

/// Interfaces with a number greater than `after`, ascending.
pub(crate) async fn read_interfaces(
    connection: &mut Connection,
    after: i64,
) -> Result<Vec<(i64, Interface)>, StoreError> {
    let rows = connection
        .all(&sql::READ_INTERFACES, Args::new().with(after))
        .await?;
    let interface = |row: &SqliteRow| {
        let kind = SpanKind::from_stored(column::<i64>(row, 2)?.cast_unsigned());
        Ok((
            column(row, 0)?,
            Interface {
                service: column(row, 1)?,
                kind,
                name: column(row, 3)?,
            },
        ))
    };
    rows.iter().map(interface).collect()
}

impl Figures {
    async fn read(connection: &mut Connection) -> Result<(Self, Packing), StoreError> {
        let books = connection.one(&sql::READ_BOOKS, Args::new()).await?;
        let total = |index| Ok::<_, StoreError>(column::<i64>(&books, index)?.cast_unsigned());
        let max_extent = sql::upper(column(&books, 7)?);
        let packing = Packing::decode(column(&books, 5)?, column(&books, 6)?)?;
        let bounds = connection.one(&sql::READ_BOUNDS, Args::new()).await?;
        let bound = |index| column::<Option<i64>>(&bounds, index);
        let newest = bound(3)?.unwrap_or_default();
        let segments = bound(0)?.zip(bound(1)?).zip(bound(2)?);
        let figures = Self {
            books: Books {
                stored: total(0)?,
                duplicate: total(1)?,
                left_out: total(2)?,
            },
            rows: total(3)?,
            packed_bytes: total(4)?,
            bounds: segments.map(|((min_start, max_start), max_duration)| PartitionBounds {
                min_start: sql::lower(min_start),
                max_start: sql::upper(max_start),
                max_duration: sql::upper(max_duration),
                max_extent,
                newest,
            }),
            newest: newest.max(bound(4)?.unwrap_or_default()),
        };
        Ok((figures, packing))
    }
}
