//! Reads the inbox, pushes, writes what is due, moves the checkpoint.

use crate::assembler::Record;
use crate::config::Config;
use crate::dead::DeadLetters;
use crate::open::{InFlight, Open};
use hoplog_inbox::{ASSEMBLE, Delivered, Inbox, Reader};
use hoplog_model::times::SECOND;
use hoplog_model::{Clock, Position, UnixNanos};
use hoplog_otlp::{Limits, Sliced, slice};
use hoplog_store::{Checkpoint, SpanWriter, StoreError, WriteBatch, Written};
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{debug, error, info, warn};

/// Requests in one segment at most, as the store's contract says.
const BATCH: usize = 512;
/// Records taken in one go before the worker looks at anything else.
const RECORDS_AT_ONCE: usize = 64;
/// A batch that is not full waits this long for more requests, so that segments are not tiny.
const BATCH_WAIT: u64 = 2 * SECOND;
/// Time between two tries when the store does not take a batch.
const RETRY: Duration = Duration::from_millis(500);
/// How often the worker looks for due requests when nothing arrives.
const TICK: Duration = Duration::from_millis(200);

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerParts {
    /// Settings.
    pub config: Config,
    /// Told how far it may forget.
    pub inbox: Inbox,
    /// Where spans come from.
    pub reader: Reader,
    /// Where rows go.
    pub writer: Arc<dyn SpanWriter>,
    /// Open requests, shared with readers.
    pub open: Arc<Open>,
    /// Where refused parts go.
    pub dead: DeadLetters,
    /// Limits for records that are sliced again after a start.
    pub limits: Limits,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The task between inbox and store.
#[derive(Debug)]
pub struct Worker {
    parts: WorkerParts,
    pending: Vec<InFlight>,
    last_write: UnixNanos,
    last_checkpoint: UnixNanos,
    recorded: Position,
    /// Spans from behind the recovered checkpoint that the store or the dead letters have.
    stored_beyond: u64,
    trouble_with: Option<Doing>,
}

/// What can fail for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Taking a batch, or putting a part aside.
    Write,
    Checkpoint,
}

type Writing = Pin<Box<dyn Future<Output = Result<Written, StoreError>> + Send>>;

impl Worker {
    /// A worker that has not begun.
    pub fn new(parts: WorkerParts) -> Self {
        let now = parts.clock.now();
        parts.open.lock().stats.dead_lettered = parts.dead.spans();
        Self {
            stored_beyond: stored_beyond(&parts),
            parts,
            pending: Vec::new(),
            last_write: now,
            last_checkpoint: now,
            recorded: Position::default(),
            trouble_with: None,
        }
    }

    /// Takes every record that was in the inbox at the start, so that all that was acknowledged is
    /// visible, open or stored, when this returns.
    pub async fn catch_up(&mut self) {
        while let Some(record) = self.parts.reader.try_next() {
            self.push(&record);
            self.make_room().await;
        }
        let mut state = self.parts.open.lock();
        state.assembler.replay_done();
        state.stats.lost_but_stored = self
            .stored_beyond
            .saturating_sub(state.stats.replayed_spans);
    }

    /// Works until `stop` is true and everything the inbox holds is in the store (or the store does
    /// not take it: then the inbox keeps it for the next start).
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writing: Option<Writing> = None;
        while !*stop.borrow() {
            if writing.is_none() {
                // Not while a write is under way: both need the store's one writer, and this task
                // would wait for the one without driving the other.
                self.checkpoint_when_due().await;
                writing = self.begin_write(false);
            }
            let may_read = !self.parts.open.lock().assembler.is_over_memory() || writing.is_none();
            tokio::select! {
                biased;
                done = async { writing.as_mut().expect("guarded").await }, if writing.is_some() => {
                    writing = None;
                    if !self.settle(done).await {
                        tokio::select! { () = tokio::time::sleep(RETRY) => {}, _ = stop.changed() => {} }
                    }
                }
                record = self.parts.reader.next(), if may_read => match record {
                    Some(record) => self.push_some(&record),
                    None => break,
                },
                _ = tick.tick() => {}
                _ = stop.changed() => {}
            }
        }
        if let Some(writing) = writing {
            let done = writing.await;
            self.settle(done).await;
        }
        self.finish().await;
    }

    fn push_some(&mut self, first: &Delivered) {
        self.push(first);
        for _ in 1..RECORDS_AT_ONCE {
            if self.parts.open.lock().assembler.is_over_memory() {
                return;
            }
            let Some(record) = self.parts.reader.try_next() else {
                return;
            };
            self.push(&record);
        }
    }

    fn push(&self, record: &Delivered) {
        let entry = &record.entry;
        let known = entry
            .extra
            .as_ref()
            .and_then(|any| any.downcast_ref::<Sliced>());
        let again;
        let sliced = match known {
            Some(sliced) => sliced,
            None => match slice(entry.payload.clone(), &self.parts.limits) {
                Ok(sliced) => {
                    again = sliced;
                    &again
                }
                Err(why) => {
                    error!(position = %record.position, %why, "a record of the inbox cannot be read");
                    return;
                }
            },
        };
        let now = self.parts.clock.now();
        let mut state = self.parts.open.lock();
        let at = Record {
            position: record.position,
            next: record.next,
            received_at: entry.received_at,
        };
        let pushed = state.assembler.push(now, at, sliced);
        state.stats.replayed_spans += u64::from(pushed.replayed);
        let newest = sliced
            .spans
            .iter()
            .map(|span| span.head.end)
            .max()
            .unwrap_or(0);
        state.stats.newest_span = state.stats.newest_span.max(newest.min(now));
    }

    /// Collects what is due; a batch goes out when it is full, in requests or bytes, or has waited long
    /// enough.
    fn begin_write(&mut self, everything: bool) -> Option<Writing> {
        let now = self.parts.clock.now();
        let due_at = if everything { UnixNanos::MAX } else { now };
        if !self.is_batch_full() {
            let room = BATCH - self.pending.len();
            self.pending.extend(self.parts.open.take_due(due_at, room));
        }
        let is_ready =
            everything || self.is_batch_full() || now >= self.last_write.saturating_add(BATCH_WAIT);
        if self.pending.is_empty() || !is_ready {
            return None;
        }
        self.last_write = now;
        Some(self.write())
    }

    fn is_batch_full(&self) -> bool {
        let bytes = |one: &InFlight| one.part.spans.bytes();
        self.pending.len() >= BATCH
            || self.pending.iter().map(bytes).sum::<usize>() >= self.parts.config.batch_bytes()
    }

    fn write(&self) -> Writing {
        let batch = WriteBatch {
            parts: self
                .pending
                .iter()
                .map(|one| Arc::clone(&one.part))
                .collect(),
        };
        debug!(requests = batch.parts.len(), "a batch goes to the store");
        let writer = Arc::clone(&self.parts.writer);
        Box::pin(async move { writer.write(batch).await })
    }

    /// True if the pending batch is done with; false if it must be tried again.
    async fn settle(&mut self, done: Result<Written, StoreError>) -> bool {
        match done {
            Ok(written) => {
                self.note_written(&written);
                self.parts.open.settle(&std::mem::take(&mut self.pending));
                debug!("a batch is in the store");
                true
            }
            Err(why) if why.is_retryable() => {
                self.note_trouble(Doing::Write, &why);
                false
            }
            Err(why) => self.one_by_one(&why).await,
        }
    }

    /// The store refused the batch for good: finds the parts it is about and puts these aside.
    async fn one_by_one(&mut self, why: &StoreError) -> bool {
        warn!(%why, requests = self.pending.len(), "the store refused a batch; trying each request");
        while let Some(one) = self.pending.last().cloned() {
            let alone = WriteBatch {
                parts: vec![Arc::clone(&one.part)],
            };
            match self.parts.writer.write(alone).await {
                Ok(written) => self.note_written(&written),
                Err(why) if why.is_retryable() => {
                    self.note_trouble(Doing::Write, &why);
                    return false;
                }
                Err(why) => {
                    error!(trace_id = %one.part.trace_id, %why, "a request goes to the dead letters");
                    if let Err(why) = self.parts.dead.put(&one.part, &why.to_string()) {
                        self.note_trouble(Doing::Write, &why);
                        return false;
                    }
                    self.trouble_is_over(Doing::Write);
                    self.parts.open.lock().stats.dead_lettered = self.parts.dead.spans();
                }
            }
            self.pending.pop();
            self.parts.open.settle(&[one]);
            debug!("a request of a refused batch is done with");
        }
        true
    }

    fn note_written(&mut self, written: &Written) {
        let mut state = self.parts.open.lock();
        state.stats.batches += 1;
        state.stats.merged_rows += written.merged_rows;
        let books = &mut state.stats.books;
        books.stored += written.stored;
        books.duplicate += written.duplicate;
        books.left_out += written.left_out;
        drop(state);
        self.trouble_is_over(Doing::Write);
    }

    /// What failed works again. Trouble with something else stays.
    fn trouble_is_over(&mut self, with: Doing) {
        if self.trouble_with == Some(with) {
            self.trouble_with = None;
            self.parts.open.lock().stats.trouble = None;
            info!("the store takes batches again");
        }
    }

    fn note_trouble(&mut self, with: Doing, why: &impl Display) {
        if self.trouble_with.replace(with).is_none() {
            warn!(%why, "the store does not take batches; the inbox holds what was acknowledged");
        }
        self.parts.open.lock().stats.trouble = Some(why.to_string());
    }

    async fn make_room(&mut self) {
        while self.parts.open.lock().assembler.is_over_memory() {
            let Some(writing) = self.begin_write(false) else {
                return;
            };
            let done = writing.await;
            if !self.settle(done).await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn checkpoint_when_due(&mut self) {
        let now = self.parts.clock.now();
        let every = self.parts.config.checkpoint_seconds.saturating_mul(SECOND);
        if now >= self.last_checkpoint.saturating_add(every) {
            self.last_checkpoint = now;
            self.checkpoint().await;
        }
    }

    /// Records how far the inbox has become rows, and lets the inbox forget that much.
    async fn checkpoint(&mut self) {
        let position = self.low_water();
        if position <= self.recorded {
            return;
        }
        let account = self.parts.reader.account_at(position);
        let inbox_totals = serde_json::to_vec(&account).expect("numbers always become JSON");
        let checkpoint = Checkpoint {
            position,
            inbox_totals,
        };
        debug!(%position, "a checkpoint goes to the store");
        match self.parts.writer.checkpoint(checkpoint).await {
            Ok(true) => {
                self.trouble_is_over(Doing::Checkpoint);
                self.recorded = position;
                self.parts.inbox.release(ASSEMBLE, position);
                debug!(%position, "a checkpoint is recorded");
            }
            Ok(false) => {}
            Err(why) => self.note_trouble(Doing::Checkpoint, &why),
        }
    }

    fn low_water(&self) -> Position {
        let open = self.parts.open.lock().assembler.low_water();
        self.pending
            .iter()
            .map(|one| one.first)
            .fold(open, Position::min)
    }

    /// After the stop: takes what the inbox still holds, writes everything, records it.
    async fn finish(&mut self) {
        while let Some(record) = self.parts.reader.try_next() {
            self.push(&record);
            if !self.write_all(true).await {
                return;
            }
        }
        if self.write_all(false).await {
            self.checkpoint().await;
        }
    }

    /// Writes what is open: everything, or just enough to be within memory. False if the store does
    /// not take it; the inbox keeps it for the next start.
    async fn write_all(&mut self, only_for_room: bool) -> bool {
        while !only_for_room || self.parts.open.lock().assembler.is_over_memory() {
            let Some(writing) = self.begin_write(true) else {
                return true;
            };
            let done = writing.await;
            if !self.settle(done).await {
                return false;
            }
        }
        true
    }
}

/// All before the checkpoint that was not lost is in the store or the dead letters; what they have
/// more lay behind it.
fn stored_beyond(parts: &WorkerParts) -> u64 {
    let account = parts.reader.account_at(parts.reader.position());
    let stats = &parts.open.lock().stats;
    (stats.books.total() + stats.dead_lettered + account.lost.accepted())
        .saturating_sub(account.totals.accepted())
}

#[cfg(test)]
mod tests;
