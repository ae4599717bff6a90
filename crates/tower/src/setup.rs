//! One service's telemetry: where its spans go, under which name, and how that ends.

use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, Value, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanProcessor,
    TracerProviderBuilder,
};

use crate::client::ClientLayer;
use crate::environment::Environment;
use crate::ids::TimeOrderedIds;
use crate::propagation::TraceContextPropagator;
use crate::server::ServerLayer;
use crate::tracer::{self, Handle, SCOPE};

/// How long [`Telemetry::shutdown`] waits for the last spans to go out.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// The telemetry of one service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    handle: Handle,
}

impl Telemetry {
    /// Begins the set-up of a service of this name.
    pub fn builder(service_name: impl Into<String>) -> TelemetryBuilder {
        TelemetryBuilder {
            service_name: service_name.into(),
            endpoint: None,
            attributes: Vec::new(),
            batch_delay: None,
            ignores_environment: false,
            exporting: Exporting::Otlp,
        }
    }

    /// A layer for this service's routers and gRPC servers.
    pub fn server_layer(&self) -> ServerLayer {
        ServerLayer::with(self.handle.clone())
    }

    /// A layer for this service's tonic channels and other clients that take `http::Request`.
    pub fn client_layer(&self) -> ClientLayer {
        ClientLayer::with(self.handle.clone())
    }

    /// A reqwest client whose requests are part of this service's traces.
    #[cfg(feature = "reqwest")]
    pub fn http_client(&self, client: reqwest::Client) -> crate::TracedClient {
        crate::TracedClient::with(client, self.handle.clone())
    }

    /// A layer for the process's `tracing` subscriber; see [`tracing_layer`](crate::tracing_layer()).
    /// Spans that belong to no hop are this service's.
    #[cfg(feature = "tracing")]
    pub fn tracing_layer<S>(&self) -> impl tracing_subscriber::Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber
            + for<'span> tracing_subscriber::registry::LookupSpan<'span>
            + Send
            + Sync,
    {
        crate::tracing_layer::layer_with(self.handle.clone())
    }

    /// The tracer behind the layers, for spans made by hand through the OpenTelemetry API.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer(SCOPE)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Sends out what has ended so far and waits for it, at most 5 seconds.
    ///
    /// # Errors
    /// If the collector did not take it all.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let provider = self.provider.clone();
        blocking(move || provider.force_flush()).await
    }

    /// Sends out what has ended and stops, at most 5 seconds later. Spans that end afterwards are lost.
    ///
    /// # Errors
    /// If the collector did not take it all, or it was shut down before.
    pub async fn shutdown(self) -> Result<(), FlushError> {
        blocking(move || {
            let started = Instant::now();
            // Stopping alone would not tell whether the last export went well.
            let flushed = self.provider.force_flush();
            let left = SHUTDOWN_LIMIT.saturating_sub(started.elapsed());
            self.provider.shutdown_with_timeout(left).and(flushed)
        })
        .await
    }
}

/// The SDK waits on a thread for an export that runs on the runtime: that thread must not be one of the
/// runtime's own.
async fn blocking(
    work: impl FnOnce() -> Result<(), OTelSdkError> + Send + 'static,
) -> Result<(), FlushError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| FlushError(error.to_string()))?
        .map_err(|error| FlushError(error.to_string()))
}

/// Not everything reached the collector.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not all spans were exported: {0}")]
pub struct FlushError(String);

/// Why a set-up failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The OTLP exporter needs a Tokio runtime and there is none.
    #[error("the OTLP exporter must be set up inside a Tokio runtime")]
    NoRuntime,
    /// The OTLP exporter does not take its settings, such as the endpoint.
    #[error("cannot set up the OTLP exporter: {0}")]
    Exporter(#[from] ExporterBuildError),
}

enum Exporting {
    Otlp,
    To(Box<dyn FnOnce(TracerProviderBuilder) -> TracerProviderBuilder + Send>),
}

/// The settings of a [`Telemetry`].
///
/// The environment decides over the code: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and
/// `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) where they are set. The exporter and
/// the SDK read more of them (headers, timeouts, queue sizes).
#[must_use = "nothing is set up before `install` or `build`"]
pub struct TelemetryBuilder {
    service_name: String,
    endpoint: Option<String>,
    attributes: Vec<KeyValue>,
    batch_delay: Option<Duration>,
    ignores_environment: bool,
    exporting: Exporting,
}

impl TelemetryBuilder {
    /// Where the collector takes OTLP over gRPC, as a URL. Default `http://localhost:4317`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Adds a resource attribute, such as `service.version`.
    pub fn attribute(
        mut self,
        key: impl Into<opentelemetry::Key>,
        value: impl Into<Value>,
    ) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// How long ended spans wait for others before they go out. Default 5 s, or `OTEL_BSP_SCHEDULE_DELAY`.
    pub fn batch_delay(mut self, delay: Duration) -> Self {
        self.batch_delay = Some(delay);
        self
    }

    /// Does not read service name, resource attributes and endpoint from the environment: for several
    /// services in one process, which could not all have the one name.
    pub fn ignore_environment(mut self) -> Self {
        self.ignores_environment = true;
        self
    }

    /// Gives spans to this processor in place of the OTLP exporter; the last one given counts. In tests, an
    /// in-memory exporter behind the SDK's simple processor.
    pub fn span_processor<P: SpanProcessor + 'static>(mut self, processor: P) -> Self {
        self.exporting = Exporting::To(Box::new(move |provider| {
            provider.with_span_processor(processor)
        }));
        self
    }

    /// Sets the service up and makes it the process's: the global tracer provider and propagator, used
    /// by [`ServerLayer::new`] and its like and by other OpenTelemetry instrumentation.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn install(self) -> Result<Telemetry, SetupError> {
        let telemetry = self.build()?;
        global::set_tracer_provider(telemetry.provider.clone());
        global::set_text_map_propagator(TraceContextPropagator);
        tracer::global_is_ours();
        Ok(telemetry)
    }

    /// Sets the service up and leaves the process's globals alone: for several services in one process.
    ///
    /// # Errors
    /// If there is no Tokio runtime, or the exporter does not take the endpoint.
    pub fn build(self) -> Result<Telemetry, SetupError> {
        let environment = if self.ignores_environment {
            Environment::default()
        } else {
            Environment::of_the_process()
        };
        let resource = resource(&self.service_name, self.attributes, &environment);
        // Whoever starts a trace decides for all of it. A ratio sampler of the SDK would not do: it reads
        // bits that are fixed in time-ordered IDs.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_id_generator(TimeOrderedIds)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        let provider = match self.exporting {
            Exporting::To(add) => add(provider),
            Exporting::Otlp => {
                let endpoint = environment.endpoint.or(self.endpoint);
                provider.with_span_processor(otlp(endpoint, self.batch_delay)?)
            }
        };
        let provider = provider.build();
        let handle = Handle::own(provider.tracer(SCOPE));
        Ok(Telemetry { provider, handle })
    }
}

impl std::fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryBuilder")
            .field("service_name", &self.service_name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Later ones win over earlier ones of the same key.
fn resource(service_name: &str, attributes: Vec<KeyValue>, environment: &Environment) -> Resource {
    let mut builder = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .with_service_name(service_name.to_owned())
        .with_attributes(environment.attributes.clone());
    if let Some(name) = &environment.service_name {
        builder = builder.with_service_name(name.clone());
    }
    builder.build()
}

fn otlp(
    endpoint: Option<String>,
    batch_delay: Option<Duration>,
) -> Result<BatchSpanProcessor, SetupError> {
    // The channel would panic without.
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(SetupError::NoRuntime);
    }
    let mut exporter = SpanExporter::builder().with_tonic();
    if let Some(endpoint) = endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build()?;
    let mut config = BatchConfigBuilder::default();
    if let Some(delay) = batch_delay {
        config = config.with_scheduled_delay(delay);
    }
    Ok(BatchSpanProcessor::builder(exporter)
        .with_batch_config(config.build())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(resource: &Resource, key: &'static str) -> Option<String> {
        resource
            .get(&opentelemetry::Key::new(key))
            .map(|value| value.to_string())
    }

    #[test]
    fn the_environment_decides_over_the_code() {
        let code = vec![
            KeyValue::new("team", "code"),
            KeyValue::new("service.version", "1"),
        ];
        let silent = resource("orders", code.clone(), &Environment::default());
        assert_eq!(value(&silent, "service.name").as_deref(), Some("orders"));
        assert_eq!(value(&silent, "team").as_deref(), Some("code"));
        assert_eq!(
            value(&silent, "telemetry.sdk.language").as_deref(),
            Some("rust")
        );

        let environment = Environment {
            endpoint: None,
            service_name: Some("orders-blue".to_owned()),
            attributes: vec![
                KeyValue::new("team", "env"),
                KeyValue::new("service.name", "not-this"),
            ],
        };
        let spoken = resource("orders", code, &environment);
        assert_eq!(
            value(&spoken, "service.name").as_deref(),
            Some("orders-blue")
        );
        assert_eq!(value(&spoken, "team").as_deref(), Some("env"));
        assert_eq!(value(&spoken, "service.version").as_deref(), Some("1"));
    }

    #[test]
    fn without_a_runtime_it_says_so() {
        let error = Telemetry::builder("orders")
            .ignore_environment()
            .build()
            .unwrap_err();
        assert!(matches!(error, SetupError::NoRuntime), "{error}");
    }

    #[tokio::test]
    async fn an_endpoint_that_is_no_url_is_an_error() {
        let builder = Telemetry::builder("orders")
            .ignore_environment()
            .endpoint("not a url");
        let error = builder.build().unwrap_err();
        assert!(matches!(error, SetupError::Exporter(_)), "{error}");
    }
}
