//! A span set as OTLP `TracesData`, and back.

use super::{Entry, SpanSet};
use crate::error::SliceError;
use crate::group::Group;
use crate::limits::Limits;
use crate::slice::slice_ref;
use crate::write;
use hoplog_model::TraceId;
use std::ops::Range;

impl SpanSet {
    /// Appends all spans as an OTLP `TracesData` message: one `ResourceSpans` a group, spans
    /// byte for byte as received. Messages appended one after the other read as one.
    pub fn write_traces(&self, out: &mut Vec<u8>) {
        self.write_some(|_| true, out);
    }

    /// As [`SpanSet::write_traces`], of those spans whose index `pick` chooses.
    pub fn write_some(&self, pick: impl Fn(usize) -> bool, out: &mut Vec<u8>) {
        let picked = self
            .entries
            .iter()
            .enumerate()
            .filter(|(index, _)| pick(*index));
        let mut entries: Vec<&Entry> = picked.map(|(_, entry)| entry).collect();
        entries.sort_by_key(|entry| entry.group);
        let bytes: usize = entries.iter().map(|entry| entry.frame().len()).sum();
        out.reserve(bytes);
        for spans in entries.chunk_by(|a, b| a.group == b.group) {
            self.write_group(&self.groups[spans[0].group as usize], spans, out);
        }
    }

    /// Index ranges, in order and together all spans, of about `bytes` bytes of spans each: each
    /// ends with the first span that reaches them.
    pub fn chunks(&self, bytes: usize) -> Vec<Range<usize>> {
        let mut chunks = Vec::new();
        let (mut start, mut size) = (0, 0);
        for (index, entry) in self.entries.iter().enumerate() {
            size += entry.frame().len();
            if size >= bytes || index + 1 == self.len() {
                chunks.push(start..index + 1);
                (start, size) = (index + 1, 0);
            }
        }
        chunks
    }

    fn write_group(&self, group: &Group, spans: &[&Entry], out: &mut Vec<u8>) {
        let optional = |tag, part: &[u8]| match part.len() {
            0 => 0,
            len => write::len_delimited_len(tag, len),
        };
        let put = |out: &mut Vec<u8>, tag, part: &[u8]| {
            if !part.is_empty() {
                write::bytes(out, tag, part);
            }
        };
        let frames: usize = spans.iter().map(|entry| entry.frame().len()).sum();
        let scope_spans = optional(1, &group.scope) + frames + optional(3, &group.scope_schema);
        let resource_spans = optional(1, &group.resource)
            + write::len_delimited_len(2, scope_spans)
            + optional(3, &group.resource_schema);
        write::len_prefix(out, 1, resource_spans);
        put(out, 1, &group.resource);
        write::len_prefix(out, 2, scope_spans);
        put(out, 1, &group.scope);
        for entry in spans {
            out.extend_from_slice(&self.framed[entry.frame()]);
        }
        put(out, 3, &group.scope_schema);
        put(out, 3, &group.resource_schema);
    }

    /// Reads what [`SpanSet::write_traces`] wrote, once or several times in a row: the request's
    /// id (none if there is no span) and its spans. Equal groups are joined, equal span ids are
    /// not. Spans without valid ids, or of two requests, are malformed.
    pub fn read_traces(bytes: &[u8]) -> Result<(Option<TraceId>, Self), SliceError> {
        let sliced = slice_ref(bytes, &Limits::NONE)?;
        let malformed = |offset, what| SliceError::Malformed { offset, what };
        if sliced.rejected.total() > 0 {
            return Err(malformed(0, "a span without valid ids"));
        }
        let mut set = Self::new();
        set.entries.reserve_exact(sliced.spans.len());
        set.framed.reserve_exact(bytes.len());
        let trace_id = sliced.spans.first().map(|span| span.trace_id);
        for span in &sliced.spans {
            if Some(span.trace_id) != trace_id {
                return Err(malformed(span.start as usize, "spans of two requests"));
            }
            let group = &sliced.groups[span.group as usize];
            set.push(
                group,
                span.head,
                &bytes[span.start as usize..span.end as usize],
            );
        }
        Ok((trace_id, set))
    }
}
