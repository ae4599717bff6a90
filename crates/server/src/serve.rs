//! `hoplog serve`: start, say where, run until asked to stop.

use crate::compose::{Addresses, App, Listeners};
use crate::config::Config;
use crate::lifecycle::Signals;
use anyhow::{Context, Result};
use hoplog_model::Clock;
use hoplog_store::{Maintenance, StoreError};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Time between two looks at retention and dictionaries.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// Sends log lines to stderr as the configuration says.
pub(crate) fn log_to_stderr(config: &Config, is_demo: bool) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log).context("log: not a level or filter")?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_filter(filter);
    let all = tracing_subscriber::registry().with(lines);
    // The shop's own steps and log lines become spans and events of its requests.
    #[cfg(feature = "demo")]
    let all = all.with(is_demo.then(hoplog_demo::tracing_layer));
    all.try_init().map_err(|why| anyhow::anyhow!("{why}"))
}

/// A runtime for everything but the assembler.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(config: Config) -> Result<()> {
    runtime()?.block_on(async {
        let listeners = Listeners::bind(&config).await?;
        let mut app = App::start(config, listeners).await?;
        let mut signals = Signals::listen()?;
        print_addresses(app.addresses())?;
        let ended = tokio::select! {
            () = signals.asked_to_stop() => Ok(()),
            why = app.failed() => Err(why),
        };
        app.stop().await;
        ended
    })
}

/// One line each on stdout, for people and for programs that start hoplog.
fn print_addresses(at: Addresses) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "http={}", at.http)?;
    writeln!(out, "otlp-grpc={}", at.otlp_grpc)?;
    writeln!(out, "otlp-http={}", at.otlp_http)?;
    Ok(out.flush()?)
}

/// Retention and better dictionaries, until stopped.
pub(crate) async fn upkeep(
    store: Arc<dyn Maintenance>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<()> {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        match store.retain(clock.now()).await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "retention dropped requests"),
            Err(why) => warn!(%why, "retention did not finish; trying again"),
        }
        match store.train().await {
            Ok(true) => info!("a better dictionary is in use"),
            Ok(false) => {}
            Err(why) => warn!(%why, "no dictionary could be trained; trying again"),
        }
        let failed = "search filters could not be merged";
        while !stop.is_cancelled() && is_more(store.merge().await, failed) {}
        let failed = "free space could not be given back";
        while !stop.is_cancelled() && is_more(store.give_back().await, failed) {}
    }
}

/// Whether a step of upkeep has left more to do. One that failed is tried again with the next upkeep.
fn is_more(step: Result<bool, StoreError>, failed: &str) -> bool {
    step.unwrap_or_else(|why| {
        warn!(%why, "{failed}; trying again");
        false
    })
}
