//! What SQLite says, in the store's words.

use hoplog_store::StoreError;
use sqlx::error::DatabaseError;

/// `what` failed on `file`: by the caller's means to deal with it.
pub(crate) fn database(file: &str, what: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // The low byte is the primary code: https://sqlite.org/rescode.html
    let primary = code
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    let said = format!("{file}: {what}: {error}");
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
    StoreError::Unavailable(format!("{}: cannot {what}: {error}", path.display()))
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
