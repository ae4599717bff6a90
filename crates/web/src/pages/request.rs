//! `/requests/{trace_id}`: where did it fail or wait, and why?

mod panel;
mod story;

use crate::Web;
use crate::chrome::{Chrome, Link, Place, named};
use crate::colour::slot;
use crate::examples::{name_parts, status_text};
use crate::failure::{Failure, respond};
use crate::format;
use crate::i18n::Messages;
use crate::pages::home::term;
use crate::pages::service;
use crate::params::Params;
use crate::range::Hidden;
use crate::reader::Reader;
use crate::rich::Html;
use crate::url::Href;
use crate::waterfall::{self, Drawing, Fold, MiniView, PathView, Plan, RowView, View, WINDOW};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use hoplog_model::times::{HOUR, MINUTE};
use hoplog_model::{Flags, Interface, SpanStatus, Summary, TraceId};
use hoplog_query::StoredRequest;
use hoplog_query::answers::Window;
use hoplog_query::insight::{Finding, Insight, Usuals};
use panel::PanelView;
use std::collections::BTreeSet;
use story::Sentence;

/// Rows per chunk, which browsers lay out only when they come near.
const CHUNK: usize = 100;
/// Most interfaces whose usual durations are looked up.
const INTERFACES: usize = 200;
/// From this many times its usual duration on, a request is called slow.
const SLOW: f64 = 1.5;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/request.html")]
pub(crate) struct RequestPage {
    c: Chrome,
    head: Head,
    notices: Vec<Notice>,
    findings: Vec<Sentence>,
    next_steps: Vec<Link>,
    path: PathView,
    folds: Vec<Link>,
    errors: Option<ErrorNav>,
    zoom: Zoom,
    mini: MiniView,
    axis: Vec<String>,
    rows_total: usize,
    before: Option<Link>,
    after: Option<Link>,
    chunks: Vec<Vec<RowView>>,
    panel: Option<PanelView>,
    footer: String,
}

/// The request in one glance.
#[derive(Debug)]
struct Head {
    id: String,
    failed: bool,
    status: String,
    method: String,
    path: String,
    slot: u8,
    service: String,
    service_href: String,
    interface_href: Option<String>,
    otlp: String,
    json: String,
    /// Where the button that keeps it posts to, what, and what it says.
    keep_action: String,
    keep_value: &'static str,
    keep: &'static str,
    machine: String,
    time: String,
    ago: String,
    duration: String,
    usual: String,
    slow: bool,
    counts: Vec<Html>,
}

/// Something a reader must know.
#[derive(Debug)]
struct Notice {
    warn: bool,
    text: String,
    href: String,
    link: String,
}

/// From failure to failure.
#[derive(Debug)]
struct ErrorNav {
    previous: String,
    first: String,
    next: String,
    label: String,
}

/// What part of the time is drawn.
#[derive(Debug)]
struct Zoom {
    action: String,
    hidden: Vec<Hidden>,
    t0: String,
    t1: String,
    /// The whole request in milliseconds, for the script.
    total: String,
    out: Option<String>,
}

pub(crate) async fn get(
    State(web): State<Web>,
    Path(id): Path<String>,
    reader: Reader,
    params: Params,
) -> Response {
    respond(&reader, page(&web, &id, &reader, &params).await)
}

async fn page(
    web: &Web,
    id: &str,
    reader: &Reader,
    params: &Params,
) -> Result<RequestPage, Failure> {
    let began = web.now();
    let not_found = || Failure::NoRequest(id.chars().take(64).collect());
    let trace_id: TraceId = id.parse().map_err(|_| not_found())?;
    let request = web
        .answers
        .request(&trace_id)
        .await?
        .ok_or_else(not_found)?;
    let usuals = usuals(web, &request).await?;
    let insight = Insight::of(&request.spans, &usuals);
    let c = Chrome::new(
        reader,
        Place::Requests,
        title(&request.summary, reader.t()),
        web.newest(),
    );
    let mut page = view(c, reader, &request, &insight, &usuals, &View::read(params));
    page.c = page.c.cost(2, web.now().saturating_sub(began));
    Ok(page)
}

/// Keeps the request whatever its age, or no longer, and goes back to its page.
pub(crate) async fn keep(
    State(web): State<Web>,
    Path(id): Path<String>,
    reader: Reader,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    match set_kept(&web, &id, &fields).await {
        Ok(()) => Redirect::to(&Href::path(&["requests", &id]).to_string()).into_response(),
        Err(failure) => failure.response(&reader),
    }
}

async fn set_kept(web: &Web, id: &str, fields: &[(String, String)]) -> Result<(), Failure> {
    let said = fields.iter().find(|(name, _)| name == "keep");
    let is_kept = match said.map(|(_, value)| value.as_str()) {
        Some("on") => true,
        Some("off") => false,
        // An empty form must not let a request go.
        _ => return Err(Failure::Address("keep")),
    };
    let not_found = |_| Failure::NoRequest(id.chars().take(64).collect());
    let trace_id: TraceId = id.parse().map_err(not_found)?;
    web.answers.keep(trace_id, is_kept).await?;
    Ok(())
}

/// What is usual for the interfaces of the request, from the hour around it.
async fn usuals(web: &Web, request: &StoredRequest) -> Result<Usuals, Failure> {
    let entry = &request.summary.interface;
    let mut interfaces = BTreeSet::from([entry.clone()]);
    for span in request.spans.iter() {
        if interfaces.len() == INTERFACES {
            break;
        }
        interfaces.insert(Interface {
            service: String::from(&*span.group.service),
            kind: span.head.kind,
            name: span.view().name().into_owned(),
        });
    }
    let at = request.summary.started_at;
    let window = Window {
        from: at.saturating_sub(HOUR),
        to: at.saturating_add(5 * MINUTE),
    };
    Ok(web.answers.usuals(interfaces, window).await?)
}

fn title(summary: &Summary, t: &'static Messages) -> String {
    let args = [
        ("status", status_text(summary, t).into()),
        ("what", named(&summary.interface.name, t).into()),
        (
            "duration",
            format::duration(summary.duration).plain().into(),
        ),
    ];
    t.text(t.title_request, &args)
}

fn view(
    c: Chrome,
    reader: &Reader,
    request: &StoredRequest,
    insight: &Insight,
    usuals: &Usuals,
    view: &View,
) -> RequestPage {
    let t = reader.t();
    let origins = waterfall::origins(&insight.tree);
    let picked = view.span.and_then(|id| insight.tree.place(&id));
    let failures = insight.findings.iter().find(|finding| finding.is_failure());
    let first_error = failures.and_then(Finding::place);
    let selected = picked
        .or(first_error)
        .or((!insight.tree.nodes.is_empty()).then_some(0));
    let drawing = Drawing::new(request, insight, view, t, selected);
    let plan = Plan::new(insight, view, selected);
    let mut rows = drawing.rows(&plan);
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(CHUNK));
        chunks.push(std::mem::replace(&mut rows, rest));
    }
    let (before, after) = windows(&drawing, &plan);
    RequestPage {
        c,
        head: head(request, usuals, reader),
        notices: notices(&request.summary, &drawing.here, t),
        findings: story::tell(&drawing),
        next_steps: next_steps(&drawing, first_error),
        path: drawing.path(),
        folds: folds(request.summary.trace_id, view, t),
        errors: errors(&drawing, &origins, selected),
        zoom: zoom(&drawing),
        mini: drawing.mini(),
        axis: axis(&drawing),
        rows_total: plan.rows.len() + 1,
        before,
        after,
        chunks,
        panel: selected.and_then(|place| {
            PanelView::new(&drawing, place, usual_of(insight, usuals, place), reader)
        }),
        footer: footer(insight, &plan, t),
    }
}

fn usual_of(insight: &Insight, usuals: &Usuals, place: usize) -> Option<u64> {
    let node = &insight.tree.nodes[place];
    let service = String::from(&*node.service);
    let interface = Interface {
        service,
        kind: node.kind,
        name: node.name.clone(),
    };
    usuals.get(&interface).map(|usual| usual.p50)
}

fn head(request: &StoredRequest, usuals: &Usuals, reader: &Reader) -> Head {
    let (t, summary) = (reader.t(), &request.summary);
    let interface = &summary.interface;
    let id = summary.trace_id.to_string();
    let (method, path) = name_parts(&interface.name, t);
    let failed = summary.status == SpanStatus::Error;
    let status = match (&summary.code, failed) {
        (Some(code), true) => t.text(t.status_failed, &[("code", code.as_str().into())]),
        _ => status_text(summary, t),
    };
    // Without a root, the time of a part says nothing about the interface.
    let rootless = summary.flags.contains(Flags::NO_ROOT);
    let usual = usuals.get(interface).filter(|_| !rootless);
    let ratio = usual.map_or(0.0, |usual| format::ratio(summary.duration, usual.p50));
    let usual = usual.map(|usual| {
        let p50 = ("p50", format::duration(usual.p50).plain().into());
        if (0.67..SLOW).contains(&ratio) {
            t.text(t.usual_close, &[p50])
        } else {
            t.text(t.usual, &[p50, ("times", format::times(ratio).into())])
        }
    });
    let at = summary.started_at;
    let ago = t.age(reader.now.saturating_sub(at));
    let is_kept = summary.flags.contains(Flags::KEPT);
    Head {
        failed,
        status,
        method,
        path,
        slot: slot(&interface.service),
        service: named(&interface.service, t).into(),
        service_href: Href::path(&["services", &interface.service]).into(),
        interface_href: (!rootless && !interface.name.is_empty() && !interface.service.is_empty())
            .then(|| service::address(&interface.service, &interface.name, interface.kind).into()),
        otlp: Href::path(&["api", "v1", "requests", &id, "otlp"]).into(),
        json: Href::path(&["api", "v1", "requests", &id]).into(),
        keep_action: Href::path(&["requests", &id, "keep"]).into(),
        keep_value: if is_kept { "off" } else { "on" },
        keep: if is_kept { t.keep_off } else { t.keep_it },
        machine: reader.zone.machine(at),
        time: t.day_time(at, reader.zone),
        ago: t.text(t.ago, &[("ago", ago.into())]),
        duration: format::duration(summary.duration).plain(),
        usual: usual.unwrap_or_default(),
        slow: ratio >= SLOW,
        counts: counts(summary, t),
        id,
    }
}

fn counts(summary: &Summary, t: &'static Messages) -> Vec<Html> {
    let count =
        |template, number: u32| t.html(template, &[("n", format::count(u64::from(number)).into())]);
    let mut counts = vec![
        count(t.count_services, summary.service_count),
        count(t.count_hops, summary.hop_count),
        count(t.count_spans, summary.span_count),
    ];
    if summary.error_count > 0 {
        counts.push(count(t.count_failed, summary.error_count));
    }
    counts
}

fn notices(summary: &Summary, here: &Href, t: &'static Messages) -> Vec<Notice> {
    let all = [
        (Flags::OPEN, false, t.flag_open_why),
        (Flags::NO_ROOT, true, t.flag_no_root_why),
        (Flags::CAPPED, true, t.flag_capped_why),
        (Flags::CLAMPED_TIME, true, t.flag_clamped_why),
        (Flags::CONFLICT, true, t.flag_conflict_why),
        (Flags::KEPT, false, t.flag_kept_why),
    ];
    let notice = |(flag, warn, why): (Flags, bool, &'static str)| {
        let n = format::count(u64::from(summary.capped_spans));
        let (href, link) = if flag == Flags::OPEN {
            (here.to_string(), t.start_again.to_owned())
        } else {
            (String::new(), String::new())
        };
        Notice {
            warn,
            text: t.text(why, &[("n", n.into())]),
            href,
            link,
        }
    };
    all.into_iter()
        .filter(|(flag, ..)| summary.flags.contains(*flag))
        .map(notice)
        .collect()
}

/// Where to go from here.
fn next_steps(drawing: &Drawing<'_>, first_error: Option<usize>) -> Vec<Link> {
    let t = drawing.t;
    let summary = &drawing.request.summary;
    let search = |q: String, label: &str| Link::new(Href::path(&["requests"]).with("q", q), label);
    let mut links = Vec::new();
    if let Some(place) = first_error {
        links.push(Link::new(drawing.pick(place), t.step_first_error));
    }
    if let Some(error) = &summary.first_error {
        let failed = format!(
            "{{{} {} status:error}}",
            term("service", &error.service),
            term("op", &error.name)
        );
        links.push(search(failed, t.step_same_failures));
    } else if let Some(place) = longest_on_path(drawing) {
        links.push(Link::new(drawing.pick(place), t.step_slowest));
    }
    if !summary.flags.contains(Flags::NO_ROOT) && !summary.interface.name.is_empty() {
        let entry = format!(
            "{} {}",
            term("entry", &summary.interface.service),
            term("op", &summary.interface.name)
        );
        links.push(search(entry, t.step_same_interface));
    }
    links
}

fn longest_on_path(drawing: &Drawing<'_>) -> Option<usize> {
    let path = drawing.insight.path.as_ref().ok()?;
    let longest = path
        .segments
        .iter()
        .max_by_key(|segment| segment.duration())?;
    Some(longest.place)
}

fn folds(id: TraceId, view: &View, t: &'static Messages) -> Vec<Link> {
    let label = |fold| match fold {
        Fold::Overview => t.fold_auto,
        Fold::Path => t.fold_path,
        Fold::Nothing => t.fold_none,
        Fold::All => t.fold_all,
    };
    let link = |(fold, _, key): (Fold, &str, &'static str)| {
        let folded = View {
            fold,
            zoom: view.zoom,
            ..View::default()
        };
        let mut href = waterfall::address(id, &folded);
        if let Some(span) = view.span {
            href = href.with("span", span.to_string());
        }
        Link {
            href: href.into(),
            label: label(fold).into(),
            current: fold == view.fold,
            key,
        }
    };
    Fold::NAMES.into_iter().map(link).collect()
}

fn errors(drawing: &Drawing<'_>, origins: &[usize], selected: Option<usize>) -> Option<ErrorNav> {
    let (first, last) = (*origins.first()?, *origins.last()?);
    let at = selected.unwrap_or(0);
    let next = origins
        .iter()
        .copied()
        .find(|place| *place > at)
        .unwrap_or(first);
    let previous = origins
        .iter()
        .copied()
        .rev()
        .find(|place| *place < at)
        .unwrap_or(last);
    let n = format::count(origins.len() as u64);
    Some(ErrorNav {
        previous: drawing.pick(previous),
        first: drawing.pick(first),
        next: drawing.pick(next),
        label: drawing.t.text(drawing.t.n_failed, &[("n", n.into())]),
    })
}

fn zoom(drawing: &Drawing<'_>) -> Zoom {
    let (start, end) = drawing.insight.tree.extent();
    let whole = View {
        zoom: None,
        ..drawing.view.clone()
    };
    let mut out = waterfall::address(drawing.request.summary.trace_id, &whole);
    if let Some(span) = drawing.view.span {
        out = out.with("span", span.to_string());
    }
    let hidden = crate::range::hidden(&out, &[]);
    let (t0, t1) = (drawing.from - start, drawing.from - start + drawing.length);
    Zoom {
        action: Href::path(&["requests", &drawing.request.summary.trace_id.to_string()]).into(),
        hidden,
        t0: waterfall::millis(t0),
        t1: waterfall::millis(t1),
        total: waterfall::millis(end - start),
        out: drawing.view.zoom.map(|_| out.into()),
    }
}

/// Four marks of the timeline.
fn axis(drawing: &Drawing<'_>) -> Vec<String> {
    let start = drawing.insight.tree.extent().0;
    let mark = |quarter: u64| {
        let at = drawing.from - start + drawing.length / 4 * quarter;
        if at == 0 {
            "0".into()
        } else {
            format::duration(at).plain()
        }
    };
    (0..4).map(mark).collect()
}

/// Links to the rows before and after the window.
fn windows(drawing: &Drawing<'_>, plan: &Plan) -> (Option<Link>, Option<Link>) {
    let t = drawing.t;
    let to = |at: usize| {
        let mut href = drawing.here.clone().with("at", at.to_string());
        if let Some(span) = drawing.view.span {
            href = href.with("span", span.to_string());
        }
        href.to_string()
    };
    let label = |template, n: usize| t.text(template, &[("n", format::count(n as u64).into())]);
    let before = (plan.first > 0).then(|| {
        Link::new(
            to(plan.first.saturating_sub(WINDOW)),
            label(t.rows_before, plan.first),
        )
    });
    let end = plan.first + WINDOW;
    let after = (end < plan.rows.len())
        .then(|| Link::new(to(end), label(t.rows_after, plan.rows.len() - end)));
    (before, after)
}

fn footer(insight: &Insight, plan: &Plan, t: &'static Messages) -> String {
    let nodes = &insight.tree.nodes;
    let shown = plan
        .window()
        .filter(|(_, row)| matches!(row.item, waterfall::Item::Span(_)))
        .count();
    let args = [
        ("shown", format::count(shown as u64).into()),
        ("spans", format::count(nodes.len() as u64).into()),
        ("rows", format::count(plan.rows.len() as u64).into()),
    ];
    let orphans = nodes.iter().filter(|node| node.is_orphan).count();
    let parents = match orphans {
        0 => t.parents_received.to_owned(),
        n => t.text(t.parents_missing, &[("n", format::count(n as u64).into())]),
    };
    format!("{} · {parents}", t.text(t.rows_footer, &args))
}
