//! A request's spans in messages of less than 1 MiB.

use hoplog_otlp::SpanSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of a chunk: 1 MiB less what frames it.
const MAX: usize = (1 << 20) - 64;
/// Bytes of spans that are tried first; resources and scopes come on top.
const TRIED: usize = MAX / 2;

/// Encoded `TracesData`, piece by piece; made as they are asked for.
#[derive(Debug)]
pub(super) struct Chunks {
    spans: Arc<SpanSet>,
    todo: VecDeque<Range<usize>>,
    /// What is left of a span that is larger than a chunk.
    rest: Vec<u8>,
}

impl Chunks {
    pub(super) fn of(spans: Arc<SpanSet>) -> Self {
        Self {
            todo: spans.chunks(TRIED).into(),
            spans,
            rest: Vec::new(),
        }
    }

    fn encoded(&self, range: &Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.spans
            .write_some(|index| range.contains(&index), &mut bytes);
        bytes
    }
}

impl Iterator for Chunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.rest.is_empty() {
            let range = self.todo.pop_front()?;
            let bytes = self.encoded(&range);
            if bytes.len() > MAX && range.len() > 1 {
                let middle = range.start + range.len() / 2;
                self.todo.push_front(middle..range.end);
                self.todo.push_front(range.start..middle);
            } else {
                self.rest = bytes;
            }
        }
        let tail = self.rest.split_off(self.rest.len().min(MAX));
        Some(std::mem::replace(&mut self.rest, tail))
    }
}
