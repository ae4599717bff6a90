//! What a request says about a hop, in the names of OpenTelemetry's semantic conventions.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{KeyValue, StringValue};

use crate::hop::Protocol;
use crate::redact;

/// A hop's span as it starts on the server: name, kind and what the request's head tells.
pub(crate) fn server_span<B>(request: &Request<B>, protocol: Protocol) -> SpanBuilder {
    // Twelve are common; more than that grows the vector once.
    let mut attributes = Vec::with_capacity(12);
    let name = if protocol == Protocol::Grpc {
        rpc(request.uri().path(), &mut attributes)
    } else {
        let route = route(request.extensions());
        let name = name(request.method(), route.as_deref());
        method(request.method(), &mut attributes);
        attributes.push(KeyValue::new("url.path", request.uri().path().to_owned()));
        let scheme = request.uri().scheme_str().unwrap_or("http").to_owned();
        attributes.push(KeyValue::new("url.scheme", scheme));
        if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
            attributes.push(KeyValue::new(
                "url.query",
                redact::query(query).into_owned(),
            ));
        }
        if let Some(route) = route {
            attributes.push(KeyValue::new("http.route", route));
        }
        name
    };
    own_address(request, &mut attributes);
    if let Some(peer) = peer(request.extensions()) {
        let address = StringValue::from(peer.ip().to_string());
        attributes.push(KeyValue::new("client.address", address.clone()));
        attributes.push(KeyValue::new("network.peer.address", address));
        attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    if let Some(agent) = text(request.headers(), header::USER_AGENT) {
        attributes.push(KeyValue::new("user_agent.original", agent.to_owned()));
    }
    if let Some(version) = version(request.version()) {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    SpanBuilder::from_name(name)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
}

/// Whom a client calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// The URL as it is called, credentials and all; redacted here.
    pub(crate) url: String,
    /// Without port.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// The URL's path with names in place of its variable parts.
    pub(crate) template: Option<String>,
}

impl Target {
    pub(crate) fn of(uri: &Uri) -> Self {
        let port = uri.port_u16().or_else(|| default_port(uri.scheme_str()?));
        Self {
            url: uri.to_string(),
            host: uri.host().map(str::to_owned),
            port,
            template: None,
        }
    }
}

/// A call's span as it starts on the client.
pub(crate) fn client_span(target: Target, http_method: &Method, protocol: Protocol) -> SpanBuilder {
    let mut attributes = Vec::with_capacity(6);
    let name = if protocol == Protocol::Grpc {
        rpc(path(&target.url), &mut attributes)
    } else {
        method(http_method, &mut attributes);
        attributes.push(KeyValue::new("url.full", redact::url(&target.url)));
        let name = name(http_method, target.template.as_deref());
        if let Some(template) = target.template {
            attributes.push(KeyValue::new("url.template", template));
        }
        name
    };
    if let Some(host) = target.host {
        attributes.push(KeyValue::new("server.address", host));
    }
    if let Some(port) = target.port {
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
    SpanBuilder::from_name(name)
        .with_kind(SpanKind::Client)
        .with_attributes(attributes)
}

/// The path of a URL, with or without scheme and host before it.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or("", |(_, path)| path)
}

/// Notes a gRPC call; its name is that of the method, `package.Service/Method`.
fn rpc(path: &str, attributes: &mut Vec<KeyValue>) -> String {
    let method = path.trim_start_matches('/').to_owned();
    attributes.push(KeyValue::new("rpc.system.name", "grpc"));
    attributes.push(KeyValue::new("rpc.method", method.clone()));
    method
}

/// `GET /orders/{id}`, or `GET` where no route is known. Never the path: it has too many values.
fn name(method: &Method, route: Option<&str>) -> String {
    let method = known(method).unwrap_or("HTTP");
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

fn method(method: &Method, attributes: &mut Vec<KeyValue>) {
    attributes.push(KeyValue::new(
        "http.request.method",
        known(method).unwrap_or("_OTHER"),
    ));
    if known(method).is_none() {
        let original = method.as_str().to_owned();
        attributes.push(KeyValue::new("http.request.method_original", original));
    }
}

/// The methods that the conventions name; any other could be anything.
fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 10] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// The name and port under which the caller knows this server.
fn own_address<B>(request: &Request<B>, attributes: &mut Vec<KeyValue>) {
    let host = text(request.headers(), header::HOST).and_then(|host| host.parse().ok());
    let Some(authority) = request.uri().authority().cloned().or(host) else {
        return;
    };
    attributes.push(KeyValue::new("server.address", authority.host().to_owned()));
    if let Some(port) = authority.port_u16() {
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(feature = "axum")]
fn route(extensions: &Extensions) -> Option<String> {
    extensions
        .get::<axum::extract::MatchedPath>()
        .map(|path| path.as_str().to_owned())
}

#[cfg(not(feature = "axum"))]
fn route(_extensions: &Extensions) -> Option<String> {
    None
}

/// The socket at the other end, as far as the server has noted it on the request.
fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(info.0);
    }
    #[cfg(feature = "tonic")]
    if let Some(info) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return info.remote_addr();
    }
    extensions.get::<SocketAddr>().copied()
}
