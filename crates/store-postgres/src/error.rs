//! What PostgreSQL says, in the store's words.

use hoplog_store::StoreError;
use sqlx::error::DatabaseError;

/// How errors begin that a full disk is the reason of.
const DISK_FULL: &str = "the disk is full: ";

/// Whether the server's disk is full.
pub(crate) fn is_disk_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(said) if said.starts_with(DISK_FULL))
}

/// `what` failed: by the caller's means to deal with it.
pub(crate) fn database(what: &str, error: &sqlx::Error) -> StoreError {
    let said = format!("PostgreSQL: {what}: {error}");
    let code = error.as_database_error().and_then(DatabaseError::code);
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    match (code.as_deref(), error) {
        (Some("53100"), _) => StoreError::Unavailable(format!("{DISK_FULL}{said}")),
        // Deadlock, serialization failure, lock not available, query or transaction timed out.
        (Some("40001" | "40P01" | "55P03" | "57014" | "25P04"), _) => StoreError::Busy(said),
        // No such table, one too many, a table in another state: retention is at it this moment.
        (Some("42P01" | "42P07" | "55000"), _) => StoreError::Busy(said),
        // Connection, resources (disk full), operator intervention, system error, read-only server, no right,
        // bad login, no such database.
        (Some(code), _)
            if ["08", "53", "57", "58", "28", "3D"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["25006", "25P02", "25P03", "42501"].contains(&code) =>
        {
            StoreError::Unavailable(said)
        }
        (
            None,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Configuration(_),
        ) => StoreError::Unavailable(said),
        // What cannot happen on a database that is whole.
        _ => StoreError::corrupt("PostgreSQL", format!("{what}: {error}")),
    }
}

/// A task that was to do something ended early. If it panicked it would again.
pub(crate) fn task(error: &tokio::task::JoinError) -> StoreError {
    let said = format!("a background task did not finish: {error}");
    if error.is_panic() {
        StoreError::Invalid(said)
    } else {
        StoreError::Unavailable(said)
    }
}
