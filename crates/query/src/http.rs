//! The HTTP API: `/api/v1`, `/healthz`, `/readyz`, `/metrics`.

mod accept;
mod metrics;
mod params;
mod problem;
mod shapes;

use crate::answers::{Answers, LatencyInput, QueriesInput, SearchInput};
use crate::lang;
use crate::{ErrorCode, QueryError};
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use hoplog_model::TraceId;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use params::Params;
use problem::Problem;
use std::sync::Arc;

type Answer = Result<Response, Problem>;
type PathPart<T> = Result<Path<T>, PathRejection>;

/// The routes of the API and of the machine's own pages. Everything else under `/api` is a 404 as
/// `application/problem+json`; other paths are left to whom these routes are merged into.
pub fn http_routes(answers: Arc<Answers>) -> Router {
    let api = Router::new()
        .route("/v1/requests", get(search))
        .route("/v1/requests/{trace_id}", get(request))
        .route("/v1/requests/{trace_id}/otlp", get(spans))
        .route("/v1/requests/{trace_id}/keep", put(keep).delete(let_go))
        .route("/v1/services", get(services))
        .route("/v1/services/{service}/interfaces", get(interfaces))
        .route("/v1/latency", get(latency))
        .route("/v1/queries", get(queries))
        .route("/v1/books", get(books))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::map_response(uncached));
    let own = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(axum::middleware::map_response(uncached));
    own.nest("/api", api).with_state(answers)
}

async fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    let what = format!("there is nothing at {}", uri.path());
    QueryError::new(ErrorCode::NotFound, what).into()
}

async fn no_such_method(method: http::Method, OriginalUri(uri): OriginalUri) -> Problem {
    let takes = if uri.path().ends_with("/keep") {
        "PUT and DELETE"
    } else {
        "GET"
    };
    let what = format!("{} takes {takes}, not {method}", uri.path());
    Problem::of_status(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", what)
}

fn part<T>(path: PathPart<T>) -> Result<T, Problem> {
    let Path(part) = path.map_err(|error| QueryError::invalid("path", error.body_text()))?;
    Ok(part)
}

fn trace_id(path: PathPart<String>) -> Result<TraceId, Problem> {
    let text = part(path)?;
    let wrong = |error: hoplog_model::IdError| QueryError::invalid("trace_id", error.to_string());
    Ok(text.parse().map_err(wrong)?)
}

fn not_found(trace_id: TraceId) -> QueryError {
    let what = format!("there is no request {trace_id}, or retention has dropped it");
    QueryError {
        at: Some("trace_id".to_owned()),
        ..QueryError::new(ErrorCode::NotFound, what)
    }
}

async fn search(State(answers): State<Arc<Answers>>, uri: Uri) -> Answer {
    let params = Params::read(&uri, &["q", "from", "to", "sort", "limit", "cursor"])?;
    let sort = params.text("sort").map(|name| {
        lang::sort_of(name).ok_or_else(|| {
            QueryError::invalid(
                "sort",
                "the order is newest (or -start) or slowest (or -duration)",
            )
        })
    });
    let input = SearchInput {
        q: params.text("q").unwrap_or_default().to_owned(),
        from: params.time("from")?,
        to: params.time("to")?,
        sort: sort.transpose()?,
        limit: params.number("limit")?,
        cursor: params.text("cursor").map(str::to_owned),
    };
    let list = answers
        .search(&input)
        .await
        .map_err(|error| Problem::of_query(error, &input.q))?;
    Ok(Json(shapes::list(&list)).into_response())
}

async fn request(State(answers): State<Arc<Answers>>, path: PathPart<String>, uri: Uri) -> Answer {
    Params::read(&uri, &[])?;
    let trace_id = trace_id(path)?;
    let found = answers
        .request(&trace_id)
        .await?
        .ok_or_else(|| not_found(trace_id))?;
    Ok(Json(shapes::request(&found.summary)).into_response())
}

async fn spans(
    State(answers): State<Arc<Answers>>,
    path: PathPart<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    Params::read(&uri, &[])?;
    let trace_id = trace_id(path)?;
    let found = answers
        .request(&trace_id)
        .await?
        .ok_or_else(|| not_found(trace_id))?;
    let mut bytes = Vec::new();
    found.spans.write_traces(&mut bytes);
    let media_type = accept::otlp(&headers);
    if media_type == accept::JSON {
        bytes = hoplog_otlp::json::encode(&bytes).map_err(|error| {
            let what = format!("damaged data: {error}");
            QueryError {
                at: Some(format!("request {trace_id}")),
                ..QueryError::new(ErrorCode::Internal, what)
            }
        })?;
    }
    let headers = [(header::CONTENT_TYPE, media_type), (header::VARY, "accept")];
    Ok((headers, bytes).into_response())
}

async fn keep(State(answers): State<Arc<Answers>>, path: PathPart<String>, uri: Uri) -> Answer {
    set_kept(&answers, path, &uri, true).await
}

async fn let_go(State(answers): State<Arc<Answers>>, path: PathPart<String>, uri: Uri) -> Answer {
    set_kept(&answers, path, &uri, false).await
}

async fn set_kept(answers: &Answers, path: PathPart<String>, uri: &Uri, is_kept: bool) -> Answer {
    Params::read(uri, &[])?;
    let trace_id = trace_id(path)?;
    let changed = answers.keep(trace_id, is_kept).await?;
    Ok(Json(shapes::kept(trace_id, is_kept, changed)).into_response())
}

async fn services(State(answers): State<Arc<Answers>>, uri: Uri) -> Answer {
    let params = Params::read(&uri, &["from", "to"])?;
    let window = answers.window(params.time("from")?, params.time("to")?)?;
    Ok(Json(shapes::services(&answers.services(window).await?)).into_response())
}

async fn interfaces(
    State(answers): State<Arc<Answers>>,
    path: PathPart<String>,
    uri: Uri,
) -> Answer {
    let params = Params::read(&uri, &["from", "to"])?;
    let window = answers.window(params.time("from")?, params.time("to")?)?;
    let lines = answers.interfaces(&part(path)?, window).await?;
    Ok(Json(shapes::interfaces(&lines)).into_response())
}

async fn latency(State(answers): State<Arc<Answers>>, uri: Uri) -> Answer {
    let names = ["service", "interface", "kind", "from", "to", "step"];
    let params = Params::read(&uri, &names)?;
    let kind = params.text("kind").map(|name| {
        name.parse().map_err(|()| {
            let what = "the kind is server, client, producer, consumer or internal";
            QueryError::invalid("kind", what)
        })
    });
    let input = LatencyInput {
        service: params.text("service").map(str::to_owned),
        interface: params.text("interface").map(str::to_owned),
        kind: kind.transpose()?,
        from: params.time("from")?,
        to: params.time("to")?,
        step: params.duration("step")?,
    };
    Ok(Json(shapes::latency(&answers.latency(&input).await?)).into_response())
}

async fn queries(State(answers): State<Arc<Answers>>, uri: Uri) -> Answer {
    let params = Params::read(&uri, &["service", "from", "to", "limit"])?;
    let input = QueriesInput {
        service: params.text("service").map(str::to_owned),
        from: params.time("from")?,
        to: params.time("to")?,
        limit: params.number("limit")?,
    };
    Ok(Json(shapes::queries(&answers.queries(&input).await?)).into_response())
}

async fn books(State(answers): State<Arc<Answers>>, uri: Uri) -> Answer {
    Params::read(&uri, &[])?;
    Ok(Json(answers.books()).into_response())
}

async fn ready(State(answers): State<Arc<Answers>>) -> Answer {
    match answers.ready() {
        Ok(()) => Ok("ready\n".into_response()),
        Err(why) => Err(QueryError::new(ErrorCode::Unavailable, why).into()),
    }
}

async fn metrics(State(answers): State<Arc<Answers>>) -> Answer {
    let text = metrics::write(
        &answers.books(),
        &answers.pipeline(),
        &answers.health().await?,
        answers.ready().is_ok(),
    );
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests;
