//! `/services/{service}/{interface}`: why did it get slow, since when does it fail?

use super::requests::Empty;
use super::requests::strip::drawn;
use super::service::{address, kind_links, kind_text, nothing};
use crate::Web;
use crate::charts::{self, LogScale};
use crate::chrome::{Chrome, Link, Place, named};
use crate::colour::slot;
use crate::examples::{Example, Examples, name_parts};
use crate::failure::{Failure, respond};
use crate::format::{self, Amount};
use crate::pages::home::term;
use crate::params::Params;
use crate::range::{Range, RangeView};
use crate::reader::Reader;
use crate::rich::Html;
use crate::tiles::{Tile, tiles};
use crate::url::Href;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use hoplog_model::SpanKind;
use hoplog_model::times;
use hoplog_query::Sort;
use hoplog_query::answers::{Figures, InterfaceCourse, Latency, RequestList, SearchInput, Step};

/// Requests per card.
const EXAMPLES: usize = 6;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/interface.html")]
pub(crate) struct InterfacePage {
    c: Chrome,
    service_href: String,
    slot: u8,
    service: String,
    method: String,
    path: String,
    kind: &'static str,
    kinds: Vec<Link>,
    requests: String,
    range: RangeView,
    sentence: Html,
    empty: Option<Empty>,
    tiles: Vec<Tile>,
    latency: LatencyChart,
    volume: VolumeChart,
    steps: Vec<StepRow>,
    lists: Vec<Examples>,
}

/// Percentiles over time.
#[derive(Debug, Default)]
struct LatencyChart {
    label: String,
    from: u64,
    to: u64,
    width: usize,
    y: Vec<YTick>,
    grid: Vec<String>,
    band: String,
    lines: Vec<Line>,
    ticks: Vec<String>,
}

/// A label beside a chart, in per cent from its top.
#[derive(Debug)]
struct YTick {
    at: String,
    label: String,
}

/// A percentile's line.
#[derive(Debug)]
struct Line {
    class: &'static str,
    d: String,
}

/// Counts over time.
#[derive(Debug)]
struct VolumeChart {
    title: String,
    label: String,
    top: String,
    width: usize,
    ok: String,
    failed: String,
    ticks: Vec<String>,
}

/// A step as a line of a table.
#[derive(Debug)]
struct StepRow {
    href: String,
    time: String,
    count: String,
    failed: String,
    p50: Amount,
    p90: Amount,
    p95: Amount,
    p99: Amount,
}

/// Whose page.
#[derive(Debug)]
struct Subject<'a> {
    service: &'a str,
    name: &'a str,
    kind: SpanKind,
    range: Range,
    reader: &'a Reader,
}

/// What the page is made of.
#[derive(Debug)]
struct Data {
    figures: Figures,
    latency: Latency,
    slowest: RequestList,
    failed: RequestList,
}

pub(crate) async fn get(
    State(web): State<Web>,
    Path((service, interface)): Path<(String, String)>,
    reader: Reader,
    params: Params,
) -> Response {
    respond(
        &reader,
        page(&web, &service, &interface, &reader, &params).await,
    )
}

async fn page(
    web: &Web,
    service: &str,
    name: &str,
    reader: &Reader,
    params: &Params,
) -> Result<InterfacePage, Failure> {
    let began = web.now();
    let range = params.range().resolve(reader)?;
    let answers = &web.answers;
    let courses = answers.interface(service, name, range.window, range.step());
    let courses = courses.await?;
    let kinds = kinds(&courses);
    let kind = match params.get("kind") {
        "" => kinds.first().copied().unwrap_or(SpanKind::Server),
        text => text.parse().map_err(|()| Failure::Address("kind"))?,
    };
    let subject = Subject {
        service,
        name,
        kind,
        range,
        reader,
    };
    let mut courses = courses.into_iter();
    let course = courses.find(|course| course.interface.kind == kind);
    let (figures, latency) = course
        .map(|course| (course.interface.figures, course.latency))
        .unwrap_or_default();
    let slowest = subject.search("", Sort::Slowest);
    let failed = subject.search(" status:error", Sort::Newest);
    let data = Data {
        figures,
        latency,
        slowest: answers.search(&slowest).await?,
        failed: answers.search(&failed).await?,
    };
    let (_, path) = name_parts(name, reader.t());
    let title = format!("{path} · {}", named(service, reader.t()));
    let c = Chrome::new(reader, Place::Elsewhere, title, web.newest());
    let c = c.cost(3, web.now().saturating_sub(began));
    Ok(view(c, &subject, &kinds, &data))
}

impl Subject<'_> {
    /// Its hops in the query language; `more` holds of the same hop.
    fn query(&self, more: &str) -> String {
        let (service, name) = (term("service", self.service), term("op", self.name));
        format!("{{{service} {name} kind:{}{more}}}", self.kind.as_str())
    }

    fn search(&self, more: &str, sort: Sort) -> SearchInput {
        SearchInput {
            q: self.query(more),
            from: Some(self.range.window.from),
            to: Some(self.range.window.to),
            sort: Some(sort),
            limit: Some(EXAMPLES),
            cursor: None,
        }
    }

    fn all(&self, more: &str, sort: &str) -> String {
        let href = Href::path(&["requests"])
            .with("q", self.query(more))
            .with("sort", sort);
        self.range.on(href).into()
    }

    fn examples(&self, title: &str, none: &str, all: String, found: &RequestList) -> Examples {
        let rows = found
            .requests
            .iter()
            .map(|summary| Example::of(summary, self.reader))
            .collect();
        Examples {
            title: title.into(),
            all,
            rows,
            none: none.into(),
        }
    }
}

/// Kinds that spans of this name have, arrivals first.
fn kinds(courses: &[InterfaceCourse]) -> Vec<SpanKind> {
    let mut kinds: Vec<_> = courses.iter().map(|course| course.interface.kind).collect();
    kinds.sort_by_key(|kind| (!kind.is_hop(), *kind));
    kinds
}

fn view(c: Chrome, subject: &Subject<'_>, kinds: &[SpanKind], data: &Data) -> InterfacePage {
    let Subject {
        service,
        name,
        kind,
        range,
        reader,
    } = *subject;
    let t = reader.t();
    let figures = data.figures;
    let (method, path) = name_parts(name, t);
    let here = address(service, name, kind);
    let empty = (figures.count == 0).then(|| nothing(name, &here, t));
    let steps = &data.latency.steps;
    InterfacePage {
        c,
        service_href: range.on(Href::path(&["services", service])).into(),
        slot: slot(service),
        service: named(service, t).into(),
        method,
        path,
        kind: kind_text(kind, t),
        kinds: kind_links(service, name, kinds, kind, &range, t),
        requests: subject.all("", ""),
        range: RangeView::new(&range, &here, reader),
        sentence: if figures.count == 0 {
            Html::default()
        } else {
            sentence(&figures, subject)
        },
        empty,
        tiles: tiles(&figures, steps, &range, reader),
        latency: latency_chart(&data.latency, &figures, subject),
        volume: volume_chart(&data.latency, subject),
        steps: steps
            .iter()
            .map(|step| step_row(step, &data.latency, &here, subject))
            .collect(),
        lists: vec![
            subject.examples(
                t.interface_slowest,
                t.none_at_all,
                subject.all("", "-duration"),
                &data.slowest,
            ),
            subject.examples(
                t.interface_failed,
                t.none_failed,
                subject.all(" status:error", ""),
                &data.failed,
            ),
        ],
    }
}

fn text_of(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "–".into(), |nanos| format::duration(nanos).plain())
}

fn sentence(figures: &Figures, subject: &Subject<'_>) -> Html {
    let t = subject.reader.t();
    let args = [
        ("count", format::count(figures.count).into()),
        ("range", subject.range.length_text().into()),
        ("share", format::percent(figures.error_ratio).plain().into()),
        ("p50", text_of(figures.p50_ns).into()),
        ("p99", text_of(figures.p99_ns).into()),
    ];
    t.html(t.interface_sentence, &args)
}

fn latency_chart(latency: &Latency, figures: &Figures, subject: &Subject<'_>) -> LatencyChart {
    let t = subject.reader.t();
    let column =
        |pick: fn(&Step) -> Option<u64>| latency.steps.iter().map(pick).collect::<Vec<_>>();
    let (p50, p90) = (column(|step| step.p50_ns), column(|step| step.p90_ns));
    let (p95, p99) = (column(|step| step.p95_ns), column(|step| step.p99_ns));
    let width = latency.steps.len().max(1);
    let shown = drawn(latency, &subject.range);
    let Some(scale) = LogScale::over(p50.iter().chain(&p99).flatten().copied()) else {
        return LatencyChart {
            label: t.latency_label_none.into(),
            width,
            ..LatencyChart::default()
        };
    };
    let args = [
        ("p50", text_of(figures.p50_ns).into()),
        ("p95", text_of(figures.p95_ns).into()),
        ("p99", text_of(figures.p99_ns).into()),
    ];
    let tick = |(nanos, at): (u64, f64)| YTick {
        at: format::svg(at.clamp(2.0, 98.0)),
        label: whole(nanos),
    };
    let grid = |(_, at): (u64, f64)| format!("M0 {}h{width}", format::svg(at));
    let line = |class, values: &[Option<u64>]| Line {
        class,
        d: charts::log_line(values, scale),
    };
    LatencyChart {
        label: t.text(t.latency_label, &args),
        from: shown.window.from / 1_000_000,
        to: shown.window.to / 1_000_000,
        width,
        y: scale.ticks().into_iter().map(tick).collect(),
        grid: scale.ticks().into_iter().map(grid).collect(),
        band: charts::log_band(&p50, &p95, scale),
        lines: vec![
            line("", &p50),
            line("a", &p90),
            line("b", &p95),
            line("c", &p99),
        ],
        ticks: shown.ticks(5, subject.reader),
    }
}

/// A power of ten of nanoseconds without decimals: `1 s`, `10 ms`.
fn whole(nanos: u64) -> String {
    let amount = format::duration(nanos);
    let value = amount
        .value
        .split('.')
        .next()
        .unwrap_or_default()
        .to_owned();
    Amount { value, ..amount }.plain()
}

fn volume_chart(latency: &Latency, subject: &Subject<'_>) -> VolumeChart {
    let t = subject.reader.t();
    let bars = charts::bars(latency.steps.iter().map(|step| (step.count, step.errors)));
    let sum = |part: fn(&Step) -> u64| latency.steps.iter().map(part).sum::<u64>();
    let step = Range {
        window: hoplog_query::answers::Window {
            from: 0,
            to: latency.step_ns,
        },
        last: None,
    };
    let title = t.text(t.strip_step, &[("step", step.length_text().into())]);
    let args = [
        ("title", t.requests_and_failures.into()),
        ("count", format::count(sum(|step| step.count)).into()),
        ("range", subject.range.length_text().into()),
        ("failed", format::count(sum(|step| step.errors)).into()),
    ];
    VolumeChart {
        title,
        label: t.text(t.strip_label, &args),
        top: format::count(bars.top),
        width: bars.width,
        ok: bars.ok,
        failed: bars.failed,
        ticks: drawn(latency, &subject.range).ticks(5, subject.reader),
    }
}

fn step_row(step: &Step, latency: &Latency, here: &Href, subject: &Subject<'_>) -> StepRow {
    let duration = |nanos: Option<u64>| nanos.map_or_else(Amount::default, format::duration);
    let narrowed = here
        .clone()
        .with("from", times::rfc3339(step.at))
        .with("to", times::rfc3339(step.at + latency.step_ns));
    StepRow {
        href: narrowed.into(),
        time: subject.range.tick(step.at, subject.reader),
        count: format::count(step.count),
        failed: format::count(step.errors),
        p50: duration(step.p50_ns),
        p90: duration(step.p90_ns),
        p95: duration(step.p95_ns),
        p99: duration(step.p99_ns),
    }
}
