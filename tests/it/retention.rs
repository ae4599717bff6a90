//! How long requests are kept: by outcome, by hand, and what goes when the disk is full.

use crate::bad_input::disk::SmallDisk;
use crate::support::{Home, Hoplog, PATIENCE, QUICK};
use anyhow::{Context, Result, ensure};
use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_model::{Clock, SpanKind, SystemClock, TraceId};
use hoplog_store::conformance::build::{Span, part, trace as nth};
use hoplog_store::conformance::retention::policy;
use hoplog_store::conformance::writing::noise;
use hoplog_store::conformance::{NOW, books, clock, write};
use hoplog_store::retention::{Bytes, Keep};
use hoplog_store::{Maintenance, Part, Pins, StoreError, TraceReader};
use hoplog_store_sqlite::{Config, SqliteStore};
use hoplog_testkit::spans::{Trace, batch, trace};

/// Five hours ago, in a partition of its own.
fn old(name: &str) -> Trace {
    let base = SystemClock.now() - 5 * HOUR;
    let root = trace(name).base(base).span("root").kind(SpanKind::Server);
    root.name("GET /orders")
}

/// `PUT` or `DELETE` of `keep`; whether that changed anything.
async fn keep(hoplog: &Hoplog, method: reqwest::Method, id: TraceId) -> Result<bool> {
    let url = hoplog.url(&format!("/api/v1/requests/{id}/keep"));
    let answer = reqwest::Client::new().request(method, url).send().await?;
    let body: serde_json::Value = answer.error_for_status()?.json().await?;
    body["changed"].as_bool().context("no changed")
}

#[tokio::test]
async fn errors_and_what_is_kept_by_hand_outlive_the_rest() -> Result<()> {
    let hourly = format!("{QUICK}\n[store]\npartition_hours = 1\n");
    let hoplog = Home::new(&hourly)?.start().await?;
    let (fine, pinned) = (old("fine"), old("pinned"));
    let failed = old("failed").error("no");
    // Before it is there.
    ensure!(keep(&hoplog, reqwest::Method::PUT, pinned.trace_id()).await?);
    hoplog
        .send(batch(&[fine.clone(), pinned.clone(), failed.clone()]))
        .await?;
    let before = hoplog.settled_books().await?;
    for one in [&fine, &pinned, &failed] {
        hoplog.request_with(one.trace_id(), 1).await?;
    }
    let home = hoplog.stop().await?;
    // Each start begins with upkeep.
    let keeping = "keep = { rest = \"1h\", slow = \"1h\", errors = \"30d\" }\n";
    home.configure(&format!("{hourly}{keeping}"))?;
    let hoplog = home.start().await?;
    gone(&hoplog, &fine).await?;
    hoplog.request_with(failed.trace_id(), 1).await?;
    let found = hoplog.request_with(pinned.trace_id(), 1).await?;
    ensure!(found["flags"].to_string().contains("kept"), "{found}");
    let now = hoplog.books().await?;
    ensure!(now == before, "the books changed: {now}, not {before}");

    ensure!(keep(&hoplog, reqwest::Method::DELETE, pinned.trace_id()).await?);
    let home = hoplog.stop().await?;
    home.check().await?;
    // By another partition's age the pinned one would have gone with the rest.
    home.configure(&format!(
        "{hourly}keep = {{ rest = \"1h\", slow = \"1h\", errors = \"1h\" }}\n"
    ))?;
    let hoplog = home.start().await?;
    gone(&hoplog, &pinned).await?;
    gone(&hoplog, &failed).await?;
    let now = hoplog.books().await?;
    ensure!(now == before, "the books changed: {now}, not {before}");
    hoplog.stop().await?.check().await?;
    Ok(())
}

async fn gone(hoplog: &Hoplog, request: &Trace) -> Result<()> {
    let is_gone = async || {
        let found = hoplog.request(request.trace_id()).await?;
        Ok(found.is_none().then_some(()))
    };
    let what = "retention takes what is past its age";
    hoplog.server.until(what, PATIENCE, is_gone).await
}

/// Requests of a day, each 64 KiB that nothing can pack.
const A_DAY: u64 = 50;

/// The n-th of a day; the first one fails.
fn large(day: u64, n: u64) -> Part {
    let at = NOW - day * DAY + n;
    let id = (day + 1) * 1_000 + n;
    let root = Span::root(1).at(at, 5);
    let root = root.with("noise", noise(id, 64 << 10).as_str());
    let root = if n == 0 { root.failed("no") } else { root };
    Part {
        received_at: at,
        ..part(nth(id), &[root])
    }
}

async fn open(disk: &SmallDisk, keep: Keep) -> Result<SqliteStore> {
    let config = Config {
        keep,
        ..Config::default()
    };
    Ok(SqliteStore::open(&disk.path(), config, clock()).await?)
}

async fn fill(store: &SqliteStore, days: &[u64]) {
    for day in days {
        let parts = (0..A_DAY).map(|n| large(*day, n));
        write(store, parts.collect()).await;
    }
}

async fn is_clean(store: &SqliteStore) -> Result<()> {
    let report = store.check(&|_, _| ()).await?;
    ensure!(report.differences.is_empty(), "{:?}", report.differences);
    Ok(())
}

#[tokio::test]
async fn on_a_full_disk_whole_days_make_room_for_what_stays_of_others() -> Result<()> {
    let disk = SmallDisk::mount()?;
    let store = open(&disk, policy()).await?;
    fill(&store, &[40, 5, 0]).await;
    let before = books(&store).await;
    disk.fill_to_the_brim()?;
    ensure!(store.retain(NOW).await? == A_DAY + A_DAY - 1);
    let free = disk.fill_to_the_brim()?;
    println!("{free} bytes came free");
    ensure!(free > (2 * A_DAY - 1) * (48 << 10), "{free} bytes");
    // A file that was not read before takes some room to be read.
    disk.make_room()?;
    ensure!(store.get(&nth(6_000)).await?.is_some());
    ensure!(store.get(&nth(6_001)).await?.is_none());
    ensure!(books(&store).await == before);
    is_clean(&store).await
}

#[tokio::test]
async fn what_cannot_be_copied_stays_until_there_is_room() -> Result<()> {
    let disk = SmallDisk::mount()?;
    let store = open(&disk, policy()).await?;
    fill(&store, &[5, 0]).await;
    disk.fill_to_the_brim()?;
    let refused = store.retain(NOW).await;
    ensure!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    ensure!(store.health().await?.rows == 2 * A_DAY);
    disk.make_room()?;
    ensure!(store.retain(NOW).await? == 0, "it was put off");
    ensure!(store.retain(NOW + 11 * MINUTE).await? == A_DAY - 1);
    is_clean(&store).await
}

#[tokio::test]
async fn by_size_even_a_pinned_request_goes_that_cannot_be_copied() -> Result<()> {
    let disk = SmallDisk::mount()?;
    let keep = Keep {
        bytes: Bytes::AtMost(A_DAY * (64 << 10) * 3 / 2),
        ..Keep::forever()
    };
    let store = open(&disk, keep).await?;
    fill(&store, &[5, 0]).await;
    ensure!(store.pin(nth(6_007), true, NOW).await?);
    disk.fill_to_the_brim()?;
    ensure!(store.retain(NOW).await? == A_DAY);
    let free = disk.fill_to_the_brim()?;
    println!("{free} bytes came free");
    ensure!(free > A_DAY * (48 << 10), "{free} bytes");
    let health = store.health().await?;
    ensure!((health.retained.size.pinned, health.pins) == (1, 0));
    is_clean(&store).await
}

#[tokio::test]
async fn on_a_full_disk_days_that_are_not_open_are_asked_for_pinned_requests() -> Result<()> {
    let disk = SmallDisk::mount()?;
    let keep = Keep {
        bytes: Bytes::AtMost(A_DAY * (64 << 10) * 3 / 2),
        ..Keep::forever()
    };
    let store = open(&disk, keep).await?;
    // More than have an open connection.
    for day in (6..30).rev() {
        write(&store, vec![large(day, 1)]).await;
    }
    fill(&store, &[5, 0]).await;
    ensure!(store.pin(nth(6_007), true, NOW).await?);
    disk.fill_to_the_brim()?;
    // What comes free is room for the one that stays.
    ensure!(store.retain(NOW).await? == 24 + A_DAY - 1);
    let health = store.health().await?;
    ensure!((health.rows, health.pins) == (A_DAY + 1, 1));
    disk.make_room()?;
    ensure!(store.get(&nth(6_007)).await?.is_some());
    is_clean(&store).await
}
