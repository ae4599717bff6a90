//! For tests and benchmarks: a seeded corpus, spans in few words, servers started and ended, among
//! them a PostgreSQL, an OTLP client.

pub mod client;
pub mod corpus;
pub mod cut;
pub mod ends;
pub mod postgres;
pub mod process;
pub mod spans;
