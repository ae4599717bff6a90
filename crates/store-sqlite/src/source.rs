//! A partition as a search reads it.

use crate::area::{self, Place};
use crate::db::{Connection, column};
use crate::partition::Partition;
use crate::readers::Readers;
use crate::rows;
use crate::sql::{self, Args};
use async_trait::async_trait;
use hoplog_model::{Interface, RowId, UnixNanos};
use hoplog_store::filter::merged::{group_of, known, segments_of};
use hoplog_store::segment::Outline;
use hoplog_store::tables::{Asked, records};
use hoplog_store::walk::{
    FilterRow, PackedRow, PartitionBounds, Probe, RecordRow, SegmentBounds, SegmentLine,
    SegmentSource,
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
    ) -> Result<Vec<SegmentBounds>, StoreError> {
        let statement = match sort {
            Sort::Newest => &sql::READ_SEGMENTS_NEWEST,
            Sort::Slowest => &sql::READ_SEGMENTS_SLOWEST,
        };
        let (key, segment) = below.map_or((i64::MAX, i64::MAX), |(key, segment)| {
            (sql::ordered(key), segment)
        });
        let args = Args::new().with(key).with(segment).with(sql::ordered(from));
        // The last start that matters: numbers beyond those of SQL are all the greatest.
        let last = sql::ordered(to.saturating_sub(1));
        let args = args.with(last).with(limit(n));
        let row = reading!(self, connection, connection.one(statement, args).await?);
        all_bounds(&row)
    }

    async fn since(&self, segment: i64, n: usize) -> Result<Vec<SegmentBounds>, StoreError> {
        let args = Args::new().with(segment).with(limit(n));
        let statement = &sql::READ_NEWER_SEGMENTS;
        let rows = reading!(self, connection, connection.all(statement, args).await?);
        rows.iter().map(segment_bounds).collect()
    }

    async fn heads(&self, segments: &[i64]) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError> {
        let args = Args::new().with(sql::json(segments.iter().copied()));
        let rows = reading!(
            self,
            connection,
            connection.all(&sql::READ_HEADS, args).await?
        );
        rows.iter()
            .map(|row| {
                Ok((
                    column(row, 0)?,
                    sql::upper(column(row, 1)?),
                    column(row, 2)?,
                ))
            })
            .collect()
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
                records.extend(RecordRow::read(segment, entry, &wanted)?);
            }
        }
        Ok(records)
    }

    async fn outlines(
        &self,
        interfaces: &[i64],
        segments: &[i64],
    ) -> Result<(Vec<i64>, Vec<Outline>), StoreError> {
        let merged = self.partition.merged();
        let (known, groups) = known(segments, &merged);
        if groups.is_empty() {
            return Ok((known, Vec::new()));
        }
        let args = Args::new().with(sql::json(groups));
        let args = args.with(sql::json(interfaces.iter().copied()));
        let statement = &sql::READ_OUTLINES;
        let rows = reading!(self, connection, connection.all(statement, args).await?);
        let mut found = Vec::new();
        for row in &rows {
            let (group, bytes) = (column(row, 0)?, column(row, 2)?);
            found.extend(Outline::read(group, column(row, 1)?, bytes)?);
        }
        Ok((known, found))
    }

    async fn filters(
        &self,
        probes: &[Probe],
        segments: &[i64],
    ) -> Result<Vec<FilterRow>, StoreError> {
        let mut asked = Asked::new(probes, segments);
        let merged = self.partition.merged();
        let is_single = |segment: &i64| !merged.contains(&group_of(*segment));
        let single = segments.iter().copied().filter(is_single);
        let single: Vec<i64> = single.collect();
        reading!(self, connection, {
            if !single.is_empty() {
                read_single(connection, &mut asked, single).await?;
            }
            // Only now: a group that was merged meanwhile is asked, too.
            let newest = self.partition.figures().newest;
            let groups = asked.groups().into_iter();
            let groups = groups.filter(|group| *group >= merged.start);
            let groups: Vec<i64> = groups
                .filter(|group| segments_of(*group).end <= newest + 1)
                .collect();
            if !groups.is_empty() {
                read_merged(connection, &mut asked, groups).await?;
            }
        });
        Ok(asked.finish())
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

/// The bounds of many segments, greatest key first, from one row of JSON: thousands of rows that cross from SQLite's
/// thread one by one would take ten times as long.
fn all_bounds(row: &SqliteRow) -> Result<Vec<SegmentBounds>, StoreError> {
    let text: &str = column(row, 0)?;
    let numbers: Vec<[i64; 4]> =
        serde_json::from_str(text).map_err(|why| StoreError::corrupt("segments", why))?;
    let bounds = numbers
        .into_iter()
        .map(|[segment, key, min_start, max_start]| SegmentBounds {
            segment,
            key: sql::upper(key),
            min_start: sql::lower(min_start),
            max_start: sql::upper(max_start),
        });
    let mut bounds: Vec<SegmentBounds> = bounds.collect();
    // An aggregate need not keep the order of what it is made of.
    bounds.sort_unstable_by_key(|one| std::cmp::Reverse((one.key, one.segment)));
    Ok(bounds)
}

fn segment_bounds(row: &SqliteRow) -> Result<SegmentBounds, StoreError> {
    Ok(SegmentBounds {
        segment: column(row, 0)?,
        key: sql::upper(column(row, 1)?),
        min_start: sql::lower(column(row, 2)?),
        max_start: sql::upper(column(row, 3)?),
    })
}

pub(crate) fn segment_line(row: &SqliteRow) -> Result<SegmentLine, StoreError> {
    Ok(SegmentLine {
        segment: column(row, 0)?,
        min_start: sql::lower(column(row, 1)?),
        max_start: sql::upper(column(row, 2)?),
        min_duration: sql::lower(column(row, 3)?),
        max_duration: sql::upper(column(row, 4)?),
        heads: column(row, 5)?,
        max_extent: sql::upper(column(row, 6)?),
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

/// Filters of segments whose groups are not merged.
async fn read_single(
    connection: &mut Connection,
    asked: &mut Asked<'_>,
    segments: Vec<i64>,
) -> Result<(), StoreError> {
    let args = Args::new().with(sql::json(segments));
    let args = args.with(sql::json(asked.keys().iter().copied()));
    let rows = connection.all(&sql::READ_FILTERS, args).await?;
    let filters = read_places(connection, &rows).await?;
    for (row, filter) in rows.iter().zip(filters) {
        let numbers = (column(row, 5)?, column(row, 6)?);
        asked.take(column(row, 0)?, column(row, 1)?, &filter, numbers)?;
    }
    Ok(())
}

/// Merged filters of these groups, as far as they are merged.
async fn read_merged(
    connection: &mut Connection,
    asked: &mut Asked<'_>,
    groups: Vec<i64>,
) -> Result<(), StoreError> {
    let groups = sql::json(groups);
    let args = Args::new().with(groups.as_str());
    let args = args.with(sql::json(asked.keys().iter().copied()));
    for row in connection.all(&sql::READ_MERGED_HEADS, args).await? {
        asked.take_head(column(&row, 0)?, column(&row, 1)?, column(&row, 2)?)?;
    }
    let args = Args::new()
        .with(groups)
        .with(sql::json_pairs(asked.slices()));
    for row in connection.all(&sql::READ_MERGED, args).await? {
        let slice = (column(&row, 1)?, column(&row, 2)?);
        asked.take_slice(column(&row, 0)?, slice, column(&row, 3)?, column(&row, 4)?)?;
    }
    Ok(())
}
