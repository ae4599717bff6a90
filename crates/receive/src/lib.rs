//! OTLP over gRPC and HTTP: every answer the specification names.
//!
//! Both ways in end in [`Receiver::take`]: slice the request once, append it to the inbox, answer when
//! it is on disk. Spans are rejected one by one (partial success); a request is refused as
//! a whole only if it cannot be read, is too large, or there is no room for it now.

mod answer;
mod body;
mod config;
mod cors;
mod grpc;
mod http;
mod receiver;
mod refusal;
mod stats;

pub use config::Config;
pub use receiver::{Receiver, Taken};
pub use refusal::Refusal;
pub use stats::{ReceiveStats, RefusalCount};

use std::sync::Arc;

/// The OTLP endpoints, gRPC and HTTP alike: either may be used on either port.
pub fn router(receiver: &Arc<Receiver>) -> axum::Router {
    let routes = http::routes(Arc::clone(receiver)).merge(grpc::routes(Arc::clone(receiver)));
    cors::allow(routes, receiver.config())
}

#[cfg(test)]
mod tests;
