//! Rows of the waterfall, ready to print.

use super::{Item, Plan, Row, View, own_intervals};
use crate::chrome::{Pill, named};
use crate::colour::slot;
use crate::format::{self, Amount, svg};
use crate::i18n::Messages;
use crate::rich::Html;
use crate::url::Href;
use hoplog_model::{SpanId, TraceId, UnixNanos};
use hoplog_query::StoredRequest;
use hoplog_query::insight::{Insight, Node, Tree};
use std::collections::HashMap;

/// Indents drawn; deeper rows print their depth.
const INDENTS: usize = 12;
/// Most pieces drawn in one bar.
const PIECES: usize = 40;
/// Most event marks drawn in one bar.
const MARKS: usize = 8;
/// Narrowest thing drawn, in per cent of the timeline.
const THIN: f64 = 0.15;

/// A piece of a picture: markup made of numbers and names of our own.
pub(crate) type Shape = Html;

/// A row, ready to print.
#[derive(Debug, Default)]
pub(crate) struct RowView {
    /// `s` and the span's id; empty for rows that are no span.
    pub(crate) id: String,
    pub(crate) index: usize,
    pub(crate) indent: usize,
    pub(crate) depth: String,
    pub(crate) level: usize,
    pub(crate) position: usize,
    pub(crate) siblings: usize,
    pub(crate) expanded: Option<bool>,
    pub(crate) selected: bool,
    pub(crate) toggle: String,
    pub(crate) toggle_label: String,
    /// It is no span: a remark in its place.
    pub(crate) quiet: bool,
    pub(crate) slot: u8,
    pub(crate) href: String,
    pub(crate) failed: bool,
    pub(crate) service: String,
    pub(crate) op: String,
    pub(crate) pills: Vec<Pill>,
    pub(crate) duration: Amount,
    pub(crate) label: String,
    pub(crate) shapes: Vec<Shape>,
}

/// What rows are drawn from.
#[derive(Debug)]
pub(crate) struct Drawing<'a> {
    pub(crate) request: &'a StoredRequest,
    pub(crate) insight: &'a Insight,
    pub(crate) view: &'a View,
    pub(crate) t: &'static Messages,
    /// This page with everything but the selected span and the window.
    pub(crate) here: Href,
    /// The time drawn: its first instant and its length.
    pub(crate) from: UnixNanos,
    pub(crate) length: u64,
    pub(crate) selected: Option<usize>,
    /// Stretches of the critical path per place.
    path: HashMap<usize, Vec<(UnixNanos, UnixNanos)>>,
}

impl<'a> Drawing<'a> {
    pub(crate) fn new(
        request: &'a StoredRequest,
        insight: &'a Insight,
        view: &'a View,
        t: &'static Messages,
        selected: Option<usize>,
    ) -> Self {
        let (start, end) = insight.tree.extent();
        let (from, length) = match view.zoom {
            Some((t0, t1)) if t0 < end - start => (start + t0, t1.min(end - start) - t0),
            _ => (start, end - start),
        };
        let mut path: HashMap<usize, Vec<_>> = HashMap::new();
        for segment in insight.path.iter().flat_map(|path| &path.segments) {
            path.entry(segment.place)
                .or_default()
                .push((segment.start, segment.end));
        }
        let here = address(request.summary.trace_id, view);
        Self {
            request,
            insight,
            view,
            t,
            here,
            from,
            length: length.max(1),
            selected,
            path,
        }
    }

    fn tree(&self) -> &'a Tree {
        &self.insight.tree
    }

    fn node(&self, place: usize) -> &'a Node {
        &self.insight.tree.nodes[place]
    }

    /// The rows of the plan's window.
    pub(crate) fn rows(&self, plan: &Plan) -> Vec<RowView> {
        plan.window()
            .map(|(index, row)| self.row(index, row))
            .collect()
    }

    fn row(&self, index: usize, row: &Row) -> RowView {
        let drawn = match &row.item {
            Item::Span(place) => self.span(*place, row),
            Item::Group(members) => self.group(members, row),
            Item::Gap(place, start, end) => self.gap(*place, *start, *end),
        };
        RowView {
            // The header is row 1.
            index: index + 2,
            indent: row.depth.min(INDENTS),
            depth: if row.depth > INDENTS {
                row.depth.to_string()
            } else {
                String::new()
            },
            level: row.depth + 1,
            position: row.position,
            siblings: row.siblings,
            expanded: row.expanded,
            ..drawn
        }
    }

    /// The link that picks a span.
    pub(crate) fn pick(&self, place: usize) -> String {
        let id = self.node(place).span_id;
        self.here
            .clone()
            .with("span", id.to_string())
            .at(format!("s{id}"))
            .into()
    }

    /// The link that folds or unfolds a row, and what it is called.
    fn toggle(&self, id: SpanId, expanded: Option<bool>, name: &str) -> (String, String) {
        let t = self.t;
        let Some(expanded) = expanded else {
            return (String::new(), String::new());
        };
        let mut view = self.view.clone();
        view.at = None;
        let (to, from, label) = if expanded {
            (&mut view.close, &mut view.open, t.collapse)
        } else {
            (&mut view.open, &mut view.close, t.expand)
        };
        to.insert(id);
        from.remove(&id);
        let mut href = address(self.request.summary.trace_id, &view);
        if let Some(span) = self.view.span {
            href = href.with("span", span.to_string());
        }
        (
            href.at(format!("s{id}")).into(),
            t.text(label, &[("name", name.into())]),
        )
    }

    fn span(&self, place: usize, row: &Row) -> RowView {
        let (t, node) = (self.t, self.node(place));
        let (service, op) = (named(&node.service, t), named(&node.name, t));
        let (toggle, toggle_label) = self.toggle(node.span_id, row.expanded, op);
        RowView {
            id: format!("s{}", node.span_id),
            selected: self.selected == Some(place),
            toggle,
            toggle_label,
            slot: slot(&node.service),
            href: self.pick(place),
            failed: node.is_origin(),
            service: service.into(),
            op: op.into(),
            pills: self.pills(place, row),
            duration: format::duration(node.duration()),
            label: self.label(node, place),
            shapes: self.shapes(place),
            ..RowView::default()
        }
    }

    fn label(&self, node: &Node, place: usize) -> String {
        let t = self.t;
        let start = node.shown_start().saturating_sub(self.tree().extent().0);
        let args = [
            ("service", named(&node.service, t).into()),
            ("name", named(&node.name, t).into()),
            ("start", format::duration(start).plain().into()),
            ("duration", format::duration(node.duration()).plain().into()),
        ];
        let mut label = t.text(t.row_label, &args);
        if node.failed() {
            label.push_str(t.row_failed);
        }
        if self.path.contains_key(&place) {
            label.push_str(t.row_path);
        }
        label
    }

    fn pills(&self, place: usize, row: &Row) -> Vec<Pill> {
        let (t, node) = (self.t, self.node(place));
        let mut pills = Vec::new();
        // Where it broke has its own sign; where the failure passed through has only the pill.
        let code = self.code(node).filter(|_| node.failed());
        let passed_on = node.failed() && !node.is_origin();
        if let Some(text) = code.or_else(|| passed_on.then(|| t.failed.into())) {
            pills.push(Pill {
                class: "e",
                text,
                ..Pill::default()
            });
        }
        if row.expanded == Some(false) {
            pills.extend(self.folded_pills(place));
        }
        if let Some(parent) = node.parent
            && node.shift > 0
            && node.service != self.node(parent).service
        {
            let shift = format::duration(node.shift).plain();
            let text = t.text(t.clock_pill, &[("shift", format!("−{shift}").into())]);
            let title = t.text(t.clock_why, &[("shift", shift.into())]);
            pills.push(Pill {
                text,
                title,
                ..Pill::default()
            });
        }
        if node.is_orphan {
            let parent = self
                .request
                .spans
                .get(node.index)
                .and_then(|span| span.head.parent);
            let id = parent.map(|id| id.to_string()).unwrap_or_default();
            let title = t.text(t.parent_unknown, &[("id", id.into())]);
            pills.push(Pill {
                class: "w",
                text: t.parent_pill.into(),
                title,
                ..Pill::default()
            });
        }
        pills.extend(self.link_pill(node));
        pills
    }

    /// What a folded row hides.
    fn folded_pills(&self, place: usize) -> Vec<Pill> {
        let (t, node) = (self.t, self.node(place));
        let n = format::count(u64::from(node.below));
        let spans = t.text(t.n_spans_inside, &[("n", n.into())]);
        let mut pills = vec![Pill {
            text: spans,
            ..Pill::default()
        }];
        if node.failed_below > 0 {
            let end = place + 1 + usize::try_from(node.below).unwrap_or(0);
            let first = (place + 1..end).find(|at| self.node(*at).is_origin());
            pills.push(self.failed_inside(node.failed_below, first));
        }
        pills
    }

    fn failed_inside(&self, count: u32, first: Option<usize>) -> Pill {
        let n = format::count(u64::from(count));
        Pill {
            class: "e hollow",
            text: self.t.text(self.t.failed_inside, &[("n", n.into())]),
            title: self.t.failed_inside_why.into(),
            href: first.map(|place| self.pick(place)).unwrap_or_default(),
        }
    }

    /// A span that points at another request.
    fn link_pill(&self, node: &Node) -> Option<Pill> {
        let span = self.request.spans.get(node.index)?;
        let own = self.request.summary.trace_id;
        let link = span
            .view()
            .links()
            .find(|link| link.trace_id.is_some_and(|id| id != own))?;
        let mut href = Href::path(&["requests", &link.trace_id?.to_string()]);
        if let Some(id) = link.span_id {
            href = href.with("span", id.to_string());
        }
        let text = self.t.other_request.into();
        Some(Pill {
            class: "a",
            text,
            href: href.into(),
            title: String::new(),
        })
    }

    /// The HTTP or RPC code of a span.
    fn code(&self, node: &Node) -> Option<String> {
        const KEYS: [&str; 4] = [
            "http.response.status_code",
            "http.status_code",
            "rpc.response.status_code",
            "rpc.grpc.status_code",
        ];
        let span = self.request.spans.get(node.index)?;
        KEYS.iter()
            .find_map(|key| span.view().attributes().get(key))
            .map(|code| code.text().into_owned())
    }

    fn group(&self, members: &[usize], row: &Row) -> RowView {
        let t = self.t;
        let Some(first) = members.first().copied() else {
            return RowView::default();
        };
        let node = self.node(first);
        let (service, op) = (named(&node.service, t), named(&node.name, t));
        let (toggle, toggle_label) = self.toggle(node.span_id, row.expanded, op);
        let total = members
            .iter()
            .map(|member| self.node(*member).duration())
            .sum();
        let n = format::count(members.len() as u64);
        let repeats = &self.insight.repeats;
        let in_a_row = repeats
            .iter()
            .any(|repeat| repeat.calls.first() == Some(&first));
        let template = if in_a_row { t.times_n1 } else { t.times_n };
        let mut pills = vec![Pill {
            class: if in_a_row { "w" } else { "" },
            text: t.text(template, &[("n", n.as_str().into())]),
            ..Pill::default()
        }];
        let failed =
            |member: &&usize| self.node(**member).failed() || self.node(**member).failed_below > 0;
        let failures = members.iter().filter(failed).count();
        if failures > 0 && !row.opened_group {
            let place = members.iter().find(failed).copied();
            pills.push(self.failed_inside(u32::try_from(failures).unwrap_or(u32::MAX), place));
        }
        let start = node.shown_start().saturating_sub(self.tree().extent().0);
        let args = [
            ("n", n.into()),
            ("service", service.into()),
            ("name", op.into()),
            ("start", format::duration(start).plain().into()),
            ("duration", format::duration(total).plain().into()),
        ];
        RowView {
            toggle: toggle.clone(),
            toggle_label,
            slot: slot(&node.service),
            href: toggle,
            service: service.into(),
            op: op.into(),
            pills,
            duration: format::duration(total),
            label: t.text(t.row_group, &args),
            shapes: self.group_shapes(members),
            ..RowView::default()
        }
    }

    fn gap(&self, _place: usize, start: UnixNanos, end: UnixNanos) -> RowView {
        let duration = format::duration(end - start);
        let text = self
            .t
            .text(self.t.row_gap, &[("duration", duration.plain().into())]);
        let hatched = self.bar("gap", start, end, 7, 9);
        RowView {
            quiet: true,
            label: text.clone(),
            op: text,
            shapes: hatched.into_iter().collect(),
            ..RowView::default()
        }
    }

    /// Own work solid, waiting pale, the path as a line below, failure outlined, events as rings.
    fn shapes(&self, place: usize) -> Vec<Shape> {
        let node = self.node(place);
        let (start, end) = (node.shown_start(), node.shown_end());
        let slot = slot(&node.service);
        let mut shapes = Vec::new();
        if node.children.is_empty() {
            shapes.extend(self.bar(&format!("f{slot}"), start, end, 7, 9));
        } else {
            shapes.extend(self.bar(&format!("f{slot} w"), start, end, 7, 9));
            let own = self.merged(&own_intervals(self.tree(), place));
            shapes.extend(
                own.iter()
                    .filter_map(|(a, b)| self.bar(&format!("f{slot}"), *a, *b, 7, 9)),
            );
        }
        if node.is_origin() {
            shapes.extend(self.bar("eo", start, end, 5, 13));
            shapes.extend(self.end_mark(end));
        }
        let path = self
            .path
            .get(&place)
            .map(|path| self.merged(path))
            .unwrap_or_default();
        shapes.extend(
            path.iter()
                .filter_map(|(a, b)| self.bar("cp", *a, *b, 20, 2)),
        );
        shapes.extend(self.events(node));
        shapes
    }

    fn group_shapes(&self, members: &[usize]) -> Vec<Shape> {
        let Some(first) = members.first() else {
            return Vec::new();
        };
        let slot = slot(&self.node(*first).service);
        let times = |member: &usize| {
            (
                self.node(*member).shown_start(),
                self.node(*member).shown_end(),
            )
        };
        let all: Vec<_> = members.iter().map(times).collect();
        let mut shapes: Vec<Shape> = self
            .merged(&all)
            .iter()
            .filter_map(|(a, b)| self.bar(&format!("f{slot}"), *a, *b, 7, 9))
            .collect();
        let mut path: Vec<_> = members
            .iter()
            .filter_map(|member| self.path.get(member))
            .flatten()
            .copied()
            .collect();
        path.sort_unstable();
        shapes.extend(
            self.merged(&path)
                .iter()
                .filter_map(|(a, b)| self.bar("cp", *a, *b, 20, 2)),
        );
        shapes
    }

    /// Neighbours that would be drawn as one are one; never more than a bar can show.
    fn merged(&self, intervals: &[(UnixNanos, UnixNanos)]) -> Vec<(UnixNanos, UnixNanos)> {
        let mut near = self.length / 1_000;
        loop {
            let mut merged: Vec<(UnixNanos, UnixNanos)> = Vec::new();
            for (start, end) in intervals {
                match merged.last_mut() {
                    Some((_, last)) if start.saturating_sub(*last) <= near => {
                        *last = (*last).max(*end);
                    }
                    _ => merged.push((*start, *end)),
                }
            }
            if merged.len() <= PIECES {
                return merged;
            }
            near = near.max(1) * 2;
        }
    }

    /// Where an instant is drawn, in per cent; may lie outside.
    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn x(&self, at: UnixNanos) -> f64 {
        (at as f64 - self.from as f64) / self.length as f64 * 100.0
    }

    fn bar(
        &self,
        class: &str,
        start: UnixNanos,
        end: UnixNanos,
        y: u8,
        height: u8,
    ) -> Option<Shape> {
        let (left, right) = (self.x(start), self.x(end));
        if right < 0.0 || left > 100.0 {
            return None;
        }
        let left = left.clamp(0.0, 100.0 - THIN);
        let width = (right.min(100.0) - left).max(THIN);
        let (x, width) = (svg(left), svg(width));
        Some(Html::trusted(format!(
            "<rect class=\"{class}\" x=\"{x}%\" y=\"{y}\" width=\"{width}%\" height=\"{height}\"/>"
        )))
    }

    /// The stroke at the end of what failed.
    fn end_mark(&self, end: UnixNanos) -> Option<Shape> {
        let x = self.x(end);
        let x = (0.0..=100.0).contains(&x).then(|| svg(x.min(99.6)))?;
        let mark = format!("<rect class=\"ve\" x=\"{x}%\" y=\"3\" width=\"4\" height=\"17\"/>");
        Some(Html::trusted(mark))
    }

    fn events(&self, node: &Node) -> Vec<Shape> {
        let Some(span) = self.request.spans.get(node.index) else {
            return Vec::new();
        };
        let places = span
            .view()
            .events()
            .map(|event| self.x(event.time.saturating_add(node.shift)));
        let shown = places.filter(|x| (0.0..=100.0).contains(x)).take(MARKS);
        let mark = |x: f64| {
            Html::trusted(format!(
                "<circle class=\"lg0\" cx=\"{}%\" cy=\"11.5\" r=\"2.6\"/>",
                svg(x)
            ))
        };
        shown.map(mark).collect()
    }
}

/// This page with the view's folding and zoom in it.
pub(crate) fn address(trace_id: TraceId, view: &View) -> Href {
    let ids = |ids: &std::collections::HashSet<SpanId>| {
        let mut ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids.join(",")
    };
    let fold = super::Fold::NAMES
        .iter()
        .find(|(fold, ..)| *fold == view.fold);
    let mut href = Href::path(&["requests", &trace_id.to_string()])
        .with("fold", fold.map_or("", |(_, name, _)| name))
        .with("open", ids(&view.open))
        .with("close", ids(&view.close));
    if let Some((t0, t1)) = view.zoom {
        href = href.with("t0", millis(t0)).with("t1", millis(t1));
    }
    href
}

/// Nanoseconds as milliseconds with as many decimals as needed.
pub(crate) fn millis(nanos: u64) -> String {
    let text = format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}
