//! What the tree must look like; every rule names the place that breaks it.

use crate::run::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, tests at its end not counted.
const LINES: usize = 600;

/// Runs every rule.
pub(crate) fn check() -> Result<(), String> {
    let mut broken = Vec::new();
    arrows(&mut broken);
    sources(&mut broken);
    manifests(&mut broken);
    migrations(&mut broken);
    fixtures(&mut broken);
    if broken.is_empty() {
        println!("==> tidy: ok");
        return Ok(());
    }
    Err(format!(
        "{} rules broken\n  {}",
        broken.len(),
        broken.join("\n  ")
    ))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    found.sort();
    found
}

fn crates() -> Vec<PathBuf> {
    entries(&root().join("crates"))
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The `arrows` block of ARCHITECTURE.md says the same as the manifests.
fn arrows(broken: &mut Vec<String>) {
    let map = read(&root().join("ARCHITECTURE.md"));
    let block = map
        .split("```arrows\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let Some(block) = block else {
        broken.push("ARCHITECTURE.md has no ```arrows block".to_owned());
        return;
    };
    let drawn: BTreeMap<String, Vec<String>> = block.lines().filter_map(arrow).collect();
    let real: BTreeMap<String, Vec<String>> = crates()
        .iter()
        .map(|path| (name(path), dependencies(path)))
        .collect();
    for (crate_name, needs) in &real {
        match drawn.get(crate_name) {
            None => broken.push(format!("ARCHITECTURE.md: no arrow for {crate_name}")),
            Some(said) if said != needs => broken.push(format!(
                "ARCHITECTURE.md: {crate_name} -> {}, but its Cargo.toml says {}",
                said.join(" "),
                needs.join(" ")
            )),
            Some(_) => {}
        }
    }
    for gone in drawn
        .keys()
        .filter(|crate_name| !real.contains_key(*crate_name))
    {
        broken.push(format!(
            "ARCHITECTURE.md: an arrow for {gone}, which is no crate"
        ));
    }
}

fn arrow(line: &str) -> Option<(String, Vec<String>)> {
    let (from, to) = line.split_once("->")?;
    let to = to.split('(').next().unwrap_or_default();
    let mut to: Vec<String> = to.split_whitespace().map(str::to_owned).collect();
    to.sort();
    Some((from.trim().to_owned(), to))
}

/// The crates of this workspace that a crate needs to be built, tests aside.
fn dependencies(path: &Path) -> Vec<String> {
    let manifest = read(&path.join("Cargo.toml"));
    let table = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap_or_default();
    let table = table.split("\n[").next().unwrap_or_default();
    let mut needs: Vec<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("hoplog-"))
        .filter_map(|rest| rest.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect();
    needs.sort();
    needs
}

fn sources(broken: &mut Vec<String>) {
    for folder in ["crates", "tests", "xtask"] {
        walk(&root().join(folder), &mut |path| source(path, broken));
    }
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for path in entries(folder) {
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

fn source(path: &Path, broken: &mut Vec<String>) {
    let shown = path
        .strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string();
    if path.extension().is_none_or(|ending| ending != "rs") || shown.contains("/gen/") {
        return;
    }
    let text = read(path);
    if name(path) == "mod.rs" {
        broken.push(format!("{shown}: use foo.rs beside foo/, not mod.rs"));
    }
    if !text.starts_with("//!") && !text.starts_with("#![doc") {
        broken.push(format!(
            "{shown}: says not what it is for (//! on the first line)"
        ));
    }
    let is_test = ["tests/", "/tests/", "/samples/", "/examples/"]
        .iter()
        .any(|part| shown.contains(part));
    let lines = text
        .split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .lines()
        .count();
    if lines > LINES && !is_test {
        broken.push(format!("{shown}: {lines} lines, {LINES} at most"));
    }
    let marker = ["TO", "DO"].concat();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains(&marker))
    {
        if !line.contains("issue ") {
            broken.push(format!(
                "{shown}:{}: a {marker} without its issue",
                number + 1
            ));
        }
    }
}

fn manifests(broken: &mut Vec<String>) {
    for path in crates()
        .iter()
        .chain(&[root().join("tests"), root().join("xtask")])
    {
        if !read(&path.join("Cargo.toml")).contains("[lints]\nworkspace = true") {
            broken.push(format!(
                "{}: [lints] workspace = true is missing",
                name(path)
            ));
        }
    }
}

/// A migration that has landed is never changed: `migrations/checksums.txt` holds each one's FNV-1a hash
/// and only ever grows. Where several databases have migrations, their names are the same.
fn migrations(broken: &mut Vec<String>) {
    let folder = root().join("migrations");
    let known = read(&folder.join("checksums.txt"));
    let known: BTreeMap<&str, &str> = known
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, file)| (file, sum))
        .collect();
    let mut found = Vec::new();
    let databases: Vec<PathBuf> = entries(&folder)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    for database in &databases {
        for file in entries(database) {
            let key = format!("{}/{}", name(database), name(&file));
            let sum = format!("{:016x}", fnv1a(read(&file).as_bytes()));
            match known.get(key.as_str()) {
                None => broken.push(format!(
                    "migrations/checksums.txt: add the line `{sum}  {key}`"
                )),
                Some(frozen) if **frozen != sum => {
                    broken.push(format!("migrations/{key}: has landed and must not change"));
                }
                Some(_) => {}
            }
            found.push(key);
        }
    }
    for gone in known
        .keys()
        .filter(|file| !found.iter().any(|key| key == **file))
    {
        broken.push(format!("migrations/{gone}: has landed and must not go"));
    }
    let names = |database: &PathBuf| {
        entries(database)
            .iter()
            .map(|file| name(file))
            .collect::<Vec<_>>()
    };
    for pair in databases
        .windows(2)
        .filter(|pair| names(&pair[0]) != names(&pair[1]))
    {
        broken.push(format!(
            "migrations: {} and {} differ in names",
            name(&pair[0]),
            name(&pair[1])
        ));
    }
}

/// A store of every schema is kept, so that later hoplogs prove that they can open it.
fn fixtures(broken: &mut Vec<String>) {
    let folder = "crates/store/schemas";
    let files = entries(&root().join("migrations/sqlite"));
    let numbers = files
        .iter()
        .filter_map(|file| name(file).split('_').next()?.parse::<u32>().ok());
    for schema in 1..=numbers.max().unwrap_or(0) {
        for kind in ["sqlite.tar.zst", "postgres.sql.zst", "txt"] {
            let file = format!("{folder}/{schema}.{kind}");
            if !root().join(&file).exists() {
                broken.push(format!("{file} is missing: run `cargo xtask fixtures`"));
            }
        }
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
