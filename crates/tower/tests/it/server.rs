//! The server layer around an axum router.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderName, Method, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use hoplog_tower::context;
use http_body::Body as _;
use http_body_util::{BodyExt, Full, StreamBody};
use opentelemetry::trace::SpanKind;
use tower::ServiceExt;

use crate::support::{
    Running, SPAN, TRACE, attribute, exception, is_error, is_root, listener, parent, service,
};

type Chunk = Result<http_body::Frame<&'static [u8]>, std::io::Error>;

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// A body of these frames that does not know its length.
fn stream(frames: Vec<Chunk>) -> Body {
    let frames = frames
        .into_iter()
        .map(|frame| frame.map(|f| f.map_data(bytes::Bytes::from_static)));
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

fn chunk(text: &'static str) -> Chunk {
    Ok(http_body::Frame::data(text.as_bytes()))
}

/// Sends the request through the router and reads the whole answer.
async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_without_context_starts_a_trace_with_the_stable_attributes() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { format!("order {id}") }),
        )
        .layer(telemetry.server_layer());
    let request = Request::get("/orders/7?page=2&token=abc")
        .header("host", "shop.example:8080")
        .header("user-agent", "test/1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        send(app, request).await,
        (StatusCode::OK, "order 7".to_owned())
    );

    let span = spans.only();
    assert_eq!(span.name, "GET /orders/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert!(is_root(&span) && !is_error(&span));
    for (key, expected) in [
        ("http.request.method", Some("GET")),
        ("url.path", Some("/orders/7")),
        ("url.query", Some("page=2&token=REDACTED")),
        ("url.scheme", Some("http")),
        ("http.route", Some("/orders/{id}")),
        ("http.response.status_code", Some("200")),
        ("server.address", Some("shop.example")),
        ("server.port", Some("8080")),
        ("user_agent.original", Some("test/1")),
        ("network.protocol.version", Some("1.1")),
        ("error.type", None),
        ("http.request.method_original", None),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), expected, "{key}");
    }
    assert!(span.end_time >= span.start_time);
}

#[tokio::test]
async fn the_callers_context_goes_in_and_the_hops_own_goes_out() {
    for (given, out_flags) in [("01", "01"), ("03", "03")] {
        let (telemetry, spans) = service("orders");
        let app = Router::new()
            .route("/", get(|| async { context::traceparent().unwrap() }))
            .layer(telemetry.server_layer());
        let mut request = request("/");
        request
            .headers_mut()
            .insert("traceparent", parent(given).parse().unwrap());
        let (_, inside) = send(app, request).await;
        let span = spans.only();
        assert_eq!(span.span_context.trace_id().to_string(), TRACE);
        assert_eq!(span.parent_span_id.to_string(), SPAN);
        assert!(span.parent_span_is_remote);
        let own = span.span_context.span_id();
        assert_eq!(inside, format!("00-{TRACE}-{own}-{out_flags}"));
    }
}

#[tokio::test]
async fn a_trace_begun_here_says_that_its_id_is_random() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route("/", get(|| async { context::traceparent().unwrap() }))
        .layer(telemetry.server_layer());
    let (_, inside) = send(app, request("/")).await;
    let own = spans.only().span_context;
    assert_eq!(
        inside,
        format!("00-{}-{}-03", own.trace_id(), own.span_id())
    );
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_recorded_and_says_so_further_on() {
    for flags in ["00", "02"] {
        let (telemetry, spans) = service("orders");
        let app = Router::new()
            .route("/", get(|| async { context::traceparent().unwrap() }))
            .layer(telemetry.server_layer());
        let mut request = request("/");
        request
            .headers_mut()
            .insert("traceparent", parent(flags).parse().unwrap());
        let (_, inside) = send(app, request).await;
        assert!(spans.all().is_empty());
        assert!(inside.starts_with(&format!("00-{TRACE}-")), "{inside}");
        assert!(inside.ends_with(&format!("-{flags}")), "{inside}");
    }
}

#[tokio::test]
async fn an_excluded_path_has_no_span_and_passes_the_callers_context_on_unchanged() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route(
            "/health",
            get(|| async {
                context::inject()
                    .into_iter()
                    .map(|p| p.1)
                    .collect::<String>()
            }),
        )
        .layer(telemetry.server_layer().exclude("/health"));
    let mut with_caller = request("/health");
    with_caller
        .headers_mut()
        .insert("traceparent", parent("03").parse().unwrap());
    with_caller
        .headers_mut()
        .append("tracestate", "a=1".parse().unwrap());
    with_caller
        .headers_mut()
        .append("tracestate", "b=2".parse().unwrap());
    let (_, inside) = send(app.clone(), with_caller).await;
    assert_eq!(inside, format!("{}a=1,b=2", parent("03")));

    let (_, inside) = send(app, request("/health")).await;
    assert_eq!(inside, "", "there is no context without a caller");
    assert!(spans.all().is_empty());
}

#[tokio::test]
async fn only_the_servers_own_failures_are_errors() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route("/gone", any(|| async { StatusCode::NOT_FOUND }))
        .route("/broken", any(|| async { (StatusCode::BAD_GATEWAY, "no") }))
        .layer(telemetry.server_layer());
    send(app.clone(), request("/gone")).await;
    send(app.clone(), request("/broken")).await;
    let strange = Request::builder()
        .method(Method::from_bytes(b"BREW").unwrap())
        .uri("/nowhere")
        .body(Body::empty())
        .unwrap();
    send(app, strange).await;

    let all = spans.all();
    assert!(!is_error(&all[0]));
    assert_eq!(
        attribute(&all[0], "http.response.status_code").as_deref(),
        Some("404")
    );
    assert_eq!(attribute(&all[0], "error.type"), None);
    assert!(is_error(&all[1]));
    assert_eq!(attribute(&all[1], "error.type").as_deref(), Some("502"));
    assert_eq!(all[2].name, "HTTP");
    assert_eq!(
        attribute(&all[2], "http.request.method").as_deref(),
        Some("_OTHER")
    );
    assert_eq!(
        attribute(&all[2], "http.request.method_original").as_deref(),
        Some("BREW")
    );
    assert_eq!(attribute(&all[2], "http.route"), None);
}

#[tokio::test]
async fn the_span_ends_with_the_last_byte_of_the_body() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route(
            "/",
            get(|| async { stream(vec![chunk("one"), chunk("two")]) }),
        )
        .layer(telemetry.server_layer());
    let mut body = app.oneshot(request("/")).await.unwrap().into_body();
    for expected in ["one", "two"] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
        assert!(spans.all().is_empty(), "still streaming");
    }
    assert!(body.frame().await.is_none());
    assert_eq!(attribute(&spans.only(), "error.type"), None);
}

#[tokio::test]
async fn a_body_given_up_half_way_is_cancelled_and_no_error() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route(
            "/",
            get(|| async { stream(vec![chunk("one"), chunk("two")]) }),
        )
        .layer(telemetry.server_layer());
    let mut body = app.oneshot(request("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let span = spans.only();
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
    assert_eq!(
        attribute(&span, "http.response.status_code").as_deref(),
        Some("200")
    );
    assert!(!is_error(&span));
}

#[tokio::test]
async fn a_body_that_fails_is_an_error() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route(
            "/",
            get(|| async { stream(vec![chunk("one"), Err(std::io::Error::other("disk gone"))]) }),
        )
        .layer(telemetry.server_layer());
    let body = app.oneshot(request("/")).await.unwrap().into_body();
    body.collect().await.unwrap_err();
    let span = spans.only();
    assert!(is_error(&span));
    assert!(exception(&span).1.contains("disk gone"));
}

#[tokio::test]
async fn size_and_end_of_a_body_are_passed_on() {
    let (telemetry, spans) = service("orders");
    let layer = telemetry.server_layer();
    let service =
        tower::ServiceBuilder::new()
            .layer(layer)
            .service_fn(|path: Request<()>| async move {
                let text = if path.uri() == "/empty" { "" } else { "12345" };
                Ok::<_, Infallible>(http::Response::new(Full::new(bytes::Bytes::from_static(
                    text.as_bytes(),
                ))))
            });
    let full = service
        .clone()
        .oneshot(Request::get("/full").body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(full.body().size_hint().exact(), Some(5));
    assert!(!full.body().is_end_stream());
    let empty = service
        .oneshot(Request::get("/empty").body(()).unwrap())
        .await
        .unwrap();
    assert!(empty.body().is_end_stream());
    // Nobody asks an empty body for its end.
    assert_eq!(spans.all().len(), 1);
    // As a server does once the announced length is sent.
    let mut body = full.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(spans.all().len(), 2);
    assert!(
        spans
            .all()
            .iter()
            .all(|span| attribute(span, "error.type").is_none())
    );
}

#[tokio::test]
async fn a_request_given_up_before_its_answer_is_cancelled() {
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route("/", get(std::future::pending::<()>))
        .layer(telemetry.server_layer());
    let mut call = Box::pin(app.oneshot(request("/")));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    drop(call);
    let span = spans.only();
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
    assert_eq!(attribute(&span, "http.response.status_code"), None);
    assert!(!is_error(&span));
}

#[tokio::test]
async fn a_panic_is_noted_and_goes_on() {
    async fn handler() -> &'static str {
        panic!("stock of {} is wrong", "tea")
    }
    let (telemetry, spans) = service("orders");
    let app = Router::new()
        .route("/", get(handler))
        .layer(telemetry.server_layer());
    let outcome = tokio::spawn(app.oneshot(request("/"))).await;
    assert!(outcome.unwrap_err().is_panic());
    let span = spans.only();
    assert!(is_error(&span));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
    assert_eq!(
        exception(&span),
        ("panic".to_owned(), "stock of tea is wrong".to_owned())
    );
}

#[tokio::test]
async fn the_trace_id_is_in_the_answer_where_asked_for() {
    let (telemetry, spans) = service("orders");
    let layer = telemetry
        .server_layer()
        .trace_id_header(HeaderName::from_static("x-trace-id"));
    let app = Router::new()
        .route("/", get(|| async {}))
        .route(
            "/own",
            get(|| async { [("x-trace-id", "mine")].into_response() }),
        )
        .layer(layer);
    let response = app.clone().oneshot(request("/")).await.unwrap();
    let header = response.headers()["x-trace-id"]
        .to_str()
        .unwrap()
        .to_owned();
    drop(response);
    assert_eq!(header, spans.only().span_context.trace_id().to_string());
    let response = app.oneshot(request("/own")).await.unwrap();
    assert_eq!(response.headers()["x-trace-id"], "mine");
}

#[tokio::test]
async fn over_a_socket_the_peer_is_known_and_plain_answers_are_complete() {
    let (telemetry, spans) = service("orders");
    let (listener, address) = listener().await;
    let app = Router::new()
        .route("/text", get(|| async { "some text" }))
        .route("/none", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/length",
            get(|| async {
                (
                    [("content-length", "6")],
                    stream(vec![chunk("one"), chunk("two")]),
                )
            }),
        )
        .layer(telemetry.server_layer());
    let server = Running::start(|stop| async move {
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(listener, app);
        serve
            .with_graceful_shutdown(async move { stop.notified().await })
            .await
            .unwrap();
    });
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let url = |path: &str| format!("http://{address}{path}");
    assert_eq!(
        client
            .get(url("/text"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "some text"
    );
    assert_eq!(
        client
            .get(url("/length"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "onetwo"
    );
    client.get(url("/none")).send().await.unwrap();
    let head = client.head(url("/text")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "9");
    drop(client);
    server.stop().await;

    let all = spans.all();
    assert_eq!(all.len(), 4);
    for span in all {
        assert_eq!(attribute(&span, "error.type"), None, "{}", span.name);
        assert_eq!(
            attribute(&span, "network.peer.address").as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!(
            attribute(&span, "client.address").as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!(
            attribute(&span, "server.port"),
            Some(address.port().to_string())
        );
    }
}

#[tokio::test]
async fn an_installed_service_is_that_of_the_plain_layers() {
    let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
    hoplog_tower::Telemetry::builder("global")
        .ignore_environment()
        .span_processor(opentelemetry_sdk::trace::SimpleSpanProcessor::new(
            exporter.clone(),
        ))
        .install()
        .unwrap();
    let app = Router::new()
        .route("/", get(|| async { context::traceparent().unwrap() }))
        .layer(hoplog_tower::ServerLayer::new());
    let (_, inside) = send(app, request("/")).await;
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 1);
    assert!(inside.ends_with("-03"), "{inside}");
}
