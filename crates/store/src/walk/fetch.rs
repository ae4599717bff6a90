//! From segments to the rows in them that may match, by filters, then records, then heads.

use super::SegmentSource;
use super::partition::Window;
use crate::plan::{Facts, Filters, Interfaces, KnownRecord, Plan};
use crate::ranges::{asks_for_ends, starts};
use crate::segment::{Damaged, RowSet, heads as decode};
use crate::{Cost, RequestExpr, StoreError};
use hoplog_model::{Interface, RowId, UnixNanos};
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
///
/// What is smallest is asked first: merged filters and records, then those of each segment that is left, then heads.
pub(super) async fn candidates(
    source: &dyn SegmentSource,
    segments: &[i64],
    (plan, window, expr): (&Plan, &Window, &RequestExpr),
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
    let mut left = segments.to_vec();
    let mut filters = read_filters(source, segments, plan, cost).await?;
    if let Some(filters) = &mut filters {
        filters.retain(|_, filters| !plan.may_hold(filters).is_empty());
        left.retain(|segment| filters.contains_key(segment));
    }
    let asks = Asking {
        source,
        plan,
        interfaces: &interfaces,
        names: known.iter().map(|(number, of)| (*number, of)).collect(),
    };
    asks.outlines(&mut left).await?;
    let mut records = asks.records(&mut left).await?;
    if left.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut found = Vec::new();
    for (number, max_extent, bytes) in source.heads(&left).await? {
        let heads = decode(&bytes).map_err(corrupt("segments", number))?;
        let mut facts = Facts::new(&heads);
        facts.filters = filters.as_mut().and_then(|all| all.remove(&number));
        facts.records = (records.as_mut()).map(|all| all.remove(&number).unwrap_or_default());
        let rows = plan.candidates(&facts, &interfaces);
        // One long request in a partition must not open all that began as long before.
        let ends = asks_for_ends(expr).then(|| starts(expr, max_extent));
        let may_end = |start: &UnixNanos| {
            let ends = ends.as_ref();
            ends.is_none_or(|ends| ends.iter().any(|range| range.contains(start)))
        };
        let rows = heads.rows.iter().filter(|row| rows.contains(row.ordinal));
        let rows = rows.filter(|row| may_end(&row.start));
        found.extend(rows.filter_map(|row| {
            Some(Found {
                key: window.row_key(row.start, row.duration)?,
                row: RowId::new(number, row.ordinal),
                spans: row.spans,
            })
        }));
    }
    Ok(Some(found))
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

/// Interfaces of which outlines are read; of more, each segment's records.
const OUTLINED: usize = 64;

/// Records of each segment.
type Records<'a> = FxHashMap<i64, Vec<KnownRecord<'a>>>;

/// Asking about interfaces.
struct Asking<'a> {
    source: &'a dyn SegmentSource,
    plan: &'a Plan,
    interfaces: &'a Interfaces,
    names: FxHashMap<i64, &'a Interface>,
}

impl<'a> Asking<'a> {
    /// Leaves the segments that may hold a match by what was merged.
    async fn outlines(&self, left: &mut Vec<i64>) -> Result<(), StoreError> {
        let wanted = &self.interfaces.wanted;
        if left.is_empty() || wanted.is_empty() || wanted.len() > OUTLINED {
            return Ok(());
        }
        let (merged, outlines) = self.source.outlines(wanted, left).await?;
        let mut by_segment: Records<'a> = merged
            .into_iter()
            .map(|segment| (segment, Vec::new()))
            .collect();
        for outline in outlines {
            let known = by_segment.get_mut(&outline.segment);
            if let (Some(known), Some(interface)) = (known, self.names.get(&outline.interface)) {
                known.push(KnownRecord {
                    interface,
                    rows: RowSet::all(),
                    count: u32::MAX,
                    errors: outline.has_errors.into(),
                    longest: outline.longest,
                });
            }
        }
        left.retain(|segment| {
            let records = by_segment.get(segment);
            records.is_none_or(|records| self.plan.may_record(self.interfaces, records))
        });
        Ok(())
    }

    /// The records of the segments that are left, and leaves those that may hold a match by them; none if no record has a
    /// say.
    async fn records(&self, left: &mut Vec<i64>) -> Result<Option<Records<'a>>, StoreError> {
        let wanted = &self.interfaces.wanted;
        if left.is_empty() || wanted.is_empty() {
            return Ok(None);
        }
        let mut by_segment: Records<'a> = FxHashMap::default();
        for row in self.source.records(wanted, left).await? {
            let rows = RowSet::decode(&row.rows).map_err(corrupt("records", row.segment))?;
            if let Some(interface) = self.names.get(&row.interface) {
                let records = by_segment.entry(row.segment).or_default();
                records.push(KnownRecord {
                    interface,
                    rows,
                    count: row.count,
                    errors: row.errors,
                    longest: row.longest,
                });
            }
        }
        left.retain(|segment| {
            let records = by_segment.get(segment).map_or(&[][..], Vec::as_slice);
            self.plan.may_record(self.interfaces, records)
        });
        Ok(Some(by_segment))
    }
}
