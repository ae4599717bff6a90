//! The corpus is what it says, and the builders and processes do what they say.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod corpus;
mod postgres;
mod process;
mod spans;
