//! Tables that rows move to when their partition is thinned. Nobody else knows them until they are whole.

use super::{columns, insert_dictionary, segment_args};
use crate::db::{self, column};
use crate::error;
use crate::partition::Partition;
use crate::shared::{Shared, text};
use crate::sql::{self, Args, Statement};
use async_trait::async_trait;
use hoplog_store::filter::merged::group_of;
use hoplog_store::retention::Past;
use hoplog_store::tables::{
    Cell, Fresh, KEYS_MAX, Kept, Moving, Names, NewPartition, NewRow, Packing, Prepared, Rollup,
    Stored, Tables, bits, move_rows, ordered,
};
use hoplog_store::walk::PartitionBounds;
use hoplog_store::{Books, StoreError};
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;

/// Roll-ups written at once.
const CELLS: usize = 2_000;

/// The tables, and what their line is to say.
pub(crate) struct NewTables<'a> {
    shared: &'a Shared,
    connection: PgConnection,
    day: i64,
    names: Names,
    newest: i64,
    /// Groups of segments before this one hold nothing.
    group: i64,
    interfaces: i64,
    spans: u64,
    rows: u64,
    packed_bytes: i64,
    packing: Packing,
    bounds: Option<PartitionBounds>,
}

fn in_order(rows: &[(NewRow, i64)]) -> Vec<usize> {
    (0..rows.len()).collect()
}

impl<'a> NewTables<'a> {
    /// The tables of `day`, which are there and empty, with the names of the old ones. Segments go on where the old
    /// ones' end.
    pub(crate) async fn make(
        shared: &'a Shared,
        (old, tables): (&Partition, &mut (impl Tables + ?Sized)),
        day: i64,
    ) -> Result<Self, StoreError> {
        let mut connection = db::connect(&shared.options).await?;
        let interfaces = tables.interfaces().await?;
        let limit = i64::try_from(KEYS_MAX).expect("small");
        let args = Args::new().with(limit);
        let mut keys = Vec::new();
        for row in db::all(&mut connection, sql::READ_KEYS.of(old.day()), args).await? {
            keys.push(text(column(&row, 0)?)?);
        }
        let names = Names::new(interfaces.iter().cloned(), keys.iter().cloned());
        let nothing = Moving {
            rows: Vec::new(),
            names: Names::default(),
            dictionaries: Arc::clone(&shared.dictionaries),
        };
        let mut first = Prepared {
            fresh: Fresh {
                interfaces: interfaces.to_vec(),
                keys,
            },
            ..move_rows(nothing, in_order)?
        };
        for (statement, args) in columns::inserts(&mut first, day, old.newest) {
            db::execute(&mut connection, statement.of(day), args).await?;
        }
        Ok(Self {
            shared,
            connection,
            day,
            names,
            newest: old.newest,
            group: group_of(old.newest + 1),
            interfaces: i64::try_from(interfaces.len()).expect("few"),
            spans: 0,
            rows: 0,
            packed_bytes: 0,
            packing: Packing::default(),
            bounds: None,
        })
    }

    /// Its value of `day`.
    pub(crate) fn day(&self) -> i64 {
        self.day
    }

    /// Lists it with what it holds, and the books of what no row holds.
    pub(crate) async fn finish(
        &self,
        connection: &mut PgConnection,
        books: Books,
        past: Past,
    ) -> Result<(), StoreError> {
        let bounds = self.bounds.map(|bounds| {
            [bounds.min_start, bounds.max_start, bounds.max_duration].map(|n| Some(ordered(n)))
        });
        let args = Args::new()
            .with(self.day)
            .with(i16::from(past.0))
            .with(self.newest)
            .with(self.interfaces)
            .with(bits(self.spans))
            .with(bits(books.duplicate))
            .with(bits(books.left_out))
            .with(bits(self.rows))
            .with(self.packed_bytes);
        let args = bounds
            .unwrap_or([None; 3])
            .into_iter()
            .fold(args, Args::with);
        let args = args
            .with(self.bounds.map_or(0, |bounds| ordered(bounds.max_extent)))
            .with(self.packing.encode())
            .with(self.group);
        match db::execute(connection, &sql::FINISH_PARTITION, args).await? {
            1 => Ok(()),
            _ => Err(StoreError::Busy(
                "another process has taken the new partition away".to_owned(),
            )),
        }
    }

    async fn insert(&mut self, mut prepared: Prepared) -> Result<(), StoreError> {
        let segment = self.newest + 1;
        let begun = self.connection.begin().await;
        let mut transaction = begun.map_err(|why| error::database("begin", &why))?;
        if let Some(dictionary) = &prepared.dictionary
            && !self.shared.is_stored(dictionary.id())
        {
            let now = self.shared.clock.now();
            insert_dictionary(&mut transaction, dictionary, None, now).await?;
        }
        for (statement, args) in columns::inserts(&mut prepared, self.day, segment) {
            db::execute(&mut transaction, statement.of(self.day), args).await?;
        }
        if let Some(search) = &prepared.search {
            let args = segment_args(self.day, segment, &search.segment);
            let insert = sql::INSERT_SEGMENT.of(self.day);
            db::execute(&mut transaction, insert, args).await?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|why| error::database("commit", &why))?;
        self.newest = segment;
        self.interfaces += i64::try_from(prepared.fresh.interfaces.len()).expect("few");
        self.spans += prepared.written.stored;
        self.rows += prepared.rows_gained;
        self.packed_bytes += prepared.packed_bytes;
        self.packing.apply(&prepared.repacked);
        if let Some(segment) = prepared.search.map(|search| search.segment) {
            let bounds = self.bounds.get_or_insert(PartitionBounds {
                min_start: u64::MAX,
                max_start: 0,
                max_duration: 0,
                max_extent: 0,
                newest: self.newest,
            });
            bounds.min_start = bounds.min_start.min(segment.min_start);
            bounds.max_start = bounds.max_start.max(segment.max_start);
            bounds.max_duration = bounds.max_duration.max(segment.max_duration);
            bounds.max_extent = bounds.max_extent.max(segment.max_extent);
        }
        Ok(())
    }
}

#[async_trait]
impl NewPartition for NewTables<'_> {
    async fn write(&mut self, rows: Vec<Stored>) -> Result<Kept, StoreError> {
        let moving = Moving {
            rows,
            names: std::mem::take(&mut self.names),
            dictionaries: Arc::clone(&self.shared.dictionaries),
        };
        let prepared = tokio::task::spawn_blocking(move || move_rows(moving, in_order));
        let mut prepared = prepared.await.map_err(|why| error::task(&why))??;
        self.names = std::mem::take(&mut prepared.names);
        let kept = Kept {
            spans: prepared.written.stored,
            rollups: std::mem::take(&mut prepared.rollups),
        };
        self.insert(prepared).await?;
        Ok(kept)
    }

    async fn rollups(
        &mut self,
        table: Rollup,
        cells: Vec<((i64, i64), Cell)>,
    ) -> Result<(), StoreError> {
        let put: &Statement = match table {
            Rollup::Minutes => &sql::PUT_MINUTES,
            Rollup::Hours => &sql::PUT_HOURS,
        };
        for cells in cells.chunks(CELLS) {
            let args = columns::cells(self.day, cells);
            db::execute(&mut self.connection, put.of(self.day), args).await?;
        }
        Ok(())
    }
}
