//! Which spans of a request are rows, and in what order: folding happens here, on the server.
//!
//! Small requests show every span. In large ones a span is unfolded only if something of interest
//! is below it: a failure, the critical path, one of the longest own times, or what was selected.
//! Equal siblings become one row. Every decision can be overruled by the address.

mod draw;
mod overview;

pub(crate) use draw::{Drawing, RowView, address, millis};
pub(crate) use overview::{MiniView, PathView};

use crate::params::Params;
use hoplog_model::{SpanId, UnixNanos};
use hoplog_query::insight::{Finding, Insight, Tree};
use std::collections::{HashMap, HashSet};

/// Requests of at most this many spans are shown whole.
const WHOLE: usize = 500;
/// Rows in one answer.
pub(crate) const WINDOW: usize = 200;
/// Rows of the window before the one it is centred on.
const BEFORE: usize = 80;
/// Spans with the longest own time that stay visible.
const LONGEST: usize = 20;
/// In a large request a span is worth a row from this part of the critical path on.
const PATH_PART: u64 = 200;
/// Failures that stay visible; all of them can be walked through.
const FAILURES: usize = 100;
/// From this many on, equal siblings in a large request are one row.
const EQUAL: usize = 5;
/// Most spans the address may open or close by hand.
const BY_HAND: usize = 200;

/// How much is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fold {
    /// By what is of interest.
    #[default]
    Overview,
    /// Only what is on the critical path.
    Path,
    /// Nothing.
    Nothing,
    /// Everything.
    All,
}

impl Fold {
    /// Every way, with its name in the address and its key.
    pub(crate) const NAMES: [(Self, &'static str, &'static str); 4] = [
        (Self::Overview, "", "o"),
        (Self::Path, "path", "p"),
        (Self::Nothing, "none", "]"),
        (Self::All, "all", "["),
    ];
}

/// What the address says about the waterfall.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) fold: Fold,
    /// Spans opened by hand; groups by their first span.
    pub(crate) open: HashSet<SpanId>,
    /// Spans closed by hand.
    pub(crate) close: HashSet<SpanId>,
    /// The span that was picked.
    pub(crate) span: Option<SpanId>,
    /// First row of the window.
    pub(crate) at: Option<usize>,
    /// The part of the request shown, in nanoseconds from its start.
    pub(crate) zoom: Option<(u64, u64)>,
}

impl View {
    /// Reads the address; what makes no sense is left out.
    pub(crate) fn read(params: &Params) -> Self {
        let ids = |name| {
            let list = params.get(name).split(',').take(BY_HAND);
            list.filter_map(|id| id.parse().ok())
                .collect::<HashSet<SpanId>>()
        };
        let named = |(_, name, _): &(Fold, &str, &str)| *name == params.get("fold");
        let fold = Fold::NAMES.into_iter().find(named).map(|(fold, ..)| fold);
        let millis = |name| params.get(name).parse::<f64>().ok().and_then(nanos);
        let zoom = millis("t0")
            .zip(millis("t1"))
            .filter(|(from, to)| from < to);
        Self {
            fold: fold.unwrap_or_default(),
            open: ids("open"),
            close: ids("close"),
            span: params.get("span").parse().ok(),
            at: params.get("at").parse().ok(),
            zoom,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to fit"
)]
fn nanos(millis: f64) -> Option<u64> {
    let nanos = (millis * 1e6).round();
    (0.0..1e18).contains(&nanos).then_some(nanos as u64)
}

/// What a row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A span, by its place.
    Span(usize),
    /// Equal siblings as one: their places, in order of time.
    Group(Vec<usize>),
    /// Time in which nothing was recorded: in whom, from when, until when (shown times).
    Gap(usize, UnixNanos, UnixNanos),
}

/// A row and where it stands in the tree.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) item: Item,
    /// Steps from the root; members of an opened group stand one deeper.
    pub(crate) depth: usize,
    /// From 1, among `siblings`.
    pub(crate) position: usize,
    pub(crate) siblings: usize,
    /// Whether it is unfolded; none where there is nothing below.
    pub(crate) expanded: Option<bool>,
    /// An opened group, which stays a row above its members.
    pub(crate) opened_group: bool,
}

/// Every row of a request as the address wants it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<Row>,
    /// First row of the window.
    pub(crate) first: usize,
}

impl Plan {
    /// Folds; `selected` is a place in the tree.
    pub(crate) fn new(insight: &Insight, view: &View, selected: Option<usize>) -> Self {
        let folder = Folder::new(insight, view, selected);
        let rows = folder.rows();
        let is_selected = |row: &Row| match (&row.item, selected) {
            (Item::Span(place), Some(selected)) => *place == selected,
            _ => false,
        };
        let selected_row = rows.iter().position(is_selected);
        let last = rows.len().saturating_sub(1);
        let first = match (view.at, view.span.and(selected_row)) {
            (Some(at), _) => at.min(last),
            (None, Some(row)) if row >= WINDOW => row
                .saturating_sub(BEFORE)
                .min(rows.len().saturating_sub(WINDOW)),
            _ => 0,
        };
        Self { rows, first }
    }

    /// The rows of this answer, with their index among all.
    pub(crate) fn window(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().skip(self.first).take(WINDOW)
    }
}

/// Decides what is unfolded.
struct Folder<'a> {
    tree: &'a Tree,
    insight: &'a Insight,
    view: &'a View,
    /// Spans that should be seen, and all above them.
    leads: HashSet<usize>,
    /// Places on the critical path, and all above them.
    path: HashSet<usize>,
    selected: HashSet<usize>,
    large: bool,
}

impl<'a> Folder<'a> {
    fn new(insight: &'a Insight, view: &'a View, selected: Option<usize>) -> Self {
        let tree = &insight.tree;
        let large = tree.nodes.len() > WHOLE;
        let segments = insight.path.iter().flat_map(|path| &path.segments);
        let path = with_ancestors(tree, segments.map(|segment| segment.place));
        let mut interesting = HashSet::new();
        if large {
            interesting.extend(with_ancestors(tree, long_on_path(insight).into_iter()));
            interesting.extend(with_ancestors(
                tree,
                origins(tree).into_iter().take(FAILURES),
            ));
            interesting.extend(with_ancestors(tree, longest(tree)));
        }
        // What a person picked is always in sight; what is selected for them only where it fits.
        let kept = selected.filter(|_| view.span.is_some() || view.fold == Fold::Overview);
        let selected = with_ancestors(tree, kept.into_iter());
        Self {
            tree,
            insight,
            view,
            leads: interesting,
            path,
            selected,
            large,
        }
    }

    fn expanded(&self, place: usize) -> bool {
        let node = &self.tree.nodes[place];
        if self.view.close.contains(&node.span_id) {
            return false;
        }
        let holds_selected = node
            .children
            .iter()
            .any(|child| self.selected.contains(child));
        if self.view.open.contains(&node.span_id) || holds_selected {
            return true;
        }
        match self.view.fold {
            Fold::Nothing => true,
            Fold::All => false,
            Fold::Path => node.children.iter().any(|child| self.path.contains(child)),
            Fold::Overview => {
                !self.large || node.children.iter().any(|child| self.leads.contains(child))
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let roots: Vec<Item> = self
            .tree
            .roots
            .iter()
            .map(|root| Item::Span(*root))
            .collect();
        let mut rows = Vec::new();
        let mut stack: Vec<(Item, usize, usize, usize)> = Vec::new();
        let push = |stack: &mut Vec<_>, items: Vec<Item>, depth: usize| {
            let all = items.len();
            let numbered = items.into_iter().enumerate().rev();
            stack.extend(numbered.map(|(at, item)| (item, depth, at + 1, all)));
        };
        push(&mut stack, roots, 0);
        while let Some((item, depth, position, siblings)) = stack.pop() {
            let (expanded, below) = match &item {
                Item::Span(place) if self.tree.nodes[*place].children.is_empty() => {
                    (None, Vec::new())
                }
                Item::Span(place) if self.expanded(*place) => (Some(true), self.below(*place)),
                Item::Span(_) => (Some(false), Vec::new()),
                Item::Group(members) if self.group_opened(members) => (
                    Some(true),
                    members.iter().map(|member| Item::Span(*member)).collect(),
                ),
                Item::Group(_) => (Some(false), Vec::new()),
                Item::Gap(..) => (None, Vec::new()),
            };
            let opened_group = matches!(item, Item::Group(_)) && expanded == Some(true);
            rows.push(Row {
                item,
                depth,
                position,
                siblings,
                expanded,
                opened_group,
            });
            push(&mut stack, below, depth + 1);
        }
        rows
    }

    /// What stands below a span, in order of time.
    fn below(&self, place: usize) -> Vec<Item> {
        let mut children = self.tree.nodes[place].children.clone();
        if self.view.fold == Fold::Path {
            children.retain(|child| self.path.contains(child) || self.selected.contains(child));
        }
        let groups = self.groups(place, &children);
        let mut group_of: HashMap<usize, usize> = HashMap::new();
        for (at, group) in groups.iter().enumerate() {
            group_of.extend(group.iter().map(|member| (*member, at)));
        }
        let mut items = Vec::new();
        for child in children {
            match group_of.get(&child) {
                None => items.push(Item::Span(child)),
                Some(at) if groups[*at].first() == Some(&child) => {
                    items.push(Item::Group(groups[*at].clone()));
                }
                Some(_) => {}
            }
        }
        self.insert_gap(place, &mut items);
        items
    }

    /// Equal siblings that become one row: runs of equal calls, and in a large request whatever
    /// occurs often and is of no interest.
    fn groups(&self, place: usize, children: &[usize]) -> Vec<Vec<usize>> {
        let repeats = self
            .insight
            .repeats
            .iter()
            .filter(|repeat| repeat.parent == place);
        let mut groups: Vec<Vec<usize>> = repeats.map(|repeat| repeat.calls.clone()).collect();
        if self.view.fold == Fold::Path {
            let shown: HashSet<usize> = children.iter().copied().collect();
            groups
                .iter_mut()
                .for_each(|group| group.retain(|member| shown.contains(member)));
        }
        if self.large && self.view.fold == Fold::Overview {
            let taken: HashSet<usize> = groups.iter().flatten().copied().collect();
            let free = children
                .iter()
                .copied()
                .filter(|child| !taken.contains(child));
            let dull =
                free.filter(|child| !self.leads.contains(child) && !self.selected.contains(child));
            let mut equal: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
            for child in dull {
                let node = &self.tree.nodes[child];
                equal
                    .entry((&node.service, &node.name))
                    .or_default()
                    .push(child);
            }
            groups.extend(equal.into_values());
        }
        groups.retain(|group| group.len() >= EQUAL);
        groups
    }

    fn group_opened(&self, members: &[usize]) -> bool {
        let id = |place: usize| self.tree.nodes[place].span_id;
        let by_hand = members.first().map(|first| id(*first));
        if by_hand.is_some_and(|id| self.view.close.contains(&id)) {
            return false;
        }
        self.view.fold == Fold::Nothing
            || by_hand.is_some_and(|id| self.view.open.contains(&id))
            || members.iter().any(|member| self.selected.contains(member))
    }

    /// The gap that a finding tells of gets a row where it lies.
    fn insert_gap(&self, place: usize, items: &mut Vec<Item>) {
        let told =
            |finding: &&Finding| matches!(finding, Finding::Gap { place: of, .. } if *of == place);
        if self.view.fold == Fold::Path || !self.insight.findings.iter().any(|f| told(&f)) {
            return;
        }
        let Some((start, end)) = own_intervals(self.tree, place)
            .into_iter()
            .max_by_key(|(start, end)| end - start)
        else {
            return;
        };
        let starts = |item: &Item| match item {
            Item::Span(place) => self.tree.nodes[*place].shown_start(),
            Item::Group(members) => self.tree.nodes[members[0]].shown_start(),
            Item::Gap(_, start, _) => *start,
        };
        let at = items
            .iter()
            .position(|item| starts(item) >= end)
            .unwrap_or(items.len());
        items.insert(at, Item::Gap(place, start, end));
    }
}

/// The places and everything above them.
fn with_ancestors(tree: &Tree, places: impl Iterator<Item = usize>) -> HashSet<usize> {
    let mut all = HashSet::new();
    for place in places {
        let mut at = Some(place);
        while let Some(place) = at {
            if !all.insert(place) {
                break;
            }
            at = tree.nodes[place].parent;
        }
    }
    all
}

/// Places where a failure began, in the order shown.
pub(crate) fn origins(tree: &Tree) -> Vec<usize> {
    let failed = tree
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.is_origin());
    failed.map(|(place, _)| place).collect()
}

/// Places that hold up a part of the request worth seeing.
fn long_on_path(insight: &Insight) -> Vec<usize> {
    let Ok(path) = &insight.path else {
        return Vec::new();
    };
    let mut times: HashMap<usize, u64> = HashMap::new();
    for segment in &path.segments {
        *times.entry(segment.place).or_default() += segment.duration();
    }
    let least = path.duration() / PATH_PART;
    times
        .into_iter()
        .filter(|(_, time)| *time >= least)
        .map(|(place, _)| place)
        .collect()
}

fn longest(tree: &Tree) -> impl Iterator<Item = usize> + use<> {
    let mut places: Vec<(u64, usize)> = tree
        .nodes
        .iter()
        .enumerate()
        .map(|(place, node)| (node.own, place))
        .collect();
    let most = LONGEST.min(places.len());
    if most > 0 && most < places.len() {
        places
            .select_nth_unstable_by_key(most - 1, |(own, place)| (std::cmp::Reverse(*own), *place));
    }
    places.truncate(most);
    places.into_iter().map(|(_, place)| place)
}

/// When a span worked itself: its time less its children's, as shown times.
pub(crate) fn own_intervals(tree: &Tree, place: usize) -> Vec<(UnixNanos, UnixNanos)> {
    let node = &tree.nodes[place];
    let mut children: Vec<_> = node
        .children
        .iter()
        .map(|child| {
            (
                tree.nodes[*child].shown_start(),
                tree.nodes[*child].shown_end(),
            )
        })
        .collect();
    children.sort_unstable();
    let (mut at, end) = (node.shown_start(), node.shown_end());
    let mut own = Vec::new();
    for (from, to) in children {
        if from > at && at < end {
            own.push((at, from.min(end)));
        }
        at = at.max(to);
    }
    if at < end {
        own.push((at, end));
    }
    own
}
