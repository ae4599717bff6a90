//! Connections: how files are opened, migrated, spoken to and closed.

#[cfg(test)]
pub(crate) mod meter;

use crate::error;
use crate::sql::{Args, Bulk, Statement};
use hoplog_store::StoreError;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Decode, Row, Sqlite, SqliteConnection, Type};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a database page: measured, see docs/adr.
pub(crate) const PAGE_BYTES: u32 = 8_192;
/// Bytes to which a log file is cut when it starts over.
const LOG_BYTES: i64 = 64 << 20;
/// Shortens a file by so many pages: a megabyte, for which others wait a few milliseconds.
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(128)";
/// The least version without the bug of <https://sqlite.org/wal.html#walresetbug>.
const SQLITE_LEAST: [u32; 3] = [3, 51, 3];

/// Steps of the catalogue's schema, in order.
pub(crate) const CATALOGUE: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_catalogue.sql"),
    include_str!("../../../migrations/sqlite/0003_catalogue.sql"),
];
/// Steps of a partition's schema, in order.
pub(crate) const PARTITION: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_partition.sql"),
    include_str!("../../../migrations/sqlite/0002_partition.sql"),
];

#[cfg(test)]
use meter::Metered as Counted;

/// A statement on its way, which only tests count.
#[cfg(not(test))]
#[derive(Debug)]
struct Counted;

#[cfg(not(test))]
impl Counted {
    fn start(_file: &Arc<str>, _statement: &'static str) -> Self {
        Self
    }
}

/// An open database file.
#[derive(Debug)]
pub(crate) struct Connection {
    inner: SqliteConnection,
    file: Arc<str>,
    /// Statements run so far.
    #[cfg(test)]
    pub(crate) statements: u64,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The catalogue's only connection: what it commits is durable, and no other process gets in.
    Catalogue,
    /// Writes a partition. Commits survive the process; [`sync_log`] makes them survive a power cut.
    Write { cache_kib: u32, wal_pages: u32 },
    /// Reads beside a writer.
    Read { cache_kib: u32 },
    /// Reads a stopped folder; creates no file that stays.
    Stopped,
}

fn options(path: &Path, purpose: Use) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .statement_cache_capacity(100)
        .pragma("temp_store", "MEMORY");
    match purpose {
        Use::Catalogue => options
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(Duration::ZERO)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full),
        Use::Write {
            cache_kib,
            wal_pages,
        } => options
            .create_if_missing(true)
            // Nobody else writes; only emptying the log waits, for readers.
            .busy_timeout(Duration::from_secs(1))
            .page_size(PAGE_BYTES)
            // A new file can be shortened; one from before hoplog asked for this cannot.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("journal_size_limit", LOG_BYTES.to_string())
            .pragma("wal_autocheckpoint", wal_pages.to_string())
            .pragma("cache_size", format!("-{cache_kib}")),
        Use::Read { cache_kib } => options
            .read_only(true)
            .pragma("query_only", "ON")
            // Rows cross from SQLite's thread; the default of 50 makes the two wait for each other.
            .row_buffer_size(1024)
            .pragma("cache_size", format!("-{cache_kib}")),
        Use::Stopped => options.read_only(true).immutable(is_empty(&log_path(path))),
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.len() == 0)
}

impl Connection {
    /// Opens `path`.
    pub(crate) async fn open(path: &Path, purpose: Use) -> Result<Self, StoreError> {
        let file: Arc<str> = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default()
            .into();
        let inner = options(path, purpose).connect().await;
        let inner = inner.map_err(|why| error::database(&path.to_string_lossy(), "open", &why))?;
        Ok(Self {
            inner,
            file,
            #[cfg(test)]
            statements: 0,
        })
    }

    /// Runs a statement for its effect; returns rows affected.
    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        args: Args,
    ) -> Result<u64, StoreError> {
        let _counted = self.count(statement.name).await;
        let done = sqlx::query_with(statement.text, args.0)
            .execute(&mut self.inner)
            .await;
        let done = done.map_err(|why| error::database(&self.file, statement.name, &why))?;
        Ok(done.rows_affected())
    }

    /// Inserts rows.
    pub(crate) async fn insert(&mut self, rows: Bulk) -> Result<(), StoreError> {
        for (name, text, args) in rows.into_statements() {
            let _counted = self.count(name).await;
            let done = sqlx::query_with(text, args).execute(&mut self.inner).await;
            done.map_err(|why| error::database(&self.file, name, &why))?;
        }
        Ok(())
    }

    /// Every row of an answer.
    pub(crate) async fn all(
        &mut self,
        statement: &Statement,
        args: Args,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let _counted = self.count(statement.name).await;
        let rows = sqlx::query_with(statement.text, args.0)
            .fetch_all(&mut self.inner)
            .await;
        rows.map_err(|why| error::database(&self.file, statement.name, &why))
    }

    /// The one row of an answer; none is damage.
    pub(crate) async fn one(
        &mut self,
        statement: &Statement,
        args: Args,
    ) -> Result<SqliteRow, StoreError> {
        let row = self.all(statement, args).await?.into_iter().next();
        row.ok_or_else(|| StoreError::corrupt(&*self.file, format!("{}: no row", statement.name)))
    }

    /// Tests count statements, and pages for as long as what this returns is held.
    async fn count(&mut self, statement: &'static str) -> Counted {
        #[cfg(test)]
        {
            self.statements += 1;
            if meter::is_on() {
                let emptied = self.raw("PRAGMA shrink_memory").await;
                emptied.expect("the cache is emptied");
            }
        }
        Counted::start(&self.file, statement)
    }

    /// Begins a transaction that writes. A connection that is dropped in one rolls it back.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        self.raw("BEGIN IMMEDIATE").await
    }

    /// Ends the transaction.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.raw("COMMIT").await
    }

    /// Undoes the transaction.
    pub(crate) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.raw("ROLLBACK").await
    }

    /// Moves the log into the file and empties it; false if a reader held it for too long.
    pub(crate) async fn empty_log(&mut self) -> Result<bool, StoreError> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.inner)
            .await;
        let row = row.map_err(|why| error::database(&self.file, "wal_checkpoint", &why))?;
        Ok(column::<i64>(&row, 0)? == 0)
    }

    /// Pages that hold nothing and can be given back; 0 for a file that cannot be shortened.
    pub(crate) async fn free_pages(&mut self) -> Result<u64, StoreError> {
        const INCREMENTAL: i64 = 2;
        if self.pragma("PRAGMA auto_vacuum").await? != INCREMENTAL {
            return Ok(0);
        }
        let free = self.pragma("PRAGMA freelist_count").await?;
        Ok(free.cast_unsigned())
    }

    /// Moves pages from the end of the file into free ones, in a transaction of its own, and shortens the file.
    pub(crate) async fn give_back(&mut self) -> Result<(), StoreError> {
        self.raw(GIVE_BACK).await
    }

    async fn pragma(&mut self, text: &'static str) -> Result<i64, StoreError> {
        let value = sqlx::query_scalar(text).fetch_one(&mut self.inner).await;
        value.map_err(|why| error::database(&self.file, text, &why))
    }

    /// Brings the schema up to date: applies the steps that `PRAGMA user_version` does not count
    /// yet (each sets it to its own number), all or none. A greater version is [`StoreError::Newer`].
    pub(crate) async fn migrate(&mut self, steps: &[&'static str]) -> Result<(), StoreError> {
        let version = self.schema_version(steps.len()).await?;
        if version == steps.len() {
            return Ok(());
        }
        let upgraded = async {
            self.begin().await?;
            for step in &steps[version..] {
                self.raw(step).await?;
            }
            self.commit().await
        };
        upgraded.await.map_err(|why| match why {
            StoreError::Unavailable(why) => StoreError::Unavailable(format!(
                "{why}; it cannot be brought from schema version {version} to {}",
                steps.len()
            )),
            other => other,
        })
    }

    /// [`StoreError::Unavailable`] if the schema is of an earlier hoplog.
    pub(crate) async fn is_migrated(&mut self, known: usize) -> Result<(), StoreError> {
        let version = self.schema_version(known).await?;
        if version == known {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} has schema version {version}, this hoplog needs {known}: `hoplog migrate` brings it up to date, as does a start",
            self.file
        )))
    }

    /// How many steps of the schema were applied.
    pub(crate) async fn schema_version(&mut self, known: usize) -> Result<usize, StoreError> {
        let version = sqlx::query_scalar::<_, i64>("PRAGMA user_version");
        let version = version.fetch_one(&mut self.inner).await;
        let version = version.map_err(|why| error::database(&self.file, "user_version", &why))?;
        let version = usize::try_from(version).unwrap_or(usize::MAX);
        if version > known {
            let file = &self.file;
            return Err(StoreError::Newer(format!(
                "{file} has schema version {version}, this hoplog knows {known}: it was written by a newer one"
            )));
        }
        Ok(version)
    }

    /// [`StoreError::Unavailable`] if the SQLite linked in can damage data.
    pub(crate) async fn check_library(&mut self) -> Result<(), StoreError> {
        let version = sqlx::query_scalar::<_, String>("SELECT sqlite_version()");
        let version = version.fetch_one(&mut self.inner).await;
        let version = version.map_err(|why| error::database(&self.file, "sqlite_version", &why))?;
        if is_safe_version(&version) {
            return Ok(());
        }
        let [major, minor, patch] = SQLITE_LEAST;
        Err(StoreError::Unavailable(format!(
            "SQLite {version} is linked in, which can damage databases in WAL mode; {major}.{minor}.{patch} or later is needed"
        )))
    }

    /// Whether somebody has run ANALYZE on the file. hoplog never does.
    pub(crate) async fn has_statistics(&mut self) -> Result<bool, StoreError> {
        let found = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1')";
        let found = sqlx::query_scalar::<_, bool>(found);
        let found = found.fetch_one(&mut self.inner).await;
        found.map_err(|why| error::database(&self.file, "sqlite_schema", &why))
    }

    /// Takes statistics away: those of a small file, kept while it grows, have tables read from one end to the
    /// other that are found by a key without them.
    pub(crate) async fn drop_statistics(&mut self) -> Result<(), StoreError> {
        self.raw("DROP TABLE sqlite_stat1").await
    }

    async fn raw(&mut self, text: &'static str) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(text).execute(&mut self.inner).await;
        // The first line that is no comment.
        let is_code = |line: &&str| !line.starts_with("--") && !line.is_empty();
        let what = text.lines().find(is_code).unwrap_or(text);
        done.map(drop)
            .map_err(|why| error::database(&self.file, what, &why))
    }

    /// Closes the file. The last connection that may write also empties the log and removes it.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let closed = self.inner.close().await;
        closed.map_err(|why| error::database(&self.file, "close", &why))
    }

    /// The bare connection, for tests that look at plans.
    #[cfg(test)]
    pub(crate) fn bare(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

/// A column of a row, counted from 0; [`StoreError::Corrupt`] if it is of another kind.
pub(crate) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(index)
        .map_err(|why| StoreError::corrupt(format!("column {index}"), why))
}

fn is_safe_version(version: &str) -> bool {
    let numbers: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    numbers.as_slice() >= SQLITE_LEAST.as_slice()
}

/// The file's write-ahead log.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    with_suffix(path, "-wal")
}

/// The log's index, shared by processes.
pub(crate) fn index_path(path: &Path) -> PathBuf {
    with_suffix(path, "-shm")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes every commit so far survive a power cut: what `synchronous=FULL` does at every commit, once
/// for many. In WAL mode a commit is in the log file; when pages are moved on, SQLite syncs both
/// files itself.
///
/// No lock of SQLite's is on the log, so that opening and closing it here loses none.
pub(crate) fn sync_log(path: &Path) -> Result<(), StoreError> {
    let log = log_path(path);
    match std::fs::File::open(&log) {
        Ok(file) => file
            .sync_data()
            .map_err(|why| error::file(&log, "sync", &why)),
        // Emptied and removed by a close: everything is in the file, synced.
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(error::file(&log, "open", &why)),
    }
}

/// Makes names of files in a folder survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = std::fs::File::open(path).map_err(|why| error::file(path, "open", &why))?;
    folder
        .sync_all()
        .map_err(|why| error::file(path, "sync", &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_with_the_fix_are_safe() {
        assert!(is_safe_version("3.51.3") && is_safe_version("3.52.0") && is_safe_version("4.0.0"));
        assert!(!is_safe_version("3.51.2") && !is_safe_version("3.9.99") && !is_safe_version(""));
    }

    const WRITE: Use = Use::Write {
        cache_kib: 64,
        wal_pages: 1_000,
    };
    const NEXT: &str = "-- As later steps will be.
CREATE TABLE more (n INTEGER PRIMARY KEY, bytes BLOB);
INSERT INTO more SELECT value, zeroblob(50000) FROM json_each('[1, 2, 3, 4]');
PRAGMA user_version = 2";

    async fn first(path: &Path) {
        let mut connection = Connection::open(path, WRITE).await.unwrap();
        connection.migrate(&PARTITION[..1]).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Its version, and whether it has what the next step brings.
    async fn state(path: &Path) -> (usize, bool) {
        let mut connection = Connection::open(path, Use::Read { cache_kib: 64 })
            .await
            .unwrap();
        let has_more = "SELECT count(*) FROM sqlite_schema WHERE name = 'more'";
        let has_more: i64 = sqlx::query_scalar(has_more)
            .fetch_one(connection.bare())
            .await
            .unwrap();
        (connection.schema_version(9).await.unwrap(), has_more > 0)
    }

    #[tokio::test]
    async fn a_step_is_taken_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.db");
        first(&path).await;
        let broken = [PARTITION[0], NEXT, "CREATE TABLE more (n INTEGER)"];
        let mut connection = Connection::open(&path, WRITE).await.unwrap();
        connection.migrate(&broken).await.unwrap_err();
        drop(connection);
        assert_eq!(state(&path).await, (1, false));
        // Killed before the end: the files as they are.
        let mut connection = Connection::open(&path, WRITE).await.unwrap();
        connection.begin().await.unwrap();
        connection.raw(NEXT).await.unwrap();
        let killed = dir.path().join("killed.db");
        std::fs::copy(&path, &killed).unwrap();
        std::fs::copy(log_path(&path), log_path(&killed)).unwrap();
        drop(connection);
        assert_eq!(state(&killed).await, (1, false));
        let mut connection = Connection::open(&killed, WRITE).await.unwrap();
        connection.migrate(&[PARTITION[0], NEXT]).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(state(&killed).await, (2, true));
    }

    #[tokio::test]
    async fn a_file_that_cannot_grow_or_be_written_says_so_and_stays_as_it_is() {
        for (obstacle, said) in [
            ("PRAGMA max_page_count = 40", "full"),
            ("PRAGMA query_only = ON", "readonly"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("p.db");
            first(&path).await;
            let mut connection = Connection::open(&path, WRITE).await.unwrap();
            connection.raw(obstacle).await.unwrap();
            let why = connection.migrate(&[PARTITION[0], NEXT]).await;
            let is_full = why.as_ref().is_err_and(error::is_disk_full);
            assert_eq!(is_full, said == "full");
            let Err(StoreError::Unavailable(why)) = why else {
                panic!("{obstacle}: {why:?}")
            };
            let expected = ["p.db", said, "from schema version 1 to 2"];
            assert!(expected.iter().all(|part| why.contains(part)), "{why}");
            drop(connection);
            assert_eq!(state(&path).await, (1, false));
        }
    }

    #[tokio::test]
    async fn an_earlier_schema_is_not_taken_for_todays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.db");
        first(&path).await;
        let mut connection = Connection::open(&path, WRITE).await.unwrap();
        connection.is_migrated(1).await.unwrap();
        let why = connection.is_migrated(2).await;
        assert!(
            matches!(&why, Err(StoreError::Unavailable(why)) if why.contains("hoplog migrate"))
        );
        let newer = connection.is_migrated(0).await;
        assert!(matches!(newer, Err(StoreError::Newer(_))), "{newer:?}");
    }
}
