//! The middleware from the outside: real routers, real sockets, the SDK's in-memory exporter.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

mod client;
mod grpc;
mod operation;
mod server;
mod setup;
mod support;
mod tracing_spans;
