//! Which roll-ups to read for a question: whole hours where a step holds some, minutes at its edges.

use super::{Cell, Tables, lower, ordered};
use crate::rollup::Delta;
use crate::{StatRow, StatsQuery, StoreError};
use hoplog_model::times::{HOUR, MINUTE};
use hoplog_model::{Interface, Sketch, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Steps longer than this are read from hours where possible.
const LONG: u64 = 2 * HOUR;
/// Steps that are cut into minutes and hours one by one; more are read from minutes alone.
const CUTS: u64 = 2_000;

/// A table of roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollup {
    /// By minute.
    Minutes,
    /// By hour.
    Hours,
}

/// Roll-ups that start within `[from, to)`, in nanoseconds.
type Range = (Rollup, UnixNanos, UnixNanos);

/// The ranges that make up `[from, to)` (whole minutes), in order of time.
fn ranges(query: &StatsQuery, from: UnixNanos, to: UnixNanos) -> Vec<Range> {
    let step = query.step.unwrap_or(u64::MAX);
    if step < LONG || (to - from) / step > CUTS {
        return vec![(Rollup::Minutes, from, to)];
    }
    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |table, from, to| match ranges.last_mut() {
        _ if from >= to => {}
        Some((last, _, end)) if *last == table && *end == from => *end = to,
        _ => ranges.push((table, from, to)),
    };
    let mut at = from;
    while at < to {
        let end = query.step_end(at).min(to);
        let first_hour = at
            .checked_next_multiple_of(HOUR)
            .unwrap_or(u64::MAX)
            .min(end);
        let last_hour = (end - end % HOUR).max(first_hour);
        push(Rollup::Minutes, at, first_hour);
        push(Rollup::Hours, first_hour, last_hour);
        push(Rollup::Minutes, last_hour, end);
        at = end;
    }
    ranges
}

/// What a question comes to over several partitions.
#[derive(Debug)]
pub struct Sums<'a> {
    query: &'a StatsQuery,
    sums: BTreeMap<(Interface, UnixNanos), StatRow>,
    /// In the second pass, the services of which entries were found in the first.
    served: Option<FxHashSet<String>>,
}

impl<'a> Sums<'a> {
    /// Nothing added up yet.
    pub fn new(query: &'a StatsQuery) -> Self {
        Self {
            query,
            sums: BTreeMap::new(),
            served: None,
        }
    }

    /// Whether the partitions must be added once more: services without entries are found only when all were
    /// asked for these. Costs nothing where every service has some.
    pub fn needs_second_pass(&mut self) -> bool {
        let first = self.query.entries_will_do && self.served.is_none();
        if first {
            let services = self.sums.keys().map(|(one, _)| one.service.clone());
            self.served = Some(services.collect());
        }
        first
    }

    /// Whether this pass reads the interface.
    fn wants(&self, interface: &Interface) -> bool {
        let by_pass = match &self.served {
            _ if !self.query.entries_will_do => true,
            None => interface.kind.is_hop(),
            Some(served) => !interface.kind.is_hop() && !served.contains(&interface.service),
        };
        by_pass && self.query.wants(interface)
    }

    /// Adds what a partition holds.
    ///
    /// # Errors
    /// What its tables say.
    pub async fn add(&mut self, tables: &mut impl Tables) -> Result<(), StoreError> {
        let within = self.within(tables).await?;
        let interfaces = tables.interfaces().await?;
        let wanted: FxHashMap<i64, &Interface> = interfaces
            .iter()
            .filter(|(_, interface)| self.wants(interface))
            .map(|(id, interface)| (*id, interface))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut sums = self.pending(tables, &wanted);
        if let Some((from, to)) = within {
            let few: Option<Vec<i64>> =
                (wanted.len() * 4 < interfaces.len()).then(|| wanted.keys().copied().collect());
            for range in ranges(self.query, from, to) {
                for ((at, interface), cell) in read(tables, range, few.as_deref()).await? {
                    if wanted.contains_key(&interface) {
                        let sum = sums.entry((interface, self.query.step_of(at)));
                        sum.or_default().add(cell);
                    }
                }
            }
        }
        for ((interface, at), mut sum) in sums {
            // Changes may take away what only the tables hold, so they come last.
            for pending in std::mem::take(&mut sum.pending) {
                sum.cell.change(&pending);
            }
            self.put(wanted[&interface], at, sum.cell);
        }
        Ok(())
    }

    /// Pending changes that are asked for.
    fn pending(
        &self,
        tables: &impl Tables,
        wanted: &FxHashMap<i64, &Interface>,
    ) -> FxHashMap<(i64, UnixNanos), Sum> {
        let (from, to) = self.query.minutes();
        let mut sums: FxHashMap<(i64, UnixNanos), Sum> = FxHashMap::default();
        tables.pending(&mut |(minute, interface), delta| {
            let minute = nanos(minute);
            if (from..to).contains(&minute) && wanted.contains_key(&interface) {
                let sum = sums.entry((interface, self.query.step_of(minute)));
                sum.or_default().pending.push(delta.clone());
            }
        });
        sums
    }

    /// The whole minutes asked for of which the tables have roll-ups.
    async fn within(
        &self,
        tables: &mut impl Tables,
    ) -> Result<Option<(UnixNanos, UnixNanos)>, StoreError> {
        let Some((least, greatest)) = tables.minutes().await? else {
            return Ok(None);
        };
        let (from, to) = self.query.minutes();
        let (from, to) = (
            from.max(nanos(least)),
            to.min(nanos(greatest.saturating_add(1))),
        );
        Ok((from < to).then_some((from, to)))
    }

    fn put(&mut self, interface: &Interface, at: UnixNanos, cell: Cell) {
        if cell.count == 0 {
            return;
        }
        let (count, errors) = (cell.count.unsigned_abs(), cell.errors.unsigned_abs());
        let sum = cell.sum.cast_unsigned();
        match self.sums.entry((interface.clone(), at)) {
            Entry::Vacant(place) => {
                place.insert(StatRow {
                    interface: interface.clone(),
                    at,
                    count,
                    errors,
                    sum,
                    sketch: cell.sketch,
                });
            }
            Entry::Occupied(mut place) => {
                let row = place.get_mut();
                row.count += count;
                row.errors += errors;
                row.sum = row.sum.saturating_add(sum);
                row.sketch.merge(&cell.sketch);
            }
        }
    }

    /// By interface, then time.
    pub fn finish(self) -> Vec<StatRow> {
        self.sums.into_values().collect()
    }
}

/// One interface and step of one partition.
#[derive(Debug, Default)]
struct Sum {
    cell: Cell,
    pending: Vec<Delta>,
}

impl Sum {
    fn add(&mut self, cell: Cell) {
        if self.cell.sketch == Sketch::default() {
            let sketch = std::mem::replace(&mut self.cell.sketch, cell.sketch);
            self.cell.merge(&Cell { sketch, ..cell });
        } else {
            self.cell.merge(&cell);
        }
    }
}

/// A minute's first instant.
fn nanos(minute: i64) -> UnixNanos {
    lower(minute).saturating_mul(MINUTE)
}

/// The roll-ups of a range, each with its first instant.
async fn read(
    tables: &mut impl Tables,
    (table, from, to): Range,
    of: Option<&[i64]>,
) -> Result<Vec<((UnixNanos, i64), Cell)>, StoreError> {
    let width = match table {
        Rollup::Minutes => MINUTE,
        Rollup::Hours => HOUR,
    };
    let at = ordered(from / width)..ordered(to.div_ceil(width));
    let cells = tables.rollups(table, at, of).await?.into_iter();
    Ok(cells
        .map(|((at, interface), cell)| ((lower(at).saturating_mul(width), interface), cell))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(from: u64, step: Option<u64>) -> StatsQuery {
        StatsQuery {
            from,
            to: u64::MAX,
            step,
            ..StatsQuery::default()
        }
    }

    #[test]
    fn inner_hours_come_from_hours() {
        let (from, to) = (HOUR / 2, 5 * HOUR + MINUTE);
        let expected = [
            (Rollup::Minutes, from, HOUR),
            (Rollup::Hours, HOUR, 5 * HOUR),
            (Rollup::Minutes, 5 * HOUR, to),
        ];
        assert_eq!(ranges(&query(from, None), from, to), expected);
    }

    #[test]
    fn short_steps_come_from_minutes() {
        let all = [(Rollup::Minutes, 0, 9 * HOUR)];
        assert_eq!(ranges(&query(0, Some(HOUR)), 0, 9 * HOUR), all);
    }

    #[test]
    fn steps_of_whole_hours_are_one_range() {
        let all = [(Rollup::Hours, HOUR, 9 * HOUR)];
        assert_eq!(ranges(&query(HOUR, Some(4 * HOUR)), HOUR, 9 * HOUR), all);
    }

    #[test]
    fn steps_off_the_hour_are_cut_at_their_ends() {
        let from = 30 * MINUTE;
        let expected = [
            (Rollup::Minutes, from, HOUR),
            (Rollup::Hours, HOUR, 3 * HOUR),
            (Rollup::Minutes, 3 * HOUR, 4 * HOUR),
            (Rollup::Hours, 4 * HOUR, 6 * HOUR),
            (Rollup::Minutes, 6 * HOUR, 6 * HOUR + from),
        ];
        assert_eq!(
            ranges(&query(from, Some(3 * HOUR)), from, from + 6 * HOUR),
            expected
        );
    }

    #[test]
    fn a_short_range_within_an_hour_has_no_hours() {
        let (from, to) = (HOUR + 5 * MINUTE, HOUR + 9 * MINUTE);
        assert_eq!(
            ranges(&query(from, None), from, to),
            [(Rollup::Minutes, from, to)]
        );
    }
}
