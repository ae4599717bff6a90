//! A partition: a line of `partitions`, and a table for each of [`TABLES`].

use crate::db::{self, column};
use crate::distribute::is_distributed;
use crate::error;
use crate::sql::{self, Args};
use hoplog_model::UnixNanos;
use hoplog_store::retention::Past;
use hoplog_store::tables::place::{Ranged, new_range};
use hoplog_store::tables::{Packing, lower, upper};
use hoplog_store::walk::PartitionBounds;
use hoplog_store::{Books, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};
use std::ops::Range;

/// Tables that are partitioned by day.
pub(crate) const TABLES: [&str; 13] = [
    "requests",
    "parts",
    "segments",
    "records",
    "filters",
    "merged_keys",
    "merged",
    "outlines",
    "interfaces",
    "keys",
    "rollup_minute",
    "rollup_hour",
    "rollup_log",
];

/// Those whose rows are rewritten again and again: with room on the page, an old version makes way for a new one
/// without a vacuum, and no index changes.
const REWRITTEN: [&str; 2] = ["rollup_minute", "rollup_hour"];

/// Key of the advisory lock under which tables of dropped partitions are taken away.
const REMOVAL_LOCK: i64 = db::SCHEMA_LOCK + 1;

/// A partition as it was a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Ending of its tables' names.
    pub(crate) name: String,
    /// What is known of it goes by this: a partition for the same time, made when it was gone, has another.
    pub(crate) number: i64,
    /// Its value of `day`: the first instant it is for, and in the nanoseconds of it which generation it is.
    day: i64,
    /// First instant it is for.
    pub(crate) from: UnixNanos,
    /// First instant it is no longer for.
    pub(crate) to: UnixNanos,
    /// What became of the spans written to it.
    pub(crate) books: Books,
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes of all frames.
    pub(crate) packed_bytes: u64,
    /// What its rows are packed with.
    pub(crate) packing: Packing,
    /// What its segments span.
    pub(crate) bounds: Option<PartitionBounds>,
    /// The greatest number of any flushed batch.
    pub(crate) newest: i64,
    /// Up to this segment, changes of roll-ups are in the tables.
    pub(crate) folded: i64,
    /// Interfaces that have a number.
    pub(crate) interfaces: i64,
    /// Groups whose filters are merged.
    pub(crate) merged: Range<i64>,
    /// What retention has taken out of it.
    pub(crate) thinned: Past,
}

impl Ranged for Partition {
    fn range(&self) -> Range<UnixNanos> {
        self.from..self.to
    }
}

/// The partitions, oldest first, and the number of the newest dictionary.
pub(crate) async fn read_all(
    connection: &mut PgConnection,
) -> Result<(Vec<Partition>, i64), StoreError> {
    let rows = db::all(connection, &sql::READ_PARTITIONS, Args::new()).await?;
    let newest = rows.first().map_or(Ok(0), |row| column(row, 21))?;
    let partitions: Result<Vec<_>, _> = rows.iter().map(Partition::read).collect();
    Ok((partitions?, newest))
}

impl Partition {
    /// Its value of `day`.
    pub(crate) fn day(&self) -> i64 {
        self.day
    }

    /// Of a row of [`sql::READ_PARTITIONS`] or [`sql::LOCK_PARTITION`].
    pub(crate) fn read(row: &PgRow) -> Result<Self, StoreError> {
        let int = |index| column::<i64>(row, index);
        let total = |index| Ok::<_, StoreError>(int(index)?.cast_unsigned());
        let bound = |index| column::<Option<i64>>(row, index);
        let newest = int(3)?;
        let max_extent = int(19)?;
        let segments = bound(11)?.zip(bound(12)?).zip(bound(13)?);
        let day = int(0)?;
        let thinned = u8::try_from(column::<i16>(row, 20)?);
        Ok(Self {
            day,
            thinned: Past(thinned.map_err(|why| StoreError::corrupt("partitions thinned", why))?),
            from: lower(day - generation(day)),
            to: upper(int(1)?),
            name: column(row, 2)?,
            number: int(14)?,
            merged: int(15)?..int(16)?,
            newest,
            folded: int(4)?,
            interfaces: int(5)?,
            books: Books {
                stored: total(6)?,
                duplicate: total(7)?,
                left_out: total(8)?,
            },
            rows: total(9)?,
            packed_bytes: total(10)?,
            packing: Packing::decode(int(17)?, column(row, 18)?)?,
            bounds: segments.map(|((min_start, max_start), max_duration)| PartitionBounds {
                min_start: lower(min_start),
                max_start: upper(max_start),
                max_duration: upper(max_duration),
                max_extent: upper(max_extent),
                newest,
            }),
        })
    }

    /// Whether a row may have started within `[from, to)`.
    pub(crate) fn may_hold(&self, from: UnixNanos, to: UnixNanos) -> bool {
        self.bounds
            .is_some_and(|bounds| bounds.min_start < to && bounds.max_start >= from)
    }
}

/// A first instant as a value of `day`.
fn sql_day(from: UnixNanos) -> i64 {
    hoplog_store::tables::ordered(from)
}

/// A partition that takes the place of one for the same time is of the next generation. Partitions begin at full
/// hours, so that the nanoseconds are free to count them.
const GENERATIONS: i64 = 1_000;

fn generation(day: i64) -> i64 {
    day.rem_euclid(GENERATIONS)
}

/// Ending of the names of a partition's tables: `20261123t000000`, and `20261123t000000_1` for the next
/// generation.
pub(crate) fn name_of(day: i64) -> String {
    let generation = generation(day);
    let text = hoplog_model::times::rfc3339(lower(day - generation)).to_ascii_lowercase();
    let digits = text.chars().filter(char::is_ascii_alphanumeric);
    let mut name: String = digits.take(15).collect();
    if generation > 0 {
        name.push_str(&format!("_{generation}"));
    }
    name
}

/// Makes the partition for this instant, unless somebody just has. Its tables are attached when it is
/// listed; only who makes one, too, waits meanwhile.
pub(crate) async fn make(
    connection: &mut PgConnection,
    at: UnixNanos,
    hours: u32,
) -> Result<(), StoreError> {
    let said = |what: &'static str| move |why: sqlx::Error| error::database(what, &why);
    let mut transaction = connection.begin().await.map_err(said("begin"))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(db::SCHEMA_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(said("lock the schema"))?;
    let (partitions, _) = read_all(&mut transaction).await?;
    if partitions.iter().any(|one| one.range().contains(&at)) {
        return transaction.rollback().await.map_err(said("roll back"));
    }
    let range = new_range(at, hours, &partitions);
    for going in db::all(&mut transaction, &sql::READ_GOING, Args::new()).await? {
        if column::<i64>(&going, 0)? == sql_day(range.start) {
            return Err(StoreError::Busy(
                "the partition for this time is just being dropped".to_owned(),
            ));
        }
    }
    let day = sql_day(range.start);
    let name = name_of(day);
    let text = TABLES.map(|table| growing_table_of(table, &name, day));
    let text = text.concat();
    db::raw(&mut transaction, "make a partition", text).await?;
    let args = Args::new()
        .with(day)
        .with(hoplog_store::tables::ordered(range.end))
        .with(name)
        .with("live");
    db::execute(&mut transaction, &sql::INSERT_PARTITION, args).await?;
    transaction.commit().await.map_err(said("commit"))
}

/// What makes the table of a partition.
fn table_of(table: &str, name: &str, day: i64) -> String {
    format!(
        "CREATE TABLE {table}_{name} (LIKE {table} INCLUDING ALL);\
         ALTER TABLE {table} ATTACH PARTITION {table}_{name} FOR VALUES FROM ({day}) TO ({});",
        day.saturating_add(1)
    )
}

/// The same of a partition that is still written to.
fn growing_table_of(table: &str, name: &str, day: i64) -> String {
    let mut text = table_of(table, name, day);
    if REWRITTEN.contains(&table) {
        text.push_str(&format!(
            "ALTER TABLE {table}_{name} SET (fillfactor = 50);"
        ));
    }
    text
}

/// Gives every partition the tables that it lacks: those of a later schema, where an earlier hoplog made it. In
/// the transaction that holds the lock of the schema.
pub(crate) async fn complete(connection: &mut PgConnection) -> Result<(), StoreError> {
    let lacking: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT from_nanos, p.name, t.name FROM partitions p, unnest($1::text[]) t (name)
         WHERE state = 'live' AND to_regclass('hoplog.' || t.name || '_' || p.name) IS NULL",
    )
    .bind(TABLES.as_slice())
    .fetch_all(&mut *connection)
    .await
    .map_err(|why| error::database("look for missing tables", &why))?;
    for (day, name, table) in lacking {
        // Held, so that retention does not take it away meanwhile.
        let is_live = "SELECT FROM partitions WHERE from_nanos = $1 AND state = 'live' FOR SHARE";
        let is_live = sqlx::query(is_live).bind(day);
        let is_live = is_live.fetch_optional(&mut *connection).await;
        if is_live
            .map_err(|why| error::database("lock a partition", &why))?
            .is_none()
        {
            continue;
        }
        let text = growing_table_of(&table, &name, day);
        db::raw(connection, "complete a partition", text).await?;
    }
    Ok(())
}

/// Makes the partition that is to take this one's place, and lists it as one that goes with the next retention of any
/// collector, or at a start. Returns its value of `day`.
pub(crate) async fn make_next(
    connection: &mut PgConnection,
    old: &Partition,
) -> Result<i64, StoreError> {
    let said = |what: &'static str| move |why: sqlx::Error| error::database(what, &why);
    // Whatever comes after the last one is free long since.
    let next = (generation(old.day) + 1) % GENERATIONS;
    let day = old.day - generation(old.day) + next;
    let name = name_of(day);
    let mut transaction = connection.begin().await.map_err(said("begin"))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(db::SCHEMA_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(said("lock the schema"))?;
    let text = TABLES.map(|table| table_of(table, &name, day)).concat();
    db::raw(&mut transaction, "make a partition", text).await?;
    let args = Args::new()
        .with(day)
        .with(hoplog_store::tables::ordered(old.to))
        .with(name)
        .with("dropped");
    db::execute(&mut transaction, &sql::INSERT_PARTITION, args).await?;
    transaction.commit().await.map_err(said("commit"))?;
    Ok(day)
}

/// Takes the tables of partitions away that are marked as dropped, and then their lines. Nobody waits for it
/// but those who read these partitions already. Can be repeated after a crash anywhere; of several processes one
/// does it: false if another one is at it. Until the connection is closed it is this one's turn.
pub(crate) async fn remove_dropped(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // Of the session: a table cannot be detached within a transaction.
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(REMOVAL_LOCK)
        .fetch_one(&mut *connection)
        .await
        .map_err(|why| error::database("lock the dropped partitions", &why))?;
    if !is_ours {
        return Ok(false);
    }
    for going in db::all(connection, &sql::READ_GOING, Args::new()).await? {
        let (day, name): (i64, String) = (column(&going, 0)?, column(&going, 1)?);
        remove(connection, day, &name).await?;
    }
    Ok(true)
}

async fn remove(connection: &mut PgConnection, day: i64, name: &str) -> Result<(), StoreError> {
    // Citus has no DETACH … CONCURRENTLY; a partition can be dropped as it is, if not beside everybody.
    let is_distributed = is_distributed(connection, TABLES[0]).await?;
    for table in TABLES {
        let child = format!("{table}_{name}");
        if !is_distributed && let Some(pending) = attached(connection, &child).await? {
            let how = if pending { "FINALIZE" } else { "CONCURRENTLY" };
            let text = format!("ALTER TABLE {table} DETACH PARTITION {child} {how}");
            db::raw(connection, "detach a partition", text).await?;
        }
        let text = format!("DROP TABLE IF EXISTS {child}");
        db::raw(connection, "drop a partition", text).await?;
    }
    let args = Args::new().with(day);
    db::execute(connection, &sql::FORGET_PARTITION, args)
        .await
        .map(drop)
}

/// Whether a table is a partition still; if so, whether a detaching was interrupted.
async fn attached(connection: &mut PgConnection, child: &str) -> Result<Option<bool>, StoreError> {
    sqlx::query_scalar(
        "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass('hoplog.' || $1)",
    )
    .bind(child)
    .fetch_optional(connection)
    .await
    .map_err(|why| error::database("look for a partition", &why))
}
