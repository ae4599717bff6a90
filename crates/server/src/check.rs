//! `hoplog check`: is everything in a stopped data folder, or in a database, as it must be?

use crate::compose::{account, open_inbox};
use crate::config::Config;
use anyhow::{Context, Result};
use hoplog_assemble::{Assembler, DeadLetters, Record};
use hoplog_inbox::Totals;
use hoplog_model::SystemClock;
use hoplog_otlp::slice;
use hoplog_query::answers::BooksAnswer;
use hoplog_store::{CheckReport, Difference, Maintenance, Recovery, SpanWriter};
use hoplog_store_postgres::PostgresStore;
use hoplog_store_sqlite::SqliteStore;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A line is printed after so many rows where there is no terminal.
const ROWS_PER_LINE: u64 = 100_000;

/// Checks and prints one JSON object; failure if anything differs.
pub(crate) fn run(config: &Config) -> Result<ExitCode> {
    let report = crate::serve::runtime()?.block_on(check(config))?;
    println!("{}", serde_json::to_string(&report.to_json())?);
    Ok(if report.store.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Report {
    store: CheckReport,
    books: BooksAnswer,
}

impl Report {
    fn to_json(&self) -> serde_json::Value {
        json!({
            "ok": self.store.differences.is_empty(),
            "rows": self.store.rows,
            "spans": self.store.spans,
            "differences": self.store.differences,
            "books": self.books,
        })
    }
}

async fn check(config: &Config) -> Result<Report> {
    if let Some(url) = &config.database {
        return check_database(url).await;
    }
    let folder = &config.data;
    let shown = folder.display();
    anyhow::ensure!(folder.is_dir(), "there is no data folder {shown}");
    // A running hoplog holds the store's catalogue, so this ends here before the inbox is touched.
    let opened = SqliteStore::open_read_only(folder, Arc::new(SystemClock)).await;
    let store = opened.with_context(|| format!("opening the store in {shown}"))?;
    let recovery = store.recovery().await?;
    let waiting = waiting(config, recovery)?;
    let report = store.check(&progress()).await?;
    Ok(balance(report, &waiting))
}

/// What a database holds of all collectors, as far as their checkpoints tell.
async fn check_database(url: &str) -> Result<Report> {
    let opened = PostgresStore::open_read_only(url, Arc::new(SystemClock)).await;
    let store = opened.context("opening the store in the database")?;
    let report = store.check(&progress()).await?;
    let mut waiting = Waiting::default();
    for checkpoint in store.checkpoints().await? {
        let account = account(&checkpoint)?;
        waiting.totals = waiting.totals.and(&account.totals);
        waiting.unread += account.lost.accepted();
    }
    // Nobody knows here what waits in the inboxes, so the books cannot fail to balance: what is not accounted for waits.
    let known = report.books.total() + waiting.totals.rejected();
    waiting.spans = waiting
        .totals
        .spans()
        .saturating_sub(known + waiting.unread);
    Ok(Report {
        books: books(&report, &waiting),
        store: report,
    })
}

/// What the inbox holds that is not in the store.
#[derive(Default)]
struct Waiting {
    spans: u64,
    unread: u64,
    dead: u64,
    totals: Totals,
}

fn waiting(config: &Config, mut recovery: Recovery) -> Result<Waiting> {
    let (inbox, mut reader) = open_inbox(config, &recovery)?;
    let dead = DeadLetters::open(&config.data.join("dead"))?;
    recovery.upto.extend(dead.upto());
    let unbounded = hoplog_assemble::Config {
        memory_bytes: usize::MAX,
        ..config.assemble.clone()
    };
    let mut assembler = Assembler::new(unbounded, &recovery);
    let mut spans = 0;
    while let Some(record) = reader.try_next() {
        let sliced = slice(record.entry.payload.clone(), &config.receive.limits())
            .with_context(|| format!("the inbox's record at {}", record.position))?;
        let (position, next) = (record.position, record.next);
        let received_at = record.entry.received_at;
        let pushed = assembler.push(
            received_at,
            Record {
                position,
                next,
                received_at,
            },
            &sliced,
        );
        spans += u64::from(pushed.taken);
        // Only the number matters: nothing is kept.
        assembler.expire(u64::MAX, usize::MAX, |_| false);
    }
    let stats = inbox.stats();
    Ok(Waiting {
        spans,
        unread: stats.lost.accepted(),
        dead: dead.spans(),
        totals: stats.totals,
    })
}

fn books(report: &CheckReport, waiting: &Waiting) -> BooksAnswer {
    let written = report.books;
    let received = waiting.totals.spans();
    let known = written.total() + waiting.totals.rejected() + waiting.dead + waiting.spans;
    BooksAnswer {
        received,
        stored: written.stored,
        duplicate: written.duplicate,
        left_out: written.left_out,
        rejected: waiting.totals.rejected(),
        dead_lettered: waiting.dead,
        // The store may have had spans of a record before it was damaged.
        lost: waiting.unread.min(received.saturating_sub(known)),
        waiting: waiting.spans,
    }
}

fn balance(mut report: CheckReport, waiting: &Waiting) -> Report {
    let books = books(&report, waiting);
    if !books.balances() {
        let what = format!("the books do not balance: {books:?}");
        report.differences.push(Difference {
            trace_id: None,
            what,
        });
    }
    Report {
        store: report,
        books,
    }
}

/// A bar on a terminal, a line now and then elsewhere.
fn progress() -> impl Fn(u64, u64) + Send + Sync {
    let is_terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(
        None,
        if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        },
    );
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} requests, {eta} left")
    {
        bar.set_style(style);
    }
    let printed = AtomicU64::new(0);
    move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        let step = done / ROWS_PER_LINE;
        if !is_terminal && printed.swap(step, Ordering::Relaxed) < step {
            eprintln!("checked {done} of {all} requests");
        }
    }
}
