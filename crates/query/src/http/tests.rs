//! The API as clients see it.

use super::http_routes;
use crate::answers::testing::{World, trace_id};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

struct Got {
    status: StatusCode,
    media_type: String,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn get_as(router: &Router, path: &str, accept: &str) -> Got {
    let request = Request::get(path)
        .header(header::ACCEPT, accept)
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let media_type = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap()
        .to_vec();
    Got {
        status,
        media_type,
        body,
    }
}

async fn get(router: &Router, path: &str) -> Got {
    get_as(router, path, "*/*").await
}

async fn shop() -> (World, Router) {
    let world = World::shop().await;
    let router = http_routes(world.answers.clone());
    (world, router)
}

#[tokio::test]
async fn every_answer_has_its_shape() {
    let (_world, router) = shop().await;
    let id = trace_id(3);
    for (name, path) in [
        (
            "requests",
            "/api/v1/requests?q=entry:gateway&limit=1&sort=slowest".to_owned(),
        ),
        ("request", format!("/api/v1/requests/{id}")),
        ("otlp", format!("/api/v1/requests/{id}/otlp")),
        ("services", "/api/v1/services".to_owned()),
        (
            "interfaces",
            "/api/v1/services/gateway/interfaces".to_owned(),
        ),
        (
            "latency",
            "/api/v1/latency?service=gateway&kind=server&step=30m".to_owned(),
        ),
        ("books", "/api/v1/books".to_owned()),
    ] {
        let got = get(&router, &path).await;
        assert_eq!(
            (got.status, got.media_type.as_str()),
            (StatusCode::OK, "application/json"),
            "{path}"
        );
        let mut json = got.json();
        // What a search read is the store's business.
        if let Some(cost) = json.get_mut("cost") {
            *cost = Value::String("of the store".to_owned());
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, sort_maps => true }, {
            insta::assert_json_snapshot!(format!("api_{name}"), json);
        });
    }
}

#[tokio::test]
async fn statements_have_their_shape() {
    let world = World::statements().await;
    let router = http_routes(world.answers.clone());
    let got = get(&router, "/api/v1/queries?limit=2").await;
    assert_eq!(got.status, StatusCode::OK);
    insta::with_settings!({ prepend_module_to_snapshot => false, sort_maps => true }, {
        insta::assert_json_snapshot!("api_queries", got.json());
    });
    let wrong = get(&router, "/api/v1/queries?limit=1000").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.json()["at"], "limit");
}

#[tokio::test]
async fn every_error_says_what_and_where() {
    let (world, router) = shop().await;
    for (name, path, status) in [
        (
            "unknown_parameter",
            "/api/v1/requests?qq=x&limit=1".to_owned(),
            400,
        ),
        ("no_parameters_here", "/api/v1/books?x=1".to_owned(), 400),
        (
            "parameter_twice",
            "/api/v1/requests?q=a&q=b".to_owned(),
            400,
        ),
        (
            "query",
            "/api/v1/requests?q=service:paymnts%20duration:%3E1sec%20status:eror".to_owned(),
            400,
        ),
        ("cursor", "/api/v1/requests?cursor=abc".to_owned(), 400),
        ("sort", "/api/v1/requests?sort=best".to_owned(), 400),
        ("time", "/api/v1/services?from=yesterday".to_owned(), 400),
        ("kind", "/api/v1/latency?kind=cat".to_owned(), 400),
        ("trace_id", "/api/v1/requests/12".to_owned(), 400),
        ("not_utf8", "/api/v1/requests/%FF".to_owned(), 400),
        (
            "no_such_request",
            format!("/api/v1/requests/{}", trace_id(99)),
            404,
        ),
        (
            "no_such_spans",
            format!("/api/v1/requests/{}/otlp", trace_id(99)),
            404,
        ),
        ("no_such_path", "/api/v2/requests".to_owned(), 404),
    ] {
        let got = get(&router, &path).await;
        assert_eq!(got.status.as_u16(), status, "{path}");
        assert_eq!(got.media_type, "application/problem+json", "{path}");
        insta::with_settings!({ prepend_module_to_snapshot => false, sort_maps => true }, {
            insta::assert_json_snapshot!(format!("problem_{name}"), got.json());
        });
    }
    *world.pipeline.ready.lock().unwrap() = Err("the inbox is still being read".to_owned());
    let got = get(&router, "/readyz").await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(got.json()["detail"], "the inbox is still being read");
    let post = Request::post("/api/v1/books").body(Body::empty()).unwrap();
    let response = router.oneshot(post).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn spans_are_protobuf_when_asked_for() {
    let (_world, router) = shop().await;
    let path = format!("/api/v1/requests/{}/otlp", trace_id(1));
    let got = get_as(&router, &path, "application/x-protobuf").await;
    assert_eq!(got.media_type, "application/x-protobuf");
    let (id, spans) = hoplog_otlp::SpanSet::read_traces(&got.body).unwrap();
    assert_eq!((id, spans.len()), (Some(trace_id(1)), 3));
}

#[tokio::test]
async fn the_machine_pages_answer() {
    let (_world, router) = shop().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&router, path).await.status, StatusCode::OK);
    }
    let got = get(&router, "/metrics").await;
    assert_eq!(got.media_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(got.body).unwrap();
    // The memory store's bytes are what its structs take, which is no promise.
    let lines = text.lines().map(|line| match line.split_once(' ') {
        Some(("hoplog_store_bytes", _)) => "hoplog_store_bytes (bytes)",
        _ => line,
    });
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("metrics", lines.collect::<Vec<_>>().join("\n"));
    });
}

/// The status, and whether the call changed anything.
async fn keep(router: &Router, method: http::Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_request_is_kept_until_it_is_let_go() {
    let (_world, router) = shop().await;
    let row = format!("/api/v1/requests/{}", trace_id(1));
    let path = format!("{row}/keep");
    let is_flagged = async |path: &str| {
        let got = get(&router, path).await.json();
        let flags = got["flags"].as_array().cloned().unwrap();
        flags.contains(&Value::from("kept"))
    };
    assert!(!is_flagged(&row).await);
    for changed in [true, false] {
        let (status, body) = keep(&router, http::Method::PUT, &path).await;
        assert_eq!(
            (status, &body["kept"]),
            (StatusCode::OK, &Value::from(true))
        );
        assert_eq!(body["changed"], changed);
        assert!(is_flagged(&row).await);
    }
    let list = get(&router, "/api/v1/requests?limit=1000").await.json();
    let text = list["requests"].to_string();
    assert_eq!(text.matches("\"kept\"").count(), 1, "{text}");
    let (_, body) = keep(&router, http::Method::DELETE, &path).await;
    assert_eq!(body["changed"], true);
    assert!(!is_flagged(&row).await);
    // One whose spans are still on their way can be kept, too.
    let unknown = "/api/v1/requests/000000000000000000000000000000aa/keep";
    let (status, body) = keep(&router, http::Method::PUT, unknown).await;
    assert_eq!(
        (status, &body["changed"]),
        (StatusCode::OK, &Value::from(true))
    );
    let (status, body) = keep(&router, http::Method::POST, &path).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let said = body["detail"].as_str().unwrap();
    assert!(said.contains("takes PUT and DELETE"), "{said}");
}
