//! Who may talk to us: no other site, by whatever name it reaches this machine.
//!
//! A page of another site can point a name of its own at 127.0.0.1 (DNS rebinding) and then read
//! what we answer; so the host must be an IP address, a loopback name, or one that is configured.
//! It can also post a form to us (CSRF); so what changes something must come from our own origin.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Request, StatusCode, header};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Refuses requests to unknown hosts and forms from other sites with 403. For every route that
/// shares the port: pages, HTTP API and gRPC.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    hosts: Arc<[String]>,
}

impl GuardLayer {
    /// Allows IP addresses, `localhost` and these host names (without port; case does not matter).
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self {
            hosts: hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
        }
    }

    fn allows(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let host = authority(request).ok_or(Refusal::Host)?;
        if !self.knows(host_name(host)) {
            return Err(Refusal::Host);
        }
        let safe = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        if safe || from_here(request.headers(), host) {
            Ok(())
        } else {
            Err(Refusal::Origin)
        }
    }

    fn knows(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.contains(&name)
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its host name is not ours.
    Host,
    /// It comes from another site.
    Origin,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Host => {
                "This host name is not one hoplog answers to. Allow it in the configuration.\n"
            }
            Self::Origin => "This request was sent by another site.\n",
        };
        (StatusCode::FORBIDDEN, why).into_response()
    }
}

/// The host that was asked for, with its port.
fn authority(request: &Request<Body>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) && !name.is_empty() => name,
        _ => authority,
    }
}

/// Whether what changes something comes from our own pages, or from a program that is no browser.
fn from_here(headers: &HeaderMap, host: &str) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("");
        return origin
            .split_once("://")
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host));
    }
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    // A browser sends one of the two with every form; a program sends no form.
    let kind = text(header::CONTENT_TYPE)
        .unwrap_or("")
        .to_ascii_lowercase();
    let form = [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ];
    !form.iter().any(|form| kind.starts_with(form))
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`GuardLayer`].
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.layer.allows(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(refusal) => Box::pin(std::future::ready(Ok(refusal.into_response()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().method(method).uri("/settings");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let layer = GuardLayer::new(["Hoplog.example".into()]);
        layer.allows(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn only_known_hosts_are_answered() {
        for host in [
            "127.0.0.1:7717",
            "localhost",
            "[::1]:7717",
            "10.1.2.3",
            "hoplog.example:80",
        ] {
            assert_eq!(ask(Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "",
            ":7717",
            "127.0.0.1.evil",
        ] {
            assert_eq!(
                ask(Method::GET, &[("host", host)]),
                Err(Refusal::Host),
                "{host}"
            );
        }
        assert_eq!(ask(Method::GET, &[]), Err(Refusal::Host));
    }

    #[test]
    fn forms_come_from_our_own_pages() {
        let host = ("host", "localhost:7717");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let post = |more: &[(&str, &str)]| ask(Method::POST, &[&[host, form], more].concat());
        assert_eq!(post(&[("origin", "http://localhost:7717")]), Ok(()));
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), Ok(()));
        for other in [
            "http://localhost:9",
            "null",
            "http://evil.example",
            "localhost:7717",
        ] {
            assert_eq!(post(&[("origin", other)]), Err(Refusal::Origin), "{other}");
        }
        assert_eq!(
            post(&[("sec-fetch-site", "cross-site")]),
            Err(Refusal::Origin)
        );
        assert_eq!(
            post(&[]),
            Err(Refusal::Origin),
            "no browser, or one that hides"
        );
        let grpc = ask(Method::POST, &[host, ("content-type", "application/grpc")]);
        assert_eq!(grpc, Ok(()), "no form");
    }
}
