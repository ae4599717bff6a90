//! The configuration: file, then environment, then flags; the later wins.

use crate::cli::Cli;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toml::{Table, Value};

/// Environment variables of this beginning are settings: `HOPLOG_DATA`, or for a section
/// `HOPLOG_ASSEMBLE__QUIET_SECONDS`.
const PREFIX: &str = "HOPLOG_";
/// Not settings of the server: what `search` and `get` read, and what tests use to find things.
const NOT_SETTINGS: [&str; 4] = [
    "HOPLOG_SERVER",
    "HOPLOG_BIN",
    "HOPLOG_TEST_PYTHON",
    "HOPLOG_TEST_NODE_MODULES",
];

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for everything hoplog keeps.
    pub(crate) data: PathBuf,
    /// Web pages, HTTP API and gRPC query.
    pub(crate) http: SocketAddr,
    /// OTLP over gRPC.
    pub(crate) otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub(crate) otlp_http: SocketAddr,
    /// Listen on other than loopback addresses, though there is no access control yet.
    pub(crate) insecure: bool,
    /// What to log to stderr: a level, or `target=level,…`.
    pub(crate) log: String,
    /// Names under which browsers may open the pages, beside loopback: `hoplog.example:7717`.
    pub(crate) hosts: Vec<String>,
    /// The receivers.
    pub(crate) receive: hoplog_receive::Config,
    /// The inbox.
    pub(crate) inbox: hoplog_inbox::Config,
    /// The assembler and its policies.
    pub(crate) assemble: hoplog_assemble::Config,
    /// The store.
    pub(crate) store: hoplog_store_sqlite::Config,
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "hoplog-data".into(),
            http: loopback(7717),
            otlp_grpc: loopback(4317),
            otlp_http: loopback(4318),
            insecure: false,
            log: "info".to_owned(),
            hosts: Vec::new(),
            receive: hoplog_receive::Config::default(),
            inbox: hoplog_inbox::Config::default(),
            assemble: hoplog_assemble::Config::default(),
            store: hoplog_store_sqlite::Config::default(),
        }
    }
}

impl Config {
    /// The configuration in effect for this command line.
    pub(crate) fn load(cli: &Cli) -> Result<Self> {
        let mut table = Table::new();
        if let Some(path) = &cli.config {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the config file {}", path.display()))?;
            table = text
                .parse()
                .with_context(|| format!("in {}", path.display()))?;
        }
        environment(&mut table, std::env::vars())?;
        flags(&mut table, cli);
        let config: Self = table.try_into().context("in the configuration")?;
        config.refuse_open_doors()?;
        Ok(config)
    }

    /// This configuration as a file.
    pub(crate) fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    fn refuse_open_doors(&self) -> Result<()> {
        for (name, address) in [
            ("http", self.http),
            ("otlp_grpc", self.otlp_grpc),
            ("otlp_http", self.otlp_http),
        ] {
            if !address.ip().is_loopback() && !self.insecure {
                bail!(
                    "{name} = {address} is not a loopback address, and there is no access control \
                     yet: everybody who reaches it could read and write. Use --insecure to do so anyway"
                );
            }
        }
        Ok(())
    }
}

/// Lays `HOPLOG_…` variables over `table`. `__` separates section and setting.
fn environment(table: &mut Table, variables: impl Iterator<Item = (String, String)>) -> Result<()> {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        let path = path.to_ascii_lowercase();
        let mut keys: Vec<&str> = path.split("__").collect();
        let last = keys.pop().unwrap_or_default();
        let mut section = &mut *table;
        for key in keys {
            let entry = section
                .entry(key)
                .or_insert_with(|| Value::Table(Table::new()));
            section = entry
                .as_table_mut()
                .with_context(|| format!("{name}: {key} is no section"))?;
        }
        section.insert(last.to_owned(), value(&text));
    }
    Ok(())
}

/// `8`, `true` and `["a"]` mean in the environment what they mean in the file; the rest is text.
fn value(text: &str) -> Value {
    let line: Result<Table, _> = format!("value = {text}").parse();
    let parsed = line.ok().and_then(|mut line| line.remove("value"));
    parsed
        .filter(|value| !value.is_datetime())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn flags(table: &mut Table, cli: &Cli) {
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), Value::String(value));
        }
    };
    set(
        "data",
        cli.data.as_ref().map(|data| data.display().to_string()),
    );
    let Some(listen) = cli.listen() else { return };
    set("http", listen.http.map(|address| address.to_string()));
    set(
        "otlp_grpc",
        listen.otlp_grpc.map(|address| address.to_string()),
    );
    set(
        "otlp_http",
        listen.otlp_http.map(|address| address.to_string()),
    );
    if listen.insecure {
        table.insert("insecure".to_owned(), Value::Boolean(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn cli(words: &[&str]) -> Cli {
        Cli::parse_from(words)
    }

    #[test]
    fn the_later_wins() {
        let mut table: Table = "data = \"file\"\nlog = \"warn\"\n[assemble]\nquiet_seconds = 9"
            .parse()
            .unwrap();
        let variables = [
            ("HOPLOG_DATA", "env"),
            ("HOPLOG_ASSEMBLE__QUIET_SECONDS", "3"),
            ("PATH", "x"),
        ];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        environment(&mut table, variables.into_iter()).unwrap();
        flags(
            &mut table,
            &cli(&["hoplog", "serve", "--http", "127.0.0.1:0"]),
        );
        let config: Config = table.try_into().unwrap();
        assert_eq!(config.data, PathBuf::from("env"));
        assert_eq!(config.assemble.quiet_seconds, 3);
        assert_eq!(config.log, "warn");
        assert_eq!(config.http.port(), 0);
        assert_eq!(config.otlp_grpc.port(), 4317);
    }

    #[test]
    fn a_setting_nobody_knows_is_named() {
        let mut table = Table::new();
        let variables = [("HOPLOG_DTAA".to_owned(), "x".to_owned())];
        environment(&mut table, variables.into_iter()).unwrap();
        let error = table.try_into::<Config>().unwrap_err().to_string();
        assert!(error.contains("dtaa"), "{error}");
    }

    #[test]
    fn other_than_loopback_needs_a_word() {
        let open = Config {
            http: ([0, 0, 0, 0], 7717).into(),
            ..Config::default()
        };
        assert!(
            open.refuse_open_doors()
                .unwrap_err()
                .to_string()
                .contains("--insecure")
        );
        assert!(
            Config {
                insecure: true,
                ..open
            }
            .refuse_open_doors()
            .is_ok()
        );
    }

    #[test]
    fn the_example_holds_the_defaults() {
        let example = include_str!("../../../deploy/hoplog.example.toml");
        assert_eq!(
            toml::from_str::<Config>(example).unwrap(),
            Config::default()
        );
        let printed = Config::default().to_toml().unwrap();
        assert!(
            example.ends_with(&printed),
            "run `hoplog config` and put it there"
        );
    }

    #[test]
    fn what_is_printed_is_what_is_read() {
        let text = Config::default().to_toml().unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
