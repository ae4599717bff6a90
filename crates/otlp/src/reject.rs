//! Spans that were left out of an accepted request, and why.

use std::fmt::Write;

/// Why one span is rejected while the rest of its request is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// `trace_id` is not 16 bytes, or all zeros.
    TraceId = 0,
    /// `span_id` is not 8 bytes, or all zeros.
    SpanId = 1,
    /// `parent_span_id` is neither empty nor 8 bytes.
    ParentId = 2,
    /// The span has more bytes than [`Limits::span_bytes`](crate::Limits::span_bytes).
    SpanTooLarge = 3,
    /// An attribute is nested deeper than [`Limits::depth`](crate::Limits::depth), in the span
    /// or in its resource or scope.
    TooDeep = 4,
    /// Resource and scope have more bytes than
    /// [`Limits::group_bytes`](crate::Limits::group_bytes).
    GroupTooLarge = 5,
}

impl Reason {
    /// Every reason, in the order in which a span is tested.
    pub const ALL: [Self; 6] = [
        Self::TraceId,
        Self::SpanId,
        Self::ParentId,
        Self::SpanTooLarge,
        Self::TooDeep,
        Self::GroupTooLarge,
    ];

    /// A stable name for metrics, in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::ParentId => "parent_span_id",
            Self::SpanTooLarge => "span_too_large",
            Self::TooDeep => "too_deep",
            Self::GroupTooLarge => "group_too_large",
        }
    }

    fn explain(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id is not 16 bytes or is all zeros",
            Self::SpanId => "span_id is not 8 bytes or is all zeros",
            Self::ParentId => "parent_span_id is neither empty nor 8 bytes",
            Self::SpanTooLarge => "the span is too large",
            Self::TooDeep => "an attribute is nested too deep",
            Self::GroupTooLarge => "the resource and scope are too large",
        }
    }
}

/// Rejected spans of one request, counted by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejected {
    counts: [u32; Reason::ALL.len()],
    idless: u32,
    seen: u32,
}

impl Rejected {
    /// Spans rejected for `reason`; each span counts once, for its first reason.
    pub fn count(&self, reason: Reason) -> u32 {
        self.counts[reason as usize]
    }

    /// Spans rejected, for whatever reason.
    pub fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// What was rejected, how many and why, for the sender's log; none if nothing was.
    pub fn message(&self) -> Option<String> {
        if self.total() == 0 {
            return None;
        }
        let mut message = format!("{} of {} spans rejected", self.total(), self.seen);
        let mut separator = ": ";
        for reason in Reason::ALL
            .into_iter()
            .filter(|reason| self.count(*reason) > 0)
        {
            let _ = write!(
                message,
                "{separator}{} ({})",
                reason.explain(),
                self.count(reason)
            );
            separator = "; ";
        }
        if self.idless == self.seen {
            message.push_str(
                ". No span has a valid id at all: this looks like logs or metrics sent to the \
                 traces path",
            );
        }
        Some(message)
    }

    /// Notes a span that was looked at, rejected or not.
    pub(crate) fn see(&mut self) {
        self.seen += 1;
    }

    /// Notes that a span seen has neither a trace id nor a span id.
    pub(crate) fn see_no_ids(&mut self) {
        self.idless += 1;
    }

    /// Spans looked at so far.
    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Counts one span.
    pub(crate) fn add(&mut self, reason: Reason) {
        self.counts[reason as usize] += 1;
    }
}
