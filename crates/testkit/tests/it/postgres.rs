//! PostgreSQL: started, stopped, started anew, and gone with whoever started it.

use hoplog_testkit::ends;
use hoplog_testkit::postgres::{Database, Postgres};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Set for the process that one of the tests kills.
const VICTIM: &str = "HOPLOG_TEST_POSTGRES_VICTIM";

fn start() -> Postgres {
    Postgres::start_with(&[("fsync", "off")]).unwrap()
}

/// The server's folder: what its first process works in lies in it.
fn folder(pid: u32) -> PathBuf {
    let data = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    data.parent().unwrap().to_owned()
}

/// Ended by now; whether somebody waited for it does not matter.
fn has_ended(pid: u32) -> bool {
    ends::has_ended(pid, Duration::ZERO).unwrap()
}

fn ends(pid: u32) {
    assert!(
        ends::has_ended(pid, PATIENCE).unwrap(),
        "{pid} does not end"
    );
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split(' ').filter_map(|pid| pid.parse().ok()).collect()
}

/// The guard of a folder, which is named on its command line.
fn guard(folder: &Path) -> u32 {
    let is_guard = |line: Vec<u8>| {
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word == b"guard") && words.next() == Some(folder.as_os_str().as_bytes())
    };
    let mut processes = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let guard = processes.find(|process| {
        let line = std::fs::read(process.path().join("cmdline"));
        line.is_ok_and(is_guard)
    });
    let pid = guard.unwrap().file_name();
    pid.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_server_answers_and_is_gone_when_dropped() {
    let server = Postgres::start().unwrap();
    let answers = server.psql("postgres", "SELECT 1, 'två'; SHOW fsync");
    assert_eq!(answers.unwrap(), "1|två\non");
    let expected = "template1|UTF8|C";
    let sql = "SELECT datname, pg_encoding_to_char(encoding), datcollate FROM pg_database \
               WHERE datname = 'template1'";
    assert_eq!(server.psql("postgres", sql).unwrap(), expected);
    let (pid, folder) = (server.pid(), folder(server.pid()));
    let children = children(pid);
    assert!(!children.is_empty());
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(children.into_iter().all(has_ended));
    assert!(!folder.exists());
}

#[test]
fn what_is_wrong_is_said() {
    let error = Postgres::start_with(&[("no_such", "thing")]).unwrap_err();
    assert!(format!("{error:#}").contains("no_such"), "{error:#}");
    let database = Database::new().unwrap();
    let error = database.psql("SELECT no_such").unwrap_err();
    assert!(format!("{error:#}").contains("no_such"), "{error:#}");
}

#[test]
fn a_stopped_server_answers_when_it_goes_on() {
    let mut server = start();
    server.stop_signal().unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    // May we use TLS? It has none and says N.
    stream
        .write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut answer = [0];
    let nothing = stream.read(&mut answer).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    server.cont_signal().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    assert_eq!(server.psql("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_stopped_server_can_be_dropped() {
    let mut server = start();
    let (pid, folder) = (server.pid(), folder(server.pid()));
    server.stop_signal().unwrap();
    drop(server);
    assert!(has_ended(pid));
    assert!(!folder.exists());
}

#[test]
fn a_restarted_server_has_its_port_and_its_data() {
    let mut server = start();
    server.create_database("kept").unwrap();
    server
        .psql("kept", "CREATE TABLE t AS SELECT 7 AS n")
        .unwrap();
    let (pid, port) = (server.pid(), server.port());
    server.restart().unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!(server.port(), port);
    assert_eq!(server.psql("kept", "SELECT n FROM t").unwrap(), "7");
}

#[test]
fn a_server_that_is_down_refuses_connections() {
    let mut server = start();
    server.shut_down().unwrap();
    server.shut_down().unwrap();
    assert!(server.stop_signal().is_err());
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.start_again().unwrap();
    assert!(server.start_again().is_err());
    assert_eq!(server.psql("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_killed_server_starts_again_with_what_was_committed() {
    let mut server = start();
    let sql = "CREATE TABLE t AS SELECT 7 AS n";
    server.psql("postgres", sql).unwrap();
    let pid = server.pid().to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.unwrap().success());
    ends(server.pid());
    server.start_again().unwrap();
    assert_eq!(server.psql("postgres", "SELECT n FROM t").unwrap(), "7");
}

#[test]
fn everybody_gets_an_empty_database() {
    let [one, other] = [(); 2].map(|()| Database::new().unwrap());
    one.psql("CREATE TABLE t ()").unwrap();
    other.psql("CREATE TABLE t ()").unwrap();
    assert!(one.url().ends_with(one.name()));
    let sql = format!(
        "SELECT count(*) FROM pg_database WHERE datname = '{}'",
        one.name()
    );
    assert_eq!(other.psql(&sql).unwrap(), "1");
    drop(one);
    assert_eq!(other.psql(&sql).unwrap(), "0");
}

/// What the next test runs in a process of its own.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let mut server = start();
    let shared = hoplog_testkit::postgres::shared().unwrap();
    server.stop_signal().unwrap();
    println!("\nservers {} {}", server.pid(), shared.pid());
    // Until we are killed, or our input is closed.
    let _ = std::io::stdin().read(&mut [0]);
}

fn start_victim() -> (Child, Vec<u32>) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let servers = lines
        .map_while(Result::ok)
        .find_map(|line| {
            let pids = line.strip_prefix("servers ")?.split(' ');
            Some(pids.map(|pid| pid.parse().unwrap()).collect())
        })
        .unwrap();
    (victim, servers)
}

#[test]
fn a_killed_process_leaves_neither_server_nor_folder() {
    let (mut victim, servers) = start_victim();
    let folders: Vec<PathBuf> = servers.iter().map(|pid| folder(*pid)).collect();
    let guards: Vec<u32> = folders.iter().map(|folder| guard(folder)).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    for ((pid, folder), guard) in servers.into_iter().zip(folders).zip(guards) {
        ends(pid);
        ends(guard);
        assert!(!folder.exists());
    }
}
