//! Tasks that are waited for, and the order in which they stop.

use anyhow::Result;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Tasks that stop together.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    tasks: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Stage {
    /// A stage without tasks.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Cancelled when the stage is to stop.
    pub(crate) fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that ends soon after [`Stage::token`] is cancelled.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until a task ends though it was not asked to; that is a failure of the whole.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(why))) => why.context(format!("{} ended", self.name)),
            Some(Ok(Ok(()))) => anyhow::anyhow!("{} ended by itself", self.name),
            Some(Err(why)) => anyhow::anyhow!("{} broke down: {why}", self.name),
            None => std::future::pending().await,
        }
    }

    /// Asks every task to end, waits at most `patience`, then ends them.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(why) = ended.map_err(anyhow::Error::from).flatten() {
                    error!(stage = self.name, %why, "a task failed while stopping");
                }
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            warn!(
                stage = self.name,
                left = self.tasks.len(),
                "took too long to stop; ended"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// SIGTERM and SIGINT, heard from when this is made: before anybody is told that hoplog is ready, so that a stop that
/// follows at once is one.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Ends with the first of them.
    pub(crate) async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
