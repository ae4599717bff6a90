//! A partition's tables as checks and sums read them.

use crate::db::{Connection, column};
use crate::partition::Partition;
use crate::source::{read_places, segment_line};
use crate::sql::{self, Args, Statement};
use crate::{rollups, rows};
use async_trait::async_trait;
use hoplog_model::{Flags, Interface, RowId};
use hoplog_store::StoreError;
use hoplog_store::filter::merged::{Line, Merged};
use hoplog_store::rollup::Delta;
use hoplog_store::tables::{Cell, Columns, Rollup, Stored, Tables, WholeRow, check32_of, trace_id};
use hoplog_store::walk::{PackedRow, SegmentLine};
use sqlx::sqlite::SqliteRow;
use std::ops::Range;
use std::sync::Arc;

/// One partition through one connection. Who asks for roll-ups holds its `answering`.
pub(crate) struct PartitionTables<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) connection: &'a mut Connection,
}

#[async_trait]
impl Tables for PartitionTables<'_> {
    async fn interfaces(&mut self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
        Ok(self.partition.interfaces(self.connection).await?.list)
    }

    async fn minutes(&mut self) -> Result<Option<(i64, i64)>, StoreError> {
        let bounds = &sql::READ_MINUTE_BOUNDS;
        let row = self.connection.one(bounds, Args::new()).await?;
        let bound = |index| column::<Option<i64>>(&row, index);
        Ok(bound(0)?.zip(bound(1)?))
    }

    async fn rollups(
        &mut self,
        table: Rollup,
        at: Range<i64>,
        of: Option<&[i64]>,
    ) -> Result<Vec<((i64, i64), Cell)>, StoreError> {
        let (all, few): (&Statement, &Statement) = match table {
            Rollup::Minutes => (&sql::READ_MINUTES, &sql::READ_MINUTES_OF),
            Rollup::Hours => (&sql::READ_HOURS, &sql::READ_HOURS_OF),
        };
        let args = Args::new().with(at.start).with(at.end);
        let rows = match of {
            Some(of) => {
                let args = args.with(sql::json(of.iter().copied()));
                self.connection.all(few, args).await?
            }
            None => self.connection.all(all, args).await?,
        };
        rows.iter().map(rollups::cell).collect()
    }

    fn pending(&self, each: &mut dyn FnMut((i64, i64), &Delta)) {
        for (key, delta) in &self.partition.pending().deltas {
            each(*key, delta);
        }
    }

    async fn since(&mut self, segment: i64, n: usize) -> Result<Vec<SegmentLine>, StoreError> {
        let args = Args::new()
            .with(segment)
            .with(i64::try_from(n).unwrap_or(i64::MAX));
        let rows = self.connection.all(&sql::READ_SEGMENTS_SINCE, args).await?;
        rows.iter().map(segment_line).collect()
    }

    async fn whole_rows(
        &mut self,
        segment: i64,
    ) -> Result<Vec<Result<WholeRow, StoreError>>, StoreError> {
        let bounds = [segment, segment + 1].map(|segment| segment << RowId::ORDINAL_BITS);
        let args = Args::new().with(bounds[0]).with(bounds[1]);
        let mut rows = Vec::new();
        for row in self.connection.all(&sql::CHECK_ROWS, args).await? {
            rows.push(match self.whole_row(&row).await {
                Err(why @ StoreError::Corrupt { .. }) => Err(why),
                row => Ok(row?),
            });
        }
        Ok(rows)
    }

    async fn records(&mut self, segments: Range<i64>) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let mut records = Vec::new();
        for (row, bytes) in self.search_rows(&sql::CHECK_RECORDS, segments).await? {
            records.push((column(&row, 1)?, bytes));
        }
        Ok(records)
    }

    async fn filters(&mut self, segments: Range<i64>) -> Result<Vec<Line>, StoreError> {
        let mut filters = Vec::new();
        for (row, filter) in self.search_rows(&sql::CHECK_FILTERS, segments).await? {
            filters.push(Line {
                key: column(&row, 0)?,
                segment: column(&row, 1)?,
                number_min: column(&row, 5)?,
                number_max: column(&row, 6)?,
                filter,
            });
        }
        Ok(filters)
    }

    async fn merged(&mut self, group: i64) -> Result<Vec<Merged>, StoreError> {
        let args = || Args::new().with(group);
        let heads = self.connection.all(&sql::CHECK_MERGED_KEYS, args());
        let heads = three(&heads.await?);
        let slices = self.connection.all(&sql::CHECK_MERGED, args());
        let slices = three(&slices.await?);
        Merged::gather(heads?, slices?)
            .map_err(|why| StoreError::corrupt(format!("merged_keys of group {group}"), why))
    }
}

/// Rows of two numbers and bytes.
fn three(rows: &[SqliteRow]) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
    rows.iter()
        .map(|row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?)))
        .collect()
}

impl PartitionTables<'_> {
    /// Search records of these segments, each with its bytes.
    async fn search_rows(
        &mut self,
        statement: &Statement,
        segments: Range<i64>,
    ) -> Result<Vec<(SqliteRow, Vec<u8>)>, StoreError> {
        let mut all = Vec::new();
        for bin in segments.start >> sql::BIN_BITS..=(segments.end - 1) >> sql::BIN_BITS {
            let rows = self
                .connection
                .all(statement, Args::new().with(bin))
                .await?;
            let bytes = read_places(self.connection, &rows).await?;
            all.extend(rows.into_iter().zip(bytes));
        }
        Ok(all)
    }

    async fn whole_row(&mut self, row: &SqliteRow) -> Result<WholeRow, StoreError> {
        let (columns, stored, check) = columns(row)?;
        let stored = rows::complete(self.connection, stored, check).await?;
        Ok(WholeRow { columns, stored })
    }
}

/// The columns of a [`sql::CHECK_ROWS`] row, the row without its parts, and its check.
fn columns(row: &SqliteRow) -> Result<(Columns, Stored, u32), StoreError> {
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
    let check = check32_of(int(15)?)?;
    let stored = Stored {
        packed,
        own_bytes,
        part_count: int(14)?,
    };
    Ok((columns, stored, check))
}
