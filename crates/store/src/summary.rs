//! A request in one line, from its spans.

use hoplog_model::times::DAY;
use hoplog_model::{FirstError, Flags, Interface, SpanId, SpanStatus, Summary, TraceId, UnixNanos};
use hoplog_otlp::{Absorbed, Attributes, SpanHead, SpanRef, SpanSet, SpanView};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A start further off the time of receipt than this, in nanoseconds, is not believed.
pub const CLOCK_SLACK: u64 = DAY;

/// The attributes that hold a request's code, the better ones first.
pub const CODE_KEYS: [&str; 5] = [
    "http.response.status_code",
    "http.status_code",
    "rpc.response.status_code",
    "rpc.status_code",
    "rpc.grpc.status_code",
];

/// The summary of a request with these spans, each id once. The same for every order of the
/// spans. Flags are those that the spans tell ([`Flags::NO_ROOT`], [`Flags::ORPHANS`]); what only a
/// row knows is added by [`Filed::apply`]. Without spans: all zero, and no root.
pub fn summarize(trace_id: TraceId, spans: &SpanSet) -> Summary {
    let heads = Heads::read(spans);
    let extent = heads.latest_end.saturating_sub(heads.started_at());
    let entry = heads.root.or(heads.earliest);
    let mut flags = Flags::default();
    if heads.root.is_none() {
        flags = flags.with(Flags::NO_ROOT);
    }
    if heads.has_orphans() {
        flags = flags.with(Flags::ORPHANS);
    }
    let failed_status = if heads.failed.is_empty() {
        SpanStatus::Unset
    } else {
        SpanStatus::Error
    };
    Summary {
        trace_id,
        started_at: heads.started_at(),
        duration: heads.root.map_or(extent, |root| root.head.duration()),
        extent,
        root: heads.root.map(|root| root.head.span_id),
        interface: entry.map(interface).unwrap_or_default(),
        status: heads.root.map_or(failed_status, |root| root.head.status),
        code: heads.root.and_then(|root| code(root.view().attributes())),
        span_count: count(spans.len()),
        hop_count: heads.hop_count(),
        service_count: count(heads.services),
        error_count: count(heads.failed.len()),
        capped_spans: 0,
        first_error: first_failed(&heads.failed).map(explain),
        flags,
    }
}

/// The (service, kind, name) of a span.
pub fn interface(span: SpanRef<'_>) -> Interface {
    Interface {
        service: span.group.service.as_ref().to_owned(),
        kind: span.head.kind,
        name: span.view().name().into_owned(),
    }
}

/// Everything that a span counts under: its interface, then that of its statement if it has one.
pub fn interfaces(span: SpanRef<'_>) -> impl Iterator<Item = Interface> {
    std::iter::once(interface(span)).chain(crate::statement::interface(span))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What one pass over the heads tells.
#[derive(Default)]
struct Heads<'a> {
    root: Option<SpanRef<'a>>,
    earliest: Option<SpanRef<'a>>,
    latest_end: UnixNanos,
    hops: u32,
    services: usize,
    failed: Vec<SpanRef<'a>>,
    ids: Vec<SpanId>,
    parents: Vec<SpanId>,
}

impl<'a> Heads<'a> {
    fn read(spans: &'a SpanSet) -> Self {
        let mut heads = Self {
            ids: Vec::with_capacity(spans.len()),
            parents: Vec::with_capacity(spans.len()),
            ..Self::default()
        };
        let mut services: Vec<&Arc<str>> = Vec::new();
        for span in spans.iter() {
            heads.add(span);
            // A service's spans come together, so this keeps the list short.
            if services
                .last()
                .is_none_or(|last| !Arc::ptr_eq(last, &span.group.service))
            {
                services.push(&span.group.service);
            }
        }
        services.sort_unstable();
        services.dedup();
        heads.services = services.len();
        heads.ids.sort_unstable();
        heads
    }

    fn add(&mut self, span: SpanRef<'a>) {
        let head = span.head;
        earlier(&mut self.earliest, span);
        self.latest_end = self.latest_end.max(head.end).max(head.start);
        self.hops += u32::from(head.kind.is_hop());
        self.ids.push(head.span_id);
        match head.parent {
            None => earlier(&mut self.root, span),
            // A sender's siblings come together.
            Some(parent) if self.parents.last() == Some(&parent) => {}
            Some(parent) => self.parents.push(parent),
        }
        if head.status == SpanStatus::Error {
            self.failed.push(span);
        }
    }

    fn started_at(&self) -> UnixNanos {
        self.earliest.map_or(0, |span| span.head.start)
    }

    fn hop_count(&self) -> u32 {
        self.hops + u32::from(self.root.is_some_and(|root| !root.head.kind.is_hop()))
    }

    fn has_orphans(&self) -> bool {
        self.parents
            .iter()
            .any(|parent| self.ids.binary_search(parent).is_err())
    }
}

fn age(head: &SpanHead) -> (UnixNanos, SpanId) {
    (head.start, head.span_id)
}

/// Keeps the span that starts first, then the one with the smaller id.
fn earlier<'a>(kept: &mut Option<SpanRef<'a>>, span: SpanRef<'a>) {
    if kept.is_none_or(|kept| age(span.head) < age(kept.head)) {
        *kept = Some(span);
    }
}

/// Of the failed spans, the earliest that no failed child explains.
fn first_failed<'a>(failed: &[SpanRef<'a>]) -> Option<SpanRef<'a>> {
    let mut explained: Vec<SpanId> = failed.iter().filter_map(|span| span.head.parent).collect();
    explained.sort_unstable();
    let deepest = failed
        .iter()
        .filter(|span| explained.binary_search(&span.head.span_id).is_err());
    // Where parents go in a circle, none is deepest.
    let earliest = deepest.min_by_key(|span| age(span.head));
    earliest
        .or_else(|| failed.iter().min_by_key(|span| age(span.head)))
        .copied()
}

/// The best of the attributes that hold a code.
fn code(attributes: Attributes<'_>) -> Option<String> {
    let ranked = attributes.filter_map(|(key, value)| {
        let rank = CODE_KEYS.iter().position(|known| *known == key)?;
        Some((rank, value))
    });
    // Of equal keys, the first: min_by_key keeps it.
    ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, value)| value.text().into_owned())
}

fn explain(span: SpanRef<'_>) -> FirstError {
    let view = span.view();
    let (kind, message) = exceptions(view).next().unwrap_or_default();
    let error_type = || {
        view.attributes()
            .get("error.type")
            .map(|value| value.text().into_owned())
    };
    FirstError {
        service: span.group.service.as_ref().to_owned(),
        name: view.name().into_owned(),
        kind: kind.or_else(error_type).unwrap_or_default(),
        message: message.unwrap_or_else(|| view.status_message().into_owned()),
    }
}

/// Type and message of each `exception` event of a span that has either, in the order recorded.
pub fn exceptions(
    span: SpanView<'_>,
) -> impl Iterator<Item = (Option<String>, Option<String>)> + use<'_> {
    let events = span.events().filter(|event| event.name == "exception");
    let said = events.map(|event| {
        let text = |key| {
            event
                .attributes()
                .get(key)
                .map(|value| value.text().into_owned())
        };
        (text("exception.type"), text("exception.message"))
    });
    said.filter(|(kind, message)| kind.is_some() || message.is_some())
}

/// Adds the attribute keys in use: of spans, their resources and their exceptions.
pub fn collect_keys(spans: &SpanSet, keys: &mut BTreeSet<String>) {
    let mut add = |key: &str| {
        if !keys.contains(key) {
            keys.insert(key.to_owned());
        }
    };
    for group in spans.groups() {
        group.attributes().for_each(|(key, _)| add(&key));
    }
    for span in spans.iter() {
        span.view().attributes().for_each(|(key, _)| add(&key));
        for (kind, message) in exceptions(span.view()) {
            kind.iter().for_each(|_| add("exception.type"));
            message.iter().for_each(|_| add("exception.message"));
        }
    }
}

/// What a row says of a request that its spans do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filed {
    /// The start by which the request is found: its earliest span's, but for a clamped one.
    pub started_at: UnixNanos,
    /// Of [`Filed::FLAGS`] those that are set.
    pub flags: Flags,
    /// Spans left out because of the cap.
    pub capped_spans: u32,
}

impl Filed {
    /// The flags that spans alone do not tell.
    pub const FLAGS: Flags =
        Flags(Flags::CLAMPED_TIME.0 | Flags::CAPPED.0 | Flags::LATE_PART.0 | Flags::CONFLICT.0);

    /// A request's first part: `start` is its earliest span's. A start more than
    /// [`CLOCK_SLACK`] off the time of receipt is replaced by the latter.
    pub fn first(start: UnixNanos, received_at: UnixNanos, capped: u32) -> Self {
        let filed = Self {
            started_at: start,
            ..Self::default()
        };
        let filed = if start.abs_diff(received_at) > CLOCK_SLACK {
            filed.clamped_to(received_at)
        } else {
            filed
        };
        filed.capped_by(capped)
    }

    /// The row after a later part was absorbed; `start` is the earliest of all spans. A part that
    /// brings nothing new changes nothing. A clamped start stays; another one moves to an
    /// earlier span's unless that is more than [`CLOCK_SLACK`] before it.
    pub fn later(self, start: UnixNanos, absorbed: &Absorbed, capped: u32) -> Self {
        let is_new = !absorbed.added.is_empty() || absorbed.conflicts > 0 || capped > 0;
        if !is_new {
            return self;
        }
        let mut filed = if self.flags.contains(Flags::CLAMPED_TIME) {
            self
        } else if self.started_at.saturating_sub(start) > CLOCK_SLACK {
            self.clamped_to(self.started_at)
        } else {
            Self {
                started_at: start,
                ..self
            }
        };
        filed.flags = filed.flags.with(Flags::LATE_PART);
        if absorbed.conflicts > 0 {
            filed.flags = filed.flags.with(Flags::CONFLICT);
        }
        filed.capped_by(capped)
    }

    /// What was filed of a request with this summary.
    pub fn of(summary: &Summary) -> Self {
        Self {
            started_at: summary.started_at,
            flags: Flags(summary.flags.0 & Self::FLAGS.0),
            capped_spans: summary.capped_spans,
        }
    }

    /// Puts it into a summary that [`summarize`] made of the row's spans.
    pub fn apply(&self, summary: &mut Summary) {
        summary.flags = summary.flags.with(self.flags);
        summary.capped_spans = self.capped_spans;
        if self.flags.contains(Flags::CLAMPED_TIME) {
            summary.started_at = self.started_at;
        }
    }

    fn clamped_to(self, started_at: UnixNanos) -> Self {
        Self {
            started_at,
            flags: self.flags.with(Flags::CLAMPED_TIME),
            ..self
        }
    }

    fn capped_by(mut self, capped: u32) -> Self {
        self.capped_spans = self.capped_spans.saturating_add(capped);
        if capped > 0 {
            self.flags = self.flags.with(Flags::CAPPED);
        }
        self
    }
}

#[cfg(test)]
mod tests;
