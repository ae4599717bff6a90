//! The inbox's limits.

use serde::{Deserialize, Serialize};

/// The largest payload of one record, in bytes before compression: the request limit of 64 MiB and
/// a little for a request that was re-encoded from JSON.
pub const MAX_PAYLOAD_BYTES: usize = 65 * 1024 * 1024;

/// What one group writes at most, in bytes on disk (a single larger record goes alone).
pub(crate) const GROUP_BYTES: u64 = 16 * 1024 * 1024;

const MIB: u32 = 1024 * 1024;

/// Limits of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A segment file is closed when the next record would make it longer than this, in bytes.
    /// Space comes back a whole segment at a time. Default 16 MiB, at least 1 KiB.
    pub segment_bytes: u32,
    /// The inbox's disk bound, in bytes over all segment files. Over it appends are refused and
    /// the sender is told to retry. Default 4 GiB, at least two segments.
    pub max_bytes: u64,
    /// Memory for records that wait for their sync and for synced records that the reader has not
    /// taken yet, in bytes. Over it the latter are dropped and read from disk instead, and appends
    /// wait for room. Default 48 MiB, at least 1 KiB.
    pub memory_bytes: usize,
    /// The most records that one sync covers. Default 4096, at least 1.
    pub group_records: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            segment_bytes: 16 * MIB,
            max_bytes: 4 * 1024 * u64::from(MIB),
            memory_bytes: 48 * MIB as usize,
            group_records: 4096,
        }
    }
}

impl Config {
    /// What is wrong with these limits, if anything.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.segment_bytes < 1024 || self.segment_bytes > 1024 * MIB {
            return Err("segment_bytes must be from 1 KiB to 1 GiB");
        }
        if self.max_bytes < 2 * u64::from(self.segment_bytes) {
            return Err("max_bytes must be at least twice segment_bytes");
        }
        if self.memory_bytes < 1024 {
            return Err("memory_bytes must be at least 1 KiB");
        }
        if self.group_records == 0 {
            return Err("group_records must be at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_an_unknown_field_is_not() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(
            serde_json::from_str::<Config>("{}").unwrap(),
            Config::default()
        );
        assert!(serde_json::from_str::<Config>(r#"{"segment_size": 1}"#).is_err());
    }

    #[test]
    fn each_limit_is_checked() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check()
        };
        assert!(with(|c| c.segment_bytes = 10).is_err());
        assert!(with(|c| c.segment_bytes = u32::MAX).is_err());
        assert!(with(|c| c.max_bytes = 16 * 1024 * 1024).is_err());
        assert!(with(|c| c.memory_bytes = 0).is_err());
        assert!(with(|c| c.group_records = 0).is_err());
    }
}
