//! The gRPC service, with reflection and health.

mod chunks;
mod convert;
mod health;
mod service;

use crate::answers::Answers;
use crate::proto::{self, query_service_server::QueryServiceServer};
use axum::Router;
use health::Health;
use service::Service;
use std::sync::Arc;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder;

/// Largest request message, in bytes: a query has at most 4 KiB.
const MAX_MESSAGE: usize = 64 * 1024;

/// The routes of the gRPC services; other paths are left to whom these routes are merged into.
/// They need HTTP/2, which `axum::serve` speaks on the same port as HTTP/1.
pub fn grpc_routes(answers: Arc<Answers>) -> Router {
    let query = QueryServiceServer::new(Service::new(answers.clone()))
        .max_decoding_message_size(MAX_MESSAGE)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let health = HealthServer::new(Health::new(answers)).max_decoding_message_size(MAX_MESSAGE);
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let built = "the descriptors are checked in, and a test lists them";
    let reflection = described().build_v1().expect(built);
    let older_reflection = described().build_v1alpha().expect(built);
    Router::new()
        .route_service(&path_of(&query), query)
        .route_service(&path_of(&health), health)
        .route_service(&path_of(&reflection), reflection)
        .route_service(&path_of(&older_reflection), older_reflection)
}

fn path_of<S: NamedService>(_: &S) -> String {
    format!("/{}/{{*method}}", S::NAME)
}

#[cfg(test)]
mod tests;
