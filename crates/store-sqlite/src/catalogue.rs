//! `catalogue.db`: the list of partitions, the checkpoint, and what was dropped.

use crate::db::{self, Connection, Use, column};
use crate::sql::{self, Args};
use hoplog_model::{Position, UnixNanos};
use hoplog_store::{Books, Checkpoint, StoreError};
use sqlx::sqlite::SqliteRow;
use std::path::Path;

/// The open catalogue.
#[derive(Debug)]
pub(crate) struct Catalogue(Connection);

/// A line of the list of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
    /// Retention has taken it; its files may still be there.
    pub(crate) is_dropped: bool,
}

/// Totals of dropped partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) books: Books,
    pub(crate) rows: u64,
}

impl Catalogue {
    /// The file's name within the data folder.
    pub(crate) const FILE: &str = "catalogue.db";

    /// Opens it for the only process that writes.
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        let opened = Connection::open(&folder.join(Self::FILE), Use::Catalogue).await;
        let mut connection = opened.map_err(in_use)?;
        connection.check_library().await?;
        connection.migrate(db::CATALOGUE).await.map_err(in_use)?;
        Ok(Self(connection))
    }

    /// Opens it for looking only.
    pub(crate) async fn open_stopped(folder: &Path) -> Result<Self, StoreError> {
        let opened = Connection::open(&folder.join(Self::FILE), Use::Stopped).await;
        let mut connection = opened.map_err(in_use)?;
        // The first statement meets the lock.
        connection.check_library().await.map_err(in_use)?;
        connection.is_migrated(db::CATALOGUE.len()).await?;
        Ok(Self(connection))
    }

    /// Every partition, oldest first.
    pub(crate) async fn partitions(&mut self) -> Result<Vec<Listed>, StoreError> {
        let rows = self.0.all(&sql::READ_PARTITIONS, Args::new()).await?;
        let listed = |row: &SqliteRow| {
            Ok(Listed {
                name: column(row, 0)?,
                from: sql::lower(column(row, 1)?),
                to: sql::upper(column(row, 2)?),
                is_dropped: column::<String>(row, 3)? != "live",
            })
        };
        rows.iter().map(listed).collect()
    }

    /// Lists a new partition.
    pub(crate) async fn add(
        &mut self,
        name: &str,
        from: UnixNanos,
        to: UnixNanos,
    ) -> Result<(), StoreError> {
        let args = Args::new()
            .with(name)
            .with(sql::ordered(from))
            .with(sql::ordered(to));
        self.0.execute(&sql::INSERT_PARTITION, args).await.map(drop)
    }

    /// Moves a partition's books to the dropped ones and marks it, in one transaction. Its files may go after.
    pub(crate) async fn drop_partition(
        &mut self,
        name: &str,
        books: Books,
        rows: u64,
    ) -> Result<(), StoreError> {
        let totals = [books.stored, books.duplicate, books.left_out, rows];
        let totals = totals
            .into_iter()
            .fold(Args::new(), |args, total| args.with(sql::bits(total)));
        self.0.begin().await?;
        let done = match self
            .0
            .execute(&sql::DROP_PARTITION, Args::new().with(name))
            .await
        {
            Ok(_) => self.0.execute(&sql::ADD_DROPPED, totals).await.map(drop),
            Err(why) => Err(why),
        };
        match done {
            Ok(()) => self.0.commit().await,
            Err(why) => {
                // SQLite may have rolled back itself already.
                let _rolled_back = self.0.roll_back().await;
                Err(why)
            }
        }
    }

    /// Takes a dropped partition off the list: its files are gone.
    pub(crate) async fn forget(&mut self, name: &str) -> Result<(), StoreError> {
        self.0
            .execute(&sql::FORGET_PARTITION, Args::new().with(name))
            .await
            .map(drop)
    }

    /// What was recorded last.
    pub(crate) async fn checkpoint(&mut self) -> Result<Checkpoint, StoreError> {
        let row = self.0.one(&sql::READ_CHECKPOINT, Args::new()).await?;
        Ok(Checkpoint {
            position: Position::from_u64(column::<i64>(&row, 0)?.cast_unsigned()),
            inbox_totals: column(&row, 1)?,
        })
    }

    /// Records a checkpoint; durable when this returns.
    pub(crate) async fn set_checkpoint(
        &mut self,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        let position = sql::bits(checkpoint.position.to_u64());
        let args = Args::new().with(position).with(checkpoint.inbox_totals);
        self.0.execute(&sql::WRITE_CHECKPOINT, args).await.map(drop)
    }

    /// Totals of what was dropped.
    pub(crate) async fn dropped(&mut self) -> Result<Dropped, StoreError> {
        let row = self.0.one(&sql::READ_DROPPED, Args::new()).await?;
        let total = |index| Ok::<_, StoreError>(column::<i64>(&row, index)?.cast_unsigned());
        Ok(Dropped {
            books: Books {
                stored: total(0)?,
                duplicate: total(1)?,
                left_out: total(2)?,
            },
            rows: total(3)?,
        })
    }

    /// Closes it.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.0.close().await
    }

    /// The bare connection, for tests that look at plans.
    #[cfg(test)]
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.0
    }
}

fn in_use(error: StoreError) -> StoreError {
    match error {
        StoreError::Busy(said) => {
            StoreError::Busy(format!("another process uses this data folder ({said})"))
        }
        other => other,
    }
}
