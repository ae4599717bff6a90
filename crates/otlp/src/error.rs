//! Why a whole request is refused.

/// Why bytes were refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// Not the protobuf message it should be. Sending it again does not help.
    #[error("malformed OTLP at byte {offset}: {what}")]
    Malformed {
        /// Bytes from the start of the message to what is wrong.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// More bytes than [`Limits::message_bytes`](crate::Limits::message_bytes).
    #[error("the request is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More spans than [`Limits::spans`](crate::Limits::spans).
    #[error("the request holds more than {limit} spans; send smaller batches")]
    TooManySpans {
        /// The limit.
        limit: u32,
    },
    /// More than [`Limits::groups`](crate::Limits::groups).
    #[error("the request holds more than {limit} resources and scopes; send smaller batches")]
    TooManyGroups {
        /// The limit.
        limit: u32,
    },
}
