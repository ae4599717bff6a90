//! The whole request at a glance: the minimap, and the critical path by service.

use super::Drawing;
use crate::chrome::named;
use crate::colour::slot;
use crate::format::{self, svg};
use crate::rich::Html;
use hoplog_model::UnixNanos;
use hoplog_query::insight::{NoPath, Segment};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// Lines of the minimap.
const LINES: usize = 40;
/// Units across the minimap.
const UNITS: u64 = 1_000;
/// Services named under the critical path.
const NAMED: usize = 6;
/// Most pieces of the critical path that are drawn.
const PIECES: usize = 120;

/// The minimap.
#[derive(Debug, Default)]
pub(crate) struct MiniView {
    pub(crate) label: String,
    pub(crate) lines: Vec<MiniLine>,
    /// What is zoomed to, in per cent.
    pub(crate) x: String,
    pub(crate) width: String,
}

/// All lines of one colour.
#[derive(Debug)]
pub(crate) struct MiniLine {
    pub(crate) class: String,
    pub(crate) d: String,
}

/// The critical path.
#[derive(Debug, Default)]
pub(crate) struct PathView {
    pub(crate) label: String,
    pub(crate) parts: Vec<PathPart>,
    pub(crate) legend: Vec<LegendItem>,
    pub(crate) more: Html,
    /// Why there is none; empty if there is one.
    pub(crate) missing: String,
}

/// A stretch in which one service held the request up.
#[derive(Debug)]
pub(crate) struct PathPart {
    pub(crate) class: String,
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) title: String,
}

/// A service's share of the path.
#[derive(Debug)]
pub(crate) struct LegendItem {
    pub(crate) slot: u8,
    pub(crate) name: String,
    pub(crate) time: format::Amount,
    pub(crate) share: format::Amount,
}

/// Stretches of one line of the minimap, by colour; 0 for failures.
type Stretches = BTreeMap<(u8, usize), Vec<(u64, u64)>>;

impl Drawing<'_> {
    /// Every span as a thin line; what would lie on top of each other is drawn once.
    pub(crate) fn mini(&self) -> MiniView {
        let nodes = &self.insight.tree.nodes;
        let (start, end) = self.insight.tree.extent();
        let whole = (end - start).max(1);
        let unit = |at: UnixNanos| {
            let units = u128::from(at - start) * u128::from(UNITS) / u128::from(whole);
            u64::try_from(units).unwrap_or(UNITS)
        };
        let mut stretches = Stretches::new();
        for (place, node) in nodes.iter().enumerate() {
            let line = match LINES / nodes.len() {
                0 => place * LINES / nodes.len(),
                room => place * room.min(3),
            };
            let stretch = (unit(node.shown_start()), unit(node.shown_end()));
            stretches
                .entry((slot(&node.service), line))
                .or_default()
                .push(stretch);
            if node.is_origin() {
                stretches.entry((0, line)).or_default().push(stretch);
            }
        }
        let mut lines: BTreeMap<u8, String> = BTreeMap::new();
        for ((slot, line), mut stretches) in stretches {
            stretches.sort_unstable();
            push_stretches(lines.entry(slot).or_default(), line, &stretches);
        }
        // Failures are drawn last, over the rest.
        let failed = lines.remove(&0);
        let mut lines: Vec<MiniLine> = lines
            .into_iter()
            .map(|(slot, d)| MiniLine {
                class: format!("t{slot}"),
                d,
            })
            .collect();
        lines.extend(failed.map(|d| MiniLine {
            class: "mf".into(),
            d,
        }));
        let n = format::count(nodes.len() as u64);
        let (x, width) = self.zoomed(start, whole);
        MiniView {
            label: self.t.text(self.t.mini_label, &[("n", n.into())]),
            lines,
            x,
            width,
        }
    }

    fn zoomed(&self, start: UnixNanos, whole: u64) -> (String, String) {
        let x = format::ratio(self.from - start, whole) * 100.0;
        let width = format::ratio(self.length, whole) * 100.0;
        (svg(x), svg(width.min(100.0 - x).max(0.2)))
    }

    /// Who the caller waited for, by service.
    pub(crate) fn path(&self) -> PathView {
        let t = self.t;
        let path = match &self.insight.path {
            Ok(path) => path,
            Err(why) => {
                let why = match why {
                    NoPath::NoRoot => t.path_no_root,
                    NoPath::NoTime => t.path_no_time,
                };
                let missing = t.text(t.critical_path_missing, &[("why", why.into())]);
                return PathView {
                    missing,
                    ..PathView::default()
                };
            }
        };
        let total = path.duration();
        let from = path.segments.first().map_or(0, |segment| segment.start);
        let shares = self.shares(&path.segments);
        let list = shares.iter().take(NAMED).map(|(service, nanos)| {
            format!("{} {}", named(service, t), format::duration(*nanos).plain())
        });
        let list = list.collect::<Vec<_>>().join(", ");
        let legend = shares
            .iter()
            .take(NAMED)
            .map(|(service, nanos)| LegendItem {
                slot: slot(service),
                name: named(service, t).into(),
                time: format::duration(*nanos),
                share: format::share(*nanos, total),
            });
        let rest: u64 = shares.iter().skip(NAMED).map(|(_, nanos)| nanos).sum();
        let others = shares.len().saturating_sub(NAMED);
        let args = [
            ("n", others.to_string().into()),
            ("time", format::duration(rest).plain().into()),
        ];
        PathView {
            label: t.text(t.critical_path_label, &[("list", list.into())]),
            parts: self.parts(&path.segments, from, total),
            legend: legend.collect(),
            more: if others > 0 {
                t.html(t.more_services, &args)
            } else {
                Html::default()
            },
            missing: String::new(),
        }
    }

    /// Services by their time on the path, the longest first.
    fn shares(&self, segments: &[Segment]) -> Vec<(&str, u64)> {
        let mut by_service: HashMap<&str, u64> = HashMap::new();
        for segment in segments {
            let service = &*self.insight.tree.nodes[segment.place].service;
            *by_service.entry(service).or_default() += segment.duration();
        }
        let mut shares: Vec<_> = by_service.into_iter().collect();
        shares.sort_by_key(|(service, nanos)| (std::cmp::Reverse(*nanos), *service));
        shares
    }

    /// Neighbouring stretches of one service as one; where there are too many, what prevails.
    fn parts(&self, segments: &[Segment], from: UnixNanos, total: u64) -> Vec<PathPart> {
        let mut runs: Vec<(&str, UnixNanos, UnixNanos)> = Vec::new();
        for segment in segments {
            let service = &*self.insight.tree.nodes[segment.place].service;
            match runs.last_mut() {
                Some((last, _, end)) if *last == service => *end = segment.end,
                _ => runs.push((service, segment.start, segment.end)),
            }
        }
        if runs.len() > PIECES {
            runs = coarse(&runs, from, total);
        }
        let part = |(service, start, end): (&str, UnixNanos, UnixNanos)| PathPart {
            class: format!("f{}", slot(service)),
            x: svg(format::ratio(start - from, total) * 100.0),
            width: svg(format::ratio(end - start, total) * 100.0),
            title: format!(
                "{} {}",
                named(service, self.t),
                format::duration(end - start).plain()
            ),
        };
        runs.into_iter().map(part).collect()
    }
}

/// Equal pieces of the path. Each is given to the service that is furthest behind its share so
/// far, so that the whole has the right proportions.
fn coarse<'a>(
    runs: &[(&'a str, UnixNanos, UnixNanos)],
    from: UnixNanos,
    total: u64,
) -> Vec<(&'a str, UnixNanos, UnixNanos)> {
    let edge = |piece: usize| {
        let share = u128::from(total) * piece as u128 / PIECES as u128;
        from + u64::try_from(share).unwrap_or(total)
    };
    let mut coarse: Vec<(&str, UnixNanos, UnixNanos)> = Vec::new();
    let mut behind: BTreeMap<&str, i64> = BTreeMap::new();
    let length = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    let mut first = 0;
    for piece in 0..PIECES {
        let (start, end) = (edge(piece), edge(piece + 1));
        while runs
            .get(first)
            .is_some_and(|(_, _, run_end)| *run_end <= start)
        {
            first += 1;
        }
        for (service, a, b) in runs[first..].iter().take_while(|(_, a, _)| *a < end) {
            let time = (*b).min(end).saturating_sub((*a).max(start));
            *behind.entry(service).or_default() += length(time);
        }
        let Some((service, time)) = behind.iter_mut().max_by_key(|(_, time)| **time) else {
            continue;
        };
        *time -= length(end - start);
        let service = *service;
        match coarse.last_mut() {
            Some((last, _, last_end)) if *last == service => *last_end = end,
            _ => coarse.push((service, start, end)),
        }
    }
    coarse
}

fn push_stretches(path: &mut String, line: usize, stretches: &[(u64, u64)]) {
    let y = line + 2;
    let mut at: Option<(u64, u64)> = None;
    let mut put = |(start, end): (u64, u64)| {
        write!(path, "M{start} {y}h{}", (end - start).max(1)).expect("a String takes everything");
    };
    for (start, end) in stretches {
        match &mut at {
            Some((_, last)) if *start <= *last + 1 => *last = (*last).max(*end),
            Some(done) => {
                put(*done);
                at = Some((*start, *end));
            }
            None => at = Some((*start, *end)),
        }
    }
    at.into_iter().for_each(put);
}
