//! The strip above the list: how many hops arrived over time, and how many failed.

use crate::charts;
use crate::format;
use crate::range::Range;
use crate::reader::Reader;
use crate::url::Href;
use hoplog_model::times;
use hoplog_query::answers::{Latency, LatencyInput, Step, Window};
use hoplog_query::lang::{self, Ast, Compare, Key, Term, Test, Value, Word};

/// Ready to print.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) title: String,
    pub(crate) label: String,
    /// Unix milliseconds of both ends, for the script.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) width: usize,
    pub(crate) ok: String,
    pub(crate) failed: String,
    pub(crate) ticks: Vec<String>,
    pub(crate) figures: Vec<FigureView>,
    pub(crate) rows: Vec<StripRow>,
}

/// A number beside the strip.
#[derive(Debug)]
pub(crate) struct FigureView {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) note: String,
    pub(crate) failed: bool,
}

/// A step as a line of a table.
#[derive(Debug)]
pub(crate) struct StripRow {
    pub(crate) href: String,
    pub(crate) time: String,
    pub(crate) count: String,
    pub(crate) failed: String,
}

/// The one service that a query names, if it names one: roll-ups know it.
fn service(ast: Option<&Ast>) -> Option<String> {
    let chips = lang::chips(ast?);
    let mut names = chips.into_iter().filter_map(|chip| match chip.part {
        Ast::Term(Term {
            key: Key::Word(Word::Service | Word::Entry),
            test: Test::Compare(Compare::Is, values),
        }) => match values.as_slice() {
            [value @ Value { .. }] if !value.has_wildcards() => Some(value.text.clone()),
            _ => None,
        },
        _ => None,
    });
    names.next()
}

/// What to ask the roll-ups for.
pub(super) fn input(ast: Option<&Ast>, range: &Range) -> LatencyInput {
    LatencyInput {
        service: service(ast),
        from: Some(range.window.from),
        to: Some(range.window.to),
        step: Some(range.step()),
        ..LatencyInput::default()
    }
}

impl Strip {
    pub(super) fn new(
        ast: Option<&Ast>,
        latency: &Latency,
        range: &Range,
        here: &Href,
        reader: &Reader,
    ) -> Self {
        let t = reader.t();
        let title = match service(ast) {
            Some(service) => t.text(t.strip_service, &[("service", service.into())]),
            None => t.strip_all.into(),
        };
        Self::of(title, latency, range, here, reader)
    }

    /// A strip with this title.
    pub(crate) fn of(
        title: String,
        latency: &Latency,
        range: &Range,
        here: &Href,
        reader: &Reader,
    ) -> Self {
        let t = reader.t();
        let sum = |part: fn(&Step) -> u64| latency.steps.iter().map(part).sum::<u64>();
        let (count, failed) = (sum(|step| step.count), sum(|step| step.errors));
        let bars = charts::bars(latency.steps.iter().map(|step| (step.count, step.errors)));
        let args = [
            ("title", title.as_str().into()),
            ("count", format::count(count).into()),
            ("range", range.length_text().into()),
            ("failed", format::count(failed).into()),
        ];
        let label = t.text(t.strip_label, &args);
        let shown = drawn(latency, range);
        let step = Range {
            window: Window {
                from: 0,
                to: latency.step_ns,
            },
            last: None,
        }
        .length_text();
        let figure = |label: &str, value, note, failed| FigureView {
            label: label.into(),
            value,
            note,
            failed,
        };
        Self {
            label,
            from: shown.window.from / 1_000_000,
            to: shown.window.to / 1_000_000,
            width: bars.width,
            ok: bars.ok,
            failed: bars.failed,
            ticks: shown.ticks(5, reader),
            figures: vec![
                figure(
                    t.strip_hops,
                    format::count(count),
                    t.text(t.strip_step, &[("step", step.into())]),
                    false,
                ),
                figure(
                    t.failed_cap,
                    format::count(failed),
                    format::share(failed, count).plain(),
                    failed > 0,
                ),
            ],
            rows: rows(latency, here, reader, range),
            title,
        }
    }
}

/// The time that the steps really cover: whole minutes.
pub(crate) fn drawn(latency: &Latency, range: &Range) -> Range {
    let from = latency
        .steps
        .first()
        .map_or(range.window.from, |step| step.at);
    let to = from + latency.step_ns * latency.steps.len().max(1) as u64;
    Range {
        window: Window { from, to },
        last: None,
    }
}

fn rows(latency: &Latency, here: &Href, reader: &Reader, range: &Range) -> Vec<StripRow> {
    let row = |step: &Step| StripRow {
        href: here
            .clone()
            .without(&["t", "cursor"])
            .with("from", times::rfc3339(step.at))
            .with("to", times::rfc3339(step.at + latency.step_ns))
            .into(),
        time: range.tick(step.at, reader),
        count: format::count(step.count),
        failed: format::count(step.errors),
    };
    latency.steps.iter().map(row).collect()
}
