//! What the callers, the writer and the readers share. Its one lock is never held over I/O.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hoplog_model::Position;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::Config;
use crate::disk::Disk;
use crate::entry::{Delivered, Entry, Totals};
use crate::error::AppendError;
use crate::format::{RECORD_HEADER, SEGMENT_HEADER, segment_path};
use crate::pack::Packed;
use crate::scan::{Step, Walk};
use crate::state::{Cursor, Reading, Segment, State};
use crate::stats::Stats;

type Answer = Result<Position, AppendError>;

/// A record that waits for its write.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) entry: Entry,
    pub(crate) packed: Packed,
    /// Its share of the memory bound.
    pub(crate) room: OwnedSemaphorePermit,
    pub(crate) answer: oneshot::Sender<Answer>,
}

impl Pending {
    /// Bytes that it takes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        u64::from(RECORD_HEADER) + self.packed.bytes.len() as u64
    }
}

/// A record that has been written and synced.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) pending: Pending,
    pub(crate) position: Position,
    pub(crate) next: Position,
    pub(crate) before: Totals,
    pub(crate) sequence: u64,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Write and sync these.
    Group(VecDeque<Pending>),
    /// Begin a new segment, so that the newest can be deleted once it has been passed.
    Rotate,
}

/// Why a group failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Full(Arc<str>),
    Fence(Arc<str>),
}

impl From<&Failure> for AppendError {
    fn from(failure: &Failure) -> AppendError {
        match failure {
            Failure::Full(why) => AppendError::Full { why: why.clone() },
            Failure::Fence(why) => AppendError::Fenced { why: why.clone() },
        }
    }
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Next {
    /// The next record.
    Memory(Arc<Delivered>),
    /// It is on disk: at `at`, and the segment is durable up to `limit`.
    Disk { at: Position, limit: u32 },
    /// Nothing now: these are the totals of all there is.
    Wait(Totals),
    /// Nothing ever.
    End,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) config: Config,
    pub(crate) disk: Arc<dyn Disk>,
    /// Bytes of memory for records in flight.
    pub(crate) room: Arc<Semaphore>,
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes the readers.
    pub(crate) news: Notify,
}

/// The most permits that one record takes: all there are, so that a record larger than the whole
/// bound still gets through, alone.
fn permits(config: &Config) -> u32 {
    u32::try_from(config.memory_bytes).unwrap_or(u32::MAX)
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(
        folder: PathBuf,
        config: Config,
        disk: Arc<dyn Disk>,
        state: State,
    ) -> Shared {
        let room = Arc::new(Semaphore::new(permits(&config) as usize));
        let (state, work, news) = (Mutex::new(state), Condvar::new(), Notify::new());
        Shared {
            folder,
            config,
            disk,
            room,
            state,
            work,
            news,
        }
    }

    // A panic under the lock leaves counters at worst one record off; the writer's guard fences.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory that a record in flight must hold, in permits of `room`.
    pub(crate) fn permits_for(&self, entry: &Entry) -> u32 {
        u32::try_from(entry.weight())
            .unwrap_or(u32::MAX)
            .min(permits(&self.config))
    }

    fn in_flight(&self) -> usize {
        (permits(&self.config) as usize).saturating_sub(self.room.available_permits())
    }

    /// Whether an append is refused whatever it holds.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        self.lock().refusal()
    }

    pub(crate) fn enqueue(&self, pending: Pending) -> Result<(), AppendError> {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal() {
            return Err(refusal);
        }
        let wanted = pending.disk_bytes();
        let after = state.stats.disk_bytes + state.reserved + wanted;
        if after > self.config.max_bytes {
            state.refuse(pending.entry.received_at, 1);
            // What the newest segment holds can only go once there is a newer one.
            if state.newest_has_records() && state.reserved == 0 {
                state.rotate = true;
                self.work.notify_one();
            }
            let why = format!(
                "{after} bytes would be over its bound of {}",
                self.config.max_bytes
            );
            return Err(AppendError::Full { why: why.into() });
        }
        state.reserved += wanted;
        state.queue.push_back(pending);
        let evicted = state.evict(self.config.memory_bytes, self.in_flight());
        drop(state);
        self.work.notify_one();
        drop(evicted);
        Ok(())
    }

    /// Waits for work; `None` when the inbox is closed and all is written.
    pub(crate) fn take_work(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if !state.queue.is_empty() {
                return Some(Work::Group(state.take_group(self.config.group_records)));
            }
            if std::mem::take(&mut state.rotate) {
                return Some(Work::Rotate);
            }
            if state.closed {
                return None;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes a synced group known to readers and answers its callers.
    pub(crate) fn publish(&self, group: Vec<Durable>, len: u32) {
        let mut answers = Vec::with_capacity(group.len());
        let mut state = self.lock();
        if let Some(newest) = state.segments.back_mut() {
            let grown = u64::from(len - newest.len);
            newest.len = len;
            state.stats.disk_bytes += grown;
            state.reserved = state.reserved.saturating_sub(grown);
        }
        state.stats.full_since = None;
        state.stats.appended += group.len() as u64;
        state.sequence += group.len() as u64;
        for Durable {
            pending,
            position,
            next,
            before,
            sequence,
        } in group
        {
            let Pending {
                entry,
                answer,
                room,
                ..
            } = pending;
            state.stats.totals = before.plus(entry.receiver, entry.accepted, entry.rejected);
            if !state.readings.is_empty() {
                state.tail_bytes += entry.weight();
                let record = Delivered {
                    position,
                    next,
                    sequence,
                    before,
                    entry,
                };
                state.tail.push_back(Arc::new(record));
            }
            drop(room);
            answers.push((answer, position));
        }
        let evicted = state.evict(self.config.memory_bytes, self.in_flight());
        drop(state);
        for (answer, position) in answers {
            // A caller that has gone away is not an error: its record is durable all the same.
            let _gone = answer.send(Ok(position));
        }
        self.news.notify_waiters();
        drop(evicted);
    }

    /// Answers those whose write failed. A fence also fails all that still waits.
    pub(crate) fn fail(&self, group: impl IntoIterator<Item = Pending>, failure: &Failure) {
        let mut group: Vec<Pending> = group.into_iter().collect();
        let mut state = self.lock();
        if let Failure::Fence(why) = failure {
            state.fence(why);
            group.extend(state.queue.drain(..));
        }
        let freed: u64 = group.iter().map(Pending::disk_bytes).sum();
        state.reserved = state.reserved.saturating_sub(freed);
        if let (Failure::Full(_), Some(first)) = (failure, group.first()) {
            state.refuse(first.entry.received_at, group.len() as u64);
        }
        drop(state);
        for Pending {
            entry,
            packed,
            room,
            answer,
        } in group
        {
            // Its memory is free before anybody hears of it.
            drop((entry, packed, room));
            let _gone = answer.send(Err(failure.into()));
        }
    }

    /// The writer has stopped, in order or by a panic.
    pub(crate) fn finish(&self, panicked: bool) {
        if panicked {
            self.fail([], &Failure::Fence("the writer stopped".into()));
        }
        let mut state = self.lock();
        state.closed = true;
        state.finished = true;
        drop(state);
        self.room.close();
        self.news.notify_waiters();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.work.notify_one();
    }

    /// A new segment file is durable.
    pub(crate) fn begin_segment(&self, number: u32, first_sequence: u64, start: Totals) {
        let mut state = self.lock();
        let base = state.segments.back().map_or(0, Segment::base_after);
        let len = SEGMENT_HEADER;
        state.segments.push_back(Segment {
            number,
            len,
            first_sequence,
            start,
            base,
        });
        state.stats.disk_bytes += u64::from(len);
        drop(state);
        self.collect();
    }

    /// Deletes the segments that every cursor has passed. The newest always stays.
    ///
    /// Crash safe without a sync: a file that comes back lies before the checkpoint and is deleted
    /// when the inbox is opened.
    pub(crate) fn collect(&self) {
        for number in self.lock().take_passed() {
            let path = segment_path(&self.folder, number);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot delete a passed segment");
            }
        }
    }

    pub(crate) fn release(&self, cursor: &str, upto: Position) {
        let mut state = self.lock();
        let Some(known) = state.cursors.iter_mut().find(|known| known.name == cursor) else {
            drop(state);
            tracing::error!(cursor, "release by a cursor that the inbox does not have");
            return;
        };
        known.durable = known.durable.max(upto);
        drop(state);
        self.collect();
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.lock();
        let records = state.segments.front().map_or(0, |oldest| {
            state.sequence.saturating_sub(oldest.first_sequence)
        });
        Stats {
            disk_bytes_max: self.config.max_bytes,
            segments: state.segments.len(),
            records,
            queued: state.queue.len(),
            memory_bytes: state.tail_bytes + self.in_flight(),
            backlog_bytes: state.backlog_bytes(),
            ..state.stats.clone()
        }
    }

    /// Just behind the last durable record that is left.
    pub(crate) fn end(&self) -> Position {
        let state = self.lock();
        let written = state
            .segments
            .iter()
            .rfind(|segment| segment.len > SEGMENT_HEADER);
        written.map_or(Position::default(), Segment::end)
    }

    /// The totals before `position`; for a place that is not there (any more) those before the
    /// first record behind it.
    pub(crate) fn totals_at(&self, position: Position) -> Totals {
        let state = self.lock();
        let (at, limit) = state.settle(position);
        let after = state
            .segments
            .partition_point(|segment| segment.number <= at.segment);
        let rest = state
            .segments
            .get(after)
            .map_or(state.stats.totals, |next| next.start);
        let own = after
            .checked_sub(1)
            .and_then(|index| state.segments.get(index));
        let start = own.map_or(rest, |segment| segment.start);
        drop(state);
        if at.offset >= limit {
            return rest;
        }
        if at.offset <= SEGMENT_HEADER {
            return start;
        }
        self.read_totals(at, limit).unwrap_or(rest)
    }

    /// What the first readable record at or behind `at` says; `None` when there is none.
    fn read_totals(&self, at: Position, limit: u32) -> Option<Totals> {
        let path = segment_path(&self.folder, at.segment);
        let mut walk = Walk::open(&path, at.segment).ok()?;
        let mut offset = at.offset;
        loop {
            match walk.step(offset, limit).ok()? {
                Step::Record { header, .. } => return Some(header.before),
                Step::Gap { end } => offset = end,
                Step::End => return None,
            }
        }
    }

    pub(crate) fn add_cursor(&self, name: &'static str, from: Position) {
        let mut state = self.lock();
        if !state.cursors.iter().any(|known| known.name == name) {
            state.cursors.push(Cursor {
                name,
                durable: from,
            });
        }
    }

    /// A new reader's id.
    pub(crate) fn add_reading(&self, at: Position) -> u64 {
        let mut state = self.lock();
        let id = state.next_reading;
        state.next_reading += 1;
        state.readings.push(Reading { id, at });
        id
    }

    pub(crate) fn remove_reading(&self, id: u64) {
        let mut state = self.lock();
        state.readings.retain(|reading| reading.id != id);
        state.trim();
    }

    /// What a reader at `at` finds next; takes it if it is in memory.
    pub(crate) fn next(&self, id: u64, at: Position) -> Next {
        let mut state = self.lock();
        let (at, limit) = state.settle(at);
        let index = state.tail.partition_point(|record| record.position < at);
        let found = state.tail.get(index).cloned();
        // The tail has no hole: behind a record of it, or right at one, its next is the next.
        if let Some(record) = found.filter(|record| index > 0 || record.position == at) {
            state.moved(id, record.next);
            return Next::Memory(record);
        }
        state.moved(id, at);
        if at.offset < limit {
            Next::Disk { at, limit }
        } else if state.finished {
            Next::End
        } else {
            Next::Wait(state.stats.totals)
        }
    }

    /// A reader has read from disk up to `at`.
    pub(crate) fn moved(&self, id: u64, at: Position) {
        self.lock().moved(id, at);
    }
}
