//! The store on SQLite: partition files, one writer, many readers.
//!
//! A data folder holds `catalogue.db` (the list of partitions, the checkpoint, what was dropped) and
//! `partitions/p-<first instant>.db`, each a whole store of one span of time: copying the file is a backup,
//! removing it is retention. `reserve` is disk space set aside for recording a drop on a full disk.
//!
//! [`SqliteStore`] writes through one connection a file, in one transaction a batch of few, fat
//! statements; whatever needs no database (merging, packing, search records) is done before it
//! begins. Commits survive the process at once and a power cut from the next
//! [`checkpoint`](hoplog_store::SpanWriter::checkpoint) on, which syncs the logs. Readers have
//! connections of their own and wait for no one.

mod area;
mod catalogue;
mod check;
mod config;
mod db;
mod error;
mod maintenance;
mod merge;
mod partition;
mod reader;
mod readers;
mod repack;
mod retention;
mod rollups;
mod rows;
mod shared;
mod source;
mod sql;
mod store;
mod tables;
mod upgrade;
mod writer;

pub use config::Config;
pub use store::SqliteStore;
