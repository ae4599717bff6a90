//! Where PostgreSQL's programs are, and as whom they can run.

use anyhow::Context;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The newest PostgreSQL on this machine.
#[derive(Debug)]
pub(super) struct Installed {
    programs: PathBuf,
    /// The server refuses to run as root; who it is then.
    user: Option<User>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl Installed {
    /// Finds it. The folder, which we made, is given to whom the server runs as.
    pub(super) fn for_folder(folder: &Path) -> anyhow::Result<Self> {
        let programs = newest(Path::new(VERSIONS)).with_context(|| {
            format!("no PostgreSQL in {VERSIONS}: `cargo xtask test` installs it")
        })?;
        let we_are_root = folder.metadata()?.uid() == 0;
        let user = we_are_root.then(|| {
            let users = std::fs::read_to_string("/etc/passwd")?;
            let user = user("postgres", &users).context("no user postgres in /etc/passwd")?;
            chown(folder, Some(user.uid), Some(user.gid))?;
            anyhow::Ok(user)
        });
        let user = user.transpose()?;
        Ok(Self { programs, user })
    }

    /// One of PostgreSQL's programs, run in this folder, as who may run it, told nothing by our
    /// environment.
    pub(super) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(folder).env("HOME", folder);
        let told = std::env::vars_os().map(|(name, _)| name);
        for name in told.filter(|name| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

fn newest(versions: &Path) -> Option<PathBuf> {
    let found = std::fs::read_dir(versions).ok()?.flatten();
    let found = found.filter(|version| version.path().join("bin/postgres").exists());
    let newest = found.max_by_key(|version| number(&version.file_name()))?;
    Some(newest.path().join("bin"))
}

fn number(version: &OsStr) -> Option<u32> {
    let major = version.to_str()?.split('.').next()?;
    major.parse().ok()
}

fn user(name: &str, users: &str) -> Option<User> {
    let lines = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.into_iter().find(|line| line.first() == Some(&name))?;
    let id = |field: usize| line.get(field)?.parse().ok();
    let (uid, gid) = (id(2)?, id(3)?);
    Some(User { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_with_a_server_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path()), None);
        for (version, program) in [("9.6", "postgres"), ("15", "postgres"), ("17", "psql")] {
            let programs = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&programs).unwrap();
            std::fs::write(programs.join(program), "").unwrap();
        }
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
    }

    #[test]
    fn users_are_found_by_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        let found = User { uid: 101, gid: 104 };
        assert_eq!(user("postgres", users), Some(found));
        assert_eq!(user("postgre", users), None);
        assert_eq!(user("postgres", "postgres:x:y"), None);
    }
}
