//! How to send a first request: shown wherever there is no data at all.

use crate::Web;
use crate::i18n::Messages;

/// What a developer pastes, with the real addresses in it.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) cargo: String,
    pub(crate) rust: String,
    pub(crate) env: String,
    pub(crate) grpc_note: String,
    pub(crate) curl: String,
}

impl Start {
    /// For this process's receivers.
    pub(crate) fn new(web: &Web, t: &'static Messages) -> Self {
        let (grpc, http) = (web.config.otlp_grpc.as_str(), web.config.otlp_http.as_str());
        Self {
            cargo: CARGO.into(),
            rust: RUST.replace("{endpoint}", grpc),
            env: ENV.replace("{endpoint}", http),
            grpc_note: t.text(t.start_grpc, &[("endpoint", grpc.into())]),
            curl: CURL.replace("{endpoint}", http),
        }
    }

    /// Whether there has never been anything to show.
    pub(crate) fn needed(web: &Web) -> bool {
        web.newest().is_none() && web.answers.books().received == 0
    }
}

const CARGO: &str = "cargo add hoplog-tower";

const RUST: &str = r#"use hoplog_tower::Telemetry;
let telemetry = Telemetry::builder("orders").endpoint("{endpoint}").install()?;
let app = axum::Router::new()
    .route("/orders/{id}", get(show_order))
    .layer(telemetry.server_layer());"#;

const ENV: &str = r"export OTEL_SERVICE_NAME=orders
export OTEL_TRACES_EXPORTER=otlp
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}";

const CURL: &str = r#"curl {endpoint}/v1/traces -H 'content-type: application/json' -d '{
  "resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "hello"}}]},
    "scopeSpans": [{"spans": [{
      "traceId": "'$(openssl rand -hex 16)'", "spanId": "'$(openssl rand -hex 8)'",
      "name": "GET /hello", "kind": 2,
      "startTimeUnixNano": "'$(date +%s)000000000'", "endTimeUnixNano": "'$(date +%s)042000000'"
    }]}]
  }]
}'"#;
