//! The parts of a running hoplog, put together one stage after the other. No logic here.

use crate::config::Config;
use crate::lifecycle::Stage;
use crate::pipeline::RunningPipeline;
use anyhow::{Context, Result};
use axum::Router;
use hoplog_assemble::{Assembler, DeadLetters, Open, Worker, WorkerParts};
use hoplog_inbox::{Account, Inbox, Reader};
use hoplog_model::{Clock, SystemClock};
use hoplog_query::Answers;
use hoplog_receive::Receiver;
use hoplog_store::{Checkpoint, Joined, Recovery, SpanWriter, Store};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

/// How long connections may take to end by themselves.
const CONNECTIONS_PATIENCE: Duration = Duration::from_secs(5);
/// How long the rest may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sockets, bound before anything starts, so that a port in use stops the start with a clear word.
#[derive(Debug)]
pub(crate) struct Listeners {
    http: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
}

/// Where a running hoplog listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// Web, API, gRPC query.
    pub(crate) http: SocketAddr,
    /// OTLP/gRPC.
    pub(crate) otlp_grpc: SocketAddr,
    /// OTLP/HTTP.
    pub(crate) otlp_http: SocketAddr,
}

impl Listeners {
    /// Binds all three.
    pub(crate) async fn bind(config: &Config) -> Result<Self> {
        Ok(Self {
            http: listen("http", config.http).await?,
            otlp_grpc: listen("otlp_grpc", config.otlp_grpc).await?,
            otlp_http: listen("otlp_http", config.otlp_http).await?,
        })
    }

    fn addresses(&self) -> Result<Addresses> {
        Ok(Addresses {
            http: self.http.local_addr()?,
            otlp_grpc: self.otlp_grpc.local_addr()?,
            otlp_http: self.otlp_http.local_addr()?,
        })
    }
}

async fn listen(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({name}); choose another address with --{} or in the config file", name.replace('_', "-")))
}

/// A running hoplog.
#[derive(Debug)]
pub(crate) struct App {
    addresses: Addresses,
    doors: Stage,
    upkeep: Stage,
    pages: Stage,
    worker: std::thread::JoinHandle<()>,
    stop_worker: watch::Sender<bool>,
    inbox: Inbox,
    store: Arc<dyn Store>,
}

impl App {
    /// Starts everything; when it returns, all that was acknowledged before is readable by id.
    pub(crate) async fn start(config: Config, listeners: Listeners) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let addresses = listeners.addresses()?;
        let repack_percent = config.store.repack_cpu_percent;
        let store = crate::database::open(&config, &clock).await?;
        let recovery = store
            .recovery()
            .await
            .context("reading what the store has recorded")?;
        let (inbox, reader) = open_inbox(&config, &recovery)?;
        let (open, worker) =
            open_assembler(&config, &inbox, reader, &store, recovery, &clock).await?;
        let receiver = Receiver::new(inbox.clone(), config.receive.clone(), Arc::clone(&clock));
        let pipeline = Arc::new(RunningPipeline {
            receiver: Arc::clone(&receiver),
            addresses: [addresses.otlp_grpc, addresses.otlp_http],
            inbox: inbox.clone(),
            open: Arc::clone(&open),
        });
        let joined = Joined::new(Arc::clone(&store) as _, open, Arc::clone(&clock));
        let clock_too = Arc::clone(&clock);
        let answers = Answers::new(
            Arc::new(joined),
            (Arc::clone(&store) as _, Arc::clone(&store) as _),
            pipeline,
            clock_too,
        );
        let answers = Arc::new(answers);

        let (stop_worker, stopping) = watch::channel(false);
        let worker = spawn_worker(worker, stopping)?;
        let doors = open_doors(&receiver, listeners.otlp_grpc, listeners.otlp_http);
        let pages = open_pages(&config, &answers, addresses, listeners.http);
        let upkeep = start_upkeep(&store, &clock, repack_percent);
        Ok(Self {
            addresses,
            doors,
            upkeep,
            pages,
            worker,
            stop_worker,
            inbox,
            store,
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until a part ends that should not.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            why = self.doors.failed() => why,
            why = self.pages.failed() => why,
            why = self.upkeep.failed() => why,
        }
    }

    /// Stops in the direction of the data: doors, inbox, assembler, store, pages.
    pub(crate) async fn stop(self) {
        self.doors.stop(CONNECTIONS_PATIENCE).await;
        self.upkeep.stop(PATIENCE).await;
        self.stop_worker.send_replace(true);
        let worker = tokio::task::spawn_blocking(move || self.worker.join());
        if !matches!(worker.await, Ok(Ok(()))) {
            tracing::error!("the assembler broke down; the inbox holds what it had open");
        }
        self.inbox.close().await;
        self.pages.stop(CONNECTIONS_PATIENCE).await;
        if let Err(why) = self.store.close().await {
            tracing::error!(%why, "the store did not close; it recovers at the next start");
        }
        info!("stopped");
    }
}

/// The inbox's own totals at a checkpoint.
pub(crate) fn account(checkpoint: &Checkpoint) -> Result<Account> {
    match checkpoint.inbox_totals.as_slice() {
        [] => Ok(Account::default()),
        json => serde_json::from_slice(json).context("the checkpoint's totals"),
    }
}

/// The inbox from where the store's checkpoint is.
pub(crate) fn open_inbox(config: &Config, recovery: &Recovery) -> Result<(Inbox, Reader)> {
    let account = account(&recovery.checkpoint)?;
    let from = recovery.checkpoint.position;
    Inbox::open(
        &config.data.join("inbox"),
        config.inbox.clone(),
        from,
        account,
    )
    .context("opening the inbox")
}

async fn open_assembler(
    config: &Config,
    inbox: &Inbox,
    reader: Reader,
    store: &Arc<dyn Store>,
    mut recovery: Recovery,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<Open>, Worker)> {
    let dead = DeadLetters::open(&config.data.join("dead"))?;
    recovery.upto.extend(dead.upto());
    let assembler = Assembler::new(config.assemble.clone(), &recovery);
    let open = Open::new(assembler, recovery.books);
    let mut worker = Worker::new(WorkerParts {
        config: config.assemble.clone(),
        inbox: inbox.clone(),
        reader,
        writer: Arc::clone(store) as Arc<dyn SpanWriter>,
        open: Arc::clone(&open),
        dead,
        limits: config.receive.limits(),
        clock: Arc::clone(clock),
    });
    worker.catch_up().await;
    Ok((open, worker))
}

/// The assembler has a thread of its own: packing rows must not hold up connections.
fn spawn_worker(
    worker: Worker,
    stopping: watch::Receiver<bool>,
) -> Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let run = move || runtime.block_on(worker.run(stopping));
    Ok(std::thread::Builder::new()
        .name("assemble".to_owned())
        .spawn(run)?)
}

fn open_doors(receiver: &Arc<Receiver>, grpc: TcpListener, http: TcpListener) -> Stage {
    let mut stage = Stage::new("a receiver");
    for listener in [grpc, http] {
        serve_on(&mut stage, listener, hoplog_receive::router(receiver));
    }
    stage
}

fn open_pages(
    config: &Config,
    answers: &Arc<Answers>,
    addresses: Addresses,
    listener: TcpListener,
) -> Stage {
    let web = hoplog_web::Config {
        hosts: config.hosts.clone(),
        otlp_grpc: format!("http://{}", addresses.otlp_grpc),
        otlp_http: format!("http://{}", addresses.otlp_http),
        keep: config.store.policy(),
    };
    let router = hoplog_query::grpc_routes(Arc::clone(answers))
        .merge(hoplog_query::http_routes(Arc::clone(answers)))
        .merge(hoplog_web::router(Arc::clone(answers), web))
        .layer(hoplog_web::GuardLayer::new(config.hosts.clone()));
    let mut stage = Stage::new("the web server");
    serve_on(&mut stage, listener, router);
    stage
}

fn serve_on(stage: &mut Stage, listener: TcpListener, router: Router) {
    let stop = stage.token();
    stage.spawn(async move {
        let stopped = async move { stop.cancelled().await };
        Ok(axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await?)
    });
}

fn start_upkeep(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, repack_percent: u32) -> Stage {
    let mut stage = Stage::new("the upkeep");
    let upkeep = crate::serve::upkeep(Arc::clone(store) as _, Arc::clone(clock), stage.token());
    stage.spawn(upkeep);
    let store = Arc::clone(store) as _;
    stage.spawn(crate::repacking::repack(
        store,
        repack_percent,
        stage.token(),
    ));
    stage
}
