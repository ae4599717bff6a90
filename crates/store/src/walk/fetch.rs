//! From segments to the rows in them that may match, by heads, then filters, then records.

use super::SegmentSource;
use super::partition::Window;
use crate::plan::{Facts, Filters, Interfaces, KnownRecord, Plan};
use crate::segment::{Damaged, Heads, RowSet, heads as decode};
use crate::{Cost, StoreError};
use hoplog_model::{Interface, RowId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A row that may match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) key: u64,
    pub(super) row: RowId,
    /// How many spans it has.
    pub(super) spans: u32,
}

/// The rows of these segments that may match; none if no row of the whole partition can.
pub(super) async fn candidates(
    source: &dyn SegmentSource,
    segments: &[i64],
    plan: &Plan,
    window: &Window,
    cost: &mut Cost,
) -> Result<Option<Vec<Found>>, StoreError> {
    cost.segments += segments.len() as u64;
    let known = if plan.has_sites() {
        source.interfaces().await?
    } else {
        Arc::default()
    };
    let interfaces = plan.interfaces(&known);
    if !plan.is_possible(&interfaces) {
        return Ok(None);
    }
    let mut filters = read_filters(source, segments, plan, cost).await?;
    // Most segments go here, before anything is read of their rows.
    let left: Vec<i64> = match &mut filters {
        Some(filters) => {
            filters.retain(|_, filters| !plan.may_hold(filters).is_empty());
            let left = segments.iter().copied();
            left.filter(|segment| filters.contains_key(segment))
                .collect()
        }
        None => segments.to_vec(),
    };
    if left.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut decoded = Vec::with_capacity(left.len());
    for (number, heads) in source.heads(&left).await? {
        let filters = filters.as_mut().and_then(|filters| filters.remove(&number));
        let heads = decode(&heads).map_err(corrupt("segments", number))?;
        decoded.push((number, heads, filters));
    }
    let mut sieve = Sieve::new(plan, &interfaces, window, &mut decoded);
    if !interfaces.wanted.is_empty() && !sieve.open.is_empty() {
        sieve.records(source, &known).await?;
    }
    Ok(Some(sieve.finish(window)))
}

/// What filters say of each segment; none if no filter has a say.
async fn read_filters(
    source: &dyn SegmentSource,
    segments: &[i64],
    plan: &Plan,
    cost: &mut Cost,
) -> Result<Option<FxHashMap<i64, Filters>>, StoreError> {
    let probes = plan.probes();
    if probes.is_empty() {
        return Ok(None);
    }
    let none = |segment: &i64| (*segment, Filters::new(probes));
    let mut by_segment: FxHashMap<i64, Filters> = segments.iter().map(none).collect();
    let rows = source.filters(probes, segments).await?;
    cost.filters += rows.len() as u64;
    for row in rows {
        if let Some(filters) = by_segment.get_mut(&row.segment) {
            filters.insert(row);
        }
    }
    Ok(Some(by_segment))
}

fn corrupt(table: &'static str, segment: i64) -> impl Fn(Damaged) -> StoreError {
    move |what| StoreError::corrupt(format!("{table} segment {segment}"), what)
}

/// Segments that may still hold a match.
struct Sieve<'a> {
    plan: &'a Plan,
    interfaces: &'a Interfaces,
    open: Vec<Open<'a>>,
}

/// One of them.
struct Open<'a> {
    segment: i64,
    heads: &'a Heads,
    facts: Facts<'a>,
    /// Within the window.
    listed: RowSet,
    /// Of those the ones that may match.
    rows: RowSet,
}

impl<'a> Sieve<'a> {
    fn new(
        plan: &'a Plan,
        interfaces: &'a Interfaces,
        window: &Window,
        segments: &'a mut [(i64, Heads, Option<Filters>)],
    ) -> Self {
        let open = segments.iter_mut().map(|(segment, heads, filters)| {
            let heads: &Heads = heads;
            let mut facts = Facts::new(heads);
            facts.filters = filters.take();
            let rows = heads.rows.iter();
            let listed = rows.filter(|row| window.row_key(row.start, row.duration).is_some());
            let listed: RowSet = listed.map(|row| row.ordinal).collect();
            Open {
                segment: *segment,
                heads,
                facts,
                listed,
                rows: listed,
            }
        });
        let mut sieve = Self {
            plan,
            interfaces,
            open: open.collect(),
        };
        sieve.shake();
        sieve
    }

    /// Asks again, after more became known.
    fn shake(&mut self) {
        for open in &mut self.open {
            let may = self.plan.candidates(&open.facts, self.interfaces);
            open.rows = may.and(&open.listed);
        }
        self.open.retain(|open| !open.rows.is_empty());
    }

    fn numbers(&self) -> Vec<i64> {
        self.open.iter().map(|open| open.segment).collect()
    }

    async fn records(
        &mut self,
        source: &dyn SegmentSource,
        known: &'a [(i64, Interface)],
    ) -> Result<(), StoreError> {
        let rows = source
            .records(&self.interfaces.wanted, &self.numbers())
            .await?;
        let names: FxHashMap<i64, &'a Interface> = known
            .iter()
            .map(|(number, interface)| (*number, interface))
            .collect();
        let mut by_segment: FxHashMap<i64, Vec<KnownRecord<'a>>> = FxHashMap::default();
        for row in rows {
            let set = RowSet::decode(&row.rows).map_err(corrupt("records", row.segment))?;
            let Some(interface) = names.get(&row.interface) else {
                continue;
            };
            by_segment
                .entry(row.segment)
                .or_default()
                .push(KnownRecord {
                    interface,
                    rows: set,
                    count: row.count,
                    errors: row.errors,
                    longest: row.longest,
                });
        }
        for open in &mut self.open {
            open.facts.records = Some(by_segment.remove(&open.segment).unwrap_or_default());
        }
        self.shake();
        Ok(())
    }

    fn finish(self, window: &Window) -> Vec<Found> {
        let mut found = Vec::new();
        for open in &self.open {
            for row in open
                .heads
                .rows
                .iter()
                .filter(|row| open.rows.contains(row.ordinal))
            {
                if let Some(key) = window.row_key(row.start, row.duration) {
                    let row_id = RowId::new(open.segment, row.ordinal);
                    found.push(Found {
                        key,
                        row: row_id,
                        spans: row.spans,
                    });
                }
            }
        }
        found
    }
}
