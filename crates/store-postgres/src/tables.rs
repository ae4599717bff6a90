//! A partition's tables as checks and sums read them: within one transaction, of one moment. Thinning and merging read
//! them without one, as it would keep old versions of rows from being taken away for long.

use crate::db::{self, column};
use crate::error;
use crate::partition::{Partition, read_all};
use crate::rows;
use crate::shared::{Shared, read_log};
use crate::source::{limit, segment_line};
use crate::sql::{self, Args, Statement};
use async_trait::async_trait;
use hoplog_model::{Interface, RowId, Sketch};
use hoplog_store::StoreError;
use hoplog_store::filter::merged::{Line, Merged};
use hoplog_store::rollup::Delta;
use hoplog_store::tables::{Cell, Columns, Pending, Rollup, Tables, WholeRow};
use hoplog_store::walk::SegmentLine;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::ops::Range;
use std::sync::Arc;

/// One partition through one connection.
pub(crate) struct PartitionTables<'a> {
    shared: &'a Shared,
    connection: &'a mut PgConnection,
    partition: &'a Partition,
    pending: Arc<Pending>,
    /// Whether reading ends when a batch comes.
    is_unchanged: bool,
}

/// Minutes or hours that are looked up one by one; of more, all that there are are read.
const PROBED: i64 = 10_000;

/// Begins a transaction that sees one moment and writes nothing.
pub(crate) async fn begin_snapshot(connection: &mut PgConnection) -> Result<(), StoreError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let begun = sqlx::raw_sql(begin).execute(connection).await;
    begun
        .map(drop)
        .map_err(|why| error::database("begin", &why))
}

/// Ends it.
pub(crate) async fn end_snapshot(connection: &mut PgConnection) -> Result<(), StoreError> {
    let ended = sqlx::raw_sql("COMMIT").execute(connection).await;
    ended
        .map(drop)
        .map_err(|why| error::database("commit", &why))
}

impl<'a> PartitionTables<'a> {
    /// Of a connection that is within a transaction of one snapshot, in which `partition` was read. Reads what is
    /// pending first.
    pub(crate) async fn open(
        shared: &'a Shared,
        connection: &'a mut PgConnection,
        partition: &'a Partition,
    ) -> Result<Self, StoreError> {
        let pending = shared.pending(connection, partition).await?;
        Ok(Self {
            shared,
            connection,
            partition,
            pending,
            is_unchanged: false,
        })
    }

    /// Of a connection without a snapshot: what is read may be of later than `partition`, but for what is pending,
    /// which is not kept for others. Who uses it looks afterwards whether that matters.
    pub(crate) async fn open_loose(
        shared: &'a Shared,
        connection: &'a mut PgConnection,
        partition: &'a Partition,
    ) -> Result<Self, StoreError> {
        let segments = partition.folded..partition.newest;
        let mut pending = Pending::default();
        for changes in read_log(connection, partition.day(), segments).await? {
            pending.add(changes);
        }
        Ok(Self {
            shared,
            connection,
            partition,
            pending: Arc::new(pending),
            is_unchanged: false,
        })
    }

    /// The same, only for as long as the partition is what it was: between segments, [`StoreError::Busy`] once a batch
    /// has come. All that was read is in vain then.
    pub(crate) fn unchanged(self) -> Self {
        Self {
            is_unchanged: true,
            ..self
        }
    }

    async fn is_still_unchanged(&mut self) -> Result<bool, StoreError> {
        let (now, _) = read_all(self.connection).await?;
        let then = self.partition;
        let now = now.iter().find(|one| one.number == then.number);
        Ok(now.is_some_and(|now| now.newest == then.newest))
    }
}

/// From `at, interface, count, errors, sum, left_out, sketch`.
pub(crate) fn cell(row: &PgRow) -> Result<((i64, i64), Cell), StoreError> {
    let key = (column(row, 0)?, column(row, 1)?);
    let sketch = Sketch::decode(column(row, 6)?).map_err(|why| {
        StoreError::corrupt(
            format!("roll-up {}, interface {}: sketch", key.0, key.1),
            why,
        )
    })?;
    let cell = Cell {
        count: column(row, 2)?,
        errors: column(row, 3)?,
        sum: column(row, 4)?,
        left_out: column(row, 5)?,
        sketch,
    };
    Ok((key, cell))
}

#[async_trait]
impl Tables for PartitionTables<'_> {
    async fn interfaces(&mut self) -> Result<Arc<Vec<(i64, Interface)>>, StoreError> {
        Ok(self
            .shared
            .interfaces(self.connection, self.partition)
            .await?
            .list)
    }

    async fn minutes(&mut self) -> Result<Option<(i64, i64)>, StoreError> {
        let bounds = sql::READ_MINUTE_BOUNDS.of(self.partition.day());
        let row = db::one(self.connection, bounds, Args::new()).await?;
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
        let is_short = at.end.saturating_sub(at.start) <= PROBED;
        let rows = match of.filter(|_| is_short) {
            Some(of) => {
                db::all(self.connection, few.of(self.partition.day()), args.with(of)).await?
            }
            None => db::all(self.connection, all.of(self.partition.day()), args).await?,
        };
        rows.iter().map(cell).collect()
    }

    fn pending(&self, each: &mut dyn FnMut((i64, i64), &Delta)) {
        for (key, delta) in &self.pending.deltas {
            each(*key, delta);
        }
    }

    async fn since(&mut self, segment: i64, n: usize) -> Result<Vec<SegmentLine>, StoreError> {
        if self.is_unchanged && !self.is_still_unchanged().await? {
            let what = "a batch came to the partition while its rows moved";
            return Err(StoreError::Busy(what.to_owned()));
        }
        let args = Args::new().with(segment).with(limit(n));
        let rows = db::all(
            self.connection,
            sql::READ_SEGMENTS_SINCE.of(self.partition.day()),
            args,
        )
        .await?;
        rows.iter().map(segment_line).collect()
    }

    async fn whole_rows(
        &mut self,
        segment: i64,
    ) -> Result<Vec<Result<WholeRow, StoreError>>, StoreError> {
        let bounds = [segment, segment + 1].map(|segment| segment << RowId::ORDINAL_BITS);
        let args = Args::new().with(bounds[0]).with(bounds[1]);
        let mut rows = Vec::new();
        for row in db::all(
            self.connection,
            sql::CHECK_ROWS.of(self.partition.day()),
            args,
        )
        .await?
        {
            rows.push(match self.whole_row(&row).await {
                Err(why @ StoreError::Corrupt { .. }) => Err(why),
                row => Ok(row?),
            });
        }
        Ok(rows)
    }

    async fn records(&mut self, segments: Range<i64>) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let args = Args::new().with(segments.start).with(segments.end);
        let rows = db::all(
            self.connection,
            sql::CHECK_RECORDS.of(self.partition.day()),
            args,
        )
        .await?;
        rows.iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
            .collect()
    }

    async fn filters(&mut self, segments: Range<i64>) -> Result<Vec<Line>, StoreError> {
        let args = Args::new().with(segments.start).with(segments.end);
        let rows = db::all(
            self.connection,
            sql::CHECK_FILTERS.of(self.partition.day()),
            args,
        )
        .await?;
        let line = |row| {
            Ok(Line {
                key: column(row, 0)?,
                segment: column(row, 1)?,
                number_min: column(row, 2)?,
                number_max: column(row, 3)?,
                filter: column(row, 4)?,
            })
        };
        rows.iter().map(line).collect()
    }

    async fn merged(&mut self, group: i64) -> Result<Vec<Merged>, StoreError> {
        let day = self.partition.day();
        let args = || Args::new().with(group);
        let heads = db::all(self.connection, sql::CHECK_MERGED_KEYS.of(day), args());
        let heads = three(&heads.await?);
        let slices = db::all(self.connection, sql::CHECK_MERGED.of(day), args());
        let slices = three(&slices.await?);
        Merged::gather(heads?, slices?)
            .map_err(|why| StoreError::corrupt(format!("merged_keys of group {group}"), why))
    }
}

/// Rows of two numbers and bytes.
fn three(rows: &[PgRow]) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
    rows.iter()
        .map(|row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?)))
        .collect()
}

impl PartitionTables<'_> {
    /// Of a [`sql::CHECK_ROWS`] row.
    async fn whole_row(&mut self, row: &PgRow) -> Result<WholeRow, StoreError> {
        let count = |index| column::<i32>(row, index).map(i64::from);
        let code: Option<Vec<u8>> = column(row, 12)?;
        let (stored, check) = rows::of(row)?;
        let columns = Columns {
            started_at: column(row, 2)?,
            duration: column(row, 8)?,
            extent: column(row, 9)?,
            status: column::<i16>(row, 11)?.into(),
            code: code.map(crate::shared::text).transpose()?,
            counts: [count(13)?, count(14)?, count(15)?, count(16)?],
            flags: count(3)?,
            capped_spans: column(row, 4)?,
            interface: column(row, 10)?,
        };
        let stored = rows::complete(self.connection, self.partition.day(), stored, check).await?;
        Ok(WholeRow { columns, stored })
    }
}
