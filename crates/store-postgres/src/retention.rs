//! Retention: whole partitions first, since that frees space at once; then the few rows move that outlive their
//! partition. Rows move while collectors and readers go on with the old tables; a partition's line is held only to
//! put the new one in its place. Of several processes one does it.

use crate::db::{self, column};
use crate::error;
use crate::maintenance::{size, sizes};
use crate::partition::{self, Partition};
use crate::shared::Shared;
use crate::sql::{self, Args};
use crate::store::PostgresStore;
use crate::tables::PartitionTables;
use crate::writer::NewTables;
use async_trait::async_trait;
use hoplog_model::times::{HOUR, MINUTE};
use hoplog_model::{TraceId, UnixNanos};
use hoplog_store::retention::{Gone, PINS_MAX, Past, Reason, Retained, too_many_pins};
use hoplog_store::tables::place::Ranged;
use hoplog_store::tables::{Moved, Stay, bits, ordered, thin, trace_id};
use hoplog_store::{Books, Pins, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, PgTransaction};
use std::sync::Arc;

/// How long before its first instant a partition is made, in nanoseconds.
const AHEAD: u64 = 2 * HOUR;
/// After a partition could not be thinned, so long passes before the next attempt, in nanoseconds: each reads all of it.
const PATIENCE: u64 = 10 * MINUTE;
/// The same where its copy was thrown away, as a batch came or something was pinned: twice as long each time, up to
/// [`PATIENCE`].
const PATIENCE_LEAST: u64 = MINUTE;

/// Why a partition is passed over; others go.
const UNREADABLE: &str =
    "a partition stays, as it cannot be read which of its requests are kept by hand";

/// Partitions that could not be thinned, by number: when to try again, and how long that was put off.
#[derive(Debug, Default)]
pub(crate) struct PutOff(FxHashMap<i64, (UnixNanos, u64)>);

impl PutOff {
    fn is_waiting(&self, partition: &Partition, now: UnixNanos) -> bool {
        let wait = self.0.get(&partition.number);
        wait.is_some_and(|(until, _)| *until > now)
    }

    fn longer(&mut self, partition: &Partition, now: UnixNanos) {
        let known = self.0.get(&partition.number);
        let wait = known.map_or(PATIENCE_LEAST, |(_, wait)| (2 * wait).min(PATIENCE));
        self.0.insert(partition.number, (now + wait, wait));
    }

    fn long(&mut self, partition: &Partition, now: UnixNanos) {
        self.0.insert(partition.number, (now + PATIENCE, PATIENCE));
    }
}

/// Why rows go, and when.
#[derive(Debug, Clone, Copy)]
struct Why {
    reason: Reason,
    now: UnixNanos,
}

/// The requests kept by hand, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PinState {
    /// How many.
    pub(crate) pins: u64,
    /// Another number after every change.
    changes: i64,
}

impl PinState {
    fn read(row: &PgRow) -> Result<Self, StoreError> {
        Ok(Self {
            pins: column::<i64>(row, 0)?.cast_unsigned(),
            changes: column(row, 1)?,
        })
    }
}

/// As it is now.
pub(crate) async fn pin_state(connection: &mut PgConnection) -> Result<PinState, StoreError> {
    PinState::read(&db::one(connection, &sql::READ_PIN_STATE, Args::new()).await?)
}

/// What was dropped, by reason.
pub(crate) async fn retained(connection: &mut PgConnection) -> Result<Retained, StoreError> {
    let mut retained = Retained::default();
    for row in db::all(connection, &sql::READ_RETAINED, Args::new()).await? {
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

#[async_trait]
impl Pins for PostgresStore {
    async fn pin(
        &self,
        trace_id: TraceId,
        is_kept: bool,
        now: UnixNanos,
    ) -> Result<bool, StoreError> {
        // A task of its own: a caller that gives up does not leave a transaction half way.
        let shared = Arc::clone(&self.shared);
        let done = self.shared.runtime.spawn(async move {
            let mut connection = shared.connection().await?;
            pin(&mut connection, trace_id, is_kept, now).await
        });
        done.await.map_err(|why| error::task(&why))?
    }

    async fn pinned(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let mut connection = self.shared.connection().await?;
        let args = Args::new().with(id_bytes(trace_ids));
        let rows = db::all(&mut connection, &sql::FIND_PINS, args).await?;
        rows.iter().map(|row| trace_id(column(row, 0)?)).collect()
    }
}

fn id_bytes(ids: &[TraceId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

async fn begin(connection: &mut PgConnection) -> Result<PgTransaction<'_>, StoreError> {
    let begun = connection.begin().await;
    begun.map_err(|why| error::database("begin", &why))
}

async fn commit(transaction: PgTransaction<'_>) -> Result<(), StoreError> {
    let committed = transaction.commit().await;
    committed.map_err(|why| error::database("commit", &why))
}

async fn pin(
    connection: &mut PgConnection,
    id: TraceId,
    is_kept: bool,
    now: UnixNanos,
) -> Result<bool, StoreError> {
    let mut transaction = begin(connection).await?;
    // First, as everywhere: two that wait for each other would wait for ever.
    db::one(&mut transaction, &sql::LOCK_PIN_STATE, Args::new()).await?;
    let changed = if is_kept {
        let args = Args::new().with(id.as_bytes().as_slice());
        db::execute(&mut transaction, &sql::INSERT_PIN, args.with(ordered(now))).await?
    } else {
        let args = Args::new().with(id_bytes(&[id]));
        db::execute(&mut transaction, &sql::DELETE_PINS, args).await?
    };
    if changed == 0 {
        return Ok(false);
    }
    let more = if is_kept { 1_i64 } else { -1 };
    let args = Args::new().with(more);
    let row = db::one(&mut transaction, &sql::CHANGE_PIN_STATE, args).await?;
    if is_kept && column::<i64>(&row, 0)?.cast_unsigned() > PINS_MAX as u64 {
        return Err(too_many_pins());
    }
    commit(transaction).await?;
    Ok(true)
}

impl Shared {
    /// [`hoplog_store::Maintenance::retain`].
    pub(crate) async fn retain(&self, now: UnixNanos) -> Result<u64, StoreError> {
        let mut put_off = self.retaining.lock().await;
        let mut connection = db::connect(&self.options).await?;
        let done = self.retain_on(&mut connection, now, &mut put_off).await;
        // With it ends the turn of this process.
        drop(connection.close().await);
        done
    }

    async fn retain_on(
        &self,
        connection: &mut PgConnection,
        now: UnixNanos,
        put_off: &mut PutOff,
    ) -> Result<u64, StoreError> {
        // What could not be taken away the last time. Before anything else is dropped: PostgreSQL detaches one
        // partition of a table at a time.
        let is_ours = partition::remove_dropped(connection).await?;
        let partitions = self.partitions(connection).await?;
        let is_there = |number: &i64| partitions.iter().any(|one| one.number == *number);
        put_off.0.retain(|number, _| is_there(number));
        let ahead = now.saturating_add(AHEAD);
        let is_in_use = partitions.iter().any(|one| one.range().contains(&now));
        if is_in_use && !partitions.iter().any(|one| one.range().contains(&ahead)) {
            partition::make(connection, ahead, self.config.partition_hours).await?;
        }
        if !is_ours {
            return Ok(0);
        }
        let keep = self.config.keep;
        let why = |reason| Why { reason, now };
        let (mut dropped, mut stay, mut failed) = (0, Vec::new(), None);
        for partition in partitions {
            let past = keep.past(partition.to, now);
            let state = pin_state(connection).await?;
            let mut pinned = Vec::new();
            if past == Past::ALL {
                pinned = match pinned_in(connection, &partition).await {
                    Ok(pinned) => pinned,
                    Err(why) => {
                        tracing::warn!(partition = %partition.name, %why, "{UNREADABLE}");
                        failed = Some(why);
                        continue;
                    }
                };
            }
            if past == Past::ALL && pinned.is_empty() {
                let why = why(Reason::Age);
                dropped += drop_whole(connection, &partition, (state, pinned), why).await?;
            } else if past != Past::NOTHING {
                let is_more = partition.rows > pinned.len() as u64;
                if !partition.thinned.contains(past) || past == Past::ALL && is_more {
                    stay.push((partition, past));
                }
            }
        }
        if let Some(most) = keep.bytes.at_most() {
            dropped += self
                .retain_size(connection, most, why(Reason::Size), put_off)
                .await?;
        }
        for (partition, past) in stay {
            if put_off.is_waiting(&partition, now) {
                continue;
            }
            let why = why(Reason::Outcome);
            match self.thin(connection, &partition, past, why).await {
                Ok(Some(rows)) => {
                    dropped += rows;
                    put_off.0.remove(&partition.number);
                }
                Ok(None) => put_off.longer(&partition, now),
                Err(why) => {
                    tracing::warn!(partition = %partition.name, %why, "what is past its age could not be taken out of a partition");
                    put_off.long(&partition, now);
                    failed = Some(why);
                }
            }
        }
        match failed {
            Some(why) if dropped == 0 => Err(why),
            _ => Ok(dropped),
        }
    }

    /// Drops the oldest until the size fits; the newest stays, whatever its size, and one that was made ahead. What is
    /// kept by hand moves as long as that helps; then it goes, too. Where it could not be moved for a reason that passes
    /// (a batch came meanwhile), it stays for this round.
    async fn retain_size(
        &self,
        connection: &mut PgConnection,
        most: u64,
        why: Why,
        put_off: &mut PutOff,
    ) -> Result<u64, StoreError> {
        let at = why.now;
        let (mut dropped, mut spared) = (0, FxHashSet::default());
        for pinned_stay in [true, false] {
            let partitions = self.partitions(connection).await?;
            let newest = partitions.iter().rposition(|one| one.rows > 0).unwrap_or(0);
            for partition in &partitions[..newest] {
                if spared.contains(&partition.number) {
                    continue;
                }
                let sizes = sizes(connection).await?;
                if sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() <= most {
                    return Ok(dropped);
                }
                let state = pin_state(connection).await?;
                let pinned = match pinned_in(connection, partition).await {
                    Ok(pinned) => pinned,
                    Err(why) => {
                        tracing::warn!(partition = %partition.name, %why, "{UNREADABLE}");
                        spared.insert(partition.number);
                        continue;
                    }
                };
                if pinned_stay && !pinned.is_empty() {
                    if partition.rows == pinned.len() as u64 {
                        continue;
                    }
                    if put_off.is_waiting(partition, at) {
                        spared.insert(partition.number);
                        continue;
                    }
                    match self.thin(connection, partition, Past::ALL, why).await {
                        Ok(Some(rows)) => {
                            dropped += rows;
                            continue;
                        }
                        Ok(None) => {
                            put_off.longer(partition, at);
                            spared.insert(partition.number);
                            continue;
                        }
                        Err(why) => {
                            tracing::warn!(partition = %partition.name, %why, "requests kept by hand could not be moved");
                            // Without room for the copy there is nothing left to be done for them.
                            if !error::is_disk_full(&why) {
                                put_off.long(partition, at);
                                spared.insert(partition.number);
                                continue;
                            }
                        }
                    }
                }
                if !pinned.is_empty() {
                    tracing::warn!(
                        partition = %partition.name,
                        requests = pinned.len(),
                        "requests kept by hand are dropped: the store is larger than store.keep.bytes"
                    );
                }
                dropped += drop_whole(connection, partition, (state, pinned), why).await?;
            }
        }
        Ok(dropped)
    }

    /// Moves what stays of a partition into a new one. Returns rows dropped; none if it was written to meanwhile, or
    /// somebody else is at it.
    async fn thin(
        &self,
        connection: &mut PgConnection,
        old: &Partition,
        past: Past,
        why: Why,
    ) -> Result<Option<u64>, StoreError> {
        let state = pin_state(connection).await?;
        let mut pinned = FxHashSet::default();
        for row in db::all(connection, &sql::READ_PINS, Args::new()).await? {
            pinned.insert(trace_id(column(&row, 0)?)?);
        }
        let stay = Stay {
            keep: &self.config.keep,
            past,
            pinned: &pinned,
        };
        let done = self.copy(connection, old, stay).await;
        let done = match done {
            Ok((new, moved)) => exchange(connection, old, &new, (state, moved, past), why).await,
            Err(why) => Err(why),
        };
        let done = match done {
            Err(StoreError::Busy(why)) => {
                tracing::info!(partition = %old.name, why, "what is past its age is taken out of a partition later");
                Ok(None)
            }
            done => done,
        };
        // The old one, or the one that did not take its place.
        partition::remove_dropped(connection).await?;
        done
    }

    /// Makes the new partition whole.
    async fn copy(
        &self,
        connection: &mut PgConnection,
        old: &Partition,
        stay: Stay<'_>,
    ) -> Result<(NewTables<'_>, Moved), StoreError> {
        // Reads and writes take turns; each has its own connection.
        let mut reading = db::connect(&self.options).await?;
        let day = partition::make_next(connection, old).await?;
        let tables = PartitionTables::open_loose(self, &mut reading, old).await?;
        let mut tables = tables.unchanged();
        let mut new = NewTables::make(self, (old, &mut tables), day).await?;
        let moved = thin(&mut tables, &mut new, stay).await;
        drop(reading.close().await);
        let moved = moved?;
        Ok((new, moved))
    }
}

/// Puts the new partition in the old one's place.
async fn exchange(
    connection: &mut PgConnection,
    old: &Partition,
    new: &NewTables<'_>,
    (state, moved, past): (PinState, Moved, Past),
    why: Why,
) -> Result<Option<u64>, StoreError> {
    // Before others wait for this.
    let bytes = size(connection, old.day()).await?;
    let left = size(connection, new.day()).await?;
    let mut transaction = begin(connection).await?;
    let line = Args::new().with(old.day());
    let locked = db::all(&mut transaction, &sql::LOCK_PARTITION, line).await?;
    let Some(now) = locked.first() else {
        return Ok(None);
    };
    let now = Partition::read(now)?;
    let pins = db::one(&mut transaction, &sql::LOCK_PIN_STATE, Args::new()).await?;
    if now.newest != old.newest || now.number != old.number || PinState::read(&pins)? != state {
        return Ok(None);
    }
    if moved.gone == 0 {
        let args = Args::new().with(old.day()).with(i16::from(past.0));
        db::execute(&mut transaction, &sql::SET_THINNED, args).await?;
        commit(transaction).await?;
        return Ok(Some(0));
    }
    let line = Args::new().with(old.day());
    db::all(&mut transaction, &sql::DROP_PARTITION, line).await?;
    new.finish(&mut transaction, now.books, past).await?;
    let books = Books {
        stored: now.books.stored.saturating_sub(moved.spans),
        ..Books::default()
    };
    let gone = Gone {
        partitions: 1,
        rows: moved.gone,
        bytes: bytes.saturating_sub(left),
        pinned: 0,
        at: why.now,
    };
    count(&mut transaction, books, gone, why.reason).await?;
    commit(transaction).await?;
    Ok(Some(moved.gone))
}

/// Requests kept by hand that have a row in the partition.
async fn pinned_in(
    connection: &mut PgConnection,
    partition: &Partition,
) -> Result<Vec<TraceId>, StoreError> {
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for row in db::all(connection, &sql::READ_PINS, Args::new()).await? {
        ids.push(column(&row, 0)?);
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let find = sql::FIND_ROWS.of(partition.day());
    let rows = db::all(connection, find, Args::new().with(ids)).await?;
    rows.iter().map(|row| trace_id(column(row, 0)?)).collect()
}

/// Drops a partition: its books are moved first, then its tables go. After a crash anywhere in between the
/// next start ends it. Returns rows dropped; none if something was pinned since, or written: a row of what is pinned, it may be.
async fn drop_whole(
    connection: &mut PgConnection,
    partition: &Partition,
    (state, pinned): (PinState, Vec<TraceId>),
    why: Why,
) -> Result<u64, StoreError> {
    let day = partition.day();
    let bytes = size(connection, day).await?;
    let mut transaction = begin(connection).await?;
    let args = Args::new().with(day);
    let gone = db::all(&mut transaction, &sql::DROP_PARTITION, args).await?;
    let Some(row) = gone.first() else {
        // Another process has just done it.
        return Ok(0);
    };
    let pins = db::one(&mut transaction, &sql::LOCK_PIN_STATE, Args::new()).await?;
    if PinState::read(&pins)? != state || column::<i64>(row, 4)? != partition.newest {
        return Ok(0);
    }
    let total = |index| Ok::<_, StoreError>(column::<i64>(row, index)?.cast_unsigned());
    let books = Books {
        stored: total(0)?,
        duplicate: total(1)?,
        left_out: total(2)?,
    };
    let rows = total(3)?;
    if !pinned.is_empty() {
        let args = Args::new().with(id_bytes(&pinned));
        let gone = db::execute(&mut transaction, &sql::DELETE_PINS, args).await?;
        let args = Args::new().with(-bits(gone));
        db::one(&mut transaction, &sql::CHANGE_PIN_STATE, args).await?;
    }
    let gone = Gone {
        partitions: 1,
        rows,
        bytes,
        pinned: pinned.len() as u64,
        at: why.now,
    };
    count(&mut transaction, books, gone, why.reason).await?;
    commit(transaction).await?;
    partition::remove_dropped(connection).await?;
    Ok(rows)
}

/// Counts what goes with a partition.
async fn count(
    connection: &mut PgConnection,
    books: Books,
    gone: Gone,
    reason: Reason,
) -> Result<(), StoreError> {
    let args = Args::new()
        .with(bits(books.stored))
        .with(bits(books.duplicate))
        .with(bits(books.left_out))
        .with(bits(gone.rows));
    db::execute(connection, &sql::ADD_DROPPED, args).await?;
    let args = Args::new()
        .with(reason.name())
        .with(bits(gone.partitions))
        .with(bits(gone.rows))
        .with(bits(gone.bytes))
        .with(bits(gone.pinned))
        .with(ordered(gone.at));
    db::execute(connection, &sql::ADD_RETAINED, args)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests;
