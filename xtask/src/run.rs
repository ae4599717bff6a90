//! Running cargo, in the order that builds least.

use crate::{tidy, tools};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Names a database of a cluster with the Citus extension; its schema `hoplog` is dropped.
const CITUS: &str = "TEST_CITUS_URL";

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Runs a command from the root, its output going where ours goes; says what it does.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    println!("==> {shown}");
    let status = command
        .current_dir(root())
        .status()
        .map_err(|why| format!("{shown}: {why}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown}: {status}"))
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args);
    cargo
}

/// What is built as release, chosen together: features, and so what is compiled, depend on the choice.
const RELEASE: [&str; 6] = [
    "--package",
    "hoplog-server",
    "--package",
    "hoplog-store-sqlite",
    "--package",
    "hoplog-store-postgres",
];
/// The tests that only an optimised build can do in time, one in each of these crates.
const VOLUME: (&str, usize) = ("sql::volume", 2);

/// Everything that can fail: tidy, then all tests against the real things.
///
/// With arguments for `cargo test`, the stores at volume are left out.
pub(crate) fn test(args: &[String]) -> Result<(), String> {
    tidy::check()?;
    let tools = tools::install()?;
    // Binary and tests at once: built apart, half of the dependencies are built twice, as their
    // features differ.
    run(&mut cargo(&["build", "--workspace", "--bins", "--tests"]))?;
    let mut tests = cargo(&["test", "--workspace"]);
    tests.args(args);
    tests.env("HOPLOG_BIN", target().join("debug/hoplog"));
    tests.env("INSTA_UPDATE", "no");
    tests.envs(tools.env());
    tests.env_remove(CITUS);
    run(&mut tests)?;
    if std::env::var_os(CITUS).is_none() {
        println!("==> not run on Citus: {CITUS} names no cluster");
    } else {
        let store = ["test", "-p", "hoplog-store-postgres", "--test", "store"];
        run(cargo(&store).arg("conformance"))?;
    }
    if args.is_empty() { volume() } else { Ok(()) }
}

/// Stores of the newest schema, for the tests of later ones.
pub(crate) fn fixtures() -> Result<(), String> {
    let packages = ["-p", "hoplog-store-sqlite", "-p", "hoplog-store-postgres"];
    let mut make = cargo(&["test", "--test", "store"]);
    make.args(packages)
        .args(["--", "--ignored", "make_the_fixture"]);
    run(&mut make)
}

/// The stores of a million and of ten million spans.
pub(crate) fn volume() -> Result<(), String> {
    let (name, tests) = VOLUME;
    let ignored = || {
        let mut test = cargo(&["test", "--release", "--lib"]);
        test.args(RELEASE)
            .args(["--", "--ignored", "--nocapture", name]);
        test
    };
    // A filter that fits nothing is no failure to cargo.
    let listed = output(ignored().arg("--list"))?;
    let found = listed.lines().filter(|line| line.ends_with(": test"));
    let found = found.count();
    if found != tests {
        return Err(format!("{found} tests are named {name}, not {tests}"));
    }
    run(&mut ignored())
}

/// What a command prints; what it says while it works goes where ours goes.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    println!("==> {shown}");
    let done = command
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output();
    let done = done.map_err(|why| format!("{shown}: {why}"))?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(printed)
    } else {
        Err(format!("{shown}: {}\n{printed}", done.status))
    }
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `bench` and `soak`: release binaries against a release server.
pub(crate) fn tests_binary(name: &str, args: &[String]) -> Result<(), String> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "hoplog-server",
    ]))?;
    let mut binary = cargo(&[
        "run",
        "--release",
        "--quiet",
        "--package",
        "hoplog-tests",
        "--bin",
    ]);
    binary.arg(name).arg("--").args(args);
    binary.env("HOPLOG_BIN", target().join("release/hoplog"));
    run(&mut binary)
}

/// What CI runs; the same at home.
pub(crate) fn ci() -> Result<(), String> {
    step("format", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("tests", || test(&[]))?;
    step("clippy", || {
        run(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]))
    })?;
    step("docs", || {
        run(cargo(&["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-Dwarnings"))
    })?;
    // As the README has it: that it works without naming a package is part of the test.
    step("demo", || {
        run(&mut cargo(&["run", "--release", "--", "demo", "--once"]))
    })
}

fn step(name: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let begun = Instant::now();
    work()?;
    println!("==> {name}: {} s", begun.elapsed().as_secs());
    Ok(())
}
