//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoplog_model::Position;
use thiserror::Error;

/// Why a record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// There is no room on disk now: over the inbox's bound, or the disk itself is full, or no new
    /// segment file could be opened. The sender may retry: it heals when there is room.
    #[error("the inbox is full: {why}")]
    Full {
        /// What is full, for people.
        why: Arc<str>,
    },
    /// A write or a sync failed, so what is on disk is not known. Nothing is acknowledged any
    /// more by this process; what was acknowledged before stays readable.
    #[error("the inbox is fenced: {why}")]
    Fenced {
        /// Which operation failed, for people.
        why: Arc<str>,
    },
    /// The inbox has been closed.
    #[error("the inbox is closed")]
    Closed,
    /// The payload is larger than [`crate::MAX_PAYLOAD_BYTES`]. Retrying does not help.
    #[error("a request of {bytes} bytes is larger than the {limit} that one record may hold")]
    TooLarge {
        /// The payload's size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// [`crate::Entry::receiver`] is not one that is counted: a mistake in the calling code.
    #[error("there is no receiver {0}")]
    UnknownReceiver(u8),
}

impl AppendError {
    /// Whether the same request may be accepted later by this process.
    pub fn is_retryable(&self) -> bool {
        matches!(self, AppendError::Full { .. })
    }
}

/// Why the inbox could not be opened. No segment file has been written to.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A limit in the configuration makes no sense.
    #[error("inbox configuration: {0}")]
    Config(&'static str),
    /// A file or the folder could not be read or written.
    #[error("inbox: cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder open.
    #[error("inbox: {} is in use by another process", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A segment was written by a newer version of hoplog.
    #[error(
        "inbox: {} has format {found}, this version reads up to {supported}: use the newer hoplog",
        path.display()
    )]
    NewerFormat {
        /// The segment file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest that this version reads.
        supported: u32,
    },
    /// The store has passed a position that lies behind everything in the folder: segment files
    /// are missing. Starting anyway would use positions twice and so lose requests.
    #[error(
        "inbox: the store has read up to segment {}, but the newest file in {} is {newest}: \
         segment files are missing; restore them, or start with a new data folder",
        from.segment, path.display()
    )]
    Behind {
        /// The inbox folder.
        path: PathBuf,
        /// The store's checkpoint.
        from: Position,
        /// The newest segment number in the folder, 0 for none.
        newest: u32,
    },
}

impl OpenError {
    /// Turns an I/O error into an `OpenError` that names the file.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { what, path, source }
    }
}
