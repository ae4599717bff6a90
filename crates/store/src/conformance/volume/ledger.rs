//! Pages that statements read for questions, in a store of two sizes.

use super::questions::Question;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Read the server's own catalogue, through what its session remembers of it, whatever the store's size.
const OF_THE_SERVER: [&str; 3] = ["read_sizes", "read_size", "read_dead"];
/// Fewer pages a run count as so many: an index that has one level more is no growth.
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
    let growth = |question: &str| {
        let known = super::questions::ALL.into_iter();
        let mut known = known.filter(|one| format!("{one:?}") == question);
        known.next().map_or(2, Question::growth)
    };
    for ((question, statement), line) in &full.lines {
        let before = small.lines.get(&(question.clone(), statement.clone()));
        let (pages, runs) = before.map_or((0, 0), |line| (line.pages, line.runs));
        let growth = growth(question);
        let most = pages.max(LEAST * runs) * growth;
        // One statement may take another's place, as merged filters do that of single ones: together they count.
        let all = full.pages(question) > small.pages(question) * growth;
        let is_new = runs == 0;
        if line.pages > most && (all || !is_new) && !OF_THE_SERVER.contains(&statement.as_str()) {
            let now = line.pages;
            wrong.push(format!(
                "{question}: {statement}: {pages} pages become {now}"
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of questions, each with the pages of its only statement.
    fn ledger(questions: &[(&str, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (question, pages) in questions {
            let run = Run {
                statement: "read_rows".to_owned(),
                place: "a".to_owned(),
                runs: 1,
                pages: *pages,
            };
            ledger.note(question, "20 requests".to_owned(), vec![run]);
        }
        ledger
    }

    fn wrong(small: &[(&str, u64)], full: &[(&str, u64)]) -> Vec<String> {
        compare(&ledger(small), &ledger(full))
    }

    #[test]
    fn pages_may_double() {
        assert_eq!(wrong(&[("Service", 10)], &[("Service", 20)]), [""; 0]);
        let grown = wrong(&[("Service", 10)], &[("Service", 21)]);
        assert_eq!(grown, ["Service: read_rows: 10 pages become 21"]);
    }

    #[test]
    fn a_level_more_of_an_index_is_no_growth() {
        assert_eq!(wrong(&[("Request", 1)], &[("Request", 8)]), [""; 0]);
        assert_eq!(wrong(&[("Request", 1)], &[("Request", 9)]).len(), 1);
    }

    #[test]
    fn what_asks_every_group_may_grow_more() {
        assert_eq!(wrong(&[("Nowhere", 10)], &[("Nowhere", 100)]), [""; 0]);
        assert_eq!(wrong(&[("Nowhere", 10)], &[("Nowhere", 101)]).len(), 1);
    }

    #[test]
    fn a_statement_may_take_the_place_of_another() {
        let mut full = ledger(&[]);
        let run = |statement: &str, pages| Run {
            statement: statement.to_owned(),
            place: "a".to_owned(),
            runs: 1,
            pages,
        };
        full.note(
            "Service",
            "20 requests".to_owned(),
            vec![run("read_merged", 20)],
        );
        assert_eq!(compare(&ledger(&[("Service", 10)]), &full), [""; 0]);
        full.note(
            "Service",
            "20 requests".to_owned(),
            vec![run("read_merged", 1)],
        );
        assert_eq!(compare(&ledger(&[("Service", 10)]), &full).len(), 1);
    }

    #[test]
    fn another_answer_is_no_comparison() {
        let mut full = ledger(&[("Rare", 10)]);
        full.note("Rare", "none".to_owned(), Vec::new());
        let wrong = compare(&ledger(&[("Rare", 10)]), &full);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
    }

    #[test]
    fn partitions_that_a_question_is_not_about_are_told() {
        let mut ledger = ledger(&[("Minutes", 5)]);
        let run = Run {
            statement: "read_rows".to_owned(),
            place: "b".to_owned(),
            runs: 1,
            pages: 5,
        };
        ledger.note("Minutes", String::new(), vec![run]);
        let told = pruning(Question::Minutes, &ledger);
        assert_eq!(told.as_deref(), Some("Minutes: looks into 2 partitions"));
    }
}
