//! Commands and flags.

use crate::config::Config;
use crate::{check, client, migrate, serve};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps every request to your services, from their OpenTelemetry spans: its hops, what each cost, what failed.
#[derive(Debug, Parser)]
#[command(name = "hoplog", version)]
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
    /// PostgreSQL that holds the requests, in place of files in the data folder; several hoplogs may share one:
    /// postgres://user:password@host:port/database
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database: Option<String>,
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
    /// Keep one request of a running hoplog whatever its age, or with --off no longer.
    Keep(KeepArgs),
    /// Verify a stopped data folder, or with --database what the database holds; prints one JSON object, fails on any
    /// difference.
    Check,
    /// Bring the data folder, or with --database the database, to this hoplog's schema, as a start does, and end.
    Migrate(MigrateArgs),
    /// Print the configuration in effect, as TOML.
    Config,
}

/// How to migrate.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Spread the tables over the nodes of a cluster with the Citus extension, by trace id; stop every hoplog
    /// that writes to it first. Needs --database.
    #[arg(long)]
    pub(crate) distribute: bool,
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
    /// Without --data it uses a folder that goes away, without addresses free ports.
    #[arg(long)]
    pub(crate) once: bool,
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Which hoplog to ask.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Address of its web port, with or without http://.
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
    /// The query, e.g. `service:checkout status:error -kind:consumer last:24h`; the last hour unless it says.
    #[arg(value_parser = unmarked)]
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

/// A request to keep.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Its trace id, 32 hex digits.
    pub(crate) trace_id: String,
    /// Leave it to its age again.
    #[arg(long)]
    pub(crate) off: bool,
    /// Which hoplog to ask.
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Stands before a query word that begins with `-`. No argument of a process can hold it.
const MARK: char = '\0';

/// The words of a command line, where `-kind:consumer` after `search` is not taken for flags.
///
/// clap's `allow_hyphen_values` will not do: it would also take `--server` after a query word.
fn marked(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut is_search = false;
    let mark = |word: OsString| {
        if is_search && is_negated(&word) {
            let mut marked = OsString::from(MARK.to_string());
            marked.push(word);
            return marked;
        }
        is_search |= word == "search";
        word
    };
    words.map(mark).collect()
}

/// Whether a word is `-something` of the query, and neither a long flag nor a short one like `-n5`.
fn is_negated(word: &OsStr) -> bool {
    let Some(rest) = word.to_str().and_then(|word| word.strip_prefix('-')) else {
        return false;
    };
    let is_limit = rest
        .strip_prefix('n')
        .map(|number| number.strip_prefix('=').unwrap_or(number))
        .is_some_and(|number| number.starts_with(|one: char| one.is_ascii_digit()));
    rest.chars().nth(1).is_some() && !rest.starts_with('-') && !is_limit
}

/// The word as it was typed.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn unmarked(word: &str) -> Result<String, Infallible> {
    Ok(word.strip_prefix(MARK).unwrap_or(word).to_owned())
}

impl Cli {
    /// Reads this process's command line; ends the process if it cannot.
    pub(crate) fn read() -> Self {
        Self::parse_from(marked(std::env::args_os()))
    }

    /// Does it.
    pub(crate) fn run(self, config: Config) -> Result<ExitCode> {
        match self.command {
            Command::Serve(_) => serve::run(config).map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "demo")]
            Command::Demo(args) => crate::demo::run(config, &args, self.data.is_some()),
            Command::Search(args) => client::search(&args),
            Command::Get(args) => client::get(&args),
            Command::Keep(args) => client::keep(&args),
            Command::Check => check::run(&config),
            Command::Migrate(args) => migrate::run(&config, args.distribute),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn search(words: &[&str]) -> Result<SearchArgs, clap::Error> {
        let words = ["hoplog", "search"].iter().chain(words).map(OsString::from);
        match Cli::try_parse_from(marked(words))?.command {
            Command::Search(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_negated_word_needs_no_dashes_before_it() {
        let words = ["-kind:consumer", "a:b", "-name:x", "-n2", "-{c:d}"];
        let args = search(&[&words[..], &["--server", "x"]].concat()).unwrap();
        assert_eq!(args.query, ["-kind:consumer", "a:b", "-name:x", "-{c:d}"]);
        assert_eq!((args.limit, args.server.server.as_str()), (2, "x"));
        let args = search(&["-n", "3", "--", "-a:b"]).unwrap();
        assert_eq!(
            (args.limit, args.query.as_slice()),
            (3, &["-a:b".to_owned()][..])
        );
    }

    #[test]
    fn a_flag_that_nobody_knows_is_no_query() {
        assert!(search(&["a:b", "--slow"]).is_err());
        assert!(search(&["a:b", "-x"]).is_err());
    }

    #[test]
    fn the_commands_make_sense() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let about = Cli::command().get_about().map(ToString::to_string);
        assert!(about.is_some_and(|about| about.starts_with("Keeps every request")));
    }
}
