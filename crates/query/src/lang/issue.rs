//! What is wrong with a query, where, and how to put it right.

use super::{Known, MAX_DEPTH, read};
use std::cmp::Reverse;
use std::fmt;

/// An error or a hint. Columns count characters from 0; `at` may be just past the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// First column.
    pub at: usize,
    /// Columns, at least 1.
    pub len: usize,
    /// What it is, for a translation.
    pub kind: IssueKind,
    /// The whole query with this one put right, where that can be guessed.
    pub fix: Option<String>,
    /// What [`Issue::fix`] changes.
    pub edit: Option<Edit>,
}

impl Issue {
    /// What is wrong, in English.
    pub fn message(&self) -> String {
        self.kind.to_string()
    }
}

/// Characters of a query to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// First column.
    pub at: usize,
    /// Columns to take out.
    pub len: usize,
    /// What to put there.
    pub with: String,
}

impl Edit {
    pub(super) fn new(at: usize, len: usize, with: impl Into<String>) -> Self {
        Self {
            at,
            len,
            with: with.into(),
        }
    }

    /// `text` after the edit.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut chars = text.chars();
        let mut out: String = chars.by_ref().take(self.at).collect();
        out.push_str(&self.with);
        out.extend(chars.skip(self.len));
        out
    }
}

/// Every issue there is, with what its sentence needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueKind {
    /// A `"` without its other one.
    UnclosedQuote,
    /// A `(` without `)`.
    UnclosedBracket,
    /// A `{` without `}`.
    UnclosedHop,
    /// `()`.
    EmptyBrackets,
    /// `{}`.
    EmptyHop,
    /// Braces in braces.
    NestedHop,
    /// A closing bracket that closes nothing.
    StrayClose(char),
    /// A character that makes no sense where it stands.
    Unexpected(char),
    /// `OR` with nothing before it.
    OrNeedsLeft,
    /// `OR` with nothing after it.
    OrNeedsRight,
    /// `NOT` or `-` with nothing after it.
    NotNeedsRight,
    /// More nesting than allowed.
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More bytes than allowed.
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// More combinations than allowed.
    TooManyAlternatives {
        /// The limit.
        limit: usize,
    },
    /// A field nobody has heard of.
    UnknownKey {
        /// As written.
        key: String,
        /// What may be meant.
        near: Option<String>,
    },
    /// Hint: no hop carries the attribute.
    UnknownAttribute {
        /// As written.
        key: String,
        /// What may be meant.
        near: Option<String>,
    },
    /// Hint: nothing of that name was seen.
    UnknownValue {
        /// The field.
        key: String,
        /// As written.
        value: String,
        /// What may be meant.
        near: Option<String>,
    },
    /// Hint: `or`, `and`, `not` in small letters are words.
    OperatorInSmallLetters(String),
    /// A field without a value.
    NeedsValue {
        /// The field.
        key: String,
        /// The comparison, or nothing.
        compare: &'static str,
    },
    /// A list where one value belongs.
    OneValue {
        /// The comparison.
        compare: &'static str,
    },
    /// `<` or `>` on a text.
    NoOrder {
        /// The field.
        key: String,
        /// The comparison.
        compare: &'static str,
    },
    /// `~` on a number, a duration or a choice.
    NoContains {
        /// The field.
        key: String,
    },
    /// `<` or `>` with something that is no number.
    NotANumber {
        /// The field.
        key: String,
        /// The comparison.
        compare: &'static str,
    },
    /// Not a duration.
    NotADuration {
        /// The field.
        key: String,
    },
    /// A duration without a unit.
    MissingUnit,
    /// A duration with a unit nobody has heard of.
    UnknownUnit {
        /// As written.
        unit: String,
    },
    /// Not a whole number.
    NotACount {
        /// The field.
        key: String,
    },
    /// Not a status code.
    NotACode,
    /// Not a trace id.
    NotATraceId,
    /// Not one of the choices.
    NotOneOf {
        /// The field.
        key: String,
        /// The choices.
        choices: &'static [&'static str],
    },
    /// A range whose end is before its start.
    EmptyRange {
        /// The field.
        key: String,
    },
    /// A word about the whole request inside braces.
    RequestWordInHop {
        /// The word.
        key: String,
    },
    /// `last:`, `time:` or `sort:` inside brackets or negated.
    MisplacedParameter {
        /// The word.
        key: String,
    },
    /// A time that is none.
    NotATime {
        /// The word.
        key: String,
    },
    /// An order that is none.
    NotASort,
    /// A field that cannot be answered yet.
    NotYet {
        /// The field.
        key: String,
    },
}

fn meant(f: &mut fmt::Formatter<'_>, near: Option<&String>, else_say: &str) -> fmt::Result {
    match near {
        Some(near) => write!(f, " Did you mean “{near}”?"),
        None => f.write_str(else_say),
    }
}

impl fmt::Display for IssueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedQuote => f.write_str("This quote is never closed."),
            Self::UnclosedBracket => f.write_str("This bracket is never closed."),
            Self::UnclosedHop => f.write_str("This { is never closed."),
            Self::EmptyBrackets => f.write_str("Nothing inside the brackets."),
            Self::EmptyHop => f.write_str("Nothing inside the { }."),
            Self::NestedHop => f.write_str("A { } cannot hold another { }."),
            Self::StrayClose(c) => write!(f, "This “{c}” closes nothing."),
            Self::Unexpected(c) => write!(f, "I did not expect “{c}” here."),
            Self::OrNeedsLeft => f.write_str("OR needs something on its left."),
            Self::OrNeedsRight => f.write_str("OR needs something on its right."),
            Self::NotNeedsRight => f.write_str("NOT needs something on its right."),
            Self::TooDeep { limit } => write!(f, "Brackets nest at most {limit} deep."),
            Self::TooLong { limit } => write!(f, "A query has at most {limit} bytes."),
            Self::TooManyAlternatives { limit } => write!(
                f,
                "These ORs make more than {limit} combinations. Use {{ }} or fewer ORs."
            ),
            Self::OperatorInSmallLetters(word) => {
                let upper = word.to_uppercase();
                write!(
                    f,
                    "“{word}” is searched as a word. Write {upper} for the operator."
                )
            }
            Self::RequestWordInHop { key } => {
                write!(
                    f,
                    "{key} is about the whole request; it belongs outside the {{ }}."
                )
            }
            Self::MisplacedParameter { key } => {
                write!(
                    f,
                    "{key}: is about the whole search; it belongs outside of brackets."
                )
            }
            Self::NotYet { key } => write!(f, "hoplog cannot answer “{key}” yet."),
            other => other.write_value_issue(f),
        }
    }
}

impl IssueKind {
    fn write_value_issue(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, near } => {
                write!(f, "I do not know the field “{key}”.")?;
                meant(f, near.as_ref(), " Quote it to search for the text.")
            }
            Self::UnknownAttribute { key, near } => {
                write!(f, "No hop carries {key}.")?;
                meant(f, near.as_ref(), "")
            }
            Self::UnknownValue { key, value, near } => {
                write!(f, "No {key} called “{value}” was seen.")?;
                meant(f, near.as_ref(), "")
            }
            Self::NeedsValue { key, compare: "" } => write!(f, "{key}: needs a value."),
            Self::NeedsValue { key, compare } => write!(f, "{key}: needs a value after {compare}."),
            Self::OneValue { compare } => write!(f, "{compare} takes one value, not a list."),
            Self::NoOrder { key, compare } => {
                write!(f, "{key} is text; {compare} needs a number or a duration.")
            }
            Self::NoContains { key } => write!(f, "{key} is no text; ~ looks into text."),
            Self::NotANumber { key, compare } => write!(f, "{key}: {compare} needs a number."),
            Self::NotADuration { key } => {
                write!(f, "{key} is a duration such as 500ms or 1.5s.")
            }
            Self::MissingUnit => f.write_str("A duration needs a unit."),
            Self::UnknownUnit { unit } => {
                write!(
                    f,
                    "I do not know the unit “{unit}”. Units are ns us ms s m h d."
                )
            }
            Self::NotACount { key } => write!(f, "{key} is a whole number."),
            Self::NotACode => {
                f.write_str("A status code is like 500, 5xx, or a gRPC name such as UNAVAILABLE.")
            }
            Self::NotATraceId => f.write_str("A trace ID has 32 hex digits."),
            Self::NotOneOf { key, choices } => {
                let (last, first) = choices.split_last().expect("a choice has choices");
                write!(f, "{key} is {} or {last}.", first.join(", "))
            }
            Self::EmptyRange { key } => write!(f, "This range of {key} ends before it starts."),
            Self::NotATime { key: word } if word == "last" => {
                f.write_str("last: takes a duration such as 15m or 24h.")
            }
            Self::NotATime { key } => write!(
                f,
                "{key}: takes two times, such as 10:02..11:02 or 2026-11-23T10:00:00Z..2026-11-23T11:00:00Z."
            ),
            _ => f.write_str("sort: takes -start (newest first) or -duration (slowest first)."),
        }
    }
}

/// The text, and under it a `^` at every column that an issue names.
pub fn caret(text: &str, issues: &[Issue]) -> String {
    let end = issues
        .iter()
        .map(|issue| issue.at + issue.len)
        .max()
        .unwrap_or(0);
    let marked = |column| {
        issues
            .iter()
            .any(|i| (i.at..i.at + i.len).contains(&column))
    };
    let line: String = (0..end)
        .map(|column| if marked(column) { '^' } else { ' ' })
        .collect();
    format!("{text}\n{line}")
}

/// The query with every error and hint put right, if all errors can be and anything changes.
pub fn apply_all(text: &str, known: &Known) -> Option<String> {
    let mut fixed = text.to_owned();
    // Each round closes one bracket that was left open; a few more for what shows up later.
    for _ in 0..MAX_DEPTH + 8 {
        // Only times of day depend on the present, and none of them is wrong because of it.
        let reading = read(&fixed, 0, known);
        let errors = reading.errors.len();
        let next = apply_together(&fixed, reading.errors.into_iter().chain(reading.hints));
        if next == fixed {
            return (errors == 0 && fixed != text).then_some(fixed);
        }
        fixed = next;
    }
    None
}

/// Applies the edits that do not get in each other's way, from the end of the text to its start.
/// Of those that do, the one of the last issue: it is the innermost.
fn apply_together(text: &str, issues: impl Iterator<Item = Issue>) -> String {
    let placed = issues.filter_map(|issue| issue.edit.map(|edit| (edit.at, issue.at, edit)));
    let mut edits: Vec<(usize, usize, Edit)> = placed.collect();
    edits.sort_by_key(|(edit_at, issue_at, _)| Reverse((*edit_at, *issue_at)));
    let mut fixed = text.to_owned();
    let mut free = usize::MAX;
    for (_, _, edit) in edits {
        if edit.at < free && edit.at + edit.len <= free {
            fixed = edit.apply(&fixed);
            free = edit.at;
        }
    }
    fixed
}
