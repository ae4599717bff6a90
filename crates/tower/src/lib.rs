#![doc = include_str!("../README.md")]

mod attributes;
mod body;
mod client;
pub mod context;
mod environment;
mod future;
mod grpc;
mod hop;
mod ids;
mod operation;
mod propagation;
mod redact;
mod server;
mod setup;
#[cfg(feature = "reqwest")]
mod traced_client;
mod tracer;
#[cfg(feature = "tracing")]
mod tracing_layer;

pub use body::HopBody;
pub use client::{ClientLayer, ClientService};
pub use context::{record_error, record_exception};
pub use future::HopFuture;
pub use ids::TimeOrderedIds;
pub use operation::Operation;
pub use propagation::TraceContextPropagator;
pub use server::{ServerLayer, ServerService};
pub use setup::{FlushError, SetupError, Telemetry, TelemetryBuilder};
#[cfg(feature = "reqwest")]
pub use traced_client::{TracedClient, TracedRequest};
#[cfg(feature = "tracing")]
pub use tracing_layer::tracing_layer;
