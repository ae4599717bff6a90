//! A hoplog server as a process of its own: started, measured, ended, killed.

use crate::ends::has_ended;
use anyhow::{Context, bail, ensure};
use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long a server may take to print its addresses.
pub const START_WITHIN: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The binary; by default what `HOPLOG_BIN` names.
    pub binary: Option<PathBuf>,
    /// The data folder.
    pub data: PathBuf,
    /// Further arguments of `hoplog serve`.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

impl ServerOptions {
    /// A server on this data folder, on free ports of the loopback address.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let (arguments, environment) = (Vec::new(), Vec::new());
        Self {
            binary: None,
            data: data.into(),
            arguments,
            environment,
        }
    }
}

/// The binary that `HOPLOG_BIN` names.
///
/// # Errors
/// The variable is not set.
pub fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("HOPLOG_BIN").context("HOPLOG_BIN names no hoplog binary")?;
    Ok(path.into())
}

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    /// Where the web, the API and the gRPC query service are.
    pub http: SocketAddr,
    /// Where OTLP/gRPC is received.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP is received.
    pub otlp_http: SocketAddr,
    log: PathBuf,
    /// Lines logged so far.
    logged: watch::Receiver<u64>,
    copy: JoinHandle<()>,
    drain: JoinHandle<()>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// CPU seconds it used in its life, user and system, the stop included.
    pub cpu_seconds: f64,
    /// From the signal to the end.
    pub took: Duration,
}

impl Server {
    /// Starts `hoplog serve` and waits for its addresses. Its log goes to `DATA.log`, beside the
    /// data folder.
    ///
    /// # Errors
    /// It cannot be started, ends, or prints no addresses within [`START_WITHIN`]; the error
    /// shows the end of its log.
    pub async fn start(options: &ServerOptions) -> anyhow::Result<Self> {
        let binary = match &options.binary {
            Some(binary) => binary.clone(),
            None => binary()?,
        };
        let log = options.data.with_extension("log");
        let log_file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)?;
        let mut command = Command::new(&binary);
        command.arg("serve").arg("--data").arg(&options.data);
        for listen in ["--http", "--otlp-grpc", "--otlp-http"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        command
            .args(&options.arguments)
            .envs(options.environment.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let pid = child.id().context("the server has no process id")?;
        let stdout = child
            .stdout
            .take()
            .context("the server's output is a pipe")?;
        let stderr = child.stderr.take().context("the server's log is a pipe")?;
        let (count, logged) = watch::channel(0);
        let copy = tokio::spawn(copy(stderr, log_file, count));
        let mut lines = BufReader::new(stdout).lines();
        let addresses = timeout_at(Instant::now() + START_WITHIN, addresses(&mut lines)).await;
        let [http, otlp_grpc, otlp_http] = match addresses {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => {
                // It has closed its output: nearly always it has ended, and all it said is there.
                drop(timeout_at(Instant::now() + START_WITHIN, copy).await);
                return Err(error.context(tail(&log)));
            }
            Err(_) => bail!("no addresses within {START_WITHIN:?}\n{}", tail(&log)),
        };
        // A full pipe would stop the server.
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            pid,
            http,
            otlp_grpc,
            otlp_http,
            log,
            logged,
            copy,
            drain,
        })
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the server logged so far (its last 64 KiB).
    pub fn log(&self) -> String {
        tail(&self.log)
    }

    /// How many lines it has logged: changes when something happens that it tells.
    pub fn logged(&self) -> watch::Receiver<u64> {
        self.logged.clone()
    }

    /// Looks, and again after each line that the server logs, until there is something to see. What is
    /// waited for must be told by a line after it has happened: see the configuration's `log`.
    ///
    /// # Errors
    /// The look's, and what was missing when the server or the time ended.
    pub async fn until<T>(
        &self,
        what: impl Display,
        within: Duration,
        mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut logged = self.logged();
        let deadline = Instant::now() + within;
        loop {
            logged.mark_unchanged();
            if let Some(seen) = look().await.with_context(|| what.to_string())? {
                return Ok(seen);
            }
            match timeout_at(deadline, logged.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => bail!("the server ended before: {what}\n{}", self.log()),
                Err(_) => bail!("not within {within:?}: {what}\n{}", self.log()),
            }
        }
    }

    /// CPU seconds used so far, user and system.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(Stat::read(self.pid)?.cpu_seconds)
    }

    /// The most memory it had in RAM at once, in bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .context("no VmHWM in the process's status")?
            .trim()
            .parse()?;
        Ok(kib * 1024)
    }

    /// Kills the server (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.drain.abort();
        self.copy.await?;
        Ok(())
    }

    /// Asks the server to stop (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// It does not end in time (and is killed); the error shows the end of its log.
    pub async fn stop(mut self, within: Duration) -> anyhow::Result<Ended> {
        let begun = Instant::now();
        let signal = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()
            .await?;
        ensure!(signal.success(), "kill -TERM: {signal}");
        let pid = self.pid;
        let ended = tokio::task::spawn_blocking(move || has_ended(pid, within)).await??;
        ensure!(
            ended,
            "still running {within:?} after SIGTERM\n{}",
            self.log()
        );
        // An ended process keeps its CPU time until it is waited for, so look before waiting.
        let stat = Stat::read(self.pid)?;
        let took = begun.elapsed();
        let status = self.child.wait().await?;
        self.drain.abort();
        self.copy.await?;
        Ok(Ended {
            status,
            cpu_seconds: stat.cpu_seconds,
            took,
        })
    }
}

/// Puts the log into its file, line by line.
async fn copy(stderr: ChildStderr, mut log: std::fs::File, count: watch::Sender<u64>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while stderr
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|read| read > 0)
    {
        // A full disk must not stop the server: it would wait for us.
        drop(log.write_all(&line));
        line.clear();
        count.send_modify(|count| *count += 1);
    }
}

async fn addresses(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<[SocketAddr; 3]> {
    const NAMES: [&str; 3] = ["http=", "otlp-grpc=", "otlp-http="];
    let mut found = [None; 3];
    while found.contains(&None) {
        let line = lines
            .next_line()
            .await?
            .context("the server ended before it was ready")?;
        for (name, found) in NAMES.iter().zip(&mut found) {
            if let Some(address) = line.trim().strip_prefix(name) {
                let address = address.trim_start_matches("http://");
                *found = Some(address.parse().with_context(|| format!("in {line:?}"))?);
            }
        }
    }
    Ok(found.map(|address| address.expect("all three were found")))
}

pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(64 << 10);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

/// What `/proc/PID/stat` tells.
pub(crate) struct Stat {
    /// Ended, but not waited for yet.
    pub(crate) ended: bool,
    /// By SIGSTOP.
    pub(crate) stopped: bool,
    /// Used so far, user and system.
    pub(crate) cpu_seconds: f64,
    /// The same of its children that have ended and were waited for.
    pub(crate) childrens_cpu_seconds: f64,
}

impl Stat {
    pub(crate) fn read(pid: u32) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).context("/proc/PID/stat has another form")
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field, the program's name, may hold anything but ends with the last ")".
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        // Linux counts in hundredths of a second for programs, whatever it does inside.
        let seconds = |user, system| Some((ticks(user)? + ticks(system)?) / 100.0);
        Some(Self {
            ended: matches!(*fields.first()?, "Z" | "X"),
            stopped: *fields.first()? == "T",
            cpu_seconds: seconds(11, 12)?,
            childrens_cpu_seconds: seconds(13, 14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read() {
        let line = "42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 9";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.ended, stat.cpu_seconds), (false, 2.0));
        assert_eq!(stat.childrens_cpu_seconds, 0.5);
        assert!(Stat::parse("42 (x) Z").is_none());
        let own = Stat::read(std::process::id()).unwrap();
        assert!(!own.ended);
    }
}
