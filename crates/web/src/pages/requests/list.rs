//! The table of requests.

use super::Asked;
use crate::charts::log_percent;
use crate::chrome::{Link, Pill, named};
use crate::colour::slot;
use crate::examples::{error_text, name_parts, status_text};
use crate::format::{self, Amount};
use crate::i18n::Messages;
use crate::url::Href;
use hoplog_model::{Flags, SpanStatus, Summary};
use hoplog_query::Sort;
use hoplog_query::answers::RequestList;

/// A page of requests, ready to print.
#[derive(Debug)]
pub(super) struct ListView {
    pub(super) by_time: bool,
    pub(super) sort_time: String,
    pub(super) sort_duration: String,
    pub(super) rows: Vec<RowView>,
    pub(super) partial: Option<Link>,
    pub(super) shown: String,
    pub(super) first: Option<String>,
    pub(super) next: Option<String>,
    pub(super) json: String,
    pub(super) freeze: String,
    pub(super) cost: String,
}

/// A request, ready to print.
#[derive(Debug)]
pub(super) struct RowView {
    /// The day, where it is another than in the row above.
    pub(super) day: Option<String>,
    pub(super) time: String,
    pub(super) millis: String,
    pub(super) href: String,
    pub(super) slot: u8,
    pub(super) service: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) pills: Vec<Pill>,
    pub(super) services: String,
    pub(super) spans: String,
    pub(super) duration: Amount,
    pub(super) log: String,
    pub(super) failed: bool,
    pub(super) status: String,
    pub(super) error: Option<ErrorView>,
}

/// Where it went wrong first.
#[derive(Debug)]
pub(super) struct ErrorView {
    pub(super) slot: u8,
    pub(super) service: String,
    pub(super) text: String,
}

impl ListView {
    pub(super) fn new(found: &RequestList, asked: &Asked<'_>) -> Self {
        let t = asked.t();
        let by_time = found.sort == Sort::Newest;
        let sorted = |sort| super::address(&asked.q, &asked.range, sort).to_string();
        let next = found.next_cursor.as_ref();
        let next = next.map(|cursor| {
            asked
                .here
                .clone()
                .with("cursor", cursor.as_str())
                .to_string()
        });
        let later = !asked.cursor.is_empty();
        let mut last_day = String::new();
        let mut rows = Vec::with_capacity(found.requests.len());
        for summary in &found.requests {
            let day = t.day(summary.started_at, asked.reader.zone);
            let new = by_time && day != last_day;
            last_day.clone_from(&day);
            rows.push(row(summary, new.then_some(day), asked));
        }
        Self {
            by_time,
            sort_time: sorted(Sort::Newest),
            sort_duration: sorted(Sort::Slowest),
            rows,
            partial: partial(found, next.as_deref(), asked),
            shown: shown(found, later, t),
            first: later.then(|| asked.here.to_string()),
            next: next.filter(|_| found.complete),
            json: json(asked),
            freeze: asked.range.frozen(asked.here.clone()).into(),
            cost: cost(found, t),
        }
    }
}

fn shown(found: &RequestList, later: bool, t: &'static Messages) -> String {
    let sort = if found.sort == Sort::Newest {
        t.sort_newest
    } else {
        t.sort_slowest
    };
    let template = match (later, found.next_cursor.is_some()) {
        (true, _) => t.shown_rest,
        (false, true) => t.shown_more,
        (false, false) => t.shown_one_page,
    };
    let n = format::count(found.requests.len() as u64);
    t.text(template, &[("n", n.into()), ("sort", sort.into())])
}

/// How far the search got, where it had to stop.
fn partial(found: &RequestList, next: Option<&str>, asked: &Asked<'_>) -> Option<Link> {
    if found.complete {
        return None;
    }
    let t = asked.t();
    let label = match found.searched_until_duration {
        Some(duration) => {
            let duration = format::duration(duration).plain();
            t.text(t.partial_duration, &[("duration", duration.into())])
        }
        None => {
            let time = t.day_time(found.searched_until, asked.reader.zone);
            t.text(t.partial_time, &[("time", time.into())])
        }
    };
    Some(Link::new(next.unwrap_or_default(), label))
}

/// What the search cost, in words.
pub(super) fn cost(found: &RequestList, t: &'static Messages) -> String {
    let cost = &found.cost;
    let args = [
        ("segments", format::count(cost.segments).into()),
        ("filters", format::count(cost.filters).into()),
        ("rows", format::count(cost.rows).into()),
        ("bytes", format::bytes(cost.bytes).plain().into()),
        ("time", format::duration(cost.ms * 1_000_000).plain().into()),
    ];
    t.text(t.search_cost, &args)
}

/// The same page of the HTTP API.
fn json(asked: &Asked<'_>) -> String {
    let sort = if asked.sort == Sort::Slowest {
        "slowest"
    } else {
        ""
    };
    let href = Href::path(&["api", "v1", "requests"]).with("q", asked.q.as_str());
    asked.range.frozen(href).with("sort", sort).into()
}

fn row(summary: &Summary, day: Option<String>, asked: &Asked<'_>) -> RowView {
    let (t, zone) = (asked.t(), asked.reader.zone);
    let interface = &summary.interface;
    let (method, path) = name_parts(&interface.name, t);
    let error = summary.first_error.as_ref().map(|error| ErrorView {
        slot: slot(&error.service),
        service: named(&error.service, t).into(),
        text: error_text(error, t),
    });
    RowView {
        day,
        time: zone.clock(summary.started_at),
        millis: zone.millis(summary.started_at),
        href: Href::path(&["requests", &summary.trace_id.to_string()]).into(),
        slot: slot(&interface.service),
        service: named(&interface.service, t).into(),
        method,
        path,
        pills: pills(summary, t),
        services: format::count(u64::from(summary.service_count)),
        spans: format::count(u64::from(summary.span_count)),
        duration: format::duration(summary.duration),
        log: format::svg(log_percent(summary.duration)),
        failed: summary.status == SpanStatus::Error,
        status: status_text(summary, t),
        error,
    }
}

/// What a reader must know of a request before trusting its line.
fn pills(summary: &Summary, t: &'static Messages) -> Vec<Pill> {
    let all = [
        (Flags::OPEN, "a", t.flag_open, t.flag_open_why),
        (Flags::NO_ROOT, "w", t.flag_no_root, t.flag_no_root_why),
        (Flags::ORPHANS, "w", t.flag_orphans, t.flag_orphans_why),
        (Flags::CAPPED, "w", t.flag_capped, t.flag_capped_why),
        (Flags::CLAMPED_TIME, "w", t.flag_clamped, t.flag_clamped_why),
        (Flags::KEPT, "", t.flag_kept, t.flag_kept_why),
    ];
    // What is still arriving explains what is missing.
    let open = summary.flags.contains(Flags::OPEN);
    let explained = |flag| open && (flag == Flags::NO_ROOT || flag == Flags::ORPHANS);
    let set = all
        .into_iter()
        .filter(|(flag, ..)| summary.flags.contains(*flag) && !explained(*flag));
    let pill = |(_, class, text, why): (Flags, &'static str, &str, &'static str)| {
        let n = format::count(u64::from(summary.capped_spans));
        Pill {
            class,
            text: text.into(),
            title: t.text(why, &[("n", n.into())]),
            href: String::new(),
        }
    };
    set.map(pill).collect()
}
