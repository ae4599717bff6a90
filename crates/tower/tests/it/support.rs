//! What every test here needs.

use std::sync::Arc;

use hoplog_tower::Telemetry;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor, SpanData};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const SPAN: &str = "b7ad6b7169203331";

pub(crate) fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// A service whose spans land in memory as soon as they end.
pub(crate) fn service(name: &str) -> (Telemetry, Spans) {
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::builder(name)
        .ignore_environment()
        .span_processor(SimpleSpanProcessor::new(exporter.clone()))
        .build()
        .unwrap();
    (telemetry, Spans(exporter))
}

pub(crate) struct Spans(InMemorySpanExporter);

impl Spans {
    /// In the order in which they ended.
    pub(crate) fn all(&self) -> Vec<SpanData> {
        self.0.get_finished_spans().unwrap()
    }

    pub(crate) fn only(&self) -> SpanData {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub(crate) fn of_kind(&self, kind: &SpanKind) -> Vec<SpanData> {
        self.all()
            .into_iter()
            .filter(|span| span.span_kind == *kind)
            .collect()
    }

    pub(crate) fn named(&self, name: &str) -> SpanData {
        let all = self.all();
        let found = all.iter().find(|span| span.name == name);
        found
            .unwrap_or_else(|| panic!("no span {name} in {all:#?}"))
            .clone()
    }
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|pair| pair.key.as_str() == key)?;
    Some(found.value.to_string())
}

/// Type and message of the one exception on a span.
pub(crate) fn exception(span: &SpanData) -> (String, String) {
    let mut events = span.events.iter().filter(|event| event.name == "exception");
    let event = events.next().expect("an exception event");
    assert!(events.next().is_none(), "{:#?}", span.events);
    let get = |key: &str| {
        let pair = event
            .attributes
            .iter()
            .find(|pair| pair.key.as_str() == key);
        pair.expect("type and message").value.to_string()
    };
    (get("exception.type"), get("exception.message"))
}

pub(crate) fn is_error(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

pub(crate) fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID
}

/// A listener on a free port and its address.
pub(crate) async fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that ends when it is asked to, with all its connections.
pub(crate) struct Running {
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start<F>(serve: impl FnOnce(Arc<Notify>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(serve(Arc::clone(&stop)));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.notify_one();
        self.task.await.unwrap();
    }
}
