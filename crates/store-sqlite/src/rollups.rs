//! Roll-ups: as rows of tables, and what was written since these were brought up to date.
//!
//! A batch touches thousands of roll-ups, the same ones as the batch before. So it only appends its
//! changes to `rollup_log`, as one row; they are kept added up in memory ([`Pending`]), where questions
//! find them, and go into the tables together every now and then.

mod codec;

pub(crate) use codec::{decode, encode};

use crate::db::{Connection, column};
use crate::sql::{self, Args, Bulk, Insert, Statement};
use hoplog_model::Sketch;
use hoplog_store::StoreError;
use hoplog_store::rollup::Delta;
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;
use std::collections::hash_map::Entry;

/// Batches whose changes are pending at most.
const BATCHES: usize = 64;
/// Roll-ups that have changes pending, about at most.
const CELLS: usize = 12_000;

/// A batch's changes by minute since 1970 and interface: ascending, each once.
pub(crate) type Changes = Vec<((i64, i64), Delta)>;

/// Changes by time (minutes or hours since 1970) and interface.
pub(crate) type Deltas = FxHashMap<(i64, i64), Delta>;

/// Changes, by minute, that are in `rollup_log` and not in the tables.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) deltas: Deltas,
    batches: usize,
}

impl Pending {
    /// Reads `rollup_log`.
    pub(crate) async fn read(connection: &mut Connection) -> Result<Self, StoreError> {
        let mut pending = Self::default();
        for row in connection.all(&sql::READ_ROLLUP_LOG, Args::new()).await? {
            let deltas = decode(column(&row, 1)?);
            let at = || {
                format!(
                    "rollup_log segment {}",
                    column::<i64>(&row, 0).unwrap_or(-1)
                )
            };
            pending.add(deltas.map_err(|why| StoreError::corrupt(at(), why))?);
        }
        Ok(pending)
    }

    /// Adds a batch's changes.
    pub(crate) fn add(&mut self, changes: Changes) {
        self.batches += 1;
        for (key, delta) in changes {
            match self.deltas.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().merge(&delta),
                Entry::Vacant(place) => drop(place.insert(delta)),
            }
        }
    }

    /// Whether it is time to put them into the tables.
    pub(crate) fn is_due(&self) -> bool {
        self.batches >= BATCHES || self.deltas.len() >= CELLS
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches == 0
    }
}

/// The changes of hours that changes of minutes come to.
pub(crate) fn hours(minutes: &Deltas) -> Deltas {
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
pub(crate) struct Cell {
    pub(crate) count: i64,
    pub(crate) errors: i64,
    /// Nanoseconds; wraps around.
    pub(crate) sum: i64,
    pub(crate) left_out: i64,
    pub(crate) sketch: Sketch,
}

impl Cell {
    /// From `at, interface, count, errors, sum, left_out, sketch`.
    pub(crate) fn read(row: &SqliteRow) -> Result<((i64, i64), Self), StoreError> {
        let key = (column(row, 0)?, column(row, 1)?);
        let sketch = Sketch::decode(column(row, 6)?).map_err(|why| {
            StoreError::corrupt(
                format!("roll-up {}, interface {}: sketch", key.0, key.1),
                why,
            )
        })?;
        let cell = Self {
            count: column(row, 2)?,
            errors: column(row, 3)?,
            sum: column(row, 4)?,
            left_out: column(row, 5)?,
            sketch,
        };
        Ok((key, cell))
    }

    /// Adds another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.sum = self.sum.wrapping_add(other.sum);
        self.left_out += other.left_out;
        self.sketch.merge(&other.sketch);
    }

    /// Adds changes; false if they take away what is not there.
    pub(crate) fn change(&mut self, delta: &Delta) -> bool {
        self.count += delta.count;
        self.errors += delta.errors;
        self.sum = self.sum.wrapping_add(delta.sum);
        self.left_out += delta.left_out;
        delta.apply(&mut self.sketch)
    }
}

/// Puts changes of minutes into both tables.
pub(crate) async fn put(connection: &mut Connection, minutes: &Deltas) -> Result<(), StoreError> {
    let table = Table {
        find: &sql::FIND_MINUTES,
        insert: &sql::MINUTES,
    };
    table.put(connection, minutes).await?;
    let table = Table {
        find: &sql::FIND_HOURS,
        insert: &sql::HOURS,
    };
    table.put(connection, &hours(minutes)).await
}

struct Table {
    find: &'static Statement,
    insert: &'static Insert,
}

impl Table {
    async fn put(&self, connection: &mut Connection, deltas: &Deltas) -> Result<(), StoreError> {
        // In the order of the table, so that each of its pages is written once.
        let mut keys: Vec<(i64, i64)> = deltas.keys().copied().collect();
        keys.sort_unstable();
        let mut cells: FxHashMap<(i64, i64), Cell> = FxHashMap::default();
        let wanted = Args::new().with(sql::json_pairs(keys.iter().copied()));
        for row in connection.all(self.find, wanted).await? {
            let (key, cell) = Cell::read(&row)?;
            cells.insert(key, cell);
        }
        let mut rows = Bulk::new(self.insert, keys.len());
        for key in keys {
            let mut cell = cells.remove(&key).unwrap_or_default();
            if !cell.change(&deltas[&key]) {
                tracing::error!(?key, "a roll-up held fewer spans than its rows");
            }
            let mut sketch = Vec::new();
            cell.sketch.encode(&mut sketch);
            rows.value(key.0)
                .value(key.1)
                .value(cell.count)
                .value(cell.errors)
                .value(cell.sum);
            rows.value(cell.left_out).value(sketch);
        }
        connection.insert(rows).await
    }
}
