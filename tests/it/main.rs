//! Tests across crates: the real binary, real senders, real browsers. Each module shows one thing
//! that hoplog promises. What they need is found through the environment (`cargo xtask test` sets
//! it); what is missing fails a test, it is never passed over.

mod bad_input;
mod browser;
mod cli;
mod damage;
mod database;
mod grpc;
mod kill;
mod order;
mod policies;
mod proto;
mod retention;
mod sdks;
mod support;
mod visible;
