//! Why a whole request is refused, and how that reads on either protocol.

use ::http::StatusCode;
use hoplog_inbox::AppendError;
use hoplog_otlp::SliceError;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// A request that was not taken. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read; the same bytes will never be.
    #[error("{0}")]
    Malformed(String),
    /// Over a size limit, before or after decompression.
    #[error("{0}")]
    TooLarge(String),
    /// `Content-Type` is neither protobuf nor JSON.
    #[error("{0}")]
    ContentType(String),
    /// `Content-Encoding` is not one of those accepted.
    #[error("{0}")]
    Encoding(String),
    /// No room now: retry after this many seconds.
    #[error("{why}")]
    Overloaded {
        /// What there is no room in.
        why: String,
        /// Seconds to wait.
        after: u64,
    },
    /// Nothing is acknowledged any more by this process (a disk error): another one may.
    #[error("{0}")]
    Fenced(String),
}

impl Refusal {
    /// A stable name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge(_) => "too_large",
            Self::ContentType(_) => "content_type",
            Self::Encoding(_) => "encoding",
            Self::Overloaded { .. } => "overloaded",
            Self::Fenced(_) => "fenced",
        }
    }

    /// The gRPC code (OTLP 1.11, "Failures"): only `UNAVAILABLE` makes a client retry.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::ContentType(_) => Code::InvalidArgument,
            Self::TooLarge(_) => Code::ResourceExhausted,
            Self::Encoding(_) => Code::Unimplemented,
            Self::Overloaded { .. } | Self::Fenced(_) => Code::Unavailable,
        }
    }

    /// The HTTP status; 503 makes a client retry.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Encoding(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded { .. } | Self::Fenced(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which the same request may be taken.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Overloaded { after, .. } => Some(*after),
            _ => None,
        }
    }

    /// The gRPC status, with `RetryInfo` where a retry may help.
    pub fn to_status(&self) -> Status {
        match self.retry_after() {
            Some(seconds) => {
                let wait = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
                Status::with_error_details(self.code(), self.to_string(), wait)
            }
            None => Status::new(self.code(), self.to_string()),
        }
    }
}

impl From<SliceError> for Refusal {
    fn from(error: SliceError) -> Self {
        match error {
            SliceError::Malformed { .. } => Self::Malformed(error.to_string()),
            _ => Self::TooLarge(error.to_string()),
        }
    }
}

impl Refusal {
    /// What a failed append means to the sender, who may retry after `after` seconds if it was full.
    pub(crate) fn of_append(error: &AppendError, after: u64) -> Self {
        let why = error.to_string();
        match error {
            AppendError::Full { .. } => Self::Overloaded { why, after },
            AppendError::TooLarge { .. } => Self::TooLarge(why),
            AppendError::Closed => Self::Overloaded { why, after },
            AppendError::Fenced { .. } | AppendError::UnknownReceiver(_) => Self::Fenced(why),
        }
    }
}
