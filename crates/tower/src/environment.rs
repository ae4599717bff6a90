//! The OpenTelemetry variables that decide over the code.

use opentelemetry::KeyValue;

use crate::grpc::percent_decode;

/// What the environment says; empty where it is silent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Environment {
    pub(crate) endpoint: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) attributes: Vec<KeyValue>,
}

impl Environment {
    pub(crate) fn of_the_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `lookup` gives. Empty ones count as not set, as the specification says.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| lookup(name).filter(|value: &String| !value.trim().is_empty());
        let attributes = get("OTEL_RESOURCE_ATTRIBUTES").map_or_else(Vec::new, |text| pairs(&text));
        Self {
            endpoint: get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
                .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT")),
            service_name: get("OTEL_SERVICE_NAME"),
            attributes,
        }
    }
}

/// `key=value,key2=value2`, values percent-encoded; what is no pair is left out.
fn pairs(text: &str) -> Vec<KeyValue> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| {
            (
                key.trim().to_owned(),
                percent_decode(value.trim().as_bytes()),
            )
        })
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| KeyValue::new(key, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_set_and_leaves_out_what_is_not() {
        let environment = Environment::read(|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://all:4317".to_owned()),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(" ".to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("team=a%2Cb, deployment.environment.name = dev,bad,=x".to_owned())
            }
            _ => None,
        });
        assert_eq!(environment.endpoint.as_deref(), Some("http://all:4317"));
        assert_eq!(environment.service_name, None);
        assert_eq!(
            environment.attributes,
            [
                KeyValue::new("team", "a,b"),
                KeyValue::new("deployment.environment.name", "dev")
            ]
        );
    }

    #[test]
    fn the_variable_for_traces_goes_before_that_for_all() {
        let environment = Environment::read(|name| Some(name.to_lowercase()));
        assert_eq!(
            environment.endpoint.as_deref(),
            Some("otel_exporter_otlp_traces_endpoint")
        );
        assert_eq!(
            environment.service_name.as_deref(),
            Some("otel_service_name")
        );
    }
}
