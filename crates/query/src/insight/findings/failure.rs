//! Rules 1 to 3: what failed.

use super::{Case, Finding};
use crate::insight::tree::Node;
use hoplog_model::{FirstError, SpanKind, SpanStatus};
use hoplog_store::summary::exceptions;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Which spans passed a failure on to the caller, by place.
struct Chain {
    /// Nothing between this span and the caller says that it went well.
    carries: Vec<bool>,
    /// It carries, and something below it that carries failed.
    explained: Vec<bool>,
}

/// What is called: service and name of the hop that answers, else of the call, with its address.
type Callee<'a> = (&'a str, &'a str, Cow<'a, str>);

impl Case<'_> {
    /// What failed, told by the first of the rules 1 to 3 that holds.
    pub(super) fn failure(&self) -> Option<Finding> {
        let first = self.first_origin()?;
        let Some(chain) = self.chain() else {
            let error = self.error(first);
            return Some(Finding::Survived {
                place: first,
                error,
            });
        };
        let failed = || {
            let place = self.first_of(&chain).unwrap_or(first);
            let error = self.error(place);
            Finding::Failed { place, error }
        };
        Some(self.gave_up(&chain).unwrap_or_else(failed))
    }

    /// Of the failed spans that no failed span below explains, the earliest.
    fn first_origin(&self) -> Option<usize> {
        let origins = self.nodes().filter(|(_, node)| node.is_origin());
        let first = origins.min_by_key(|(_, node)| (node.start, node.span_id))?;
        Some(first.0)
    }

    /// None if the request did not fail. Without root it failed if anything did.
    fn chain(&self) -> Option<Chain> {
        let root = self.tree.root_place();
        if root.is_some_and(|root| !self.node(root).failed()) {
            return None;
        }
        let end = self.tree.root().map_or(u64::MAX, Node::shown_end);
        let mut carries = vec![false; self.tree.nodes.len()];
        let mut explained = carries.clone();
        for (place, node) in self.nodes() {
            carries[place] = match node.parent {
                Some(parent) => carries[parent] && self.passes_on(node),
                // Whom the failure of an orphan reached is not known; not the root once that was over.
                None => self.passes_on(node) && node.shown_start() < end,
            };
        }
        // Children come after parents.
        for place in (0..carries.len()).rev() {
            let node = self.node(place);
            let lost = carries[place] && (node.failed() || explained[place]);
            if let Some(parent) = node.parent.filter(|_| lost) {
                explained[parent] = true;
            }
        }
        Some(Chain { carries, explained })
    }

    /// A span that failed, or says nothing where that says nothing: steps inside a service, and
    /// servers whose answer only their caller takes for a failure.
    fn passes_on(&self, node: &Node) -> bool {
        let parent = node.parent.map(|parent| self.node(parent));
        match (node.status, node.kind) {
            (SpanStatus::Error, _) => true,
            (SpanStatus::Unset, SpanKind::Internal) => true,
            (SpanStatus::Unset, SpanKind::Server) => parent.is_none_or(Node::failed),
            _ => false,
        }
    }

    /// Where the failure that reached the caller began: the earliest such place. What may have reached
    /// it, as spans between are missing, comes second, and the root last.
    fn first_of(&self, chain: &Chain) -> Option<usize> {
        let root = self.tree.root_place();
        let known = root.map_or(0..usize::MAX, |root| root + 1..self.behind(root));
        let failed = self
            .nodes()
            .filter(|(place, node)| node.failed() && chain.is_end(*place));
        let first = failed.min_by_key(|(place, node)| {
            let is_root = Some(*place) == root;
            (is_root, !known.contains(place), node.start, node.span_id)
        })?;
        Some(first.0)
    }

    /// At least two failed calls of the same thing; the deepest such place says most.
    fn gave_up(&self, chain: &Chain) -> Option<Finding> {
        let calling = self.calling(chain);
        let callers = self.nodes().filter(|(place, _)| chain.explained[*place]);
        let given_up = callers.filter_map(|(caller, node)| {
            let calls = self.failed_calls(node, chain, &calling)?;
            Some((node.depth, caller, calls))
        });
        let (_, caller, calls) = given_up
            .min_by_key(|(depth, caller, calls)| (Reverse((*depth, calls.len())), *caller))?;
        let first = *calls.first()?;
        let call = self.hop_of(first);
        let durations = calls.iter().map(|call| self.node(*call).duration());
        Some(Finding::GaveUp {
            caller,
            call,
            calls: calls.len(),
            longest: durations.max()?,
            usual: self.usual(call).or_else(|| self.usual(first)),
        })
    }

    /// The most failed calls of one thing that a span made since the last that went well, by start; at
    /// least two.
    fn failed_calls(
        &self,
        node: &Node,
        chain: &Chain,
        calling: &[Option<usize>],
    ) -> Option<Vec<usize>> {
        if node.children.len() < 2 {
            return None;
        }
        let mut by_callee: HashMap<Callee<'_>, Vec<usize>> = HashMap::new();
        for child in &node.children {
            let Some(call) = calling[*child] else {
                continue;
            };
            let hop = self.hop_of(call);
            if chain.is_lost(*child, self.node(*child)) {
                by_callee.entry(self.callee(hop)).or_default().push(call);
            } else if !by_callee.is_empty() {
                by_callee.remove(&self.callee(hop));
                // Some may have failed before any hop saw them.
                by_callee.remove(&self.callee(call));
            }
        }
        let most = by_callee.into_values();
        let most = most.min_by_key(|calls| (Reverse(calls.len()), calls.first().copied()))?;
        (most.len() >= 2).then_some(most)
    }

    /// By which span each span calls, by place: a call or a hop by itself, a step by what it calls
    /// first (a failed one: by what it calls first in vain).
    fn calling(&self, chain: &Chain) -> Vec<Option<usize>> {
        let mut calling = vec![None; self.tree.nodes.len()];
        for place in (0..calling.len()).rev() {
            let node = self.node(place);
            let is_lost = chain.is_lost(place, node);
            calling[place] = if node.kind == SpanKind::Internal {
                let children = node.children.iter().copied();
                let mut alike =
                    children.filter(|child| chain.is_lost(*child, self.node(*child)) == is_lost);
                alike.find_map(|child| calling[child])
            } else {
                Some(place)
            };
        }
        calling
    }

    fn callee(&self, place: usize) -> Callee<'_> {
        let node = self.node(place);
        let span = self.spans.get(node.index).filter(|_| !node.kind.is_hop());
        let address = span.and_then(|span| span.view().attributes().get("server.address"));
        let address = address.map(|value| value.text()).unwrap_or_default();
        (&node.service, &node.name, address)
    }

    /// Type and message of a failure, as the span itself tells them.
    fn error(&self, place: usize) -> FirstError {
        let node = self.node(place);
        let mut error = FirstError {
            service: node.service.to_string(),
            name: node.name.clone(),
            ..FirstError::default()
        };
        if let Some(span) = self.spans.get(node.index) {
            let view = span.view();
            let (kind, message) = exceptions(view).next().unwrap_or_default();
            let error_type = || Some(view.attributes().get("error.type")?.text().into_owned());
            error.kind = kind.or_else(error_type).unwrap_or_default();
            error.message = message.unwrap_or_else(|| view.status_message().into_owned());
        }
        error
    }
}

impl Chain {
    /// The span, or something in it, failed and the caller was told.
    fn is_lost(&self, place: usize, node: &Node) -> bool {
        self.carries[place] && (node.failed() || self.explained[place])
    }

    /// Nothing below explains what it passed on.
    fn is_end(&self, place: usize) -> bool {
        self.carries[place] && !self.explained[place]
    }
}
