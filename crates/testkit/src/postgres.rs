//! A real PostgreSQL: a server on a free port with a folder of its own. It ends, and its folder
//! goes, with the [`Postgres`] or with the process that started it, however that ends.
//!
//! Everything here blocks for as long as it takes: a start about a second, the rest much less.

mod installed;
mod log;

use crate::ends::has_ended;
use crate::process::{Stat, tail};
use anyhow::{Context, bail, ensure};
use installed::Installed;
use log::{Heard, Waited};
use std::io::{PipeWriter, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// How long anything may take before it is an error.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ends the server when we are gone.
const GUARD: &str = include_str!("postgres/guard.sh");

/// A server of one's own. Dropped, it is gone, and so is its folder.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    heard: Heard,
    port: Port,
    place: Place,
}

/// A port that nobody else gets, whether the server is there or not.
#[derive(Debug)]
struct Port {
    number: u16,
    /// Bound, so that the system gives it to nobody, and not listening, so that the server can.
    _bound: TcpSocket,
}

/// What stays when the server is started anew.
#[derive(Debug)]
struct Place {
    installed: Installed,
    folder: PathBuf,
    settings: Vec<String>,
    guard: Child,
    /// What the server holds as its input, and what gives it to the next one: the guard reads the other
    /// end, and sees when nobody holds it any more.
    alive: Option<PipeWriter>,
}

impl Postgres {
    /// Starts a server with PostgreSQL's own settings; what is committed is synced to disk.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start; the error shows the end of its log.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with these settings, as `("fsync", "off")`.
    ///
    /// # Errors
    /// As [`Postgres::start`], and for settings that it does not know.
    pub fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_on(0, settings)
    }

    /// On a free port if this one is taken.
    fn start_on(port: u16, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let port = Port::reserve(port).or_else(|_| Port::reserve(0))?;
        let place = Place::new(settings)?;
        let (child, heard) = place.launch(port.number)?;
        Ok(Self {
            child,
            heard,
            port,
            place,
        })
    }

    /// Where a database of the server is.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}",
            self.port.number
        )
    }

    /// The server's port on the loopback address; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The process id of the server's first process; another after a restart.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server logged since it was started the last time (its last 64 KiB).
    pub fn log(&self) -> String {
        tail(&self.place.log())
    }

    /// What it logged after this many bytes, and how many bytes it has logged since it was started the last
    /// time.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log_after(&self, bytes: usize) -> anyhow::Result<(String, usize)> {
        let mark = format!("DO $$ BEGIN RAISE LOG '{}'; END $$", log::MARK);
        self.psql("postgres", &mark)?;
        anyhow::ensure!(
            self.heard.until_marked(PATIENCE),
            "the log ends before what the server said last"
        );
        let log = std::fs::read(self.place.log()).context("read the log")?;
        let rest = log.get(bytes..).unwrap_or_default();
        Ok((String::from_utf8_lossy(rest).into_owned(), log.len()))
    }

    /// CPU seconds that all its processes have used since it was started, user and system.
    ///
    /// # Errors
    /// The server is not running.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut sum = Stat::read(self.pid())?.childrens_cpu_seconds;
        for process in self.processes()? {
            // One that has ended meanwhile is counted with the first process's children the next time.
            sum += Stat::read(process).map_or(0.0, |stat| stat.cpu_seconds);
        }
        Ok(sum)
    }

    /// Runs SQL in a database; the rows, their values parted by `|`.
    ///
    /// # Errors
    /// What psql says.
    pub fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        self.psql_at(&self.url(database), sql)
    }

    /// As [`Postgres::psql`], in a database of another server.
    ///
    /// # Errors
    /// What psql says.
    pub fn psql_at(&self, url: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = self.psql_of(url);
        let done = psql
            .args(["--command", sql])
            .stdin(Stdio::null())
            .output()
            .context("start psql")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "psql: {sql}: {said}");
        let rows = String::from_utf8(done.stdout)?;
        Ok(rows.trim_end_matches('\n').to_owned())
    }

    fn psql_of(&self, url: &str) -> Command {
        let mut psql = self.place.command("psql");
        psql.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only"])
            .args(["--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", url])
            .env("PGCONNECT_TIMEOUT", PATIENCE.as_secs().to_string());
        psql
    }

    /// A schema of a database with all that is in it, as SQL for [`Postgres::restore`].
    ///
    /// # Errors
    /// What `pg_dump` says.
    pub fn dump(&self, database: &str, schema: &str) -> anyhow::Result<String> {
        let mut dump = self.place.command("pg_dump");
        dump.args(["--no-owner", "--no-privileges", "--schema", schema])
            .args(["--dbname", &self.url(database)]);
        let done = dump.stdin(Stdio::null()).output();
        let done = done.context("start pg_dump")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "pg_dump: {said}");
        let sql = String::from_utf8(done.stdout)?;
        // A word by chance, which older versions of psql do not know.
        let is_random =
            |line: &&str| line.starts_with("\\restrict") || line.starts_with("\\unrestrict");
        let lines = sql.split_inclusive('\n').filter(|line| !is_random(line));
        Ok(lines.collect())
    }

    /// Runs SQL of any length in a database.
    ///
    /// # Errors
    /// What psql says.
    pub fn restore(&self, database: &str, sql: &[u8]) -> anyhow::Result<()> {
        let mut file = tempfile::tempfile()?;
        file.write_all(sql)?;
        file.rewind()?;
        let mut psql = self.psql_of(&self.url(database));
        let done = psql.stdin(file).output().context("start psql")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "psql: {said}");
        Ok(())
    }

    /// Makes an empty database. Its name must be fit for a URL as it is.
    ///
    /// # Errors
    /// The name is not fit or taken.
    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        ensure!(name.bytes().all(fit), "a database named {name:?}");
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""))?;
        Ok(())
    }

    /// Stops every process of the server where it is (SIGSTOP): connections stay and new ones are
    /// taken, but nothing is answered. Comes back when all of them stand still.
    ///
    /// # Errors
    /// The server is not running.
    pub fn stop_signal(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The first process stops first, so that no others come.
            let moving = moving(self.processes()?)?;
            if moving.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still moving: {moving:?}");
            // Only its parent is told that a process stands still, and the parent of most does so
            // itself: they are looked at when `kill`, which is told to do it again, has ended.
            signal("-STOP", &moving);
        }
    }

    /// Lets a stopped server go on (SIGCONT).
    ///
    /// # Errors
    /// The server is not running.
    pub fn cont_signal(&mut self) -> anyhow::Result<()> {
        signal("-CONT", &self.processes()?);
        Ok(())
    }

    /// Ends the server as an administrator would (SIGINT, its "fast" shutdown): connections are
    /// closed, and nobody listens at the port. Nothing happens where it has ended already.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn shut_down(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.cont_signal()?;
        signal("-INT", &[self.pid()]);
        let ended = has_ended(self.pid(), PATIENCE)?;
        ensure!(ended, "PostgreSQL does not end\n{}", self.log());
        self.child.wait()?;
        Ok(())
    }

    /// Starts a server that was shut down or killed, on its port and with its data.
    ///
    /// # Errors
    /// It is running, or does not start; then the error shows the end of its log.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.try_wait()?.is_some(), "PostgreSQL is running");
        // The processes of one that was killed end by themselves, but not at once.
        let ended = self.heard.until_ended(PATIENCE);
        ensure!(ended, "its processes do not end\n{}", self.log());
        (self.child, self.heard) = self.place.launch(self.port.number)?;
        Ok(())
    }

    /// [`Postgres::shut_down`], then [`Postgres::start_again`].
    ///
    /// # Errors
    /// As theirs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.shut_down()?;
        self.start_again()
    }

    /// The first process, which started all others, and those.
    fn processes(&self) -> anyhow::Result<Vec<u32>> {
        let first = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"))
            .context("PostgreSQL is not running")?;
        let children = children.split_whitespace().map(str::parse);
        let all = std::iter::once(Ok(first)).chain(children);
        Ok(all.collect::<Result<_, _>>()?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.place.give_up();
        // An ended child that cannot be waited for is none of ours; there is nothing to do.
        let _ = self.child.wait();
    }
}

impl Place {
    /// An empty cluster in a folder that goes when we do.
    fn new(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hoplog-postgres-")
            .tempdir()?;
        let installed = Installed::for_folder(folder.path())?;
        let (guard, alive) = guard(folder.path())?;
        let place = Self {
            installed,
            folder: folder.keep(),
            settings: settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            guard,
            alive: Some(alive),
        };
        place.initdb()?;
        Ok(place)
    }

    fn initdb(&self) -> anyhow::Result<()> {
        let mut initdb = self.command("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg("--pgdata")
            .arg(self.data());
        let done = initdb
            .stdin(self.alive()?)
            .output()
            .context("start initdb")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "initdb: {said}");
        Ok(())
    }

    /// The server, ready.
    fn launch(&self, port: u16) -> anyhow::Result<(Child, Heard)> {
        let (said, says) = std::io::pipe()?;
        let mut child = self.spawn(port, says).context("start postgres")?;
        let mut heard = Heard::new(said, &self.log())?;
        let waited = heard.until_ready(PATIENCE);
        if waited == Waited::Ready {
            return Ok((child, heard));
        }
        let _ = child.kill();
        let status = child.wait()?;
        heard.until_ended(PATIENCE);
        let log = tail(&self.log());
        match waited {
            Waited::InVain => bail!("not ready within {PATIENCE:?}\n{log}"),
            _ => bail!("postgres ended: {status}\n{log}"),
        }
    }

    fn spawn(&self, port: u16, says: PipeWriter) -> anyhow::Result<Child> {
        let mut postgres = self.command("postgres");
        let port = format!("port={port}");
        let own = [
            "listen_addresses=127.0.0.1",
            &port,
            "unix_socket_directories=",
        ];
        for setting in own
            .into_iter()
            .chain(self.settings.iter().map(|own| &**own))
        {
            postgres.args(["-c", setting]);
        }
        postgres.arg("-D").arg(self.data()).stdin(self.alive()?);
        postgres.stdout(says.try_clone()?).stderr(says);
        // What a terminal tells us, as Ctrl-C, is not for the server.
        Ok(postgres.process_group(0).spawn()?)
    }

    /// An input from which nothing comes, that tells the guard that somebody is there.
    fn alive(&self) -> anyhow::Result<PipeWriter> {
        let alive = self.alive.as_ref().context("the folder is given up")?;
        Ok(alive.try_clone()?)
    }

    fn command(&self, program: &str) -> Command {
        self.installed.command(program, &self.folder)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Waiting closes the guard's input, whereupon it ends the server and removes the folder.
    fn give_up(&mut self) {
        self.alive = None;
        let _ = self.guard.wait();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The guard, and what who works in the folder is to hold. Signals meant for our process group, or for
/// all that write where we write, pass it by.
fn guard(folder: &Path) -> anyhow::Result<(Child, PipeWriter)> {
    let (held, alive) = std::io::pipe()?;
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).arg(folder);
    guard.current_dir("/").process_group(0);
    guard
        .stdin(Stdio::piped())
        .stdout(held)
        .stderr(Stdio::null());
    let guard = guard.spawn().context("start the guard of PostgreSQL")?;
    Ok((guard, alive))
}

impl Port {
    /// This one, or if it is 0 any that is free.
    fn reserve(port: u16) -> anyhow::Result<Self> {
        let bound = TcpSocket::new_v4()?;
        // The server does so, too: then both may have it as long as one of them listens.
        bound.set_reuseaddr(true)?;
        bound.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        Ok(Self {
            number: bound.local_addr()?.port(),
            _bound: bound,
        })
    }
}

/// Those that neither stand still nor have ended.
fn moving(mut processes: Vec<u32>) -> anyhow::Result<Vec<u32>> {
    let first = processes.first().copied();
    processes.retain(|&pid| {
        let still = |stat: Stat| stat.stopped || stat.ended;
        !Stat::read(pid).map_or(true, still)
    });
    let ended = first.is_none_or(|pid| Stat::read(pid).map_or(true, |stat| stat.ended));
    ensure!(!ended, "PostgreSQL is not running");
    Ok(processes)
}

/// Whoever has ended meanwhile does not matter: what the signal does is looked at.
fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let mut kill = Command::new("kill");
    kill.arg(name).args(processes).stderr(Stdio::null());
    let _ = kill.status();
}

/// The server that the tests of a process share, started by whoever asks first. It does not sync:
/// who asks whether data outlive a crash of the machine, or stops the server, needs his own.
///
/// # Errors
/// As [`Postgres::start`], every time.
pub fn shared() -> anyhow::Result<&'static Postgres> {
    static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
    let started = SHARED.get_or_init(|| {
        let started = Postgres::start_with(&[("fsync", "off")]);
        started.map_err(|why| format!("{why:#}"))
    });
    started.as_ref().map_err(|why| anyhow::anyhow!("{why}"))
}

/// A database of one's own, empty, on the shared server. Dropped, it is gone; who is still
/// connected is thrown out.
#[derive(Debug)]
pub struct Database {
    server: &'static Postgres,
    name: String,
}

impl Database {
    /// Makes one.
    ///
    /// # Errors
    /// As [`shared`].
    pub fn new() -> anyhow::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{made}", std::process::id());
        let server = shared()?;
        server.create_database(&name)?;
        Ok(Self { server, name })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// As [`Postgres::psql`].
    ///
    /// # Errors
    /// What psql says.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.server.psql(&self.name, sql)
    }

    /// Waits until every transaction that has used this table has ended; how many sessions of hoplog stand still
    /// in one all the same.
    ///
    /// # Errors
    /// One of them does not end within ten seconds.
    pub fn idle_in_transaction(&self, table: &str) -> anyhow::Result<u64> {
        let counted = self.psql(&format!(
            "SET lock_timeout = '10s';
             BEGIN;
             LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
             SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND application_name = 'hoplog' AND state LIKE 'idle in transaction%';
             COMMIT"
        ))?;
        Ok(counted.parse()?)
    }

    /// As [`Postgres::dump`].
    ///
    /// # Errors
    /// What `pg_dump` says.
    pub fn dump(&self, schema: &str) -> anyhow::Result<String> {
        self.server.dump(&self.name, schema)
    }

    /// As [`Postgres::restore`].
    ///
    /// # Errors
    /// What psql says.
    pub fn restore(&self, sql: &[u8]) -> anyhow::Result<()> {
        self.server.restore(&self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // It goes with the server at the latest.
        let _ = self.server.psql("postgres", &drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_taken_port_is_given_up_for_another() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        let server = Postgres::start_on(taken, &[("fsync", "off")]).unwrap();
        assert_ne!(server.port(), taken);
        assert_eq!(server.psql("postgres", "SHOW fsync").unwrap(), "off");
    }
}
