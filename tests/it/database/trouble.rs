//! A database that takes nothing for a while: the inbox holds what was acknowledged, senders are told to come again
//! when it is full, and writing goes on by itself.

use super::{Collector, check, corpus};
use crate::bad_input::disk::{SmallDisk, large};
use crate::support::PATIENCE;
use anyhow::{Context, Result, ensure};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::postgres::Postgres;
use hoplog_testkit::spans::Trace;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[tokio::test]
async fn a_server_that_turns_read_only_is_waited_for() -> Result<()> {
    let postgres = Postgres::start_with(&[("fsync", "off")])?;
    postgres.create_database("history")?;
    let url = postgres.url("history");
    let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
    let mut collector = Collector::start(&folder, "one", &url).await?;
    let mut spans = 0;
    let mut send = async |seed| {
        for batch in corpus(seed).batches() {
            spans += u64::from(batch.spans);
            collector.export(batch.bytes).await?;
        }
        anyhow::Ok(())
    };
    send(1).await?;
    collector.settled().await?;
    // As after a failover to a server that is a standby still.
    for sql in [
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    ] {
        postgres.psql("postgres", sql)?;
    }
    send(2).await?;
    collector.in_trouble("read-only transaction").await?;
    for sql in [
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    ] {
        postgres.psql("postgres", sql)?;
    }
    collector.settled().await?;
    collector.stop().await?;
    let report = check(&url).await?;
    ensure!(report["books"]["stored"] == spans, "{report} of {spans}");
    Ok(())
}

/// Sends large requests until one is not taken because the store takes nothing: those that were, and the refusal.
async fn fill(collector: &Collector) -> Result<(Vec<Trace>, Status)> {
    let server = collector.server()?;
    let mut client = OtlpClient::connect(server.otlp_grpc).await?;
    let ready = format!("http://{}/readyz", server.http);
    let mut taken = Vec::new();
    loop {
        let request = large(taken.len());
        let sent = async || match client.export(request.bytes()).await {
            Ok(_) => Ok(Some(None)),
            Err(refusal) => {
                // Else it is the inbox alone that has no room at the moment.
                let is_ready = reqwest::get(&ready).await?.status().is_success();
                Ok((!is_ready).then_some(Some(refusal)))
            }
        };
        let what = "taken, or refused for good";
        match server.until(what, PATIENCE, sent).await? {
            None => taken.push(request),
            Some(refusal) => return Ok((taken, refusal)),
        }
    }
}

#[tokio::test]
async fn a_full_disk_of_the_database_loses_nothing() -> Result<()> {
    // Only the tables are on it: without room for its log PostgreSQL ends, which is another test.
    let disk = SmallDisk::mount()?;
    let tables = disk.path().join("tables");
    std::fs::create_dir(&tables)?;
    let parent = tables.ancestors().nth(2).context("a folder")?;
    std::fs::set_permissions(parent, PermissionsExt::from_mode(0o755))?;
    let given = Command::new("chown")
        .arg("postgres")
        .arg(&tables)
        .status()?;
    ensure!(given.success(), "chown: {given}");
    let postgres = Postgres::start_with(&[("fsync", "off")])?;
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", tables.display());
    postgres.psql("postgres", &place)?;
    postgres.psql("postgres", "CREATE DATABASE history TABLESPACE small")?;
    let url = postgres.url("history");
    let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
    let small = "[inbox]\nsegment_bytes = 1048576\nmax_bytes = 4194304\n";
    let mut collector = Collector::start_with(&folder, "one", &url, small).await?;
    disk.fill_up()?;
    let (taken, refusal) = fill(&collector).await?;
    ensure!(refusal.code() == Code::Unavailable, "{refusal:?}");
    let retry = refusal.get_details_retry_info().context("no RetryInfo")?;
    let delay = retry.retry_delay;
    ensure!(delay.is_some_and(|delay| !delay.is_zero()), "{retry:?}");
    collector.in_trouble("No space left on device").await?;

    disk.make_room()?;
    collector.settled().await?;
    // Those who were told to come again are taken.
    for batch in corpus(1).batches().take(1) {
        collector.export(batch.bytes).await?;
    }
    collector.settled().await?;
    collector.stop().await?;
    let report = check(&url).await?;
    ensure!(
        report["rows"].as_u64() > Some(taken.len() as u64),
        "{report}"
    );
    let rows = postgres.psql(
        "history",
        "SELECT encode(trace_id, 'hex') FROM hoplog.requests",
    )?;
    for request in taken {
        let id = request.trace_id().to_string();
        ensure!(rows.contains(&id), "{id} was acknowledged and is not there");
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_hoplog_finds_a_read_only_database_and_says_so() -> Result<()> {
    let postgres =
        Postgres::start_with(&[("fsync", "off"), ("default_transaction_read_only", "on")])?;
    let url = postgres.url("postgres");
    let told = super::refused(&url).await?;
    ensure!(told.contains("read-only transaction"), "{told}");
    Ok(())
}
