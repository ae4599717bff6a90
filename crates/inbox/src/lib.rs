//! Write-ahead segment files: what is acknowledged is on disk.
//!
//! A receiver calls [`Inbox::append`] and answers its client when that returns: the record is then
//! written and synced (one `fdatasync` for all that waited: group commit). A [`Reader`] hands the
//! records out in order, from memory while it keeps up and from the files when it does not. After a
//! crash [`Inbox::open`] reads again from the position that the store says it has passed, and
//! [`Inbox::release`] deletes the segment files that every cursor has passed durably.
//!
//! What must hold (each has a test):
//! - a record whose append returned `Ok` is handed out again after any crash until it is released;
//! - a position is never used twice, not even for a record that nobody was told of;
//! - an I/O error on write or sync fences the inbox: nothing is acknowledged after it;
//! - a full disk refuses, and heals when there is room;
//! - memory and disk are bounded in bytes ([`Config`]).
//!
//! Files: `0000000007.seg` is segment 7 (the layout is in `format.rs`), `lock` keeps a second
//! process out. Each [`Inbox::open`] begins a new segment, so nothing is ever written behind bytes
//! of which an earlier process did not know whether they had reached the disk.

mod config;
mod disk;
mod entry;
mod error;
mod format;
mod inbox;
mod pack;
mod reader;
mod recover;
mod scan;
mod shared;
mod state;
mod stats;
mod writer;

pub use config::{Config, MAX_PAYLOAD_BYTES};
pub use disk::{Disk, RealDisk, SegmentFile};
pub use entry::{Account, Counts, Delivered, Entry, RECEIVERS, Totals};
pub use error::{AppendError, OpenError};
pub use inbox::{ASSEMBLE, Inbox};
pub use reader::Reader;
pub use stats::Stats;
