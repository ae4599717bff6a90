//! Cutting an export request into spans.

use crate::check::{self, Checker};
use crate::error::SliceError;
use crate::group::{Group, SharedResource};
use crate::head::SpanHead;
use crate::limits::Limits;
use crate::reject::{Reason, Rejected};
use crate::schema::{self, Message};
use crate::wire::{self, Fault};
use bytes::Bytes;
use hoplog_model::{IdError, SpanId, SpanKind, SpanStatus, TraceId};
use std::sync::Arc;

/// An export request, cut into spans.
#[derive(Debug, Clone)]
pub struct Sliced {
    /// The request.
    pub bytes: Bytes,
    /// One per `ScopeSpans`, in the order sent.
    pub groups: Vec<Arc<Group>>,
    /// The spans that are accepted, in the order sent.
    pub spans: Vec<SlicedSpan>,
    /// Those that are not.
    pub rejected: Rejected,
}

impl Sliced {
    /// The `Span` message of `span`, without tag and length.
    pub fn raw(&self, span: &SlicedSpan) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }
}

/// One span of an export request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicedSpan {
    /// The request it belongs to.
    pub trace_id: TraceId,
    /// What was read of it.
    pub head: SpanHead,
    /// Index into [`Sliced::groups`].
    pub group: u32,
    /// Where its message starts in [`Sliced::bytes`], after tag and length.
    pub start: u32,
    /// Where its message ends.
    pub end: u32,
}

/// The same without the bytes.
pub(crate) struct Parts {
    pub(crate) groups: Vec<Arc<Group>>,
    pub(crate) spans: Vec<SlicedSpan>,
    pub(crate) rejected: Rejected,
}

/// Cuts an `ExportTraceServiceRequest` (or `TracesData`, which is the same on the wire) into
/// spans, in one pass. The whole message is checked as prost would, text aside; a span that is
/// well formed but not acceptable is left out and counted. Memory is bounded by `limits` before
/// it is taken.
///
/// # Errors
/// [`SliceError`]: malformed, or over a limit that concerns the whole request.
pub fn slice(bytes: Bytes, limits: &Limits) -> Result<Sliced, SliceError> {
    let Parts {
        groups,
        spans,
        rejected,
    } = slice_ref(&bytes, limits)?;
    Ok(Sliced {
        bytes,
        groups,
        spans,
        rejected,
    })
}

pub(crate) fn slice_ref(bytes: &[u8], limits: &Limits) -> Result<Parts, SliceError> {
    let limit = limits.message_bytes.min(u32::MAX as usize);
    if bytes.len() > limit {
        return Err(SliceError::TooLarge { limit });
    }
    let mut slicer = Slicer {
        bytes,
        limits,
        groups_seen: 0,
        groups: Vec::new(),
        spans: Vec::new(),
        rejected: Rejected::default(),
    };
    match slicer.request(bytes) {
        Ok(()) => {
            let Slicer {
                groups,
                spans,
                rejected,
                ..
            } = slicer;
            Ok(Parts {
                groups,
                spans,
                rejected,
            })
        }
        Err(Stop::Limit(error)) => Err(error),
        Err(Stop::Fault(fault)) => Err(SliceError::Malformed {
            offset: fault.offset_in(bytes),
            what: fault.what,
        }),
    }
}

/// Room for messages in each message on the way down, as prost counts it.
const IN_REQUEST: u32 = wire::NESTING;
const IN_RESOURCE_SPANS: u32 = IN_REQUEST - 1;
const IN_SCOPE_SPANS: u32 = IN_RESOURCE_SPANS - 1;
const IN_SPAN: u32 = IN_SCOPE_SPANS - 1;

/// Why slicing ended early.
enum Stop {
    Fault(Fault),
    Limit(SliceError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

struct Slicer<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    groups_seen: u32,
    groups: Vec<Arc<Group>>,
    spans: Vec<SlicedSpan>,
    rejected: Rejected,
}

/// A submessage that may come in several pieces, which protobuf joins.
#[derive(Default)]
struct Pieces<'a> {
    first: &'a [u8],
    joined: Vec<u8>,
    /// Arrays and maps in one another, at most.
    depth: u32,
}

impl<'a> Pieces<'a> {
    fn add(&mut self, message: &'static Message, piece: &'a [u8], room: u32) -> Result<(), Fault> {
        let mut checker = Checker::default();
        checker.check(message, piece, room)?;
        self.depth = self.depth.max(checker.deepest);
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(self.first);
            }
            self.joined.extend_from_slice(piece);
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        if self.joined.is_empty() {
            self.first
        } else {
            &self.joined
        }
    }
}

/// What is known of a `ScopeSpans` once it is read.
struct Scope<'a> {
    scope: Pieces<'a>,
    schema: &'a [u8],
}

impl<'a> Slicer<'a> {
    fn request(&mut self, mut rest: &'a [u8]) -> Result<(), Stop> {
        while !rest.is_empty() {
            match wire::key(&mut rest)? {
                0x0a => self.resource_spans(wire::len_delimited(&mut rest)?)?,
                key => check::pass(&schema::REQUEST, &mut rest, key, IN_REQUEST)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, mut rest: &'a [u8]) -> Result<(), Stop> {
        self.count_group()?;
        let first_span = self.spans.len();
        let (mut resource, mut schema) = (Pieces::default(), &[][..]);
        let mut scopes = Vec::new();
        while !rest.is_empty() {
            match wire::key(&mut rest)? {
                0x0a => {
                    let piece = wire::len_delimited(&mut rest)?;
                    resource.add(&schema::RESOURCE, piece, IN_RESOURCE_SPANS - 1)?;
                }
                0x12 => {
                    let body = wire::len_delimited(&mut rest)?;
                    scopes.push(self.scope_spans(body, self.groups.len() + scopes.len())?);
                }
                0x1a => schema = wire::len_delimited(&mut rest)?,
                key => {
                    check::pass(&schema::RESOURCE_SPANS, &mut rest, key, IN_RESOURCE_SPANS)?;
                }
            }
        }
        self.add_groups(&resource, schema, &scopes, first_span);
        Ok(())
    }

    fn count_group(&mut self) -> Result<(), Stop> {
        let limit = self.limits.groups;
        if self.groups_seen >= limit {
            return Err(Stop::Limit(SliceError::TooManyGroups { limit }));
        }
        self.groups_seen += 1;
        Ok(())
    }

    /// Makes a group of each scope; the resource is copied once. Spans of groups that are not
    /// acceptable, known only now, are taken back: from `first_span` on.
    fn add_groups(
        &mut self,
        resource: &Pieces<'_>,
        schema: &[u8],
        scopes: &[Scope<'_>],
        first_span: usize,
    ) {
        let first_group = self.groups.len();
        let mut refused: Vec<Option<Reason>> = Vec::new();
        let too_large = |bytes: usize| bytes > self.limits.group_bytes as usize;
        let shared_bytes = resource.bytes().len() + schema.len();
        let shared = match too_large(shared_bytes) {
            true => SharedResource::default(),
            false => SharedResource::new(copy(resource.bytes()), copy(schema)),
        };
        for Scope { scope, schema } in scopes {
            let depth = scope.depth.max(resource.depth);
            let reason = if depth > self.limits.depth {
                Some(Reason::TooDeep)
            } else if too_large(shared_bytes + scope.bytes().len() + schema.len()) {
                Some(Reason::GroupTooLarge)
            } else {
                None
            };
            let group = match reason {
                Some(_) => {
                    Group::with_scope(&SharedResource::default(), Bytes::new(), Bytes::new())
                }
                None => Group::with_scope(&shared, copy(scope.bytes()), copy(schema)),
            };
            self.groups.push(Arc::new(group));
            refused.push(reason);
        }
        if refused.iter().any(Option::is_some) {
            let taken = self.spans.split_off(first_span);
            for span in taken {
                match refused[span.group as usize - first_group] {
                    Some(reason) => self.rejected.add(reason),
                    None => self.spans.push(span),
                }
            }
        }
    }

    fn scope_spans(&mut self, mut rest: &'a [u8], group: usize) -> Result<Scope<'a>, Stop> {
        self.count_group()?;
        let group = u32::try_from(group).expect("groups are counted in 32 bits");
        let (mut scope, mut schema) = (Pieces::default(), &[][..]);
        while !rest.is_empty() {
            match wire::key(&mut rest)? {
                0x12 => self.span(wire::len_delimited(&mut rest)?, group)?,
                0x0a => {
                    let piece = wire::len_delimited(&mut rest)?;
                    scope.add(&schema::SCOPE, piece, IN_SCOPE_SPANS - 1)?;
                }
                0x1a => schema = wire::len_delimited(&mut rest)?,
                key => check::pass(&schema::SCOPE_SPANS, &mut rest, key, IN_SCOPE_SPANS)?,
            }
        }
        Ok(Scope { scope, schema })
    }

    fn span(&mut self, body: &'a [u8], group: u32) -> Result<(), Stop> {
        let limit = self.limits.spans;
        if self.rejected.seen() >= limit {
            return Err(Stop::Limit(SliceError::TooManySpans { limit }));
        }
        self.rejected.see();
        let draft = Draft::read(body)?;
        match draft.judge(body.len(), self.limits) {
            Ok((trace_id, head)) => {
                let offset = body.as_ptr().addr() - self.bytes.as_ptr().addr();
                let place = |at: usize| u32::try_from(at).expect("the message has less than 4 GiB");
                let (start, end) = (place(offset), place(offset + body.len()));
                self.spans.push(SlicedSpan {
                    trace_id,
                    head,
                    group,
                    start,
                    end,
                });
            }
            Err(reason) => {
                self.rejected.add(reason);
                if reason == Reason::TraceId && SpanId::from_slice(draft.span_id).is_err() {
                    self.rejected.see_no_ids();
                }
            }
        }
        Ok(())
    }
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// What a span's bytes say, before it is judged.
#[derive(Default)]
struct Draft<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent: &'a [u8],
    kind: u64,
    status: u64,
    start: u64,
    end: u64,
    flags: u32,
    depth: u32,
}

impl<'a> Draft<'a> {
    /// Reads and checks the whole span. The hot loop: keys of known fields are matched with their
    /// wire type, all but one in a single byte.
    fn read(mut rest: &'a [u8]) -> Result<Self, Fault> {
        let mut draft = Draft::default();
        let mut checker = Checker::default();
        let rest = &mut rest;
        while !rest.is_empty() {
            match wire::key(rest)? {
                0x4a => {
                    let body = wire::len_delimited(rest)?;
                    if !check::is_text_attribute(body) {
                        checker.check(&schema::KEY_VALUE, body, IN_SPAN - 1)?;
                    }
                }
                0x0a => draft.trace_id = wire::len_delimited(rest)?,
                0x12 => draft.span_id = wire::len_delimited(rest)?,
                0x22 => draft.parent = wire::len_delimited(rest)?,
                0x30 => draft.kind = wire::varint(rest)?,
                0x39 => draft.start = wire::fixed64(rest)?,
                0x41 => draft.end = wire::fixed64(rest)?,
                // Trace state and name are only passed here.
                0x1a | 0x2a => drop(wire::len_delimited(rest)?),
                // Counts of what was dropped: attributes, events, links.
                0x50 | 0x60 | 0x70 => drop(wire::varint(rest)?),
                0x5a => {
                    checker.check(&schema::EVENT, wire::len_delimited(rest)?, IN_SPAN - 1)?;
                }
                0x6a => checker.check(&schema::LINK, wire::len_delimited(rest)?, IN_SPAN - 1)?,
                0x7a => draft.read_status(wire::len_delimited(rest)?)?,
                0x85 => draft.flags = wire::fixed32(rest)?,
                key => check::pass(&schema::SPAN, rest, key, IN_SPAN)?,
            }
        }
        draft.depth = checker.deepest;
        Ok(draft)
    }

    /// A status may come in pieces: what a piece does not say stays.
    fn read_status(&mut self, mut rest: &[u8]) -> Result<(), Fault> {
        while !rest.is_empty() {
            match wire::key(&mut rest)? {
                0x18 => self.status = wire::varint(&mut rest)?,
                0x12 => drop(wire::len_delimited(&mut rest)?),
                key => check::pass(&schema::STATUS, &mut rest, key, IN_SPAN - 1)?,
            }
        }
        Ok(())
    }

    fn judge(&self, len: usize, limits: &Limits) -> Result<(TraceId, SpanHead), Reason> {
        let trace_id = TraceId::from_slice(self.trace_id).map_err(|_| Reason::TraceId)?;
        let span_id = SpanId::from_slice(self.span_id).map_err(|_| Reason::SpanId)?;
        let parent = match SpanId::from_slice(self.parent) {
            Ok(parent) => Some(parent),
            Err(IdError::Zero) => None,
            Err(_) if self.parent.is_empty() => None,
            Err(_) => return Err(Reason::ParentId),
        };
        if len > limits.span_bytes as usize {
            return Err(Reason::SpanTooLarge);
        }
        if self.depth > limits.depth {
            return Err(Reason::TooDeep);
        }
        let kind = SpanKind::from_wire(u64::from(wire::low32(self.kind)));
        let status = SpanStatus::from_wire(u64::from(wire::low32(self.status)));
        let Self {
            start, end, flags, ..
        } = *self;
        Ok((
            trace_id,
            SpanHead {
                span_id,
                parent,
                kind,
                status,
                start,
                end,
                flags,
            },
        ))
    }
}
