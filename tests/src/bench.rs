//! The benchmark: a seeded corpus into a fresh server, then questions to it.

use crate::load::{Load, Sent};
use crate::yardstick::Yardstick;
use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use hoplog_model::times::{MINUTE, SECOND, rfc3339};
use hoplog_model::{Clock, Interface, SpanKind, SystemClock, TraceId};
use hoplog_testkit::corpus::{Corpus, CorpusOptions, Facts, Ids};
use hoplog_testkit::postgres::Postgres;
use hoplog_testkit::process::{Server, ServerOptions};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long the server may take to write what it has acknowledged.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Options of `cargo xtask bench`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
pub struct Options {
    /// Spans to send.
    #[arg(long, default_value_t = 2_000_000)]
    spans: u64,
    /// Trace ids: random, as most SDKs send them, or time-ordered.
    #[arg(long, default_value = "random")]
    ids: IdsOption,
    /// As fast as the server takes it, or at the corpus's own pace (a request's spans spread over 5 s).
    #[arg(long, default_value = "full")]
    pace: Pace,
    /// Where the requests are kept: in files, or in a PostgreSQL of its own (its CPU time counts too).
    #[arg(long, default_value = "sqlite")]
    database: DatabaseOption,
    /// Times to repeat all of it; the spread is printed.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Connections that send.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Questions of each kind.
    #[arg(long, default_value_t = 200)]
    questions: usize,
    /// Seed of the corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leaves the data folder of each run where it is and says where, to look into it afterwards.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IdsOption {
    Random,
    V7,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DatabaseOption {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    Full,
    Real,
}

/// One line of the report: a name, a unit, and a figure of each run.
struct Figure {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

/// Runs it and prints the figures.
pub async fn run(options: &Options) -> Result<()> {
    let mut figures: Vec<Figure> = Vec::new();
    for number in 1..=options.runs {
        println!("run {number} of {}: {} spans", options.runs, options.spans);
        for (name, unit, value) in one_run(options).await? {
            match figures.iter_mut().find(|figure| figure.name == name) {
                Some(figure) => figure.values.push(value),
                None => figures.push(Figure {
                    name,
                    unit,
                    values: vec![value],
                }),
            }
        }
    }
    println!("\n{:<44} {:>12}  {:<22} spread", "figure", "median", "unit");
    for figure in &mut figures {
        figure.values.sort_by(f64::total_cmp);
        let median = figure.values[figure.values.len() / 2];
        let (least, most) = (figure.values[0], figure.values[figure.values.len() - 1]);
        println!(
            "{:<44} {median:>12.2}  {:<22} {least:.2} .. {most:.2}",
            figure.name, figure.unit
        );
    }
    Ok(())
}

/// What an administrator would set at least on a machine of this size.
const POSTGRES: [(&str, &str); 3] = [
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    ("wal_compression", "off"),
];
/// Bytes of hoplog's tables and indexes.
const DATABASE_SIZE: &str = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class \
     WHERE relnamespace = 'hoplog'::regnamespace AND relkind = 'r'";

type Line = (String, &'static str, f64);

async fn one_run(options: &Options) -> Result<Vec<Line>> {
    let folder = tempfile::Builder::new()
        .prefix("hoplog-bench-")
        .disable_cleanup(options.keep)
        .tempdir()?;
    if options.keep {
        println!("kept: {}", folder.path().display());
    }
    let data = folder.path().join("data");
    let postgres = match options.database {
        DatabaseOption::Sqlite => None,
        DatabaseOption::Postgres => Some(Postgres::start_with(&POSTGRES)?),
    };
    let mut server_options = ServerOptions::new(&data);
    if let Some(postgres) = &postgres {
        let url = postgres.url("postgres");
        server_options.arguments = vec!["--database".to_owned(), url];
    }
    // A line a batch tells when to look whether all is written.
    let told = (
        "HOPLOG_LOG".to_owned(),
        "info,hoplog_assemble=debug".to_owned(),
    );
    server_options.environment = vec![told];
    let server = Server::start(&server_options).await?;
    let corpus = Corpus::new(CorpusOptions {
        seed: options.seed,
        spans: options.spans,
        ids: match options.ids {
            IdsOption::Random => Ids::Random,
            IdsOption::V7 => Ids::V7,
        },
        start_at: SystemClock.now() - 10 * MINUTE,
    });
    let load = Load {
        connections: options.connections,
        real_pace: options.pace == Pace::Real,
    };
    let yardstick = Yardstick::start();
    let sent = load.send(&corpus, server.otlp_grpc).await?;
    let under_load = yardstick.finish()?;
    ensure!(
        sent.spans == corpus.spans(),
        "{} of {} spans sent",
        sent.spans,
        corpus.spans()
    );
    let peak_rss = server.peak_rss_bytes()?;
    let books = settle(&server).await?;
    let cpu_seconds = server.cpu_seconds()?;
    let mut lines = ingest_lines(&sent, cpu_seconds, peak_rss, &books);
    if let Some(postgres) = &postgres {
        let all = (cpu_seconds + postgres.cpu_seconds()?) / (sent.spans as f64 / 1e6);
        lines.push(("the same with PostgreSQL".to_owned(), "s", all));
    }
    lines.push(("fixed work, while sending".to_owned(), "us", under_load));
    let parts = more_than_one_part(&server).await?;
    lines.push((
        "rows written in more than one part".to_owned(),
        "rows",
        parts,
    ));
    lines.extend(ask(options, &server, &corpus.facts()).await?);
    let peak_rss = server.peak_rss_bytes()?;
    lines.push(("peak RSS with questions".to_owned(), "MiB", mib(peak_rss)));
    let ended = server.stop(STOP_WITHIN).await?;
    ensure!(
        ended.status.success(),
        "the server ended with {}",
        ended.status
    );
    let size = match &postgres {
        None => folder_size(&data)?,
        Some(postgres) => postgres.psql("postgres", DATABASE_SIZE)?.parse()?,
    };
    lines.push((
        "on disk per span".to_owned(),
        "bytes",
        size / sent.spans as f64,
    ));
    lines.push((
        "stop after SIGTERM".to_owned(),
        "s",
        ended.took.as_secs_f64(),
    ));
    Ok(lines)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn ingest_lines(sent: &Sent, cpu_seconds: f64, peak_rss: u64, books: &Value) -> Vec<Line> {
    let millions = sent.spans as f64 / 1e6;
    let line = |name: &str, unit, value| (name.to_owned(), unit, value);
    vec![
        line(
            "acknowledged spans",
            "1000/s",
            sent.spans as f64 / sent.took.as_secs_f64() / 1e3,
        ),
        line("server CPU per million spans", "s", cpu_seconds / millions),
        line("peak RSS while sending", "MiB", mib(peak_rss)),
        line("requests told to retry", "requests", sent.retries as f64),
        line(
            "spans stored",
            "spans",
            books["stored"].as_f64().unwrap_or_default(),
        ),
    ]
}

/// Waits until every acknowledged span is in a row.
async fn settle(server: &Server) -> Result<Value> {
    let url = format!("http://{}/api/v1/books", server.http);
    let settled = async || {
        let books = get(&url).await?;
        Ok((books["waiting"] == 0).then_some(books))
    };
    let what = "nothing waits to be written";
    server.until(what, SETTLE_WITHIN, settled).await
}

async fn more_than_one_part(server: &Server) -> Result<f64> {
    let metrics = reqwest::get(format!("http://{}/metrics", server.http))
        .await?
        .text()
        .await?;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("hoplog_rows_merged_total "));
    Ok(line
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(f64::NAN))
}

async fn get(url: &str) -> Result<Value> {
    let answer = reqwest::get(url).await?;
    let status = answer.status();
    let body = answer.text().await?;
    ensure!(status.is_success(), "{url}: {status} {body}");
    serde_json::from_str(&body).with_context(|| format!("{url}: no JSON"))
}

/// A kind of question and the URL of the nth of it.
type Kind<'a> = (&'static str, Box<dyn Fn(usize) -> String + 'a>);

/// Where questions go, and what they are about.
struct Questions<'a> {
    base: String,
    window: String,
    facts: &'a Facts,
    servers: Vec<&'a Interface>,
}

impl<'a> Questions<'a> {
    fn new(server: &Server, facts: &'a Facts) -> Self {
        let (from, to) = (rfc3339(facts.from), rfc3339(facts.to + 60 * SECOND));
        let servers = facts
            .interfaces
            .iter()
            .filter(|one| one.kind == SpanKind::Server)
            .collect();
        let base = format!("http://{}", server.http);
        Self {
            base,
            window: format!("from={from}&to={to}"),
            facts,
            servers,
        }
    }

    fn search(&self, q: &str) -> String {
        let url = reqwest::Url::parse_with_params("http://q/", [("q", q)]);
        let q = url
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default();
        format!("{}/api/v1/requests?{q}&limit=20&{}", self.base, self.window)
    }

    fn service(&self, n: usize) -> &str {
        &self.facts.services[n % self.facts.services.len()]
    }

    fn trace(&self, n: usize) -> TraceId {
        self.facts.trace_ids[n * 7 % self.facts.trace_ids.len()]
    }

    fn interface(&self, n: usize, more: &str) -> String {
        let at = self.servers[n % self.servers.len()];
        self.search(&format!(
            "{{service:{} op:\"{}\"{more}}}",
            at.service, at.name
        ))
    }

    fn searches(&self) -> Vec<Kind<'_>> {
        let rare = |n: usize| &self.facts.rare[n % self.facts.rare.len()].value;
        vec![
            (
                "trace by id",
                Box::new(|n| format!("{}/api/v1/requests/{}/otlp", self.base, self.trace(n))),
            ),
            (
                "newest 20 of a service",
                Box::new(|n| self.search(&format!("service:{}", self.service(n)))),
            ),
            ("service + interface", Box::new(|n| self.interface(n, ""))),
            (
                "interface + min duration",
                Box::new(|n| self.interface(n, " duration:>500ms")),
            ),
            (
                "errors",
                Box::new(|n| self.search(["status:error", "errors:>=1"][n % 2])),
            ),
            (
                RARE,
                Box::new(move |n| self.search(&format!("customer.id:{}", rare(n)))),
            ),
            (
                "a value that is nowhere",
                Box::new(|n| self.search(&format!("customer.id:{}-{n}", self.facts.nowhere))),
            ),
            (
                "slowest 20 of a service",
                Box::new(|n| {
                    format!(
                        "{}&sort=slowest",
                        self.search(&format!("service:{}", self.service(n)))
                    )
                }),
            ),
        ]
    }

    fn pages(&self) -> Vec<Kind<'_>> {
        vec![
            ("page /", Box::new(|_| format!("{}/", self.base))),
            (
                "page /requests",
                Box::new(|_| format!("{}/requests", self.base)),
            ),
            (
                "page /requests/{id}",
                Box::new(|n| format!("{}/requests/{}", self.base, self.trace(n))),
            ),
            (
                "page /services/{s}",
                Box::new(|n| format!("{}/services/{}", self.base, self.service(n))),
            ),
            (
                "page /pipeline",
                Box::new(|_| format!("{}/pipeline", self.base)),
            ),
        ]
    }
}

/// The kind of question whose answer is known: one request.
const RARE: &str = "a rare attribute value";

/// Asks each kind of question many times; p50 and p99 of each.
async fn ask(options: &Options, server: &Server, facts: &Facts) -> Result<Vec<Line>> {
    let questions = Questions::new(server, facts);
    let http = reqwest::Client::new();
    let mut lines = Vec::new();
    for (name, url) in questions.searches().into_iter().chain(questions.pages()) {
        let mut took = Vec::with_capacity(options.questions);
        for number in 0..options.questions {
            let url = url(number);
            let begun = Instant::now();
            let answer = http.get(&url).send().await?;
            let first_byte = begun.elapsed();
            let status = answer.status();
            let body = answer.bytes().await?;
            ensure!(
                status.is_success(),
                "{url}: {status} {}",
                String::from_utf8_lossy(&body)
            );
            let is_page = name.starts_with("page");
            took.push(if is_page { first_byte } else { begun.elapsed() }.as_secs_f64() * 1e3);
            if name == RARE {
                let answer: Value = serde_json::from_slice(&body)?;
                let found = answer["requests"].as_array().map_or(0, Vec::len);
                ensure!(found == 1, "{url}: {found} requests instead of one");
            }
        }
        took.sort_by(f64::total_cmp);
        lines.push((format!("{name}, p50"), "ms", took[took.len() / 2]));
        lines.push((format!("{name}, p99"), "ms", took[took.len() * 99 / 100]));
    }
    Ok(lines)
}

/// Bytes of all files in a folder and those below.
fn folder_size(folder: &Path) -> Result<f64> {
    let mut size = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() {
            folder_size(&entry.path())?
        } else {
            metadata.len() as f64
        };
    }
    Ok(size)
}
