//! Pictures as SVG path data: bars, sparklines, lines over time on a logarithmic scale.

use crate::format::{self, svg};
use std::fmt::Write;

/// Height of a bar chart's view box.
const BARS: f64 = 52.0;

/// Stacked bars, one unit wide each, in a view box of the bars' number times 52.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bars {
    /// What went well, standing on what failed.
    pub(crate) ok: String,
    /// What failed.
    pub(crate) failed: String,
    /// The view box's width.
    pub(crate) width: usize,
    /// The highest count.
    pub(crate) top: u64,
}

/// Bars of (all, failed) per step.
pub(crate) fn bars(steps: impl IntoIterator<Item = (u64, u64)>) -> Bars {
    let steps: Vec<_> = steps.into_iter().collect();
    let top = steps.iter().map(|(all, _)| *all).max().unwrap_or(0);
    let mut bars = Bars {
        width: steps.len().max(1),
        top,
        ..Bars::default()
    };
    for (at, (all, failed)) in steps.into_iter().enumerate() {
        let mut height = format::ratio(failed, top) * (BARS - 2.0);
        if failed > 0 {
            height = height.max(1.5);
            bar(&mut bars.failed, at, BARS, height);
        }
        if all > failed {
            let rest = (format::ratio(all - failed, top) * (BARS - 2.0)).max(1.0);
            bar(&mut bars.ok, at, BARS - height, rest);
        }
    }
    bars
}

fn bar(path: &mut String, at: usize, bottom: f64, height: f64) {
    let (bottom, height) = (svg(bottom), svg(height));
    write!(path, "M{at}.09 {bottom}h.82v-{height}h-.82z").expect("a String takes everything");
}

/// A line and the area under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spark {
    /// The line.
    pub(crate) line: String,
    /// The line, closed at the bottom.
    pub(crate) fill: String,
}

/// A sparkline in a view box of 100 times `height`. Steps without a value leave a gap; the scale
/// begins at zero.
pub(crate) fn spark(values: &[Option<f64>], height: f64) -> Spark {
    let top = values.iter().flatten().copied().fold(0.0, f64::max);
    let last = u32::try_from(values.len().max(2) - 1).map_or(1.0, f64::from);
    let mut spark = Spark::default();
    let mut run: Vec<(String, String)> = Vec::new();
    for (at, value) in values.iter().chain([&None]).enumerate() {
        if let Some(value) = value {
            let x = u32::try_from(at).map_or(0.0, f64::from) * 100.0 / last;
            let share = if top > 0.0 { value / top } else { 0.0 };
            run.push((svg(x), svg(height - 1.5 - share * (height - 3.0))));
        } else if let (Some((first, _)), Some((end, _))) = (run.first(), run.last()) {
            let line = polyline(&run);
            write!(spark.fill, "{line}L{end} {0}L{first} {0}z", svg(height))
                .expect("a String takes everything");
            spark.line.push_str(&line);
            run.clear();
        }
    }
    spark
}

fn polyline(points: &[(String, String)]) -> String {
    let mut line = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        line.push(if at == 0 { 'M' } else { 'L' });
        line.push_str(x);
        line.push(' ');
        line.push_str(y);
    }
    if let [(_, _)] = points {
        // A single point is a short stroke, else nothing would be drawn.
        line.push_str("h2");
    }
    line
}

/// A logarithmic scale of durations between two powers of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    /// The scale that holds all of these nanoseconds, at least two powers of ten high.
    pub(crate) fn over(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let (low, high) = values
            .into_iter()
            .fold(None, |held: Option<(u64, u64)>, value| {
                let value = value.max(1);
                Some(held.map_or((value, value), |(low, high)| {
                    (low.min(value), high.max(value))
                }))
            })?;
        let low = log(low).floor();
        Some(Self {
            low,
            high: log(high).ceil().max(low + 2.0),
        })
    }

    /// Where a duration lies: 0 at the bottom, 1 at the top.
    pub(crate) fn share(&self, nanos: u64) -> f64 {
        ((log(nanos) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Each power of ten with its place from the top in per cent.
    pub(crate) fn ticks(&self) -> Vec<(u64, f64)> {
        let mut ticks = Vec::new();
        let mut power = self.low;
        while power <= self.high {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a power of ten of nanoseconds, below 10^20"
            )]
            let nanos = 10_f64.powf(power).round() as u64;
            ticks.push((
                nanos,
                (1.0 - (power - self.low) / (self.high - self.low)) * 100.0,
            ));
            power += 1.0;
        }
        ticks
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn log(nanos: u64) -> f64 {
    (nanos.max(1) as f64).log10()
}

/// A line over time in a view box of the steps' number times 100; gaps where a step has no value.
pub(crate) fn log_line(values: &[Option<u64>], scale: LogScale) -> String {
    let mut line = String::new();
    for run in runs(values, scale) {
        line.push_str(&polyline(&run));
    }
    line
}

/// The area between two lines over time.
pub(crate) fn log_band(low: &[Option<u64>], high: &[Option<u64>], scale: LogScale) -> String {
    let mut band = String::new();
    for (low, high) in runs(low, scale).into_iter().zip(runs(high, scale)) {
        band.push_str(&polyline(&high));
        for (x, y) in low.iter().rev() {
            write!(band, "L{x} {y}").expect("a String takes everything");
        }
        band.push('z');
    }
    band
}

fn runs(values: &[Option<u64>], scale: LogScale) -> Vec<Vec<(String, String)>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for (at, value) in values.iter().chain([&None]).enumerate() {
        match value {
            Some(nanos) => {
                let y = (1.0 - scale.share(*nanos)) * 100.0;
                run.push((format!("{at}.5"), svg(y)));
            }
            None if !run.is_empty() => runs.push(std::mem::take(&mut run)),
            None => {}
        }
    }
    runs
}

/// How long a bar on a logarithmic scale from 1 ms to 100 s is, in per cent.
pub(crate) fn log_percent(nanos: u64) -> f64 {
    (LogScale {
        low: 6.0,
        high: 11.0,
    }
    .share(nanos)
        * 100.0)
        .max(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_their_failures() {
        let bars = bars([(10, 0), (5, 5), (0, 0)]);
        assert_eq!(bars.ok, "M0.09 52h.82v-50h-.82z");
        assert_eq!(bars.failed, "M1.09 52h.82v-25h-.82z");
        assert_eq!((bars.width, bars.top), (3, 10));
    }

    #[test]
    fn a_sparkline_breaks_where_nothing_is_known() {
        let spark = spark(&[Some(1.0), None, Some(2.0), Some(0.0)], 20.0);
        assert_eq!(spark.line, "M0 10h2M66.67 1.5L100 18.5");
        assert!(spark.fill.ends_with("L66.67 20z"));
        assert_eq!(super::spark(&[], 20.0), Spark::default());
    }

    #[test]
    fn a_logarithmic_scale_runs_between_powers_of_ten() {
        let scale = LogScale::over([3_000_000, 40_000_000]).unwrap();
        let ticks: Vec<_> = scale.ticks().iter().map(|(nanos, _)| *nanos).collect();
        assert_eq!(ticks, [1_000_000, 10_000_000, 100_000_000]);
        assert_eq!(
            log_line(&[Some(10_000_000), Some(100_000_000)], scale),
            "M0.5 50L1.5 0"
        );
        assert_eq!(LogScale::over([]), None);
        assert!((log_percent(100_000_000_000) - 100.0).abs() < 0.1);
    }
}
