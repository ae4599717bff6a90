//! Work with a span of its own that no layer sees: queries, messages, steps.

use std::fmt::Display;

use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, Value};

use crate::Telemetry;
use crate::context::error_kind;
use crate::hop::{Hop, run_in};
use crate::tracer::Handle;

/// A piece of work that is a span: a database query, a message sent or taken, an outside call.
///
/// The span starts with [`run`](Self::run) or [`try_run`](Self::try_run), is current while the work is
/// polled, and ends with it; a panic and a drop before the end are noted as in the server layer.
///
/// ```
/// # async fn run(pool: ()) -> Result<(), std::io::Error> {
/// use hoplog_tower::Operation;
///
/// const SQL: &str = "SELECT name FROM products WHERE sku = ?";
/// Operation::query("sqlite", "SELECT products", SQL).try_run(async {
///     // sqlx::query_scalar(SQL).bind(7).fetch_one(&pool).await
///     Ok::<_, std::io::Error>(())
/// }).await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Operation {
    span: SpanBuilder,
    tracer: Option<Handle>,
    parent: Option<Context>,
}

impl Operation {
    /// A step inside the service.
    pub fn step(name: impl Into<String>) -> Self {
        Self::new(name.into(), SpanKind::Internal, Vec::new())
    }

    /// A call to something outside that no client layer covers.
    pub fn call(name: impl Into<String>) -> Self {
        Self::new(name.into(), SpanKind::Client, Vec::new())
    }

    /// A database query. `summary` names it in few words (`SELECT orders`) and is the span's name;
    /// `text` is the statement with placeholders, never with values.
    pub fn query(
        system: &'static str,
        summary: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let summary = summary.into();
        let attributes = vec![
            KeyValue::new("db.system.name", system),
            KeyValue::new("db.query.summary", summary.clone()),
            KeyValue::new("db.query.text", text.into()),
        ];
        Self::new(summary, SpanKind::Client, attributes)
    }

    /// Puts a message into a queue. Inside of `run`, [`context::inject`](crate::context::inject) gives
    /// what to store with it so that [`Operation::process`] hangs under this span.
    pub fn send(system: &'static str, queue: &str) -> Self {
        Self::message(system, "send", queue, SpanKind::Producer)
    }

    /// Works on one message. `sender` is what [`context::inject`](crate::context::inject) gave to whom
    /// sent it; the span is its child, or starts a trace where that holds nothing valid.
    pub fn process<K, V>(
        system: &'static str,
        queue: &str,
        sender: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut operation = Self::message(system, "process", queue, SpanKind::Consumer);
        operation.parent = Some(crate::context::extract(sender));
        operation
    }

    fn message(system: &'static str, name: &'static str, queue: &str, kind: SpanKind) -> Self {
        let attributes = vec![
            KeyValue::new("messaging.system", system),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", name),
            KeyValue::new("messaging.destination.name", queue.to_owned()),
        ];
        Self::new(format!("{name} {queue}"), kind, attributes)
    }

    fn new(name: String, kind: SpanKind, attributes: Vec<KeyValue>) -> Self {
        let span = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_attributes(attributes);
        Self {
            span,
            tracer: None,
            parent: None,
        }
    }

    /// Adds an attribute.
    pub fn attribute(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.span
            .attributes
            .get_or_insert_default()
            .push(KeyValue::new(key, value));
        self
    }

    /// The service whose work this is. Without, it is that of the current hop, else the global one.
    pub fn of(mut self, telemetry: &Telemetry) -> Self {
        self.tracer = Some(telemetry.handle().clone());
        self
    }

    /// Does the work and ends the span.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        let (cx, mut hop) = self.start();
        let output = run_in(&cx, &mut hop, work).await;
        if let Some(hop) = &mut hop {
            hop.finish();
        }
        output
    }

    /// Does the work and ends the span; an error makes it one, with the exception as an event.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn try_run<F, T, E>(self, work: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        let (cx, mut hop) = self.start();
        let output = run_in(&cx, &mut hop, work).await;
        if let Some(hop) = &mut hop {
            match &output {
                Ok(_) => hop.finish(),
                Err(error) => hop.fail(error_kind::<E>(), error.to_string()),
            }
        }
        output
    }

    fn start(self) -> (Context, Option<Hop>) {
        let tracer = self.tracer.unwrap_or_else(Handle::current);
        let parent = self.parent.unwrap_or_else(Context::current);
        let cx = tracer.start(self.span, &parent);
        let hop = Hop::local(cx.clone());
        (cx, Some(hop))
    }
}
