//! A small shop of real services, instrumented as a user would, and its traffic.
//!
//! Six services talk over real sockets on the loopback: an axum `gateway`, axum `orders` on SQLite, tonic
//! `payments`, axum `inventory`, a `worker` that takes its work from a queue table, and axum
//! `notifications`. Each has its own [`hoplog_tower::Telemetry`] and exports over OTLP/gRPC. A traffic
//! generator outside of them plays customers: most of it goes well, about 3 % does not.
//!
//! ```no_run
//! # async fn run() -> anyhow::Result<()> {
//! let shop = hoplog_demo::Shop::start(hoplog_demo::Options::new("http://127.0.0.1:4317")).await?;
//! let sent = shop.drive(std::future::pending()).await;
//! shop.shutdown().await?;
//! # Ok(()) }
//! ```

mod failure;
mod gateway;
mod inventory;
mod journey;
mod notifications;
mod orders;
mod payments;
mod service;
mod shop;
mod traffic;
mod worker;

/// The layer that brings the shop's `#[instrument]` spans and log lines into its traces: for the process's
/// `tracing` subscriber, if it has one. Without it they are not recorded; all else is.
pub use hoplog_tower::tracing_layer;
pub use shop::{Options, Shop};
pub use traffic::Sent;
