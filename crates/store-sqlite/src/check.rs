//! `hoplog check`: every partition in turn, while nothing is written.

use crate::store::SqliteStore;
use crate::tables::PartitionTables;
use hoplog_store::tables::{Checked, check};
use hoplog_store::{CheckReport, StoreError};

impl SqliteStore {
    /// [`hoplog_store::Maintenance::check`].
    pub(crate) async fn check_all(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        let _writer = self.writer().await;
        let partitions = self.shared.partitions();
        let all = partitions
            .iter()
            .map(|partition| partition.figures().rows)
            .sum();
        let mut report = CheckReport {
            books: self.shared.books(),
            ..CheckReport::default()
        };
        for partition in &partitions {
            let mut connection = self.connection(partition).await?;
            let figures = partition.figures();
            let said = Checked {
                books: figures.books,
                rows: figures.rows,
                packed_bytes: figures.packed_bytes,
                packing: partition.packing(),
            };
            let mut tables = PartitionTables {
                partition,
                connection: &mut connection,
            };
            let dictionaries = &self.shared.dictionaries;
            let progress = |rows| progress(rows, all);
            check(
                (&*partition.name, said),
                &mut tables,
                dictionaries,
                &mut report,
                &progress,
            )
            .await?;
            self.shared.readers.give_back(partition, connection);
        }
        Ok(report)
    }
}
