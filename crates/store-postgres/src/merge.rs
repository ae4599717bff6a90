//! Merging the filters of complete groups of segments.

use crate::db;
use crate::error;
use crate::partition::Partition;
use crate::shared::Shared;
use crate::sql::{self, Args};
use crate::tables::PartitionTables;
use hoplog_store::StoreError;
use hoplog_store::filter::merged::{Merged, is_due, segments_of};
use hoplog_store::tables::read_group;
use sqlx::{Connection as _, PgConnection, PgTransaction};

/// Key of the advisory lock of the one that merges: of several collectors one does.
const MERGE_LOCK: i64 = db::SCHEMA_LOCK + 3;

impl Shared {
    /// [`hoplog_store::Maintenance::merge`]: of the newest partition that has a group to merge.
    pub(crate) async fn merge_one(&self) -> Result<bool, StoreError> {
        let mut connection = db::connect(&self.options).await?;
        let locked: bool = db::try_lock(&mut connection, MERGE_LOCK).await?;
        let merged = if locked {
            self.merge_next(&mut connection).await
        } else {
            Ok(false)
        };
        // With it goes the lock.
        drop(connection.close().await);
        merged
    }

    async fn merge_next(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let partitions = self.partitions(connection).await?;
        let has_due = |one: &&Partition| is_due(one.merged.end, one.newest);
        let Some(partition) = partitions.iter().rev().find(has_due) else {
            return Ok(false);
        };
        self.merge_group(connection, partition).await?;
        Ok(true)
    }

    /// Merges the partition's next group.
    pub(crate) async fn merge_group(
        &self,
        connection: &mut PgConnection,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let group = partition.merged.end;
        // What is complete does not change any more.
        let mut tables = PartitionTables::open_loose(self, connection, partition).await?;
        let read = read_group(&mut tables, group).await?;
        let made = tokio::task::spawn_blocking(move || read.merge());
        let made = made.await.map_err(|why| error::task(&why))??;
        // Written by schema 1: these stay, and so does what is before them.
        let from = made.as_ref().map_or(group + 1, |_| partition.merged.start);
        let begun = connection.begin().await;
        let mut transaction = begun.map_err(|why| error::database("begin", &why))?;
        let day = partition.day();
        if let Some((keys, outlines)) = made {
            insert(&mut transaction, day, group, &keys).await?;
            let (interfaces, bytes): (Vec<i64>, Vec<Vec<u8>>) = outlines.into_iter().unzip();
            let args = Args::new().with(day).with(group).with(interfaces);
            let statement = sql::INSERT_OUTLINES.of(day);
            db::execute(&mut transaction, statement, args.with(bytes)).await?;
            let segments = segments_of(group);
            let args = Args::new().with(segments.start).with(segments.end);
            db::execute(&mut transaction, sql::DELETE_FILTERS.of(day), args).await?;
        }
        // The last, as from here on writers wait.
        let args = Args::new().with(day).with(from).with(group + 1);
        db::execute(&mut transaction, &sql::UPDATE_MERGING, args).await?;
        let committed = transaction.commit().await;
        committed.map_err(|why| error::database("commit", &why))
    }
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    day: i64,
    group: i64,
    keys: &[Merged],
) -> Result<(), StoreError> {
    let args = || Args::new().with(day).with(group);
    let numbers: Vec<i64> = keys.iter().map(|merged| merged.key).collect();
    let shifts: Vec<i64> = keys.iter().map(|merged| i64::from(merged.shift)).collect();
    let heads: Vec<&[u8]> = keys.iter().map(|merged| merged.head.as_slice()).collect();
    let heads = args().with(numbers).with(shifts).with(heads);
    db::execute(transaction, sql::INSERT_MERGED_KEYS.of(day), heads).await?;
    for merged in keys {
        let numbers: Vec<i64> = merged.slices.iter().map(|(number, _)| *number).collect();
        let bytes = merged.slices.iter().map(|(_, bytes)| bytes.as_slice());
        let args = args().with(vec![merged.key; numbers.len()]).with(numbers);
        let args = args.with(bytes.collect::<Vec<_>>());
        db::execute(transaction, sql::INSERT_MERGED.of(day), args).await?;
    }
    Ok(())
}
