//! Pages that statements read for questions, in a store of two sizes.

use super::questions::Question;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// By so much the pages of a statement may grow for a question while the store grows tenfold.
const GROWTH: u64 = 2;
/// Fewer pages count as so many: an index that has one level more is no growth.
const LEAST: u64 = 4;

/// Runs of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The statement's name.
    pub statement: String,
    /// The partition it was about, or another name of where it was run.
    pub place: String,
    /// How often it was run.
    pub runs: u64,
    /// Pages that took in all, from disk or from memory.
    pub pages: u64,
}

/// What statements cost at one size.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: BTreeMap<(String, String), Line>,
    answers: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Line {
    runs: u64,
    pages: u64,
    places: BTreeSet<String>,
}

impl Ledger {
    /// Notes what a question came to, and what was run for it.
    pub fn note(&mut self, question: &str, answer: String, runs: Vec<Run>) {
        self.answers.insert(question.to_owned(), answer);
        for run in runs {
            let key = (question.to_owned(), run.statement);
            let line = self.lines.entry(key).or_default();
            line.runs += run.runs;
            line.pages += run.pages;
            line.places.insert(run.place);
        }
    }

    /// Every statement that was run.
    pub fn statements(&self) -> BTreeSet<&str> {
        let names = self.lines.keys();
        names.map(|(_, statement)| statement.as_str()).collect()
    }

    /// Pages of a question, all its statements together.
    fn pages(&self, question: &str) -> u64 {
        let lines = self.lines.iter();
        lines
            .filter(|((of, _), _)| of == question)
            .map(|(_, line)| line.pages)
            .sum()
    }

    /// Partitions in which a question was looked after.
    fn places(&self, question: &str, statement: &str) -> usize {
        let key = (question.to_owned(), statement.to_owned());
        self.lines.get(&key).map_or(0, |line| line.places.len())
    }
}

/// What is wrong with what was read, in words.
pub fn compare(small: &Ledger, full: &Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    for (question, answer) in &full.answers {
        let before = small.answers.get(question);
        if before != Some(answer) {
            wrong.push(format!("{question}: answers {answer:?}, before {before:?}"));
        }
    }
    let growing: Vec<String> = super::questions::ALL
        .iter()
        .filter(|one| one.grows().is_some())
        .map(|one| format!("{one:?}"))
        .collect();
    for ((question, statement), line) in &full.lines {
        let before = small.lines.get(&(question.clone(), statement.clone()));
        let before = before.map_or(0, |line| line.pages);
        if line.pages > before.max(LEAST) * GROWTH && !growing.contains(question) {
            let pages = line.pages;
            wrong.push(format!(
                "{question}: {statement}: {before} pages become {pages}"
            ));
        }
    }
    for question in growing {
        if full.pages(&question) <= small.pages(&question) * GROWTH {
            wrong.push(format!(
                "{question}: no longer grows, and may not be said to"
            ));
        }
    }
    for question in super::questions::ALL {
        wrong.extend(pruning(question, full));
    }
    wrong
}

/// Whether a question looked into more partitions than it is about.
fn pruning(question: Question, ledger: &Ledger) -> Option<String> {
    let name = format!("{question:?}");
    let statements = ["read_request", "read_segments_newest", "read_rows"];
    let places = statements.map(|statement| ledger.places(&name, statement));
    let most = places.into_iter().max().unwrap_or(0);
    (most > question.partitions()).then(|| format!("{name}: looks into {most} partitions"))
}

/// The figures as a table: runs and pages of each statement, small and full.
pub fn table(small: &Ledger, full: &Ledger) -> String {
    let mut table = String::from("question, statement: runs and pages, small -> full\n");
    for ((question, statement), line) in &full.lines {
        let before = small.lines.get(&(question.clone(), statement.clone()));
        let (runs, pages) = before.map_or((0, 0), |line| (line.runs, line.pages));
        let _written = writeln!(
            table,
            "{question:24} {:24} {runs:5} {pages:7} -> {:5} {:7}",
            statement.get(..24).unwrap_or(statement),
            line.runs,
            line.pages
        );
    }
    table
}
