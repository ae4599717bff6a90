//! `/services/{service}`: how is my service?

use super::requests::Empty;
use crate::Web;
use crate::charts::LogScale;
use crate::chrome::{Chrome, Link, Place, named};
use crate::colour::slot;
use crate::examples::name_parts;
use crate::failure::{Failure, respond};
use crate::format::{self, Amount};
use crate::i18n::Messages;
use crate::pages::home::term;
use crate::params::Params;
use crate::range::{Range, RangeView};
use crate::reader::Reader;
use crate::tiles::{Tile, tiles};
use crate::url::Href;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use hoplog_model::SpanKind;
use hoplog_query::answers::{Figures, InterfaceFigures, ServiceCourse};

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/service.html")]
pub(crate) struct ServicePage {
    c: Chrome,
    slot: u8,
    name: String,
    requests: String,
    failing: bool,
    failed_requests: String,
    range: RangeView,
    about: String,
    empty: Option<Empty>,
    tiles: Vec<Tile>,
    groups: Vec<Group>,
}

/// Interfaces of one sort.
#[derive(Debug)]
struct Group {
    title: &'static str,
    hint: &'static str,
    rows: Vec<Row>,
}

/// An interface.
#[derive(Debug)]
struct Row {
    href: String,
    method: String,
    path: String,
    rate: Amount,
    failing: bool,
    failed: Amount,
    p50: Amount,
    p95: Amount,
    p99: Amount,
    /// From p50 to p99, and p50 itself, on one logarithmic scale for the page, in per cent.
    bar_x: String,
    bar_width: String,
    bar_p50: String,
}

pub(crate) async fn get(
    State(web): State<Web>,
    Path(service): Path<String>,
    reader: Reader,
    params: Params,
) -> Response {
    respond(&reader, page(&web, &service, &reader, &params).await)
}

async fn page(
    web: &Web,
    service: &str,
    reader: &Reader,
    params: &Params,
) -> Result<ServicePage, Failure> {
    let t = reader.t();
    let began = web.now();
    let range = params.range().resolve(reader)?;
    let answers = &web.answers;
    let course = answers.service(service, range.window, range.step()).await?;
    let c = Chrome::new(reader, Place::Elsewhere, named(service, t), web.newest());
    let mut page = view(c, service, reader, &range, &course);
    page.c = page.c.cost(1, web.now().saturating_sub(began));
    Ok(page)
}

fn view(
    c: Chrome,
    service: &str,
    reader: &Reader,
    range: &Range,
    course: &ServiceCourse,
) -> ServicePage {
    let t = reader.t();
    let here = Href::path(&["services", service]);
    let (figures, interfaces) = (&course.figures, &course.interfaces);
    let search = |q: String| String::from(range.on(Href::path(&["requests"]).with("q", q)));
    let count = format::count(interfaces.len() as u64);
    let args = [("n", count.as_str().into())];
    ServicePage {
        c,
        slot: slot(service),
        name: named(service, t).into(),
        requests: search(term("service", service)),
        failing: figures.errors > 0,
        failed_requests: search(format!("{{{} status:error}}", term("service", service))),
        range: RangeView::new(range, &here, reader),
        about: t.text(t.service_about, &args),
        empty: interfaces.is_empty().then(|| nothing(service, &here, t)),
        tiles: tiles(figures, &course.latency.steps, range, reader),
        groups: groups(service, interfaces, range, t),
    }
}

/// Nothing of that name in this time.
pub(super) fn nothing(name: &str, here: &Href, t: &'static Messages) -> Empty {
    let text = t.text(t.no_spans_text, &[("name", named(name, t).into())]);
    Empty {
        title: t.no_spans_title.into(),
        text,
        ..Empty::longer(here, t)
    }
}

fn groups(
    service: &str,
    interfaces: &[InterfaceFigures],
    range: &Range,
    t: &'static Messages,
) -> Vec<Group> {
    let durations = interfaces
        .iter()
        .flat_map(|i| [i.figures.p50_ns, i.figures.p99_ns])
        .flatten();
    let Some(scale) = LogScale::over(durations) else {
        return Vec::new();
    };
    let sorts: [(&[SpanKind], &'static str, &'static str); 3] = [
        (
            &[SpanKind::Server, SpanKind::Consumer],
            t.arrivals,
            t.arrivals_hint,
        ),
        (
            &[SpanKind::Client, SpanKind::Producer],
            t.outgoing,
            t.outgoing_hint,
        ),
        (&[SpanKind::Internal], t.internal, t.internal_hint),
    ];
    let group = |(kinds, title, hint): (&[SpanKind], &'static str, &'static str)| {
        let mut of: Vec<_> = interfaces
            .iter()
            .filter(|i| kinds.contains(&i.kind))
            .collect();
        of.sort_by(|a, b| {
            let time = |i: &InterfaceFigures| {
                i.figures
                    .count
                    .saturating_mul(i.figures.p50_ns.unwrap_or(0))
            };
            time(b).cmp(&time(a)).then_with(|| a.name.cmp(&b.name))
        });
        let rows = of
            .into_iter()
            .map(|i| row(service, i, range, scale, t))
            .collect();
        Group { title, hint, rows }
    };
    sorts
        .into_iter()
        .map(group)
        .filter(|group| !group.rows.is_empty())
        .collect()
}

fn row(
    service: &str,
    interface: &InterfaceFigures,
    range: &Range,
    scale: LogScale,
    t: &'static Messages,
) -> Row {
    let Figures {
        p50_ns,
        p95_ns,
        p99_ns,
        ..
    } = interface.figures;
    let figures = &interface.figures;
    let (method, path) = name_parts(&interface.name, t);
    let duration = |nanos: Option<u64>| nanos.map_or_else(Amount::default, format::duration);
    let place = |nanos: Option<u64>| nanos.map_or(0.0, |nanos| scale.share(nanos) * 100.0);
    Row {
        href: range
            .on(address(service, &interface.name, interface.kind))
            .into(),
        method,
        path,
        rate: format::rate(figures.rate_per_s),
        failing: figures.errors > 0,
        failed: format::percent(figures.error_ratio),
        p50: duration(p50_ns),
        p95: duration(p95_ns),
        p99: duration(p99_ns),
        bar_x: format::svg(place(p50_ns)),
        bar_width: format::svg((place(p99_ns) - place(p50_ns)).max(1.0)),
        bar_p50: format::svg(place(p50_ns).min(98.0)),
    }
}

/// An interface's page; SERVER needs no parameter.
pub(crate) fn address(service: &str, interface: &str, kind: SpanKind) -> Href {
    let kind = if kind == SpanKind::Server {
        ""
    } else {
        kind.as_str()
    };
    Href::path(&["services", service, interface]).with("kind", kind)
}

/// A span kind in words.
pub(crate) fn kind_text(kind: SpanKind, t: &'static Messages) -> &'static str {
    match kind {
        SpanKind::Server => t.kind_server,
        SpanKind::Client => t.kind_client,
        SpanKind::Producer => t.kind_producer,
        SpanKind::Consumer => t.kind_consumer,
        // The last is of no span: no address names it, and no list of interfaces.
        SpanKind::Internal | SpanKind::Statement => t.kind_internal,
    }
}

/// Links to the kinds an interface's name occurs with.
pub(super) fn kind_links(
    service: &str,
    interface: &str,
    kinds: &[SpanKind],
    chosen: SpanKind,
    range: &Range,
    t: &'static Messages,
) -> Vec<Link> {
    let link = |kind: &SpanKind| Link {
        current: *kind == chosen,
        ..Link::new(
            range.on(address(service, interface, *kind)),
            kind_text(*kind, t),
        )
    };
    kinds.iter().map(link).collect()
}
