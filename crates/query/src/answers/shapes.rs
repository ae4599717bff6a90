//! What is asked and what is answered. Times are Unix nanoseconds, durations nanoseconds.

use crate::lang::{Ast, Issue};
use hoplog_model::{SpanKind, Summary, UnixNanos};
use hoplog_store::{Cost, Sort};

/// A span of time: `from` is in it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First instant.
    pub from: UnixNanos,
    /// First instant past the end.
    pub to: UnixNanos,
}

impl Window {
    /// The `length` nanoseconds before `now`.
    pub fn last(length: u64, now: UnixNanos) -> Self {
        Self {
            from: now.saturating_sub(length),
            to: now,
        }
    }

    /// Its length in nanoseconds.
    pub fn length(self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// A search as it is asked. `last:`, `time:` and `sort:` in `q` win over the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchInput {
    /// The query text; empty finds everything.
    pub q: String,
    /// Earliest start; without it an hour before `to`.
    pub from: Option<UnixNanos>,
    /// First start no longer asked for; without it now.
    pub to: Option<UnixNanos>,
    /// Order; without it newest first.
    pub sort: Option<Sort>,
    /// Requests a page, 1 to 1,000; without it 50.
    pub limit: Option<usize>,
    /// [`RequestList::next_cursor`] of the page before.
    pub cursor: Option<String>,
}

/// A page of requests.
#[derive(Debug, Clone)]
pub struct RequestList {
    /// Matching requests, in the order asked for.
    pub requests: Vec<Summary>,
    /// Goes on after the last of them; none when there is no more.
    pub next_cursor: Option<String>,
    /// False if the budget ran out before the page was full; `next_cursor` goes on from there.
    pub complete: bool,
    /// Every request that started at or after this (and before `window.to`) was looked at.
    pub searched_until: UnixNanos,
    /// Slowest first, stopped early: every request that took longer than this was looked at.
    pub searched_until_duration: Option<u64>,
    /// What it cost.
    pub cost: Cost,
    /// The time searched, as it was resolved.
    pub window: Window,
    /// The order, as it was resolved.
    pub sort: Sort,
    /// The query, understood; none for the empty query. Its `Display` is the canonical form.
    pub ast: Option<Ast>,
    /// Things that look like mistakes but are none.
    pub hints: Vec<Issue>,
}

/// Rate, errors, duration.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Spans counted.
    pub count: u64,
    /// Those with status error.
    pub errors: u64,
    /// Spans per second of the window.
    pub rate_per_s: f64,
    /// Errors over count, 0 to 1; 0 without spans.
    pub error_ratio: f64,
    /// Median duration; none without spans.
    pub p50_ns: Option<u64>,
    /// 90 % took at most this.
    pub p90_ns: Option<u64>,
    /// 95 % took at most this.
    pub p95_ns: Option<u64>,
    /// 99 % took at most this.
    pub p99_ns: Option<u64>,
}

/// A service's line: its SERVER and CONSUMER spans, or all of them if it has none of these.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFigures {
    /// `service.name`; empty where senders gave none.
    pub name: String,
    /// Its figures.
    pub figures: Figures,
}

/// An interface's line.
#[derive(Debug, Clone, PartialEq)]
pub struct InterfaceFigures {
    /// The spans' name.
    pub name: String,
    /// The spans' kind.
    pub kind: SpanKind,
    /// Its figures.
    pub figures: Figures,
}

/// What is charted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencyInput {
    /// Only this service; without it all.
    pub service: Option<String>,
    /// Only spans of this name. Without it, the spans that stand for the service.
    pub interface: Option<String>,
    /// Only spans of this kind.
    pub kind: Option<SpanKind>,
    /// First instant; without it an hour before `to`.
    pub from: Option<UnixNanos>,
    /// First instant no longer asked for; without it now.
    pub to: Option<UnixNanos>,
    /// Nanoseconds a step, rounded up to whole minutes; without it about 60 steps.
    pub step: Option<u64>,
}

/// One step of a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Its first instant.
    pub at: UnixNanos,
    /// Spans that started in it.
    pub count: u64,
    /// Those with status error.
    pub errors: u64,
    /// Median duration; none without spans.
    pub p50_ns: Option<u64>,
    /// 90 % took at most this.
    pub p90_ns: Option<u64>,
    /// 95 % took at most this.
    pub p95_ns: Option<u64>,
    /// 99 % took at most this.
    pub p99_ns: Option<u64>,
}

/// A chart: every step of the window, empty ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    /// In order of time.
    pub steps: Vec<Step>,
    /// Nanoseconds a step.
    pub step_ns: u64,
}

/// A service's line with its sparkline.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSeries {
    /// The line.
    pub service: ServiceFigures,
    /// At most [`SPARKLINE_POINTS`] steps in order of time, empty ones too.
    pub points: Vec<Step>,
}

/// One service over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceCourse {
    /// Of the spans that stand for it.
    pub figures: Figures,
    /// Of the same spans.
    pub latency: Latency,
    /// Its interfaces by kind, then name.
    pub interfaces: Vec<InterfaceFigures>,
}

/// One interface over time.
#[derive(Debug, Clone, PartialEq)]
pub struct InterfaceCourse {
    /// Its line.
    pub interface: InterfaceFigures,
    /// In order of time.
    pub latency: Latency,
}

/// Most points of a sparkline.
pub const SPARKLINE_POINTS: usize = 30;

/// Largest relative error of durations in figures; the sketch's own is a little smaller.
pub const SKETCH_ERROR: f64 = 0.02;
