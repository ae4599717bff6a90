//! Settings of the store.

use hoplog_store::retention::Keep;

/// Settings of the PostgreSQL store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The collector whose inbox is written: its checkpoint goes by this name. Two processes of one name
    /// cannot write at the same time.
    pub writer: String,
    /// Hours that a new partition spans, 1 to 744; 24 by default. Those made before keep theirs.
    pub partition_hours: u32,
    /// How long requests are kept, and how many bytes of the schema they may take.
    pub keep: Keep,
    /// Spans after which a request takes no more; later ones are left out and counted; 100,000 by default.
    pub request_spans: u32,
    /// Searches that run at once; 4 by default, at least 1.
    pub searches: usize,
    /// Other reads that run at once; 8 by default, at least 1.
    pub lookups: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            writer: "hoplog".to_owned(),
            partition_hours: 24,
            keep: Keep::default(),
            request_spans: 100_000,
            searches: 4,
            lookups: 8,
        }
    }
}
