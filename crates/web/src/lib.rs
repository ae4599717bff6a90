//! The pages: server-rendered, two languages, no JavaScript needed.
//!
//! A page is one file in [`pages`]: its parameters, its view struct (strings ready to print), how
//! the view is made of what [`Answers`] says, and a thin handler. Numbers are printed by
//! [`mod@format`], texts come from [`i18n`], sentences are put together by [`rich`].

mod assets;
mod charts;
mod chrome;
mod colour;
mod examples;
mod failure;
pub mod format;
mod guard;
pub mod i18n;
mod issues;
mod pages;
mod params;
mod range;
mod read;
mod reader;
pub mod rich;
mod tiles;
mod url;
mod waterfall;

pub use assets::{Assets, assets};
pub use guard::{Guard, GuardLayer};
pub use reader::{Reader, Theme};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use hoplog_model::UnixNanos;
use hoplog_query::Answers;
use hoplog_query::retention::Keep;
use http::{HeaderValue, header};
use std::sync::Arc;
use tower_http::compression::CompressionLayer;

/// What pages may load and do: only what comes from here. No inline style, no inline script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// What the pages know of the process around them.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Host names to answer to beside IP addresses and `localhost`, without port.
    pub hosts: Vec<String>,
    /// Where OTLP/gRPC is received, e.g. `http://127.0.0.1:4317`.
    pub otlp_grpc: String,
    /// Where OTLP/HTTP is received, e.g. `http://127.0.0.1:4318`.
    pub otlp_http: String,
    /// How long requests are kept, and how many bytes they may take.
    pub keep: Keep,
}

/// What every handler holds.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    pub(crate) answers: Arc<Answers>,
    pub(crate) config: Arc<Config>,
}

impl Web {
    pub(crate) fn now(&self) -> UnixNanos {
        self.answers.now()
    }

    /// When the newest span that readers can see was received.
    pub(crate) fn newest(&self) -> Option<UnixNanos> {
        self.answers.pipeline().newest_committed
    }
}

/// All pages and their static files, guarded by [`GuardLayer`], compressed, with their security
/// headers. Routes of others that share the port need the layer themselves.
pub fn router(answers: Arc<Answers>, config: Config) -> Router {
    let guard = GuardLayer::new(config.hosts.clone());
    let web = Web {
        answers,
        config: Arc::new(config),
    };
    Router::new()
        .route("/", get(pages::home::get))
        .route("/requests", get(pages::requests::get))
        .route("/requests/{trace_id}", get(pages::request::get))
        .route("/requests/{trace_id}/keep", post(pages::request::keep))
        .route("/services/{service}", get(pages::service::get))
        .route(
            "/services/{service}/{interface}",
            get(pages::interface::get),
        )
        .route("/queries", get(pages::queries::get))
        .route("/pipeline", get(pages::pipeline::get))
        .route("/go", get(pages::go::get))
        .route(
            "/settings",
            get(pages::settings::get).post(pages::settings::post),
        )
        .route("/static/{name}", get(assets::serve))
        .fallback(pages::error::not_found)
        .with_state(web)
        .layer(middleware::from_fn(headers))
        .layer(CompressionLayer::new())
        .layer(guard)
}

/// Sets what every answer carries; what a handler has set stays.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "Cookie, Accept-Language"),
    ];
    for (name, value) in set {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
