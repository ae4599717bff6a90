//! A span's own time: its duration less what its children cover.

use hoplog_model::SpanId;
use hoplog_otlp::{SpanHead, SpanSet};

/// Own time of every span in nanoseconds, by index. Children count where they overlap their
/// parent, each instant once.
pub(super) fn own_times(spans: &SpanSet) -> Vec<u64> {
    let mut children: Vec<(SpanId, u64, u64)> = spans
        .iter()
        .filter(|span| span.head.parent != Some(span.head.span_id))
        .filter_map(|span| Some((span.head.parent?, span.head.start, span.head.end)))
        .collect();
    children.sort_unstable();
    spans
        .iter()
        .map(|span| own_time(span.head, &children))
        .collect()
}

/// `children`: (parent, start, end) of all spans, sorted.
fn own_time(span: &SpanHead, children: &[(SpanId, u64, u64)]) -> u64 {
    let first = children.partition_point(|(parent, ..)| *parent < span.span_id);
    let own = children
        .iter()
        .skip(first)
        .take_while(|(parent, ..)| *parent == span.span_id);
    let (mut covered, mut seen_to) = (0, span.start);
    for (_, start, end) in own {
        let (start, end) = ((*start).max(seen_to), (*end).min(span.end));
        covered += end.saturating_sub(start);
        seen_to = seen_to.max(end);
    }
    span.duration().saturating_sub(covered)
}
