//! A prepared batch as statements: an array for each column, however many rows.

use crate::sql::{self, Args, Statement};
use hoplog_model::{Interface, RowId};
use hoplog_store::Outcome;
use hoplog_store::tables::{Cell, NewRow, Prepared, bits, ordered};

/// Inserts in the order in which they are to be made; takes what they hold out of the batch.
pub(super) fn inserts(
    prepared: &mut Prepared,
    day: i64,
    segment: i64,
) -> Vec<(&'static Statement, Args)> {
    let of_day = || Args::new().with(day);
    let mut inserts = Vec::new();
    if !prepared.rows.is_empty() {
        let rows = std::mem::take(&mut prepared.rows);
        inserts.push((&sql::INSERT_REQUESTS, requests(of_day(), segment, &rows)));
    }
    if !prepared.parts.is_empty() {
        let parts = &prepared.parts;
        let args = of_day()
            .with(column(parts, |(_, n, _)| *n))
            .with(column(parts, |(id, ..)| id.as_bytes().as_slice()))
            .with(column(parts, |(.., frames)| frames.as_slice()));
        inserts.push((&sql::INSERT_PARTS, args));
    }
    if !prepared.decisions.is_empty() {
        // In one order for all writers: they have no lock in common here.
        prepared.decisions.sort_unstable_by_key(|(id, ..)| *id);
        let decisions = &prepared.decisions;
        let args = Args::new()
            .with(column(decisions, |(id, ..)| id.as_bytes().as_slice()))
            .with(column(decisions, |(_, outcome, _)| match outcome {
                Outcome::Drop => "drop",
                _ => "count_only",
            }))
            .with(column(decisions, |(.., at)| ordered(*at)));
        inserts.push((&sql::INSERT_DECISIONS, args));
    }
    if let Some(search) = &prepared.search {
        let filters = &search.filters;
        let args = of_day()
            .with(segment)
            .with(column(filters, |line| line.key))
            .with(column(filters, |line| i64::from(line.values)))
            .with(column(filters, |line| line.number_min))
            .with(column(filters, |line| line.number_max))
            .with(column(filters, |line| line.filter.as_slice()));
        inserts.push((&sql::INSERT_FILTERS, args));
        let records = &search.records;
        let args = of_day()
            .with(segment)
            .with(column(records, |(service, _)| *service))
            .with(column(records, |(_, bytes)| bytes.as_slice()));
        inserts.push((&sql::INSERT_RECORDS, args));
    }
    let fresh = &prepared.fresh;
    if !fresh.interfaces.is_empty() {
        inserts.push((
            &sql::INSERT_INTERFACES,
            interfaces(of_day(), &fresh.interfaces),
        ));
    }
    if !fresh.keys.is_empty() {
        let keys = column(&fresh.keys, String::as_bytes);
        inserts.push((&sql::INSERT_KEYS, of_day().with(keys)));
    }
    inserts
}

/// One column of these rows.
fn column<'a, R, T: 'a>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn requests(args: Args, segment: i64, rows: &[(NewRow, i64)]) -> Args {
    let ids: Vec<i64> = (0..)
        .take(rows.len())
        .map(|ordinal| RowId::new(segment, ordinal).0)
        .collect();
    args.with(ids)
        .with(column(rows, |(row, _)| bits(row.summary.started_at)))
        .with(column(rows, |(row, _)| bits(row.summary.duration)))
        .with(column(rows, |(row, _)| bits(row.summary.extent)))
        .with(column(rows, |(_, interface)| *interface))
        .with(column(rows, |(row, _)| {
            i16::from(row.summary.status.to_wire())
        }))
        .with(column(rows, |(row, _)| small(row.summary.span_count)))
        .with(column(rows, |(row, _)| small(row.summary.hop_count)))
        .with(column(rows, |(row, _)| small(row.summary.service_count)))
        .with(column(rows, |(row, _)| small(row.summary.error_count)))
        .with(column(rows, |(row, _)| row.summary.flags.0.cast_signed()))
        .with(column(rows, |(row, _)| i64::from(row.summary.capped_spans)))
        .with(column(rows, |(row, _)| {
            i32::try_from(row.part_count).unwrap_or(i32::MAX)
        }))
        .with(column(rows, |(row, _)| row.check))
        .with(column(rows, |(row, _)| {
            row.summary.trace_id.as_bytes().as_slice()
        }))
        .with(column(rows, |(row, _)| {
            row.summary.code.as_ref().map(String::as_bytes)
        }))
        .with(column(rows, |(row, _)| row.frames.as_slice()))
}

fn interfaces(args: Args, interfaces: &[(i64, Interface)]) -> Args {
    args.with(column(interfaces, |(id, _)| *id))
        .with(column(interfaces, |(_, of)| of.service.as_bytes()))
        .with(column(interfaces, |(_, of)| i16::from(of.kind.to_wire())))
        .with(column(interfaces, |(_, of)| of.name.as_bytes()))
}

/// Roll-ups for [`sql::PUT_MINUTES`] and [`sql::PUT_HOURS`].
pub(super) fn cells(day: i64, cells: &[((i64, i64), Cell)]) -> Args {
    let sketch = |cell: &Cell| {
        let mut sketch = Vec::new();
        cell.sketch.encode(&mut sketch);
        sketch
    };
    Args::new()
        .with(day)
        .with(column(cells, |((at, _), _)| *at))
        .with(column(cells, |((_, interface), _)| *interface))
        .with(column(cells, |(_, cell)| cell.count))
        .with(column(cells, |(_, cell)| cell.errors))
        .with(column(cells, |(_, cell)| cell.sum))
        .with(column(cells, |(_, cell)| cell.left_out))
        .with(column(cells, |(_, cell)| sketch(cell)))
}
