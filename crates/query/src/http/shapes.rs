//! The JSON that clients rely on. Fields may be added, none change meaning.

use crate::Cost;
use crate::answers::{Figures, InterfaceFigures, Latency, RequestList, ServiceFigures, Step};
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
