//! A partition as a search reads it.

use crate::db::{self, column};
use crate::partition::Partition;
use crate::rows;
use crate::shared::Shared;
use crate::sql::{self, Args, Statement};
use async_trait::async_trait;
use hoplog_model::{Interface, RowId, UnixNanos};
use hoplog_store::filter::merged::{group_of, known};
use hoplog_store::segment::Outline;
use hoplog_store::tables::{Asked, lower, ordered, records, upper};
use hoplog_store::walk::{
    FilterRow, PackedRow, PartitionBounds, Probe, RecordRow, SegmentBounds, SegmentLine,
    SegmentSource,
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
    ) -> Result<Vec<SegmentBounds>, StoreError> {
        let statement = match sort {
            Sort::Newest => &sql::READ_SEGMENTS_NEWEST,
            Sort::Slowest => &sql::READ_SEGMENTS_SLOWEST,
        };
        let (key, segment) = below.map_or((i64::MAX, i64::MAX), |(key, segment)| {
            (ordered(key), segment)
        });
        let args = Args::new().with(key).with(segment).with(ordered(from));
        // The last start that matters: numbers beyond those of SQL are all the greatest.
        let last = ordered(to.saturating_sub(1));
        let args = args.with(last).with(limit(n));
        let rows = self.all(statement, args).await?;
        rows.iter().map(segment_bounds).collect()
    }

    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentBounds>, StoreError> {
        let args = Args::new().with(segment).with(limit(n));
        let rows = self.all(&sql::READ_NEWER_SEGMENTS, args).await?;
        rows.iter().map(segment_bounds).collect()
    }

    async fn heads(&self, segments: &[i64]) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError> {
        let args = Args::new().with(segments);
        let rows = self.all(&sql::READ_HEADS, args).await?;
        rows.iter()
            .map(|row| Ok((column(row, 0)?, upper(column(row, 1)?), column(row, 2)?)))
            .collect()
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
                found.extend(RecordRow::read(segment, entry, &wanted)?);
            }
        }
        Ok(found)
    }

    async fn outlines(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<(Vec<i64>, Vec<Outline>), StoreError> {
        let (known, groups) = known(segments, &self.partition.merged);
        if groups.is_empty() {
            return Ok((known, Vec::new()));
        }
        let args = Args::new().with(groups).with(interfaces);
        let mut found = Vec::new();
        for row in self.all(&sql::READ_OUTLINES, args).await? {
            let (group, bytes) = (column(&row, 0)?, column(&row, 2)?);
            found.extend(Outline::read(group, column(&row, 1)?, bytes)?);
        }
        Ok((known, found))
    }

    async fn filters(
        &self,
        probes: &[Probe],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError> {
        let mut asked = Asked::new(probes, segments);
        let merged = &self.partition.merged;
        let is_single = |segment: &i64| !merged.contains(&group_of(*segment));
        let single: Vec<i64> = segments.iter().copied().filter(is_single).collect();
        if !single.is_empty() {
            let args = Args::new().with(asked.keys()).with(single);
            for row in self.all(&sql::READ_FILTERS, args).await? {
                let numbers = (column(&row, 2)?, column(&row, 3)?);
                asked.take(
                    column(&row, 0)?,
                    column(&row, 1)?,
                    column(&row, 4)?,
                    numbers,
                )?;
            }
        }
        // Only now: a group that was merged meanwhile is asked, too.
        let groups = asked.groups().into_iter();
        let groups: Vec<i64> = groups.filter(|group| *group >= merged.start).collect();
        if !groups.is_empty() {
            self.read_merged(&mut asked, groups).await?;
        }
        Ok(asked.finish())
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

fn segment_bounds(row: &PgRow) -> Result<SegmentBounds, StoreError> {
    Ok(SegmentBounds {
        segment: column(row, 0)?,
        key: upper(column(row, 1)?),
        min_start: lower(column(row, 2)?),
        max_start: upper(column(row, 3)?),
    })
}

pub(crate) fn segment_line(row: &PgRow) -> Result<SegmentLine, StoreError> {
    Ok(SegmentLine {
        segment: column(row, 0)?,
        min_start: lower(column(row, 1)?),
        max_start: upper(column(row, 2)?),
        min_duration: lower(column(row, 3)?),
        max_duration: upper(column(row, 4)?),
        heads: column(row, 5)?,
        max_extent: upper(column(row, 6)?),
    })
}

impl Source {
    /// Every row of an answer of the partition's tables.
    async fn all(&self, statement: &Statement, args: Args) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = self.shared.connection().await?;
        db::all(&mut connection, statement.of(self.partition.day()), args).await
    }

    /// Merged filters of these groups, as far as they are merged.
    async fn read_merged(&self, asked: &mut Asked<'_>, groups: Vec<i64>) -> Result<(), StoreError> {
        let args = Args::new().with(groups.as_slice()).with(asked.keys());
        let heads = self.all(&sql::READ_MERGED_HEADS, args).await?;
        if heads.is_empty() {
            // Heads and slices come and stay together.
            return Ok(());
        }
        for row in heads {
            asked.take_head(column(&row, 0)?, column(&row, 1)?, column(&row, 2)?)?;
        }
        let (keys, slices): (Vec<i64>, Vec<i64>) = asked.slices().into_iter().unzip();
        let args = Args::new().with(groups).with(keys).with(slices);
        for row in self.all(&sql::READ_MERGED, args).await? {
            let slice = (column(&row, 1)?, column(&row, 2)?);
            asked.take_slice(column(&row, 0)?, slice, column(&row, 3)?, column(&row, 4)?)?;
        }
        Ok(())
    }
}
