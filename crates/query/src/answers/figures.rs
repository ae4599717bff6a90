//! Rates, errors and durations out of roll-ups; rows are never read.

use super::{
    Answers, Figures, InterfaceFigures, Latency, LatencyInput, SPARKLINE_POINTS, ServiceFigures,
    ServiceSeries, Step, Window,
};
use crate::QueryError;
use hoplog_model::times::MINUTE;
use hoplog_model::{Sketch, SpanKind, UnixNanos};
use hoplog_store::{StatRow, StatsQuery};
use std::collections::{BTreeMap, BTreeSet};

/// Most steps of a chart.
const MAX_STEPS: u64 = 2_000;
/// Steps of a chart when the question does not say.
const STEPS: u64 = 60;

/// Spans added up.
#[derive(Debug, Clone, Default)]
struct Sum {
    count: u64,
    errors: u64,
    sketch: Sketch,
}

impl Sum {
    fn add(&mut self, row: &StatRow) {
        self.count += row.count;
        self.errors += row.errors;
        self.sketch.merge(&row.sketch);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "ratios for people; counts stay below 2^53"
    )]
    fn figures(&self, nanos: u64) -> Figures {
        let at = |q| self.sketch.quantile(q);
        let seconds = nanos.max(1) as f64 / 1e9;
        Figures {
            count: self.count,
            errors: self.errors,
            rate_per_s: self.count as f64 / seconds,
            error_ratio: self.errors as f64 / self.count.max(1) as f64,
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
        }
    }

    fn step(&self, at: UnixNanos) -> Step {
        let quantile = |q| self.sketch.quantile(q);
        Step {
            at,
            count: self.count,
            errors: self.errors,
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p95_ns: quantile(0.95),
            p99_ns: quantile(0.99),
        }
    }
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

/// Every step from `from`, filled from `sums`.
fn filled(sums: &BTreeMap<UnixNanos, Sum>, from: UnixNanos, step: u64, steps: u64) -> Vec<Step> {
    let empty = Sum::default();
    let at = |n: u64| from.saturating_add(n.saturating_mul(step));
    (0..steps)
        .map(at)
        .map(|at| sums.get(&at).unwrap_or(&empty).step(at))
        .collect()
}

impl Answers {
    /// Every service with spans in the window, by name.
    pub async fn services(&self, window: Window) -> Result<Vec<ServiceFigures>, QueryError> {
        let rows = self.reader.stats(&stats_query(window)).await?;
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
        let mut sums: BTreeMap<(SpanKind, String), Sum> = BTreeMap::new();
        for row in self.reader.stats(&query).await? {
            sums.entry((row.interface.kind, row.interface.name.clone()))
                .or_default()
                .add(&row);
        }
        let nanos = self.counted_nanos(window);
        let line = |((kind, name), sum): ((SpanKind, String), Sum)| InterfaceFigures {
            name,
            kind,
            figures: sum.figures(nanos),
        };
        Ok(sums.into_iter().map(line).collect())
    }

    /// Counts, errors and durations over time.
    ///
    /// # Errors
    /// The window makes no sense, or holds more than 2,000 steps.
    pub async fn latency(&self, input: &LatencyInput) -> Result<Latency, QueryError> {
        let window = self.window(input.from, input.to)?;
        let (from, to) = (floor_minute(window.from), ceil_minute(window.to));
        let step = input.step.unwrap_or((to - from) / STEPS).max(1);
        let step = step
            .checked_next_multiple_of(MINUTE)
            .unwrap_or(floor_minute(u64::MAX));
        let steps = (to - from).div_ceil(step);
        if steps > MAX_STEPS {
            let what = format!("a chart has at most {MAX_STEPS} steps; make them longer");
            return Err(QueryError::invalid("step", what));
        }
        let query = StatsQuery {
            from,
            to,
            step: Some(step),
            service: input.service.clone(),
            kind: input.kind,
            name: input.interface.clone(),
        };
        let mut rows = self.reader.stats(&query).await?;
        if input.kind.is_none() && input.interface.is_none() {
            rows = standing_for_services(rows);
        }
        let mut sums: BTreeMap<UnixNanos, Sum> = BTreeMap::new();
        for row in &rows {
            sums.entry(row.at).or_default().add(row);
        }
        Ok(Latency {
            steps: filled(&sums, from, step, steps),
            step_ns: step,
        })
    }

    /// Every service's sparkline over the window, by name. The last point ends with the minute in which
    /// the window ends; the first may start a little before the window.
    pub async fn services_series(&self, window: Window) -> Result<Vec<ServiceSeries>, QueryError> {
        let points = SPARKLINE_POINTS as u64;
        let to = ceil_minute(window.to);
        let length = to - floor_minute(window.from).min(to);
        let step = ceil_minute(length.div_ceil(points).max(1));
        let from = to.saturating_sub(step.saturating_mul(points));
        let query = StatsQuery {
            from,
            to,
            step: Some(step),
            ..StatsQuery::default()
        };
        let mut sums: BTreeMap<String, BTreeMap<UnixNanos, Sum>> = BTreeMap::new();
        for row in standing_for_services(self.reader.stats(&query).await?) {
            let service = sums.entry(row.interface.service.clone()).or_default();
            service.entry(row.at).or_default().add(&row);
        }
        let line = |(name, sums): (String, BTreeMap<UnixNanos, Sum>)| ServiceSeries {
            name,
            points: filled(&sums, from, step, points),
        };
        Ok(sums.into_iter().map(line).collect())
    }

    /// Nanoseconds that the roll-ups of a window really cover: whole minutes, but not the future.
    fn counted_nanos(&self, window: Window) -> u64 {
        let end = ceil_minute(window.to).min(self.now().max(window.to));
        end.saturating_sub(floor_minute(window.from))
    }
}

fn stats_query(window: Window) -> StatsQuery {
    StatsQuery {
        from: window.from,
        to: window.to,
        ..StatsQuery::default()
    }
}
