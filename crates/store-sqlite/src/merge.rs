//! Merging the filters of complete groups of segments.

use crate::area;
use crate::error;
use crate::partition::Partition;
use crate::sql::{self, Args, Bulk};
use crate::store::SqliteStore;
use crate::tables::PartitionTables;
use hoplog_store::StoreError;
use hoplog_store::filter::merged::{Merged, is_due, segments_of};
use hoplog_store::tables::read_group;
use std::ops::Range;
use std::sync::Arc;

impl SqliteStore {
    /// [`hoplog_store::Maintenance::merge`]: of the newest partition that has a group to merge.
    pub(crate) async fn merge_one(&self) -> Result<bool, StoreError> {
        for partition in self.shared.partitions().iter().rev() {
            let merged = partition.merged();
            // What is complete does not change any more, so that only writing it needs the writer.
            if is_due(merged.end, partition.figures().newest) {
                return match self.merge_group(partition, merged).await {
                    // Retention has just taken it: there may be others.
                    Err(_) if partition.is_dropped() => Ok(true),
                    done => done.map(|()| true),
                };
            }
        }
        Ok(false)
    }

    async fn merge_group(
        &self,
        partition: &Arc<Partition>,
        merged: Range<i64>,
    ) -> Result<(), StoreError> {
        let group = merged.end;
        let mut connection = self.connection(partition).await?;
        let mut tables = PartitionTables {
            partition: partition.as_ref(),
            connection: &mut connection,
        };
        let read = read_group(&mut tables, group).await?;
        self.shared.readers.give_back(partition, connection);
        let made = tokio::task::spawn_blocking(move || read.merge());
        let made = made.await.map_err(|why| error::task(&why))??;
        let (from, rows) = match made {
            Some((keys, outlines)) => (merged.start, rows(group, keys, outlines)),
            // Written by schema 1: these stay, and so does what is before them.
            None => (group + 1, Vec::new()),
        };
        let mut writer = self.writer().await?;
        writer.write_merged(partition, from, group, rows).await
    }
}

/// What is merged as rows.
fn rows(group: i64, keys: Vec<Merged>, outlines: Vec<(i64, Vec<u8>)>) -> Vec<Bulk> {
    let mut lines = Bulk::new(&sql::OUTLINES, outlines.len());
    for (interface, bytes) in outlines {
        lines.value(group).value(interface).value(bytes);
    }
    let mut heads = Bulk::new(&sql::MERGED_KEYS, keys.len());
    let slices = keys.iter().map(|merged| merged.slices.len()).sum();
    let mut bytes = Bulk::new(&sql::MERGED, slices);
    for merged in keys {
        heads
            .value(group)
            .value(merged.key)
            .value(i64::from(merged.shift))
            .value(merged.head);
        for (slice, slice_bytes) in merged.slices {
            bytes
                .value(group)
                .value(merged.key)
                .value(slice)
                .value(slice_bytes);
        }
    }
    vec![heads, bytes, lines]
}

/// What the filters of a group's segments took, as arguments of [`sql::DELETE_FILTERS`] and [`sql::DELETE_AREA`].
pub(crate) fn single(group: i64) -> (Args, Args) {
    let segments = segments_of(group);
    let bins = [segments.start, segments.end].map(|segment| segment >> sql::BIN_BITS);
    let filters = Args::new().with(bins[0]).with(bins[1]);
    let pieces = sql::json(segments.map(area::first_of_filters));
    let half = i64::try_from(area::HALF).expect("small");
    (filters, Args::new().with(pieces).with(half))
}
