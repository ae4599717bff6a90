//! The store on PostgreSQL: partitioned tables, several writers, many readers.
//!
//! Everything lies in the schema `hoplog`. Range partitions hold a span of time each; dropping one is
//! retention. Several processes may write: a batch goes into one partition in one transaction that first
//! takes the partition's line of `partitions`, so that segments are numbered as they are committed and every
//! request has one row. What needs no database is done by [`hoplog_store::tables`].
//!
//! Sessions plan without statistics (see [`db`]): a statement has one plan, whatever the data.

mod config;
mod db;
mod distribute;
mod error;
mod maintenance;
mod merge;
mod partition;
mod reader;
mod repack;
mod retention;
mod rows;
mod shared;
mod source;
mod sql;
mod store;
mod tables;
mod vacuum;
mod writer;

pub use config::Config;
pub use store::PostgresStore;
