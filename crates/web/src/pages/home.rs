//! `/`: is anything wrong, and where.

use super::start::Start;
use crate::Web;
use crate::chrome::{Chrome, Place, named};
use crate::colour::slot;
use crate::examples::{Example, Examples};
use crate::failure::{Failure, respond};
use crate::format::{self, Amount};
use crate::params::Params;
use crate::range::{Range, RangeView};
use crate::reader::Reader;
use crate::rich::Html;
use crate::tiles;
use crate::url::Href;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hoplog_query::Sort;
use hoplog_query::answers::{RequestList, SearchInput, ServiceFigures, ServiceSeries, Step};

/// From this share of failures on, a service is named in the status sentence.
const BAD: f64 = 0.05;
/// Requests per card.
const EXAMPLES: usize = 6;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/home.html")]
pub(crate) struct HomePage {
    c: Chrome,
    status: Status,
    range: Option<RangeView>,
    table: Option<Table>,
    empty: Option<super::requests::Empty>,
    start: Option<Start>,
    lists: Vec<Examples>,
}

/// The sentence at the top.
#[derive(Debug, Default)]
struct Status {
    bad: bool,
    /// Something answered, and nothing is bad.
    well: bool,
    text: String,
    detail: Html,
}

/// The services.
#[derive(Debug)]
struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// A column's head.
#[derive(Debug, Default)]
struct Column {
    label: String,
    /// Sorts by it; empty where it does not sort.
    href: String,
    right: bool,
    /// Left out where there is little room.
    wide: bool,
    current: bool,
    order: &'static str,
    arrow: &'static str,
}

/// A service.
#[derive(Debug)]
struct Row {
    href: String,
    slot: u8,
    name: String,
    rate: Amount,
    rate_line: String,
    rate_fill: String,
    failing: bool,
    failed: Amount,
    failed_href: String,
    failed_label: String,
    failed_bars: String,
    p50: Amount,
    p95: Amount,
    p99: Amount,
    p95_line: String,
}

/// What the services are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Name,
    Rate,
    Failed,
    P50,
    P95,
    P99,
}

impl Order {
    const ALL: [Self; 6] = [
        Self::Name,
        Self::Rate,
        Self::Failed,
        Self::P50,
        Self::P95,
        Self::P99,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Failed => "failed",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// Worst first but for names; ties by name.
    fn sort(self, services: &mut [ServiceSeries]) {
        services.sort_by(|a, b| {
            let (a, b) = (&a.service, &b.service);
            let (x, y) = (&a.figures, &b.figures);
            let by = match self {
                Self::Name => std::cmp::Ordering::Equal,
                Self::Rate => y.count.cmp(&x.count),
                Self::Failed => y.error_ratio.total_cmp(&x.error_ratio),
                Self::P50 => y.p50_ns.cmp(&x.p50_ns),
                Self::P95 => y.p95_ns.cmp(&x.p95_ns),
                Self::P99 => y.p99_ns.cmp(&x.p99_ns),
            };
            by.then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// What the page is made of.
#[derive(Debug)]
struct Data {
    services: Vec<ServiceSeries>,
    failures: RequestList,
    slowest: RequestList,
}

pub(crate) async fn get(State(web): State<Web>, reader: Reader, params: Params) -> Response {
    respond(&reader, page(&web, &reader, &params).await)
}

async fn page(web: &Web, reader: &Reader, params: &Params) -> Result<HomePage, Failure> {
    let t = reader.t();
    let began = web.now();
    let mut c = Chrome::new(reader, Place::Home, t.services, web.newest());
    if Start::needed(web) {
        c.fresh = None;
        let status = Status {
            text: t.status_none.into(),
            ..Status::default()
        };
        let start = Some(Start::new(web, t));
        return Ok(HomePage {
            c,
            status,
            range: None,
            table: None,
            empty: None,
            start,
            lists: Vec::new(),
        });
    }
    let range = params.range().resolve(reader)?;
    let examples = |q: &str, sort| SearchInput {
        q: q.into(),
        from: Some(range.window.from),
        to: Some(range.window.to),
        sort: Some(sort),
        limit: Some(EXAMPLES),
        cursor: None,
    };
    let data = Data {
        services: web.answers.services_series(range.window).await?,
        failures: web
            .answers
            .search(&examples("status:error", Sort::Newest))
            .await?,
        slowest: web.answers.search(&examples("", Sort::Slowest)).await?,
    };
    let order = Order::ALL
        .into_iter()
        .find(|order| order.name() == params.get("sort"));
    let mut page = view(c, reader, &range, order.unwrap_or(Order::Failed), data);
    page.c = page.c.cost(3, web.now().saturating_sub(began));
    Ok(page)
}

fn view(c: Chrome, reader: &Reader, range: &Range, order: Order, mut data: Data) -> HomePage {
    let t = reader.t();
    let chosen = if order == Order::Failed {
        ""
    } else {
        order.name()
    };
    let here = Href::path(&[]).with("sort", chosen);
    let status = status(&data.services, range, reader);
    let range_view = Some(RangeView::new(range, &here, reader));
    if data.services.is_empty() {
        let empty = Some(super::requests::Empty::longer(&here, t));
        let nothing = HomePage {
            c,
            status,
            range: range_view,
            table: None,
            empty,
            start: None,
            lists: Vec::new(),
        };
        return nothing;
    }
    order.sort(&mut data.services);
    let row = |line: &ServiceSeries| row(&line.service, &line.points, range, reader);
    let rows = data.services.iter().map(row).collect();
    let table = Table {
        columns: columns(order, range, reader),
        rows,
    };
    let lists = vec![
        examples(
            t.newest_failures,
            t.none_failed,
            &data.failures,
            range,
            reader,
        ),
        examples(
            t.slowest_requests,
            t.none_at_all,
            &data.slowest,
            range,
            reader,
        ),
    ];
    HomePage {
        c,
        status,
        range: range_view,
        table: Some(table),
        empty: None,
        start: None,
        lists,
    }
}

fn examples(
    title: &str,
    none: &str,
    list: &RequestList,
    range: &Range,
    reader: &Reader,
) -> Examples {
    let q = list
        .ast
        .as_ref()
        .map(hoplog_query::lang::Ast::canonical)
        .unwrap_or_default();
    let sort = if list.sort == Sort::Slowest {
        "-duration"
    } else {
        ""
    };
    let all = range.on(Href::path(&["requests"]).with("q", q).with("sort", sort));
    let rows = list
        .requests
        .iter()
        .map(|summary| Example::of(summary, reader))
        .collect();
    Examples {
        title: title.into(),
        all: all.into(),
        rows,
        none: none.into(),
    }
}

fn status(services: &[ServiceSeries], range: &Range, reader: &Reader) -> Status {
    let t = reader.t();
    let services: Vec<&ServiceFigures> = services.iter().map(|line| &line.service).collect();
    let sum = |part: fn(&ServiceFigures) -> u64| services.iter().map(|one| part(one)).sum::<u64>();
    let (count, errors) = (sum(|s| s.figures.count), sum(|s| s.figures.errors));
    let mut bad: Vec<_> = services
        .iter()
        .filter(|s| s.figures.error_ratio >= BAD)
        .collect();
    bad.sort_by(|a, b| b.figures.error_ratio.total_cmp(&a.figures.error_ratio));
    let args = [
        ("n", format::count(services.len() as u64).into()),
        ("bad", format::count(bad.len() as u64).into()),
        ("count", format::count(count).into()),
        ("share", format::share(errors, count).plain().into()),
    ];
    let template = match (count, bad.len(), errors) {
        (0, _, _) => t.status_quiet,
        (_, 0, 0) => t.status_well,
        (_, 0, _) => t.status_some,
        _ => t.status_bad,
    };
    let worst = bad.iter().take(3).enumerate().map(|(at, service)| {
        let share = format::percent(service.figures.error_ratio).plain();
        let href = range.on(Href::path(&["services", &service.name]));
        let link = crate::rich::Arg::link(href, named(&service.name, t));
        let between = if at == 0 { "" } else { ", " };
        t.html(
            &format!("{between}**{{service}}** {{share}}"),
            &[("service", link), ("share", share.into())],
        )
    });
    let worst: String = worst.map(|html| html.to_string()).collect();
    let detail = if bad.is_empty() {
        Html::default()
    } else {
        t.html(t.status_worst, &[("list", Html::trusted(worst).into())])
    };
    let well = count > 0 && bad.is_empty();
    Status {
        bad: !bad.is_empty(),
        well,
        text: t.text(template, &args),
        detail,
    }
}

fn columns(order: Order, range: &Range, reader: &Reader) -> Vec<Column> {
    let t = reader.t();
    let sorts = |by: Order, label: &str, wide: bool| {
        let chosen = if by == Order::Failed { "" } else { by.name() };
        Column {
            label: label.into(),
            href: range.on(Href::path(&[]).with("sort", chosen)).into(),
            right: by != Order::Name,
            wide,
            current: by == order,
            order: if by == Order::Name {
                "ascending"
            } else {
                "descending"
            },
            arrow: if by == Order::Name { "↑" } else { "↓" },
        }
    };
    let plain = |label: &str| Column {
        label: label.into(),
        wide: true,
        ..Column::default()
    };
    vec![
        sorts(Order::Name, t.col_service, false),
        sorts(Order::Rate, t.col_rate, false),
        plain(t.col_rate_trend),
        sorts(Order::Failed, t.failed_cap, false),
        plain(t.col_failed_trend),
        sorts(Order::P50, "p50", true),
        sorts(Order::P95, "p95", false),
        sorts(Order::P99, "p99", true),
        plain(t.col_p95_trend),
    ]
}

fn row(service: &ServiceFigures, points: &[Step], range: &Range, reader: &Reader) -> Row {
    let t = reader.t();
    let figures = &service.figures;
    let duration = |nanos: Option<u64>| nanos.map_or_else(Amount::default, format::duration);
    let rate = tiles::small(points, |step| Some(step.count));
    let failed = format::percent(figures.error_ratio);
    let name = named(&service.name, t);
    let label = t.text(
        t.failed_of_service,
        &[("service", name.into()), ("share", failed.plain().into())],
    );
    let q = format!("{{{} status:error}}", term("service", &service.name));
    Row {
        href: range.on(Href::path(&["services", &service.name])).into(),
        slot: slot(&service.name),
        name: name.into(),
        rate: format::rate(figures.rate_per_s),
        rate_line: rate.line,
        rate_fill: rate.fill,
        failing: figures.errors > 0,
        failed,
        failed_href: range.on(Href::path(&["requests"]).with("q", q)).into(),
        failed_label: label,
        failed_bars: failure_bars(points),
        p50: duration(figures.p50_ns),
        p95: duration(figures.p95_ns),
        p99: duration(figures.p99_ns),
        p95_line: tiles::small(points, |step| step.p95_ns).line,
    }
}

/// Bars of the share that failed, scaled into the box of a small sparkline (100 times 20).
fn failure_bars(points: &[Step]) -> String {
    use std::fmt::Write;
    let shares: Vec<f64> = points
        .iter()
        .map(|step| format::ratio(step.errors, step.count))
        .collect();
    let top = shares.iter().copied().fold(0.0, f64::max);
    let mut path = String::new();
    let width = 100.0 / u32::try_from(points.len().max(1)).map_or(1.0, f64::from);
    for (at, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let x = format::svg(u32::try_from(at).map_or(0.0, f64::from) * width);
        let (height, wide) = (
            format::svg((share / top * 17.0).max(2.0)),
            format::svg(width * 0.8),
        );
        write!(path, "M{x} 20h{wide}v-{height}h-{wide}z").expect("a String takes everything");
    }
    path
}

/// `key:value`, quoted where the language needs it.
pub(crate) fn term(key: &str, value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    if !value.is_empty()
        && value.chars().all(plain)
        && !value.contains("..")
        && !value.starts_with('-')
    {
        format!("{key}:{value}")
    } else {
        format!(
            "{key}:\"{}\"",
            value.replace('\\', "\\\\").replace('"', "\\\"")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_the_language_needs_it() {
        assert_eq!(term("service", "checkout-api"), "service:checkout-api");
        assert_eq!(term("op", "GET /a"), "op:\"GET /a\"");
        assert_eq!(term("a", "say \"x\""), "a:\"say \\\"x\\\"\"");
        assert_eq!(term("a", ""), "a:\"\"");
    }

    #[test]
    fn failures_are_bars() {
        let step = |count, errors| Step {
            count,
            errors,
            ..Step::default()
        };
        assert_eq!(
            failure_bars(&[step(10, 0), step(10, 5)]),
            "M50 20h40v-17h-40z"
        );
    }
}
