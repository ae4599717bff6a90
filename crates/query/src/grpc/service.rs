//! The calls of `hoplog.v1.QueryService`.

use super::chunks::Chunks;
use super::convert::{given, kind, sort, window};
use crate::answers::{Answers, LatencyInput, QueriesInput, SearchInput};
use crate::proto::get_request_response::Part;
use crate::proto::query_service_server::QueryService;
use crate::{ErrorCode, QueryError, StoredRequest, proto};
use futures_util::stream::{self, BoxStream, StreamExt};
use hoplog_model::TraceId;
use std::sync::Arc;
use tonic::{Request, Response, Status};

#[derive(Debug)]
pub(super) struct Service(Arc<Answers>);

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) fn new(answers: Arc<Answers>) -> Self {
        Self(answers)
    }

    async fn stored(&self, trace_id: &str) -> Result<StoredRequest, QueryError> {
        let trace_id = id(trace_id)?;
        let found = self.0.request(&trace_id).await?;
        found.ok_or_else(|| {
            QueryError::new(
                ErrorCode::NotFound,
                format!("there is no request {trace_id}"),
            )
        })
    }
}

fn id(trace_id: &str) -> Result<TraceId, QueryError> {
    let wrong = |error: hoplog_model::IdError| QueryError::invalid("trace_id", error.to_string());
    trace_id.parse().map_err(wrong)
}

#[tonic::async_trait]
impl QueryService for Service {
    async fn search_requests(
        &self,
        request: Request<proto::SearchRequestsRequest>,
    ) -> Answer<proto::SearchRequestsResponse> {
        let asked = request.into_inner();
        let (from, to) = window(asked.from_unix_nano, asked.to_unix_nano);
        let input = SearchInput {
            q: asked.query,
            from,
            to,
            sort: sort(asked.sort)?,
            limit: given(asked.page_size).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            cursor: given(asked.page_token),
        };
        Ok(Response::new(self.0.search(&input).await?.into()))
    }

    type GetRequestStream = BoxStream<'static, Result<proto::GetRequestResponse, Status>>;

    async fn get_request(
        &self,
        request: Request<proto::GetRequestRequest>,
    ) -> Answer<Self::GetRequestStream> {
        let found = self.stored(&request.into_inner().trace_id).await?;
        let summary = Part::Summary(found.summary.into());
        let chunks = Chunks::of(found.spans).map(Part::TracesData);
        let parts = std::iter::once(summary).chain(chunks);
        let messages = parts.map(|part| Ok(proto::GetRequestResponse { part: Some(part) }));
        Ok(Response::new(stream::iter(messages).boxed()))
    }

    type WatchRequestsStream = BoxStream<'static, Result<proto::WatchRequestsResponse, Status>>;

    async fn watch_requests(
        &self,
        request: Request<proto::WatchRequestsRequest>,
    ) -> Answer<Self::WatchRequestsStream> {
        let seen = self.0.watch(&request.into_inner().query).await?;
        let messages = seen.map(|seen| {
            let seen = seen?;
            let request = Some(seen.request.into());
            Ok(proto::WatchRequestsResponse {
                request,
                skipped: seen.skipped,
            })
        });
        Ok(Response::new(messages.boxed()))
    }

    async fn list_services(
        &self,
        request: Request<proto::ListServicesRequest>,
    ) -> Answer<proto::ListServicesResponse> {
        let asked = request.into_inner();
        let (from, to) = window(asked.from_unix_nano, asked.to_unix_nano);
        let lines = self.0.services(self.0.window(from, to)?).await?;
        let services = lines.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListServicesResponse { services }))
    }

    async fn list_interfaces(
        &self,
        request: Request<proto::ListInterfacesRequest>,
    ) -> Answer<proto::ListInterfacesResponse> {
        let asked = request.into_inner();
        let (from, to) = window(asked.from_unix_nano, asked.to_unix_nano);
        let lines = self
            .0
            .interfaces(&asked.service, self.0.window(from, to)?)
            .await?;
        let interfaces = lines.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListInterfacesResponse { interfaces }))
    }

    async fn get_latency(
        &self,
        request: Request<proto::GetLatencyRequest>,
    ) -> Answer<proto::GetLatencyResponse> {
        let asked = request.into_inner();
        let (from, to) = window(asked.from_unix_nano, asked.to_unix_nano);
        let input = LatencyInput {
            service: given(asked.service),
            interface: given(asked.interface),
            kind: kind(asked.kind)?,
            from,
            to,
            step: given(asked.step_ns),
        };
        Ok(Response::new(self.0.latency(&input).await?.into()))
    }

    async fn list_queries(
        &self,
        request: Request<proto::ListQueriesRequest>,
    ) -> Answer<proto::ListQueriesResponse> {
        let asked = request.into_inner();
        let (from, to) = window(asked.from_unix_nano, asked.to_unix_nano);
        let input = QueriesInput {
            service: given(asked.service),
            from,
            to,
            limit: given(asked.limit).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        };
        Ok(Response::new(self.0.queries(&input).await?.into()))
    }

    async fn keep_request(
        &self,
        request: Request<proto::KeepRequestRequest>,
    ) -> Answer<proto::KeepRequestResponse> {
        let proto::KeepRequestRequest { trace_id, kept } = request.into_inner();
        let changed = self.0.keep(id(&trace_id)?, kept).await?;
        Ok(Response::new(proto::KeepRequestResponse { kept, changed }))
    }

    async fn get_books(
        &self,
        _request: Request<proto::GetBooksRequest>,
    ) -> Answer<proto::GetBooksResponse> {
        Ok(Response::new(self.0.books().into()))
    }
}
