//! The configuration: file, then environment, then flags; the later wins.

use crate::cli::Cli;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
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

/// Days a partition may be kept at most: as nanoseconds they must fit into 64 bits.
const DAYS_MAX: u64 = 100_000;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for everything hoplog keeps.
    pub(crate) data: PathBuf,
    /// URL of a PostgreSQL (`postgres://user:password@host:port/database`) that holds the requests; none:
    /// files in the data folder do. The inbox is always in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<String>,
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
            database: None,
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
        let mut table = match &cli.config {
            Some(path) => file(path)?,
            None => Table::new(),
        };
        environment(&mut table, std::env::vars_os())?;
        flags(&mut table, cli);
        refuse_two_words(&table)?;
        let mut config: Self = table.try_into().context("in the configuration")?;
        config.refuse_open_doors()?;
        config.refuse_useless_numbers()?;
        config.say_once();
        Ok(config)
    }

    /// This configuration as a file, secrets masked.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let shown = Self {
            database: self.database.as_deref().map(crate::database::masked),
            ..self.clone()
        };
        Ok(toml::to_string_pretty(&shown)?)
    }

    fn refuse_useless_numbers(&self) -> Result<()> {
        for (name, value, least, most) in bounds(self) {
            ensure!(value >= least, "{name} = {value}: the least is {least}");
            ensure!(value <= most, "{name} = {value}: the most is {most}");
        }
        Ok(())
    }

    /// What the older settings say is said by the newer ones: there is one policy to show.
    fn say_once(&mut self) {
        let store = &mut self.store;
        store.keep = store.policy();
        (store.retain_days, store.retain_bytes) = (None, None);
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

/// What the older settings say in place of the newer ones must not be said by both, even if they agree.
fn refuse_two_words(table: &Table) -> Result<()> {
    let store = table.get("store").and_then(Value::as_table);
    let keep = store.and_then(|store| store.get("keep")?.as_table());
    let said = |table: Option<&Table>, name| table.is_some_and(|table| table.contains_key(name));
    for (old, new) in [
        ("retain_days", ["rest", "slow", "errors"].as_slice()),
        ("retain_bytes", &["bytes"]),
    ] {
        let both = new.iter().find(|name| said(store, old) && said(keep, name));
        if let Some(new) = both {
            bail!("store.{old} and store.keep.{new} are both set: leave out {old}");
        }
    }
    Ok(())
}

/// The settings of a file. Read alone, so that what is wrong in it is told with its name and line.
fn file(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the config file {}", path.display()))?;
    let read = toml::from_str::<Config>(&text).and_then(|_| text.parse());
    read.with_context(|| format!("in {}", path.display()))
}

/// Numbers with which hoplog would keep nothing, and what they may be. The inbox looks at its own.
fn bounds(config: &Config) -> [(&'static str, u64, u64, u64); 5] {
    let (assemble, store) = (&config.assemble, &config.store);
    let memory = u64::try_from(assemble.memory_bytes).unwrap_or(u64::MAX);
    let days = store.retain_days.map_or(DAYS_MAX, u64::from);
    let hours = u64::from(store.partition_hours);
    let repack = u64::from(store.repack_cpu_percent);
    let age = assemble.age_seconds_max;
    [
        ("assemble.age_seconds_max", age, 1, u64::MAX),
        ("assemble.memory_bytes", memory, 1, u64::MAX),
        ("store.partition_hours", hours, 1, 744),
        ("store.retain_days", days, 1, DAYS_MAX),
        ("store.repack_cpu_percent", repack, 0, 100),
    ]
}

/// Lays `HOPLOG_…` variables over `table`.
fn environment(
    table: &mut Table,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<()> {
    for (name, text) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if NOT_SETTINGS.contains(&name) {
            continue;
        }
        let wrong = || format!("in the environment variable {name}");
        let text = text
            .to_str()
            .context("it is not UTF-8")
            .with_context(wrong)?;
        // Alone first: later nobody knows whose setting it was.
        let mut alone = Table::new();
        lay(&mut alone, name, text).with_context(wrong)?;
        alone.try_into::<Config>().with_context(wrong)?;
        lay(table, name, text).with_context(wrong)?;
    }
    Ok(())
}

/// Lays one variable over `table`. `__` separates section and setting.
fn lay(table: &mut Table, name: &str, text: &str) -> Result<()> {
    let path = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase();
    let mut keys: Vec<&str> = path.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut section = table;
    for key in keys {
        let entry = section
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        section = entry
            .as_table_mut()
            .with_context(|| format!("{key} is no section"))?;
    }
    section.insert(last.to_owned(), value(text));
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
    set("database", cli.database.clone());
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
    use hoplog_model::times::DAY;
    use hoplog_store::retention::{Age, Bytes, Keep, Nanos};

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
        let variables = variables.map(|(name, text)| (name.into(), text.into()));
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

    fn of_variable(name: &str, text: OsString) -> String {
        let variables = [(name.into(), text)];
        let laid = environment(&mut Table::new(), variables.into_iter());
        format!("{:#}", laid.unwrap_err())
    }

    #[test]
    fn a_variable_that_is_wrong_is_named() {
        for (name, text, what) in [
            ("HOPLOG_DTAA", "x", "unknown field `dtaa`"),
            ("HOPLOG_ASSEMBLE__QUITE_SECONDS", "3", "`quite_seconds`"),
            ("HOPLOG_HTTP", "everywhere", "socket address"),
            ("HOPLOG_", "x", "unknown field"),
        ] {
            let said = of_variable(name, text.into());
            assert!(said.contains(name) && said.contains(what), "{said}");
        }
        let bytes = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
        let said = of_variable("HOPLOG_DATA", bytes);
        assert!(said.contains("HOPLOG_DATA: it is not UTF-8"), "{said}");
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        for text in [
            "log = \"warn\"\ndtaa = \"x\"",
            "[store]\nretain_days = \"x\"",
        ] {
            std::fs::write(&path, text).unwrap();
            let said = format!("{:#}", file(&path).unwrap_err());
            assert!(
                said.contains("my.toml") && said.contains("line 2"),
                "{said}"
            );
        }
    }

    #[test]
    fn numbers_that_keep_nothing_are_refused() {
        for (text, said) in [
            (
                "[store]\npartition_hours = 0",
                "store.partition_hours = 0: the least is 1",
            ),
            (
                "[store]\npartition_hours = 745",
                "store.partition_hours = 745: the most is 744",
            ),
            (
                "[store]\nretain_days = 0",
                "store.retain_days = 0: the least is 1",
            ),
            (
                "[store]\nretain_days = 100001",
                "store.retain_days = 100001: the most is 100000",
            ),
            (
                "[store]\nrepack_cpu_percent = 101",
                "store.repack_cpu_percent = 101: the most is 100",
            ),
            (
                "[assemble]\nmemory_bytes = 0",
                "assemble.memory_bytes = 0: the least is 1",
            ),
            (
                "[assemble]\nage_seconds_max = 0",
                "assemble.age_seconds_max = 0: the least is 1",
            ),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            let refused = config.refuse_useless_numbers().unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
        assert!(Config::default().refuse_useless_numbers().is_ok());
    }

    #[test]
    fn what_is_kept_is_said_once() {
        let text = "[store]\nretain_days = 3\n[store.keep]\nerrors = \"30d\"";
        let said = refuse_two_words(&text.parse().unwrap()).unwrap_err();
        let said = said.to_string();
        assert!(said.contains("leave out retain_days"), "{said}");
        // Whether it is the default or not.
        let text = "[store]\nretain_bytes = 3\nkeep = { bytes = \"unbounded\" }";
        assert!(refuse_two_words(&text.parse().unwrap()).is_err());
        let text = "[store]\nretain_days = 3\nretain_bytes = 5\nkeep = { slow_over = \"1s\" }";
        assert!(refuse_two_words(&text.parse().unwrap()).is_ok());
        let mut config: Config = toml::from_str(text).unwrap();
        config.say_once();
        let keep = Keep {
            bytes: Bytes::AtMost(5),
            ..Keep::all(3 * DAY)
        };
        assert_eq!(config.store.policy(), keep);
        let text = "[store]\nkeep = { errors = \"30d\", slow = \"14d\", rest = \"3d\", slow_over = \"500ms\", bytes = \"20GiB\" }";
        let config: Config = toml::from_str(text).unwrap();
        let keep = Keep {
            errors: Age::Nanos(30 * DAY),
            slow: Age::Nanos(14 * DAY),
            slow_over: Nanos(500_000_000),
            bytes: Bytes::AtMost(20 << 30),
            ..Keep::all(3 * DAY)
        };
        assert_eq!(config.store.policy(), keep);
        let mut table = Table::new();
        let variables = [
            ("HOPLOG_STORE__KEEP__REST", "forever"),
            ("HOPLOG_STORE__KEEP__BYTES", "1000"),
        ];
        let variables = variables.map(|(name, text)| (name.into(), text.into()));
        environment(&mut table, variables.into_iter()).unwrap();
        let keep = table.try_into::<Config>().unwrap().store.policy();
        assert_eq!(
            (keep.rest, keep.bytes),
            (Age::Forever, Bytes::AtMost(1_000))
        );
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
    fn the_example_says_what_each_setting_is() {
        let example = include_str!("../../../deploy/hoplog.example.toml");
        let (_, store) = example.split_once("# [store]").unwrap();
        assert!(store.contains("# retain_bytes "));
        for line in Config::default().to_toml().unwrap().lines() {
            let key = line.split(" = ").next().unwrap_or_default();
            assert!(
                example.contains(&format!("# {key} ")) || key.is_empty(),
                "{key}"
            );
        }
        let rule = example
            .lines()
            .skip_while(|line| *line != "# [[assemble.policy]]");
        let rule = rule.map_while(|line| line.strip_prefix("# "));
        let rule = rule.collect::<Vec<_>>().join("\n");
        let config: Config = toml::from_str(&rule).unwrap();
        assert_eq!(config.assemble.policy.len(), 1);
        assert_eq!(config.assemble.policy[0].samples_per_minute, 3);
    }

    #[test]
    fn what_is_printed_is_what_is_read() {
        let text = Config::default().to_toml().unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
