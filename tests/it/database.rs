//! Several collectors on one PostgreSQL: whatever is killed, stopped or started anew, every acknowledged span is there
//! once, and each request is one row.

mod cancelled;
mod trouble;

use crate::support::{LOG, PATIENCE, QUICK, hoplog, recently};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hoplog_model::{SpanId, TraceId};
use hoplog_otlp::{Limits, slice};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::corpus::{Corpus, CorpusOptions};
use hoplog_testkit::postgres::{Database, Postgres};
use hoplog_testkit::process::{Server, ServerOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tempfile::TempDir;

/// How long a collector may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// A collector that may be down.
struct Collector {
    options: ServerOptions,
    server: Option<Server>,
}

impl Collector {
    async fn start(folder: &TempDir, name: &str, url: &str) -> Result<Self> {
        Self::start_with(folder, name, url, "").await
    }

    /// With more in the config file.
    async fn start_with(folder: &TempDir, name: &str, url: &str, more: &str) -> Result<Self> {
        let config = folder.path().join(format!("{name}.toml"));
        std::fs::write(
            &config,
            format!("log = \"{LOG}\"\ndatabase = \"{url}\"\n{QUICK}{more}"),
        )?;
        let mut options = ServerOptions::new(folder.path().join(name));
        options.arguments = vec!["--config".to_owned(), config.display().to_string()];
        let server = Some(Server::start(&options).await?);
        Ok(Self { options, server })
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the collector is down")
    }

    /// Everything received is in rows.
    async fn settled(&self) -> Result<()> {
        let server = self.server()?;
        let settled = async || Ok((books(server).await?["waiting"] == 0).then_some(()));
        server.until("nothing waits", PATIENCE, settled).await
    }

    /// It has begun to write a batch or a checkpoint and waits for the database, while all that was sent is acknowledged.
    async fn stuck(&self) -> Result<()> {
        let server = self.server()?;
        let stuck = async || {
            let log = server.log();
            let begun = log.rfind("goes to the store");
            let ended = ["is in the store", "is recorded"].map(|end| log.rfind(end));
            Ok(ended.iter().all(|end| begun > *end).then_some(()))
        };
        server
            .until("the database is waited for", PATIENCE, stuck)
            .await?;
        let waiting = books(server).await?["waiting"].as_u64();
        ensure!(waiting > Some(0), "nothing waits");
        Ok(())
    }

    /// It does not get its batches written, for a reason of which this is a part.
    async fn in_trouble(&self, why: &str) -> Result<()> {
        let server = self.server()?;
        let url = format!("http://{}/readyz", server.http);
        let told = async || {
            let answer = reqwest::get(&url).await?;
            let is_ready = answer.status().is_success();
            let said = answer.text().await?;
            ensure!(is_ready || said.contains(why), "{said}");
            Ok((!is_ready).then_some(()))
        };
        server
            .until("the store takes nothing", PATIENCE, told)
            .await
    }

    /// Ends it in order.
    async fn stop(&mut self) -> Result<()> {
        let server = self.server.take().context("it is running")?;
        let ended = server.stop(STOP_WITHIN).await?;
        ensure!(ended.status.success(), "{:?}", ended.status);
        Ok(())
    }

    async fn kill_and_start(&mut self) -> Result<()> {
        self.server.take().context("it is running")?.kill().await?;
        self.server = Some(Server::start(&self.options).await?);
        Ok(())
    }

    /// Sends one export; an error if it is not acknowledged.
    async fn export(&self, batch: Bytes) -> Result<()> {
        let mut client = OtlpClient::connect(self.server()?.otlp_grpc).await?;
        let (rejected, message) = client.export(batch).await?;
        ensure!(rejected == 0, "{rejected} rejected: {message}");
        Ok(())
    }
}

async fn books(server: &Server) -> Result<Value> {
    let url = format!("http://{}/api/v1/books", server.http);
    let answer = reqwest::get(&url).await?.error_for_status()?;
    Ok(answer.json().await?)
}

/// What was acknowledged, by request.
type Acknowledged = BTreeMap<TraceId, BTreeSet<SpanId>>;

/// Sends a corpus, each batch to one of the two by chance.
async fn send(
    collectors: &[Collector; 2],
    corpus: &Corpus,
    chance: &mut StdRng,
    acknowledged: &mut Acknowledged,
) -> Result<()> {
    for batch in corpus.batches() {
        let to = &collectors[usize::from(chance.random::<bool>())];
        to.export(batch.bytes.clone()).await?;
        for span in &slice(batch.bytes, &Limits::default())?.spans {
            let spans = acknowledged.entry(span.trace_id).or_default();
            spans.insert(span.head.span_id);
        }
    }
    Ok(())
}

fn corpus(seed: u64) -> Corpus {
    Corpus::new(CorpusOptions {
        seed,
        spans: 6_000,
        start_at: recently(),
        ..CorpusOptions::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_collectors_and_a_database_that_fails_lose_and_double_nothing() -> Result<()> {
    let mut postgres = Postgres::start()?;
    postgres.create_database("history")?;
    let url = postgres.url("history");
    let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
    let mut collectors = [
        Collector::start(&folder, "one", &url).await?,
        Collector::start(&folder, "other", &url).await?,
    ];
    let (mut chance, mut acknowledged) = (StdRng::seed_from_u64(4), Acknowledged::new());
    for round in 0..6 {
        send(&collectors, &corpus(round), &mut chance, &mut acknowledged).await?;
        match round {
            2 => {
                // What comes meanwhile is acknowledged all the same.
                postgres.stop_signal()?;
                send(&collectors, &corpus(100), &mut chance, &mut acknowledged).await?;
                for collector in &collectors {
                    collector.stuck().await?;
                }
                postgres.cont_signal()?;
            }
            4 => {
                postgres.shut_down()?;
                send(&collectors, &corpus(101), &mut chance, &mut acknowledged).await?;
                postgres.start_again()?;
            }
            _ => {
                let victim = &mut collectors[usize::from(round % 2 == 0)];
                victim.kill_and_start().await?;
            }
        }
    }
    for collector in &mut collectors {
        collector.settled().await?;
        collector.stop().await?;
    }

    let spans: usize = acknowledged.values().map(BTreeSet::len).sum();
    let held = postgres.psql(
        "history",
        "SELECT count(*), count(DISTINCT trace_id), sum(span_count) FROM hoplog.requests",
    )?;
    let requests = acknowledged.len();
    assert_eq!(held, format!("{requests}|{requests}|{spans}"));
    let report = check(&url).await?;
    assert_eq!(report["rows"], requests);
    assert_eq!(report["books"]["stored"], spans);
    assert_eq!(report["books"]["waiting"], 0);
    Ok(())
}

/// `hoplog check` of the database finds nothing wrong; its report.
async fn check(url: &str) -> Result<Value> {
    let done = hoplog(&["check", "--database", url]).await?;
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "check: {said}\n{errors}");
    Ok(serde_json::from_str(&said)?)
}

/// What `hoplog serve` says when it cannot start on this database.
async fn refused(url: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data").display().to_string();
    let done = hoplog(&[
        "serve",
        "--data",
        &data,
        "--database",
        url,
        "--http",
        "127.0.0.1:0",
        "--otlp-grpc",
        "127.0.0.1:0",
        "--otlp-http",
        "127.0.0.1:0",
    ])
    .await?;
    ensure!(!done.status.success(), "it started");
    Ok(String::from_utf8(done.stderr)?)
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_and_why() -> Result<()> {
    let database = Database::new()?;
    let url = database.url();
    let (server, _) = url.rsplit_once('/').context("a URL")?;
    for (url, said) in [
        (
            "postgres://127.0.0.1:1/none".to_owned(),
            "connect to 127.0.0.1:1",
        ),
        (
            format!("{server}/nowhere"),
            "database \"nowhere\" does not exist",
        ),
        (
            "mysql://host/db".to_owned(),
            "the database URL cannot be read",
        ),
    ] {
        let told = refused(&url).await?;
        assert!(told.contains(said), "{url}: {told}");
    }
    database.psql("CREATE ROLE guest LOGIN; REVOKE ALL ON SCHEMA public FROM guest")?;
    let guest = url.replace("postgres@", "guest@");
    let told = refused(&guest).await?;
    assert!(told.contains("permission denied"), "{told}");
    database.psql(
        "CREATE SCHEMA hoplog; CREATE TABLE hoplog.schema_version (version integer);
         INSERT INTO hoplog.schema_version VALUES (99)",
    )?;
    let told = refused(&url).await?;
    assert!(told.contains("written by a newer one"), "{told}");
    Ok(())
}

#[tokio::test]
async fn one_inbox_has_one_process() -> Result<()> {
    let database = Database::new()?;
    let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
    let one = Collector::start(&folder, "one", &database.url()).await?;
    // Its folder, copied, is another folder of the same name.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy)?;
    std::fs::copy(folder.path().join("one/collector"), copy.join("collector"))?;
    let mut options = one.options.clone();
    options.data = copy;
    let error = Server::start(&options).await.err().context("it started")?;
    assert!(
        format!("{error:#}").contains("another process writes"),
        "{error:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_database_is_migrated_and_one_without_citus_is_not_distributed() -> Result<()> {
    let database = Database::new()?;
    let url = database.url();
    let done = hoplog(&["migrate", "--database", &url]).await?;
    ensure!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout)?, "up to date\n");
    let version = database.psql("SELECT count(version) FROM hoplog.schema_version")?;
    assert_eq!(version, "1");
    let folder = tempfile::tempdir()?;
    let data = folder.path().display().to_string();
    for (place, said) in [
        (["--database", &url], "the database has no Citus extension"),
        (["--data", &data], "--distribute needs --database"),
    ] {
        let [flag, value] = place;
        let done = hoplog(&["migrate", "--distribute", flag, value]).await?;
        let told = String::from_utf8(done.stderr)?;
        ensure!(!done.status.success() && told.contains(said), "{told}");
    }
    let done = hoplog(&["migrate", "--data", &data]).await?;
    ensure!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout)?, "up to date\n");
    Ok(())
}
