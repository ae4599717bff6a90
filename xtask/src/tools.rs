//! What the tests need beside Rust, from Debian, PyPI and npm; each installed once, and said so.

use crate::run::{root, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian packages by the command that succeeds where they are there.
const APT: [(&[&str], &[&str]); 3] = [
    (
        &["chromedriver", "--version"],
        &[
            "chromium",
            "chromium-driver",
            "fonts-dejavu-core",
            "fonts-nanum",
        ],
    ),
    // Debian's Python comes without what `python3 -m venv` needs, `ensurepip` above all.
    (
        &["python3", "-c", "import venv, ensurepip"],
        &["python3", "python3-venv"],
    ),
    (
        &["sh", "-c", "ls /usr/lib/postgresql/*/bin/postgres"],
        &[POSTGRESQL],
    ),
];
const POSTGRESQL: &str = "postgresql";
/// Tests start servers of their own; Debian's package would make and start one beside them.
const NO_CLUSTER: (&str, &str) = (
    "/etc/postgresql-common/createcluster.d/hoplog.conf",
    "create_main_cluster = false\n",
);
const PYTHON: [&str; 3] = [
    "opentelemetry-sdk==1.45.*",
    "opentelemetry-exporter-otlp-proto-http==1.45.*",
    "opentelemetry-exporter-otlp-proto-grpc==1.45.*",
];

/// Where things were put.
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// What tests read to find them.
    pub(crate) fn env(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("HOPLOG_TEST_PYTHON", self.folder.join("python/bin/python")),
            (
                "HOPLOG_TEST_NODE_MODULES",
                self.folder.join("node/node_modules"),
            ),
        ]
    }
}

/// Installs what is missing.
pub(crate) fn install() -> Result<Tools, String> {
    let tools = Tools {
        folder: root().join(".test-tools"),
    };
    std::fs::create_dir_all(&tools.folder).map_err(|why| format!(".test-tools: {why}"))?;
    debian()?;
    tools.python()?;
    tools.node()?;
    Ok(tools)
}

fn succeeds(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    let mut look = Command::new(program);
    look.args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    look.status().is_ok_and(|status| status.success())
}

fn debian() -> Result<(), String> {
    let missing: Vec<&str> = APT
        .iter()
        .filter(|(check, _)| !succeeds(check))
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("==> installing from Debian: {}", missing.join(" "));
    if missing.contains(&POSTGRESQL) {
        no_cluster()?;
    }
    run(Command::new("apt-get").args(["update", "-q", "-q"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-q", "-q", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn no_cluster() -> Result<(), String> {
    let (path, text) = NO_CLUSTER;
    println!("==> writing {path}: {}", text.trim());
    let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|why| format!("{path}: {why}"))
}

impl Tools {
    /// The OpenTelemetry SDK for Python, in a virtual environment.
    fn python(&self) -> Result<(), String> {
        let python = self.folder.join("python/bin/python");
        let there = Command::new(&python)
            .args([
                "-c",
                "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.grpc",
            ])
            .stderr(Stdio::null())
            .status();
        if there.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        println!(
            "==> installing from PyPI into .test-tools/python: {}",
            PYTHON.join(" ")
        );
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(self.folder.join("python")))?;
        run(Command::new(python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(PYTHON))
    }

    /// The OpenTelemetry SDK for Node and axe-core, as `tests/node/package.json` names them.
    fn node(&self) -> Result<(), String> {
        let folder = self.folder.join("node");
        let wanted = root().join("tests/node/package.json");
        let wanted =
            std::fs::read(&wanted).map_err(|why| format!("{}: {why}", wanted.display()))?;
        let installed = folder.join("package.json");
        let done = folder.join("node_modules/.package-lock.json");
        if done.exists() && std::fs::read(&installed).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        println!("==> installing from npm into .test-tools/node, as tests/node/package.json says");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&installed, wanted))
            .map_err(|why| format!("{}: {why}", installed.display()))?;
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_or_is_not_there_does_not_succeed() {
        let shell = |script| ["sh", "-c", script];
        assert!(succeeds(&shell("exit 0")));
        assert!(!succeeds(&shell("exit 1")));
        assert!(!succeeds(&["no-such-program-anywhere"]));
    }
}
