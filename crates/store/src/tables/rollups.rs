//! Roll-ups: as rows of tables, and what was written since these were brought up to date.
//!
//! A batch touches thousands of roll-ups, the same ones as the batch before. So it only appends its
//! changes to `rollup_log`, as one row; they are kept added up in memory ([`Pending`]), where questions
//! find them, and go into the tables together every now and then.

mod codec;

pub use codec::{decode, encode};

use crate::rollup::Delta;
use hoplog_model::Sketch;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// Batches whose changes are pending at most.
const BATCHES: usize = 64;
/// Roll-ups that have changes pending, about at most.
const CELLS: usize = 12_000;

/// A batch's changes by minute since 1970 and interface: ascending, each once.
pub type Changes = Vec<((i64, i64), Delta)>;

/// Changes by time (minutes or hours since 1970) and interface.
pub type Deltas = FxHashMap<(i64, i64), Delta>;

/// Changes, by minute, that are in `rollup_log` and not in the tables.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// Added up.
    pub deltas: Deltas,
    batches: usize,
}

impl Pending {
    /// Adds a batch's changes.
    pub fn add(&mut self, changes: Changes) {
        self.batches += 1;
        for (key, delta) in changes {
            match self.deltas.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().merge(&delta),
                Entry::Vacant(place) => drop(place.insert(delta)),
            }
        }
    }

    /// Whether it is time to put them into the tables.
    pub fn is_due(&self) -> bool {
        self.batches >= BATCHES || self.deltas.len() >= CELLS
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }
}

/// The changes of hours that changes of minutes come to.
pub fn hours(minutes: &Deltas) -> Deltas {
    let mut hours = Deltas::default();
    for ((minute, interface), delta) in minutes {
        hours
            .entry((minute.div_euclid(60), *interface))
            .or_default()
            .merge(delta);
    }
    hours
}

/// A roll-up as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Spans.
    pub count: i64,
    /// Failed ones.
    pub errors: i64,
    /// Nanoseconds; wraps around.
    pub sum: i64,
    /// Of the spans those that a policy only counts.
    pub left_out: i64,
    /// Durations.
    pub sketch: Sketch,
}

impl Cell {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.sum = self.sum.wrapping_add(other.sum);
        self.left_out += other.left_out;
        self.sketch.merge(&other.sketch);
    }

    /// Adds changes; false if they take away what is not there.
    pub fn change(&mut self, delta: &Delta) -> bool {
        self.count += delta.count;
        self.errors += delta.errors;
        self.sum = self.sum.wrapping_add(delta.sum);
        self.left_out += delta.left_out;
        delta.apply(&mut self.sketch)
    }
}

/// Roll-ups with changes added to them: every one that the changes are about, in the order of the table, so
/// that each of its pages is written once. `cells` are those that the table has.
pub fn changed(
    cells: impl IntoIterator<Item = ((i64, i64), Cell)>,
    deltas: &Deltas,
) -> Vec<((i64, i64), Cell)> {
    let mut cells: FxHashMap<(i64, i64), Cell> = cells.into_iter().collect();
    let mut keys: Vec<(i64, i64)> = deltas.keys().copied().collect();
    keys.sort_unstable();
    let change = |key: (i64, i64)| {
        let mut cell = cells.remove(&key).unwrap_or_default();
        if !cell.change(&deltas[&key]) {
            tracing::error!(?key, "a roll-up held fewer spans than its rows");
        }
        (key, cell)
    };
    keys.into_iter().map(change).collect()
}
