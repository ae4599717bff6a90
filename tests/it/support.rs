//! A hoplog process with its folder, questions to it, and waiting.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hoplog_model::times::SECOND;
use hoplog_model::{Clock, SystemClock, TraceId, UnixNanos};
use hoplog_testkit::process::{Server, ServerOptions, binary};
use reqwest::StatusCode;
use serde_json::Value;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What is logged: warnings, and what the way in has done, for [`Server::until`].
pub(crate) const LOG: &str = "warn,hoplog_assemble=debug,hoplog=info";

/// Requests are written a second after their last span, and checkpoints come as often.
pub(crate) const QUICK: &str = "[assemble]\nquiet_seconds = 1\ncheckpoint_seconds = 1\n";

/// Looks again and again until there is something to see; what was missing is the error. Every look asks
/// another process, whose answers set the pace. Where that process tells what it has done,
/// [`Server::until`] waits for it.
pub(crate) async fn eventually<T>(
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await.with_context(|| what.to_string())? {
            return Ok(seen);
        }
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
    }
}

/// What the test set-up names in this variable.
pub(crate) fn named_by(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable);
    let path = path.with_context(|| format!("{variable} is not set: run `cargo xtask test`"))?;
    Ok(path.into())
}

/// A few seconds ago: spans that start then are neither old nor in the future.
pub(crate) fn recently() -> UnixNanos {
    SystemClock.now() - 20 * SECOND
}

/// Where a hoplog lives while it is not running.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    options: ServerOptions,
}

impl Home {
    /// An empty home with this config file.
    pub(crate) fn new(config: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hoplog-it-").tempdir()?;
        let data = folder.path().join("data");
        Self::with_data(folder, data, config)
    }

    /// A home whose data folder lies elsewhere.
    pub(crate) fn with_data(folder: TempDir, data: PathBuf, config: &str) -> Result<Self> {
        let file = folder.path().join("hoplog.toml");
        let mut options = ServerOptions::new(data);
        options.arguments = vec!["--config".to_owned(), file.display().to_string()];
        let home = Self { folder, options };
        home.configure(config)?;
        Ok(home)
    }

    /// From the next start on it has this config file.
    pub(crate) fn configure(&self, config: &str) -> Result<()> {
        let file = self.folder().join("hoplog.toml");
        Ok(std::fs::write(file, format!("log = \"{LOG}\"\n{config}"))?)
    }

    /// The data folder, which is there after the first start.
    pub(crate) fn data(&self) -> &Path {
        &self.options.data
    }

    /// A folder for whatever a test wants to put beside the data.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the server.
    pub(crate) async fn start(self) -> Result<Hoplog> {
        let server = Server::start(&self.options).await?;
        Ok(Hoplog {
            server,
            home: self,
            http: reqwest::Client::new(),
        })
    }

    /// `hoplog COMMAND` with this home's folder and config file.
    pub(crate) async fn run(&self, command: &str, arguments: &[&str]) -> Result<Output> {
        let data = self.data().display().to_string();
        let mut all = vec![command, "--data", &data];
        all.extend(self.options.arguments.iter().map(String::as_str));
        all.extend(arguments);
        hoplog(&all).await
    }

    /// `hoplog check` finds nothing wrong; its report.
    pub(crate) async fn check(&self) -> Result<Value> {
        let done = self.run("check", &[]).await?;
        let said = String::from_utf8_lossy(&done.stdout);
        let errors = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "check: {said}\n{errors}");
        let report: Value = serde_json::from_str(&said)?;
        ensure!(report["ok"] == true, "check: {report}");
        Ok(report)
    }

    /// `hoplog serve` on free ports, which must not come up: what it says on stderr.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> Result<String> {
        let mut all = Vec::new();
        for flag in ["--http", "--otlp-grpc", "--otlp-http"] {
            if !arguments.contains(&flag) {
                all.extend([flag, "127.0.0.1:0"]);
            }
        }
        all.extend(arguments);
        let done = self.run("serve", &all).await?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(!done.status.success(), "it ended well: {said}");
        ensure!(
            done.stdout.is_empty(),
            "it printed addresses, as if it were ready"
        );
        ensure!(!said.contains("panicked"), "{said}");
        Ok(said)
    }
}

/// Runs the binary to its end.
pub(crate) async fn hoplog(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = timeout(PATIENCE, command.output()).await;
    Ok(done.with_context(|| format!("hoplog {arguments:?} did not end"))??)
}

/// A running hoplog.
#[derive(Debug)]
pub(crate) struct Hoplog {
    pub(crate) server: Server,
    home: Home,
    http: reqwest::Client,
}

impl Hoplog {
    /// A fresh one with this config file.
    pub(crate) async fn start(config: &str) -> Result<Self> {
        Home::new(config)?.start().await
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        self.home.data()
    }

    /// Stops it in order; it must end well.
    pub(crate) async fn stop(self) -> Result<Home> {
        let log = self.server.log();
        let ended = self.server.stop(Duration::from_secs(30)).await?;
        ensure!(
            ended.status.success(),
            "it ended with {}\n{log}",
            ended.status
        );
        Ok(self.home)
    }

    /// Kills it.
    pub(crate) async fn kill(self) -> Result<Home> {
        self.server.kill().await?;
        Ok(self.home)
    }

    /// The address of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http)
    }

    /// Status and JSON body of an answer of the API.
    pub(crate) async fn ask(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(StatusCode, Value)> {
        let answer = self
            .http
            .get(self.url(path))
            .query(parameters)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?;
        Ok((status, body))
    }

    /// The JSON body of an answer that must be a success.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let (status, body) = self.ask(path, parameters).await?;
        ensure!(
            status.is_success(),
            "{path} {parameters:?}: {status} {body}"
        );
        Ok(body)
    }

    /// A request by its id, if it is there.
    pub(crate) async fn request(&self, trace_id: TraceId) -> Result<Option<Value>> {
        let (status, body) = self
            .ask(&format!("/api/v1/requests/{trace_id}"), &[])
            .await?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!("{trace_id}: {status} {body}"),
        }
    }

    /// A request by its id, which must be there, with so many spans or more.
    pub(crate) async fn request_with(&self, trace_id: TraceId, spans: u64) -> Result<Value> {
        let found = self.request(trace_id).await?;
        let found = found.with_context(|| format!("{trace_id} is not there"))?;
        let held = found["span_count"].as_u64().context("no span_count")?;
        ensure!(held >= spans, "{trace_id} has {held} spans, not {spans}");
        Ok(found)
    }

    /// Requests that match, newest first, at most 1,000, of the last hour.
    pub(crate) async fn search(&self, query: &str) -> Result<Vec<Value>> {
        let parameters = [("q", query), ("limit", "1000")];
        let mut answer = self.get("/api/v1/requests", &parameters).await?;
        ensure!(answer["complete"] == true, "{query}: incomplete");
        match answer["requests"].take() {
            Value::Array(found) => Ok(found),
            other => bail!("{query}: {other}"),
        }
    }

    /// The spans of a request, with their services.
    pub(crate) async fn spans(&self, trace_id: TraceId) -> Result<Vec<Span>> {
        let path = format!("/api/v1/requests/{trace_id}/otlp");
        Ok(spans_of(&self.get(&path, &[]).await?))
    }

    /// The books, which must balance.
    pub(crate) async fn books(&self) -> Result<Value> {
        let books = self.get("/api/v1/books", &[]).await?;
        balanced(&books)?;
        Ok(books)
    }

    /// The books once nothing is on its way any more.
    pub(crate) async fn settled_books(&self) -> Result<Value> {
        let settled = async || {
            let books = self.books().await?;
            Ok((books["waiting"] == 0).then_some(books))
        };
        let what = "nothing waits to be written";
        self.server.until(what, PATIENCE, settled).await
    }

    /// Exports over OTLP/HTTP; every span must be taken.
    pub(crate) async fn send(&self, request: Bytes) -> Result<()> {
        let answer = self
            .export(&[("content-type", "application/x-protobuf")], request)
            .await?;
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status.is_success() && body.is_empty(),
            "{}: {body}",
            answer.status
        );
        Ok(())
    }

    /// Posts to OTLP/HTTP's `/v1/traces`.
    pub(crate) async fn export(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        let url = format!("http://{}/v1/traces", self.server.otlp_http);
        let mut request = self.http.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.bytes().await?,
        })
    }
}

/// What the receiver said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// One span as `/otlp` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    /// OTLP's number.
    pub(crate) kind: u64,
    /// OTLP's number.
    pub(crate) status: u64,
}

/// The spans of a `TracesData` in JSON.
fn spans_of(traces: &Value) -> Vec<Span> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut spans = Vec::new();
    for resource in list(traces, "resourceSpans") {
        let attributes = list(&resource["resource"], "attributes");
        let named = attributes.iter().find(|one| one["key"] == "service.name");
        let service = named.and_then(|one| one["value"]["stringValue"].as_str());
        for scope in list(&resource, "scopeSpans") {
            spans.extend(list(&scope, "spans").iter().map(|span| {
                let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                Span {
                    service: service.unwrap_or_default().to_owned(),
                    name: text("name"),
                    id: text("spanId"),
                    parent: text("parentSpanId"),
                    kind: span["kind"].as_u64().unwrap_or(0),
                    status: span["status"]["code"].as_u64().unwrap_or(0),
                }
            }));
        }
    }
    spans
}

/// That received is the sum of what became of it.
pub(crate) fn balanced(books: &Value) -> Result<()> {
    let count = |term: &str| {
        books[term]
            .as_u64()
            .with_context(|| format!("{term} in {books}"))
    };
    let mut sum = 0;
    for term in [
        "stored",
        "duplicate",
        "left_out",
        "rejected",
        "dead_lettered",
        "lost",
        "waiting",
    ] {
        sum += count(term)?;
    }
    ensure!(
        count("received")? == sum,
        "the books do not balance: {books}"
    );
    Ok(())
}
