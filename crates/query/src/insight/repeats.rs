//! Equal calls one after the other: the N+1 pattern.

use super::tree::{Node, Tree};
use hoplog_model::SpanKind;
use hoplog_otlp::SpanSet;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// From this many on, equal calls in a row are called a repeat …
const CALLS_MIN: usize = 5;
/// … if together they take at least this, in nanoseconds.
const TOTAL_MIN: u64 = 50_000_000;
/// Where a statement stands, the better ones first.
const STATEMENT_KEYS: [&str; 3] = ["db.query.text", "db.statement", "db.query.summary"];

/// Equal calls of one span, each begun after the one before had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// Place of the span that calls.
    pub parent: usize,
    /// Places of the calls, in order of time; at least five.
    pub calls: Vec<usize>,
    /// What is called: the statement (with `?` for its literals where these differ), else the name
    /// of the span that answers, else the call's.
    pub what: String,
    /// Whether it is a database statement.
    pub is_statement: bool,
    /// Nanoseconds all calls take together.
    pub total: u64,
}

/// Every repeat, the longest first.
pub(super) fn find(tree: &Tree, spans: &SpanSet) -> Vec<Repeat> {
    let mut found: Vec<Repeat> = (0..tree.nodes.len())
        .flat_map(|parent| below(tree, spans, parent))
        .collect();
    found.sort_by_key(|repeat| (Reverse(repeat.total), repeat.calls.first().copied()));
    found
}

/// Calls with the same name are compared by what they call; others cost nothing but a look.
fn below(tree: &Tree, spans: &SpanSet, parent: usize) -> Vec<Repeat> {
    let children = &tree.nodes[parent].children;
    if children.len() < CALLS_MIN {
        return Vec::new();
    }
    let mut by_name: HashMap<(&str, SpanKind, &str), Vec<usize>> = HashMap::new();
    for child in children {
        let call = &tree.nodes[*child];
        let name = (&*call.service, call.kind, &*call.name);
        by_name.entry(name).or_default().push(*child);
    }
    let often = by_name.into_values().filter(|calls| is_much(tree, calls));
    often
        .flat_map(|calls| equal(tree, spans, &calls))
        .filter_map(|equal| equal.repeat(tree, parent))
        .collect()
}

fn is_much(tree: &Tree, calls: &[usize]) -> bool {
    calls.len() >= CALLS_MIN && total(tree, calls) >= TOTAL_MIN
}

fn total(tree: &Tree, calls: &[usize]) -> u64 {
    let durations = calls.iter().map(|call| tree.nodes[*call].duration());
    durations.fold(0, u64::saturating_add)
}

/// Calls of the same thing.
struct Equal<'a> {
    /// What the first of them calls.
    what: What<'a>,
    /// Whether others differ in literals.
    varies: bool,
    calls: Vec<usize>,
}

/// What is called.
#[derive(Clone)]
struct What<'a> {
    /// Who answers, as far as known; empty for a statement.
    target: Cow<'a, str>,
    text: Cow<'a, str>,
    is_statement: bool,
}

fn equal<'a>(tree: &'a Tree, spans: &'a SpanSet, calls: &[usize]) -> Vec<Equal<'a>> {
    let mut by_pattern: HashMap<(String, String), Equal<'a>> = HashMap::new();
    for call in calls {
        let Some(what) = what(tree, spans, *call) else {
            continue;
        };
        let pattern = if what.is_statement {
            pattern(&what.text)
        } else {
            what.text.to_string()
        };
        let key = (what.target.to_string(), pattern);
        let equal = by_pattern.entry(key).or_insert_with(|| Equal {
            what: what.clone(),
            varies: false,
            calls: Vec::new(),
        });
        equal.varies |= equal.what.text != what.text;
        equal.calls.push(*call);
    }
    by_pattern.into_values().collect()
}

impl Equal<'_> {
    fn repeat(self, tree: &Tree, parent: usize) -> Option<Repeat> {
        let calls = in_a_row(tree, self.calls);
        let text = self.what.text;
        is_much(tree, &calls).then(|| Repeat {
            parent,
            total: total(tree, &calls),
            calls,
            what: if self.varies {
                pattern(&text)
            } else {
                text.into_owned()
            },
            is_statement: self.what.is_statement,
        })
    }
}

/// The statement of a database call, else who and what an outgoing call reached; nothing for others.
fn what<'a>(tree: &'a Tree, spans: &'a SpanSet, place: usize) -> Option<What<'a>> {
    let call = &tree.nodes[place];
    let attributes = spans.get(call.index)?.view().attributes();
    let (mut statement, mut address) = (None, Cow::default());
    for (key, value) in attributes {
        if let Some(rank) = STATEMENT_KEYS.iter().position(|known| *known == key) {
            if statement.as_ref().is_none_or(|(best, _)| rank < *best) {
                statement = Some((rank, value.text()));
            }
        } else if key == "server.address" {
            address = value.text();
        }
    }
    if let Some((_, text)) = statement {
        let (target, is_statement) = (Cow::default(), true);
        return Some(What {
            target,
            text,
            is_statement,
        });
    }
    let (target, text) = match answering(tree, call) {
        _ if call.kind != SpanKind::Client => return None,
        Some(hop) => (Cow::Borrowed(&*hop.service), &hop.name),
        None => (address, &call.name),
    };
    Some(What {
        target,
        text: Cow::Borrowed(text),
        is_statement: false,
    })
}

fn answering<'a>(tree: &'a Tree, call: &Node) -> Option<&'a Node> {
    let children = call.children.iter().map(|child| &tree.nodes[*child]);
    children.into_iter().find(|child| child.kind.is_hop())
}

/// A statement with `?` in place of its numbers and quoted texts.
fn pattern(statement: &str) -> String {
    let bytes = statement.as_bytes();
    let mut pattern = Vec::with_capacity(bytes.len());
    let mut at = 0;
    // Digits that go on with a name, or follow a `$`, are part of it.
    let mut in_name = false;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'\'' => 2 + count(&bytes[at + 1..], |byte| byte != b'\''),
            b'0'..=b'9' if !in_name => count(&bytes[at..], |byte| byte == b'.' || is_name(byte)),
            _ => 0,
        };
        pattern.push(if length > 0 { b'?' } else { *byte });
        in_name = length == 0 && is_name(*byte);
        at += length.max(1);
    }
    String::from_utf8(pattern).expect("only whole characters were replaced")
}

/// How many bytes there are of a kind before the first of another.
fn count(bytes: &[u8], is_kind: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_kind(**byte)).count()
}

/// Whether a byte can be in a name; all letters but ASCII's can.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// The longest run of calls of which each begins when the one before has ended.
fn in_a_row(tree: &Tree, mut calls: Vec<usize>) -> Vec<usize> {
    calls.sort_by_key(|call| (tree.nodes[*call].shown_start(), *call));
    let (mut longest, mut run, mut until) = (Vec::new(), Vec::new(), 0);
    for call in calls {
        let node = &tree.nodes[call];
        if node.shown_start() < until {
            longest = longer(longest, std::mem::take(&mut run));
        }
        until = until.max(node.shown_end());
        run.push(call);
    }
    longer(longest, run)
}

fn longer(one: Vec<usize>, other: Vec<usize>) -> Vec<usize> {
    if other.len() > one.len() { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn statements_are_equal_up_to_their_literals() {
        for (statement, wanted) in [
            (
                "SELECT a1 FROM t2 WHERE id = 17",
                "SELECT a1 FROM t2 WHERE id = ?",
            ),
            ("WHERE id=$1 AND x_2 = 3.5e2", "WHERE id=$1 AND x_2 = ?"),
            (
                "WHERE name = 'O''Brien' LIMIT 10",
                "WHERE name = ?? LIMIT ?",
            ),
            ("WHERE name = 'open", "WHERE name = ?"),
            ("은행 = '응답'", "은행 = ?"),
        ] {
            assert_eq!(pattern(statement), wanted);
        }
    }
}
