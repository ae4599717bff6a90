//! `/metrics` in the Prometheus text format.

use crate::answers::{BooksAnswer, PipelineReport, ReceiverLine};
use hoplog_store::StoreHealth;
use hoplog_store::retention::{Gone, Reason};
use std::fmt::{Display, Write};

/// Text format 0.0.4.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything hoplog says of itself.
pub(super) fn write(
    books: &BooksAnswer,
    pipeline: &PipelineReport,
    store: &StoreHealth,
    ready: bool,
) -> String {
    let mut page = Page::default();
    page.gauge(
        "hoplog_ready",
        "1 when exports are taken and all can be read",
        u8::from(ready),
    );
    receivers(&mut page, pipeline);
    page.head(
        "hoplog_books_spans",
        "gauge",
        "Spans since ever by what became of them; received is the sum of the rest",
    );
    for (state, spans) in [
        ("received", books.received),
        ("stored", books.stored),
        ("duplicate", books.duplicate),
        ("left_out", books.left_out),
        ("rejected", books.rejected),
        ("dead_lettered", books.dead_lettered),
        ("lost", books.lost),
        ("waiting", books.waiting),
    ] {
        page.line("hoplog_books_spans", &[("state", state)], spans);
    }
    page.gauge(
        "hoplog_open_requests",
        "Requests in memory that are no rows yet",
        pipeline.open_requests,
    );
    page.gauge(
        "hoplog_open_requests_bytes",
        "Bytes of memory they take",
        pipeline.open_bytes,
    );
    page.gauge(
        "hoplog_inbox_bytes",
        "Bytes of inbox files on disk",
        pipeline.inbox_bytes,
    );
    page.head(
        "hoplog_inbox_damaged_records_total",
        "counter",
        "Inbox records passed over because they are damaged",
    );
    page.line(
        "hoplog_inbox_damaged_records_total",
        &[],
        pipeline.inbox_damaged,
    );
    page.head(
        "hoplog_rows_merged_total",
        "counter",
        "Later parts of requests merged into a row written before",
    );
    page.line("hoplog_rows_merged_total", &[], pipeline.rows_merged);
    if let Some(at) = pipeline.newest_committed {
        let seconds = format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
        let help = "When the newest readable span was received";
        page.gauge("hoplog_newest_committed_timestamp_seconds", help, seconds);
    }
    of_store(&mut page, store);
    page.0
}

fn receivers(page: &mut Page, pipeline: &PipelineReport) {
    type Figure = fn(&ReceiverLine) -> u64;
    let figures: [(&str, &str, Figure); 5] = [
        (
            "hoplog_export_requests_total",
            "Export requests answered",
            |line| line.requests,
        ),
        (
            "hoplog_export_requests_refused_total",
            "Export requests told to retry or refused whole",
            |line| line.refused,
        ),
        (
            "hoplog_export_bytes_total",
            "Bytes of export requests, decompressed",
            |line| line.bytes,
        ),
        (
            "hoplog_spans_received_total",
            "Spans in export requests answered",
            |line| line.received,
        ),
        ("hoplog_spans_rejected_total", "Spans refused", |line| {
            line.rejected
        }),
    ];
    for (name, help, figure) in figures {
        page.head(name, "counter", help);
        for line in &pipeline.receivers {
            page.line(name, &[("receiver", &line.receiver)], figure(line));
        }
    }
    let reasons = [
        (
            "hoplog_spans_rejected_by_reason_total",
            "Spans refused, by reason",
            &pipeline.rejected,
        ),
        (
            "hoplog_overloads_total",
            "Export requests refused or slowed, by reason",
            &pipeline.overloads,
        ),
    ];
    for (name, help, counts) in reasons {
        page.head(name, "counter", help);
        for count in counts {
            page.line(name, &[("reason", &count.reason)], count.count);
        }
    }
}

fn of_store(page: &mut Page, store: &StoreHealth) {
    page.gauge(
        "hoplog_store_bytes",
        "Bytes of the store on disk",
        store.bytes,
    );
    page.gauge("hoplog_store_rows", "Requests in the store", store.rows);
    page.gauge(
        "hoplog_store_partitions",
        "Time partitions",
        store.partitions.len(),
    );
    page.gauge(
        "hoplog_store_dictionaries",
        "Compression dictionaries in use",
        store.dictionaries,
    );
    let help = "Bytes of packed spans per span in the newest partition";
    page.gauge(
        "hoplog_store_packed_bytes_per_span",
        help,
        store.packed_bytes_per_span,
    );
    dictionaries(page, store);
    page.head(
        "hoplog_store_dropped_rows_total",
        "counter",
        "Requests that retention has dropped",
    );
    page.line("hoplog_store_dropped_rows_total", &[], store.dropped_rows);
    let gone = |name, help, value: fn(&Gone) -> u64, page: &mut Page| {
        page.head(name, "counter", help);
        for reason in Reason::ALL {
            let value = value(store.retained.of(reason));
            page.line(name, &[("reason", reason.name())], value);
        }
    };
    gone(
        "hoplog_retention_rows_total",
        "Requests that retention has dropped, by reason",
        |gone| gone.rows,
        page,
    );
    gone(
        "hoplog_retention_bytes_total",
        "Bytes on disk that came free",
        |gone| gone.bytes,
        page,
    );
    gone(
        "hoplog_retention_kept_rows_total",
        "Requests kept by hand that had to go all the same",
        |gone| gone.pinned,
        page,
    );
    page.gauge("hoplog_kept_requests", "Requests kept by hand", store.pins);
}

fn dictionaries(page: &mut Page, store: &StoreHealth) {
    let help = "Requests packed anew with a later dictionary, in the partitions that are there";
    page.gauge("hoplog_store_repacked_rows", help, store.repacked_rows);
    let help = "Bytes that packing requests anew saved in them";
    let saved = store.repacked_saved_bytes;
    page.gauge("hoplog_store_repacked_saved_bytes", help, saved);
    if store.packing.is_empty() {
        return;
    }
    let name = "hoplog_store_dictionary_rows";
    page.head(name, "gauge", "Requests packed with the dictionary");
    for line in &store.packing {
        let id = format!("{:08x}", line.id);
        page.line(name, &[("dictionary", &id)], line.rows);
    }
    let name = "hoplog_store_dictionary_density";
    let help = "Bytes of spans a packed byte, when it was trained and on the newest requests";
    page.head(name, "gauge", help);
    for line in &store.packing {
        let id = format!("{:08x}", line.id);
        let densities = [("trained", line.density_trained), ("now", line.density_now)];
        for (when, density) in densities {
            if let Some(density) = density {
                let labels = [("dictionary", id.as_str()), ("when", when)];
                page.line(name, &labels, density);
            }
        }
    }
}

/// The page as it grows.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!(
            "# HELP {name} {help}.\n# TYPE {name} {kind}\n"
        ));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let label = |(key, value): &(&str, &str)| format!("{key}=\"{}\"", escaped(value));
        let labels: Vec<String> = labels.iter().map(label).collect();
        match labels.as_slice() {
            [] => self.put(format_args!("{name} {value}\n")),
            labels => self.put(format_args!("{name}{{{}}} {value}\n", labels.join(","))),
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("writing to a string does not fail");
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
