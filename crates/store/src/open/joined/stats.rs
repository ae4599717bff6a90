//! Roll-ups of both: the store's, and the open spans that it does not hold yet.

use super::{Joined, join};
use crate::rollup::SUM_MAX;
use crate::{StatRow, StatsQuery, StoreError, summary};
use hoplog_model::times::MINUTE;
use hoplog_model::{Interface, Sketch, SpanStatus, UnixNanos};
use hoplog_otlp::SpanRef;
use std::collections::BTreeMap;

impl Joined {
    pub(super) async fn stats_of_both(
        &self,
        query: &StatsQuery,
    ) -> Result<Vec<StatRow>, StoreError> {
        let (_, to) = query.minutes();
        let listed = self.open.list(0, to);
        let rows = self.store.stats(query).await?;
        if listed.is_empty() {
            return Ok(rows);
        }
        // Asked after the roll-ups were read: what was flushed in between is held, and adds nothing.
        let stored = self.stored(&listed).await?;
        let mut table = Table::new(query, rows);
        for (trace_id, _) in listed {
            let Some(open) = self.open.get(&trace_id) else {
                continue;
            };
            let row = if stored.contains(&trace_id) {
                self.store.get(&trace_id).await?
            } else {
                None
            };
            match row {
                None => open.spans.iter().for_each(|span| table.add(span)),
                Some(row) => {
                    let (joined, absorbed) = join(row, &open);
                    absorbed
                        .replaced
                        .iter()
                        .for_each(|gone| table.remove(gone.span()));
                    let replaced = absorbed.replaced.iter().map(|gone| gone.index);
                    let new = absorbed.added.iter().copied().chain(replaced);
                    new.filter_map(|index| joined.spans.get(index))
                        .for_each(|s| table.add(s));
                }
            }
        }
        Ok(table.rows.into_values().collect())
    }
}

struct Table<'a> {
    query: &'a StatsQuery,
    rows: BTreeMap<(Interface, UnixNanos), StatRow>,
}

impl<'a> Table<'a> {
    fn new(query: &'a StatsQuery, rows: Vec<StatRow>) -> Self {
        let rows = rows
            .into_iter()
            .map(|row| ((row.interface.clone(), row.at), row))
            .collect();
        Self { query, rows }
    }

    /// The row for a span of that interface and start, if it is asked for.
    fn key(&self, interface: Interface, start: UnixNanos) -> Option<(Interface, UnixNanos)> {
        let (from, to) = self.query.minutes();
        let minute = start - start % MINUTE;
        let is_asked_for = (from..to).contains(&minute) && self.query.wants(&interface);
        is_asked_for.then(|| (interface, self.query.step_of(minute)))
    }

    /// Takes out a span that the store has counted and that gave way to an open one.
    fn remove(&mut self, gone: SpanRef<'_>) {
        for interface in summary::interfaces(gone) {
            self.remove_from(interface, gone);
        }
    }

    fn remove_from(&mut self, interface: Interface, gone: SpanRef<'_>) {
        let head = gone.head;
        let Some(key) = self.key(interface, head.start) else {
            return;
        };
        let Some(row) = self.rows.get_mut(&key) else {
            return;
        };
        row.count = row.count.saturating_sub(1);
        row.errors = row
            .errors
            .saturating_sub(u64::from(head.status == SpanStatus::Error));
        row.sum = row.sum.saturating_sub(head.duration().min(SUM_MAX));
        row.sketch.remove_bucket(Sketch::bucket(head.duration()), 1);
        if row.count == 0 {
            self.rows.remove(&key);
        }
    }

    fn add(&mut self, span: SpanRef<'_>) {
        for interface in summary::interfaces(span) {
            self.add_to(interface, span);
        }
    }

    fn add_to(&mut self, interface: Interface, span: SpanRef<'_>) {
        let key = self.key(interface, span.head.start);
        let Some((interface, at)) = key else { return };
        let row = self
            .rows
            .entry((interface.clone(), at))
            .or_insert_with(|| StatRow {
                interface,
                at,
                count: 0,
                errors: 0,
                sum: 0,
                sketch: Sketch::default(),
            });
        row.count += 1;
        row.errors += u64::from(span.head.status == SpanStatus::Error);
        row.sum = row.sum.saturating_add(span.head.duration().min(SUM_MAX));
        row.sketch.add(span.head.duration());
    }
}
