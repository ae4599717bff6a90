//! Whether a request matches: the exact meaning of every term, on the spans themselves.

mod own_time;
mod text;

use crate::summary::exceptions;
use crate::{HopExpr, HopTest, Range, RequestExpr, RequestTest, ValueMatch};
use hoplog_model::Summary;
use hoplog_otlp::{SpanRef, SpanSet, Value};
use std::cell::OnceCell;
use text::contains_ignoring_case;

/// Whether the request fulfils the expression. `summary` must be that of these spans.
pub fn matches(expr: &RequestExpr, summary: &Summary, spans: &SpanSet) -> bool {
    Request {
        summary,
        spans,
        own_times: OnceCell::new(),
    }
    .fulfils(expr)
}

/// What a value counts as in a [`ValueMatch::Number`] test: a number, or text that reads as a
/// finite one.
pub fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        // Most texts are no number, which their first byte shows.
        Value::Str(text) if !text.first().is_some_and(may_begin_number) => None,
        Value::Str(_) => value
            .text()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => value.number(),
    }
}

fn may_begin_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.')
}

struct Request<'a> {
    summary: &'a Summary,
    spans: &'a SpanSet,
    /// By span index; made when first asked for.
    own_times: OnceCell<Vec<u64>>,
}

impl Request<'_> {
    fn fulfils(&self, expr: &RequestExpr) -> bool {
        match expr {
            RequestExpr::And(all) => all.iter().all(|expr| self.fulfils(expr)),
            RequestExpr::Or(any) => any.iter().any(|expr| self.fulfils(expr)),
            RequestExpr::Not(expr) => !self.fulfils(expr),
            RequestExpr::Is(test) => self.passes(test),
            RequestExpr::Hop(expr) => {
                (self.spans.iter().enumerate()).any(|(index, span)| self.hop(expr, index, span))
            }
        }
    }

    fn passes(&self, test: &RequestTest) -> bool {
        let summary = self.summary;
        match test {
            RequestTest::Trace(trace_id) => summary.trace_id == *trace_id,
            RequestTest::Entry(text) => text.matches(&summary.interface.service),
            RequestTest::Name(text) => text.matches(&summary.interface.name),
            RequestTest::Status(status) => summary.status == *status,
            RequestTest::Code(text) => summary.code.as_ref().is_some_and(|code| text.matches(code)),
            RequestTest::Duration(range) => range.contains(summary.duration),
            RequestTest::Started(range) => range.contains(summary.started_at),
            RequestTest::Ended(range) => {
                range.contains(summary.started_at.saturating_add(summary.extent))
            }
            RequestTest::Hops(range) => range.contains(u64::from(summary.hop_count)),
            RequestTest::Spans(range) => range.contains(u64::from(summary.span_count)),
            RequestTest::Errors(range) => range.contains(u64::from(summary.error_count)),
            RequestTest::RootAttribute { keys, value } => self
                .root()
                .is_some_and(|root| has_attribute(root, keys, value)),
        }
    }

    fn root(&self) -> Option<SpanRef<'_>> {
        let root = self.summary.root?;
        self.spans.iter().find(|span| span.head.span_id == root)
    }

    fn hop(&self, expr: &HopExpr, index: usize, span: SpanRef<'_>) -> bool {
        match expr {
            HopExpr::And(all) => all.iter().all(|expr| self.hop(expr, index, span)),
            HopExpr::Or(any) => any.iter().any(|expr| self.hop(expr, index, span)),
            HopExpr::Not(expr) => !self.hop(expr, index, span),
            HopExpr::Is(test) => self.hop_passes(test, index, span),
        }
    }

    fn hop_passes(&self, test: &HopTest, index: usize, span: SpanRef<'_>) -> bool {
        match test {
            HopTest::Service(text) => text.matches(&span.group.service),
            HopTest::Name(text) => text.matches(&span.view().name()),
            HopTest::Kind(kind) => span.head.kind == *kind,
            HopTest::Status(status) => span.head.status == *status,
            HopTest::Duration(range) => range.contains(span.head.duration()),
            HopTest::SelfTime(range) => {
                let own_times = self
                    .own_times
                    .get_or_init(|| own_time::own_times(self.spans));
                own_times.get(index).is_some_and(|own| range.contains(*own))
            }
            HopTest::Attribute { keys, value } => has_attribute(span, keys, value),
            HopTest::Statement(text) => {
                crate::statement::of(span).is_some_and(|name| text.matches(&name))
            }
            HopTest::Exception(text) => exceptions(span.view()).any(|(kind, message)| {
                [kind, message]
                    .iter()
                    .flatten()
                    .any(|said| text.matches(said))
            }),
            HopTest::Text(text) => mentions(span, text),
            HopTest::SpanId(span_id) => span.head.span_id == *span_id,
        }
    }
}

impl Range<u64> {
    /// Whether the value lies within, ends included.
    pub fn contains(&self, value: u64) -> bool {
        self.least.is_none_or(|least| least <= value)
            && self.greatest.is_none_or(|greatest| value <= greatest)
    }
}

impl ValueMatch {
    /// Whether an attribute's value fulfils the test.
    pub fn matches(&self, value: &Value<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Text(text) => text.matches(&value.text()),
            Self::Number {
                range,
                least_open,
                greatest_open,
            } => number(value).is_some_and(|number| {
                let above = |least| {
                    if *least_open {
                        number > least
                    } else {
                        number >= least
                    }
                };
                let below = |most| {
                    if *greatest_open {
                        number < most
                    } else {
                        number <= most
                    }
                };
                range.least.is_none_or(above) && range.greatest.is_none_or(below)
            }),
        }
    }
}

/// Whether one of the keys, on the span or its resource, has a value that matches.
fn has_attribute(span: SpanRef<'_>, keys: &[String], test: &ValueMatch) -> bool {
    let all = span.view().attributes().chain(span.group.attributes());
    let mut named = all.filter(|(key, _)| keys.iter().any(|known| known == key));
    named.any(|(_, value)| test.matches(&value))
}

/// Whether the text occurs in what the span says, ignoring case.
fn mentions(span: SpanRef<'_>, text: &str) -> bool {
    let view = span.view();
    let has = |said: &str| contains_ignoring_case(said, text);
    has(&view.name())
        || has(&view.status_message())
        || view.attributes().any(|(_, value)| has(&value.text()))
        || span.group.attributes().any(|(_, value)| has(&value.text()))
        || exceptions(view).any(|(kind, message)| [kind, message].iter().flatten().any(|t| has(t)))
}

#[cfg(test)]
mod tests;
