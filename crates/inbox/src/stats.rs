//! The inbox's own figures.

use std::sync::Arc;

use crate::Totals;

/// How the inbox is doing. Counters count since this process opened it unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes in all segment files.
    pub disk_bytes: u64,
    /// The most that `disk_bytes` may be.
    pub disk_bytes_max: u64,
    /// Segment files.
    pub segments: usize,
    /// Records in all segment files, the unreadable ones included.
    pub records: u64,
    /// Spans of all durable records since ever, deleted ones included.
    pub totals: Totals,
    /// Records that the reader found unreadable and skipped. More than 0 is a reason for alarm.
    pub corrupt_records: u64,
    /// Bytes that the reader found unreadable and skipped.
    pub corrupt_bytes: u64,
    /// Spans in the unreadable records, since ever: what the account that the inbox was opened with
    /// says, and what the reader has found since. They are among `totals`.
    pub lost: Totals,
    /// Bytes of an unfinished write that were cut off when the inbox was opened.
    pub truncated_bytes: u64,
    /// Why nothing is acknowledged any more, if so.
    pub fenced: Option<Arc<str>>,
    /// Since when requests are refused for want of room: the receive time of the first refused
    /// one, in nanoseconds since the Unix epoch. `None` while there is room.
    pub full_since: Option<u64>,
    /// Requests refused for want of room.
    pub refused: u64,
    /// Records acknowledged.
    pub appended: u64,
    /// Syncs of segment files, one for each group and one for each new file.
    pub syncs: u64,
    /// Records that wait for their write.
    pub queued: usize,
    /// Memory of records in flight and of synced records that no reader has taken, in bytes.
    pub memory_bytes: usize,
    /// Bytes on disk that the slowest reader has not taken yet.
    pub backlog_bytes: u64,
    /// Records that a reader took from the files instead of from memory.
    pub read_from_disk: u64,
}
