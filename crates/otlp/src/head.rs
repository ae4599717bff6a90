//! The fixed part of a span.

use hoplog_model::{SpanId, SpanKind, SpanStatus, UnixNanos};

/// What the slicer reads of a span: everything of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanHead {
    /// The span's own id.
    pub span_id: SpanId,
    /// Its parent; none if the sender gave no id or an all-zero one.
    pub parent: Option<SpanId>,
    /// Its role; unspecified counts as internal.
    pub kind: SpanKind,
    /// Its outcome.
    pub status: SpanStatus,
    /// When it began, as sent.
    pub start: UnixNanos,
    /// When it ended, as sent; before `start` it counts as `start`.
    pub end: UnixNanos,
    /// OTLP `Span.flags`: the low 8 bits are W3C trace flags.
    pub flags: u32,
}

impl SpanHead {
    /// End minus start in nanoseconds; 0 if the end lies before the start.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}
