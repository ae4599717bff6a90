//! Requests in few words.

use hoplog_model::{SpanKind, SpanStatus};
use hoplog_otlp::{Limits, slice};
use hoplog_testkit::spans::{BASE, batch, span_id, trace, trace_id};

#[test]
fn words_become_spans() {
    let trace = trace("t")
        .span("root")
        .service("gateway")
        .kind(SpanKind::Server)
        .name("GET /")
        .resource_attr("host.name", "a")
        .start_ms(5)
        .ms(20)
        .attr("customer.id", "c-1")
        .attr("n", 7)
        .span("db")
        .child_of("root")
        .service("orders")
        .error("refused")
        .exception("Io", "refused");
    let set = trace.set();
    let root = set.get(0).unwrap();
    assert_eq!(
        (root.head.start - BASE, root.head.duration()),
        (5_000_000, 20_000_000)
    );
    assert_eq!((root.head.kind, root.head.parent), (SpanKind::Server, None));
    assert_eq!(
        (root.view().name().as_ref(), &*root.group.service),
        ("GET /", "gateway")
    );
    assert_eq!(root.attribute("n").unwrap().number(), Some(7.0));
    assert_eq!(root.attribute("host.name").unwrap().text(), "a");
    let db = set.get(1).unwrap();
    assert_eq!(
        (db.head.status, db.head.parent),
        (SpanStatus::Error, Some(span_id("root")))
    );
    assert_eq!(db.view().status_message(), "refused");
    assert_eq!(db.view().events().count(), 1);
}

#[test]
fn requests_go_in_one_batch_and_ids_may_be_given() {
    let id = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(trace_id(id).to_string(), id);
    let bytes = batch(&[trace(id).span("a"), trace("other").span("a").ok()]);
    let sliced = slice(bytes, &Limits::default()).unwrap();
    let ids: Vec<_> = sliced.spans.iter().map(|span| span.trace_id).collect();
    assert_eq!(ids, [trace_id(id), trace_id("other")]);
}
