//! Settings of the store.

use hoplog_model::times::DAY;
use hoplog_store::retention::{Bytes, Keep};
use serde::{Deserialize, Serialize};

/// Settings of the SQLite store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hours that a new partition file spans, 1 to 744; 24 by default. Files written before keep theirs.
    pub partition_hours: u32,
    /// In place of all ages of `keep`: days; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<u32>,
    /// In place of `keep.bytes`; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_bytes: Option<u64>,
    /// Percent of one processor that packing rows anew may take, 0 to 100; 5 by default, 0 packs none anew.
    pub repack_cpu_percent: u32,
    /// Spans after which a request takes no more; later ones are left out and counted; 100,000 by default.
    pub request_spans: u32,
    /// Searches that run at once, each with at most one connection; 4 by default, at least 1.
    pub searches: usize,
    /// Other reads that run at once, each with one connection; 8 by default, at least 1.
    pub lookups: usize,
    /// KiB of page cache of the connection that writes; 32,768 by default.
    pub writer_cache_kib: u32,
    /// KiB of page cache of each connection that reads (at most 20 stay open);
    /// 1,536 by default.
    pub reader_cache_kib: u32,
    /// Pages in a partition's write-ahead log after which they are moved into the file; 8,000 by default.
    pub wal_pages: u32,
    /// How long requests are kept, and how many bytes they may take.
    pub keep: Keep,
}

impl Config {
    /// What is kept: [`Config::keep`] with what is said in its place.
    pub fn policy(&self) -> Keep {
        let mut keep = self.keep;
        if let Some(days) = self.retain_days {
            let all = Keep::all(u64::from(days) * DAY);
            (keep.rest, keep.slow, keep.errors) = (all.rest, all.slow, all.errors);
        }
        if let Some(bytes) = self.retain_bytes {
            keep.bytes = Bytes::AtMost(bytes);
        }
        keep
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partition_hours: 24,
            retain_days: None,
            retain_bytes: None,
            repack_cpu_percent: 5,
            request_spans: 100_000,
            searches: 4,
            lookups: 8,
            writer_cache_kib: 32 << 10,
            reader_cache_kib: 1_536,
            wal_pages: 8_000,
            keep: Keep::default(),
        }
    }
}
