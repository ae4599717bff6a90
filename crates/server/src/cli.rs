//! Commands and flags.

use crate::config::Config;
use crate::{check, client, serve};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The interface history of a service landscape: one row per request.
#[derive(Debug, Parser)]
#[command(name = "hoplog", version, about)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Config file (TOML); environment variables HOPLOG_… win over it, flags over both.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for everything hoplog keeps.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive spans, keep requests, answer.
    Serve(Listen),
    /// hoplog and a small shop of real services with traffic, in one process.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Search a running hoplog.
    Search(SearchArgs),
    /// Print one request of a running hoplog.
    Get(GetArgs),
    /// Verify a stopped data folder; prints one JSON object, fails on any difference.
    Check,
    /// Print the configuration in effect, as TOML.
    Config,
}

/// Where to listen.
#[derive(Debug, Args, Default)]
pub(crate) struct Listen {
    /// Web pages, HTTP API and gRPC query; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// OTLP over gRPC; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) otlp_http: Option<SocketAddr>,
    /// Listen on other than loopback addresses, though there is no access control yet.
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// How the demo runs.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to listen.
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Requests a second.
    #[arg(long, default_value_t = 8.0)]
    pub(crate) rate: f64,
    /// Stop the traffic after this many requests (the pages stay up).
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<u64>,
    /// Send 200 requests (or --requests), check that each is one row with all its hops, and exit.
    #[arg(long)]
    pub(crate) once: bool,
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Which hoplog to ask.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Address of its web port.
    #[arg(
        long,
        default_value = "http://127.0.0.1:7717",
        env = "HOPLOG_SERVER",
        value_name = "URL"
    )]
    pub(crate) server: String,
}

/// A search.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The query, e.g. `service:checkout status:error duration:>1s last:1h`.
    pub(crate) query: Vec<String>,
    /// Requests to show.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) limit: usize,
    /// Slowest first instead of newest.
    #[arg(long)]
    pub(crate) slowest: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which hoplog to ask.
    #[command(flatten)]
    pub(crate) server: Server,
}

/// One request.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Its trace id, 32 hex digits.
    pub(crate) trace_id: String,
    /// Its spans as OTLP/JSON instead of a tree.
    #[arg(long)]
    pub(crate) otlp: bool,
    /// Which hoplog to ask.
    #[command(flatten)]
    pub(crate) server: Server,
}

impl Cli {
    /// Does it.
    pub(crate) fn run(self, config: Config) -> Result<ExitCode> {
        match self.command {
            Command::Serve(_) => serve::run(config).map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "demo")]
            Command::Demo(args) => crate::demo::run(config, &args),
            Command::Search(args) => client::search(&args),
            Command::Get(args) => client::get(&args),
            Command::Check => check::run(&config),
            Command::Config => {
                print!("{}", config.to_toml()?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Whether the shop runs in this process.
    pub(crate) fn is_demo(&self) -> bool {
        #[cfg(feature = "demo")]
        return matches!(self.command, Command::Demo(_));
        #[cfg(not(feature = "demo"))]
        false
    }

    /// The listen flags, if the command has any.
    pub(crate) fn listen(&self) -> Option<&Listen> {
        match &self.command {
            Command::Serve(listen) => Some(listen),
            #[cfg(feature = "demo")]
            Command::Demo(args) => Some(&args.listen),
            _ => None,
        }
    }
}
