//! Packing rows anew, a segment in a step: read and packed while others write, exchanged by the writer.

use crate::db::{Connection, column};
use crate::error;
use crate::partition::Partition;
use crate::sql::{self, Args};
use crate::store::SqliteStore;
use hoplog_model::RowId;
use hoplog_store::StoreError;
use hoplog_store::pack::Dictionary;
use hoplog_store::tables::{Line, Packing, Smaller, Step, check32_of, repack};
use std::sync::Arc;

impl SqliteStore {
    /// [`hoplog_store::Maintenance::repack`], the newest partition first.
    pub(crate) async fn repack_step(&self) -> Result<Step, StoreError> {
        let Some(dictionary) = self.shared.dictionaries.current() else {
            return Ok(Step::default());
        };
        for partition in self.shared.partitions().iter().rev() {
            if let Some((_, next)) = partition.next_to_repack(dictionary.id()) {
                let done = self.repack_segment(partition, &next, &dictionary).await;
                // Retention has just taken it: there may be others.
                if done.is_err() && partition.is_dropped() {
                    return Ok(Step {
                        more: true,
                        ..Step::default()
                    });
                }
                return done;
            }
        }
        Ok(Step::default())
    }

    async fn repack_segment(
        &self,
        partition: &Arc<Partition>,
        next: &Packing,
        dictionary: &Arc<Dictionary>,
    ) -> Result<Step, StoreError> {
        let mut connection = self.connection(partition).await?;
        let args = Args::new().with(next.segment - 1).with(1_i64);
        let there = connection.all(&sql::READ_SEGMENTS_SINCE, args).await?;
        let there = there.first().map(|row| column(row, 0)).transpose()?;
        let segment = next.segment_there(there);
        let lines = read_lines(&mut connection, segment).await?;
        self.shared.readers.give_back(partition, connection);
        let smaller = self.smaller(lines, dictionary).await?;
        let mut writer = self.writer().await?;
        writer
            .repack(partition, (next.segment..=segment, dictionary), smaller)
            .await
    }

    async fn smaller(
        &self,
        lines: Vec<Line>,
        dictionary: &Arc<Dictionary>,
    ) -> Result<Vec<Smaller>, StoreError> {
        let dictionaries = Arc::clone(&self.shared.dictionaries);
        let dictionary = Arc::clone(dictionary);
        let packed = tokio::task::spawn_blocking(move || repack(&dictionaries, &dictionary, lines));
        packed.await.map_err(|why| error::task(&why))
    }
}

async fn read_lines(connection: &mut Connection, segment: i64) -> Result<Vec<Line>, StoreError> {
    let rows = connection
        .all(&sql::READ_LINES, segment_bounds(segment))
        .await?;
    let lines = rows.iter().map(|row| {
        Ok(Line {
            row: RowId(column(row, 0)?),
            check: check32_of(column(row, 1)?)?,
            frames: column(row, 2)?,
        })
    });
    lines.collect()
}

/// The least row of a segment, and of the next.
pub(crate) fn segment_bounds(segment: i64) -> Args {
    let bounds = [segment, segment + 1].map(|segment| RowId::new(segment, 0).0);
    Args::new().with(bounds[0]).with(bounds[1])
}

#[cfg(test)]
mod tests;
