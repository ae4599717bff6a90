//! Spans to requests: open requests in memory, flush rules, policies, the worker that drives the store.
//!
//! [`Assembler`] is pure and synchronous: time comes in as a parameter, batches go out as values.
//! [`Worker`] reads the inbox, pushes, writes what is due, and moves the checkpoint.
//! Readers see the open requests through [`Open`].

mod assembler;
mod config;
mod dead;
mod decisions;
mod open;
mod policy;
mod worker;

pub use assembler::{Assembler, Flushed, Pushed, Record};
pub use config::Config;
pub use dead::{DeadLetters, DeadLettersError};
pub use open::{AssembleStats, Open};
pub use policy::{Keep, Policy};
pub use worker::{Worker, WorkerParts};
