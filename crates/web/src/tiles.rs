//! Rate, failures and percentiles as tiles with sparklines.

use crate::charts::{self, Spark};
use crate::format;
use crate::range::Range;
use crate::reader::Reader;
use hoplog_query::answers::{Figures, Step};

/// One figure with its course.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tile {
    pub(crate) label: String,
    pub(crate) value: format::Amount,
    pub(crate) failed: bool,
    pub(crate) note: String,
    pub(crate) line: String,
    pub(crate) fill: String,
}

/// Height of a tile's sparkline.
const HEIGHT: f64 = 28.0;

/// The five tiles of a service or an interface.
pub(crate) fn tiles(
    figures: &Figures,
    steps: &[Step],
    range: &Range,
    reader: &Reader,
) -> Vec<Tile> {
    let t = reader.t();
    let tile = |label: &str, value, note: String, spark: Spark| Tile {
        label: label.into(),
        value,
        failed: false,
        note,
        line: spark.line,
        fill: spark.fill,
    };
    let count = format::count(figures.count);
    let total = t.text(
        t.tile_total,
        &[
            ("n", count.as_str().into()),
            ("range", range.length_text().into()),
        ],
    );
    let failed_of = t.text(
        t.tile_failed_of,
        &[
            ("n", format::count(figures.errors).into()),
            ("count", count.into()),
        ],
    );
    let failed = Tile {
        failed: figures.errors > 0,
        ..tile(
            t.failed_cap,
            format::percent(figures.error_ratio),
            failed_of,
            errors(steps),
        )
    };
    let quantile = |label, value: Option<u64>, note: &str, pick: fn(&Step) -> Option<u64>| {
        let value = value.map_or_else(format::Amount::default, format::duration);
        tile(label, value, note.into(), durations(steps, pick))
    };
    vec![
        tile(
            t.tile_rate,
            format::rate(figures.rate_per_s),
            total,
            counts(steps),
        ),
        failed,
        quantile("p50", figures.p50_ns, t.tile_half, |step| step.p50_ns),
        quantile("p95", figures.p95_ns, t.tile_19, |step| step.p95_ns),
        quantile("p99", figures.p99_ns, t.tile_99, |step| step.p99_ns),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn counts(steps: &[Step]) -> Spark {
    charts::spark(
        &steps
            .iter()
            .map(|step| Some(step.count as f64))
            .collect::<Vec<_>>(),
        HEIGHT,
    )
}

fn errors(steps: &[Step]) -> Spark {
    let share = |step: &Step| Some(format::ratio(step.errors, step.count));
    charts::spark(&steps.iter().map(share).collect::<Vec<_>>(), HEIGHT)
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn durations(steps: &[Step], pick: fn(&Step) -> Option<u64>) -> Spark {
    let value = |step: &Step| pick(step).map(|nanos| nanos as f64);
    charts::spark(&steps.iter().map(value).collect::<Vec<_>>(), HEIGHT)
}

/// `part` of a chart's steps as a sparkline of this height, for tables.
#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
pub(crate) fn small(steps: &[Step], part: fn(&Step) -> Option<u64>) -> Spark {
    let value = |step: &Step| part(step).map(|number| number as f64);
    charts::spark(&steps.iter().map(value).collect::<Vec<_>>(), 20.0)
}
