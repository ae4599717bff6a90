//! `/queries`: which SQL hurts?

use super::requests::Empty;
use crate::Web;
use crate::chrome::{Chrome, Link, Place, named};
use crate::colour::slot;
use crate::failure::{Failure, respond};
use crate::format::{self, Amount};
use crate::i18n::Messages;
use crate::pages::home::term;
use crate::params::Params;
use crate::range::{Range, RangeView};
use crate::reader::Reader;
use crate::rich::{Arg, Html};
use crate::url::Href;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hoplog_query::answers::{PlanChange, QueriesInput, QueryFigures, QueryList, SAMPLE};

/// Requests named in a statement's line.
const EXAMPLES: usize = 3;
/// Services named in a statement's line.
const SERVICES: usize = 4;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/queries.html")]
pub(crate) struct QueriesPage {
    c: Chrome,
    range: RangeView,
    about: String,
    /// The service whose statements these are, and a link to those of all.
    only: Option<Link>,
    empty: Option<Empty>,
    rows: Vec<Row>,
    rest: String,
}

/// A statement.
#[derive(Debug)]
struct Row {
    /// Its requests; empty for those without a name.
    href: String,
    statement: String,
    text: String,
    services: Vec<Service>,
    more_services: String,
    /// What a person should hear of it.
    notes: Vec<Html>,
    examples: Vec<Link>,
    share: Amount,
    /// In per cent.
    bar: String,
    total: Amount,
    calls: String,
    rate: Amount,
    per_request: String,
    p50: Amount,
    p95: Amount,
    p99: Amount,
    failing: bool,
    failed: Amount,
}

/// Who sends it.
#[derive(Debug)]
struct Service {
    href: String,
    slot: u8,
    name: String,
}

pub(crate) async fn get(State(web): State<Web>, reader: Reader, params: Params) -> Response {
    respond(&reader, page(&web, &reader, &params).await)
}

async fn page(web: &Web, reader: &Reader, params: &Params) -> Result<QueriesPage, Failure> {
    let t = reader.t();
    let began = web.now();
    let range = params.range().resolve(reader)?;
    let service = Some(params.get("service")).filter(|service| !service.is_empty());
    let input = QueriesInput {
        service: service.map(str::to_owned),
        from: Some(range.window.from),
        to: Some(range.window.to),
        limit: None,
    };
    let list = web.answers.queries(&input).await?;
    let title = service.map_or_else(
        || t.queries.to_owned(),
        |service| format!("{} · {}", t.queries, named(service, t)),
    );
    let c = Chrome::new(reader, Place::Queries, title, web.newest());
    // Two for the figures, then what was looked for and opened.
    let asked = list.queries.iter().map(|query| 1 + query.requests.len());
    let c = c.cost(2 + asked.sum::<usize>(), web.now().saturating_sub(began));
    Ok(view(c, service, reader, &range, &list))
}

fn view(
    c: Chrome,
    service: Option<&str>,
    reader: &Reader,
    range: &Range,
    list: &QueryList,
) -> QueriesPage {
    let t = reader.t();
    let here = Href::path(&["queries"]).with("service", service.unwrap_or_default());
    let empty = list.queries.is_empty().then(|| Empty {
        title: t.queries_none_title.into(),
        text: t.queries_none_text.into(),
        ..Empty::longer(&here, t)
    });
    let args = [
        ("n", list.count.to_string().into()),
        ("time", format::duration(list.total_ns).plain().into()),
        ("sample", SAMPLE.to_string().into()),
    ];
    let most = list.queries.first().map_or(0.0, |query| query.share);
    let line = Line {
        reader,
        range,
        service,
        most,
    };
    QueriesPage {
        c,
        range: RangeView::new(range, &here, reader),
        about: t.text(t.queries_about, &args),
        only: service.map(|service| {
            let all = range.on(Href::path(&["queries"]));
            Link::new(all, named(service, t))
        }),
        empty,
        rows: list.queries.iter().map(|query| line.row(query)).collect(),
        rest: rest(list, t),
    }
}

/// How many are not listed, and how little they matter.
fn rest(list: &QueryList, t: &'static Messages) -> String {
    let more = list.count - list.queries.len();
    let listed: u64 = list.queries.iter().map(|query| query.total_ns).sum();
    let share = format::share(list.total_ns.saturating_sub(listed), list.total_ns);
    let args = [
        ("n", more.to_string().into()),
        ("share", share.plain().into()),
    ];
    if more == 0 {
        String::new()
    } else {
        t.text(t.queries_rest, &args)
    }
}

/// What all lines have in common.
struct Line<'a> {
    reader: &'a Reader,
    range: &'a Range,
    service: Option<&'a str>,
    /// The largest share.
    most: f64,
}

impl Line<'_> {
    fn row(&self, query: &QueryFigures) -> Row {
        let t = self.reader.t();
        let figures = &query.figures;
        let is_other = query.is_other();
        let duration = |nanos: Option<u64>| nanos.map_or_else(Amount::default, format::duration);
        let more = query.services.len().saturating_sub(SERVICES);
        Row {
            href: if is_other {
                String::new()
            } else {
                self.requests(&query.fingerprint)
            },
            statement: if is_other {
                t.query_other.into()
            } else {
                query.fingerprint.clone()
            },
            text: query.text.clone().unwrap_or_default(),
            services: self.services(query),
            more_services: if more == 0 {
                String::new()
            } else {
                t.text(t.and_more, &[("n", more.to_string().into())])
            },
            notes: self.notes(query),
            examples: self.examples(query),
            share: format::percent(query.share),
            bar: format::svg(query.share / self.most.max(f64::MIN_POSITIVE) * 100.0),
            total: format::duration(query.total_ns),
            calls: format::count(figures.count),
            rate: format::rate(figures.rate_per_s),
            per_request: query.calls_per_request().map_or_else(|| "–".into(), few),
            p50: duration(figures.p50_ns),
            p95: duration(figures.p95_ns),
            p99: duration(figures.p99_ns),
            failing: figures.errors > 0,
            failed: format::percent(figures.error_ratio),
        }
    }

    /// The requests with the statement.
    fn requests(&self, fingerprint: &str) -> String {
        let statement = term("statement", fingerprint);
        let q = match self.service {
            Some(service) => format!("{{{} {statement}}}", term("service", service)),
            None => statement,
        };
        self.range.on(Href::path(&["requests"]).with("q", q)).into()
    }

    fn services(&self, query: &QueryFigures) -> Vec<Service> {
        let t = self.reader.t();
        let first = query.services.iter().take(SERVICES);
        let service = |(name, _): &(String, u64)| Service {
            href: self
                .range
                .on(Href::path(&["queries"]).with("service", name.as_str()))
                .into(),
            slot: slot(name),
            name: named(name, t).into(),
        };
        first.map(service).collect()
    }

    fn notes(&self, query: &QueryFigures) -> Vec<Html> {
        let t = self.reader.t();
        let mut notes = Vec::new();
        if let Some((example, run)) = query.run() {
            let id = example.request.trace_id.to_string();
            let clock = self.reader.zone.clock(example.request.started_at);
            let args = [
                ("n", run.calls.to_string().into()),
                ("time", format::duration(run.total_ns).plain().into()),
                ("request", Arg::link(Href::path(&["requests", &id]), clock)),
            ];
            notes.push(t.html(t.query_n1, &args));
        }
        notes.extend(query.changed.map(|change| self.changed(&change)));
        if query.is_other() {
            notes.push(t.html(t.query_other_why, &[]));
        }
        notes
    }

    fn changed(&self, change: &PlanChange) -> Html {
        let t = self.reader.t();
        // Days of figures are those of UTC, wherever the reader is.
        let day = t.day(change.began, format::Zone::default());
        let args = [
            ("day", day.into()),
            ("before", format::duration(change.p95_before).plain().into()),
            ("since", format::duration(change.p95_since).plain().into()),
        ];
        t.html(t.query_changed, &args)
    }

    fn examples(&self, query: &QueryFigures) -> Vec<Link> {
        let newest = query.requests.iter().take(EXAMPLES);
        let example = |one: &hoplog_query::answers::CallingRequest| {
            let id = one.request.trace_id.to_string();
            let clock = self.reader.zone.clock(one.request.started_at);
            let label = match one.calls {
                0 | 1 => clock,
                calls => format!("{clock} {calls}×"),
            };
            Link::new(Href::path(&["requests", &id]), label)
        };
        newest.map(example).collect()
    }
}

/// `1`, `1.5`, `24`.
fn few(number: f64) -> String {
    let text = if number < 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::RangeParams;
    use hoplog_model::times::DAY;

    #[test]
    fn a_plan_that_may_have_changed_says_since_when() {
        // 2026-11-23T11:00:00Z; the change began three days before.
        let now = 1_795_431_600_000_000_000;
        let change = PlanChange {
            began: now - now % DAY - 3 * DAY,
            p95_before: 10_000_000,
            p95_since: 41_000_000,
        };
        let said = |lang: &str| {
            let reader = Reader::new("zone=+09:00", lang, "/".into(), now);
            let range = RangeParams::default().resolve(&reader).unwrap();
            let line = Line {
                reader: &reader,
                range: &range,
                service: None,
                most: 1.0,
            };
            line.changed(&change).to_string().replace('\u{a0}', " ")
        };
        assert_eq!(
            said("en"),
            "<b>The plan may have changed</b> on Nov 20 (UTC): p95 went from 10 ms to 41 ms at an equal call rate."
        );
        assert!(said("ko").contains("11월 20일(UTC)"), "{}", said("ko"));
    }

    #[test]
    fn few_calls_have_a_decimal_where_it_says_something() {
        let all = [1.0, 1.52, 9.96, 24.4].map(few);
        assert_eq!(all, ["1", "1.5", "10", "24"]);
    }
}
