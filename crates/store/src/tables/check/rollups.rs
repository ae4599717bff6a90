//! Roll-ups against the sums over rows.

use super::Check;
use super::segment::number;
use crate::StoreError;
use crate::rollup::Delta;
use crate::tables::{Cell, Deltas, Rollup, Tables, hours, ordered};
use hoplog_model::Sketch;
use hoplog_model::times::MINUTE;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::Range;

/// Changes by minute since 1970 and interface number, in order.
type Expected = BTreeMap<(i64, i64), Delta>;
/// Roll-ups by interface number.
type Cells = BTreeMap<i64, Cell>;

impl Check<'_> {
    /// Compares the tables, with what is pending, with the rows and with each other, an hour at a time.
    pub(super) async fn compare_rollups(
        mut self,
        tables: &mut impl Tables,
    ) -> Result<(), StoreError> {
        let mut expected = self.expected_minutes();
        let mut pending = Deltas::default();
        tables.pending(&mut |key, delta| pending.entry(key).or_default().merge(delta));
        let all = read(tables, Rollup::Hours, 0..i64::MAX, &hours(&pending)).await?;
        for (hour, cells) in all {
            let within = hour * 60..(hour + 1) * 60;
            let minutes = read(tables, Rollup::Minutes, within, &pending).await?;
            self.compare_hour(hour, cells, &minutes);
            for (minute, cells) in minutes {
                for (interface, cell) in cells {
                    let delta = expected.remove(&(minute, interface)).unwrap_or_default();
                    if !matches_rows(&cell, &delta) {
                        self.differs(None, format_args!("rollup_minute {minute}, interface {interface}: not the sum of the rows"));
                    }
                }
            }
        }
        for (minute, interface) in expected.into_keys() {
            self.differs(
                None,
                format_args!("rollup_minute {minute}, interface {interface}: missing"),
            );
        }
        Ok(())
    }

    fn expected_minutes(&mut self) -> Expected {
        let mut deltas = Expected::new();
        let names = std::mem::take(&mut self.names);
        for ((met, at), delta) in std::mem::take(&mut self.rollups) {
            let interface = &names.interfaces()[met as usize];
            match number(&self.interfaces, interface) {
                Some(number) => {
                    deltas
                        .entry((ordered(at / MINUTE), number))
                        .or_default()
                        .merge(&delta);
                }
                None => {
                    let name = &interface.name;
                    self.differs(
                        None,
                        format_args!("interfaces: {} {name} is missing", interface.service),
                    );
                }
            }
        }
        deltas
    }

    fn compare_hour(&mut self, hour: i64, cells: Cells, minutes: &BTreeMap<i64, Cells>) {
        let mut sums = Cells::new();
        for (interface, cell) in minutes.values().flatten() {
            sums.entry(*interface).or_default().merge(cell);
        }
        for (interface, cell) in cells {
            if sums.remove(&interface).unwrap_or_default() != cell {
                self.differs(
                    None,
                    format_args!(
                        "rollup_hour {hour}, interface {interface}: not the sum of its minutes"
                    ),
                );
            }
        }
        for interface in sums.into_keys() {
            self.differs(
                None,
                format_args!("rollup_hour {hour}, interface {interface}: missing"),
            );
        }
    }
}

/// Whether a roll-up is that of the rows. What a policy only counts is in no row: then it may hold more.
fn matches_rows(cell: &Cell, rows: &Delta) -> bool {
    let mut sketch = Sketch::default();
    let is_sketch = rows.apply(&mut sketch);
    if cell.count - cell.left_out != rows.count || !is_sketch {
        return false;
    }
    if cell.left_out == 0 {
        return (cell.errors, cell.sum) == (rows.errors, rows.sum) && cell.sketch == sketch;
    }
    let held: FxHashMap<u16, u64> = cell.sketch.buckets().collect();
    cell.errors >= rows.errors
        && cell.sketch.count() == cell.count.unsigned_abs()
        && sketch
            .buckets()
            .all(|(bucket, count)| held.get(&bucket).is_some_and(|held| *held >= count))
}

/// The roll-ups of these minutes or hours, by time, with what is pending of them.
async fn read(
    tables: &mut impl Tables,
    table: Rollup,
    at: Range<i64>,
    pending: &Deltas,
) -> Result<BTreeMap<i64, Cells>, StoreError> {
    let mut cells: BTreeMap<i64, Cells> = BTreeMap::new();
    for ((at, interface), cell) in tables.rollups(table, at.clone(), None).await? {
        cells.entry(at).or_default().insert(interface, cell);
    }
    for ((when, interface), delta) in pending {
        if at.contains(when) {
            cells
                .entry(*when)
                .or_default()
                .entry(*interface)
                .or_default()
                .change(delta);
        }
    }
    Ok(cells)
}
