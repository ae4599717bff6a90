//! The SQLite store from outside.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test is to be seen"
)]

mod checking;
mod conformance;
mod crash;
mod folder;
mod growing;
mod repacking;
mod retention;
mod support;
mod thinning;
mod training;
mod upgrade;
