//! Connections: how they are opened, spoken to and migrated.

use crate::error;
use crate::partition;
use crate::sql::{Args, Text};
use hoplog_store::StoreError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Decode, PgConnection, Postgres, Row, Type,
};
use std::str::FromStr;
use std::time::Duration;

/// Steps of the schema, in order.
const STEPS: &[&str] = &[
    concat!(
        include_str!("../../../migrations/postgres/0001_catalogue.sql"),
        include_str!("../../../migrations/postgres/0001_partition.sql"),
    ),
    include_str!("../../../migrations/postgres/0002_partition.sql"),
    include_str!("../../../migrations/postgres/0003_catalogue.sql"),
];
/// Key of the advisory lock under which the schema and partitions are made.
pub(crate) const SCHEMA_LOCK: i64 = 0x686f_706c_6f67;
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// The least version that is tested.
const VERSION_LEAST: i32 = 140_000;

/// How long a statement waits for a lock.
const LOCK_TIMEOUT: &str = "30s";
/// How long to wait for the session of a process that has just ended.
const PREDECESSOR_TIMEOUT: &str = "10s";
/// A connection that was not used for so long may have ended meanwhile.
const IDLE: Duration = Duration::from_secs(1);

/// What every session sets. With these a statement has one plan, the one its text and the indexes leave:
/// by index, loops over lists, whatever the statistics say (ADR 11, 14). A session that stands still within
/// a transaction, or whose client is gone without a word, gives way after a while.
const SETTINGS: [(&str, &str); 13] = [
    // Acknowledged is durable, whatever the server's default.
    ("synchronous_commit", "on"),
    ("search_path", "hoplog"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("lock_timeout", LOCK_TIMEOUT),
    ("tcp_keepalives_idle", "20"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "4"),
    ("idle_in_transaction_session_timeout", "30s"),
];

/// How to get to the database.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let unreadable =
        |why: String| StoreError::Unavailable(format!("the database URL cannot be read: {why}"));
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(unreadable("it begins with postgres://".to_owned()));
    }
    let options = PgConnectOptions::from_str(url);
    let options = options.map_err(|why| unreadable(why.to_string()))?;
    Ok(options
        .application_name("hoplog")
        .options(SETTINGS)
        .statement_cache_capacity(500)
        .disable_statement_logging())
}

/// A pool for readers; connects when first asked.
pub(crate) fn pool(options: &PgConnectOptions, connections: usize) -> PgPool {
    PgPoolOptions::new()
        .max_connections(u32::try_from(connections).unwrap_or(u32::MAX))
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone())
}

/// One connection.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connected = tokio::time::timeout(ACQUIRE, options.connect()).await;
    let host = || format!("connect to {}:{}", options.get_host(), options.get_port());
    match connected {
        Ok(connected) => connected.map_err(|why| error::database(&host(), &why)),
        Err(_) => Err(StoreError::Unavailable(format!(
            "PostgreSQL: {}: no answer within {ACQUIRE:?}",
            host()
        ))),
    }
}

fn query(text: &Text, args: Args) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    // Ours, but for the name of a partition, which is made of digits.
    sqlx::query_with(AssertSqlSafe(text.sql.clone().into_owned()), args.0)
}

/// Runs a statement for its effect; returns rows affected.
pub(crate) async fn execute(
    connection: &mut PgConnection,
    text: impl Into<Text>,
    args: Args,
) -> Result<u64, StoreError> {
    let text = text.into();
    let done = query(&text, args).execute(connection);
    let done = done.await.map_err(|why| error::database(text.name, &why))?;
    Ok(done.rows_affected())
}

/// All rows of a statement.
pub(crate) async fn all(
    connection: &mut PgConnection,
    text: impl Into<Text>,
    args: Args,
) -> Result<Vec<PgRow>, StoreError> {
    let text = text.into();
    let rows = query(&text, args).fetch_all(connection);
    rows.await.map_err(|why| error::database(text.name, &why))
}

/// The one row of a statement.
pub(crate) async fn one(
    connection: &mut PgConnection,
    text: impl Into<Text>,
    args: Args,
) -> Result<PgRow, StoreError> {
    let text = text.into();
    let row = query(&text, args).fetch_one(connection);
    row.await.map_err(|why| error::database(text.name, &why))
}

/// Runs text as it is: for what cannot be prepared.
pub(crate) async fn raw(
    connection: &mut PgConnection,
    what: &str,
    text: String,
) -> Result<(), StoreError> {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection);
    done.await
        .map(drop)
        .map_err(|why| error::database(what, &why))
}

/// Becomes the one session that writes as `writer`, for as long as it lasts. Waits a little: the session of a
/// process that was killed ends with its last statement.
pub(crate) async fn become_writer(
    connection: &mut PgConnection,
    writer: &str,
) -> Result<(), StoreError> {
    let what = "become the writer";
    let wait = |timeout| format!("SET lock_timeout = '{timeout}'");
    raw(connection, what, wait(PREDECESSOR_TIMEOUT)).await?;
    let locked = sqlx::query("SELECT pg_advisory_lock(hashtextextended('hoplog ' || $1, 0))")
        .bind(writer)
        .execute(&mut *connection)
        .await;
    match locked.map_err(|why| error::database(what, &why)) {
        Ok(_) => raw(connection, what, wait(LOCK_TIMEOUT)).await,
        Err(StoreError::Busy(_)) => Err(StoreError::Busy(format!(
            "another process writes to this database as {writer:?}"
        ))),
        Err(why) => Err(why),
    }
}

/// Takes an advisory lock of the session, if nobody has it.
pub(crate) async fn try_lock(connection: &mut PgConnection, key: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(connection)
        .await
        .map_err(|why| error::database("try a lock", &why))
}

/// A column of a row.
pub(crate) fn column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    index: usize,
) -> Result<T, StoreError> {
    let value = row.try_get(index);
    value.map_err(|why| StoreError::corrupt(format!("column {index}"), why))
}

/// Brings the schema up to date; several processes may try at once.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    let said = |what: &'static str| move |why: sqlx::Error| error::database(what, &why);
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer")
        .fetch_one(&mut *connection)
        .await
        .map_err(said("server_version_num"))?;
    if version < VERSION_LEAST {
        return Err(StoreError::Unavailable(format!(
            "PostgreSQL {} is too old: hoplog needs {} or later",
            version / 10_000,
            VERSION_LEAST / 10_000
        )));
    }
    let mut transaction = connection.begin().await.map_err(said("begin"))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(said("lock the schema"))?;
    let done = schema_version(&mut transaction).await?;
    not_newer(done)?;
    if done < STEPS.len() {
        let mut text = String::from(
            "CREATE SCHEMA IF NOT EXISTS hoplog;\
             CREATE TABLE IF NOT EXISTS hoplog.schema_version (version integer NOT NULL);",
        );
        STEPS[done..].iter().for_each(|step| text.push_str(step));
        text.push_str(&format!(
            "DELETE FROM hoplog.schema_version; INSERT INTO hoplog.schema_version VALUES ({});",
            STEPS.len()
        ));
        raw(&mut transaction, "make the tables", text).await?;
    }
    partition::complete(&mut transaction).await?;
    transaction.commit().await.map_err(said("commit"))
}

/// That the schema is the one that this hoplog knows.
pub(crate) async fn is_migrated(connection: &mut PgConnection) -> Result<(), StoreError> {
    match schema_version(connection).await? {
        0 => Err(StoreError::Unavailable(
            "the database has no schema hoplog: nothing was ever written to it".to_owned(),
        )),
        done if done < STEPS.len() => Err(StoreError::Unavailable(format!(
            "the database has schema version {done}, this hoplog needs {}: `hoplog migrate` brings it up to date, as does a start",
            STEPS.len()
        ))),
        done => not_newer(done),
    }
}

fn not_newer(done: usize) -> Result<(), StoreError> {
    if done <= STEPS.len() {
        return Ok(());
    }
    Err(StoreError::Newer(format!(
        "the database has schema version {done}, this hoplog knows {}: it was written by a newer one",
        STEPS.len()
    )))
}

/// How many steps of the schema were applied.
async fn schema_version(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let said = |why| error::database("schema_version", &why);
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass('hoplog.schema_version') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await
            .map_err(said)?;
    if !is_there {
        return Ok(0);
    }
    let version: Option<i32> = sqlx::query_scalar("SELECT max(version) FROM hoplog.schema_version")
        .fetch_one(connection)
        .await
        .map_err(said)?;
    Ok(usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX))
}
