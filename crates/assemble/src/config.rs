//! What a user may set.

use crate::Policy;
use hoplog_model::times::SECOND;
use serde::{Deserialize, Serialize};

/// Settings of the assembler, `[assemble]` in the config file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds without a new span after which a request is written. SDKs export every 5 s.
    pub quiet_seconds: u64,
    /// Seconds after its first span at which a request is written even if spans keep coming.
    pub age_seconds_max: u64,
    /// Bytes of spans held open; over it the longest quiet requests are written first.
    pub memory_bytes: usize,
    /// Spans a request may have in one part; more are left out, counted, and flagged `capped`.
    pub request_spans_max: usize,
    /// Bytes of spans a request may have in one part; more are left out, counted, and flagged.
    pub request_bytes_max: usize,
    /// Seconds between checkpoints; what was acknowledged since the last one is read again after a crash.
    pub checkpoint_seconds: u64,
    /// What to keep: the first rule that matches a request decides; without one it is kept.
    pub policy: Vec<Policy>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            quiet_seconds: 6,
            age_seconds_max: 60,
            memory_bytes: 128 << 20,
            request_spans_max: 100_000,
            request_bytes_max: 48 << 20,
            checkpoint_seconds: 5,
            policy: Vec::new(),
        }
    }
}

impl Config {
    /// [`Config::quiet_seconds`] in nanoseconds.
    pub fn quiet(&self) -> u64 {
        self.quiet_seconds.saturating_mul(SECOND)
    }

    /// Bytes of spans in one batch: an eighth of what may be open, as that much is held twice while
    /// it is written. The last request of a batch may lie beyond.
    pub(crate) fn batch_bytes(&self) -> usize {
        (self.memory_bytes / 8).max(64 << 10)
    }

    /// [`Config::age_seconds_max`] in nanoseconds.
    pub fn age_max(&self) -> u64 {
        self.age_seconds_max.saturating_mul(SECOND)
    }
}
