//! kill -9 in mid-load, again and again: nothing acknowledged may be missing, nothing counted twice.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use hoplog_model::times::MINUTE;
use hoplog_model::{Clock, SpanId, SystemClock, TraceId};
use hoplog_otlp::{Limits, slice};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::corpus::{Batch, Corpus, CorpusOptions, Ids};
use hoplog_testkit::process::{Server, ServerOptions, binary};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests looked at after each start.
const LOOKS: usize = 40;

/// Lines logged before a kill, at most: batches on their way and written, checkpoints.
const LINES: u64 = 12;
/// How long the server may take to write what it has acknowledged.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

/// Options of `cargo xtask soak`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask soak")]
pub struct Options {
    /// Times the server is killed.
    #[arg(long, default_value_t = 200)]
    pub rounds: usize,
    /// Spans sent before a kill, at most; a kill comes at any point up to that.
    #[arg(long, default_value_t = 60_000)]
    pub spans: u64,
    /// Seed of corpus and kills.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rounds after which the dead server's whole folder is checked; it is at the end in any case.
    #[arg(long, default_value_t = 10)]
    pub check_every: usize,
    /// Requests looked at one by one at the end; all by default.
    #[arg(long, default_value_t = usize::MAX)]
    pub final_looks: usize,
    /// Seconds from the start of the process to answers by id, at most; without it, not a failure.
    #[arg(long, default_value = "2")]
    pub readable_within: Option<f64>,
}

type Acknowledged = BTreeMap<TraceId, BTreeSet<SpanId>>;

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Soak {
    /// Spans in requests that were answered with success, by request.
    acknowledged: Acknowledged,
    /// Spans sent without an answer: they may be there or not.
    unanswered: Acknowledged,
    /// Seconds from a start to answers by id.
    slowest_start: f64,
}

/// Runs it; an error if anything is not as it must be.
pub async fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("hoplog-soak-").tempdir()?;
    let data = folder.path().join("data");
    // Small parts and quick checkpoints, so that kills hit every stage of the way.
    let config = folder.path().join("hoplog.toml");
    std::fs::write(
        &config,
        "log = \"warn,hoplog_assemble=debug\"\n[assemble]\nquiet_seconds = 1\ncheckpoint_seconds = 1\n",
    )?;
    let mut server_options = ServerOptions::new(&data);
    server_options.arguments = vec!["--config".to_owned(), config.display().to_string()];
    let mut chance = StdRng::seed_from_u64(options.seed);
    let mut soak = Soak::default();
    for round in 1..=options.rounds {
        let begun = Instant::now();
        let server = Server::start(&server_options).await?;
        soak.look(&server, &mut chance, LOOKS)
            .await
            .with_context(|| format!("round {round}"))?;
        let started = begun.elapsed().as_secs_f64();
        soak.slowest_start = soak.slowest_start.max(started);
        if let Some(most) = options.readable_within {
            ensure!(
                started < most,
                "round {round}: readable after {started:.2} s only"
            );
        }
        let seed = options.seed + round as u64;
        soak.load_and_kill(server, options, seed, &mut chance)
            .await?;
        if round.is_multiple_of(options.check_every.max(1)) {
            soak.check(&data, &config)
                .await
                .with_context(|| format!("round {round}"))?;
        }
        if std::io::stderr().is_terminal() || round % 10 == 0 {
            println!(
                "round {round} of {}: {} requests so far",
                options.rounds,
                soak.acknowledged.len()
            );
        }
    }
    let server = Server::start(&server_options).await?;
    soak.look(&server, &mut chance, options.final_looks).await?;
    soak.totals(&server).await?;
    server.stop(Duration::from_secs(30)).await?;
    soak.check(&data, &config).await?;
    let spans: usize = soak.acknowledged.values().map(BTreeSet::len).sum();
    println!(
        "{} rounds: {spans} acknowledged spans, none missing, none twice",
        options.rounds
    );
    println!(
        "readable by id after {:.2} s at the slowest start",
        soak.slowest_start
    );
    Ok(())
}

impl Soak {
    /// Sends from four connections and kills the server at a random moment of it.
    async fn load_and_kill(
        &mut self,
        server: Server,
        options: &Options,
        seed: u64,
        chance: &mut StdRng,
    ) -> Result<()> {
        let corpus = Corpus::new(CorpusOptions {
            seed,
            spans: options.spans,
            ids: if seed.is_multiple_of(2) {
                Ids::Random
            } else {
                Ids::V7
            },
            start_at: SystemClock.now() - MINUTE,
        });
        let batches = Arc::new(Mutex::new(corpus.batches()));
        let mut senders = JoinSet::new();
        let (taken, mut acknowledged) = watch::channel(0);
        let taken = Arc::new(taken);
        let logged = server.logged();
        for _ in 0..4 {
            let client = OtlpClient::connect(server.otlp_grpc).await?;
            senders.spawn(send(client, Arc::clone(&batches), Arc::clone(&taken)));
        }
        drop(taken);
        if chance.random() {
            // In mid-sending; at the end of it where fewer spans are sent.
            let spans = chance.random_range(0..options.spans.max(1));
            drop(acknowledged.wait_for(|taken| *taken >= spans).await);
        } else {
            let lines = *logged.borrow() + chance.random_range(1..=LINES);
            writing(&server, lines, &acknowledged).await?;
        }
        server.kill().await?;
        while let Some(sent) = senders.join_next().await {
            let (answered, unanswered) = sent?;
            answered
                .iter()
                .try_for_each(|batch| note(batch, &mut self.acknowledged))?;
            unanswered
                .iter()
                .try_for_each(|batch| note(batch, &mut self.unanswered))?;
        }
        Ok(())
    }

    /// Asks for requests by id: each acknowledged span once, no span that was never sent.
    async fn look(&self, server: &Server, chance: &mut StdRng, most: usize) -> Result<()> {
        let all: Vec<&TraceId> = self.acknowledged.keys().collect();
        let pick = |chance: &mut StdRng| *all[chance.random_range(0..all.len())];
        let some: Vec<TraceId> = if all.len() <= most {
            all.iter().map(|id| **id).collect()
        } else {
            (0..most).map(|_| pick(chance)).collect()
        };
        let http = reqwest::Client::new();
        for trace_id in some {
            let url = format!("http://{}/api/v1/requests/{trace_id}/otlp", server.http);
            let answer = http.get(&url).send().await?;
            ensure!(
                answer.status().is_success(),
                "{trace_id}: {}",
                answer.status()
            );
            self.compare(trace_id, &answer.json().await?)?;
        }
        Ok(())
    }

    fn compare(&self, trace_id: TraceId, answer: &Value) -> Result<()> {
        let mut found = BTreeSet::new();
        for resource in answer["resourceSpans"].as_array().into_iter().flatten() {
            for scope in resource["scopeSpans"].as_array().into_iter().flatten() {
                for span in scope["spans"].as_array().into_iter().flatten() {
                    let id: SpanId = span["spanId"].as_str().unwrap_or_default().parse()?;
                    ensure!(found.insert(id), "{trace_id}: span {id} twice");
                }
            }
        }
        let acknowledged = &self.acknowledged[&trace_id];
        if let Some(missing) = acknowledged.difference(&found).next() {
            bail!("{trace_id}: acknowledged span {missing} is missing");
        }
        let unanswered = self.unanswered.get(&trace_id);
        let stranger = found.iter().find(|id| {
            !acknowledged.contains(id) && !unanswered.is_some_and(|ids| ids.contains(id))
        });
        ensure!(
            stranger.is_none(),
            "{trace_id}: nobody sent span {stranger:?}"
        );
        Ok(())
    }

    /// The books add up to what was sent.
    async fn totals(&self, server: &Server) -> Result<()> {
        let url = format!("http://{}/api/v1/books", server.http);
        let books: Value = reqwest::get(&url).await?.json().await?;
        let received = books["received"].as_u64().context("no books")?;
        let count = |sets: &Acknowledged| sets.values().map(BTreeSet::len).sum::<usize>() as u64;
        let least = count(&self.acknowledged);
        let most = least + count(&self.unanswered);
        ensure!(
            (least..=most).contains(&received),
            "{received} received, {least} to {most} sent"
        );
        Ok(())
    }

    /// `hoplog check` on the dead server's folder.
    async fn check(&self, data: &Path, config: &Path) -> Result<()> {
        let mut check = Command::new(binary()?);
        check
            .arg("check")
            .arg("--data")
            .arg(data)
            .arg("--config")
            .arg(config);
        let done = check.output().await?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(
            done.status.success(),
            "check: {said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let report: Value = serde_json::from_str(&said)?;
        ensure!(report["ok"] == true, "check: {said}");
        Ok(())
    }
}

/// Waits until so many lines are logged, or all is sent and written.
async fn writing(server: &Server, lines: u64, acknowledged: &watch::Receiver<u64>) -> Result<()> {
    let logged = server.logged();
    let url = format!("http://{}/api/v1/books", server.http);
    let look = async || {
        if *logged.borrow() >= lines {
            return Ok(Some(()));
        }
        let all_are_sent = acknowledged.has_changed().is_err();
        let books: Value = reqwest::get(&url).await?.json().await?;
        Ok((all_are_sent && books["waiting"] == 0).then_some(()))
    };
    let what = format!("{lines} lines, or everything written");
    server.until(what, SETTLE_WITHIN, look).await
}

/// Sends until the server is gone; what was answered, and what was not.
async fn send(
    mut client: OtlpClient,
    batches: Arc<Mutex<impl Iterator<Item = Batch>>>,
    acknowledged: Arc<watch::Sender<u64>>,
) -> (Vec<Batch>, Vec<Batch>) {
    let mut answered = Vec::new();
    loop {
        let next = batches.lock().expect("no sender panics").next();
        let Some(batch) = next else {
            return (answered, Vec::new());
        };
        match client.export(batch.bytes.clone()).await {
            Ok(_) => {
                acknowledged.send_modify(|spans| *spans += u64::from(batch.spans));
                answered.push(batch);
            }
            Err(_) => return (answered, vec![batch]),
        }
    }
}

fn note(batch: &Batch, into: &mut Acknowledged) -> Result<()> {
    let sliced = slice(batch.bytes.clone(), &Limits::default())?;
    for span in &sliced.spans {
        into.entry(span.trace_id)
            .or_default()
            .insert(span.head.span_id);
    }
    Ok(())
}
