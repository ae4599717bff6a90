//! The client side for reqwest, against a real listener.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use hoplog_tower::{Operation, TracedClient};
use opentelemetry::trace::SpanKind;
use tower::Service;

use crate::support::{Running, attribute, exception, is_error, listener, service};

async fn echo_parent(headers: HeaderMap) -> String {
    headers
        .get("traceparent")
        .map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// A server that says which traceparent it got.
async fn echo() -> (Running, String) {
    let (listener, address) = listener().await;
    let app = Router::new()
        .route("/parent", get(echo_parent))
        .route("/gone", get(|| async { (StatusCode::NOT_FOUND, "gone") }));
    let server = Running::start(|stop| async move {
        let serve = axum::serve(listener, app);
        serve
            .with_graceful_shutdown(async move { stop.notified().await })
            .await
            .unwrap();
    });
    (server, format!("http://{address}"))
}

#[tokio::test]
async fn a_call_is_a_span_under_the_current_one_and_sends_its_context() {
    let (telemetry, spans) = service("orders");
    let (server, url) = echo().await;
    let client = telemetry.http_client(reqwest::Client::new());
    let call = client
        .get(format!("{url}/parent?sig=abc#part"))
        .template("/{what}");
    let (address, text) = Operation::step("work")
        .of(&telemetry)
        .run(async {
            let response = call.send().await.unwrap();
            assert_eq!(response.content_length(), Some(55));
            assert!(spans.all().is_empty(), "the body is still to be read");
            (response.url().clone(), response.text().await.unwrap())
        })
        .await;
    assert_eq!(address.path(), "/parent", "the response keeps its URL");

    let span = spans.of_kind(&SpanKind::Client).remove(0);
    let work = spans.named("work");
    assert_eq!(span.parent_span_id, work.span_context.span_id());
    let own = &span.span_context;
    assert_eq!(text, format!("00-{}-{}-03", own.trace_id(), own.span_id()));
    assert_eq!(span.name, "GET /{what}");
    assert!(!is_error(&span));
    let port = address.port().unwrap().to_string();
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("url.full", &format!("{url}/parent?sig=REDACTED")),
        ("url.template", "/{what}"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(expected), "{key}");
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn every_error_answer_is_one_to_the_client_and_an_unread_body_is_none() {
    let (telemetry, spans) = service("orders");
    let (server, url) = echo().await;
    let mut client = telemetry.http_client(reqwest::Client::new());
    let gone = client.get(format!("{url}/gone")).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    drop(gone);
    // As a tower service.
    let request = reqwest::Client::new()
        .get(format!("{url}/parent"))
        .build()
        .unwrap();
    drop(client.call(request).await.unwrap());

    let all = spans.all();
    assert_eq!(all.len(), 2);
    assert!(is_error(&all[0]));
    assert_eq!(attribute(&all[0], "error.type").as_deref(), Some("404"));
    assert!(!is_error(&all[1]));
    assert_eq!(attribute(&all[1], "error.type"), None);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_fails_says_how_without_its_secrets() {
    let (telemetry, spans) = service("orders");
    let (listener, address) = listener().await;
    drop(listener);
    let client = telemetry.http_client(reqwest::Client::new());
    let url = format!("http://ann:hidden@{address}/?token=hidden");
    client.get(url).send().await.unwrap_err();
    let span = spans.only();
    assert!(is_error(&span));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("connect"));
    assert_eq!(exception(&span).0, "connect");
    assert!(!format!("{span:?}").contains("hidden"), "{span:#?}");
}

#[tokio::test]
async fn a_url_that_does_not_parse_is_the_error_of_send() {
    let client = TracedClient::new(reqwest::Client::new());
    client.get("no url").send().await.unwrap_err();
}

#[tokio::test]
async fn a_call_given_up_is_cancelled_and_no_error() {
    let (telemetry, spans) = service("orders");
    // Takes connections and never answers.
    let (_listener, address) = listener().await;
    let client = telemetry.http_client(reqwest::Client::new());
    let mut call = Box::pin(client.get(format!("http://{address}/")).send());
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    drop(call);
    let span = spans.only();
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
    assert!(!is_error(&span));
}
