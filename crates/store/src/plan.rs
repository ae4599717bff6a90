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

use crate::segment::{OTHER, RowSet, SPAN_ID, TRACE_ID, value_hash};
use crate::walk::Probe;
use crate::{HopExpr, HopTest, RequestExpr, RequestTest, ValueMatch};
use hop::{Seen, Tri};
use hoplog_model::Interface;
use std::sync::Arc;

/// Most interfaces whose records are asked for at once; beyond, records are not used.
const INTERFACES_MAX: usize = 2_000;

/// A question made ready to be asked of many segments.
#[derive(Debug)]
pub(crate) struct Plan {
    root: Node,
    sites: Vec<Site>,
    probes: Arc<Vec<Probe>>,
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
    /// Whether only a span with a statement can fulfil it: then the records of statements answer it,
    /// where there are some, and else those of span names.
    needs_statement: bool,
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
    /// By site: whether its records are those of statements.
    by_statement: Vec<bool>,
    /// By site: whether some interface fits it at all.
    possible: Vec<bool>,
}

impl Plan {
    pub(crate) fn new(expr: &RequestExpr) -> Self {
        let mut plan = Self {
            root: Node::And(Vec::new()),
            sites: Vec::new(),
            probes: Arc::default(),
        };
        plan.root = plan.node(expr);
        let keys: Vec<u64> = plan
            .probes
            .iter()
            .map(|probe| value_hash(probe.key.as_bytes()))
            .collect();
        keys.into_iter()
            .for_each(|hash| plan.probe(OTHER, Some(hash)));
        plan
    }

    /// What filters can say something about.
    pub(crate) fn probes(&self) -> &Arc<Vec<Probe>> {
        &self.probes
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
            RequestTest::Trace(id) => self.probe(TRACE_ID, Some(value_hash(id.as_bytes()))),
            RequestTest::RootAttribute { keys, value } => self.probe_value(keys, value),
            _ => {}
        }
        Node::Test(test.clone())
    }

    fn site(&mut self, expr: HopExpr, any_span: bool) -> Node {
        let mut counts = false;
        for_each_test(&expr, &mut |test| match test {
            HopTest::Status(_) | HopTest::Duration(_) | HopTest::SelfTime(_) => counts = true,
            HopTest::Attribute { keys, value } => self.probe_value(keys, value),
            HopTest::Exception(text) => {
                let keys = hop::EXCEPTION_KEYS.map(ToOwned::to_owned);
                self.probe_value(&keys, &ValueMatch::Text(text.clone()));
            }
            HopTest::SpanId(id) => self.probe(SPAN_ID, Some(value_hash(id.as_bytes()))),
            HopTest::Service(_)
            | HopTest::Name(_)
            | HopTest::Kind(_)
            | HopTest::Statement(_)
            | HopTest::Text(_) => {}
        });
        self.sites.push(Site {
            needs_statement: hop::needs_statement(&expr),
            expr,
            any_span,
            counts,
        });
        Node::Site(self.sites.len() - 1)
    }

    fn probe_value(&mut self, keys: &[String], value: &ValueMatch) {
        let hash = known::only_hash(value);
        keys.iter().for_each(|key| self.probe(key, hash));
    }

    fn probe(&mut self, key: &str, hash: Option<u64>) {
        let probes = Arc::make_mut(&mut self.probes);
        let place = probes.iter().position(|probe| probe.key == key);
        let place = place.unwrap_or_else(|| {
            probes.push(Probe {
                key: key.to_owned(),
                hashes: Vec::new(),
            });
            probes.len() - 1
        });
        let hashes = &mut probes[place].hashes;
        hashes.extend(hash.filter(|hash| !hashes.contains(hash)));
    }

    /// Which of a partition's interfaces matter.
    pub(crate) fn interfaces(&self, all: &[(i64, Interface)]) -> Interfaces {
        let mut chosen = Interfaces {
            wanted: Vec::new(),
            by_record: Vec::with_capacity(self.sites.len()),
            by_statement: Vec::with_capacity(self.sites.len()),
            possible: Vec::with_capacity(self.sites.len()),
        };
        let counted = crate::statement::counted();
        let needs_statements = self.sites.iter().any(|site| site.needs_statement);
        let has_statements = needs_statements && all.iter().any(|(_, one)| *one == counted);
        for site in &self.sites {
            let by_statement = site.needs_statement && has_statements;
            let fits = |one: &Interface| {
                one.is_statement() == by_statement
                    && Seen::interface(one).asks(&site.expr) != Tri::No
            };
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
            chosen.by_statement.push(by_statement);
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

    /// The rows of a segment with these filters that may match.
    pub(crate) fn may_hold(&self, filters: &Filters) -> RowSet {
        self.by_filters(&self.root, filters)
    }

    fn by_filters(&self, node: &Node, filters: &Filters) -> RowSet {
        match node {
            Node::And(nodes) => nodes.iter().fold(RowSet::all(), |rows, node| {
                rows.and(&self.by_filters(node, filters))
            }),
            Node::Or(nodes) => nodes.iter().fold(RowSet::new(), |rows, node| {
                rows.or(&self.by_filters(node, filters))
            }),
            // That a row may have a value does not say that it has it.
            Node::Not(_) => RowSet::all(),
            Node::Test(test) => facts::by_filters(test, filters),
            Node::Site(index) => filters.rows(&self.sites[*index].expr, &Seen::default()),
        }
    }

    /// Whether a row of a segment with these records may match.
    pub(crate) fn may_record(&self, interfaces: &Interfaces, records: &[KnownRecord<'_>]) -> bool {
        self.by_records(&self.root, interfaces, records)
    }

    fn by_records(
        &self,
        node: &Node,
        interfaces: &Interfaces,
        records: &[KnownRecord<'_>],
    ) -> bool {
        let mut nodes_may = |node: &Node| self.by_records(node, interfaces, records);
        match node {
            Node::And(nodes) => nodes.iter().all(nodes_may),
            Node::Or(nodes) => nodes.iter().any(&mut nodes_may),
            Node::Not(_) | Node::Test(_) => true,
            Node::Site(index) if !interfaces.by_record[*index] => true,
            Node::Site(index) => {
                let of_statements = interfaces.by_statement[*index];
                let asked =
                    |record: &&KnownRecord<'_>| record.interface.is_statement() == of_statements;
                let mut asked = records.iter().filter(asked);
                asked.any(|record| record.seen().asks(&self.sites[*index].expr) != Tri::No)
            }
        }
    }

    /// The rows that may match, by what is known so far.
    pub(crate) fn candidates(&self, facts: &Facts<'_>, interfaces: &Interfaces) -> RowSet {
        self.verdict(&self.root, facts, interfaces).may
    }

    fn verdict(&self, node: &Node, facts: &Facts<'_>, interfaces: &Interfaces) -> Verdict {
        let all = facts.rows();
        match node {
            Node::And(nodes) => {
                let mut both = Verdict {
                    may: all,
                    does: all,
                };
                for node in nodes {
                    let one = self.verdict(node, facts, interfaces);
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
                    let one = self.verdict(node, facts, interfaces);
                    any = Verdict {
                        may: any.may.or(&one.may),
                        does: any.does.or(&one.does),
                    };
                }
                any
            }
            Node::Not(node) => {
                let one = self.verdict(node, facts, interfaces);
                Verdict {
                    may: all.without(&one.does),
                    does: all.without(&one.may),
                }
            }
            Node::Test(test) => facts.test(test),
            Node::Site(index) => {
                let site = &self.sites[*index];
                let is = |list: &[bool]| list.get(*index).copied().unwrap_or_default();
                let records = is(&interfaces.by_record).then(|| is(&interfaces.by_statement));
                facts.site(&site.expr, site.any_span, records)
            }
        }
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
