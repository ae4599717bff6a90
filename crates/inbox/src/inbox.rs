//! The door to the inbox.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use hoplog_model::Position;
use tokio::sync::oneshot;

use crate::config::{Config, MAX_PAYLOAD_BYTES};
use crate::disk::{Disk, RealDisk};
use crate::entry::{Account, Entry, RECEIVERS, Totals};
use crate::error::{AppendError, OpenError};
use crate::pack::pack;
use crate::reader::Reader;
use crate::recover::{lock, recover};
use crate::shared::{Failure, Pending, Shared};
use crate::state::State;
use crate::stats::Stats;
use crate::writer::Writer;

/// The cursor of the assembler: the one that [`Inbox::open`] begins with.
pub const ASSEMBLE: &str = "assemble";

/// A handle on the inbox; clones are cheap. When the last one goes, what is queued is still
/// written, but nobody waits for it: use [`Inbox::close`].
#[derive(Debug, Clone)]
pub struct Inbox {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Inbox {
    /// Opens the inbox in `folder` (made if it is not there) and recovers what is in it. The
    /// reader hands out every record from `from` on, first those on disk, then new ones.
    ///
    /// `from` is the store's checkpoint: the least of what all cursors have passed durably; what
    /// lies before it is deleted. `account` is what is counted before `from`, as
    /// [`Reader::account_at`] said then. Both are the defaults for a new data folder.
    ///
    /// A full disk is no error here: appends are refused until there is room.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(
        folder: &Path,
        config: Config,
        from: Position,
        account: Account,
    ) -> Result<(Inbox, Reader), OpenError> {
        Inbox::open_on(Arc::new(RealDisk), folder, config, from, account)
    }

    /// [`Inbox::open`] with another disk to write to, for tests.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        config: Config,
        from: Position,
        account: Account,
    ) -> Result<(Inbox, Reader), OpenError> {
        config.check().map_err(OpenError::Config)?;
        make_folder(disk.as_ref(), folder)?;
        let lock = lock(folder)?;
        let recovered = recover(folder, from, account.totals)?;
        let (next_number, end) = (recovered.next_number, recovered.end);
        let state = State::new(recovered, account.lost);
        let shared = Arc::new(Shared::new(folder.to_owned(), config, disk, state));
        let replay_end = shared.end().max(from);
        shared.add_cursor(ASSEMBLE, from);
        let reader = Reader::new(shared.clone(), from, account, replay_end, true)
            .map_err(OpenError::io("read", folder))?;
        let mut writer = Writer::new(shared.clone(), next_number, end, lock);
        match writer.rotate() {
            // It is tried again with the first append.
            Ok(()) | Err(Failure::Full(_)) => {}
            Err(Failure::Fence(why)) => {
                let source = std::io::Error::other(why.to_string());
                return Err(OpenError::io("write", folder)(source));
            }
        }
        let thread = thread::Builder::new()
            .name("inbox".to_owned())
            .spawn(move || writer.run());
        let thread = thread.map_err(OpenError::io("start the writer of", folder))?;
        let handle = Handle {
            shared,
            writer: Mutex::new(Some(thread)),
        };
        Ok((
            Inbox {
                handle: Arc::new(handle),
            },
            reader,
        ))
    }

    /// Appends a record and returns its position once it is durable. Records stand in the order
    /// in which appends got here; a later one is never durable without the earlier ones.
    ///
    /// The payload is compressed on the calling task. Waits while the records in flight fill the
    /// memory bound. When the future is dropped the record may or may not be written.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; with any of them the request MUST NOT be acknowledged.
    pub async fn append(&self, entry: Entry) -> Result<Position, AppendError> {
        let shared = &self.handle.shared;
        if usize::from(entry.receiver) >= RECEIVERS {
            return Err(AppendError::UnknownReceiver(entry.receiver));
        }
        if entry.payload.len() > MAX_PAYLOAD_BYTES {
            let (bytes, limit) = (entry.payload.len(), MAX_PAYLOAD_BYTES);
            return Err(AppendError::TooLarge { bytes, limit });
        }
        if let Some(refusal) = shared.refusal() {
            return Err(refusal);
        }
        let permits = shared.permits_for(&entry);
        let gone = || shared.refusal().unwrap_or(AppendError::Closed);
        let room = shared.room.clone().acquire_many_owned(permits).await;
        let room = room.map_err(|_closed| gone())?;
        let packed = pack(&entry.payload);
        let (answer, answered) = oneshot::channel();
        shared.enqueue(Pending {
            entry,
            packed,
            room,
            answer,
        })?;
        answered.await.map_err(|_stopped| gone())?
    }

    /// Says that `cursor` has durably passed everything before `upto`. Segment files that all
    /// cursors have passed are deleted; the newest always stays. Deleting blocks the thread for
    /// some milliseconds a file. Going back is ignored.
    pub fn release(&self, cursor: &str, upto: Position) {
        self.handle.shared.release(cursor, upto);
    }

    /// Adds a cursor and a reader for it, which hands out every record from `from` on (or from the
    /// oldest that is left). Each reader gets all records.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] when there is no memory for its decompression.
    pub fn reader(&self, cursor: &'static str, from: Position) -> Result<Reader, OpenError> {
        let shared = &self.handle.shared;
        shared.add_cursor(cursor, from);
        let replay_end = shared.end();
        let account = Account {
            totals: self.totals_at(from),
            lost: Totals::default(),
        };
        Reader::new(shared.clone(), from, account, replay_end, false)
            .map_err(OpenError::io("read", &shared.folder))
    }

    /// The inbox's figures.
    pub fn stats(&self) -> Stats {
        self.handle.shared.stats()
    }

    /// Bytes on disk (compressed) that the slowest reader has not taken yet. Cheap.
    pub fn backlog_bytes(&self) -> u64 {
        self.handle.shared.lock().backlog_bytes()
    }

    /// The spans of all records before `position`, since ever. `position` is one that a reader
    /// gave ([`crate::Delivered::position`] or `next`) and that has not been released; for an
    /// older one the answer is that for the oldest record left. May read a few bytes from disk:
    /// [`crate::Delivered::before`] says the same for nothing.
    pub fn totals_at(&self, position: Position) -> Totals {
        self.handle.shared.totals_at(position)
    }

    /// Takes no more appends, writes what is queued, and returns when the writer has stopped and
    /// the folder may be opened again. Readers then get what is left, and `None`.
    pub async fn close(self) {
        self.handle.shared.close();
        let writer = self
            .handle
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            // The writer's end is told to all by its guard, panics too.
            let _joined = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<(), OpenError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(OpenError::io("create", folder))?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk
            .sync_folder(parent)
            .map_err(OpenError::io("sync", parent)),
        _ => Ok(()),
    }
}
