//! Equal calls one after the other: the N+1 pattern.

use super::tree::{Node, Tree};
use hoplog_model::SpanKind;
use hoplog_otlp::SpanSet;
use hoplog_store::statement;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// From this many on, equal calls in a row are called a repeat …
const CALLS_MIN: usize = 5;
/// … if together they take at least this, in nanoseconds.
const TOTAL_MIN: u64 = 50_000_000;

/// Equal calls of one span, each begun after the one before had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// Place of the span that calls.
    pub parent: usize,
    /// Places of the calls, in order of time; at least five.
    pub calls: Vec<usize>,
    /// What is called: the statement's fingerprint, else the name of the span that answers, else the
    /// call's.
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

/// Calls of the same sort are compared by what they call; others cost nothing but a look.
fn below(tree: &Tree, spans: &SpanSet, parent: usize) -> Vec<Repeat> {
    let children = &tree.nodes[parent].children;
    if children.len() < CALLS_MIN {
        return Vec::new();
    }
    let mut by_sort: HashMap<(&str, SpanKind), Vec<usize>> = HashMap::new();
    for child in children {
        let call = &tree.nodes[*child];
        let sort = (&*call.service, call.kind);
        by_sort.entry(sort).or_default().push(*child);
    }
    let often = by_sort.into_values().filter(|calls| is_much(tree, calls));
    often
        .flat_map(|calls| equal(tree, spans, &calls))
        .filter_map(|(what, calls)| repeat(tree, parent, what, calls))
        .collect()
}

fn is_much(tree: &Tree, calls: &[usize]) -> bool {
    calls.len() >= CALLS_MIN && total(tree, calls) >= TOTAL_MIN
}

fn total(tree: &Tree, calls: &[usize]) -> u64 {
    let durations = calls.iter().map(|call| tree.nodes[*call].duration());
    durations.fold(0, u64::saturating_add)
}

/// What is called.
#[derive(PartialEq, Eq, Hash)]
struct What<'a> {
    /// The name of the call; empty for a statement.
    call: &'a str,
    /// Who answers, as far as known; empty for a statement.
    target: Cow<'a, str>,
    text: Cow<'a, str>,
    is_statement: bool,
}

/// Calls of the same thing.
fn equal<'a>(tree: &'a Tree, spans: &'a SpanSet, calls: &[usize]) -> HashMap<What<'a>, Vec<usize>> {
    let mut equal: HashMap<What<'a>, Vec<usize>> = HashMap::new();
    for call in calls {
        if let Some(what) = what(tree, spans, *call) {
            equal.entry(what).or_default().push(*call);
        }
    }
    equal
}

fn repeat(tree: &Tree, parent: usize, what: What<'_>, calls: Vec<usize>) -> Option<Repeat> {
    let calls = in_a_row(tree, calls);
    is_much(tree, &calls).then(|| Repeat {
        parent,
        total: total(tree, &calls),
        calls,
        what: what.text.into_owned(),
        is_statement: what.is_statement,
    })
}

/// The statement of a database call, else who and what an outgoing call reached; nothing for others.
fn what<'a>(tree: &'a Tree, spans: &'a SpanSet, place: usize) -> Option<What<'a>> {
    let call = &tree.nodes[place];
    let span = spans.get(call.index)?;
    if let Some(fingerprint) = statement::of(span) {
        return Some(What {
            call: "",
            target: Cow::default(),
            text: Cow::Owned(fingerprint),
            is_statement: true,
        });
    }
    let address = || {
        let mut attributes = span.view().attributes();
        let found = attributes.find(|(key, _)| key == "server.address");
        found.map_or_else(Cow::default, |(_, value)| value.text())
    };
    let (target, text) = match answering(tree, call) {
        _ if call.kind != SpanKind::Client => return None,
        Some(hop) => (Cow::Borrowed(&*hop.service), &hop.name),
        None => (address(), &call.name),
    };
    Some(What {
        call: &call.name,
        target,
        text: Cow::Borrowed(text),
        is_statement: false,
    })
}

fn answering<'a>(tree: &'a Tree, call: &Node) -> Option<&'a Node> {
    let children = call.children.iter().map(|child| &tree.nodes[*child]);
    children.into_iter().find(|child| child.kind.is_hop())
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
