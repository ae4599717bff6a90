//! What writer and readers share.

use crate::config::Config;
use crate::db::{self, column};
use crate::partition::{Partition, read_all};
use crate::retention::PutOff;
use crate::sql::{self, Args};
use hoplog_model::{Clock, Interface, SpanKind};
use hoplog_store::StoreError;
use hoplog_store::pack::Dictionaries;
use hoplog_store::tables::{Changes, Learned, Pending, decode, lower};
use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgRow};
use sqlx::{PgConnection, Postgres};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The parts of an open store that everybody may use at the same time.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: PgConnectOptions,
    pub(crate) pool: PgPool,
    /// Of whoever opened the store. What writes runs there, whatever runtime it is called on: a connection
    /// belongs to the one that made it.
    pub(crate) runtime: Handle,
    pub(crate) dictionaries: Arc<Dictionaries>,
    /// What is known of them.
    pub(crate) learned: Arc<Learned>,
    stored: Mutex<StoredDictionaries>,
    interfaces: Mutex<FxHashMap<i64, Interfaces>>,
    pending: Mutex<FxHashMap<i64, Logged>>,
    /// How many searches may run.
    pub(crate) searches: Semaphore,
    /// How many other reads may run.
    pub(crate) lookups: Semaphore,
    /// Held while retention is at it.
    pub(crate) retaining: tokio::sync::Mutex<PutOff>,
}

/// The dictionaries that the database has, as far as is known.
#[derive(Debug, Default)]
struct StoredDictionaries {
    /// The greatest number of any.
    newest: i64,
    ids: FxHashSet<u32>,
}

/// What `rollup_log` holds of a partition, as far as it was read.
#[derive(Debug, Clone, Default)]
struct Logged {
    /// Of segments after this one...
    after: i64,
    /// ...up to this one.
    upto: i64,
    pending: Arc<Pending>,
}

/// The interfaces of a partition, as far as they were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interfaces {
    /// By number.
    pub(crate) list: Arc<Vec<(i64, Interface)>>,
    /// The number of each one's service: the least of its interfaces'.
    pub(crate) services: Arc<FxHashMap<i64, i64>>,
}

impl Interfaces {
    fn with(&self, added: Vec<(i64, Interface)>) -> Self {
        let list: Vec<_> = self.list.iter().cloned().chain(added).collect();
        let mut first: FxHashMap<&str, i64> = FxHashMap::default();
        let mut services = FxHashMap::default();
        for (id, interface) in &list {
            services.insert(*id, *first.entry(interface.service.as_str()).or_insert(*id));
        }
        let services = Arc::new(services);
        Self {
            list: Arc::new(list),
            services,
        }
    }
}

impl Shared {
    pub(crate) fn new(options: PgConnectOptions, config: Config, clock: Arc<dyn Clock>) -> Self {
        let (searches, lookups) = (config.searches.max(1), config.lookups.max(1));
        Self {
            searches: Semaphore::new(searches),
            lookups: Semaphore::new(lookups),
            pool: db::pool(&options, searches + lookups),
            config,
            clock,
            options,
            runtime: Handle::current(),
            dictionaries: Arc::new(Dictionaries::shipped()),
            learned: Arc::default(),
            stored: Mutex::default(),
            interfaces: Mutex::default(),
            pending: Mutex::default(),
            retaining: tokio::sync::Mutex::default(),
        }
    }

    /// A connection for reading.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let connection = self.pool.acquire().await;
        connection.map_err(|why| crate::error::database("connect", &why))
    }

    /// Every partition, oldest first, as it is now. Installs dictionaries that came since.
    pub(crate) async fn partitions(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Partition>, StoreError> {
        let (partitions, newest) = read_all(connection).await?;
        if newest > self.stored().newest {
            self.load_dictionaries(connection).await?;
        }
        self.forget_others(&partitions);
        Ok(partitions)
    }

    /// Installs the dictionaries that came since the last time; the newest is used from here on. True if there
    /// were any.
    pub(crate) async fn load_dictionaries(
        &self,
        connection: &mut PgConnection,
    ) -> Result<bool, StoreError> {
        let known = self.stored().newest;
        let rows = db::all(connection, &sql::READ_DICTIONARIES, Args::new().with(known)).await?;
        for row in &rows {
            let id: i64 = column(row, 1)?;
            let installed = self.dictionaries.install(column(row, 3)?);
            match installed {
                Ok(installed) if i64::from(installed) == id => self.dictionaries.choose(installed),
                _ => {
                    let at = format!("dictionaries id {id}");
                    return Err(StoreError::corrupt(at, "it cannot be used"));
                }
            };
            if let Ok(id) = u32::try_from(id) {
                let added_at = lower(column(row, 4)?);
                self.learned.note(id, added_at, column(row, 2)?);
            }
            let n: i64 = column(row, 0)?;
            let mut stored = self.stored();
            stored.newest = n.max(stored.newest);
            stored.ids.extend(u32::try_from(id));
        }
        Ok(!rows.is_empty())
    }

    /// Whether the database is known to have this dictionary.
    pub(crate) fn is_stored(&self, id: u32) -> bool {
        self.stored().ids.contains(&id)
    }

    fn stored(&self) -> MutexGuard<'_, StoredDictionaries> {
        // After a panic less may be known than there is: it is asked for again.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_interfaces(&self) -> MutexGuard<'_, FxHashMap<i64, Interfaces>> {
        // Only ever assigned as a whole.
        let known = self.interfaces.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// Every interface of a partition; asks for those added since.
    pub(crate) async fn interfaces(
        &self,
        connection: &mut PgConnection,
        partition: &Partition,
    ) -> Result<Interfaces, StoreError> {
        let number = partition.number;
        let known = self.known_interfaces().get(&number).cloned();
        let known = known.unwrap_or_default();
        let last = known.list.last().map_or(0, |(id, _)| *id);
        let added = read_interfaces(connection, partition.day(), last).await?;
        if added.is_empty() {
            return Ok(known);
        }
        let all = known.with(added);
        self.known_interfaces().insert(number, all.clone());
        Ok(all)
    }

    /// Changes of roll-ups that are in no table yet, as of the moment that `partition` and this connection's
    /// snapshot are of: without one, changes may be gone from the log that the tables of others' snapshots lack. What
    /// was read before is not read again: it is only added to, until it goes into the tables.
    pub(crate) async fn pending(
        &self,
        connection: &mut PgConnection,
        partition: &Partition,
    ) -> Result<Arc<Pending>, StoreError> {
        let (day, number) = (partition.day(), partition.number);
        let (after, newest) = (partition.folded, partition.newest);
        let known = self.logged().get(&number).cloned();
        let known = known.filter(|known| known.after == after && known.upto <= newest);
        let mut logged = known.unwrap_or(Logged {
            after,
            upto: after,
            pending: Arc::default(),
        });
        if logged.upto < newest {
            let changes = read_log(connection, day, logged.upto..newest).await?;
            let pending = Arc::make_mut(&mut logged.pending);
            changes.into_iter().for_each(|changes| pending.add(changes));
            logged.upto = newest;
            self.logged().insert(number, logged.clone());
        }
        Ok(logged.pending)
    }

    fn logged(&self) -> MutexGuard<'_, FxHashMap<i64, Logged>> {
        // Only ever assigned as a whole.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known of partitions that are gone.
    fn forget_others(&self, partitions: &[Partition]) {
        let is_there = |number: &i64| partitions.iter().any(|one| one.number == *number);
        self.known_interfaces().retain(|number, _| is_there(number));
        self.logged().retain(|number, _| is_there(number));
    }
}

/// Interfaces of a partition with a number greater than `after`, ascending.
pub(crate) async fn read_interfaces(
    connection: &mut PgConnection,
    day: i64,
    after: i64,
) -> Result<Vec<(i64, Interface)>, StoreError> {
    let args = Args::new().with(after);
    let rows = db::all(connection, sql::READ_INTERFACES.of(day), args).await?;
    let interface = |row: &PgRow| {
        let kind = u64::from(column::<i16>(row, 2)?.cast_unsigned());
        let interface = Interface {
            service: text(column(row, 1)?)?,
            kind: SpanKind::from_stored(kind),
            name: text(column(row, 3)?)?,
        };
        Ok((column(row, 0)?, interface))
    };
    rows.iter().map(interface).collect()
}

/// Changes of roll-ups of segments after the first number up to the last, a batch each.
pub(crate) async fn read_log(
    connection: &mut PgConnection,
    day: i64,
    segments: Range<i64>,
) -> Result<Vec<Changes>, StoreError> {
    let args = Args::new().with(segments.start).with(segments.end);
    let rows = db::all(connection, sql::READ_ROLLUP_LOG.of(day), args).await?;
    let changes = |row: &PgRow| {
        let at = format!("rollup_log segment {}", column::<i64>(row, 0)?);
        decode(column(row, 1)?).map_err(|why| StoreError::corrupt(at, why))
    };
    rows.iter().map(changes).collect()
}

/// A name from its bytes.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|why| StoreError::corrupt("a name", why))
}
