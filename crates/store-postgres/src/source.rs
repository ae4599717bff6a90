//! A partition as a search reads it.

use crate::db::{self, column};
use crate::partition::Partition;
use crate::rows;
use crate::shared::Shared;
use crate::sql::{self, Args};
use async_trait::async_trait;
use hoplog_model::{Interface, RowId, UnixNanos};
use hoplog_store::segment::Damaged;
use hoplog_store::tables::{key_number, lower, ordered, records, upper};
use hoplog_store::walk::{
    FilterRow, PackedRow, PartitionBounds, RecordRow, SegmentHead, SegmentSource,
};
use hoplog_store::{Sort, StoreError};
use rustc_hash::FxHashSet;
use sqlx::postgres::PgRow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One partition and where to get connections.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) partition: Partition,
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl SegmentSource for Source {
    async fn bounds(&self) -> Result<Option<PartitionBounds>, StoreError> {
        Ok(self.partition.bounds)
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
            (ordered(key), segment)
        });
        let args = Args::new().with(key).with(segment).with(ordered(from));
        let args = args.with(ordered(to)).with(limit(n));
        let mut connection = self.shared.connection().await?;
        let rows = db::all(&mut connection, statement.of(self.partition.day()), args).await?;
        rows.iter().map(segment_head).collect()
    }

    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentHead>, StoreError> {
        let args = Args::new().with(segment).with(limit(n));
        let mut connection = self.shared.connection().await?;
        let rows = db::all(
            &mut connection,
            sql::READ_SEGMENTS_SINCE.of(self.partition.day()),
            args,
        )
        .await?;
        rows.iter().map(segment_head).collect()
    }

    async fn interfaces(&self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
        let mut connection = self.shared.connection().await?;
        let known = self.shared.interfaces(&mut connection, &self.partition);
        Ok(known.await?.list)
    }

    async fn records(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<Vec<RecordRow>, StoreError> {
        let mut connection = self.shared.connection().await?;
        let day = self.partition.day();
        // Known already, but for what came this moment.
        let known = self.shared.interfaces(&mut connection, &self.partition);
        let services = known.await?.services;
        let numbers: BTreeSet<i64> = interfaces
            .iter()
            .filter_map(|id| services.get(id).copied())
            .collect();
        let numbers: Vec<i64> = numbers.into_iter().collect();
        let args = Args::new().with(numbers).with(segments);
        let rows = db::all(&mut connection, sql::READ_RECORDS.of(day), args).await?;
        let wanted: FxHashSet<i64> = interfaces.iter().copied().collect();
        let mut found = Vec::new();
        for row in &rows {
            let segment = column(row, 0)?;
            for entry in records::decode(column(row, 1)?) {
                let entry = entry.map_err(|why| damaged_record(segment, why))?;
                if wanted.contains(&entry.interface) {
                    found.push(record(segment, entry)?);
                }
            }
        }
        Ok(found)
    }

    async fn filters(
        &self,
        keys: &[String],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError> {
        let numbers: Vec<i64> = keys.iter().map(|key| key_number(key)).collect();
        let args = Args::new().with(numbers.as_slice()).with(segments);
        let mut connection = self.shared.connection().await?;
        let rows = db::all(
            &mut connection,
            sql::READ_FILTERS.of(self.partition.day()),
            args,
        )
        .await?;
        rows.iter().map(|row| filter(row, &numbers)).collect()
    }

    async fn rows(&self, rows: &[RowId]) -> Result<Vec<PackedRow>, StoreError> {
        let numbers: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let args = Args::new().with(numbers);
        let mut connection = self.shared.connection().await?;
        let day = self.partition.day();
        let found = rows::read(&mut connection, day, &sql::READ_ROWS, args).await?;
        Ok(found.into_iter().map(|stored| stored.packed).collect())
    }
}

pub(crate) fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(crate) fn segment_head(row: &PgRow) -> Result<SegmentHead, StoreError> {
    Ok(SegmentHead {
        segment: column(row, 0)?,
        min_start: lower(column(row, 1)?),
        max_start: upper(column(row, 2)?),
        min_duration: lower(column(row, 3)?),
        max_duration: upper(column(row, 4)?),
        heads: column(row, 5)?,
    })
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

fn filter(row: &PgRow, numbers: &[i64]) -> Result<FilterRow, StoreError> {
    let number: i64 = column(row, 0)?;
    let key = numbers.iter().position(|asked| *asked == number);
    Ok(FilterRow {
        key: key.ok_or_else(|| StoreError::corrupt("filters key", "not the one asked for"))?,
        segment: column(row, 1)?,
        number_min: column(row, 2)?,
        number_max: column(row, 3)?,
        filter: column(row, 4)?,
    })
}
