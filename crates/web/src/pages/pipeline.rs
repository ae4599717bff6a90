//! `/pipeline`: can I trust what I see, and is anything stuck?

mod dictionaries;

use crate::Web;
use crate::chrome::{Chrome, LATE, Place};
use crate::failure::{Failure, respond};
use crate::format::{self, Amount};
use crate::i18n::Messages;
use crate::reader::Reader;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use dictionaries::DictionaryRow;
use hoplog_model::UnixNanos;
use hoplog_query::answers::{BooksAnswer, PipelineReport, ReasonCount, ReceiverLine};
use hoplog_query::retention::{Age, Gone, Keep, Past};
use hoplog_query::{PartitionHealth, StoreHealth};

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/pipeline.html")]
pub(crate) struct PipelinePage {
    c: Chrome,
    state: Vec<StatePill>,
    books: BooksView,
    receivers: Vec<ReceiverRow>,
    reasons: Vec<ReasonList>,
    way: Vec<Pair>,
    store: Vec<Pair>,
    retention: String,
    partitions: Vec<PartitionRow>,
    dictionaries: Vec<DictionaryRow>,
}

/// Whether something is as it should be.
#[derive(Debug)]
struct StatePill {
    class: &'static str,
    ok: bool,
    text: String,
}

/// The books as an equation.
#[derive(Debug)]
struct BooksView {
    terms: Vec<Term>,
    balanced: bool,
    verdict: String,
}

/// A term of the books.
#[derive(Debug)]
struct Term {
    class: &'static str,
    label: &'static str,
    value: String,
}

/// A receiver.
#[derive(Debug)]
struct ReceiverRow {
    name: String,
    address: String,
    requests: String,
    spans: String,
    bytes: Amount,
    rejected: String,
    refused: String,
}

/// Reasons with their counts.
#[derive(Debug)]
struct ReasonList {
    title: &'static str,
    none: &'static str,
    rows: Vec<ReasonRow>,
}

/// A reason.
#[derive(Debug)]
struct ReasonRow {
    code: String,
    count: String,
}

/// A label and its value.
#[derive(Debug)]
struct Pair {
    label: &'static str,
    value: String,
}

/// A partition.
#[derive(Debug)]
struct PartitionRow {
    name: String,
    /// What retention has taken out of it; empty for nothing.
    thinned: String,
    from: String,
    to: String,
    rows: String,
    bytes: Amount,
    share: String,
}

/// What the page is made of.
#[derive(Debug)]
struct Data {
    books: BooksAnswer,
    report: PipelineReport,
    ready: Result<(), String>,
    health: StoreHealth,
}

pub(crate) async fn get(State(web): State<Web>, reader: Reader) -> Response {
    respond(&reader, page(&web, &reader).await)
}

async fn page(web: &Web, reader: &Reader) -> Result<PipelinePage, Failure> {
    let began = web.now();
    let data = Data {
        books: web.answers.books(),
        report: web.answers.pipeline(),
        ready: web.answers.ready(),
        health: web.answers.health().await?,
    };
    let newest = data.report.newest_committed;
    let c = Chrome::new(reader, Place::Pipeline, reader.t().pipeline, newest);
    let c = c.cost(1, web.now().saturating_sub(began));
    Ok(view(c, reader, &data, &web.config.keep))
}

fn view(c: Chrome, reader: &Reader, data: &Data, keep: &Keep) -> PipelinePage {
    let t = reader.t();
    let Data {
        books,
        report,
        ready,
        health,
    } = data;
    let reasons = vec![
        reasons(t.rejected_by_reason, t.nothing_rejected, &report.rejected),
        reasons(t.told_to_retry, t.nothing_refused, &report.overloads),
    ];
    PipelinePage {
        c,
        state: state((ready, report.newest_committed), health, reader),
        books: books_view(books, t),
        receivers: report
            .receivers
            .iter()
            .map(|line| receiver(line, t))
            .collect(),
        reasons,
        way: way(report, reader),
        store: store(health, t),
        retention: retention(health, keep, t),
        partitions: health
            .partitions
            .iter()
            .rev()
            .map(|p| partition(p, health, reader))
            .collect(),
        dictionaries: dictionaries::rows(health, reader),
    }
}

fn state(
    (ready, newest): (&Result<(), String>, Option<UnixNanos>),
    health: &StoreHealth,
    reader: &Reader,
) -> Vec<StatePill> {
    let t = reader.t();
    let pill = |ok: bool, text: String| StatePill {
        class: if ok { "" } else { "w" },
        ok,
        text,
    };
    let ready = match ready {
        Ok(()) => pill(true, t.ready.into()),
        Err(why) => pill(
            false,
            t.text(t.not_ready_why, &[("why", why.as_str().into())]),
        ),
    };
    let fresh = match newest {
        Some(at) => {
            let age = reader.now.saturating_sub(at);
            pill(age <= LATE, t.text(t.fresh, &[("ago", t.age(age).into())]))
        }
        None => pill(false, t.fresh_none.into()),
    };
    let lost = health.retained.size.pinned;
    let lost = (lost > 0).then(|| {
        let args = [("n", format::count(lost).into())];
        pill(false, t.text(t.pins_lost, &args))
    });
    [ready, fresh].into_iter().chain(lost).collect()
}

fn books_view(books: &BooksAnswer, t: &'static Messages) -> BooksView {
    let terms = [
        (t.book_received, books.received),
        (t.book_stored, books.stored),
        (t.book_duplicate, books.duplicate),
        (t.book_left_out, books.left_out),
        (t.book_rejected, books.rejected),
        (t.book_dead, books.dead_lettered),
        (t.book_lost, books.lost),
        (t.book_waiting, books.waiting),
    ];
    let term = |(label, value)| Term {
        class: if value == 0 { "zero" } else { "" },
        label,
        value: format::count(value),
    };
    let rest: u64 = terms.iter().skip(1).map(|(_, value)| *value).sum();
    let verdict = if books.balances() {
        t.books_balance.into()
    } else {
        let off = format::count(books.received.abs_diff(rest));
        t.text(t.books_off, &[("n", off.into())])
    };
    BooksView {
        terms: terms.into_iter().map(term).collect(),
        balanced: books.balances(),
        verdict,
    }
}

fn receiver(line: &ReceiverLine, t: &'static Messages) -> ReceiverRow {
    ReceiverRow {
        name: line.receiver.clone(),
        address: if line.address.is_empty() {
            t.not_listening.into()
        } else {
            line.address.clone()
        },
        requests: format::count(line.requests),
        spans: format::count(line.received),
        bytes: format::bytes(line.bytes),
        rejected: format::count(line.rejected),
        refused: format::count(line.refused),
    }
}

fn reasons(title: &'static str, none: &'static str, counts: &[ReasonCount]) -> ReasonList {
    let mut counts: Vec<_> = counts.iter().filter(|reason| reason.count > 0).collect();
    counts.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    let row = |reason: &ReasonCount| ReasonRow {
        code: reason.reason.clone(),
        count: format::count(reason.count),
    };
    ReasonList {
        title,
        none,
        rows: counts.into_iter().map(row).collect(),
    }
}

fn way(report: &PipelineReport, reader: &Reader) -> Vec<Pair> {
    let t = reader.t();
    let newest = match report.newest_committed {
        Some(at) => t.day_time(at, reader.zone),
        None => t.never.into(),
    };
    vec![
        Pair {
            label: t.open_requests,
            value: format::count(report.open_requests),
        },
        Pair {
            label: t.open_bytes,
            value: format::bytes(report.open_bytes).plain(),
        },
        Pair {
            label: t.inbox_bytes,
            value: format::bytes(report.inbox_bytes).plain(),
        },
        Pair {
            label: t.inbox_damaged,
            value: format::count(report.inbox_damaged),
        },
        Pair {
            label: t.rows_merged,
            value: format::count(report.rows_merged),
        },
        Pair {
            label: t.newest_span,
            value: newest,
        },
    ]
}

fn store(health: &StoreHealth, t: &'static Messages) -> Vec<Pair> {
    let gone = |label, gone: &Gone| Pair {
        label,
        value: if gone.rows == 0 {
            format::count(0)
        } else {
            let args = [
                ("rows", format::count(gone.rows).into()),
                ("size", format::bytes(gone.bytes).plain().into()),
            ];
            t.text(t.store_gone, &args)
        },
    };
    vec![
        Pair {
            label: t.store_rows,
            value: format::count(health.rows),
        },
        Pair {
            label: t.store_bytes,
            value: format::bytes(health.bytes).plain(),
        },
        Pair {
            label: t.store_density,
            value: format!("{:.1}\u{a0}B", health.packed_bytes_per_span),
        },
        Pair {
            label: t.store_dictionaries,
            value: format::count(health.dictionaries),
        },
        Pair {
            label: t.store_repacked,
            value: format::count(health.repacked_rows),
        },
        Pair {
            label: t.store_repacked_saved,
            value: format::bytes(health.repacked_saved_bytes).plain(),
        },
        Pair {
            label: t.store_dropped,
            value: format::count(health.dropped_rows),
        },
        gone(t.store_gone_age, &health.retained.age),
        gone(t.store_gone_outcome, &health.retained.outcome),
        gone(t.store_gone_size, &health.retained.size),
        Pair {
            label: t.store_pins,
            value: format::count(health.pins),
        },
    ]
}

fn retention(health: &StoreHealth, keep: &Keep, t: &'static Messages) -> String {
    let of = |age: Age| {
        // No request goes before the rest does.
        let both = match (age, keep.rest) {
            (Age::Nanos(age), Age::Nanos(rest)) => Some(age.max(rest)),
            _ => None,
        };
        both.map_or(t.forever.into(), |age| t.age(age))
    };
    let is_one = of(keep.errors) == of(keep.rest) && of(keep.slow) == of(keep.rest);
    let age = match keep.rest {
        Age::Forever => None,
        Age::Nanos(age) if is_one => Some(t.text(t.retention_age, &[("age", t.age(age).into())])),
        Age::Nanos(_) => {
            let args = [
                ("errors", of(keep.errors).into()),
                ("over", t.age(keep.slow_over.0).into()),
                ("slow", of(keep.slow).into()),
                ("rest", of(keep.rest).into()),
            ];
            Some(t.text(t.retention_outcomes, &args))
        }
    };
    let size = keep.bytes.at_most().map(|most| {
        let args = [
            ("size", format::bytes(most).plain().into()),
            ("used", format::bytes(health.bytes).plain().into()),
            (
                "left",
                format::bytes(most.saturating_sub(health.bytes))
                    .plain()
                    .into(),
            ),
        ];
        t.text(t.retention_size, &args)
    });
    let said: Vec<_> = age.into_iter().chain(size).collect();
    if said.is_empty() {
        t.retention_none.into()
    } else {
        said.join(" ")
    }
}

fn thinned(past: Past, t: &'static Messages) -> String {
    let names = [
        (Past::REST, t.thinned_rest),
        (Past::SLOW, t.thinned_slow),
        (Past::ERRORS, t.thinned_errors),
    ];
    let gone = names.into_iter().filter(|(one, _)| past.contains(*one));
    gone.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

fn partition(partition: &PartitionHealth, health: &StoreHealth, reader: &Reader) -> PartitionRow {
    let t = reader.t();
    let time = |at| format!("{} {}", t.day(at, reader.zone), reader.zone.minute(at));
    PartitionRow {
        name: partition.name.clone(),
        thinned: thinned(partition.thinned, t),
        from: time(partition.from),
        to: time(partition.to),
        rows: format::count(partition.rows),
        bytes: format::bytes(partition.bytes),
        share: format::svg(format::ratio(partition.bytes, health.bytes) * 100.0),
    }
}
