//! The shop against a collector that only remembers.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use hoplog_demo::{Options, Sent, Shop};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing_subscriber::prelude::*;

/// Service and span of everything that was exported.
type Exported = Arc<Mutex<Vec<(String, Span)>>>;

struct Collector(Exported);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let service = text(&resource.resource.unwrap().attributes, "service.name").unwrap();
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            self.0
                .lock()
                .unwrap()
                .extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A process has one subscriber, whichever of the tests comes first.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::registry()
            .with(hoplog_demo::tracing_layer())
            .init();
    });
}

/// Runs the shop for so many requests. All it exported, and what was sent.
async fn run(requests: u64, seed: u64) -> (Vec<(String, Span)>, Vec<Sent>) {
    let exported = Exported::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let collector = TraceServiceServer::new(Collector(Arc::clone(&exported)));
    let collecting = tokio::spawn(
        Server::builder()
            .add_service(collector)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), async move {
                drop(stopped.await);
            }),
    );
    let shop = Shop::start(Options {
        rate_per_s: 500.0,
        requests: Some(requests),
        seed,
        batch_delay: Duration::from_millis(200),
        ..Options::new(endpoint)
    })
    .await
    .unwrap();
    let sent = shop.drive(std::future::pending()).await;
    shop.shutdown().await.unwrap();
    stop.send(()).unwrap();
    collecting.await.unwrap().unwrap();
    let exported = std::mem::take(&mut *exported.lock().unwrap());
    (exported, sent)
}

/// One whole deck: every journey there is.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_trace_with_exactly_its_hops() {
    subscribe();
    let (exported, sent) = run(200, 1).await;
    assert_eq!(sent.len(), 200);

    let mut traces: HashMap<String, Vec<(String, Span)>> = HashMap::new();
    for (service, span) in exported {
        traces
            .entry(hex(&span.trace_id))
            .or_default()
            .push((service, span));
    }
    for sent in &sent {
        let spans = traces
            .remove(&sent.trace_id)
            .unwrap_or_else(|| panic!("no trace for {sent:?}"));
        check_hops(sent, &spans);
        check_tree(sent, &spans);
    }
    assert!(
        traces.is_empty(),
        "spans that belong to no request: {traces:#?}"
    );

    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for sent in &sent {
        *statuses.entry(sent.status).or_default() += 1;
    }
    let failed: usize = statuses.range(400..).map(|(_, count)| count).sum();
    assert_eq!(failed, 6, "3 % of 200: {statuses:?}");
    for status in [200, 201, 402, 404, 409, 502, 504] {
        assert!(statuses.contains_key(&status), "{status} in {statuses:?}");
    }
}

fn check_hops(sent: &Sent, spans: &[(String, Span)]) {
    let mut hops: Vec<(&str, &str)> = spans
        .iter()
        .filter(|(_, span)| matches!(span.kind(), SpanKind::Server | SpanKind::Consumer))
        .map(|(service, span)| (service.as_str(), span.name.as_str()))
        .collect();
    let mut expected = sent.expected_hops.clone();
    hops.sort_unstable();
    expected.sort_unstable();
    assert_eq!(hops, expected, "{sent:?}");
}

/// One root, at the gateway; every other span has its parent in the trace.
fn check_tree(sent: &Sent, spans: &[(String, Span)]) {
    let ids: Vec<&[u8]> = spans
        .iter()
        .map(|(_, span)| span.span_id.as_slice())
        .collect();
    let roots: Vec<_> = spans
        .iter()
        .filter(|(_, span)| span.parent_span_id.is_empty())
        .collect();
    assert_eq!(roots.len(), 1, "{sent:?}: {spans:#?}");
    assert_eq!(roots[0].0, "gateway");
    for (service, span) in spans {
        let parent = span.parent_span_id.as_slice();
        assert!(
            parent.is_empty() || ids.contains(&parent),
            "{service} {} in {sent:?}",
            span.name
        );
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert_ne!(
            text(&span.attributes, "error.type").as_deref(),
            Some("cancelled"),
            "{span:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traces_show_what_a_developer_looks_for() {
    subscribe();
    let (exported, sent) = run(200, 2).await;
    let names: std::collections::BTreeSet<&str> = exported
        .iter()
        .map(|(_, span)| span.name.as_str())
        .collect();
    assert!(names.len() >= 30, "{} names: {names:#?}", names.len());
    let services: std::collections::BTreeSet<&str> = exported
        .iter()
        .map(|(service, _)| service.as_str())
        .collect();
    let expected = [
        "gateway",
        "inventory",
        "notifications",
        "orders",
        "payments",
        "worker",
    ];
    assert_eq!(services.into_iter().collect::<Vec<_>>(), expected);

    let of = |trace_id: &str| {
        let spans = exported
            .iter()
            .filter(|(_, span)| hex(&span.trace_id) == trace_id);
        spans.map(|(_, span)| span).collect::<Vec<_>>()
    };
    let with = |what: &str, status: u16| {
        let found = sent
            .iter()
            .find(|sent| sent.path.starts_with(what) && sent.status == status);
        of(&found.unwrap_or_else(|| panic!("{what} {status}")).trace_id)
    };
    let exceptions = |spans: &[&Span]| {
        let events = spans.iter().flat_map(|span| &span.events);
        events
            .filter(|event| event.name == "exception")
            .map(|event| text(&event.attributes, "exception.type").unwrap())
            .collect::<Vec<_>>()
    };

    // The page with one query an order.
    let page = with("/account/orders", 200);
    let text_of = |span: &Span| text(&span.attributes, "db.query.text");
    let repeated: Vec<_> = page
        .iter()
        .filter(|span| span.name == "SELECT order_items")
        .collect();
    assert!(repeated.len() >= 10, "{}", repeated.len());
    assert!(
        repeated
            .iter()
            .all(|span| text_of(span) == text_of(repeated[0]))
    );
    assert!(
        repeated
            .iter()
            .all(|span| span.parent_span_id == repeated[0].parent_span_id)
    );
    assert_eq!(
        text(&repeated[0].attributes, "db.system.name").as_deref(),
        Some("sqlite")
    );

    // The failures have their exceptions.
    let broken = with("/checkout", 502);
    let check = broken.iter().find(|span| span.name == "check_ledger");
    let check = check.unwrap();
    assert_eq!(check.status.as_ref().unwrap().code(), StatusCode::Error);
    let kinds = exceptions(&[check]);
    assert!(kinds[0].ends_with("inventory::LedgerMismatch"), "{kinds:?}");
    let said = text(&check.events[0].attributes, "exception.message");
    let expected = "stock of clock-brass is -3, expected 200";
    assert_eq!(said.as_deref(), Some(expected));
    let timed_out = exceptions(&with("/checkout", 504));
    assert!(
        timed_out.iter().any(|kind| kind.ends_with("Refusal")),
        "{timed_out:?}"
    );
    let declined = with("/checkout", 402);
    let charge = declined
        .iter()
        .find(|span| span.name == "shop.v1.Payments/Charge" && span.kind() == SpanKind::Server);
    let status = text(&charge.unwrap().attributes, "rpc.status_code");
    assert_eq!(status.as_deref(), Some("FAILED_PRECONDITION"));

    // Nobody's card is in it.
    assert!(!format!("{exported:?}").contains("4242424242424242"));
}

#[tokio::test]
async fn a_rate_that_is_none_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = Options {
            rate_per_s: rate,
            ..Options::new("http://127.0.0.1:1")
        };
        Shop::start(options).await.unwrap_err();
    }
}
