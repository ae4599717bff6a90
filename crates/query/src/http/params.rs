//! Query parameters: each known by name, given at most once, read with an error that names it.

use super::problem::Problem;
use crate::QueryError;
use crate::lang::parse_duration;
use axum::extract::Query;
use hoplog_model::{UnixNanos, times};
use http::Uri;
use std::str::FromStr;

/// The parameters of one request. An empty one counts as not given.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters of `uri`, which may only be those of `names`.
    pub(super) fn read(uri: &Uri, names: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| QueryError::invalid("parameters", error.body_text()))?;
        let unknown: Vec<&str> = pairs
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|n| !names.contains(n))
            .collect();
        if !unknown.is_empty() {
            let known = match names {
                [] => "there are none here".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            let what = format!(
                "I do not know the parameter {}; {known}",
                unknown.join(", ")
            );
            return Err(QueryError::invalid(unknown.join(", "), what).into());
        }
        for name in names {
            if pairs.iter().filter(|(given, _)| given == name).count() > 1 {
                return Err(
                    QueryError::invalid(*name, "the parameter is given more than once").into(),
                );
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter as it is; none if it is absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(given, _)| given == name);
        given
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A time: RFC 3339 or Unix nanoseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<UnixNanos>, QueryError> {
        self.read_as(
            name,
            times::parse,
            "a time is RFC 3339 (2026-11-23T10:58:41Z) or Unix nanoseconds",
        )
    }

    /// A duration: nanoseconds, or a number with a unit.
    pub(super) fn duration(&self, name: &str) -> Result<Option<u64>, QueryError> {
        let read = |text: &str| text.parse().ok().or_else(|| parse_duration(text));
        self.read_as(
            name,
            read,
            "a duration is in nanoseconds, or like 60s, 5m, 1h",
        )
    }

    /// A whole number.
    pub(super) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, QueryError> {
        self.read_as(
            name,
            |text| text.parse().ok(),
            "this must be a whole number",
        )
    }

    fn read_as<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        what: &str,
    ) -> Result<Option<T>, QueryError> {
        let value = self
            .text(name)
            .map(|text| read(text).ok_or_else(|| QueryError::invalid(name, what)));
        value.transpose()
    }
}
