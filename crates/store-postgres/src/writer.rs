//! The way in: batches become rows.

mod columns;
mod moving;

pub(crate) use moving::NewTables;

use crate::db::{self, column};
use crate::partition::{self, Partition};
use crate::shared::{Shared, read_interfaces, read_log, text};
use crate::sql::{self, Args, Statement};
use crate::tables::cell;
use crate::{error, rows};
use hoplog_model::times::HOUR;
use hoplog_model::{Position, TraceId, UnixNanos};
use hoplog_store::pack::Dictionary;
use hoplog_store::segment::{ROWS_MAX, Segment};
use hoplog_store::tables::place::{Ranged, candidates};
use hoplog_store::tables::{
    Deltas, Job, KEYS_MAX, Names, Pending, Prepared, Settled, Stored, bits, changed, encode, hours,
    ordered, prepare, trace_id,
};
use hoplog_store::{Checkpoint, Part, StoreError, WriteBatch, Written};
use rustc_hash::FxHashMap;
use sqlx::{Connection as _, PgConnection, PgTransaction};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long a decision to leave a request out is kept, in nanoseconds.
pub(crate) const DECISION_AGE: u64 = HOUR;
/// Batches of a partition whose changes of roll-ups are in no table yet, at most.
const BATCHES: i64 = 64;
/// How long a batch may take. Longer than any lock is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// Partitions whose names are kept in memory.
const NAMES: usize = 4;

/// Everything of this process that writes. There is one, behind a lock; what it does it does in a task of its
/// own, so that nobody can give up a transaction half way.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// None before the first use, and after a failure.
    connection: Option<PgConnection>,
    /// By the partition's number; what is here is what the database has, or has less.
    names: FxHashMap<i64, Names>,
    settled: Settled,
    /// A batch whose commit was not answered.
    doubtful: Option<Doubtful>,
}

/// A batch that is written or is not.
#[derive(Debug)]
struct Doubtful {
    day: i64,
    segment: i64,
    upto_max: i64,
    parts: Vec<(TraceId, Position)>,
    written: Written,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            names: FxHashMap::default(),
            settled: Settled::default(),
            doubtful: None,
        }
    }

    /// Takes the connection, or makes one. Whoever takes it puts it back when all went well.
    pub(crate) async fn connection(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = db::connect(&self.shared.options).await?;
        db::become_writer(&mut connection, &self.shared.config.writer).await?;
        Ok(connection)
    }

    /// The connection, if there is one.
    pub(crate) fn into_connection(self) -> Option<PgConnection> {
        self.connection
    }

    /// Gives the connection back.
    pub(crate) fn put_back(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }

    /// [`hoplog_store::SpanWriter::write`].
    pub(crate) async fn write(&mut self, batch: WriteBatch) -> Result<Written, StoreError> {
        if batch.parts.len() > ROWS_MAX {
            return Err(StoreError::Invalid(format!(
                "a batch has at most {ROWS_MAX} parts"
            )));
        }
        let was_open = self.connection.is_some();
        match in_time(self.try_write(batch.clone())).await {
            // A connection that nobody used for a while may have ended meanwhile.
            Err(StoreError::Unavailable(_)) if was_open => in_time(self.try_write(batch)).await,
            done => done,
        }
    }

    async fn try_write(&mut self, batch: WriteBatch) -> Result<Written, StoreError> {
        let mut connection = self.connection().await?;
        self.resolve(&mut connection).await?;
        let (settled, parts) = self.settled.split(batch.parts);
        let groups = self.place(&mut connection, parts).await?;
        let (mut total, mut done) = (Written::default(), Vec::new());
        for (day, parts) in groups {
            let taken: Vec<_> = parts
                .iter()
                .map(|part| (part.trace_id, part.upto))
                .collect();
            match self.write_group(&mut connection, day, parts).await {
                Ok(written) => total.add(written),
                Err(why) => {
                    // What it knew of the names may be of a transaction that is no more.
                    self.names.clear();
                    self.settled.keep(done, total);
                    return Err(why);
                }
            }
            done.extend(taken);
        }
        total.add(self.settled.take(&settled));
        self.connection = Some(connection);
        Ok(total)
    }

    /// Finds out what became of a batch whose commit was not answered.
    async fn resolve(&mut self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let Some(doubtful) = &self.doubtful else {
            return Ok(());
        };
        // The session that was to commit may still be at it: this waits for it.
        let line = Args::new().with(doubtful.day);
        db::all(connection, &sql::LOCK_PARTITION, line).await?;
        let args = Args::new()
            .with(self.shared.config.writer.as_str())
            .with(doubtful.upto_max)
            .with(doubtful.day)
            .with(doubtful.segment);
        let found = db::all(connection, &sql::FIND_UPTO, args).await?;
        if let Some(doubtful) = self.doubtful.take()
            && !found.is_empty()
        {
            self.settled.keep(doubtful.parts, doubtful.written);
        }
        Ok(())
    }

    /// Sorts parts by partition: the one that has the row of its request, else the one for its start, which is
    /// made if it is missing.
    async fn place(
        &self,
        connection: &mut PgConnection,
        parts: Vec<Arc<Part>>,
    ) -> Result<BTreeMap<i64, Vec<Arc<Part>>>, StoreError> {
        let mut partitions = self.shared.partitions(connection).await?;
        let near: Vec<_> = parts
            .iter()
            .map(|part| candidates(part, &partitions))
            .collect();
        let found = find(connection, &parts, &near).await?;
        let mut groups: BTreeMap<i64, Vec<Arc<Part>>> = BTreeMap::new();
        for (part, (at, _)) in parts.into_iter().zip(near) {
            let day = match found.get(&part.trace_id) {
                Some(day) => *day,
                None => self.day_for(connection, &mut partitions, at).await?,
            };
            groups.entry(day).or_default().push(part);
        }
        Ok(groups)
    }

    async fn day_for(
        &self,
        connection: &mut PgConnection,
        partitions: &mut Vec<Partition>,
        at: UnixNanos,
    ) -> Result<i64, StoreError> {
        loop {
            if let Some(known) = partitions.iter().find(|one| one.range().contains(&at)) {
                return Ok(known.day());
            }
            partition::make(connection, at, self.shared.config.partition_hours).await?;
            *partitions = self.shared.partitions(connection).await?;
        }
    }

    /// Writes the parts of one partition in one transaction, alone.
    async fn write_group(
        &mut self,
        connection: &mut PgConnection,
        day: i64,
        parts: Vec<Arc<Part>>,
    ) -> Result<Written, StoreError> {
        let begun = connection.begin().await;
        let mut transaction = begun.map_err(|why| error::database("begin", &why))?;
        let locked = db::all(
            &mut transaction,
            &sql::LOCK_PARTITION,
            Args::new().with(day),
        )
        .await?;
        let Some(line) = locked.first() else {
            return Err(StoreError::Busy(
                "retention has just dropped the partition".to_owned(),
            ));
        };
        let partition = Partition::read(line)?;
        let mut stored = read_stored(&mut transaction, day, &parts).await?;
        let job = Job {
            parts: parts
                .iter()
                .map(|part| (Arc::clone(part), stored.remove(&part.trace_id)))
                .collect(),
            names: self.take_names(&mut transaction, &partition).await?,
            dictionaries: Arc::clone(&self.shared.dictionaries),
            request_spans: self.shared.config.request_spans,
        };
        let prepared =
            tokio::task::spawn_blocking(move || prepare(job, |rows| (0..rows.len()).collect()));
        let mut prepared = prepared.await.map_err(|why| error::task(&why))??;
        let names = std::mem::take(&mut prepared.names);
        let segment = partition.newest + 1;
        let doubtful = Doubtful {
            day,
            segment,
            upto_max: bits(prepared.upto_max),
            parts: parts
                .iter()
                .map(|part| (part.trace_id, part.upto))
                .collect(),
            written: prepared.written,
        };
        let written = prepared.written;
        self.insert(&mut transaction, &partition, prepared).await?;
        self.doubtful = Some(doubtful);
        let committed = transaction.commit().await;
        committed.map_err(|why| error::database("commit", &why))?;
        self.doubtful = None;
        self.keep_names(partition.number, names);
        Ok(written)
    }

    /// The partition's names, read again if others have added some.
    async fn take_names(
        &mut self,
        connection: &mut PgConnection,
        partition: &Partition,
    ) -> Result<Names, StoreError> {
        let day = partition.day();
        if let Some(names) = self.names.remove(&partition.number)
            && i64::try_from(names.interfaces()) == Ok(partition.interfaces)
        {
            return Ok(names);
        }
        let interfaces = read_interfaces(connection, day, 0).await?;
        let limit = i64::try_from(KEYS_MAX).expect("small");
        let args = Args::new().with(limit);
        let mut keys = Vec::new();
        for row in db::all(connection, sql::READ_KEYS.of(day), args).await? {
            keys.push(text(column(&row, 0)?)?);
        }
        Ok(Names::new(interfaces, keys))
    }

    fn keep_names(&mut self, number: i64, names: Names) {
        self.names.insert(number, names);
        while self.names.len() > NAMES {
            let oldest = self.names.keys().copied().min();
            oldest.map(|oldest| self.names.remove(&oldest));
        }
    }

    /// Everything that a batch writes.
    async fn insert(
        &self,
        transaction: &mut PgTransaction<'_>,
        partition: &Partition,
        mut prepared: Prepared,
    ) -> Result<(), StoreError> {
        let (day, segment) = (partition.day(), partition.newest + 1);
        let of_day = || Args::new().with(day);
        if let Some(dictionary) = &prepared.dictionary
            && !self.shared.is_stored(dictionary.id())
        {
            // The one that ships, at first; others are there before they are used.
            insert_dictionary(transaction, dictionary, None, self.shared.clock.now()).await?;
        }
        if !prepared.replaced_rows.is_empty() {
            let args = Args::new().with(prepared.replaced_rows.as_slice());
            db::execute(transaction, sql::DELETE_ROWS.of(day), args).await?;
        }
        for (statement, args) in columns::inserts(&mut prepared, day, segment) {
            db::execute(transaction, statement.of(day), args).await?;
        }
        let bounds = match &prepared.search {
            Some(search) => {
                let args = segment_args(day, segment, &search.segment);
                db::execute(transaction, sql::INSERT_SEGMENT.of(day), args).await?;
                let segment = &search.segment;
                [segment.min_start, segment.max_start, segment.max_duration]
                    .map(|n| Some(ordered(n)))
            }
            None => [None; 3],
        };
        let args = Args::new()
            .with(self.shared.config.writer.as_str())
            .with(bits(prepared.upto_max));
        let args = args.with(day).with(segment).with(prepared.upto);
        db::execute(transaction, &sql::INSERT_UPTO, args).await?;
        if !prepared.rollups.is_empty() {
            let args = of_day().with(segment).with(encode(&prepared.rollups));
            db::execute(transaction, sql::INSERT_ROLLUP_LOG.of(day), args).await?;
        }
        let written = prepared.written;
        let gained = [written.stored, written.duplicate, written.left_out];
        let args = Args::new().with(self.shared.config.writer.as_str());
        let args = gained
            .iter()
            .fold(args, |args, more| args.with(bits(*more)));
        db::execute(transaction, &sql::ADD_COLLECTED, args).await?;
        let mut folded = partition.folded;
        if segment - folded >= BATCHES {
            fold(transaction, day, folded..segment).await?;
            let args = Args::new().with(segment);
            db::execute(transaction, sql::DELETE_ROLLUP_LOG.of(day), args).await?;
            folded = segment;
        }
        let mut packing = partition.packing.clone();
        packing.apply(&prepared.repacked);
        let interfaces = i64::try_from(prepared.fresh.interfaces.len()).expect("few");
        let args = of_day().with(segment).with(folded).with(interfaces);
        let args = gained
            .iter()
            .fold(args, |args, more| args.with(bits(*more)));
        let args = args
            .with(bits(prepared.rows_gained))
            .with(prepared.packed_bytes);
        let args = bounds.into_iter().fold(args, Args::with);
        let search = prepared.search.as_ref();
        let max_extent = search.map_or(0, |search| ordered(search.segment.max_extent));
        let args = args.with(packing.encode()).with(max_extent);
        db::execute(transaction, &sql::UPDATE_PARTITION, args)
            .await
            .map(drop)
    }

    /// [`hoplog_store::SpanWriter::checkpoint`]. Every commit was durable when it was answered.
    pub(crate) async fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        let was_open = self.connection.is_some();
        match in_time(self.try_checkpoint(&checkpoint)).await {
            Err(StoreError::Unavailable(_)) if was_open => {
                in_time(self.try_checkpoint(&checkpoint)).await
            }
            done => done,
        }
    }

    async fn try_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let mut connection = self.connection().await?;
        let writer = self.shared.config.writer.as_str();
        let position = bits(checkpoint.position.to_u64());
        let args = Args::new().with(writer).with(position);
        let args = args.with(checkpoint.inbox_totals.as_slice());
        db::execute(&mut connection, &sql::WRITE_CHECKPOINT, args).await?;
        let args = Args::new().with(writer).with(position);
        db::execute(&mut connection, &sql::DELETE_UPTO, args).await?;
        let decided_before = self.shared.clock.now().saturating_sub(DECISION_AGE);
        let args = Args::new().with(ordered(decided_before));
        db::execute(&mut connection, &sql::DELETE_DECISIONS, args).await?;
        self.connection = Some(connection);
        Ok(true)
    }
}

/// Gives up on a server that does not answer; with the call goes the connection.
async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable(format!(
            "PostgreSQL does not answer within {PATIENCE:?}"
        ))),
    }
}

/// The partitions that have rows of these requests, one statement for each and choice.
async fn find(
    connection: &mut PgConnection,
    parts: &[Arc<Part>],
    near: &[(UnixNanos, Vec<Partition>)],
) -> Result<FxHashMap<TraceId, i64>, StoreError> {
    let mut found = FxHashMap::default();
    let deepest = near.iter().map(|(_, near)| near.len()).max().unwrap_or(0);
    for choice in 0..deepest {
        let mut wanted: BTreeMap<i64, Vec<TraceId>> = BTreeMap::new();
        for (part, (_, near)) in parts.iter().zip(near) {
            if let Some(partition) = near.get(choice)
                && !found.contains_key(&part.trace_id)
            {
                wanted
                    .entry(partition.day())
                    .or_default()
                    .push(part.trace_id);
            }
        }
        for (day, ids) in wanted {
            for (id, _) in find_rows(connection, day, &ids).await? {
                found.insert(id, day);
            }
        }
    }
    Ok(found)
}

async fn find_rows(
    connection: &mut PgConnection,
    day: i64,
    ids: &[TraceId],
) -> Result<Vec<(TraceId, i64)>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let args = Args::new().with(ids);
    let rows = db::all(connection, sql::FIND_ROWS.of(day), args).await?;
    rows.iter()
        .map(|row| Ok((trace_id(column(row, 0)?)?, column(row, 1)?)))
        .collect()
}

/// The rows that these requests have in the partition, whole. Nobody else can write any meanwhile.
async fn read_stored(
    connection: &mut PgConnection,
    day: i64,
    parts: &[Arc<Part>],
) -> Result<FxHashMap<TraceId, Stored>, StoreError> {
    let kept = parts
        .iter()
        .filter(|part| part.outcome == hoplog_store::Outcome::Keep);
    let ids: Vec<TraceId> = kept.map(|part| part.trace_id).collect();
    let found = find_rows(connection, day, &ids).await?;
    if found.is_empty() {
        return Ok(FxHashMap::default());
    }
    let rows: Vec<i64> = found.into_iter().map(|(_, row)| row).collect();
    let args = Args::new().with(rows);
    let stored = rows::read(connection, day, &sql::READ_ROWS, args).await?;
    Ok(stored
        .into_iter()
        .map(|stored| (stored.packed.trace_id, stored))
        .collect())
}

/// Puts changes of roll-ups of segments after the first number up to the last into the tables.
async fn fold(
    connection: &mut PgConnection,
    day: i64,
    segments: Range<i64>,
) -> Result<(), StoreError> {
    let mut pending = Pending::default();
    for changes in read_log(connection, day, segments).await? {
        pending.add(changes);
    }
    let minutes = pending.deltas;
    put(
        connection,
        day,
        (&sql::FIND_MINUTES, &sql::PUT_MINUTES),
        &minutes,
    )
    .await?;
    put(
        connection,
        day,
        (&sql::FIND_HOURS, &sql::PUT_HOURS),
        &hours(&minutes),
    )
    .await
}

async fn put(
    connection: &mut PgConnection,
    day: i64,
    (find, put): (&Statement, &Statement),
    deltas: &Deltas,
) -> Result<(), StoreError> {
    let (at, interfaces): (Vec<i64>, Vec<i64>) = deltas.keys().copied().unzip();
    let args = Args::new().with(at).with(interfaces);
    let mut cells = Vec::new();
    for row in db::all(connection, find.of(day), args).await? {
        cells.push(cell(&row)?);
    }
    let args = columns::cells(day, &changed(cells, deltas));
    db::execute(connection, put.of(day), args).await.map(drop)
}

/// Puts a dictionary where every process finds it.
pub(crate) async fn insert_dictionary(
    connection: &mut PgConnection,
    dictionary: &Dictionary,
    density: Option<f64>,
    now: UnixNanos,
) -> Result<(), StoreError> {
    let args = Args::new()
        .with(i64::from(dictionary.id()))
        .with(ordered(now));
    let args = args.with(density).with(dictionary.bytes());
    db::execute(connection, &sql::INSERT_DICTIONARY, args)
        .await
        .map(drop)
}

fn segment_args(day: i64, number: i64, segment: &Segment) -> Args {
    Args::new()
        .with(day)
        .with(number)
        .with(ordered(segment.min_start))
        .with(ordered(segment.max_start))
        .with(ordered(segment.min_duration))
        .with(ordered(segment.max_duration))
        .with(i64::from(segment.rows))
        .with(segment.heads.as_slice())
        .with(ordered(segment.max_extent))
}
