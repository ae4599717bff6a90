//! A planned span as OTLP: its fixed fields, and 8 to 16 attributes of the kind it has.

use super::names::{CONSUMER, EXCEPTIONS, METHODS, SERVICES, STATEMENTS, STEPS};
use super::plan::{PlannedSpan, Request, Role};
use hoplog_otlp::write;
use std::fmt::{Arguments, Write};

const REGIONS: [&str; 3] = ["eu-central-1", "us-east-1", "ap-northeast-2"];
const PLANS: [&str; 3] = ["free", "plus", "business"];
const AGENTS: [&str; 4] = [
    "shop-ios/7.3.1",
    "shop-android/7.2.0",
    "Mozilla/5.0",
    "curl/8.9.1",
];

/// Appends the `Span` message of span `index` of `request`. `text` is scratch space.
pub(super) fn write_span(out: &mut Vec<u8>, request: &Request, index: usize, text: &mut String) {
    let span = &request.spans[index];
    write::bytes(out, 1, request.trace_id.as_bytes());
    write::bytes(out, 2, span.span_id.as_bytes());
    if let Some(parent) = span.parent {
        write::bytes(out, 4, request.spans[parent].span_id.as_bytes());
    }
    write::bytes(out, 5, span.name().as_bytes());
    write::uint(out, 6, u64::from(span.kind().to_wire()));
    write::fixed64(out, 7, span.start);
    write::fixed64(out, 8, span.end);
    // 8 to 16, fewer more often.
    let left = 8 + (span.salt % 9).min(span.salt >> 50 & 15);
    let mut attributes = Attributes {
        out,
        left,
        text,
        salt: span.salt,
    };
    match span.role {
        Role::Hop {
            interface: CONSUMER,
        } => attributes.message(request, span, span.service),
        Role::Hop { interface } => attributes.server(request, span, interface),
        Role::Call {
            to,
            interface: CONSUMER,
        } => attributes.message(request, span, to),
        Role::Call { to, interface } => attributes.client(request, span, (to, interface)),
        Role::Statement(statement) => attributes.statement(request, span, statement),
        Role::Step(step) => attributes.step(request, span, step),
    }
    if span.exception {
        write_exception(out, span);
    }
    if span.failed {
        write::message(out, 15, |out| write::uint(out, 3, 2));
    }
    write::fixed32(out, 16, 0x101);
}

fn write_exception(out: &mut Vec<u8>, span: &PlannedSpan) {
    let (kind, message) = EXCEPTIONS[(span.salt >> 40) as usize % EXCEPTIONS.len()];
    write::message(out, 11, |out| {
        write::fixed64(out, 1, span.end);
        write::bytes(out, 2, b"exception");
        write::string_attribute(out, 3, "exception.type", kind);
        write::string_attribute(out, 3, "exception.message", message);
    });
}

/// Writes attributes until as many as the span should have are written. Each kind lists 16; the
/// first 8 are what a search is about.
struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    left: u64,
    text: &'a mut String,
    salt: u64,
}

impl Attributes<'_> {
    fn may_write(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    fn str(&mut self, key: &str, value: &str) {
        if self.may_write() {
            write::string_attribute(self.out, 9, key, value);
        }
    }

    fn int(&mut self, key: &str, value: u64) {
        if self.may_write() {
            write::int_attribute(self.out, 9, key, value.cast_signed());
        }
    }

    fn format(&mut self, key: &str, value: Arguments<'_>) {
        if self.may_write() {
            self.text.clear();
            self.text
                .write_fmt(value)
                .expect("a String takes everything");
            write::string_attribute(self.out, 9, key, self.text);
        }
    }

    /// A number below `end`; each `place` is its own chance.
    fn chance(&self, place: u32, end: u64) -> u64 {
        self.salt.rotate_left(place * 7) % end
    }

    fn server(&mut self, request: &Request, span: &PlannedSpan, interface: usize) {
        let (service, noun) = SERVICES[span.service];
        let (method, path) = METHODS[interface];
        self.str("http.request.method", method);
        self.str(
            "http.route",
            span.name().trim_start_matches(method).trim_start(),
        );
        let id = span.salt % 1_000_000;
        match path {
            "" => self.format("url.path", format_args!("/{noun}")),
            _ => self.format("url.path", format_args!("/{noun}/{id}")),
        }
        self.int("http.response.status_code", status_code(span));
        self.str("customer.id", &request.customer);
        self.format("server.address", format_args!("{service}.shop.internal"));
        self.int("server.port", 8443);
        self.int("http.response.body.size", self.chance(1, 20_000));
        self.str("url.scheme", "https");
        self.str("network.protocol.version", "2");
        self.str("user_agent.original", AGENTS[self.chance(2, 4) as usize]);
        self.format(
            "client.address",
            format_args!("10.1.7.{}", self.chance(3, 64)),
        );
        self.common(request);
    }

    fn client(&mut self, request: &Request, span: &PlannedSpan, called: (usize, usize)) {
        let (service, noun) = SERVICES[called.0];
        let (method, path) = METHODS[called.1];
        self.str("http.request.method", method);
        let id = span.salt % 1_000_000;
        match path {
            "" => self.format(
                "url.full",
                format_args!("https://{service}.shop.internal/{noun}"),
            ),
            _ => self.format(
                "url.full",
                format_args!("https://{service}.shop.internal/{noun}/{id}"),
            ),
        }
        self.int("http.response.status_code", status_code(span));
        self.format("server.address", format_args!("{service}.shop.internal"));
        self.int("server.port", 8443);
        self.str("peer.service", service);
        self.str(
            "url.template",
            span.name().trim_start_matches(method).trim_start(),
        );
        self.str("network.protocol.version", "2");
        self.str("url.scheme", "https");
        self.str("customer.id", &request.customer);
        self.format(
            "network.peer.address",
            format_args!("10.2.{}.17", self.chance(1, 30)),
        );
        self.int("network.peer.port", 8443);
        self.common(request);
    }

    fn statement(&mut self, request: &Request, span: &PlannedSpan, statement: usize) {
        let (service, noun) = SERVICES[span.service];
        let (operation, before, after) = STATEMENTS[statement];
        self.str("db.system.name", "postgresql");
        self.str("db.namespace", service);
        self.str("db.collection.name", noun);
        self.str("db.operation.name", operation);
        self.format("db.query.text", format_args!("{before}{noun}{after}"));
        self.format("server.address", format_args!("pg-{service}.shop.internal"));
        self.int("server.port", 5432);
        self.int("db.response.returned_rows", self.chance(1, 200));
        self.str("db.query.summary", span.name());
        self.str("customer.id", &request.customer);
        self.str("db.client.connection.pool.name", "primary");
        self.format(
            "network.peer.address",
            format_args!("10.4.{}.5", span.service),
        );
        self.common(request);
    }

    fn step(&mut self, request: &Request, span: &PlannedSpan, step: usize) {
        let (service, noun) = SERVICES[span.service];
        let step = STEPS[step];
        self.format(
            "code.function.name",
            format_args!("shop::{service}::{noun}::{step}"),
        );
        self.format(
            "code.file.path",
            format_args!("services/{service}/src/{noun}.rs"),
        );
        self.int("code.line.number", 40 + span.name().len() as u64 * 17);
        self.str("customer.id", &request.customer);
        self.format("app.module", format_args!("{service}-core"));
        self.int("app.items", self.chance(1, 5000));
        self.str(
            "app.cache.result",
            if self.chance(2, 4) == 0 {
                "miss"
            } else {
                "hit"
            },
        );
        self.format(
            "app.cache.key",
            format_args!("{noun}:{}", self.chance(3, 4000)),
        );
        self.str("app.step", step);
        self.str("app.team", "shop-platform");
        self.format("app.revision", format_args!("r{}", 1000 + span.service));
        self.str(
            "app.language",
            ["de", "en", "ko"][self.chance(4, 3) as usize],
        );
        self.common(request);
    }

    fn message(&mut self, request: &Request, span: &PlannedSpan, to: usize) {
        let noun = SERVICES[to].1;
        let sends = matches!(span.role, Role::Call { .. });
        self.str("messaging.system", "kafka");
        self.format("messaging.destination.name", format_args!("shop.{noun}.v1"));
        self.str(
            "messaging.operation.type",
            if sends { "send" } else { "process" },
        );
        self.format(
            "messaging.message.id",
            format_args!("{noun}-{}", self.chance(1, 1_000_000)),
        );
        self.str("customer.id", &request.customer);
        self.format(
            "messaging.destination.partition.id",
            format_args!("{}", self.chance(2, 24)),
        );
        self.str("server.address", "kafka-1.shop.internal");
        self.int("messaging.message.body.size", self.chance(3, 4000));
        self.format(
            "messaging.consumer.group.name",
            format_args!("{noun}-workers"),
        );
        self.str("messaging.client.id", "shop-kafka-client");
        self.int("server.port", 9092);
        self.str(
            "messaging.operation.name",
            if sends { "publish" } else { "consume" },
        );
        self.common(request);
    }

    /// The last four of every kind.
    fn common(&mut self, request: &Request) {
        let customer = request.customer.len() + usize::from(request.customer.as_bytes()[2]);
        self.str("cloud.region", REGIONS[customer % REGIONS.len()]);
        self.str("app.customer.plan", PLANS[customer % PLANS.len()]);
        self.format(
            "thread.name",
            format_args!("tokio-runtime-worker-{}", self.chance(5, 8)),
        );
        self.int("thread.id", 11 + self.chance(5, 8));
    }
}

fn status_code(span: &PlannedSpan) -> u64 {
    match (span.failed, span.salt >> 20 & 15) {
        (true, 0..8) => 500,
        (true, _) => 503,
        (false, 0) => 404,
        (false, _) => 200,
    }
}
