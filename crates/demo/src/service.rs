//! One running service: its socket, its telemetry, its end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hoplog_tower::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::shop::Options;

/// The longest a service may take to finish what it has begun.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A service that was started. It stops when it is told to, or dropped.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    telemetry: Telemetry,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Resolves when the service is to stop.
pub(crate) type Stop = oneshot::Receiver<()>;

impl Service {
    /// Runs what `serve` makes, handing it the signal to stop.
    pub(crate) fn spawn<F>(
        name: &'static str,
        telemetry: Telemetry,
        serve: impl FnOnce(Stop) -> F,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(stopped));
        Self {
            name,
            telemetry,
            stop,
            task,
        }
    }

    /// Serves a router over HTTP.
    pub(crate) fn http(
        name: &'static str,
        telemetry: Telemetry,
        listener: TcpListener,
        router: Router,
    ) -> Self {
        Self::spawn(name, telemetry, |stop| async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service)
                // A sender that is gone is as good as a word from it.
                .with_graceful_shutdown(async move { drop(stop.await) })
                .await?;
            Ok(())
        })
    }

    /// Lets it finish its requests, then sends out the last of its spans.
    ///
    /// # Errors
    /// If it failed while it ran, did not stop in time, or its spans did not all reach the collector.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        // It may have ended by itself; its outcome says how.
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        let ended = tokio::time::timeout(STOP_LIMIT, self.task).await;
        abort.abort();
        let flushed = self.telemetry.shutdown().await;
        let name = self.name;
        ended
            .with_context(|| format!("{name} did not stop within {STOP_LIMIT:?}"))??
            .with_context(|| format!("{name} failed"))?;
        flushed.with_context(|| format!("the telemetry of {name}"))
    }
}

/// The telemetry of one service, set up as its owner would.
pub(crate) fn telemetry(name: &'static str, options: &Options) -> anyhow::Result<Telemetry> {
    Telemetry::builder(name)
        // Several services share this process; one OTEL_SERVICE_NAME cannot be that of all.
        .ignore_environment()
        .endpoint(&options.otlp_endpoint)
        .batch_delay(options.batch_delay)
        .attribute("service.version", env!("CARGO_PKG_VERSION"))
        .attribute("deployment.environment.name", "demo")
        .build()
        .with_context(|| format!("the telemetry of {name}"))
}

/// A free port on the loopback.
pub(crate) async fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("a free port on the loopback")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Work that a real service would do here takes time.
pub(crate) async fn takes(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
