//! What can go wrong with a question, by what the asker can do about it.

use crate::lang::Issue;
use hoplog_store::StoreError;
use std::fmt;

/// Kinds of failure; each has one gRPC code and one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The question itself is wrong: ask differently.
    InvalidArgument,
    /// There is no such thing.
    NotFound,
    /// Not now: the same question may be answered later.
    Unavailable,
    /// hoplog's own fault, or damaged data.
    Internal,
}

impl ErrorCode {
    /// The gRPC status code.
    pub fn grpc(self) -> tonic::Code {
        match self {
            Self::InvalidArgument => tonic::Code::InvalidArgument,
            Self::NotFound => tonic::Code::NotFound,
            Self::Unavailable => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// The HTTP status.
    pub fn http(self) -> http::StatusCode {
        match self {
            Self::InvalidArgument => http::StatusCode::BAD_REQUEST,
            Self::NotFound => http::StatusCode::NOT_FOUND,
            Self::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A short title in English, for `application/problem+json`.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidArgument => "The question was not understood",
            Self::NotFound => "Not found",
            Self::Unavailable => "Not available right now",
            Self::Internal => "Something is wrong inside hoplog",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// The kind.
    pub code: ErrorCode,
    /// What is wrong, one English sentence.
    pub what: String,
    /// Where: the parameter's name, or a place in the store.
    pub at: Option<String>,
    /// For a query that was not understood: what, and at which columns.
    pub issues: Vec<Issue>,
    /// The query with everything put right, where all of it can be guessed.
    pub fixed: Option<String>,
}

impl QueryError {
    /// An error of `code` without a place.
    pub fn new(code: ErrorCode, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            at: None,
            issues: Vec::new(),
            fixed: None,
        }
    }

    /// The parameter `at` is wrong.
    pub fn invalid(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            at: Some(at.into()),
            ..Self::new(ErrorCode::InvalidArgument, what)
        }
    }

    /// The query text `q` is wrong at `issues`.
    pub fn query(issues: Vec<Issue>) -> Self {
        let what = match issues.as_slice() {
            [one] => one.message(),
            many => format!("{} parts of this query were not understood.", many.len()),
        };
        Self {
            issues,
            ..Self::invalid("q", what)
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Busy(_) => {
                Self::new(ErrorCode::Unavailable, error.to_string())
            }
            StoreError::Corrupt { at, what } => Self {
                at: Some(at),
                ..Self::new(ErrorCode::Internal, format!("damaged data: {what}"))
            },
            StoreError::Newer(_) => Self::new(ErrorCode::Internal, error.to_string()),
            StoreError::Invalid(_) => Self::new(ErrorCode::InvalidArgument, error.to_string()),
        }
    }
}

impl From<QueryError> for tonic::Status {
    fn from(error: QueryError) -> Self {
        let mut text = error.to_string();
        for issue in &error.issues {
            text.push_str(&format!("\ncolumn {}: {}", issue.at + 1, issue.message()));
        }
        Self::new(error.code.grpc(), text)
    }
}
