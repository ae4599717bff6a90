//! What the pages show: requests of a shop, some failed, one very large.

use crate::support::{Hoplog, QUICK};
use anyhow::Result;
use hoplog_model::SpanKind::{Client, Server};
use hoplog_model::times::SECOND;
use hoplog_model::{Clock, SystemClock, TraceId};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::spans::{Trace, batch, trace};

/// Of the server.
pub(super) const CONFIG: &str = QUICK;
/// Spans of each request but the large one.
pub(super) const HOPS: usize = 6;
/// Requests that failed.
pub(super) const FAILED: usize = 6;
/// Requests that went well.
const GOOD: usize = 60;
/// Spans of the large one.
const LARGE: usize = 20_000;

/// Requests to look at.
pub(super) struct Shop {
    pub(super) failed: TraceId,
    pub(super) large: TraceId,
}

impl Shop {
    /// Sends everything, and waits until it is written.
    pub(super) async fn open(hoplog: &Hoplog) -> Result<Self> {
        let good = (0..GOOD).map(|n| order(&format!("good-{n}"), n, false));
        let failed = (0..FAILED).map(|n| order(&format!("failed-{n}"), GOOD + n, true));
        let requests: Vec<Trace> = good.chain(failed).collect();
        hoplog.send(batch(&requests)).await?;
        let large = import();
        OtlpClient::connect(hoplog.server.otlp_grpc)
            .await?
            .export(large.bytes())
            .await?;
        hoplog.settled_books().await?;
        Ok(Self {
            failed: requests[GOOD].trace_id(),
            large: large.trace_id(),
        })
    }
}

/// An order through four services; the payment may fail.
fn order(name: &str, n: usize, fails: bool) -> Trace {
    let base = SystemClock.now() - 600 * SECOND + n as u64 * SECOND;
    let slow = 20 + (n as u64 * 37) % 400;
    let mut order = trace(name)
        .base(base)
        .span("root")
        .service("gateway")
        .kind(Server)
        .name("POST /orders/{id}")
        .ms(slow + 60)
        .attr("http.request.method", "POST")
        .attr("http.route", "/orders/{id}")
        .attr(
            "http.response.status_code",
            if fails { 502_i64 } else { 201 },
        )
        .resource_attr("service.version", "1.4.2");
    order = failed(order, fails, "")
        .span("call-orders")
        .child_of("root")
        .service("gateway")
        .kind(Client)
        .name("POST")
        .start_ms(2)
        .ms(slow + 50);
    order = failed(order, fails, "orders answered 502")
        .span("orders")
        .child_of("call-orders")
        .service("orders")
        .kind(Server)
        .name("orders.Orders/Place")
        .start_ms(4)
        .ms(slow + 40)
        .attr("rpc.system.name", "grpc");
    order = failed(order, fails, "payment failed")
        .span("insert")
        .child_of("orders")
        .service("orders")
        .kind(Client)
        .name("INSERT orders")
        .start_ms(8)
        .ms(12)
        .attr("db.system.name", "sqlite")
        .attr(
            "db.query.text",
            "INSERT INTO orders (customer, item) VALUES (?, ?)",
        )
        .span("call-payments")
        .child_of("orders")
        .service("orders")
        .kind(Client)
        .name("payments.Payments/Charge")
        .start_ms(22)
        .ms(slow + 10);
    order = failed(order, fails, "payments said no")
        .span("payments")
        .child_of("call-payments")
        .service("payments")
        .kind(Server)
        .name("payments.Payments/Charge")
        .start_ms(25)
        .ms(slow)
        .attr("customer.id", format!("c-{n:04}"));
    if fails {
        order = order.attr("error.type", "card_declined");
        order = order.exception("card_declined", "insufficient funds");
    }
    failed(order, fails, "insufficient funds")
}

/// The span failed, if its request does.
fn failed(span: Trace, fails: bool, message: &str) -> Trace {
    if fails { span.error(message) } else { span }
}

/// A nightly import: very many steps, some of which call others.
fn import() -> Trace {
    let base = SystemClock.now() - 900 * SECOND;
    let import = trace("import")
        .base(base)
        .span("root")
        .service("batch")
        .kind(Server);
    let mut import = import.name("POST /imports").ms(200_000);
    for n in 1..LARGE {
        let row = n - (n - 1) % 10;
        let step = import.span(&format!("row-{n}")).start_ms(n as u64 * 9);
        let step = step.attr("row.number", n as i64);
        import = if n == row {
            step.child_of("root")
                .service("batch")
                .kind(Client)
                .name("import row")
                .ms(80)
        } else {
            let step = step
                .child_of(&format!("row-{row}"))
                .service("inventory")
                .kind(Server);
            step.name("inventory.Inventory/Put").ms(6)
        };
    }
    import
}
