//! What can go wrong in a store, by what the caller can do about it.

/// Why a store did not do what was asked. "Not found" is no error: it is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or written now (lost connection, full disk, read-only
    /// server): the same call may succeed later. Nothing of the call was done.
    #[error("the store cannot be used right now: {0}")]
    Unavailable(String),
    /// Another process holds what the call needs; try again.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// Bytes in the store are not what was written. Says which table, row and column.
    #[error("damaged data at {at}: {what}")]
    Corrupt {
        /// Table, row and column, e.g. `requests row 1025 spans`.
        at: String,
        /// What is wrong with it.
        what: String,
    },
    /// The data was written by a newer hoplog; says the versions.
    #[error("{0}")]
    Newer(String),
    /// The call itself makes no sense, e.g. a cursor of another search.
    #[error("{0}")]
    Invalid(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_))
    }

    /// A [`StoreError::Corrupt`].
    pub fn corrupt(at: impl Into<String>, what: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            at: at.into(),
            what: what.to_string(),
        }
    }
}
