//! A partition as a search reads it.

use crate::area::{self, Place};
use crate::db::{Connection, column};
use crate::partition::Partition;
use crate::readers::Readers;
use crate::rows;
use crate::sql::{self, Args};
use async_trait::async_trait;
use hoplog_model::{Interface, RowId, UnixNanos};
use hoplog_store::segment::Damaged;
use hoplog_store::tables::{key_number, records};
use hoplog_store::walk::{
    FilterRow, PackedRow, PartitionBounds, RecordRow, SegmentHead, SegmentSource,
};
use hoplog_store::{Sort, StoreError};
use rustc_hash::FxHashSet;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One partition and where to get connections to it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) partition: Arc<Partition>,
    pub(crate) readers: Arc<Readers>,
}

/// Takes a connection, lets `$body` use it, and gives it back unless it failed.
macro_rules! reading {
    ($self:ident, $connection:ident, $body:expr) => {{
        let mut taken = $self.readers.take(&$self.partition).await?;
        let $connection: &mut Connection = &mut taken;
        let answer = $body;
        $self.readers.give_back(&$self.partition, taken);
        answer
    }};
}

#[async_trait]
impl SegmentSource for Source {
    async fn bounds(&self) -> Result<Option<PartitionBounds>, StoreError> {
        Ok(self.partition.figures().bounds)
    }

    async fn segments(
        &self,
        sort: Sort,
        from: UnixNanos,
        to: UnixNanos,
        below: Option<(u64, i64)>,
        n: usize,
    ) -> Result<Vec<SegmentHead>, StoreError> {
        let statement = match sort {
            Sort::Newest => &sql::READ_SEGMENTS_NEWEST,
            Sort::Slowest => &sql::READ_SEGMENTS_SLOWEST,
        };
        let (key, segment) = below.map_or((i64::MAX, i64::MAX), |(key, segment)| {
            (sql::ordered(key), segment)
        });
        let args = Args::new().with(key).with(segment).with(sql::ordered(from));
        let args = args.with(sql::ordered(to)).with(limit(n));
        let rows = reading!(self, connection, connection.all(statement, args).await?);
        rows.iter().map(segment_head).collect()
    }

    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentHead>, StoreError> {
        let args = Args::new().with(segment).with(limit(n));
        let statement = &sql::READ_SEGMENTS_SINCE;
        let rows = reading!(self, connection, connection.all(statement, args).await?);
        rows.iter().map(segment_head).collect()
    }

    async fn interfaces(&self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
        Ok(reading!(
            self,
            connection,
            self.partition.interfaces(connection).await?.list
        ))
    }

    async fn records(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<Vec<RecordRow>, StoreError> {
        let (rows, bytes) = reading!(self, connection, {
            // Known already, but for what came this moment.
            let services = self.partition.interfaces(connection).await?.services;
            let numbers: BTreeSet<i64> = interfaces
                .iter()
                .filter_map(|id| services.get(id).copied())
                .collect();
            let args = Args::new().with(sql::json(segments.iter().copied()));
            let rows = connection
                .all(&sql::READ_RECORDS, args.with(sql::json(numbers)))
                .await?;
            let bytes = read_places(connection, &rows).await?;
            (rows, bytes)
        });
        let wanted: FxHashSet<i64> = interfaces.iter().copied().collect();
        let mut records = Vec::new();
        for (row, bytes) in rows.iter().zip(bytes) {
            let segment = column(row, 1)?;
            for entry in records::decode(&bytes) {
                let entry = entry.map_err(|why| damaged_record(segment, why))?;
                if wanted.contains(&entry.interface) {
                    records.push(record(segment, entry)?);
                }
            }
        }
        Ok(records)
    }

    async fn filters(
        &self,
        keys: &[String],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError> {
        let numbers: Vec<i64> = keys.iter().map(|key| key_number(key)).collect();
        let args = Args::new().with(sql::json(segments.iter().copied()));
        let args = args.with(sql::json(numbers.iter().copied()));
        let (rows, bytes) = reading!(self, connection, {
            let rows = connection.all(&sql::READ_FILTERS, args).await?;
            let bytes = read_places(connection, &rows).await?;
            (rows, bytes)
        });
        rows.iter()
            .zip(bytes)
            .map(|(row, bytes)| filter(row, bytes, &numbers))
            .collect()
    }

    async fn rows(&self, rows: &[RowId]) -> Result<Vec<PackedRow>, StoreError> {
        let args = Args::new().with(sql::json(rows.iter().map(|row| row.0)));
        let found = reading!(
            self,
            connection,
            rows::read(connection, &sql::READ_ROWS, args).await?
        );
        Ok(found.into_iter().map(|stored| stored.packed).collect())
    }
}

fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(crate) fn segment_head(row: &SqliteRow) -> Result<SegmentHead, StoreError> {
    Ok(SegmentHead {
        segment: column(row, 0)?,
        min_start: sql::lower(column(row, 1)?),
        max_start: sql::upper(column(row, 2)?),
        min_duration: sql::lower(column(row, 3)?),
        max_duration: sql::upper(column(row, 4)?),
        heads: column(row, 5)?,
    })
}

/// The bytes that rows of `…, segment, start, length, bytes, …` point at.
pub(crate) async fn read_places(
    connection: &mut Connection,
    rows: &[SqliteRow],
) -> Result<Vec<Vec<u8>>, StoreError> {
    let place = |row| Ok((column(row, 1)?, Place::read(row, 2)?));
    let places: Result<Vec<_>, StoreError> = rows.iter().map(place).collect();
    area::read(connection, places?).await
}

fn record(segment: i64, entry: records::Entry<'_>) -> Result<RecordRow, StoreError> {
    let (count, longest) = entry
        .count_and_longest()
        .map_err(|why| damaged_record(segment, why))?;
    let (interface, errors, rows) = (entry.interface, entry.errors, entry.rows.to_vec());
    Ok(RecordRow {
        interface,
        segment,
        rows,
        count,
        errors,
        longest,
    })
}

fn damaged_record(segment: i64, why: Damaged) -> StoreError {
    StoreError::corrupt(format!("records of segment {segment}"), why)
}

fn filter(row: &SqliteRow, filter: Vec<u8>, numbers: &[i64]) -> Result<FilterRow, StoreError> {
    let number: i64 = column(row, 0)?;
    let key = numbers.iter().position(|asked| *asked == number);
    Ok(FilterRow {
        key: key.ok_or_else(|| StoreError::corrupt("filters key", "not the one asked for"))?,
        segment: column(row, 1)?,
        filter,
        number_min: column(row, 5)?,
        number_max: column(row, 6)?,
    })
}
