//! `grpc.health.v1`: serving when hoplog is ready.

use crate::answers::Answers;
use crate::proto::query_service_server::SERVICE_NAME;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

#[derive(Debug)]
pub(super) struct Health(Arc<Answers>);

impl Health {
    pub(super) fn new(answers: Arc<Answers>) -> Self {
        Self(answers)
    }
}

fn response(answers: &Answers, service: &str) -> Option<HealthCheckResponse> {
    let known = ["", SERVICE_NAME].contains(&service);
    let status = match answers.ready() {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    };
    known.then(|| HealthCheckResponse {
        status: status.into(),
    })
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let known = response(&self.0, &service).map(Response::new);
        known.ok_or_else(|| Status::not_found(format!("there is no service {service}")))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// The status now, and again whenever it has changed when something was committed.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let unknown = HealthCheckResponse {
            status: ServingStatus::ServiceUnknown.into(),
        };
        let start = (Arc::clone(&self.0), self.0.commits(), None);
        let statuses = stream::unfold(start, move |(answers, mut commits, last)| {
            let (service, unknown) = (service.clone(), unknown);
            async move {
                loop {
                    let now = response(&answers, &service).unwrap_or(unknown);
                    if last != Some(now) {
                        return Some((Ok(now), (answers, commits, Some(now))));
                    }
                    commits.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(statuses.boxed()))
    }
}
