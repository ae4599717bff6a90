//! From text to [`Ast`]: the grammar. All errors are found at once, each with its columns.

use super::ast::{Ast, Term, Test, Value, quoted};
use super::issue::{Edit, Issue, IssueKind};
use super::keys::{Key, Word};
use super::near::near;
use super::paste::{trace_id, traceparent_id};
use super::scan::{Scanner, is_key};
use super::{Known, MAX_ALTERNATIVES, MAX_BYTES, MAX_DEPTH};
use hoplog_model::UnixNanos;

/// A query, as far as it was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What was understood: with errors only a part; none for the empty query.
    pub ast: Option<Ast>,
    /// What must be put right before anything is searched, by column.
    pub errors: Vec<Issue>,
    /// What looks like a mistake but is none, by column.
    pub hints: Vec<Issue>,
}

/// Reads a query. Never fails: what is wrong with it is in [`Parsed::errors`].
///
/// `last:`, `time:` and `sort:` are not part of the language; take them out first with
/// [`super::extract_time_and_sort`].
pub fn parse(text: &str, known: &Known) -> Parsed {
    parse_at(text, known, None)
}

/// As [`parse`]; times become those of the day of `now`, in full.
pub(super) fn parse_at(text: &str, known: &Known, now: Option<UnixNanos>) -> Parsed {
    let mut parser = Parser::new(text, known);
    parser.now = now;
    if text.len() > MAX_BYTES {
        let all = parser.scan.len();
        parser.error(0, all, IssueKind::TooLong { limit: MAX_BYTES }, None);
        return Parsed {
            ast: None,
            errors: parser.errors,
            hints: Vec::new(),
        };
    }
    let ast = parser.query();
    if parser.errors.is_empty() && ast.as_ref().is_some_and(Ast::has_too_many_alternatives) {
        let all = parser.scan.len();
        parser.error(
            0,
            all,
            IssueKind::TooManyAlternatives {
                limit: MAX_ALTERNATIVES,
            },
            None,
        );
    }
    parser.errors.sort_by_key(|issue| issue.at);
    parser.hints.sort_by_key(|issue| issue.at);
    Parsed {
        ast,
        errors: parser.errors,
        hints: parser.hints,
    }
}

/// Names of one query that are compared with all known ones.
const MAX_LOOKUPS: usize = 8;

/// Recursive descent; nesting is bounded by [`MAX_DEPTH`].
#[derive(Debug)]
pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) scan: Scanner,
    pub(super) known: &'a Known,
    /// None: times stay as they are written.
    pub(super) now: Option<UnixNanos>,
    pub(super) in_hop: bool,
    depth: usize,
    /// Nesting was too deep: the rest was not read, and nothing is said of it.
    gave_up: bool,
    /// Where the term under way begins.
    pub(super) term_at: usize,
    /// How many names may still be compared with all known ones.
    lookups: usize,
    errors: Vec<Issue>,
    hints: Vec<Issue>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, known: &'a Known) -> Self {
        let scan = Scanner::new(text);
        Self {
            text,
            scan,
            known,
            now: None,
            in_hop: false,
            depth: 0,
            gave_up: false,
            term_at: 0,
            lookups: MAX_LOOKUPS,
            errors: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn issue(&self, at: usize, len: usize, kind: IssueKind, edit: Option<Edit>) -> Issue {
        let fix = edit.as_ref().map(|edit| edit.apply(self.text));
        Issue {
            at,
            len: len.max(1),
            kind,
            fix,
            edit,
        }
    }

    pub(super) fn error(&mut self, at: usize, len: usize, kind: IssueKind, edit: Option<Edit>) {
        let issue = self.issue(at, len, kind, edit);
        self.errors.push(issue);
    }

    /// The known name that may be meant by `name`.
    pub(super) fn nearest(&mut self, name: &str, known: &[String]) -> Option<String> {
        self.lookups = self.lookups.checked_sub(1)?;
        near(name, known.iter().map(String::as_str)).map(str::to_owned)
    }

    /// Makes a text of the term under way, as far as it was read.
    pub(super) fn as_text(&self) -> Option<Edit> {
        let (from, to) = (self.term_at, self.scan.at);
        Some(Edit::new(
            from,
            to - from,
            quoted(&self.scan.text(from, to)),
        ))
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    pub(super) fn hint(&mut self, at: usize, len: usize, kind: IssueKind, edit: Option<Edit>) {
        let issue = self.issue(at, len, kind, edit);
        self.hints.push(issue);
    }

    fn query(&mut self) -> Option<Ast> {
        let mut parts = Vec::new();
        loop {
            parts.extend(self.or());
            self.scan.skip_white();
            let Some(c) = self.scan.peek() else {
                return Ast::all(parts);
            };
            let at = self.scan.at;
            self.error(at, 1, IssueKind::StrayClose(c), Some(Edit::new(at, 1, "")));
            self.scan.at += 1;
        }
    }

    fn or(&mut self) -> Option<Ast> {
        let mut parts: Vec<Ast> = self.and().into_iter().collect();
        loop {
            self.scan.skip_white();
            if !self.scan.at_or() {
                return Ast::any(parts);
            }
            let at = self.scan.at;
            let len = if self.scan.take("|") {
                1
            } else {
                self.scan.at += 2;
                2
            };
            let cut = Some(Edit::new(at, len, ""));
            let errors = self.errors.len();
            if parts.is_empty() {
                self.error(at, len, IssueKind::OrNeedsLeft, cut.clone());
            }
            match self.and() {
                Some(part) => parts.push(part),
                None if self.errors.len() > errors => {}
                None => self.error(at, len, IssueKind::OrNeedsRight, cut),
            }
        }
    }

    fn and(&mut self) -> Option<Ast> {
        let mut parts = Vec::new();
        loop {
            self.scan.skip_white();
            match self.scan.peek() {
                None | Some(')' | '}') => return Ast::all(parts),
                Some(_) if self.scan.at_or() => return Ast::all(parts),
                Some(_) if self.scan.at_word("AND") => self.scan.at += 3,
                Some(c) => {
                    let at = self.scan.at;
                    parts.extend(self.not());
                    if self.scan.at == at {
                        self.error(at, 1, IssueKind::Unexpected(c), Some(Edit::new(at, 1, "")));
                        self.scan.at += 1;
                    }
                }
            }
        }
    }

    fn not(&mut self) -> Option<Ast> {
        let from = self.scan.at;
        let mut negated = false;
        while self.scan.at_word("NOT") {
            self.scan.at += 3;
            self.scan.skip_white();
            negated = !negated;
        }
        if self.scan.at_minus() {
            self.scan.at += 1;
            negated = !negated;
        }
        let len = self.scan.at - from;
        let errors = self.errors.len();
        let inner = self.atom();
        if inner.is_none() && len > 0 && self.errors.len() == errors {
            let cut = Some(Edit::new(from, len, ""));
            self.error(from, len, IssueKind::NotNeedsRight, cut);
        }
        if negated { inner.map(Ast::not) } else { inner }
    }

    fn atom(&mut self) -> Option<Ast> {
        match self.scan.peek()? {
            '(' => self.group(),
            '{' => self.hop(),
            '"' => Some(Ast::Text(Value::of_text(&self.quoted(), true))),
            _ => {
                let at = self.scan.at;
                match self.scan.key() {
                    Some(key) => self.term(at, &key).map(Ast::Term),
                    None => self.bare_text(),
                }
            }
        }
    }

    /// A quoted string; the error if it is not closed.
    pub(super) fn quoted(&mut self) -> String {
        let at = self.scan.at;
        let (text, closed) = self.scan.quoted();
        if !closed {
            let end = self.scan.len();
            // A lone backslash at the end would swallow the quote that closes.
            let backslashes = self.text.chars().rev().take_while(|c| *c == '\\').count();
            let close = if backslashes % 2 == 1 { "\\\"" } else { "\"" };
            self.error(
                at,
                end - at,
                IssueKind::UnclosedQuote,
                Some(Edit::new(end, 0, close)),
            );
        }
        text
    }

    /// What stands between brackets; none, and the rest skipped, if they nest too deep.
    fn inside(&mut self) -> Option<Ast> {
        let at = self.scan.at;
        if self.depth == MAX_DEPTH {
            self.error(at, 1, IssueKind::TooDeep { limit: MAX_DEPTH }, None);
            self.scan.at = self.scan.len();
            self.gave_up = true;
            return None;
        }
        self.scan.at += 1;
        self.depth += 1;
        let inner = self.or();
        self.depth -= 1;
        self.scan.skip_white();
        inner
    }

    fn close(&mut self, from: usize, close: &str, unclosed: IssueKind) {
        let end = self.scan.len();
        if !self.scan.take(close) && !self.gave_up {
            self.error(from, 1, unclosed, Some(Edit::new(end, 0, close)));
        }
    }

    fn group(&mut self) -> Option<Ast> {
        let (from, errors) = (self.scan.at, self.errors.len());
        let inner = self.inside();
        self.close(from, ")", IssueKind::UnclosedBracket);
        if inner.is_none() && self.errors.len() == errors {
            let len = self.scan.at - from;
            self.error(
                from,
                len,
                IssueKind::EmptyBrackets,
                Some(Edit::new(from, len, "")),
            );
        }
        inner
    }

    fn hop(&mut self) -> Option<Ast> {
        let (from, errors, outer) = (self.scan.at, self.errors.len(), self.in_hop);
        self.in_hop = true;
        let inner = self.inside();
        self.in_hop = outer;
        self.close(from, "}", IssueKind::UnclosedHop);
        if inner.is_none() && self.errors.len() == errors {
            let len = self.scan.at - from;
            self.error(
                from,
                len,
                IssueKind::EmptyHop,
                Some(Edit::new(from, len, "")),
            );
        }
        if outer {
            let inside = self.scan.text(from + 1, self.scan.at);
            let inside = inside.strip_suffix('}').unwrap_or(&inside);
            let edit = Edit::new(from, self.scan.at - from, format!("({inside})"));
            self.error(from, 1, IssueKind::NestedHop, Some(edit));
        }
        inner.map(|inner| Ast::Hop(Box::new(inner)))
    }

    fn bare_text(&mut self) -> Option<Ast> {
        let at = self.scan.at;
        let text = self.scan.bare(false);
        if ["or", "and", "not"].contains(&text.as_str()) {
            let edit = Edit::new(at, text.len(), text.to_uppercase());
            let kind = IssueKind::OperatorInSmallLetters(text.clone());
            self.hint(at, text.len(), kind, Some(edit));
        }
        let traceparent = || traceparent_id(&text).and_then(|ids| ids.trace);
        let id = if self.in_hop {
            None
        } else {
            trace_id(&text).or_else(traceparent)
        };
        match id {
            Some(id) => Some(Ast::Term(Term {
                key: Key::Word(Word::Trace),
                test: Test::Compare(super::Compare::Is, vec![Value::new(id.to_string(), false)]),
            })),
            None => (!text.is_empty()).then(|| Ast::Text(Value::of_text(&text, false))),
        }
    }

    /// The field called `name`, or the errors it deserves. A dotted name is always an attribute:
    /// attributes come and go, so one that was not seen is a hint.
    pub(super) fn resolve(&mut self, at: usize, name: &str) -> Option<Key> {
        let len = name.len();
        if let Some(word) = Word::of(name) {
            return self.resolve_word(at, word);
        }
        let seen = self.known.keys.iter().any(|key| key == name);
        if seen || name.contains('.') {
            if !seen && !self.known.keys.is_empty() {
                let near = self.nearest(name, &self.known.keys);
                let edit = near.clone().map(|near| Edit::new(at, len, near));
                let kind = IssueKind::UnknownAttribute {
                    key: name.to_owned(),
                    near,
                };
                self.hint(at, len, kind, edit);
            }
            return Some(Key::Attribute(name.to_owned()));
        }
        self.unknown_key(at, name);
        None
    }

    fn resolve_word(&mut self, at: usize, word: Word) -> Option<Key> {
        let (key, len) = (word.name().to_owned(), word.name().len());
        let wrong = match word {
            Word::Kept => IssueKind::NotYet { key },
            _ if self.in_hop && !word.in_hop() => IssueKind::RequestWordInHop { key },
            _ => return Some(Key::Word(word)),
        };
        self.scan.rest_of_token();
        let edit = self.as_text();
        self.error(at, len, wrong, edit);
        None
    }

    fn unknown_key(&mut self, at: usize, name: &str) {
        self.scan.rest_of_token();
        let key = name.to_owned();
        let as_text = self.as_text();
        if ["last", "time", "sort"].contains(&name) {
            let kind = IssueKind::MisplacedParameter { key };
            self.error(at, name.len(), kind, as_text);
            return;
        }
        let words = near(name, Word::ALL.iter().map(|word| word.name())).map(str::to_owned);
        let near = words.or_else(|| self.nearest(name, &self.known.keys));
        let edit = match &near {
            Some(near) => Some(Edit::new(at, name.len(), near.clone())),
            None => as_text,
        };
        self.error(at, name.len(), IssueKind::UnknownKey { key, near }, edit);
    }

    /// `has:key`, the other way to write `key:*`.
    pub(super) fn has(&mut self) -> Option<Term> {
        let at = self.scan.at;
        let name = self.scan.bare(false);
        if !is_key(&name) {
            let kind = IssueKind::NeedsValue {
                key: "has".to_owned(),
                compare: "",
            };
            let edit = self.as_text();
            self.error(at, name.chars().count(), kind, edit);
            return None;
        }
        self.resolve(at, &name).map(|key| Term {
            key,
            test: Test::Present,
        })
    }
}
