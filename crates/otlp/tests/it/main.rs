//! The crate's promises, tested from outside; prost is the oracle.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod differential;
mod generate;
mod json;
mod set;
mod slice;
mod view;
