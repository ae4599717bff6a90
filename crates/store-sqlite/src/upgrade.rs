//! Partition files of earlier schemas: brought up to date when the store is opened, those that are only read, too.

use crate::config::Config;
use crate::db::{self, Connection, Use};
use crate::shared::Shared;
use hoplog_store::StoreError;

/// Brings every partition file up to date, each in a transaction of its own: after a crash anywhere in between
/// the next start goes on. While one of them is of a newer hoplog, none is touched.
pub(crate) async fn upgrade(shared: &Shared) -> Result<(), StoreError> {
    let mut older = Vec::new();
    for partition in shared.partitions() {
        let mut connection = shared.readers.take(&partition).await?;
        let version = connection.schema_version(db::PARTITION.len()).await?;
        shared.readers.give_back(&partition, connection);
        if version < db::PARTITION.len() {
            older.push((partition, version));
        }
    }
    for (partition, from) in older {
        let (name, to) = (&partition.name, db::PARTITION.len());
        let mut connection = Connection::open(&partition.path, writing(&shared.config)).await?;
        connection.migrate(db::PARTITION).await?;
        connection.close().await?;
        tracing::info!(%name, from, to, "a partition was brought to this hoplog's schema");
    }
    Ok(())
}

/// How a partition file is opened to be written to.
pub(crate) fn writing(config: &Config) -> Use {
    Use::Write {
        cache_kib: config.writer_cache_kib,
        wal_pages: config.wal_pages,
    }
}
