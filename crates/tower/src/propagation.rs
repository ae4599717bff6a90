//! W3C trace context, levels 1 and 2: `traceparent` and `tracestate` in and out.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use crate::context::Baton;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Level 2: the right-most seven bytes of the trace ID are random.
const RANDOM: u8 = 0x02;
/// Length of a `traceparent` of version `00`.
const LENGTH: usize = 55;
/// Most list members a `tracestate` may have.
const MEMBERS_MAX: usize = 32;

/// Reads and writes W3C trace context.
///
/// It differs from the SDK's propagator of the same name: the `random` flag goes on as it was received
/// and is set on traces begun by this crate's ID generator, all `tracestate` headers are read, an empty
/// one is never sent, and a `traceparent` that the specification calls invalid is not taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContextPropagator;

impl TextMapPropagator for TraceContextPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span_context = span.span_context();
        if !span_context.is_valid() {
            return;
        }
        injector.set(TRACEPARENT, traceparent(cx, span_context));
        let state = span_context.trace_state().header();
        if !state.is_empty() {
            injector.set(TRACESTATE, state);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let Some(span_context) = span_context(extractor) else {
            return cx.clone();
        };
        let is_random =
            span_context.trace_flags() & TraceFlags::new(RANDOM) != TraceFlags::default();
        let trace_id = span_context.trace_id();
        let cx = cx.with_remote_span_context(span_context);
        // The SDK forgets the flag where it does not sample, so the context remembers it.
        if is_random {
            Baton::of(&cx).random(trace_id).put_into(&cx)
        } else {
            cx
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> =
            LazyLock::new(|| [TRACEPARENT.to_owned(), TRACESTATE.to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}

/// The `traceparent` of a valid span context in `cx`.
fn traceparent(cx: &Context, span_context: &SpanContext) -> String {
    let trace_id = span_context.trace_id();
    let mut flags = span_context.trace_flags().to_u8() & (TraceFlags::SAMPLED.to_u8() | RANDOM);
    if Baton::of(cx).is_random(trace_id) {
        flags |= RANDOM;
    }
    format!("00-{trace_id}-{}-{flags:02x}", span_context.span_id())
}

/// The caller's span context, or none if there is no valid one.
fn span_context(extractor: &dyn Extractor) -> Option<SpanContext> {
    let parents = extractor.get_all(TRACEPARENT)?;
    // Two of them cannot both be right.
    let [parent] = parents.as_slice() else {
        return None;
    };
    let (trace_id, span_id, flags) = parse_traceparent(parent.trim_matches([' ', '\t']))?;
    let state = extractor
        .get_all(TRACESTATE)
        .map_or(TraceState::NONE, |headers| parse_tracestate(&headers));
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

fn parse_traceparent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let bytes = text.as_bytes();
    let version = bytes.get(..2)?;
    let (trace_id, span_id, flags) = (
        bytes.get(3..35)?,
        bytes.get(36..52)?,
        bytes.get(53..LENGTH)?,
    );
    let dashes = bytes[2] == b'-' && bytes[35] == b'-' && bytes[52] == b'-';
    // A later version may have more fields, but must keep these.
    let ends = match bytes.get(LENGTH) {
        None => true,
        Some(byte) => version != b"00" && *byte == b'-',
    };
    if !dashes || !ends || version == b"ff" || hex(version).is_none() {
        return None;
    }
    let trace_id = TraceId::from(hex(trace_id)?);
    let span_id = SpanId::from(u64::try_from(hex(span_id)?).ok()?);
    let flags = u8::try_from(hex(flags)?).ok()? & (TraceFlags::SAMPLED.to_u8() | RANDOM);
    if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
        return None;
    }
    Some((trace_id, span_id, TraceFlags::new(flags)))
}

/// At most 32 lower-case hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// All headers as one list; an invalid one is left out as a whole, as the specification asks.
fn parse_tracestate(headers: &[&str]) -> TraceState {
    let mut members = Vec::new();
    for member in headers.iter().flat_map(|header| header.split(',')) {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        match member.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                members.push((key, value));
            }
            _ => return TraceState::NONE,
        }
    }
    if members.len() > MEMBERS_MAX {
        return TraceState::NONE;
    }
    TraceState::from_key_value(members).unwrap_or(TraceState::NONE)
}

/// The context that the caller of an HTTP or gRPC request sent, else an empty one.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator.extract_with_context(&Context::new(), &Headers(headers))
}

/// Writes the context into an outgoing request. What stood there before is of an older span.
pub(crate) fn inject(cx: &Context, headers: &mut HeaderMap) {
    if cx.span().span_context().is_valid() {
        headers.remove(TRACESTATE);
        TraceContextPropagator.inject_context(cx, &mut HeadersMut(headers));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        if !self.0.contains_key(key) {
            return None;
        }
        // A value that is not ASCII is kept as an empty one: it counts, and is no valid value.
        Some(
            self.0
                .get_all(key)
                .iter()
                .map(|value| value.to_str().unwrap_or_default())
                .collect(),
        )
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn round_trip(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        inject(&extract(&headers(lines)), &mut out);
        out
    }

    #[test]
    fn traceparents_are_taken_or_left_as_the_specification_says() {
        let parent = |version: &str, flags: &str| format!("{version}-{TRACE}-{SPAN}-{flags}");
        let zeros = "0".repeat(32);
        let table = [
            (parent("00", "01"), Some("01")),
            (parent("00", "00"), Some("00")),
            (parent("00", "03"), Some("03")),
            (parent("00", "02"), Some("02")),
            (parent("00", "ff"), Some("03")),
            (format!(" {}\t", parent("00", "01")), Some("01")),
            (parent("01", "01"), Some("01")),
            (parent("cc", "01-what-comes"), Some("01")),
            (parent("cc", "01."), None),
            (parent("00", "01-"), None),
            (parent("00", "01-more"), None),
            (parent("00", "0"), None),
            (parent("00", "0g"), None),
            (parent("00", "0A"), None),
            (parent("ff", "01"), None),
            (parent("0", "01"), None),
            (parent("0x", "01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{zeros}-{SPAN}-01"), None),
            (format!("00-{TRACE}-0000000000000000-01"), None),
            ("00-1-1-01".to_owned(), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (String::new(), None),
        ];
        for (given, flags) in table {
            let out = round_trip(&[("traceparent", &given)]);
            let expected = flags.map(|flags| parent("00", flags));
            let got = out
                .get("traceparent")
                .map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(got, expected, "{given:?}");
            assert!(!out.contains_key("tracestate"), "{given:?}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let out = round_trip(&[("traceparent", &parent), ("traceparent", &parent)]);
        assert!(out.is_empty());
    }

    #[test]
    fn tracestate_is_read_from_all_headers_and_left_out_when_invalid() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let many = (0..33)
            .map(|n| format!("k{n}=v"))
            .collect::<Vec<_>>()
            .join(",");
        let table: [(&[&str], Option<&str>); 9] = [
            (&["a=1", "b=2"], Some("a=1,b=2")),
            (&["a=1 ,\tb=2", "", "c=3"], Some("a=1,b=2,c=3")),
            (&[""], None),
            (&["a"], None),
            (&["=1"], None),
            (&["a="], None),
            (&["a=1=2"], None),
            (&["A=1"], None),
            (&[&many], None),
        ];
        for (states, expected) in table {
            let mut lines = vec![("traceparent", parent.as_str())];
            lines.extend(states.iter().map(|state| ("tracestate", *state)));
            let out = round_trip(&lines);
            let got = out.get("tracestate").map(|value| value.to_str().unwrap());
            assert_eq!(got, expected, "{states:?}");
            assert!(out.contains_key("traceparent"), "{states:?}");
        }
        // Without a valid traceparent a tracestate says nothing.
        assert!(round_trip(&[("tracestate", "a=1")]).is_empty());
    }

    #[test]
    fn an_older_context_in_the_headers_is_replaced() {
        let mut out = headers(&[("traceparent", "old"), ("tracestate", "old=1")]);
        let parent = format!("00-{TRACE}-{SPAN}-01");
        inject(&extract(&headers(&[("traceparent", &parent)])), &mut out);
        assert_eq!(out.get("traceparent").unwrap(), parent.as_str());
        assert!(!out.contains_key("tracestate"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_and_what_is_sent_reads_back(parent in "[0-9a-f-]{0,70}", state in "[ -~]{0,80}") {
            let mut map = HeaderMap::new();
            map.append("traceparent", HeaderValue::from_str(&parent).unwrap());
            map.append("tracestate", HeaderValue::from_str(&state).unwrap());
            let mut out = HeaderMap::new();
            inject(&extract(&map), &mut out);
            let mut again = HeaderMap::new();
            inject(&extract(&out), &mut again);
            prop_assert_eq!(out, again);
        }

        #[test]
        fn every_valid_context_passes_unchanged(trace in 1..=u128::MAX, span in 1..=u64::MAX, flags in 0..4_u8) {
            let parent = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let out = round_trip(&[("traceparent", &parent)]);
            prop_assert_eq!(out.get("traceparent").unwrap().to_str().unwrap(), parent);
        }
    }
}
