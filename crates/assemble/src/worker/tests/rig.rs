//! A worker between a real inbox in a folder of its own and a store that fails when it is told to.
//! Everything runs in tokio's paused time, which is also the worker's clock: waiting costs nothing.

use crate::{AssembleStats, Assembler, Config, DeadLetters, Open, Worker, WorkerParts};
use async_trait::async_trait;
use hoplog_inbox::{Account, Entry, Inbox};
use hoplog_model::{Clock, Position, TraceId, UnixNanos};
use hoplog_otlp::Limits;
use hoplog_store::memory::MemoryStore;
use hoplog_store::{
    Books, Checkpoint, Recovery, SpanWriter, StoreError, TraceReader, WriteBatch, Written,
};
use hoplog_testkit::spans::{self, Trace};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The time at which the runtime's paused clock says so.
#[derive(Debug)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> UnixNanos {
        spans::BASE + u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

/// What one call of the store does instead of what it should.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// It cannot be reached now.
    Away,
    /// It does as it should, after so long.
    Slow(Duration),
    /// A checkpoint: not now, ask again.
    NotYet,
}

/// A store in memory with a script of what goes wrong, and a record of what it was asked.
#[derive(Debug)]
pub(super) struct Scripted {
    store: MemoryStore,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    writes: VecDeque<Fault>,
    checkpoints: VecDeque<Fault>,
    /// Neither batches nor checkpoints are taken.
    is_down: bool,
    /// A batch with this request is refused for good.
    guilty: Option<TraceId>,
    /// The requests of each batch that was tried, sorted.
    tried: Vec<Vec<TraceId>>,
    /// Those of each batch that was taken.
    taken: Vec<Vec<TraceId>>,
    recorded: Vec<Position>,
}

impl Scripted {
    /// The next writes fail like this; those after them do not.
    pub(super) fn fail_writes(&self, faults: &[Fault]) {
        self.script.lock().unwrap().writes.extend(faults);
    }

    /// The next checkpoints fail like this.
    pub(super) fn fail_checkpoints(&self, faults: &[Fault]) {
        self.script.lock().unwrap().checkpoints.extend(faults);
    }

    /// Takes nothing from here on, or everything again.
    pub(super) fn set_down(&self, is_down: bool) {
        self.script.lock().unwrap().is_down = is_down;
    }

    /// Refuses batches with this request for good.
    pub(super) fn refuse(&self, request: &Trace) {
        self.script.lock().unwrap().guilty = Some(request.trace_id());
    }

    /// The requests of each batch that it was asked to write.
    pub(super) fn tried(&self) -> Vec<Vec<TraceId>> {
        self.script.lock().unwrap().tried.clone()
    }

    /// The requests of each batch that it wrote.
    pub(super) fn taken(&self) -> Vec<Vec<TraceId>> {
        self.script.lock().unwrap().taken.clone()
    }

    /// Each checkpoint that it recorded.
    pub(super) fn recorded(&self) -> Vec<Position> {
        self.script.lock().unwrap().recorded.clone()
    }

    pub(super) async fn books(&self) -> Books {
        self.store.books().await.unwrap()
    }

    /// Spans in a request's row, 0 without a row.
    pub(super) async fn spans(&self, request: &Trace) -> usize {
        let stored = self.store.get(&request.trace_id()).await.unwrap();
        stored.map_or(0, |stored| stored.spans.len())
    }

    fn begin_write(&self, ids: &[TraceId]) -> Result<Option<Fault>, StoreError> {
        let mut script = self.script.lock().unwrap();
        script.tried.push(ids.to_vec());
        if script.is_down {
            return Err(away());
        }
        if script.guilty.is_some_and(|guilty| ids.contains(&guilty)) {
            return Err(StoreError::Invalid("such requests are not taken".into()));
        }
        Ok(script.writes.pop_front())
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the script says so".into())
}

#[async_trait]
impl SpanWriter for Scripted {
    async fn write(&self, batch: WriteBatch) -> Result<Written, StoreError> {
        let mut ids: Vec<TraceId> = batch.parts.iter().map(|part| part.trace_id).collect();
        ids.sort_unstable();
        match self.begin_write(&ids)? {
            Some(Fault::Slow(time)) => sleep(time).await,
            Some(Fault::Away | Fault::NotYet) => return Err(away()),
            None => {}
        }
        self.script.lock().unwrap().taken.push(ids);
        self.store.write(batch).await
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        {
            let mut script = self.script.lock().unwrap();
            match script.checkpoints.pop_front() {
                Some(Fault::NotYet) => return Ok(false),
                Some(_) => return Err(away()),
                None if script.is_down => return Err(away()),
                None => script.recorded.push(checkpoint.position),
            }
        }
        self.store.checkpoint(checkpoint).await
    }

    async fn recovery(&self) -> Result<Recovery, StoreError> {
        self.store.recovery().await
    }
}

/// What outlives a worker: the folder, the store, the clock.
#[derive(Debug)]
pub(super) struct Rig {
    folder: TempDir,
    pub(super) store: Arc<Scripted>,
    clock: Arc<PausedClock>,
    pub(super) config: Config,
}

impl Rig {
    pub(super) fn new() -> Self {
        let clock = Arc::new(PausedClock(Instant::now()));
        let store = MemoryStore::new(Arc::clone(&clock) as _, u64::MAX);
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(Scripted {
                store,
                script: Mutex::default(),
            }),
            clock,
            config: Config::default(),
        }
    }

    /// Where the dead letters are.
    pub(super) fn dead(&self) -> PathBuf {
        self.folder.path().join("dead")
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox")
    }

    /// Makes the record at `position` unreadable. The worker must not be running.
    pub(super) fn damage(&self, position: Position) {
        let path = self.inbox().join(format!("{:010}.seg", position.segment));
        let mut bytes = fs::read(&path).unwrap();
        bytes[position.offset as usize] ^= 1;
        fs::write(&path, bytes).unwrap();
    }

    /// A start, a while, and a stop: see [`Started::run`].
    pub(super) async fn run(&self, meanwhile: impl AsyncFnOnce(&View)) -> AssembleStats {
        self.start().await.run(meanwhile).await
    }

    /// A start, as the server does it, up to where the inbox is read.
    pub(super) async fn start(&self) -> Started {
        let mut recovery = self.store.recovery().await.unwrap();
        let account = match recovery.checkpoint.inbox_totals.as_slice() {
            [] => Account::default(),
            json => serde_json::from_slice(json).unwrap(),
        };
        let dead = DeadLetters::open(&self.dead()).unwrap();
        recovery.upto.extend(dead.upto());
        let (inbox, reader) = Inbox::open(
            &self.inbox(),
            hoplog_inbox::Config::default(),
            recovery.checkpoint.position,
            account,
        )
        .unwrap();
        let assembler = Assembler::new(self.config.clone(), &recovery);
        let open = Open::new(assembler, recovery.books);
        let worker = Worker::new(WorkerParts {
            config: self.config.clone(),
            inbox: inbox.clone(),
            reader,
            writer: Arc::clone(&self.store) as _,
            open: Arc::clone(&open),
            dead,
            limits: Limits::default(),
            clock: Arc::clone(&self.clock) as _,
        });
        Started {
            inbox,
            open,
            worker,
        }
    }
}

/// One life of a worker.
#[derive(Debug)]
pub(super) struct Started {
    inbox: Inbox,
    open: Arc<Open>,
    worker: Worker,
}

/// What is left to ask when the worker runs or has ended.
#[derive(Debug)]
pub(super) struct View {
    inbox: Inbox,
    pub(super) open: Arc<Open>,
    began: Instant,
}

impl Started {
    /// Takes what is in the inbox, then runs the worker for as long as `meanwhile` takes, and stops
    /// it. What it says of itself at the end; the folder is free again.
    pub(super) async fn run(self, meanwhile: impl AsyncFnOnce(&View)) -> AssembleStats {
        let (stop, stopping) = watch::channel(false);
        let Self {
            inbox,
            open,
            mut worker,
        } = self;
        worker.catch_up().await;
        let view = View {
            inbox,
            open,
            began: Instant::now(),
        };
        let until_stopped = async {
            meanwhile(&view).await;
            stop.send_replace(true);
        };
        tokio::join!(worker.run(stopping), until_stopped);
        let stats = view.stats();
        view.inbox.close().await;
        stats
    }
}

impl View {
    /// Waits until so many seconds of paused time have passed since the worker began to run, and a
    /// little more, so that all that is due then has been done.
    pub(super) async fn until(&self, seconds: u64) {
        sleep_until(self.began + Duration::from_millis(seconds * 1_000 + 250)).await;
    }

    /// Puts the requests into the inbox as one record; where it lies.
    pub(super) async fn receive(&self, requests: &[Trace]) -> Position {
        let accepted: usize = requests.iter().map(|request| request.set().len()).sum();
        let entry = Entry {
            receiver: 0,
            received_at: spans::BASE,
            accepted: u32::try_from(accepted).unwrap(),
            rejected: 0,
            payload: spans::batch(requests),
            extra: None,
        };
        let inbox = self.inbox.clone();
        let runtime = tokio::runtime::Handle::current();
        // Paused time would run off while nobody but the disk works; for a blocking task it stands still.
        let append = move || runtime.block_on(inbox.append(entry));
        tokio::task::spawn_blocking(append).await.unwrap().unwrap()
    }

    /// Spans of unreadable records.
    pub(super) fn lost(&self) -> u64 {
        self.inbox.stats().lost.accepted()
    }

    /// The worker's figures, after a check that they account for every span received.
    pub(super) fn stats(&self) -> AssembleStats {
        let stats = self.open.stats();
        let received = self.inbox.stats().totals.accepted();
        let lost = self.lost() - stats.lost_but_stored;
        let told = stats.books.total() + stats.dead_lettered + stats.open_spans as u64 + lost;
        assert_eq!(told, received, "{stats:?}");
        stats
    }
}
