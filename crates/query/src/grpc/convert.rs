//! Between answers and messages.

use crate::answers::{
    BooksAnswer, CallingRequest, Figures, InterfaceFigures, Latency, QueryFigures, QueryList,
    RequestList, Run, ServiceFigures, Step,
};
use crate::{Cost, QueryError, Sort, proto};
use hoplog_model::{SpanKind, SpanStatus, Summary, UnixNanos};

/// A field that is 0 when it is not given.
pub(super) fn given<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

pub(super) fn window(from: UnixNanos, to: UnixNanos) -> (Option<UnixNanos>, Option<UnixNanos>) {
    (given(from), given(to))
}

pub(super) fn sort(number: i32) -> Result<Option<Sort>, QueryError> {
    match proto::Sort::try_from(number) {
        Ok(proto::Sort::Unspecified) => Ok(None),
        Ok(proto::Sort::Newest) => Ok(Some(Sort::Newest)),
        Ok(proto::Sort::Slowest) => Ok(Some(Sort::Slowest)),
        Err(_) => Err(QueryError::invalid(
            "sort",
            format!("there is no order {number}"),
        )),
    }
}

pub(super) fn kind(number: i32) -> Result<Option<SpanKind>, QueryError> {
    match proto::SpanKind::try_from(number) {
        Ok(proto::SpanKind::Unspecified) => Ok(None),
        Ok(proto::SpanKind::Internal) => Ok(Some(SpanKind::Internal)),
        Ok(proto::SpanKind::Server) => Ok(Some(SpanKind::Server)),
        Ok(proto::SpanKind::Client) => Ok(Some(SpanKind::Client)),
        Ok(proto::SpanKind::Producer) => Ok(Some(SpanKind::Producer)),
        Ok(proto::SpanKind::Consumer) => Ok(Some(SpanKind::Consumer)),
        Err(_) => Err(QueryError::invalid(
            "kind",
            format!("there is no span kind {number}"),
        )),
    }
}

fn kind_message(kind: SpanKind) -> i32 {
    let kind = match kind {
        SpanKind::Internal => proto::SpanKind::Internal,
        SpanKind::Server => proto::SpanKind::Server,
        SpanKind::Client => proto::SpanKind::Client,
        SpanKind::Producer => proto::SpanKind::Producer,
        SpanKind::Consumer => proto::SpanKind::Consumer,
        // Of no span.
        SpanKind::Statement => proto::SpanKind::Unspecified,
    };
    kind.into()
}

fn status_message(status: SpanStatus) -> i32 {
    let status = match status {
        SpanStatus::Unset => proto::Status::Unset,
        SpanStatus::Ok => proto::Status::Ok,
        SpanStatus::Error => proto::Status::Error,
    };
    status.into()
}

impl From<Summary> for proto::Request {
    fn from(summary: Summary) -> Self {
        let first_error = summary.first_error.map(|error| proto::FirstError {
            service: error.service,
            name: error.name,
            r#type: error.kind,
            message: error.message,
        });
        Self {
            trace_id: summary.trace_id.to_string(),
            started_at_unix_nano: summary.started_at,
            duration_ns: summary.duration,
            extent_ns: summary.extent,
            service: summary.interface.service,
            interface: summary.interface.name,
            kind: kind_message(summary.interface.kind),
            status: status_message(summary.status),
            code: summary.code,
            span_count: summary.span_count,
            hop_count: summary.hop_count,
            service_count: summary.service_count,
            error_count: summary.error_count,
            first_error,
            flags: summary
                .flags
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl From<Cost> for proto::Cost {
    fn from(cost: Cost) -> Self {
        let Cost {
            segments,
            filters,
            rows,
            bytes,
            ms,
        } = cost;
        Self {
            segments,
            filters,
            rows,
            bytes,
            ms,
        }
    }
}

impl From<RequestList> for proto::SearchRequestsResponse {
    fn from(list: RequestList) -> Self {
        Self {
            requests: list.requests.into_iter().map(Into::into).collect(),
            next_page_token: list.next_cursor.unwrap_or_default(),
            complete: list.complete,
            searched_until_unix_nano: list.searched_until,
            cost: Some(list.cost.into()),
            canonical_query: list
                .ast
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

impl From<Figures> for proto::Figures {
    fn from(figures: Figures) -> Self {
        let Figures {
            count,
            errors,
            rate_per_s,
            error_ratio,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        } = figures;
        Self {
            count,
            errors,
            rate_per_s,
            error_ratio,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        }
    }
}

impl From<ServiceFigures> for proto::Service {
    fn from(line: ServiceFigures) -> Self {
        Self {
            name: line.name,
            figures: Some(line.figures.into()),
        }
    }
}

impl From<InterfaceFigures> for proto::Interface {
    fn from(line: InterfaceFigures) -> Self {
        Self {
            name: line.name,
            kind: kind_message(line.kind),
            figures: Some(line.figures.into()),
        }
    }
}

impl From<Step> for proto::LatencyStep {
    fn from(step: Step) -> Self {
        let Step {
            at,
            count,
            errors,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        } = step;
        Self {
            at_unix_nano: at,
            count,
            errors,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        }
    }
}

impl From<Latency> for proto::GetLatencyResponse {
    fn from(latency: Latency) -> Self {
        Self {
            steps: latency.steps.into_iter().map(Into::into).collect(),
            step_ns: latency.step_ns,
            sketch_error: crate::answers::SKETCH_ERROR,
        }
    }
}

impl From<QueryList> for proto::ListQueriesResponse {
    fn from(list: QueryList) -> Self {
        Self {
            queries: list.queries.into_iter().map(Into::into).collect(),
            count: list.count as u64,
            total_ns: list.total_ns,
        }
    }
}

impl From<Run> for proto::CallRun {
    fn from(run: Run) -> Self {
        Self {
            calls: run.calls as u64,
            total_ns: run.total_ns,
        }
    }
}

impl From<CallingRequest> for proto::CallingRequest {
    fn from(one: CallingRequest) -> Self {
        Self {
            request: Some(one.request.into()),
            calls: one.calls,
            in_a_row: one.run.map(Into::into),
        }
    }
}

impl From<QueryFigures> for proto::Query {
    fn from(line: QueryFigures) -> Self {
        let calls_per_request = line.calls_per_request();
        let n_plus_one = line.run().map(|(_, run)| run.into());
        let changed = line.changed.map(|change| proto::PlanChange {
            since_unix_nano: change.began,
            p95_before_ns: change.p95_before,
            p95_since_ns: change.p95_since,
        });
        let services = line.services.into_iter();
        Self {
            fingerprint: line.fingerprint,
            text: line.text,
            figures: Some(line.figures.into()),
            total_ns: line.total_ns,
            time_share: line.share,
            services: services
                .map(|(service, count)| proto::CallingService { service, count })
                .collect(),
            calls_per_request,
            n_plus_one,
            plan_may_have_changed: changed,
            requests: line.requests.into_iter().map(Into::into).collect(),
            requests_complete: line.complete,
        }
    }
}

impl From<BooksAnswer> for proto::GetBooksResponse {
    fn from(books: BooksAnswer) -> Self {
        let BooksAnswer {
            received,
            stored,
            duplicate,
            left_out,
            rejected,
            dead_lettered,
            lost,
            waiting,
        } = books;
        Self {
            received,
            stored,
            duplicate,
            left_out,
            rejected,
            dead_lettered,
            lost,
            waiting,
        }
    }
}
