//! Rates, errors and durations out of roll-ups; rows are never read.

use super::{
    Answers, Figures, InterfaceCourse, InterfaceFigures, Latency, LatencyInput, SPARKLINE_POINTS,
    ServiceCourse, ServiceFigures, ServiceSeries, Step, Window,
};
use crate::QueryError;
use crate::insight::{Usual, Usuals};
use hoplog_model::times::MINUTE;
use hoplog_model::{Interface, Sketch, SpanKind, UnixNanos};
use hoplog_store::{StatRow, StatsQuery};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// Most steps of a chart.
const MAX_STEPS: u64 = 2_000;
/// Steps of a chart when the question does not say.
const STEPS: u64 = 60;

/// Spans that must be known of an interface before its usual duration means anything.
const ENOUGH: u64 = 10;

/// Spans added up.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    count: u64,
    errors: u64,
    sketch: Sketch,
}

impl Sum {
    pub(super) fn add(&mut self, row: &StatRow) {
        self.merge(row.count, row.errors, &row.sketch);
    }

    fn merge(&mut self, count: u64, errors: u64, sketch: &Sketch) {
        self.count += count;
        self.errors += errors;
        if self.sketch == Sketch::default() {
            self.sketch = sketch.clone();
        } else {
            self.sketch.merge(sketch);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "ratios for people; counts stay below 2^53"
    )]
    pub(super) fn figures(&self, nanos: u64) -> Figures {
        let [p50_ns, p90_ns, p95_ns, p99_ns] = quantiles(&self.sketch);
        let seconds = nanos.max(1) as f64 / 1e9;
        Figures {
            count: self.count,
            errors: self.errors,
            rate_per_s: self.count as f64 / seconds,
            error_ratio: self.errors as f64 / self.count.max(1) as f64,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        }
    }

    fn step(&self, at: UnixNanos) -> Step {
        let [p50_ns, p90_ns, p95_ns, p99_ns] = quantiles(&self.sketch);
        Step {
            at,
            count: self.count,
            errors: self.errors,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
        }
    }
}

/// [`Sketch::quantile`] of 50, 90, 95 and 99 %, in one go: a page asks for thousands.
fn quantiles(sketch: &Sketch) -> [Option<u64>; 4] {
    let total = u128::from(sketch.count());
    // The rank, rounded up, of so many per cent.
    let ranks = [50, 90, 95, 99].map(|percent| (total * percent).div_ceil(100).max(1));
    let mut found = [None; 4];
    let (mut seen, mut next) = (0, 0);
    for (bucket, count) in sketch.buckets() {
        seen += u128::from(count);
        while next < ranks.len() && seen >= ranks[next] {
            found[next] = Some(Sketch::middle(bucket));
            next += 1;
        }
        if next == ranks.len() {
            break;
        }
    }
    found
}

/// Only the rows that stand for their service: its SERVER and CONSUMER spans, or all of them if
/// it has none of these.
fn standing_for_services(mut rows: Vec<StatRow>) -> Vec<StatRow> {
    let arrivals = rows.iter().filter(|row| row.interface.kind.is_hop());
    let served: BTreeSet<String> = arrivals.map(|row| row.interface.service.clone()).collect();
    rows.retain(|row| row.interface.kind.is_hop() || !served.contains(&row.interface.service));
    rows
}

fn floor_minute(at: UnixNanos) -> UnixNanos {
    at - at % MINUTE
}

fn ceil_minute(at: UnixNanos) -> UnixNanos {
    at.checked_next_multiple_of(MINUTE)
        .unwrap_or(floor_minute(u64::MAX))
}

/// A chart's time: whole minutes.
#[derive(Debug, Clone, Copy)]
struct Steps {
    from: UnixNanos,
    to: UnixNanos,
    step: u64,
}

impl Steps {
    /// Every step, filled from `sums`.
    fn fill(self, sums: &BTreeMap<UnixNanos, Sum>) -> Vec<Step> {
        let Self { from, to, step } = self;
        let at = |n: u64| from.saturating_add(n.saturating_mul(step));
        (0..self.count())
            .map(at)
            .take_while(|at| *at < to)
            .map(|at| whole(sums, at..at.saturating_add(step)).step(at))
            .collect()
    }

    fn count(self) -> u64 {
        self.to.saturating_sub(self.from).div_ceil(self.step)
    }

    fn latency(self, sums: &BTreeMap<UnixNanos, Sum>) -> Latency {
        Latency {
            steps: self.fill(sums),
            step_ns: self.step,
        }
    }

    fn query(self) -> StatsQuery {
        StatsQuery {
            from: self.from,
            to: self.to,
            step: Some(self.step),
            ..StatsQuery::default()
        }
    }
}

/// The whole minutes of a window in steps of `step`, rounded up to whole minutes.
fn steps(window: Window, step: u64) -> Result<Steps, QueryError> {
    let step = step
        .max(1)
        .checked_next_multiple_of(MINUTE)
        .unwrap_or(floor_minute(u64::MAX));
    let (from, to) = (floor_minute(window.from), ceil_minute(window.to));
    let steps = Steps { from, to, step };
    if steps.count() > MAX_STEPS {
        let what = format!("a chart has at most {MAX_STEPS} steps; make them longer");
        return Err(QueryError::invalid("step", what));
    }
    Ok(steps)
}

/// Spans by step.
#[derive(Debug, Default)]
struct Course {
    steps: BTreeMap<UnixNanos, Sum>,
}

impl Course {
    fn add(&mut self, row: &StatRow) {
        self.steps.entry(row.at).or_default().add(row);
    }

    fn whole(&self) -> Sum {
        whole(&self.steps, ..)
    }
}

/// The sums of these steps together.
fn whole(sums: &BTreeMap<UnixNanos, Sum>, steps: impl RangeBounds<UnixNanos>) -> Sum {
    let mut whole = Sum::default();
    for (_, sum) in sums.range(steps) {
        whole.merge(sum.count, sum.errors, &sum.sketch);
    }
    whole
}

/// The interfaces of rows, by kind, then name.
fn by_interface(rows: &[StatRow]) -> BTreeMap<(SpanKind, &str), Course> {
    let mut courses: BTreeMap<(SpanKind, &str), Course> = BTreeMap::new();
    for row in rows {
        let key = (row.interface.kind, row.interface.name.as_str());
        courses.entry(key).or_default().add(row);
    }
    courses
}

impl Answers {
    /// Every service with spans in the window, by name.
    pub async fn services(&self, window: Window) -> Result<Vec<ServiceFigures>, QueryError> {
        let query = StatsQuery {
            entries_will_do: true,
            ..stats_query(window)
        };
        let rows = self.reader.stats(&query).await?;
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for row in standing_for_services(rows) {
            sums.entry(row.interface.service.clone())
                .or_default()
                .add(&row);
        }
        let nanos = self.counted_nanos(window);
        let line = |(name, sum): (String, Sum)| ServiceFigures {
            name,
            figures: sum.figures(nanos),
        };
        Ok(sums.into_iter().map(line).collect())
    }

    /// [`Answers::services`], each with its sparkline over the window, in one question. The last point
    /// ends with the minute in which the window ends; the first may start a little before the
    /// window.
    pub async fn services_series(&self, window: Window) -> Result<Vec<ServiceSeries>, QueryError> {
        let (begin, to) = (floor_minute(window.from), ceil_minute(window.to));
        let length = to.saturating_sub(begin);
        let step = ceil_minute(length.div_ceil(SPARKLINE_POINTS as u64).max(1));
        let from = to.saturating_sub(length.div_ceil(step).saturating_mul(step));
        let steps = Steps { from, to, step };
        let query = StatsQuery {
            cut: Some(begin),
            entries_will_do: true,
            ..steps.query()
        };
        let rows = standing_for_services(self.reader.stats(&query).await?);
        let mut services: BTreeMap<&str, Course> = BTreeMap::new();
        for row in &rows {
            let service = services.entry(&row.interface.service).or_default();
            service.add(row);
        }
        let nanos = self.counted_nanos(window);
        let line = |(name, course): (&str, Course)| ServiceSeries {
            service: ServiceFigures {
                name: name.to_owned(),
                figures: whole(&course.steps, begin..).figures(nanos),
            },
            points: steps.fill(&course.steps),
        };
        let lines = services.into_iter().map(line);
        // A service may have spans before the window only.
        Ok(lines
            .filter(|line| line.service.figures.count > 0)
            .collect())
    }

    /// Every interface of a service with spans in the window, by kind, then name.
    pub async fn interfaces(
        &self,
        service: &str,
        window: Window,
    ) -> Result<Vec<InterfaceFigures>, QueryError> {
        let query = StatsQuery {
            service: Some(service.to_owned()),
            ..stats_query(window)
        };
        let rows = self.reader.stats(&query).await?;
        Ok(self.lines(&by_interface(&rows), window))
    }

    fn lines(
        &self,
        interfaces: &BTreeMap<(SpanKind, &str), Course>,
        window: Window,
    ) -> Vec<InterfaceFigures> {
        let nanos = self.counted_nanos(window);
        let line = |(&(kind, name), course): (&(SpanKind, &str), &Course)| InterfaceFigures {
            name: name.to_owned(),
            kind,
            figures: course.whole().figures(nanos),
        };
        interfaces.iter().map(line).collect()
    }

    /// A service with its interfaces, and its course in steps of `step` nanoseconds, in one
    /// question.
    ///
    /// # Errors
    /// The window holds more than 2,000 steps.
    pub async fn service(
        &self,
        service: &str,
        window: Window,
        step: u64,
    ) -> Result<ServiceCourse, QueryError> {
        let steps = steps(window, step)?;
        let query = StatsQuery {
            service: Some(service.to_owned()),
            ..steps.query()
        };
        let rows = self.reader.stats(&query).await?;
        let interfaces = self.lines(&by_interface(&rows), window);
        let mut course = Course::default();
        for row in &standing_for_services(rows) {
            course.add(row);
        }
        Ok(ServiceCourse {
            figures: course.whole().figures(self.counted_nanos(window)),
            latency: steps.latency(&course.steps),
            interfaces,
        })
    }

    /// The interfaces of this name in a service, by kind, each with its course in steps of `step`
    /// nanoseconds, in one question.
    ///
    /// # Errors
    /// The window holds more than 2,000 steps.
    pub async fn interface(
        &self,
        service: &str,
        name: &str,
        window: Window,
        step: u64,
    ) -> Result<Vec<InterfaceCourse>, QueryError> {
        let steps = steps(window, step)?;
        let query = StatsQuery {
            service: Some(service.to_owned()),
            name: Some(name.to_owned()),
            ..steps.query()
        };
        let rows = self.reader.stats(&query).await?;
        let courses = by_interface(&rows);
        let lines = self.lines(&courses, window);
        let course = |(interface, course): (InterfaceFigures, &Course)| InterfaceCourse {
            interface,
            latency: steps.latency(&course.steps),
        };
        Ok(lines
            .into_iter()
            .zip(courses.values())
            .map(course)
            .collect())
    }

    /// How long spans of these interfaces usually take; those of which too few are known are
    /// missing.
    pub async fn usuals(
        &self,
        interfaces: BTreeSet<Interface>,
        window: Window,
    ) -> Result<Usuals, QueryError> {
        let query = StatsQuery {
            only: Some(interfaces),
            ..stats_query(window)
        };
        let mut usuals = Usuals::new();
        for row in self.reader.stats(&query).await? {
            let ends = row.sketch.quantile(0.5).zip(row.sketch.quantile(0.99));
            if let Some((p50, p99)) = ends.filter(|_| row.count >= ENOUGH) {
                let count = row.count;
                usuals.insert(row.interface, Usual { p50, p99, count });
            }
        }
        Ok(usuals)
    }

    /// Counts, errors and durations over time.
    ///
    /// # Errors
    /// The window makes no sense, or holds more than 2,000 steps.
    pub async fn latency(&self, input: &LatencyInput) -> Result<Latency, QueryError> {
        let window = self.window(input.from, input.to)?;
        let length = ceil_minute(window.to) - floor_minute(window.from);
        let steps = steps(window, input.step.unwrap_or(length / STEPS))?;
        let of_service = input.kind.is_none() && input.interface.is_none();
        let query = StatsQuery {
            service: input.service.clone(),
            kind: input.kind,
            name: input.interface.clone(),
            entries_will_do: of_service,
            ..steps.query()
        };
        let mut rows = self.reader.stats(&query).await?;
        if of_service {
            rows = standing_for_services(rows);
        }
        let mut sums: BTreeMap<UnixNanos, Sum> = BTreeMap::new();
        for row in &rows {
            sums.entry(row.at).or_default().add(row);
        }
        Ok(steps.latency(&sums))
    }

    /// Nanoseconds that the roll-ups of a window really cover: whole minutes, but not the future.
    pub(super) fn counted_nanos(&self, window: Window) -> u64 {
        let end = ceil_minute(window.to).min(self.now().max(window.to));
        end.saturating_sub(floor_minute(window.from))
    }
}

pub(super) fn stats_query(window: Window) -> StatsQuery {
    StatsQuery {
        from: window.from,
        to: window.to,
        ..StatsQuery::default()
    }
}
