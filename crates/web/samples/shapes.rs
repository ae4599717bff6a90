//! Requests of an unusual shape: repeated calls, missing parents, no root, links, still open.

use super::{MS, NOW, failing};
use hoplog_model::SpanKind;
use hoplog_model::times::MINUTE;
use hoplog_testkit::spans::{Trace, trace};

/// A page that asks the database once per row, and is slow for it.
pub(super) fn repeated() -> Trace {
    let mut request = trace("n1")
        .base(NOW - 70_000 * MS)
        .span("root")
        .service("web-gateway")
        .kind(SpanKind::Server)
        .name("GET /orders")
        .ms(420)
        .attr("http.response.status_code", 200)
        .span("list")
        .child_of("root")
        .service("orders")
        .kind(SpanKind::Server)
        .name("GET /v1/orders")
        .start_ms(3)
        .ms(410);
    for n in 0..40 {
        request = request
            .span(&format!("q{n}"))
            .child_of("list")
            .service("orders")
            .kind(SpanKind::Client)
            .name("SELECT orders")
            .start_ms(5 + n * 10)
            .ms(9)
            .attr("db.query.text", "SELECT * FROM orders WHERE id = $1");
    }
    request
}

/// Spans whose parents were never received, beside a root.
pub(super) fn orphaned() -> Trace {
    trace("orphans")
        .base(NOW - 95_000 * MS)
        .span("root")
        .service("web-gateway")
        .kind(SpanKind::Server)
        .name("GET /basket")
        .ms(80)
        .attr("http.response.status_code", 200)
        .span("lost")
        .child_of("nobody")
        .service("pricing")
        .kind(SpanKind::Server)
        .name("GET /rates")
        .start_ms(10)
        .ms(20)
        .span("lost too")
        .child_of("nobody else")
        .service("inventory")
        .kind(SpanKind::Server)
        .name("GET /stock")
        .start_ms(40)
        .ms(9)
}

/// No root at all.
pub(super) fn rootless() -> Trace {
    trace("rootless")
        .base(NOW - 130_000 * MS)
        .span("part")
        .child_of("never seen")
        .service("payments")
        .kind(SpanKind::Server)
        .name("payments.Payments/Refund")
        .ms(210)
        .error("refund window closed")
        .span("sql")
        .child_of("part")
        .service("payments")
        .kind(SpanKind::Client)
        .name("UPDATE charges")
        .start_ms(20)
        .ms(160)
}

/// A worker's request that points back at the order it came from.
pub(super) fn linked() -> Trace {
    trace("linked")
        .base(NOW - 10_000 * MS)
        .span("root")
        .service("mail-worker")
        .kind(SpanKind::Consumer)
        .name("consume order.failed")
        .ms(640)
        .with(|span| {
            span.links.push(Default::default());
            let link = &mut span.links[0];
            link.trace_id = failing().trace_id().as_bytes().to_vec();
            link.span_id = hoplog_testkit::spans::span_id("publish")
                .as_bytes()
                .to_vec();
        })
}

/// Of which only the first spans have arrived.
pub(super) fn open() -> Trace {
    trace("open")
        .base(NOW - 2_000 * MS)
        .span("stock")
        .child_of("root")
        .service("inventory")
        .kind(SpanKind::Server)
        .name("GET /stock")
        .start_ms(3)
        .ms(20)
}

/// A nightly report that asks for thousands of things; two of them fail.
pub(super) fn many(spans: usize) -> Trace {
    let mut request = trace("many")
        .base(NOW - 40 * MINUTE)
        .span("root")
        .service("reports")
        .kind(SpanKind::Server)
        .name("POST /reports/nightly")
        .ms(spans as u64 * 3 + 20)
        .attr("http.response.status_code", 200);
    let batches = spans / 100;
    for batch in 0..batches {
        let parent = format!("batch-{batch}");
        let start = batch as u64 * 300;
        request = request
            .span(&parent)
            .child_of("root")
            .service("reports")
            .name("build section")
            .start_ms(start)
            .ms(298);
        for n in 0..99 {
            let service = ["orders", "inventory", "pricing"][n / 33];
            request = request
                .span(&format!("{batch}-{n}"))
                .child_of(&parent)
                .service(service)
                .kind(SpanKind::Server)
                .name(["GET /v1/orders", "GET /stock", "GET /rates"][n / 33])
                .start_ms(start + n as u64 * 3)
                .ms(2);
            if (batch, n) == (7, 50) || (batch, n) == (150, 3) {
                request = request
                    .error("boom")
                    .exception("Timeout", "no answer within 2 ms");
            }
        }
    }
    request
}
