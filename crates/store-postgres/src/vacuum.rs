//! Space of rows that are gone is made free for others, sooner than by autovacuum.
//!
//! Some tables are emptied every few batches (the log of roll-ups, positions), or lose half of their rows at once (filters
//! that were merged). Autovacuum looks once a minute: meanwhile they grow by all that is written. Other upkeep waits for
//! this: tables that are large are autovacuum's.

use crate::db::{self, column};
use crate::shared::Shared;
use crate::sql::{self, Args};
use hoplog_store::StoreError;
use sqlx::{Connection as _, PgConnection};

/// Key of the advisory lock of the one that vacuums: of several collectors one does.
const VACUUM_LOCK: i64 = db::SCHEMA_LOCK + 5;
/// Bytes of a table, with its indexes, from which on it is left to autovacuum.
const LARGE: i64 = 256 << 20;
/// Rests between a few pages, as autovacuum does, so that others have the disk.
const GENTLY: &str = "SET vacuum_cost_delay = '2ms'";

impl Shared {
    /// [`hoplog_store::Maintenance::give_back`]: of all tables that are not large and of which a fifth is dead, by
    /// the server's own count.
    pub(crate) async fn vacuum(&self) -> Result<(), StoreError> {
        let mut connection = db::connect(&self.options).await?;
        let locked = db::try_lock(&mut connection, VACUUM_LOCK).await?;
        let done = if locked {
            vacuum(&mut connection).await
        } else {
            Ok(())
        };
        // With it goes the lock.
        drop(connection.close().await);
        done
    }
}

async fn vacuum(connection: &mut PgConnection) -> Result<(), StoreError> {
    let tables = db::all(connection, &sql::READ_DEAD, Args::new().with(LARGE)).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let what = "give space back";
    db::raw(connection, what, GENTLY.to_owned()).await?;
    for row in tables {
        let table: String = column(&row, 0)?;
        // Passed over if another session has it, which may be dropping it, or is vacuuming it already.
        let text = format!("VACUUM (SKIP_LOCKED) hoplog.\"{table}\"");
        db::raw(connection, what, text).await?;
    }
    Ok(())
}
