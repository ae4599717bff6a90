//! `catalogue.db`: the list of partitions, the checkpoint, and what was dropped.

use crate::db::{self, Connection, Use, column};
use crate::partition::Partition;
use crate::sql::{self, Args};
use hoplog_model::{Position, TraceId, UnixNanos};
use hoplog_store::retention::{Gone, Past, Reason, Retained};
use hoplog_store::tables::trace_id;
use hoplog_store::{Books, Checkpoint, StoreError};
use rustc_hash::FxHashSet;
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
    pub(crate) retained: Retained,
}

/// What goes with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropping {
    /// What became of the spans that are no more.
    pub(crate) books: Books,
    pub(crate) reason: Reason,
    pub(crate) gone: Gone,
    /// Requests among them that were to be kept by hand.
    pub(crate) pinned: Vec<TraceId>,
}

impl Dropped {
    /// These and what goes now.
    pub(crate) fn with(mut self, dropping: &Dropping) -> Self {
        self.books.add(dropping.books);
        self.rows += dropping.gone.rows;
        self.retained.of_mut(dropping.reason).add(dropping.gone);
        self
    }
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

    /// Marks a partition as dropped and counts what went with it, in one transaction. Its files may go after.
    pub(crate) async fn drop_partition(
        &mut self,
        name: &str,
        dropping: &Dropping,
    ) -> Result<(), StoreError> {
        self.0.begin().await?;
        let done = self.count_dropped(name, dropping).await;
        self.end(done).await
    }

    /// Lists a partition that is to take another one's place, as one whose files go at the next start.
    pub(crate) async fn begin_thinning(&mut self, new: &Partition) -> Result<(), StoreError> {
        let args = Args::new()
            .with(&*new.name)
            .with(sql::ordered(new.from))
            .with(sql::ordered(new.to));
        self.0
            .execute(&sql::INSERT_UNFINISHED, args)
            .await
            .map(drop)
    }

    /// Puts the new partition in the old one's place, in one transaction. It is whole and durable.
    pub(crate) async fn end_thinning(
        &mut self,
        (old, new): (&str, &str),
        past: Past,
        dropping: &Dropping,
    ) -> Result<(), StoreError> {
        self.0.begin().await?;
        let done = self.swap((old, new), past, dropping).await;
        self.end(done).await
    }

    async fn swap(
        &mut self,
        (old, new): (&str, &str),
        past: Past,
        dropping: &Dropping,
    ) -> Result<(), StoreError> {
        self.count_dropped(old, dropping).await?;
        let args = Args::new().with(new);
        self.0.execute(&sql::FINISH_PARTITION, args).await?;
        let args = Args::new().with(new).with(i64::from(past.0));
        self.0.execute(&sql::PUT_THINNED, args).await.map(drop)
    }

    async fn count_dropped(&mut self, name: &str, dropping: &Dropping) -> Result<(), StoreError> {
        let args = || Args::new().with(name);
        self.0.execute(&sql::DROP_PARTITION, args()).await?;
        self.0.execute(&sql::FORGET_THINNED, args()).await?;
        let Dropping {
            books,
            reason,
            gone,
            pinned,
        } = dropping;
        let totals = [books.stored, books.duplicate, books.left_out, gone.rows];
        let totals = totals
            .into_iter()
            .fold(Args::new(), |args, total| args.with(sql::bits(total)));
        self.0.execute(&sql::ADD_DROPPED, totals).await?;
        let args = Args::new().with(reason.name());
        let args = [gone.partitions, gone.rows, gone.bytes, gone.pinned]
            .into_iter()
            .fold(args, |args, total| args.with(sql::bits(total)));
        let args = args.with(sql::ordered(gone.at));
        self.0.execute(&sql::ADD_RETAINED, args).await?;
        for id in pinned {
            let args = Args::new().with(id.as_bytes().as_slice());
            self.0.execute(&sql::DELETE_PIN, args).await?;
        }
        Ok(())
    }

    async fn end(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        match done {
            Ok(()) => self.0.commit().await,
            Err(why) => {
                // SQLite may have rolled back itself already.
                let _rolled_back = self.0.roll_back().await;
                Err(why)
            }
        }
    }

    /// Notes that a partition holds nothing more of what is past its age.
    pub(crate) async fn set_thinned(&mut self, name: &str, past: Past) -> Result<(), StoreError> {
        let args = Args::new().with(name).with(i64::from(past.0));
        self.0.execute(&sql::PUT_THINNED, args).await.map(drop)
    }

    /// How far partitions are thinned, by name.
    pub(crate) async fn thinned(&mut self) -> Result<Vec<(String, Past)>, StoreError> {
        let rows = self.0.all(&sql::READ_THINNED, Args::new()).await?;
        let thinned = |row: &SqliteRow| {
            let past = u8::try_from(column::<i64>(row, 1)?);
            let past = past.map_err(|why| StoreError::corrupt("catalogue thinned past", why))?;
            Ok((column(row, 0)?, Past(past)))
        };
        rows.iter().map(thinned).collect()
    }

    /// What was dropped, by reason.
    pub(crate) async fn retained(&mut self) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        for row in self.0.all(&sql::READ_RETAINED, Args::new()).await? {
            let total = |index| Ok::<_, StoreError>(column::<i64>(&row, index)?.cast_unsigned());
            if let Some(reason) = Reason::of(column(&row, 0)?) {
                *retained.of_mut(reason) = Gone {
                    partitions: total(1)?,
                    rows: total(2)?,
                    bytes: total(3)?,
                    pinned: total(4)?,
                    at: total(5)?,
                };
            }
        }
        Ok(retained)
    }

    /// Requests kept by hand.
    pub(crate) async fn pins(&mut self) -> Result<FxHashSet<TraceId>, StoreError> {
        let rows = self.0.all(&sql::READ_PINS, Args::new()).await?;
        rows.iter().map(|row| trace_id(column(row, 0)?)).collect()
    }

    /// Keeps a request by hand, or lets it go; durable when this returns.
    pub(crate) async fn pin(
        &mut self,
        id: &TraceId,
        is_kept: bool,
        now: UnixNanos,
    ) -> Result<(), StoreError> {
        let args = Args::new().with(id.as_bytes().as_slice());
        let done = if is_kept {
            let args = args.with(sql::ordered(now));
            self.0.execute(&sql::INSERT_PIN, args).await
        } else {
            self.0.execute(&sql::DELETE_PIN, args).await
        };
        done.map(drop)
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

    /// Totals of what was dropped, without reasons.
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
            retained: Retained::default(),
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
