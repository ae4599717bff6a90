//! The JSON that clients rely on. Fields may be added, none change meaning.

use crate::Cost;
use crate::answers::{
    Figures, InterfaceFigures, Latency, PlanChange, QueryFigures, QueryList, RequestList,
    ServiceFigures, Step,
};
use hoplog_model::times::rfc3339;
use hoplog_model::{FirstError, SpanKind, SpanStatus, Summary, TraceId};
use serde::Serialize;

/// A request.
#[derive(Debug, Serialize)]
pub(super) struct RequestShape<'a> {
    trace_id: TraceId,
    started_at: String,
    duration_ns: u64,
    extent_ns: u64,
    service: &'a str,
    interface: &'a str,
    kind: SpanKind,
    status: SpanStatus,
    code: Option<&'a str>,
    span_count: u32,
    hop_count: u32,
    service_count: u32,
    error_count: u32,
    first_error: Option<&'a FirstError>,
    flags: Vec<&'static str>,
}

pub(super) fn request(summary: &Summary) -> RequestShape<'_> {
    RequestShape {
        trace_id: summary.trace_id,
        started_at: rfc3339(summary.started_at),
        duration_ns: summary.duration,
        extent_ns: summary.extent,
        service: &summary.interface.service,
        interface: &summary.interface.name,
        kind: summary.interface.kind,
        status: summary.status,
        code: summary.code.as_deref(),
        span_count: summary.span_count,
        hop_count: summary.hop_count,
        service_count: summary.service_count,
        error_count: summary.error_count,
        first_error: summary.first_error.as_ref(),
        flags: summary.flags.names(),
    }
}

/// A page of requests.
#[derive(Debug, Serialize)]
pub(super) struct ListShape<'a> {
    requests: Vec<RequestShape<'a>>,
    next_cursor: Option<&'a str>,
    complete: bool,
    searched_until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_until_duration_ns: Option<u64>,
    cost: Cost,
    /// The query as it was understood.
    query: String,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

pub(super) fn list(list: &RequestList) -> ListShape<'_> {
    ListShape {
        requests: list.requests.iter().map(request).collect(),
        next_cursor: list.next_cursor.as_deref(),
        complete: list.complete,
        searched_until: rfc3339(list.searched_until),
        searched_until_duration_ns: list.searched_until_duration,
        cost: list.cost,
        query: list
            .ast
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        from: rfc3339(list.window.from),
        to: rfc3339(list.window.to),
        hints: list.hints.iter().map(crate::lang::Issue::message).collect(),
    }
}

#[derive(Debug, Serialize)]
struct FiguresShape {
    count: u64,
    errors: u64,
    rate_per_s: f64,
    error_ratio: f64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p95_ns: Option<u64>,
    p99_ns: Option<u64>,
}

impl From<Figures> for FiguresShape {
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

#[derive(Debug, Serialize)]
struct ServiceShape<'a> {
    name: &'a str,
    #[serde(flatten)]
    figures: FiguresShape,
}

/// Services.
#[derive(Debug, Serialize)]
pub(super) struct ServicesShape<'a> {
    services: Vec<ServiceShape<'a>>,
}

pub(super) fn services(lines: &[ServiceFigures]) -> ServicesShape<'_> {
    let lines = lines.iter();
    let shapes = lines.map(|line| ServiceShape {
        name: &line.name,
        figures: line.figures.into(),
    });
    ServicesShape {
        services: shapes.collect(),
    }
}

#[derive(Debug, Serialize)]
struct InterfaceShape<'a> {
    name: &'a str,
    kind: SpanKind,
    #[serde(flatten)]
    figures: FiguresShape,
}

/// Interfaces.
#[derive(Debug, Serialize)]
pub(super) struct InterfacesShape<'a> {
    interfaces: Vec<InterfaceShape<'a>>,
}

pub(super) fn interfaces(lines: &[InterfaceFigures]) -> InterfacesShape<'_> {
    let shapes = lines.iter().map(|line| InterfaceShape {
        name: &line.name,
        kind: line.kind,
        figures: line.figures.into(),
    });
    InterfacesShape {
        interfaces: shapes.collect(),
    }
}

#[derive(Debug, Serialize)]
struct StepShape {
    at: String,
    count: u64,
    errors: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p95_ns: Option<u64>,
    p99_ns: Option<u64>,
}

impl From<Step> for StepShape {
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
            at: rfc3339(at),
            count,
            errors,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        }
    }
}

/// A chart.
#[derive(Debug, Serialize)]
pub(super) struct LatencyShape {
    steps: Vec<StepShape>,
    step_ns: u64,
    sketch_error: f64,
}

pub(super) fn latency(latency: &Latency) -> LatencyShape {
    LatencyShape {
        steps: latency.steps.iter().copied().map(Into::into).collect(),
        step_ns: latency.step_ns,
        sketch_error: crate::answers::SKETCH_ERROR,
    }
}

#[derive(Debug, Serialize)]
struct CallsShape<'a> {
    service: &'a str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct CallingShape {
    trace_id: TraceId,
    started_at: String,
    duration_ns: u64,
    calls: u64,
    in_a_row: Option<RunShape>,
}

/// Equal calls one after the other under one parent.
#[derive(Debug, Clone, Copy, Serialize)]
struct RunShape {
    calls: usize,
    total_ns: u64,
}

#[derive(Debug, Serialize)]
struct ChangeShape {
    since: String,
    p95_before_ns: u64,
    p95_since_ns: u64,
}

#[derive(Debug, Serialize)]
struct QueryShape<'a> {
    fingerprint: &'a str,
    text: Option<&'a str>,
    #[serde(flatten)]
    figures: FiguresShape,
    total_ns: u64,
    time_share: f64,
    services: Vec<CallsShape<'a>>,
    /// Over `requests`.
    calls_per_request: Option<f64>,
    /// The longest run in `requests`.
    n_plus_one: Option<RunShape>,
    plan_may_have_changed: Option<ChangeShape>,
    /// The newest with it.
    requests: Vec<CallingShape>,
    requests_complete: bool,
}

/// Statements.
#[derive(Debug, Serialize)]
pub(super) struct QueriesShape<'a> {
    queries: Vec<QueryShape<'a>>,
    count: usize,
    total_ns: u64,
    from: String,
    to: String,
    sketch_error: f64,
}

pub(super) fn queries(list: &QueryList) -> QueriesShape<'_> {
    QueriesShape {
        queries: list.queries.iter().map(query).collect(),
        count: list.count,
        total_ns: list.total_ns,
        from: rfc3339(list.window.from),
        to: rfc3339(list.window.to),
        sketch_error: crate::answers::SKETCH_ERROR,
    }
}

fn query(line: &QueryFigures) -> QueryShape<'_> {
    let run = |run: crate::answers::Run| RunShape {
        calls: run.calls,
        total_ns: run.total_ns,
    };
    let services = line.services.iter();
    let requests = line.requests.iter();
    let change = |change: PlanChange| ChangeShape {
        since: rfc3339(change.began),
        p95_before_ns: change.p95_before,
        p95_since_ns: change.p95_since,
    };
    QueryShape {
        fingerprint: &line.fingerprint,
        text: line.text.as_deref(),
        figures: line.figures.into(),
        total_ns: line.total_ns,
        time_share: line.share,
        services: services
            .map(|(service, count)| CallsShape {
                service,
                count: *count,
            })
            .collect(),
        calls_per_request: line.calls_per_request(),
        n_plus_one: line.run().map(|(_, longest)| run(longest)),
        plan_may_have_changed: line.changed.map(change),
        requests: requests
            .map(|one| CallingShape {
                trace_id: one.request.trace_id,
                started_at: rfc3339(one.request.started_at),
                duration_ns: one.request.duration,
                calls: one.calls,
                in_a_row: one.run.map(run),
            })
            .collect(),
        requests_complete: line.complete,
    }
}

/// Whether a request is kept by hand from now on.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    trace_id: TraceId,
    kept: bool,
    changed: bool,
}

/// The answer to `keep`.
pub(super) fn kept(trace_id: TraceId, kept: bool, changed: bool) -> Kept {
    Kept {
        trace_id,
        kept,
        changed,
    }
}
