//! `#[instrument]` spans and log lines under the hop they belong to.

use std::fmt::{self, Write};

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{SpanBuilder, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use crate::context::Baton;
use crate::tracer::{Handle, resolve};

/// A layer for the process's `tracing` subscriber, exporting through the global tracer provider.
///
/// Spans made by `tracing` become children of the hop (or of the [`Operation`](crate::Operation)) in
/// which they are made, and log lines become its events. It sees level `INFO` and above: the libraries
/// that carry the export itself log below that. Where several services live in one process, one such
/// layer serves them all: each span goes to the exporter of the service whose hop it belongs to.
pub fn tracing_layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    layer_with(Handle::global())
}

pub(crate) fn layer_with<S>(fallback: Handle) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    OpenTelemetryLayer::new(ContextTracer { fallback })
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .and_then(HopEvents)
        .with_filter(LevelFilter::INFO)
}

/// A tracer that gives each span to the service whose hop it belongs to.
#[derive(Debug)]
struct ContextTracer {
    /// For spans that belong to no hop.
    fallback: Handle,
}

impl Tracer for ContextTracer {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Self::Span {
        let baton = parent.get::<Baton>();
        match baton.and_then(Baton::tracer).unwrap_or(&self.fallback) {
            Handle::Own(sdk) => {
                BoxedTracer::new(Box::new(sdk.as_ref().clone())).build_with_context(builder, parent)
            }
            Handle::Global(cell) => resolve(cell).build_with_context(builder, parent),
        }
    }
}

/// Puts a log line that stands in no `tracing` span on the hop itself.
struct HopEvents;

impl<S> Layer<S> for HopEvents
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, spans: layer::Context<'_, S>) {
        // Inside a span the layer beside this one takes it; the SDK's own words are not the service's.
        let is_inside = event.parent().is_some() || spans.lookup_current().is_some();
        if is_inside || event.metadata().target().starts_with("opentelemetry") {
            return;
        }
        let cx = Context::current();
        if !cx.has_active_span() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let mut attributes = fields.attributes;
        attributes.push(KeyValue::new("level", meta.level().as_str()));
        attributes.push(KeyValue::new("target", meta.target()));
        let name = if fields.message.is_empty() {
            meta.name().to_owned()
        } else {
            fields.message
        };
        cx.span().add_event(name, attributes);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<opentelemetry::Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.message, "{value:?}").expect("a String takes every text");
        } else {
            self.add(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value.to_owned());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}
