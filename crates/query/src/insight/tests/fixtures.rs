//! The requests of research/ui.md section 5, item 25, and how they are put together.

use crate::insight::{Finding, Insight, Node, Segment, Usual, Usuals};
use hoplog_model::{Interface, SpanKind};
use hoplog_otlp::SpanSet;
use hoplog_testkit::spans::{Trace, span_id, trace};

pub(super) const MS: u64 = 1_000_000;

/// A request and what is usual for it.
#[derive(Clone)]
pub(super) struct Fixture {
    pub(super) trace: Trace,
    pub(super) usuals: Usuals,
}

/// The analysis of a fixture.
pub(super) struct Analysed {
    pub(super) insight: Insight,
}

impl Fixture {
    pub(super) fn new(trace: Trace) -> Self {
        Self {
            trace,
            usuals: Usuals::new(),
        }
    }

    /// What spans of an interface usually take, in milliseconds, known from many.
    pub(super) fn usually(self, service: &str, kind: SpanKind, name: &str, p50: u64) -> Self {
        self.known_from(100, service, kind, name, p50)
    }

    pub(super) fn known_from(
        mut self,
        count: u64,
        service: &str,
        kind: SpanKind,
        name: &str,
        p50: u64,
    ) -> Self {
        let (service, name) = (service.to_owned(), name.to_owned());
        let usual = Usual {
            p50: p50 * MS,
            p99: p50 * MS * 3,
            count,
        };
        let interface = Interface {
            service,
            kind,
            name,
        };
        self.usuals.insert(interface, usual);
        self
    }

    pub(super) fn analyse(&self) -> Analysed {
        Analysed {
            insight: Insight::of(&self.trace.set(), &self.usuals),
        }
    }
}

impl Analysed {
    /// Where the span begun under this name stands.
    pub(super) fn at(&self, name: &str) -> usize {
        self.insight.tree.place(&span_id(name)).expect(name)
    }

    pub(super) fn node(&self, name: &str) -> &Node {
        &self.insight.tree.nodes[self.at(name)]
    }

    pub(super) fn told(&self) -> &[Finding] {
        &self.insight.findings
    }

    /// The path: names of spans with first and last millisecond from the root's start.
    pub(super) fn path(&self) -> Vec<(&str, u64, u64)> {
        let tree = &self.insight.tree;
        let zero = tree.root().expect("a root").shown_start();
        let segment = |segment: &Segment| {
            let node = &tree.nodes[segment.place];
            let millis = |at: u64| (at - zero) / MS;
            (
                node.name.as_str(),
                millis(segment.start),
                millis(segment.end),
            )
        };
        let path = self.insight.path.as_ref().expect("a path");
        path.segments.iter().map(segment).collect()
    }
}

/// The same spans in another order.
pub(super) fn reordered(set: &SpanSet, order: &[usize]) -> SpanSet {
    let mut other = SpanSet::new();
    for index in order {
        let span = set.get(*index).expect("an index of the set");
        other.push(span.group, *span.head, span.raw);
    }
    other
}

/// A root of service "shop" and kind SERVER that takes so many milliseconds.
pub(super) fn shop(name: &str, ms: u64) -> Trace {
    let root = trace("t").span("root").name(name).ms(ms);
    root.kind(SpanKind::Server)
}

/// A span of that name and service below another, from a millisecond on, so many of them.
pub(super) fn below(
    trace: Trace,
    parent: &str,
    name: &str,
    kind: SpanKind,
    (start, ms): (u64, u64),
) -> Trace {
    let span = trace.span(name).child_of(parent).kind(kind);
    span.start_ms(start).ms(ms)
}

/// A call that the service of this name answers: `{name} call`, and `{name}` 1 ms inside of it.
pub(super) fn call(
    trace: Trace,
    parent: &str,
    name: &str,
    service: &str,
    times: (u64, u64),
) -> Trace {
    let (caller, (start, ms)) = (format!("{name} call"), times);
    let trace = below(trace, parent, &caller, SpanKind::Client, times);
    let trace = below(trace, &caller, name, SpanKind::Server, (start + 1, ms - 2));
    trace.service(service)
}

/// The same, failed on both sides.
pub(super) fn failed_call(
    trace: Trace,
    parent: &str,
    name: &str,
    service: &str,
    times: (u64, u64),
) -> Trace {
    let (caller, (start, ms)) = (format!("{name} call"), times);
    let trace = below(trace, parent, &caller, SpanKind::Client, times).error("500");
    let trace = below(trace, &caller, name, SpanKind::Server, (start + 1, ms - 2));
    trace.service(service).error("")
}

pub(super) fn plain_error() -> Fixture {
    let trace = shop("POST /orders", 100).error("");
    let trace = failed_call(trace, "root", "POST /charges", "bank", (10, 80));
    let trace = trace
        .exception("CardError", "insufficient funds")
        .attr("error.type", "500");
    let trace = below(trace, "root", "log", SpanKind::Internal, (92, 2));
    Fixture::new(trace)
        .usually("shop", SpanKind::Server, "POST /orders", 90)
        .usually("bank", SpanKind::Server, "POST /charges", 70)
}

pub(super) fn handled_error() -> Fixture {
    let trace = shop("GET /item", 30).ok();
    let trace = below(trace, "root", "GET cache", SpanKind::Client, (2, 5)).error("refused");
    let trace = below(trace, "root", "SELECT item", SpanKind::Client, (8, 15));
    Fixture::new(trace).usually("shop", SpanKind::Server, "GET /item", 30)
}

/// Each attempt is a step of its own, whose status nobody set.
pub(super) fn timeout_with_retries() -> Fixture {
    let trace = shop("POST /orders", 1_840).error("");
    let trace = call(trace, "root", "POST /reserve", "inventory", (10, 500));
    let trace = failed_call(trace, "root", "POST /pay", "payment", (520, 1_300));
    let attempts = [(530, 404), (940, 404), (1_350, 402)]
        .into_iter()
        .enumerate();
    let trace = attempts.fold(trace, |trace, (n, (start, ms))| {
        let (attempt, calling) = (format!("attempt {n}"), format!("calling {n}"));
        let trace = below(
            trace,
            "POST /pay",
            &attempt,
            SpanKind::Internal,
            (start, ms),
        );
        let trace = trace.service("payment");
        let trace = below(
            trace,
            &attempt,
            &calling,
            SpanKind::Client,
            (start + 1, 400),
        );
        let trace = trace
            .service("payment")
            .name("POST")
            .error("deadline exceeded");
        // The bank goes on after its caller has hung up.
        let server = format!("bank {n}");
        let trace = below(trace, &calling, &server, SpanKind::Server, (start + 3, 600));
        trace.service("bank").name("POST /charges")
    });
    Fixture::new(trace)
        .usually("shop", SpanKind::Server, "POST /orders", 210)
        .usually("inventory", SpanKind::Server, "POST /reserve", 480)
        .usually("payment", SpanKind::Server, "POST /pay", 1_000)
        .usually("bank", SpanKind::Server, "POST /charges", 71)
}

pub(super) fn n_plus_one() -> Fixture {
    let trace = (0..24).fold(shop("GET /cart", 210), |trace, n| {
        let name = format!("select {n}");
        let trace = below(trace, "root", &name, SpanKind::Client, (10 + n * 8, 7));
        let trace = trace.name("SELECT order_items");
        trace.attr(
            "db.query.text",
            "SELECT * FROM order_items WHERE order_id = $1",
        )
    });
    Fixture::new(trace).usually("shop", SpanKind::Server, "GET /cart", 150)
}

pub(super) fn slow_own_work() -> Fixture {
    let trace = shop("GET /report", 1_000);
    let trace = below(trace, "root", "SELECT sales", SpanKind::Client, (20, 50));
    Fixture::new(trace)
        .usually("shop", SpanKind::Server, "GET /report", 200)
        .usually("shop", SpanKind::Client, "SELECT sales", 45)
}

pub(super) fn lock_wait() -> Fixture {
    let trace = shop("POST /stock", 1_000);
    let trace = below(trace, "root", "UPDATE stock", SpanKind::Client, (50, 920));
    let trace = trace.attr("db.query.text", "UPDATE stock SET n = n - 1 WHERE sku = $1");
    Fixture::new(trace)
        .usually("shop", SpanKind::Server, "POST /stock", 60)
        .usually("shop", SpanKind::Client, "UPDATE stock", 4)
}

/// One consumer hangs under what was sent, one under the root itself.
pub(super) fn goes_on() -> Fixture {
    let trace = shop("POST /orders", 40);
    let trace = below(trace, "root", "send mail", SpanKind::Producer, (20, 2));
    let trace = below(
        trace,
        "send mail",
        "process mail",
        SpanKind::Consumer,
        (30, 400),
    );
    let trace = below(
        trace.service("mailer"),
        "root",
        "count",
        SpanKind::Consumer,
        (10, 100),
    );
    Fixture::new(trace.service("counter")).usually("shop", SpanKind::Server, "POST /orders", 40)
}

/// The bank's clock is 34 ms behind, and it calls a ledger whose clock is right.
pub(super) fn clock_skew() -> Fixture {
    let trace = shop("POST /orders", 100).start_ms(100);
    let trace = below(trace, "root", "pay", SpanKind::Client, (110, 80));
    let trace = below(trace, "pay", "POST /charges", SpanKind::Server, (86, 60)).service("bank");
    let book = below(trace, "POST /charges", "book", SpanKind::Client, (90, 20)).service("bank");
    let trace = below(book, "book", "Ledger/Book", SpanKind::Server, (125, 5)).service("ledger");
    Fixture::new(trace).usually("shop", SpanKind::Server, "POST /orders", 100)
}

/// The span between the root and the bank was lost.
pub(super) fn missing_parent() -> Fixture {
    let trace = shop("POST /orders", 200);
    let trace = below(trace, "root", "auth", SpanKind::Client, (5, 10));
    let trace = below(trace, "lost", "POST /charges", SpanKind::Server, (40, 120));
    let trace = below(
        trace.service("bank"),
        "POST /charges",
        "book",
        SpanKind::Client,
        (50, 90),
    );
    Fixture::new(trace.service("bank")).usually("shop", SpanKind::Server, "POST /orders", 190)
}

pub(super) fn no_root() -> Fixture {
    let trace = trace("t").span("charge").child_of("lost").service("bank");
    let trace = trace.name("POST /charges").kind(SpanKind::Server).ms(60);
    Fixture::new(below(trace, "charge", "book", SpanKind::Client, (10, 30)).service("bank"))
        .usually("bank", SpanKind::Server, "POST /charges", 60)
}

pub(super) fn ten_thousand_spans() -> Fixture {
    let trace = (1..10_000).fold(shop("GET /catalogue", 10_000), |trace, n| {
        let name = format!("get {n}");
        below(trace, "root", &name, SpanKind::Client, (n, 1)).name("GET /item")
    });
    Fixture::new(trace).usually("shop", SpanKind::Server, "GET /catalogue", 9_000)
}

pub(super) fn single_span() -> Fixture {
    Fixture::new(shop("GET /health", 30)).usually("shop", SpanKind::Server, "GET /health", 28)
}

/// All of them.
pub(super) fn all() -> [(&'static str, Fixture); 12] {
    [
        ("plain error", plain_error()),
        ("handled error", handled_error()),
        ("timeout with retries", timeout_with_retries()),
        ("n+1", n_plus_one()),
        ("slow own work", slow_own_work()),
        ("lock wait", lock_wait()),
        ("goes on", goes_on()),
        ("clock skew", clock_skew()),
        ("missing parent", missing_parent()),
        ("no root", no_root()),
        ("10,000 spans", ten_thousand_spans()),
        ("single span", single_span()),
    ]
}
