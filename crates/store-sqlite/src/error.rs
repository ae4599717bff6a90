//! What SQLite says, in the store's words.

use hoplog_store::StoreError;
use sqlx::error::DatabaseError;

/// Said of a disk without room, by this module alone.
const DISK_FULL: &str = "no room on the disk";

/// Whether it failed for want of room on the disk.
pub(crate) fn is_disk_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(said) if said.contains(DISK_FULL))
}

/// `what` failed on `file`: by the caller's means to deal with it.
pub(crate) fn database(file: &str, what: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // The low byte is the primary code: https://sqlite.org/rescode.html
    let primary = code
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    let mut said = format!("{file}: {what}: {error}");
    if primary == Some(13) {
        said = format!("{said} ({DISK_FULL})");
    }
    match (primary, error) {
        // BUSY, LOCKED
        (Some(5 | 6), _) => StoreError::Busy(said),
        // PERM, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
        (Some(3 | 7 | 8 | 9 | 10 | 13 | 14 | 15), _)
        | (None, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed) => {
            StoreError::Unavailable(said)
        }
        // CORRUPT, NOTADB, and what cannot happen on a database that is whole.
        _ => StoreError::corrupt(file, format!("{what}: {error}")),
    }
}

/// A file operation beside SQLite failed.
pub(crate) fn file(path: &std::path::Path, what: &str, error: &std::io::Error) -> StoreError {
    let mut said = format!("{}: cannot {what}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::StorageFull {
        said = format!("{said} ({DISK_FULL})");
    }
    StoreError::Unavailable(said)
}

/// A task that was to compute something ended early. If it panicked it would again.
pub(crate) fn task(error: &tokio::task::JoinError) -> StoreError {
    let said = format!("a background task did not finish: {error}");
    if error.is_panic() {
        StoreError::Invalid(said)
    } else {
        StoreError::Unavailable(said)
    }
}
