//! Which web pages may send spans from a browser (OTLP/HTTP): none unless configured.

use crate::config::Config;
use ::http::request::Parts;
use ::http::{HeaderValue, Method, header};
use axum::Router;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Answers preflights and marks every answer, errors too. Beacons run with credentials, so the very
/// origin is echoed, never `*`.
pub(crate) fn allow(routes: Router, config: &Config) -> Router {
    if config.cors_origins.is_empty() {
        return routes;
    }
    let patterns = config.cors_origins.clone();
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        let origin = origin.to_str().unwrap_or_default();
        patterns.iter().any(|pattern| fits(pattern, origin))
    };
    routes.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(allowed))
            .allow_credentials(true)
            .allow_methods([Method::POST])
            .allow_headers(AllowHeaders::list([
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::AUTHORIZATION,
                header::HeaderName::from_static("traceparent"),
                header::HeaderName::from_static("tracestate"),
            ]))
            .max_age(Duration::from_secs(600)),
    )
}

/// `https://*.example` fits `https://a.example` and `https://a.b.example`, one star at most.
fn fits(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((head, tail)) => {
            origin.len() >= head.len() + tail.len()
                && origin.starts_with(head)
                && origin.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_subdomains() {
        assert!(fits("https://*.example", "https://shop.example"));
        assert!(!fits("https://*.example", "https://example"));
        assert!(!fits("https://*.example", "http://shop.example"));
        assert!(fits("http://localhost:3000", "http://localhost:3000"));
    }
}
