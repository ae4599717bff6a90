//! `hoplog demo`: hoplog and a small shop with traffic in one process.

use crate::cli::{DemoArgs, Listen};
use crate::compose::{Addresses, App, Listeners};
use crate::config::Config;
use crate::lifecycle::Signals;
use anyhow::{Context, Result, bail, ensure};
use hoplog_demo::{Options, Sent, Shop};
use serde_json::Value;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Requests that `--once` sends unless told otherwise.
const ONCE: u64 = 200;
/// Requests a second that `--once` sends.
const ONCE_RATE: f64 = 50.0;
/// How long `--once` waits for the last spans: SDKs export late, the queue's worker is slower still.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs the demo until it is stopped, or with `--once` until everything is checked.
pub(crate) fn run(config: Config, args: &DemoArgs, is_data_given: bool) -> Result<ExitCode> {
    crate::serve::runtime()?.block_on(async {
        if args.once {
            once(config, args, is_data_given).await
        } else {
            show(config, args).await
        }
    })
}

fn options(at: Addresses, args: &DemoArgs) -> Options {
    let mut options = Options::new(format!("http://{}", at.otlp_grpc));
    options.rate_per_s = args.rate;
    options.requests = args.requests;
    options.seed = args.seed;
    options
}

async fn show(config: Config, args: &DemoArgs) -> Result<ExitCode> {
    let listeners = Listeners::bind(&config).await?;
    let data = config.data.display().to_string();
    let mut app = App::start(config, listeners).await?;
    let at = app.addresses();
    let shop = Shop::start(options(at, args))
        .await
        .context("starting the shop")?;
    let mut signals = Signals::listen()?;
    print_where(at, &data, shop.gateway());
    let ended = tokio::select! {
        () = signals.asked_to_stop() => Ok(()),
        why = app.failed() => Err(why),
        sent = drive_then_rest(&shop) => sent,
    };
    shop.shutdown().await?;
    app.stop().await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Sends the traffic; when it is over, the pages stay up.
async fn drive_then_rest(shop: &Shop) -> Result<()> {
    let sent = shop.drive(std::future::pending()).await;
    println!(
        "Sent {} requests; the pages stay up until Ctrl-C.",
        sent.len()
    );
    std::future::pending().await
}

fn print_where(at: Addresses, data: &str, gateway: SocketAddr) {
    println!("hoplog demo: a small shop sends its spans to hoplog.");
    println!();
    println!("  Look here    http://{}", at.http);
    println!("  Requests     http://{}/requests", at.http);
    println!(
        "  Failed ones  http://{}/requests?q=status%3Aerror",
        at.http
    );
    println!("  The shop     http://{gateway}");
    println!(
        "  OTLP         gRPC http://{}   HTTP http://{}",
        at.otlp_grpc, at.otlp_http
    );
    println!("  Data folder  {data}");
    println!();
    println!("Ctrl-C stops everything.");
}

/// Sends requests and asks the API whether each is one row with all its hops.
async fn once(config: Config, args: &DemoArgs, is_data_given: bool) -> Result<ExitCode> {
    // Dropped after the app has stopped.
    let mut folder = None;
    let mut config = on_free_ports(config, &args.listen);
    if is_data_given {
        refuse_old_requests(&config.data)?;
    } else {
        config.data = folder.insert(TempFolder::new()?).0.clone();
    }
    let listeners = Listeners::bind(&config).await?;
    let app = App::start(config, listeners).await?;
    let at = app.addresses();
    let shop_options = Options {
        requests: Some(args.requests.unwrap_or(ONCE)),
        rate_per_s: ONCE_RATE,
        ..options(at, args)
    };
    let shop = Shop::start(shop_options)
        .await
        .context("starting the shop")?;
    let sent = shop.drive(std::future::pending()).await;
    shop.shutdown().await.context("the shop's exporters")?;
    let checked = check_all(at, &sent).await;
    app.stop().await;
    let hops = checked?;
    println!(
        "{} requests sent, each is one row; {hops} hops, none missing",
        sent.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The flags' addresses, and free ports where there is no flag.
fn on_free_ports(config: Config, flags: &Listen) -> Config {
    let any_port: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    Config {
        http: flags.http.unwrap_or(any_port),
        otlp_grpc: flags.otlp_grpc.unwrap_or(any_port),
        otlp_http: flags.otlp_http.unwrap_or(any_port),
        ..config
    }
}

/// Rows of other requests would be taken for wrong ones.
fn refuse_old_requests(data: &Path) -> Result<()> {
    let is_empty = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(why) if why.kind() == ErrorKind::NotFound => true,
        Err(why) => return Err(why).with_context(|| data.display().to_string()),
    };
    ensure!(
        is_empty,
        "{} is not empty; --once needs a data folder without requests",
        data.display()
    );
    Ok(())
}

/// Looks until every request is complete or patience ends; the number of hops seen.
async fn check_all(at: Addresses, sent: &[Sent]) -> Result<usize> {
    ensure!(!sent.is_empty(), "the shop sent nothing");
    let api = Api {
        http: reqwest::Client::new(),
        base: format!("http://{}/api/v1/requests", at.http),
    };
    let begun = Instant::now();
    loop {
        let listed = api.rows_by_trace().await?;
        let mut wrong = Vec::new();
        for request in sent {
            if let Err(why) = api.check(request, &listed).await {
                wrong.push(format!(
                    "{} {} {}: {why:#}",
                    request.trace_id, request.method, request.path
                ));
            }
        }
        if listed.len() != sent.len() {
            wrong.push(format!("{} rows for {} requests", listed.len(), sent.len()));
        }
        if wrong.is_empty() {
            return Ok(sent.iter().map(|request| request.expected_hops.len()).sum());
        }
        if begun.elapsed() > PATIENCE {
            wrong.truncate(10);
            bail!(
                "after {} s these are not as they must be:\n{}",
                PATIENCE.as_secs(),
                wrong.join("\n")
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Api {
    http: reqwest::Client,
    base: String,
}

impl Api {
    async fn get(&self, url: &str) -> Result<Value> {
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// How many rows each trace id has in search, over all pages.
    async fn rows_by_trace(&self) -> Result<HashMap<String, usize>> {
        let mut rows = HashMap::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(&format!("{}?limit=100{cursor}", self.base))
                .await?;
            for request in page["requests"].as_array().into_iter().flatten() {
                let trace_id = request["trace_id"].as_str().unwrap_or_default().to_owned();
                *rows.entry(trace_id).or_default() += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(rows),
            }
        }
    }

    async fn check(&self, request: &Sent, listed: &HashMap<String, usize>) -> Result<()> {
        let rows = listed.get(&request.trace_id).copied().unwrap_or_default();
        ensure!(rows == 1, "{rows} rows in search");
        let spans = self
            .get(&format!("{}/{}/otlp", self.base, request.trace_id))
            .await?;
        let mut seen = hops(&spans);
        for (service, name) in &request.expected_hops {
            let hop = (service.to_string(), name.to_string());
            let found = seen.iter().position(|one| *one == hop);
            let found = found.with_context(|| format!("no hop {service} {name}"))?;
            seen.swap_remove(found);
        }
        ensure!(seen.is_empty(), "hops that nobody expected: {seen:?}");
        Ok(())
    }
}

/// (service, name) of every SERVER and CONSUMER span of an OTLP/JSON answer.
fn hops(traces: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for resource in traces["resourceSpans"].as_array().into_iter().flatten() {
        let attributes = resource["resource"]["attributes"].as_array();
        let named = attributes
            .into_iter()
            .flatten()
            .find(|one| one["key"] == "service.name");
        let service = named
            .and_then(|one| one["value"]["stringValue"].as_str())
            .unwrap_or_default();
        let scopes = resource["scopeSpans"].as_array().into_iter().flatten();
        let spans = scopes.flat_map(|scope| scope["spans"].as_array().into_iter().flatten());
        for span in spans.filter(|span| span["kind"] == 2 || span["kind"] == 5) {
            found.push((
                service.to_owned(),
                span["name"].as_str().unwrap_or_default().to_owned(),
            ));
        }
    }
    found
}

/// A folder that goes when it is dropped.
struct TempFolder(std::path::PathBuf);

impl TempFolder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("hoplog-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%why, "the demo's folder stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_listens_where_flags_say_and_else_on_free_ports() {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, 7000).into();
        let flags = Listen {
            otlp_http: Some(address),
            ..Listen::default()
        };
        let config = on_free_ports(Config::default(), &flags);
        assert_eq!((config.http.port(), config.otlp_grpc.port()), (0, 0));
        assert_eq!(config.otlp_http, address);
    }

    #[test]
    fn once_takes_no_folder_with_something_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refuse_old_requests(&folder.path().join("new")).is_ok());
        assert!(refuse_old_requests(folder.path()).is_ok());
        std::fs::write(folder.path().join("catalogue.db"), "").unwrap();
        let said = refuse_old_requests(folder.path()).unwrap_err().to_string();
        assert!(said.contains("not empty"), "{said}");
    }
}
