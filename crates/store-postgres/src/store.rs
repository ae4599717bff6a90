//! Opening and closing; the writing half.

use crate::config::Config;
use crate::db::{self, column};
use crate::distribute;
use crate::error;
use crate::partition;
use crate::shared::Shared;
use crate::sql::{self, Args};
use crate::writer::{DECISION_AGE, Writer};
use async_trait::async_trait;
use hoplog_model::{Clock, Position};
use hoplog_store::tables::{bits, lower, ordered, trace_id};
use hoplog_store::{
    Books, Checkpoint, Decision, Outcome, Recovery, SpanWriter, StoreError, WriteBatch, Written,
};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A database, open for one process; other processes may have it open too.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) shared: Arc<Shared>,
    /// None when closed.
    writer: Arc<Mutex<Option<Writer>>>,
}

impl PostgresStore {
    /// Opens the database at `url` (`postgres://user:password@host:port/database`); makes the schema
    /// `hoplog` if it is not there. Ends what a crash interrupted.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if another process writes under the same [`Config::writer`],
    /// [`StoreError::Newer`] if a newer hoplog wrote it, [`StoreError::Unavailable`] if it cannot be reached,
    /// or the user may not make tables.
    pub async fn open(
        url: &str,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let options = db::options(url)?;
        let mut connection = db::connect(&options).await?;
        db::migrate(&mut connection).await?;
        let shared = Arc::new(Shared::new(options, config, clock));
        shared.load_dictionaries(&mut connection).await?;
        if let Err(why) = partition::remove_dropped(&mut connection).await {
            tracing::warn!(%why, "the tables of dropped partitions stay for now");
        }
        drop(connection.close().await);
        let mut writer = Writer::new(Arc::clone(&shared));
        // Here, so that a second process of the same name is told at once.
        let connection = writer.connection().await?;
        writer.put_back(connection);
        Ok(Self {
            shared,
            writer: Arc::new(Mutex::new(Some(writer))),
        })
    }

    /// Brings the schema up to date, or makes it, and nothing else. With `distribute`, the tables are spread over the
    /// nodes of a cluster that has the Citus extension; nobody may write meanwhile.
    ///
    /// # Errors
    /// As [`PostgresStore::open`]; [`StoreError::Unavailable`] if the tables are to be spread and there is no Citus.
    pub async fn migrate(url: &str, distribute: bool) -> Result<(), StoreError> {
        let options = db::options(url)?;
        let mut connection = db::connect(&options).await?;
        db::migrate(&mut connection).await?;
        if distribute {
            distribute::distribute(&mut connection).await?;
        }
        let closed = connection.close().await;
        closed.map_err(|why| error::database("close", &why))
    }

    /// [`hoplog_store::Maintenance::close`].
    pub(crate) async fn close_all(&self) -> Result<(), StoreError> {
        let writer = self.writer.lock().await.take();
        self.shared.searches.close();
        self.shared.lookups.close();
        self.shared.pool.close().await;
        match writer.and_then(Writer::into_connection) {
            Some(connection) => connection
                .close()
                .await
                .map_err(|why| error::database("close", &why)),
            None => Ok(()),
        }
    }

    /// Opens a database to look at; writes nothing. Calls that write fail.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be reached, or no hoplog has ever written to it.
    pub async fn open_read_only(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let options = db::options(url)?;
        let mut connection = db::connect(&options).await?;
        db::is_migrated(&mut connection).await?;
        let shared = Arc::new(Shared::new(options, Config::default(), clock));
        shared.load_dictionaries(&mut connection).await?;
        Ok(Self {
            shared,
            writer: Arc::default(),
        })
    }

    /// What every collector has recorded, in no order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer.
    pub async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let mut connection = self.shared.connection().await?;
        let rows = db::all(&mut connection, &sql::READ_COLLECTORS, Args::new()).await?;
        rows.iter().map(|row| Ok(collector(row)?.0)).collect()
    }

    /// The one who writes.
    async fn writer(&self) -> Result<OwnedMutexGuard<Option<Writer>>, StoreError> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        if guard.is_none() {
            return Err(StoreError::Invalid(
                "the store is open to read only, or closed".to_owned(),
            ));
        }
        Ok(guard)
    }
}

/// Totals of everything written since ever, and the rows that retention has dropped; of one moment.
pub(crate) async fn totals(connection: &mut PgConnection) -> Result<(Books, u64), StoreError> {
    let row = db::one(connection, &sql::READ_TOTALS, Args::new()).await?;
    let total = |index| Ok::<_, StoreError>(column::<i64>(&row, index)?.cast_unsigned());
    let books = Books {
        stored: total(0)?,
        duplicate: total(1)?,
        left_out: total(2)?,
    };
    Ok((books, total(3)?))
}

/// Runs what writes in a task of its own: a caller that gives up does not leave a transaction half way.
macro_rules! owned {
    ($store:ident, $writer:ident, $body:expr) => {{
        let mut guard = $store.writer().await?;
        let done = $store.shared.runtime.spawn(async move {
            let $writer = guard.as_mut().expect("looked at when it was locked");
            $body
        });
        done.await.map_err(|why| error::task(&why))?
    }};
}

#[async_trait]
impl SpanWriter for PostgresStore {
    async fn write(&self, batch: WriteBatch) -> Result<Written, StoreError> {
        owned!(self, writer, writer.write(batch).await)
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        owned!(self, writer, writer.checkpoint(checkpoint).await)
    }

    async fn recovery(&self) -> Result<Recovery, StoreError> {
        let writer = self.shared.config.writer.as_str();
        let mut connection = self.shared.connection().await?;
        let args = Args::new().with(writer);
        let found = db::all(&mut connection, &sql::READ_COLLECTOR, args).await?;
        let mut recovery = Recovery::default();
        if let Some(row) = found.first() {
            // Of this collector only: those of others are not its inbox's.
            (recovery.checkpoint, recovery.books) = collector(row)?;
        }
        read_upto(&mut connection, writer, &mut recovery).await?;
        let since = self.shared.clock.now().saturating_sub(DECISION_AGE);
        let args = Args::new().with(ordered(since));
        for row in db::all(&mut connection, &sql::READ_DECISIONS, args).await? {
            let outcome = match column::<&str>(&row, 1)? {
                "drop" => Outcome::Drop,
                _ => Outcome::CountOnly,
            };
            let at = lower(column(&row, 2)?);
            let id = trace_id(column(&row, 0)?)?;
            recovery.decisions.insert(id, Decision { outcome, at });
        }
        Ok(recovery)
    }
}

/// Of a row of [`sql::READ_COLLECTOR`].
fn collector(row: &PgRow) -> Result<(Checkpoint, Books), StoreError> {
    let total = |index| Ok::<_, StoreError>(column::<i64>(row, index)?.cast_unsigned());
    let checkpoint = Checkpoint {
        position: Position::from_u64(total(0)?),
        inbox_totals: column(row, 1)?,
    };
    let books = Books {
        stored: total(2)?,
        duplicate: total(3)?,
        left_out: total(4)?,
    };
    Ok((checkpoint, books))
}

async fn read_upto(
    connection: &mut PgConnection,
    writer: &str,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let position = recovery.checkpoint.position;
    let args = Args::new().with(writer).with(bits(position.to_u64()));
    for row in db::all(connection, &sql::READ_UPTO, args).await? {
        recovery.note_upto(column(&row, 0)?)?;
    }
    Ok(())
}
