//! Which rows of a segment may match, from its heads, filters and records alone.
//!
//! Every answer is a pair of row sets: rows that *may* match, and rows that *do*. What is
//! not known widens the first and narrows the second, so that `not` can swap them and
//! the first never misses a row.

mod facts;
mod hop;
mod known;

pub(crate) use facts::{Facts, KnownRecord};
pub(crate) use known::Filters;

use crate::segment::{Damaged, OTHER, RowSet, SPAN_ID, TRACE_ID};
use crate::{HopExpr, HopTest, RequestExpr, RequestTest};
use hop::{Seen, Tri};
use hoplog_model::Interface;

/// Most interfaces whose records are asked for at once; beyond, records are not used.
const INTERFACES_MAX: usize = 2_000;

/// A question made ready to be asked of many segments.
#[derive(Debug)]
pub(crate) struct Plan {
    root: Node,
    sites: Vec<Site>,
    keys: Vec<String>,
}

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A test that heads or filters answer.
    Test(RequestTest),
    /// Some span fulfils [`Plan::sites`] at this index.
    Site(usize),
}

/// A condition on one span.
#[derive(Debug)]
struct Site {
    expr: HopExpr,
    /// Whether any such span makes the row match, or only a certain one (the root).
    any_span: bool,
    /// Whether numbers in records can rule it out.
    counts: bool,
}

/// Rows by what is known of them.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    may: RowSet,
    does: RowSet,
}

/// How to answer a plan's sites in one partition.
#[derive(Debug)]
pub(crate) struct Interfaces {
    /// Those whose records are needed, ascending.
    pub(crate) wanted: Vec<i64>,
    /// By site: whether its records are among them.
    by_record: Vec<bool>,
    /// By site: whether some interface fits it at all.
    possible: Vec<bool>,
}

impl Plan {
    pub(crate) fn new(expr: &RequestExpr) -> Self {
        let mut plan = Self {
            root: Node::And(Vec::new()),
            sites: Vec::new(),
            keys: Vec::new(),
        };
        plan.root = plan.node(expr);
        if !plan.keys.is_empty() {
            plan.add_key(OTHER);
        }
        plan
    }

    /// Keys whose filters can say something.
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Whether interfaces matter.
    pub(crate) fn has_sites(&self) -> bool {
        !self.sites.is_empty()
    }

    fn node(&mut self, expr: &RequestExpr) -> Node {
        match expr {
            RequestExpr::And(all) => self.and(all),
            RequestExpr::Or(any) => Node::Or(any.iter().map(|expr| self.node(expr)).collect()),
            RequestExpr::Not(expr) => Node::Not(Box::new(self.node(expr))),
            RequestExpr::Is(test) => match root_test(test) {
                Some(test) => self.site(HopExpr::Is(test), false),
                None => self.test(test),
            },
            RequestExpr::Hop(expr) => self.site(expr.clone(), true),
        }
    }

    /// What is asked of the root's interface is asked of one span.
    fn and(&mut self, all: &[RequestExpr]) -> Node {
        let of_root = |expr: &RequestExpr| match expr {
            RequestExpr::Is(test) => root_test(test),
            _ => None,
        };
        let root: Vec<HopExpr> = all.iter().filter_map(of_root).map(HopExpr::Is).collect();
        let mut nodes: Vec<Node> = Vec::with_capacity(all.len());
        if !root.is_empty() {
            nodes.push(self.site(HopExpr::And(root), false));
        }
        let others = all.iter().filter(|expr| of_root(expr).is_none());
        nodes.extend(others.map(|expr| self.node(expr)));
        Node::And(nodes)
    }

    fn test(&mut self, test: &RequestTest) -> Node {
        match test {
            RequestTest::Trace(_) => self.add_key(TRACE_ID),
            RequestTest::RootAttribute { keys, .. } => {
                keys.iter().for_each(|key| self.add_key(key));
            }
            _ => {}
        }
        Node::Test(test.clone())
    }

    fn site(&mut self, expr: HopExpr, any_span: bool) -> Node {
        let mut counts = false;
        for_each_test(&expr, &mut |test| match test {
            HopTest::Status(_) | HopTest::Duration(_) | HopTest::SelfTime(_) => counts = true,
            HopTest::Attribute { keys, .. } => keys.iter().for_each(|key| self.add_key(key)),
            HopTest::Exception(_) => hop::EXCEPTION_KEYS.iter().for_each(|key| self.add_key(key)),
            HopTest::SpanId(_) => self.add_key(SPAN_ID),
            HopTest::Service(_) | HopTest::Name(_) | HopTest::Kind(_) | HopTest::Text(_) => {}
        });
        self.sites.push(Site {
            expr,
            any_span,
            counts,
        });
        Node::Site(self.sites.len() - 1)
    }

    fn add_key(&mut self, key: &str) {
        if !self.keys.iter().any(|known| known == key) {
            self.keys.push(key.to_owned());
        }
    }

    /// Which of a partition's interfaces matter.
    pub(crate) fn interfaces(&self, all: &[(i64, Interface)]) -> Interfaces {
        let mut chosen = Interfaces {
            wanted: Vec::new(),
            by_record: Vec::with_capacity(self.sites.len()),
            possible: Vec::with_capacity(self.sites.len()),
        };
        for site in &self.sites {
            let fits = |interface| Seen::interface(interface).asks(&site.expr) != Ok(Tri::No);
            let fitting: Vec<i64> = all
                .iter()
                .filter(|(_, interface)| fits(interface))
                .map(|(id, _)| *id)
                .collect();
            // Records of nearly all interfaces tell little but for their numbers.
            let tells = site.counts || fitting.len() <= all.len() / 2;
            let by_record = tells && fitting.len() <= INTERFACES_MAX;
            chosen.possible.push(!fitting.is_empty());
            chosen.by_record.push(by_record);
            if by_record {
                chosen.wanted.extend(fitting);
            }
        }
        chosen.wanted.sort_unstable();
        chosen.wanted.dedup();
        chosen
    }

    /// Whether any row of a partition with these interfaces can match.
    pub(crate) fn is_possible(&self, interfaces: &Interfaces) -> bool {
        possible(&self.root, interfaces) != Tri::No
    }

    /// Whether any row of a segment with these filters may match.
    pub(crate) fn may_hold(&self, filters: &Filters) -> Result<bool, Damaged> {
        Ok(self.by_filters(&self.root, filters)? != Tri::No)
    }

    fn by_filters(&self, node: &Node, filters: &Filters) -> Result<Tri, Damaged> {
        match node {
            Node::And(nodes) => nodes.iter().try_fold(Tri::Yes, |tri, node| {
                Ok(tri.min(self.by_filters(node, filters)?))
            }),
            Node::Or(nodes) => nodes.iter().try_fold(Tri::No, |tri, node| {
                Ok(tri.max(self.by_filters(node, filters)?))
            }),
            Node::Not(node) => Ok(self.by_filters(node, filters)?.not()),
            Node::Test(test) => facts::by_filters(test, filters),
            Node::Site(index) => {
                let filters = Some(filters);
                let seen = Seen {
                    filters,
                    ..Seen::default()
                };
                // Of spans, not of rows: that each span fulfils it says nothing where there are none.
                Ok(seen.asks(&self.sites[*index].expr)?.min(Tri::Perhaps))
            }
        }
    }

    /// The rows that may match, by what is known so far.
    pub(crate) fn candidates(
        &self,
        facts: &Facts<'_>,
        interfaces: &Interfaces,
    ) -> Result<RowSet, Damaged> {
        Ok(self.verdict(&self.root, facts, interfaces)?.may)
    }

    fn verdict(
        &self,
        node: &Node,
        facts: &Facts<'_>,
        interfaces: &Interfaces,
    ) -> Result<Verdict, Damaged> {
        let all = facts.rows();
        Ok(match node {
            Node::And(nodes) => {
                let mut both = Verdict {
                    may: all,
                    does: all,
                };
                for node in nodes {
                    let one = self.verdict(node, facts, interfaces)?;
                    both = Verdict {
                        may: both.may.and(&one.may),
                        does: both.does.and(&one.does),
                    };
                }
                both
            }
            Node::Or(nodes) => {
                let mut any = Verdict {
                    may: RowSet::new(),
                    does: RowSet::new(),
                };
                for node in nodes {
                    let one = self.verdict(node, facts, interfaces)?;
                    any = Verdict {
                        may: any.may.or(&one.may),
                        does: any.does.or(&one.does),
                    };
                }
                any
            }
            Node::Not(node) => {
                let one = self.verdict(node, facts, interfaces)?;
                Verdict {
                    may: all.without(&one.does),
                    does: all.without(&one.may),
                }
            }
            Node::Test(test) => facts.test(test)?,
            Node::Site(index) => {
                let site = &self.sites[*index];
                let by_record = interfaces
                    .by_record
                    .get(*index)
                    .copied()
                    .unwrap_or_default();
                facts.site(&site.expr, site.any_span, by_record)?
            }
        })
    }
}

fn possible(node: &Node, interfaces: &Interfaces) -> Tri {
    let all = |nodes: &[Node]| -> Vec<Tri> {
        nodes
            .iter()
            .map(|node| possible(node, interfaces))
            .collect()
    };
    match node {
        Node::And(nodes) => all(nodes).into_iter().min().unwrap_or(Tri::Yes),
        Node::Or(nodes) => all(nodes).into_iter().max().unwrap_or(Tri::No),
        Node::Not(node) => possible(node, interfaces).not(),
        Node::Site(index) if !interfaces.possible[*index] => Tri::No,
        Node::Test(_) | Node::Site(_) => Tri::Perhaps,
    }
}

/// A test of the root's interface as one of a span.
fn root_test(test: &RequestTest) -> Option<HopTest> {
    match test {
        RequestTest::Entry(text) => Some(HopTest::Service(text.clone())),
        RequestTest::Name(text) => Some(HopTest::Name(text.clone())),
        _ => None,
    }
}

fn for_each_test(expr: &HopExpr, visit: &mut impl FnMut(&HopTest)) {
    match expr {
        HopExpr::And(some) | HopExpr::Or(some) => {
            some.iter().for_each(|expr| for_each_test(expr, visit));
        }
        HopExpr::Not(expr) => for_each_test(expr, visit),
        HopExpr::Is(test) => visit(test),
    }
}

#[cfg(test)]
pub(crate) mod tests;
