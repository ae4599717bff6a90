//! A row against its columns, and against what its segment says of it.

use crate::db::{Connection, column};
use crate::names::key_number;
use crate::records;
use crate::rows::{Stored, check, trace_id};
use crate::source::read_places;
use crate::sql::{self, Args};
use hoplog_model::{Flags, Interface, RowId, TraceId};
use hoplog_otlp::{SpanRef, SpanSet};
use hoplog_store::segment::{Heads, NAME_BYTES_MAX, OTHER, RowSet, SPAN_ID, TRACE_ID};
use hoplog_store::walk::{PackedRow, SegmentHead};
use hoplog_store::{StoreError, StoredRequest, filter, summary};
use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::sqlite::SqliteRow;
use twox_hash::XxHash3_64;

/// The search records of neighbouring segments, by (interface or key, segment).
#[derive(Debug, Default)]
pub(super) struct Bin {
    records: FxHashMap<(i64, i64), RowSet>,
    filters: FxHashMap<(i64, i64), Vec<u8>>,
}

impl Bin {
    /// All records of a bin. One that cannot be read counts as missing.
    pub(super) async fn read(connection: &mut Connection, bin: i64) -> Result<Self, StoreError> {
        let mut all = Self::default();
        let rows = connection
            .all(&sql::CHECK_RECORDS, Args::new().with(bin))
            .await?;
        let bytes = read_places(connection, &rows).await?;
        for (row, bytes) in rows.iter().zip(bytes) {
            let segment = column(row, 1)?;
            for entry in records::decode(&bytes).filter_map(Result::ok) {
                if let Ok(rows) = RowSet::decode(entry.rows) {
                    all.records.insert((entry.interface, segment), rows);
                }
            }
        }
        let rows = connection
            .all(&sql::CHECK_FILTERS, Args::new().with(bin))
            .await?;
        let bytes = read_places(connection, &rows).await?;
        for (row, bytes) in rows.iter().zip(bytes) {
            all.filters
                .insert((column(row, 0)?, column(row, 1)?), bytes);
        }
        Ok(all)
    }

    fn names(&self, interface: i64, row: RowId) -> bool {
        let record = self.records.get(&(interface, row.segment()));
        record.is_some_and(|rows| rows.contains(row.ordinal()))
    }

    /// Whether the segment's filters let this value of this key through.
    fn holds(&self, key: &str, value: &[u8], segment: i64) -> bool {
        let probe = |key: &str, hash| {
            let filter = self.filters.get(&(key_number(key), segment));
            filter.is_some_and(|filter| filter::contains(filter, hash) == Ok(true))
        };
        // A key without a filter of its own is named in that of the others.
        probe(key, XxHash3_64::oneshot(value)) || probe(OTHER, XxHash3_64::oneshot(key.as_bytes()))
    }
}

/// The columns of a row that its spans determine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    started_at: i64,
    duration: i64,
    extent: i64,
    status: i64,
    code: Option<String>,
    counts: [i64; 4],
    flags: i64,
    capped_spans: i64,
    interface: i64,
}

/// The columns of a [`sql::CHECK_ROWS`] row, the row without its parts, and its check.
pub(super) fn columns(row: &SqliteRow) -> Result<(Columns, Stored, u32), StoreError> {
    let int = |index| column::<i64>(row, index);
    let columns = Columns {
        started_at: int(2)?,
        duration: int(3)?,
        extent: int(4)?,
        interface: int(5)?,
        status: int(6)?,
        code: column(row, 7)?,
        counts: [int(8)?, int(9)?, int(10)?, int(11)?],
        flags: int(12)?,
        capped_spans: int(13)?,
    };
    let row_id = RowId(int(0)?);
    let number = |value: i64| {
        u32::try_from(value)
            .map_err(|why| StoreError::corrupt(format!("requests row {}", row_id.0), why))
    };
    let frames: Vec<u8> = column(row, 16)?;
    let own_bytes = frames.len();
    let packed = PackedRow {
        row: row_id,
        trace_id: trace_id(column(row, 1)?)?,
        started_at: columns.started_at.cast_unsigned(),
        flags: Flags(number(columns.flags)?),
        capped_spans: number(columns.capped_spans)?,
        frames,
    };
    let check = check(int(15)?)?;
    Ok((
        columns,
        Stored {
            packed,
            own_bytes,
            part_count: int(14)?,
        },
        check,
    ))
}

/// A row that could be read.
pub(super) struct CheckedRow {
    pub(super) packed: PackedRow,
    pub(super) columns: Columns,
    pub(super) request: StoredRequest,
}

impl CheckedRow {
    pub(super) fn trace_id(&self) -> TraceId {
        self.packed.trace_id
    }

    /// Everything that is not as it must be.
    pub(super) fn compare(
        &self,
        head: &SegmentHead,
        heads: &Heads,
        bin: &Bin,
        interfaces: &FxHashMap<Interface, i64>,
    ) -> Vec<String> {
        let row = self.packed.row;
        let mut wrong = Vec::new();
        let number = |interface: &Interface| number(interfaces, interface);
        if self.expected(number(&self.request.summary.interface)) != self.columns {
            wrong.push(format!(
                "requests row {}: the columns are not what the spans say",
                row.0
            ));
        }
        if !self.agrees(head, heads) {
            wrong.push(format!(
                "segments {} heads: not what row {} says",
                head.segment, row.0
            ));
        }
        let names: FxHashSet<Interface> =
            self.request.spans.iter().map(summary::interface).collect();
        for interface in names {
            let is_named = number(&interface).is_some_and(|number| bin.names(number, row));
            if !is_named {
                let Interface {
                    service,
                    kind,
                    name,
                } = interface;
                wrong.push(format!(
                    "records: {service} {kind} {name} does not name row {}",
                    row.0
                ));
            }
        }
        let segment = row.segment();
        let mut holds = |key: &str, value: &[u8]| {
            if !bin.holds(key, value, segment) {
                let value = String::from_utf8_lossy(value);
                wrong.push(format!(
                    "filters {key}, segment {segment}: without {value:?}"
                ));
            }
        };
        holds(TRACE_ID, self.packed.trace_id.as_bytes());
        each_value(&self.request.spans, &mut holds);
        wrong
    }

    /// The columns as the spans say.
    fn expected(&self, interface: Option<i64>) -> Columns {
        let summary = &self.request.summary;
        let counts = [
            summary.span_count,
            summary.hop_count,
            summary.service_count,
            summary.error_count,
        ];
        Columns {
            started_at: sql::bits(summary.started_at),
            duration: sql::bits(summary.duration),
            extent: sql::bits(summary.extent),
            status: i64::from(summary.status.to_wire()),
            code: summary.code.clone(),
            counts: counts.map(i64::from),
            flags: i64::from(summary.flags.0),
            capped_spans: i64::from(summary.capped_spans),
            interface: interface.unwrap_or_default(),
        }
    }

    /// Whether the segment's line and the row's head in it are right.
    fn agrees(&self, head: &SegmentHead, heads: &Heads) -> bool {
        let summary = &self.request.summary;
        let ordinal = self.packed.row.ordinal();
        let is_within = (head.min_start..=head.max_start).contains(&summary.started_at)
            && (head.min_duration..=head.max_duration).contains(&summary.duration);
        let found = heads.rows.iter().find(|row| row.ordinal == ordinal);
        is_within
            && found.is_some_and(|row| {
                (row.start, row.duration, row.status)
                    == (summary.started_at, summary.duration, summary.status)
                    && (row.spans, row.hops, row.errors)
                        == (summary.span_count, summary.hop_count, summary.error_count)
            })
    }
}

/// The number under which spans of the interface are filed.
pub(super) fn number(interfaces: &FxHashMap<Interface, i64>, interface: &Interface) -> Option<i64> {
    let other = || Interface {
        name: OTHER.to_owned(),
        ..interface.clone()
    };
    let own = if interface.name.len() > NAME_BYTES_MAX {
        None
    } else {
        interfaces.get(interface)
    };
    own.or_else(|| interfaces.get(&other())).copied()
}

/// Every key and value that filters must hold, as they are hashed.
fn each_value(spans: &SpanSet, holds: &mut impl FnMut(&str, &[u8])) {
    for group in spans.groups() {
        group
            .attributes()
            .for_each(|(key, value)| holds(&key, value.text().as_bytes()));
    }
    for span in spans.iter() {
        holds(SPAN_ID, span.head.span_id.as_bytes());
        each_value_of(span, holds);
    }
}

fn each_value_of(span: SpanRef<'_>, holds: &mut impl FnMut(&str, &[u8])) {
    span.view()
        .attributes()
        .for_each(|(key, value)| holds(&key, value.text().as_bytes()));
    for (kind, message) in summary::exceptions(span.view()) {
        kind.iter()
            .for_each(|kind| holds("exception.type", kind.as_bytes()));
        message
            .iter()
            .for_each(|message| holds("exception.message", message.as_bytes()));
    }
}
