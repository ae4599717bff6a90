//! What is known of a whole request without opening its spans.

use crate::{SpanId, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Role of a span (OTLP `Span.SpanKind`); unspecified counts as internal.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum SpanKind {
    /// Work inside a service.
    #[default]
    Internal = 1,
    /// A request arrives.
    Server = 2,
    /// A request goes out.
    Client = 3,
    /// A message goes out.
    Producer = 4,
    /// A message arrives.
    Consumer = 5,
    /// Never a span's: what a span asks a database counts under an interface of this kind, beside the
    /// span's own. OpenTelemetry does not use the number, and no sender can claim it.
    Statement = 16,
}

impl SpanKind {
    /// Every kind that a span can have, in wire order.
    pub const ALL: [Self; 5] = [
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];

    /// From OTLP's number; 0 and unknown numbers are internal.
    pub fn from_wire(number: u64) -> Self {
        match number {
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Internal,
        }
    }

    /// From the number that [`SpanKind::to_wire`] gave: a store's, not a sender's.
    pub fn from_stored(number: u64) -> Self {
        if number == u64::from(Self::Statement.to_wire()) {
            Self::Statement
        } else {
            Self::from_wire(number)
        }
    }

    /// OTLP's number, 1 to 5; 16 for [`SpanKind::Statement`].
    pub fn to_wire(self) -> u8 {
        self as u8
    }

    /// Lower-case name, as the query language writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Statement => "statement",
        }
    }

    /// Whether a span of this kind is where something arrives: a hop of the request.
    pub fn is_hop(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SpanKind {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
            .ok_or(())
    }
}

/// A span's or a request's outcome (OTLP `Status.code`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum SpanStatus {
    /// The sender said nothing, which usually means it went well.
    #[default]
    Unset = 0,
    /// The sender said it went well.
    Ok = 1,
    /// The sender said it failed.
    Error = 2,
}

impl SpanStatus {
    /// From OTLP's number; unknown numbers are unset.
    pub fn from_wire(number: u64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// OTLP's number, 0 to 2.
    pub fn to_wire(self) -> u8 {
        self as u8
    }

    /// Lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for SpanStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A (service, span kind, operation) at which requests arrive, or which they pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Interface {
    /// `service.name` of the resource; empty where the sender gave none.
    pub service: String,
    /// The spans' kind.
    pub kind: SpanKind,
    /// The spans' name, e.g. `POST /orders/{id}`; of kind [`SpanKind::Statement`] the fingerprint.
    pub name: String,
}

impl Interface {
    /// Whether this is no span name but what spans ask a database.
    pub fn is_statement(&self) -> bool {
        self.kind == SpanKind::Statement
    }
}

/// Things about a request that a reader must know. A set of bits; the numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// No span without a parent was received (yet).
    pub const NO_ROOT: Self = Self(1);
    /// The start lay more than 24 h off the time of receipt; it was filed under the latter.
    pub const CLAMPED_TIME: Self = Self(1 << 1);
    /// Spans over the request's cap were left out (and counted).
    pub const CAPPED: Self = Self(1 << 2);
    /// Parts arrived after the request was first written.
    pub const LATE_PART: Self = Self(1 << 3);
    /// Still in memory: more spans may come before it is written.
    pub const OPEN: Self = Self(1 << 4);
    /// A span id came twice with different bytes; the later end was kept.
    pub const CONFLICT: Self = Self(1 << 5);
    /// A span names a parent that was not received.
    pub const ORPHANS: Self = Self(1 << 6);
    /// Kept by hand, whatever its age. In no row: an answer adds it.
    pub const KEPT: Self = Self(1 << 7);

    /// Each flag with its name in answers.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::NO_ROOT, "no_root"),
        (Self::CLAMPED_TIME, "clamped_time"),
        (Self::CAPPED, "capped"),
        (Self::LATE_PART, "late_part"),
        (Self::OPEN, "open"),
        (Self::CONFLICT, "conflict"),
        (Self::ORPHANS, "orphans"),
        (Self::KEPT, "kept"),
    ];

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Names of the flags that are set, in bit order.
    pub fn names(self) -> Vec<&'static str> {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        set.map(|(_, name)| *name).collect()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The failure a reader should look at first: the earliest failed span that no failed child explains.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct FirstError {
    /// The failing span's service.
    pub service: String,
    /// The failing span's name.
    pub name: String,
    /// `exception.type` of its exception, else `error.type`, else empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// `exception.message`, else the status message, else empty.
    pub message: String,
}

/// A request in one line; the rules are those of `summarize` in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Summary {
    /// The request's id.
    pub trace_id: TraceId,
    /// Earliest start of all spans.
    pub started_at: UnixNanos,
    /// Nanoseconds the root took; without root the extent.
    pub duration: u64,
    /// Nanoseconds from the earliest start to the latest end.
    pub extent: u64,
    /// The root span's id, if a root was received.
    pub root: Option<SpanId>,
    /// The root's interface; without root that of the earliest span.
    pub interface: Interface,
    /// The root's status; without root error if any span failed, else unset.
    pub status: SpanStatus,
    /// The root's `http.response.status_code` or `rpc` status, as text.
    pub code: Option<String>,
    /// Spans held.
    pub span_count: u32,
    /// Spans of kind server or consumer, and a root of another kind.
    pub hop_count: u32,
    /// Distinct services.
    pub service_count: u32,
    /// Spans with status error.
    pub error_count: u32,
    /// Spans left out because of the cap.
    pub capped_spans: u32,
    /// Where it went wrong first.
    pub first_error: Option<FirstError>,
    /// What a reader must know.
    pub flags: Flags,
}
