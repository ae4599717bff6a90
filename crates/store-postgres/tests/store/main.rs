//! The PostgreSQL store from outside, on a real server.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test is to be seen"
)]

mod cancelled;
mod conformance;
mod repacking;
mod thinning;
mod upgrade;
mod vacuum;
