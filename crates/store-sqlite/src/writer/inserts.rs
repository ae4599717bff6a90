//! A prepared batch as rows of SQLite's tables. Made on the thread that prepared it.

use crate::area::Area;
use crate::sql::{self, Bulk};
use hoplog_model::{RowId, TraceId, UnixNanos};
use hoplog_store::Outcome;
use hoplog_store::tables::{FilterLine, Fresh, NewRow, Prepared};

/// Inserts in the order in which they are to be made; takes what they hold out of the batch.
pub(super) fn inserts(prepared: &mut Prepared, segment: i64) -> Vec<Bulk> {
    let mut inserts = vec![
        requests(std::mem::take(&mut prepared.rows), segment),
        parts(std::mem::take(&mut prepared.parts)),
        decisions(std::mem::take(&mut prepared.decisions)),
    ];
    if let Some(search) = &mut prepared.search {
        let mut area = Area::of_records();
        let lines = std::mem::take(&mut search.records);
        inserts.push(records(segment, lines, &mut area));
        inserts.push(area.into_rows(segment));
        let mut area = Area::of_filters();
        let lines = std::mem::take(&mut search.filters);
        inserts.push(filters(segment, lines, &mut area));
        inserts.push(area.into_rows(segment));
    }
    inserts.extend(names(std::mem::take(&mut prepared.fresh)));
    inserts
}

fn requests(rows: Vec<(NewRow, i64)>, segment: i64) -> Bulk {
    let mut bulk = Bulk::new(&sql::REQUESTS, rows.len());
    for (
        (
            NewRow {
                summary,
                frames,
                part_count,
                check,
            },
            interface,
        ),
        ordinal,
    ) in rows.into_iter().zip(0..)
    {
        bulk.value(RowId::new(segment, ordinal).0)
            .value(summary.trace_id.as_bytes().to_vec())
            .value(sql::bits(summary.started_at))
            .value(sql::bits(summary.duration))
            .value(sql::bits(summary.extent))
            .value(interface)
            .value(i64::from(summary.status.to_wire()))
            .value(summary.code)
            .value(i64::from(summary.span_count))
            .value(i64::from(summary.hop_count))
            .value(i64::from(summary.service_count))
            .value(i64::from(summary.error_count))
            .value(i64::from(summary.flags.0))
            .value(i64::from(summary.capped_spans))
            .value(part_count)
            .value(i64::from(check))
            .value(frames);
    }
    bulk
}

fn parts(parts: Vec<(TraceId, i64, Vec<u8>)>) -> Bulk {
    let mut bulk = Bulk::new(&sql::PARTS, parts.len());
    for (trace_id, n, frames) in parts {
        bulk.value(trace_id.as_bytes().to_vec())
            .value(n)
            .value(frames);
    }
    bulk
}

pub(super) fn decisions(decisions: Vec<(TraceId, Outcome, UnixNanos)>) -> Bulk {
    let mut bulk = Bulk::new(&sql::DECISIONS, decisions.len());
    for (trace_id, outcome, at) in decisions {
        let outcome = if outcome == Outcome::Drop {
            "drop"
        } else {
            "count_only"
        };
        bulk.value(trace_id.as_bytes().to_vec())
            .value(outcome)
            .value(sql::ordered(at));
    }
    bulk
}

fn filters(segment: i64, lines: Vec<FilterLine>, area: &mut Area) -> Bulk {
    let mut bulk = Bulk::new(&sql::FILTERS, lines.len());
    for line in lines {
        bulk.value(segment >> sql::BIN_BITS)
            .value(line.key)
            .value(segment)
            .value(i64::from(line.values))
            .value(line.number_min)
            .value(line.number_max);
        area.put(line.filter).add_to(&mut bulk);
    }
    bulk
}

fn records(segment: i64, lines: Vec<(i64, Vec<u8>)>, area: &mut Area) -> Bulk {
    let mut bulk = Bulk::new(&sql::RECORDS, lines.len());
    for (service, bytes) in lines {
        bulk.value(segment >> sql::BIN_BITS)
            .value(service)
            .value(segment);
        area.put(bytes).add_to(&mut bulk);
    }
    bulk
}

pub(super) fn names(fresh: Fresh) -> [Bulk; 2] {
    let mut interfaces = Bulk::new(&sql::INTERFACES, fresh.interfaces.len());
    for (id, interface) in fresh.interfaces {
        interfaces
            .value(id)
            .value(interface.service)
            .value(i64::from(interface.kind.to_wire()))
            .value(interface.name);
    }
    let mut keys = Bulk::new(&sql::KEYS, fresh.keys.len());
    for key in fresh.keys {
        keys.value(key);
    }
    [interfaces, keys]
}
