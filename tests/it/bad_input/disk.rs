//! A full disk: senders are told to come again, nothing acknowledged is lost, and it heals.

use crate::support::{Home, Hoplog, QUICK, eventually, recently};
use anyhow::{Context, Result, ensure};
use hoplog_model::SpanKind::Server;
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::spans::{Trace, trace};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Of the disk, in MiB, and of what lies on it that is not hoplog's.
const DISK: usize = 64;
const BALLAST: usize = 52;
/// Far more than would fit.
const REQUESTS_MAX: usize = 2_000;

/// A small disk of its own, gone with the value. Declare it before what uses it.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts an empty one.
    pub(crate) fn mount() -> Result<Self> {
        let disk = Self {
            folder: tempfile::Builder::new().prefix("hoplog-disk-").tempdir()?,
        };
        std::fs::create_dir(disk.path())?;
        mount(
            &["-t", "tmpfs", "-o", &format!("size={DISK}m"), "tmpfs"],
            &disk.path(),
        )?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// From now on nothing can be written to it.
    pub(crate) fn make_read_only(&self) -> Result<()> {
        mount(&["-o", "remount,ro"], &self.path())
    }

    /// A hoplog that has the disk as its data folder; its log lies elsewhere.
    pub(crate) fn home(&self, config: &str) -> Result<Home> {
        Home::with_data(TempDir::new()?, self.path(), config)
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    pub(crate) fn fill_up(&self) -> Result<()> {
        Ok(std::fs::write(self.ballast(), vec![0; BALLAST << 20])?)
    }

    /// Leaves not a page; how many bytes that took.
    pub(crate) fn fill_to_the_brim(&self) -> Result<u64> {
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        let mut written = 0;
        loop {
            match ballast.write(&[0; 4 << 10]) {
                Ok(bytes) => written += bytes as u64,
                Err(why) if why.kind() == ErrorKind::StorageFull => return Ok(written),
                Err(why) => return Err(why.into()),
            }
        }
    }

    pub(crate) fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }
}

fn mount(arguments: &[&str], place: &Path) -> Result<()> {
    let done = Command::new("mount").args(arguments).arg(place).output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(
        done.status.success(),
        "this test mounts a tmpfs, for which it must be root: {said}"
    );
    Ok(())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may still have files open.
        drop(
            Command::new("umount")
                .arg("--lazy")
                .arg(self.path())
                .status(),
        );
    }
}

/// A request of 64 KiB that nothing can pack.
pub(crate) fn large(n: usize) -> Trace {
    let mut noise = vec![0; 64 << 10];
    StdRng::seed_from_u64(n as u64).fill_bytes(&mut noise);
    let value = Some(AnyValue {
        value: Some(Value::BytesValue(noise)),
    });
    let noise = KeyValue {
        key: "noise".to_owned(),
        value,
        ..KeyValue::default()
    };
    let root = trace(&format!("large-{n}"))
        .base(recently())
        .span("root")
        .kind(Server);
    root.name("PUT /files")
        .with(|span| span.attributes.push(noise))
}

/// Sends large requests until one is not taken: those that were, and the refusal.
async fn fill(client: &mut OtlpClient) -> Result<(Vec<Trace>, Status)> {
    let mut taken = Vec::new();
    for n in 0..REQUESTS_MAX {
        let request = large(n);
        match client.export(request.bytes()).await {
            Ok(_) => taken.push(request),
            Err(status) => return Ok((taken, status)),
        }
    }
    anyhow::bail!("the disk does not get full")
}

async fn all_are_there(hoplog: &Hoplog, requests: &[Trace]) -> Result<()> {
    for request in requests {
        hoplog.request_with(request.trace_id(), 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() -> Result<()> {
    let disk = SmallDisk::mount()?;
    disk.fill_up()?;
    // Nothing is written to rows meanwhile: what is full stays full.
    let hoplog = disk
        .home("[assemble]\nquiet_seconds = 3600\n")?
        .start()
        .await?;
    let mut client = OtlpClient::connect(hoplog.server.otlp_grpc).await?;
    let (taken, refusal) = fill(&mut client).await?;
    ensure!(taken.len() > 20, "full after {} requests", taken.len());
    ensure!(refusal.code() == Code::Unavailable, "{refusal:?}");
    let retry = refusal.get_details_retry_info().context("no RetryInfo")?;
    ensure!(
        retry.retry_delay.is_some_and(|delay| !delay.is_zero()),
        "{retry:?}"
    );
    let body = large(REQUESTS_MAX).bytes();
    let answer = hoplog
        .export(&[("content-type", "application/x-protobuf")], body)
        .await?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(
        answer.header("retry-after").parse::<u64>()? > 0,
        "{answer:?}"
    );
    all_are_there(&hoplog, &taken)
        .await
        .context("while the disk is full")?;
    ensure!(hoplog.books().await?["waiting"] == taken.len());

    let home = hoplog.kill().await?;
    disk.make_room()?;
    home.configure(QUICK)?;
    let hoplog = home.start().await?;
    all_are_there(&hoplog, &taken)
        .await
        .context("after a kill on the full disk")?;
    let books = hoplog.settled_books().await?;
    ensure!(books["stored"] == taken.len(), "{books}");
    hoplog.stop().await?.check().await?;
    Ok(())
}

#[tokio::test]
async fn room_on_a_full_disk_is_used_at_once() -> Result<()> {
    let disk = SmallDisk::mount()?;
    disk.fill_up()?;
    // Inbox and rows fill it together.
    let hoplog = disk.home(QUICK)?.start().await?;
    let mut client = OtlpClient::connect(hoplog.server.otlp_grpc).await?;
    let (mut taken, _) = fill(&mut client).await?;
    hoplog.books().await?;

    disk.make_room()?;
    let again = large(REQUESTS_MAX);
    eventually("the sender that comes again is taken", async || {
        Ok(client.export(again.bytes()).await.ok())
    })
    .await?;
    taken.push(again);
    let books = hoplog.settled_books().await?;
    all_are_there(&hoplog, &taken).await?;
    ensure!(books["dead_lettered"] == 0, "{books}");
    hoplog.stop().await?.check().await?;
    Ok(())
}
