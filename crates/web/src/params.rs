//! The parameters of an address, whatever they are.

use crate::range::RangeParams;
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use std::convert::Infallible;

/// Names and values in the order they came. A name that is missing reads as empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    /// The first value of that name, trimmed.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map_or("", |(_, value)| value.trim())
    }

    /// Whether the name is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// Those that say which time.
    pub(crate) fn range(&self) -> RangeParams {
        let text = |name| self.get(name).to_owned();
        RangeParams {
            t: text("t"),
            from: text("from"),
            to: text("to"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Query::try_from_uri(&parts.uri)
            .map_or_else(|_| Self::default(), |Query(list)| Self(list)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts() {
        let pairs = [("q", " a "), ("q", "b"), ("form", "")];
        let params = Params(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        );
        assert_eq!((params.get("q"), params.get("t")), ("a", ""));
        assert!(params.has("form") && !params.has("t"));
    }
}
