//! `#[instrument]` and log lines under the hop.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use hoplog_tower::{Operation, ServerLayer};
use opentelemetry_sdk::trace::SpanData;
use tower::ServiceExt;
use tracing_subscriber::prelude::*;

use crate::support::{Spans, service};

#[tracing::instrument]
async fn price_cart(items: u32) -> u32 {
    tracing::info!(items, "priced");
    Operation::query("sqlite", "SELECT prices", "SELECT 1")
        .run(async {})
        .await;
    items * 3
}

async fn handler() -> String {
    tracing::warn!(shelf = "top", "asked for a price");
    price_cart(2).await.to_string()
}

fn app(layer: ServerLayer) -> Router {
    Router::new().route("/price", get(handler)).layer(layer)
}

async fn ask(app: Router) {
    let request = Request::get("/price").body(Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
}

fn event_names(span: &SpanData) -> Vec<String> {
    span.events
        .iter()
        .map(|event| event.name.to_string())
        .collect()
}

fn check(spans: &Spans) {
    let hop = spans.named("GET /price");
    let step = spans.named("price_cart");
    let query = spans.named("SELECT prices");
    assert_eq!(step.parent_span_id, hop.span_context.span_id());
    assert_eq!(query.parent_span_id, step.span_context.span_id());
    assert_eq!(event_names(&hop), ["asked for a price"]);
    assert_eq!(event_names(&step), ["priced"]);
    let shelf = hop.events[0]
        .attributes
        .iter()
        .find(|pair| pair.key.as_str() == "shelf");
    assert_eq!(shelf.expect("the line's fields").value.to_string(), "top");
}

#[tokio::test]
async fn spans_and_log_lines_of_a_service_hang_under_its_hop() {
    let (telemetry, spans) = service("prices");
    let subscriber = tracing_subscriber::registry().with(telemetry.tracing_layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    ask(app(telemetry.server_layer())).await;
    check(&spans);
}

#[tokio::test]
async fn one_layer_serves_several_services_in_one_process() {
    let (first, first_spans) = service("first");
    let (second, second_spans) = service("second");
    let subscriber = tracing_subscriber::registry().with(hoplog_tower::tracing_layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    ask(app(first.server_layer())).await;
    ask(app(second.server_layer())).await;
    check(&first_spans);
    check(&second_spans);
    assert_eq!((first_spans.all().len(), second_spans.all().len()), (3, 3));
}
