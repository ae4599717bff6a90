//! Rules that decide what is kept of a request, first match wins.

use hoplog_model::times::MINUTE;
use hoplog_model::{SpanKind, SpanStatus, Summary, UnixNanos};
use hoplog_store::Outcome;
use serde::{Deserialize, Serialize};

/// What to keep of the requests that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Everything.
    #[default]
    All,
    /// Requests with an error, slow ones, and [`Policy::samples_per_minute`] others; the rest is counted.
    Samples,
    /// Nothing but the roll-ups: rates and percentiles stay exact.
    Count,
    /// Nothing at all; only the books know.
    Drop,
}

/// A rule, `[[assemble.policy]]` in the config file. It matches on the request's root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The root's service; `*` stands for any characters; empty for every service.
    pub service: String,
    /// The root's name (operation); `*` stands for any characters; empty for every name.
    pub name: String,
    /// The root's kind; absent for every kind.
    pub kind: Option<SpanKind>,
    /// What to keep.
    pub keep: Keep,
    /// With `samples`: a request is slow from this many milliseconds on; 0 for never.
    pub slow_ms: u64,
    /// With `samples`: how many requests that are neither failed nor slow are kept a minute.
    pub samples_per_minute: u32,
}

/// The rules with their sample counters.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    rules: Vec<(Policy, Samples)>,
}

#[derive(Debug, Default)]
struct Samples {
    minute: u64,
    taken: u32,
}

impl Policies {
    pub(crate) fn new(rules: Vec<Policy>) -> Self {
        Self {
            rules: rules
                .into_iter()
                .map(|rule| (rule, Samples::default()))
                .collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What becomes of a request first received at `received_at`.
    pub(crate) fn decide(&mut self, request: &Summary, received_at: UnixNanos) -> Outcome {
        let rule = self
            .rules
            .iter_mut()
            .find(|(rule, _)| rule.matches(request));
        let Some((rule, samples)) = rule else {
            return Outcome::Keep;
        };
        match rule.keep {
            Keep::All => Outcome::Keep,
            Keep::Count => Outcome::CountOnly,
            Keep::Drop => Outcome::Drop,
            Keep::Samples if rule.is_notable(request) => Outcome::Keep,
            Keep::Samples if samples.take(rule.samples_per_minute, received_at) => Outcome::Keep,
            Keep::Samples => Outcome::CountOnly,
        }
    }
}

impl Policy {
    fn matches(&self, request: &Summary) -> bool {
        let root = &request.interface;
        self.kind.is_none_or(|kind| kind == root.kind)
            && fits(&self.service, &root.service)
            && fits(&self.name, &root.name)
    }

    fn is_notable(&self, request: &Summary) -> bool {
        let slow = self.slow_ms > 0 && request.duration >= self.slow_ms.saturating_mul(1_000_000);
        slow || request.error_count > 0 || request.status == SpanStatus::Error
    }
}

impl Samples {
    fn take(&mut self, most: u32, at: UnixNanos) -> bool {
        let minute = at / MINUTE;
        if minute != self.minute {
            *self = Self { minute, taken: 0 };
        }
        let free = self.taken < most;
        self.taken += u32::from(free);
        free
    }
}

/// Whether `text` has the shape of `pattern`, where `*` stands for any characters. Empty fits all.
fn fits(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("", "anything", true),
            ("GET /health", "GET /health", true),
            ("GET /health", "GET /healthz", false),
            ("GET /health*", "GET /healthz", true),
            ("*health*", "GET /healthz", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
