//! Counts and durations per day of filing, interface and minute.

use crate::rollup::SUM_MAX;
use crate::summary::interfaces;
use crate::{StatRow, StatsQuery};
use hoplog_model::times::MINUTE;
use hoplog_model::{Interface, Sketch, SpanStatus, UnixNanos};
use hoplog_otlp::SpanRef;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct RollUps(BTreeMap<(u64, Interface, UnixNanos), RollUp>);

#[derive(Debug, Default)]
struct RollUp {
    count: u64,
    errors: u64,
    sum: u64,
    sketch: Sketch,
}

fn minute(start: UnixNanos) -> UnixNanos {
    start - start % MINUTE
}

impl RollUps {
    pub(super) fn add(&mut self, day: u64, span: SpanRef<'_>) {
        for interface in interfaces(span) {
            let key = (day, interface, minute(span.head.start));
            let rollup = self.0.entry(key).or_default();
            rollup.count += 1;
            rollup.errors += u64::from(span.head.status == SpanStatus::Error);
            rollup.sum += span.head.duration().min(SUM_MAX);
            rollup.sketch.add(span.head.duration());
        }
    }

    /// Takes out a span that was added and has given way.
    pub(super) fn remove(&mut self, day: u64, gone: SpanRef<'_>) {
        for interface in interfaces(gone) {
            let key = (day, interface, minute(gone.head.start));
            let Some(rollup) = self.0.get_mut(&key) else {
                continue;
            };
            rollup.count -= 1;
            rollup.errors -= u64::from(gone.head.status == SpanStatus::Error);
            rollup.sum -= gone.head.duration().min(SUM_MAX);
            rollup
                .sketch
                .remove_bucket(Sketch::bucket(gone.head.duration()), 1);
            if rollup.count == 0 {
                self.0.remove(&key);
            }
        }
    }

    /// Days that there are any of.
    pub(super) fn days(&self) -> BTreeSet<u64> {
        self.0.keys().map(|(day, ..)| *day).collect()
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.0.retain(|(day, ..), _| is_kept(*day));
    }

    pub(super) fn sum(&self, query: &StatsQuery) -> Vec<StatRow> {
        let (from, to) = query.minutes();
        let mut rows: BTreeMap<(Interface, UnixNanos), StatRow> = BTreeMap::new();
        for ((_, interface, minute), rollup) in &self.0 {
            if !(from..to).contains(minute) || !query.wants(interface) {
                continue;
            }
            let at = query.step_of(*minute);
            let row = rows
                .entry((interface.clone(), at))
                .or_insert_with(|| StatRow {
                    interface: interface.clone(),
                    at,
                    count: 0,
                    errors: 0,
                    sum: 0,
                    sketch: Sketch::default(),
                });
            row.count += rollup.count;
            row.errors += rollup.errors;
            row.sum += rollup.sum;
            row.sketch.merge(&rollup.sketch);
        }
        rows.into_values().collect()
    }
}
