//! `last:1h`, `time:a..b` and `sort:-duration` typed into the query: parameters of the search.

use super::Known;
use super::ast::Ast;
use super::issue::{Edit, Issue, IssueKind};
use super::parse::parse_at;
use super::scan::Scanner;
use super::units::parse_duration;
use hoplog_model::UnixNanos;
use hoplog_model::times::{self, DAY, MINUTE, SECOND};
use hoplog_store::Sort;

/// Which time a query's words ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeWords {
    /// The last so many nanoseconds.
    Last(u64),
    /// From, and up to but without; one end may be open.
    Between(Option<UnixNanos>, Option<UnixNanos>),
}

/// A query without the words that are parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The rest, with blanks where the words stood: columns are those of the whole text.
    pub text: String,
    /// The last `last:` or `time:`.
    pub time: Option<TimeWords>,
    /// The last `sort:`.
    pub sort: Option<Sort>,
    /// What was wrong with them.
    pub errors: Vec<Issue>,
}

/// A query as it is typed, with the words that are parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What must hold; none for the empty query. With errors only what was understood.
    pub ast: Option<Ast>,
    /// The time asked for in the text.
    pub time: Option<TimeWords>,
    /// The order asked for in the text.
    pub sort: Option<Sort>,
    /// What must be put right before anything is searched, by column.
    pub errors: Vec<Issue>,
    /// What looks like a mistake but is none, by column.
    pub hints: Vec<Issue>,
}

/// Reads a query with its parameters: [`extract_time_and_sort`], then [`super::parse`] what is left. Columns and fixes are
/// those of the whole text.
pub fn read(text: &str, now: UnixNanos, known: &Known) -> Reading {
    let words = extract_time_and_sort(text, now);
    let parsed = parse_at(&words.text, known, Some(now));
    let whole = |issue: Issue| {
        let fix = issue.edit.as_ref().map(|edit| edit.apply(text));
        Issue { fix, ..issue }
    };
    let mut errors: Vec<Issue> = parsed.errors.into_iter().map(whole).collect();
    errors.extend(words.errors);
    errors.sort_by_key(|issue| issue.at);
    let hints = parsed.hints.into_iter().map(whole).collect();
    Reading {
        ast: parsed.ast,
        time: words.time,
        sort: words.sort,
        errors,
        hints,
    }
}

/// Takes `last:`, `time:` and `sort:` out of a query where they stand by themselves, outside of brackets and
/// quotes. Times of day (`10:02`, `10:02:30`) are of the day of `now`, in UTC.
pub fn extract_time_and_sort(text: &str, now: UnixNanos) -> Extracted {
    let mut found = Extracted::default();
    let mut scan = Scanner::new(text);
    while !scan.done() {
        let from = scan.at;
        scan.skip_white();
        let blanks = scan.text(from, scan.at);
        found.text.push_str(&blanks);
        let at = scan.at;
        scan.token();
        let token = scan.text(at, scan.at);
        if take(&mut found, text, at, &token, now) {
            found.text.extend(token.chars().map(|_| ' '));
        } else {
            found.text.push_str(&token);
        }
    }
    found
}

/// Whether the token is a parameter; if so it is noted, or its error.
fn take(found: &mut Extracted, text: &str, at: usize, token: &str, now: UnixNanos) -> bool {
    let Some((key, value)) = token.split_once(':') else {
        return false;
    };
    let value = value.trim_matches('"');
    let known = match key {
        "last" => parse_duration(value).map(|length| found.time = Some(TimeWords::Last(length))),
        "time" => between(value, now).map(|time| found.time = Some(time)),
        "sort" => sort_of(value).map(|sort| found.sort = Some(sort)),
        _ => return false,
    };
    if known.is_none() {
        let len = token.chars().count();
        let kind = match key {
            "sort" => IssueKind::NotASort,
            _ => IssueKind::NotATime {
                key: key.to_owned(),
            },
        };
        let meant = match key {
            "sort" if value.contains("dur") || value.contains("slow") => "sort:-duration",
            "sort" => "sort:-start",
            _ => "last:1h",
        };
        let edit = Edit::new(at, len, meant);
        let fix = Some(edit.apply(text));
        found.errors.push(Issue {
            at,
            len,
            kind,
            fix,
            edit: Some(edit),
        });
    }
    true
}

/// The order of that name: `newest` or `-start`, `slowest` or `-duration`; none if it is no order.
pub fn sort_of(name: &str) -> Option<Sort> {
    match name {
        "newest" | "-start" | "-time" => Some(Sort::Newest),
        "slowest" | "-duration" => Some(Sort::Slowest),
        _ => None,
    }
}

fn between(value: &str, now: UnixNanos) -> Option<TimeWords> {
    let (from, to) = value.split_once("..")?;
    let end = |text: &str| match text {
        "" => Some(None),
        text => time(text, now).map(Some),
    };
    let (from, to) = (end(from)?, end(to)?);
    let forward = from.zip(to).is_none_or(|(from, to)| from < to);
    (forward && (from.is_some() || to.is_some())).then_some(TimeWords::Between(from, to))
}

/// An instant: in full, a date with or without a time of day (in UTC), or a time of day of the day of `now`.
pub(super) fn time(text: &str, now: UnixNanos) -> Option<UnixNanos> {
    let endings = ["", "Z", ":00Z", "T00:00:00Z"];
    let mut in_full = endings.iter().map(|ending| format!("{text}{ending}"));
    if let Some(at) = in_full.find_map(|text| times::parse(&text)) {
        return Some(at);
    }
    let two = |part: &str, below: u64| {
        let number: u64 = (part.len() == 2).then(|| part.parse().ok()).flatten()?;
        (number < below).then_some(number)
    };
    let mut parts = text.split(':');
    let (hour, minute) = (two(parts.next()?, 24)?, two(parts.next()?, 60)?);
    let second = parts.next().map_or(Some(0), |part| two(part, 60))?;
    let of_day = hour * 60 * MINUTE + minute * MINUTE + second * SECOND;
    parts.next().is_none().then(|| now / DAY * DAY + of_day)
}
