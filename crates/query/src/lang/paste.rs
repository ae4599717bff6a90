//! Ids in what people paste: a trace id, a span id, a `traceparent`, a URL or log line with one.

use hoplog_model::{SpanId, TraceId};

/// What a pasted text points at; at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastedId {
    /// The request.
    pub trace: Option<TraceId>,
    /// The span in it.
    pub span: Option<SpanId>,
}

/// Longest text that is looked through, in bytes.
const MAX_PASTED: usize = 64 * 1024;

/// The first id in `text`. A `traceparent` goes before a bare trace id (32 hex digits, or a UUID), that before
/// a bare span id (16 hex digits); none if there is none.
pub fn find_id(text: &str) -> Option<PastedId> {
    let text = text.split_at(text.floor_char_boundary(MAX_PASTED)).0;
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let runs = || text.split(|c: char| !c.is_ascii_alphanumeric());
    let traceparent = words().find_map(traceparent_id);
    let trace = || runs().find_map(trace_id).or_else(|| words().find_map(uuid));
    let span = || runs().find_map(span_id);
    traceparent
        .or_else(|| {
            trace().map(|trace| PastedId {
                trace: Some(trace),
                span: None,
            })
        })
        .or_else(|| {
            span().map(|span| PastedId {
                trace: None,
                span: Some(span),
            })
        })
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A word's trace id, if the whole word is one.
pub(super) fn trace_id(word: &str) -> Option<TraceId> {
    (word.len() == 32).then(|| word.parse().ok()).flatten()
}

/// A word's span id, if the whole word is one.
pub(super) fn span_id(word: &str) -> Option<SpanId> {
    (word.len() == 16).then(|| word.parse().ok()).flatten()
}

/// The ids of a `traceparent`, if the whole word is one (W3C Trace Context: version-trace-span-flags).
pub(super) fn traceparent_id(word: &str) -> Option<PastedId> {
    let mut parts = word.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let framed = [version, flags]
        .iter()
        .all(|part| part.len() == 2 && is_hex(part));
    let (trace, span) = (trace_id(trace)?, span_id(span)?);
    (framed && parts.next().is_none()).then_some(PastedId {
        trace: Some(trace),
        span: Some(span),
    })
}

/// The trace id that a UUID's digits make.
fn uuid(word: &str) -> Option<TraceId> {
    let lengths = word.split('-').map(str::len);
    lengths
        .eq([8, 4, 4, 4, 12])
        .then(|| trace_id(&word.replace('-', "")))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn whatever_is_pasted_is_found() {
        let both = PastedId {
            trace: TRACE.parse().ok(),
            span: SPAN.parse().ok(),
        };
        let trace = PastedId { span: None, ..both };
        let span = PastedId {
            trace: None,
            ..both
        };
        for (text, found) in [
            (format!("00-{TRACE}-{SPAN}-01"), both),
            (format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n"), both),
            (format!("  {TRACE} "), trace),
            (TRACE.to_uppercase(), trace),
            (format!("https://shop.example/x?trace={TRACE}&y=1"), trace),
            (format!("ERROR trace_id={TRACE} span_id={SPAN} boom"), trace),
            ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736".to_owned(), trace),
            (format!("span {SPAN}"), span),
        ] {
            assert_eq!(find_id(&text), Some(found), "{text}");
        }
        for text in [
            "",
            "checkout",
            &"0".repeat(32),
            &format!("{TRACE}0"),
            "00-1-2-01",
            "잔액 부족",
        ] {
            assert_eq!(find_id(text), None, "{text}");
        }
    }
}
