//! Opening and closing; the writing half.

use crate::catalogue::{Catalogue, Dropped, Listed};
use crate::config::Config;
use crate::db::{self, Connection, Use, column};
use crate::error;
use crate::partition::Partition;
use crate::readers::Readers;
use crate::retention::PutOff;
use crate::shared::{PARTITIONS, Shared};
use crate::sql::{self, Args};
use crate::upgrade::upgrade;
use crate::writer::{DECISION_AGE, Writer, dictionary_id, remove_files};
use async_trait::async_trait;
use hoplog_model::{Clock, Position};
use hoplog_store::tables::trace_id;
use hoplog_store::{
    Checkpoint, Decision, Outcome, Recovery, SpanWriter, StoreError, WriteBatch, Written,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// A data folder of partition files, open for one process.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) shared: Arc<Shared>,
    /// None when opened to read only, or closed.
    writer: Arc<Mutex<Option<Writer>>>,
    /// As found by [`SqliteStore::open_read_only`].
    found: Option<Checkpoint>,
    /// Log index files that were not there before it was opened to read only.
    leftovers: Vec<PathBuf>,
    /// Held while retention is at it.
    pub(crate) retaining: Arc<Mutex<PutOff>>,
}

impl SqliteStore {
    /// Opens the data folder `dir`; makes it if it is not there. Ends what a crash interrupted, and brings files of
    /// an earlier schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if another process has it open, [`StoreError::Newer`] if a newer hoplog
    /// wrote it, [`StoreError::Unavailable`] if it cannot be written or the SQLite linked in is
    /// not safe, [`StoreError::Corrupt`] if a file is missing or damaged.
    pub async fn open(
        dir: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let folder = dir.join(PARTITIONS);
        std::fs::create_dir_all(&folder).map_err(|why| error::file(&folder, "create", &why))?;
        let mut catalogue = Catalogue::open(dir).await?;
        for listed in catalogue
            .partitions()
            .await?
            .iter()
            .filter(|listed| listed.is_dropped)
        {
            remove_files(&Partition::new(&folder, &listed.name, 0, 0).path)?;
            catalogue.forget(&listed.name).await?;
        }
        adopt(&mut catalogue, &folder).await?;
        let partitions = live(&mut catalogue, &folder).await?;
        let readers = Readers::new(Use::Read {
            cache_kib: config.reader_cache_kib,
        });
        let dropped = Dropped {
            retained: catalogue.retained().await?,
            ..catalogue.dropped().await?
        };
        for (name, past) in catalogue.thinned().await? {
            let of = partitions.iter().find(|one| *one.name == *name);
            of.inspect(|one| one.set_thinned(past));
        }
        let shared = Shared::new(
            (config, clock),
            dir.to_owned(),
            readers,
            partitions,
            dropped,
        );
        upgrade(&shared).await?;
        forget_statistics(&shared).await?;
        load(&shared).await?;
        shared.pins().ids = catalogue.pins().await?;
        let shared = Arc::new(shared);
        let writer = Writer::new(Arc::clone(&shared), catalogue);
        let writer = Arc::new(Mutex::new(Some(writer)));
        Ok(Self {
            shared,
            writer,
            found: None,
            leftovers: Vec::new(),
            retaining: Arc::default(),
        })
    }

    /// Opens a stopped data folder to look at; writes nothing and leaves no new file. Calls that write are
    /// [`StoreError::Invalid`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it is not there or of an earlier schema, [`StoreError::Busy`] while a process
    /// has it open; else as [`SqliteStore::open`].
    pub async fn open_read_only(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = dir.join(Catalogue::FILE);
        if !path.exists() {
            return Err(StoreError::Unavailable(format!(
                "{}: no such file",
                path.display()
            )));
        }
        let mut leftovers = missing_index(&path).into_iter().collect::<Vec<_>>();
        let mut catalogue = Catalogue::open_stopped(dir).await?;
        let partitions = live(&mut catalogue, &dir.join(PARTITIONS)).await?;
        leftovers.extend(partitions.iter().filter_map(|one| missing_index(&one.path)));
        let dropped = catalogue.dropped().await?;
        let found = Some(catalogue.checkpoint().await?);
        catalogue.close().await?;
        let config = Config::default();
        let readers = Readers::new(Use::Stopped);
        let shared = Shared::new(
            (config, clock),
            dir.to_owned(),
            readers,
            partitions,
            dropped,
        );
        load(&shared).await?;
        Ok(Self {
            shared: Arc::new(shared),
            writer: Arc::new(Mutex::new(None)),
            found,
            leftovers,
            retaining: Arc::default(),
        })
    }

    /// The same store, for a task of its own: what it does is done to its end, even if the caller gives up.
    pub(crate) fn handle(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            writer: Arc::clone(&self.writer),
            found: None,
            leftovers: Vec::new(),
            retaining: Arc::clone(&self.retaining),
        }
    }

    /// [`hoplog_store::Maintenance::close`]: moves all logs into their files and closes everything, so that what stays is as small as
    /// it gets.
    pub(crate) async fn close_all(&self) -> Result<(), StoreError> {
        let writer = self.writer.lock().await.take();
        self.shared.searches.close();
        self.shared.lookups.close();
        if let Some(writer) = writer {
            return writer.close().await;
        }
        self.shared.readers.close(None).await;
        for leftover in &self.leftovers {
            // Not there if the partition was never read.
            drop(std::fs::remove_file(leftover));
        }
        Ok(())
    }

    /// The one who writes.
    pub(crate) async fn writer(&self) -> Result<WriterGuard<'_>, StoreError> {
        let guard = self.writer.lock().await;
        if guard.is_none() {
            return Err(StoreError::Invalid(
                "the store is open to read only, or closed".to_owned(),
            ));
        }
        Ok(WriterGuard(guard))
    }

    /// Runs a few statements on a connection of the partition.
    pub(crate) async fn connection(&self, partition: &Partition) -> Result<Connection, StoreError> {
        self.shared.readers.take(partition).await
    }
}

/// The writer, locked.
#[derive(Debug)]
pub(crate) struct WriterGuard<'a>(MutexGuard<'a, Option<Writer>>);

impl std::ops::Deref for WriterGuard<'_> {
    type Target = Writer;
    fn deref(&self) -> &Writer {
        self.0.as_ref().expect("looked at when it was made")
    }
}

impl std::ops::DerefMut for WriterGuard<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        self.0.as_mut().expect("looked at when it was made")
    }
}

/// The partitions the catalogue lists, oldest first. One whose file is gone is damage.
async fn live(catalogue: &mut Catalogue, folder: &Path) -> Result<Vec<Arc<Partition>>, StoreError> {
    let mut partitions = Vec::new();
    for Listed { name, from, to, .. } in catalogue
        .partitions()
        .await?
        .into_iter()
        .filter(|listed| !listed.is_dropped)
    {
        let partition = Partition::new(folder, &name, from, to);
        if !partition.path.exists() {
            let at = format!("catalogue partition {name}");
            return Err(StoreError::corrupt(at, "its file is missing"));
        }
        partitions.push(Arc::new(partition));
    }
    Ok(partitions)
}

/// Lists partition files that the catalogue does not know: copied here, or made just before a
/// crash. A file without a range never held anything and is removed.
async fn adopt(catalogue: &mut Catalogue, folder: &Path) -> Result<(), StoreError> {
    let mut listed = catalogue.partitions().await?;
    let entries = std::fs::read_dir(folder).map_err(|why| error::file(folder, "list", &why))?;
    for entry in entries {
        let path = entry
            .map_err(|why| error::file(folder, "list", &why))?
            .path();
        let is_database = path.extension().is_some_and(|ending| ending == "db");
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        if !is_database || listed.iter().any(|one| one.name == name) {
            continue;
        }
        let Some((from, to)) = range(&path).await? else {
            remove_files(&path)?;
            continue;
        };
        if let Some(other) = listed.iter().find(|one| one.from < to && from < one.to) {
            let what = format!("it is for the same time as {}", other.name);
            return Err(StoreError::corrupt(path.to_string_lossy(), what));
        }
        tracing::info!(
            name,
            "a partition that the catalogue did not know is taken in"
        );
        catalogue.add(name, from, to).await?;
        listed.push(Listed {
            name: name.to_owned(),
            from,
            to,
            is_dropped: false,
        });
    }
    Ok(())
}

/// What a partition file is for, by its own account.
async fn range(path: &Path) -> Result<Option<(u64, u64)>, StoreError> {
    let mut connection = Connection::open(path, Use::Read { cache_kib: 64 }).await?;
    if connection.schema_version(db::PARTITION.len()).await? == 0 {
        return Ok(None);
    }
    let meta = connection.all(&sql::READ_META, Args::new()).await?;
    let range = meta
        .first()
        .map(|row| Ok((sql::lower(column(row, 0)?), sql::upper(column(row, 1)?))));
    connection.close().await?;
    range.transpose()
}

/// Takes statistics away that somebody has made: a plan depends on schema and text alone (ADR 11).
async fn forget_statistics(shared: &Shared) -> Result<(), StoreError> {
    for partition in shared.partitions() {
        let mut connection = shared.readers.take(&partition).await?;
        if !connection.has_statistics().await? {
            shared.readers.give_back(&partition, connection);
            continue;
        }
        connection.close().await?;
        let purpose = Use::Write {
            cache_kib: shared.config.writer_cache_kib,
            wal_pages: shared.config.wal_pages,
        };
        let mut connection = Connection::open(&partition.path, purpose).await?;
        connection.drop_statistics().await?;
        connection.close().await?;
        tracing::info!(name = %partition.name, "statistics of a partition were taken away");
    }
    Ok(())
}

/// Reads what is kept in memory of every partition: figures and dictionaries. The newest
/// dictionary of the newest partition is used from here on.
async fn load(shared: &Shared) -> Result<(), StoreError> {
    for partition in shared.partitions() {
        let mut connection = shared.readers.take(&partition).await?;
        connection.is_migrated(db::PARTITION.len()).await?;
        partition.load(&mut connection).await?;
        for row in connection.all(&sql::READ_DICTIONARIES, Args::new()).await? {
            let id = dictionary_id(column(&row, 0)?)?;
            let known = shared.dictionaries.install(column(&row, 2)?);
            if known.ok() != Some(id) {
                let at = format!("{} dictionaries id {id}", partition.name);
                return Err(StoreError::corrupt(at, "it cannot be used"));
            }
            shared.dictionaries.choose(id);
            let added_at = sql::lower(column(&row, 3)?);
            shared.learned.note(id, added_at, column(&row, 1)?);
        }
        shared.readers.give_back(&partition, connection);
    }
    Ok(())
}

/// The log index that a look at this file would leave behind.
fn missing_index(path: &Path) -> Option<PathBuf> {
    let index = db::index_path(path);
    (!index.exists()).then_some(index)
}

#[async_trait]
impl SpanWriter for SqliteStore {
    async fn write(&self, batch: WriteBatch) -> Result<Written, StoreError> {
        self.writer().await?.write(batch).await
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        self.writer().await?.checkpoint(checkpoint).await
    }

    async fn recovery(&self) -> Result<Recovery, StoreError> {
        let checkpoint = match &self.found {
            Some(found) => found.clone(),
            None => self.writer().await?.recorded().await?,
        };
        let position = checkpoint.position;
        let books = self.shared.books();
        let mut recovery = Recovery {
            checkpoint,
            books,
            ..Recovery::default()
        };
        for partition in self.shared.partitions() {
            let mut connection = self.connection(&partition).await?;
            read_upto(&mut connection, position, &mut recovery).await?;
            let since = self.shared.clock.now().saturating_sub(DECISION_AGE);
            read_decisions(&mut connection, since, &mut recovery).await?;
            self.shared.readers.give_back(&partition, connection);
        }
        Ok(recovery)
    }
}

async fn read_upto(
    connection: &mut Connection,
    position: Position,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let args = Args::new().with(sql::bits(position.to_u64()));
    for row in connection.all(&sql::READ_UPTO, args).await? {
        recovery.note_upto(column(&row, 0)?)?;
    }
    Ok(())
}

async fn read_decisions(
    connection: &mut Connection,
    since: u64,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let args = Args::new().with(sql::ordered(since));
    for row in connection.all(&sql::READ_DECISIONS, args).await? {
        let outcome = match column::<&str>(&row, 1)? {
            "drop" => Outcome::Drop,
            _ => Outcome::CountOnly,
        };
        let decision = Decision {
            outcome,
            at: sql::lower(column(&row, 2)?),
        };
        // The last one counts, wherever the parts it was about are filed.
        let known = recovery
            .decisions
            .entry(trace_id(column(&row, 0)?)?)
            .or_insert(decision);
        if known.at < decision.at {
            *known = decision;
        }
    }
    Ok(())
}
