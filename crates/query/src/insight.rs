//! One request analysed: its tree, who the caller waited for, and what a person should hear first.
//!
//! Everything is computed from the spans and the usual durations of their interfaces, in time
//! that grows with n log n of the spans, without recursion, and does not depend on their order.
//! Words are the pages' business: findings are values.

mod findings;
mod path;
mod repeats;
mod tree;

pub use findings::{Finding, Usual, Usuals};
pub use path::{CriticalPath, NoPath, Segment};
pub use repeats::Repeat;
pub use tree::{Node, Tree};

use findings::Case;
use hoplog_otlp::SpanSet;
use std::sync::Arc;

/// What is known of a request beyond its spans.
#[derive(Debug, Clone)]
pub struct Insight {
    /// Its spans as a tree, in the order they are shown.
    pub tree: Tree,
    /// Who the caller waited for, or why that cannot be said.
    pub path: Result<CriticalPath, NoPath>,
    /// Runs of equal calls one after the other.
    pub repeats: Vec<Repeat>,
    /// What happened: the most telling first, at least one, at most three.
    pub findings: Vec<Finding>,
}

impl Insight {
    /// Analyses the spans of one request, each id once.
    pub fn of(spans: &SpanSet, usuals: &Usuals) -> Self {
        let tree = Tree::of(spans);
        let path = CriticalPath::of(&tree);
        let repeats = repeats::find(&tree, spans);
        let case = Case {
            tree: &tree,
            path: path.as_ref().ok(),
            repeats: &repeats,
            spans,
            usuals,
        };
        let findings = case.findings();
        Self {
            tree,
            path,
            repeats,
            findings,
        }
    }
}

/// The runs of equal statements alone, the longest first, each with the service that sends it.
pub fn repeated_statements(spans: &SpanSet) -> Vec<(Arc<str>, Repeat)> {
    let tree = Tree::of(spans);
    let repeats = repeats::find(&tree, spans).into_iter();
    let statements = repeats.filter(|repeat| repeat.is_statement);
    let with_service = |repeat: Repeat| {
        let first = repeat.calls.first().copied().unwrap_or(repeat.parent);
        (tree.nodes[first].service.clone(), repeat)
    };
    statements.map(with_service).collect()
}

#[cfg(test)]
mod tests;
