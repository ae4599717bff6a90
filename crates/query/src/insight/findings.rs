//! "What happened": the rules of research/ui.md appendix A, the first three that hold, in that order.

mod delay;
mod failure;

use super::path::CriticalPath;
use super::repeats::Repeat;
use super::tree::{Node, Tree};
use hoplog_model::{FirstError, Interface, SpanKind};
use hoplog_otlp::SpanSet;
use std::cmp::Reverse;
use std::collections::HashMap;

/// At most so many findings are told.
const MOST: usize = 3;
/// From so many spans on it is known what is usual.
const KNOWN_FROM: u64 = 5;

/// How long spans of an interface usually take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// Half of them took at most this, in nanoseconds.
    pub p50: u64,
    /// 99 % took at most this, in nanoseconds.
    pub p99: u64,
    /// From how many spans that is known. Fewer than five say nothing: no finding rests on them.
    pub count: u64,
}

/// Usual durations by interface.
pub type Usuals = HashMap<Interface, Usual>;

/// One thing that happened. Places are those of [`Tree::nodes`], times nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Rule 1: the request failed after `calls` failed calls of the same thing.
    GaveUp {
        /// Who gave up.
        caller: usize,
        /// The first failed call: the hop that was called, or the calling span where no hop was received.
        call: usize,
        /// How many failed.
        calls: usize,
        /// The longest of them, as the caller saw it.
        longest: u64,
        /// Usual duration of such a call.
        usual: Option<u64>,
    },
    /// Rule 2: the request failed, and this is where.
    Failed {
        /// Where it began.
        place: usize,
        /// Type and message.
        error: FirstError,
    },
    /// Rule 3: the request was answered although this failed.
    Survived {
        /// What failed.
        place: usize,
        /// Type and message.
        error: FirstError,
    },
    /// Rule 4: waiting for this took most of the time, and longer than usual.
    Waited {
        /// For whom: of several calls of the same thing, the one that took most.
        place: usize,
        /// Time on the path of all such calls.
        took: u64,
        /// The whole path.
        of: u64,
        /// Usual duration of one.
        usual: u64,
    },
    /// Rule 5: the span itself worked most of the time, and longer than usual.
    Worked {
        /// Who.
        place: usize,
        /// Own time on the path.
        took: u64,
        /// The whole path.
        of: u64,
    },
    /// Rule 6: the same call again and again.
    Repeated(Repeat),
    /// Rule 7: within this span nothing was recorded for a while.
    Gap {
        /// In whom.
        place: usize,
        /// For how long.
        took: u64,
    },
    /// Rule 8: work went on after the answer.
    WentOn {
        /// Who ended last.
        place: usize,
        /// How long after the root's end.
        after: u64,
    },
    /// Rule 9: parents are missing.
    Orphans {
        /// How many spans name a parent that is not here.
        count: usize,
    },
    /// Rule 9: no root was received, so what the caller saw is not known.
    NoRoot,
    /// Rule 10: as usual.
    Usual {
        /// Usual duration of the request.
        usual: u64,
    },
    /// Rule 11: slower than usual without one cause; the largest shares of the path. Also where it is
    /// not known what is usual.
    NoOneCause {
        /// Place and time on the path, the largest first, at most three.
        shares: Vec<(usize, u64)>,
        /// Usual duration of the request, if known.
        usual: Option<u64>,
    },
}

impl Finding {
    /// Whether it is about a failure.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::GaveUp { .. } | Self::Failed { .. } | Self::Survived { .. }
        )
    }

    /// The span a reader should look at first, if the finding is about one.
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::GaveUp { call, .. } => Some(*call),
            Self::Repeated(repeat) => repeat.calls.first().copied(),
            Self::Failed { place, .. }
            | Self::Survived { place, .. }
            | Self::Waited { place, .. }
            | Self::Worked { place, .. }
            | Self::Gap { place, .. }
            | Self::WentOn { place, .. } => Some(*place),
            Self::Orphans { .. } | Self::NoRoot | Self::Usual { .. } | Self::NoOneCause { .. } => {
                None
            }
        }
    }
}

/// What the rules look at.
pub(super) struct Case<'a> {
    pub(super) tree: &'a Tree,
    pub(super) path: Option<&'a CriticalPath>,
    pub(super) repeats: &'a [Repeat],
    pub(super) spans: &'a SpanSet,
    pub(super) usuals: &'a Usuals,
}

impl Case<'_> {
    /// The first three findings, at least one.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.failure().into_iter().collect();
        let repeated = self.repeated(found.first());
        let place = |found: &Option<Finding>| found.as_ref().and_then(Finding::place);
        let unexplained = self.unexplained();
        let waited = self.waited();
        let worked = self.worked(&unexplained, place(&waited));
        let gap = self.gap(&unexplained, place(&worked));
        found.extend(waited);
        found.extend(worked);
        found.extend(repeated);
        found.extend(gap);
        found.extend(self.went_on());
        found.extend(self.incomplete());
        found.truncate(MOST);
        if found.is_empty() {
            found.push(self.nothing_special());
        }
        found
    }

    fn node(&self, place: usize) -> &Node {
        &self.tree.nodes[place]
    }

    /// The first place behind those of the span and all below it.
    fn behind(&self, place: usize) -> usize {
        place + 1 + self.node(place).below as usize
    }

    fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.tree.nodes.iter().enumerate()
    }

    /// What spans of this one's interface usually take, in nanoseconds, if that is known.
    fn usual(&self, place: usize) -> Option<u64> {
        let node = self.node(place);
        let interface = Interface {
            service: node.service.to_string(),
            kind: node.kind,
            name: node.name.clone(),
        };
        let usual = self.usuals.get(&interface)?;
        (usual.count >= KNOWN_FROM).then_some(usual.p50)
    }

    /// The hop that answers a call, if it was received, else the span itself.
    fn hop_of(&self, call: usize) -> usize {
        let node = self.node(call);
        let children = node.children.iter().copied();
        let mut hops = children.filter(|child| self.node(*child).kind == SpanKind::Server);
        let hop = hops.next().filter(|_| node.kind == SpanKind::Client);
        hop.unwrap_or(call)
    }

    /// The longest run of equal calls, other than those that a finding has told of as failed.
    fn repeated(&self, told: Option<&Finding>) -> Option<Finding> {
        let failed = match told {
            Some(Finding::GaveUp { call, .. }) => [Some(*call), self.node(*call).parent],
            _ => [None, None],
        };
        let is_told = |repeat: &&Repeat| repeat.calls.iter().any(|c| failed.contains(&Some(*c)));
        let mut others = self.repeats.iter().filter(|repeat| !is_told(repeat));
        others.next().cloned().map(Finding::Repeated)
    }

    fn went_on(&self) -> Option<Finding> {
        let end = self.tree.root()?.shown_end();
        let consumers = self
            .nodes()
            .filter(|(_, node)| node.kind == SpanKind::Consumer);
        let later = consumers.filter(|(_, node)| node.shown_end() > end);
        let (place, last) =
            later.max_by_key(|(place, node)| (node.shown_end(), Reverse(*place)))?;
        let after = last.shown_end() - end;
        Some(Finding::WentOn { place, after })
    }

    /// A single orphan of a request without root says no more than that the root is missing.
    fn incomplete(&self) -> Vec<Finding> {
        let count = self.nodes().filter(|(_, node)| node.is_orphan).count();
        let no_root = self.tree.root().is_none().then_some(Finding::NoRoot);
        let told = usize::from(no_root.is_some());
        let orphans = (count > told).then_some(Finding::Orphans { count });
        no_root.into_iter().chain(orphans).collect()
    }

    fn nothing_special(&self) -> Finding {
        let root = self.tree.root_place();
        let usual = root.and_then(|root| self.usual(root));
        let took = root.map_or(0, |root| self.node(root).duration());
        match usual {
            Some(usual) if took <= usual.saturating_add(usual / 2) => Finding::Usual { usual },
            usual => Finding::NoOneCause {
                shares: self.largest_shares(),
                usual,
            },
        }
    }
}
