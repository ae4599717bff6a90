//! What a user may set.

use hoplog_otlp::Limits;
use serde::{Deserialize, Serialize};

/// Settings of the receivers, `[receive]` in the config file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes a request may have, before and after decompression (OTLP 1.11 recommends 64 MiB).
    pub message_bytes_max: usize,
    /// Spans a request may have.
    pub request_spans_max: u32,
    /// Bytes a span may have; a larger one is rejected alone.
    pub span_bytes_max: u32,
    /// How deep an attribute may be nested; a deeper one has its span rejected.
    pub depth_max: u32,
    /// Bytes of all requests being taken at the same time; more are told to retry.
    pub in_flight_bytes_max: usize,
    /// Bytes (compressed, on disk) that may wait between inbox and assembler before senders are slowed down.
    pub backlog_bytes: u64,
    /// Seconds a sender is told to wait when there is no room.
    pub retry_after_seconds: u64,
    /// Origins browsers may send from, e.g. `https://shop.example` or `https://*.example`; none by default.
    pub cors_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 << 20,
            request_spans_max: 200_000,
            span_bytes_max: 1 << 20,
            depth_max: 32,
            in_flight_bytes_max: 128 << 20,
            backlog_bytes: 4 << 20,
            retry_after_seconds: 1,
            cors_origins: Vec::new(),
        }
    }
}

impl Config {
    /// The slicer's share of the limits.
    pub fn limits(&self) -> Limits {
        Limits {
            message_bytes: self.message_bytes_max,
            spans: self.request_spans_max,
            span_bytes: self.span_bytes_max,
            depth: self.depth_max,
            ..Limits::default()
        }
    }
}
