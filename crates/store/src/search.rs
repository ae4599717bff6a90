//! What a search asks and what it answers.
//!
//! The query language (crate `query`) is lowered to [`RequestExpr`]. Every term is exact: a store may
//! use filters to skip what cannot match, but a hit is always verified on the request's spans.

use hoplog_model::{SpanId, SpanKind, SpanStatus, Summary, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

/// Text compared with a pattern. Comparisons are case-sensitive but for [`TextMatch::Contains`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// The very text.
    Is(String),
    /// `*` stands for any characters, `?` for one.
    Glob(String),
    /// Contains, ignoring case (Unicode lower-case).
    Contains(String),
}

/// Both ends inclusive; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T> {
    /// Least value that matches.
    pub least: Option<T>,
    /// Greatest value that matches.
    pub greatest: Option<T>,
}

/// A test of an attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueMatch {
    /// The attribute is there.
    Present,
    /// Its canonical text matches.
    Text(TextMatch),
    /// It is (or reads as) a number within the range; strict bounds by `open_*`.
    Number {
        /// The bounds.
        range: Range<f64>,
        /// The least bound itself does not match (`>`).
        least_open: bool,
        /// The greatest bound itself does not match (`<`).
        greatest_open: bool,
    },
}

/// A test of one span.
#[derive(Debug, Clone, PartialEq)]
pub enum HopTest {
    /// The service's name.
    Service(TextMatch),
    /// The span's name (operation).
    Name(TextMatch),
    /// The span's kind.
    Kind(SpanKind),
    /// The span's status.
    Status(SpanStatus),
    /// The span's duration in nanoseconds.
    Duration(Range<u64>),
    /// The span's own time in nanoseconds: its duration less what its children cover.
    SelfTime(Range<u64>),
    /// Any of these attributes, on the span or its resource, has such a value.
    Attribute {
        /// Names of the same thing, current and older; never empty.
        keys: Vec<String>,
        /// The test.
        value: ValueMatch,
    },
    /// The fingerprint of what the span asks a database ([`crate::statement`]); none without such.
    Statement(TextMatch),
    /// An `exception` event whose type or message matches.
    Exception(TextMatch),
    /// The text occurs in the span's name, status message, an attribute value, or an
    /// exception's type or message, ignoring case.
    Text(String),
    /// The span's id.
    SpanId(SpanId),
}

/// A condition on one span.
#[derive(Debug, Clone, PartialEq)]
pub enum HopExpr {
    /// All of them.
    And(Vec<HopExpr>),
    /// Any of them.
    Or(Vec<HopExpr>),
    /// Not this.
    Not(Box<HopExpr>),
    /// A test.
    Is(HopTest),
}

/// A test of the request as a whole, on its [`Summary`].
#[derive(Debug, Clone, PartialEq)]
pub enum RequestTest {
    /// The request's id.
    Trace(TraceId),
    /// The root interface's service (`entry`).
    Entry(TextMatch),
    /// The root interface's name (`op`).
    Name(TextMatch),
    /// The request's status.
    Status(SpanStatus),
    /// The request's code, as text.
    Code(TextMatch),
    /// The request's duration in nanoseconds.
    Duration(Range<u64>),
    /// When its first span started, in Unix nanoseconds.
    Started(Range<u64>),
    /// When its last span ended: its start and its extent.
    Ended(Range<u64>),
    /// Number of hops.
    Hops(Range<u64>),
    /// Number of spans.
    Spans(Range<u64>),
    /// Number of failed spans.
    Errors(Range<u64>),
    /// An attribute of the root span or its resource (`method`, `route`, `request` …).
    RootAttribute {
        /// Names of the same thing; never empty.
        keys: Vec<String>,
        /// The test.
        value: ValueMatch,
    },
}

/// A condition on a request.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestExpr {
    /// All of them; the empty list matches everything.
    And(Vec<RequestExpr>),
    /// Any of them.
    Or(Vec<RequestExpr>),
    /// Not this.
    Not(Box<RequestExpr>),
    /// A test of the whole request.
    Is(RequestTest),
    /// Some span fulfils this.
    Hop(HopExpr),
}

impl RequestExpr {
    /// Matches every request.
    pub fn everything() -> Self {
        Self::And(Vec::new())
    }
}

/// Order of the answer; ties by trace id, descending in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Latest start first.
    #[default]
    Newest,
    /// Longest duration first.
    Slowest,
}

impl Sort {
    /// What a request is ordered by: start or duration.
    pub fn key(self, summary: &Summary) -> u64 {
        match self {
            Self::Newest => summary.started_at,
            Self::Slowest => summary.duration,
        }
    }
}

/// Where a page ended: the next one holds what sorts strictly after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last request's start or duration, by the search's [`Sort`].
    pub key: u64,
    /// The last request's id.
    pub trace_id: TraceId,
}

/// How much a search may read before it answers with what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of row data unpacked.
    pub bytes: u64,
    /// Nanoseconds of time, on the store's clock.
    pub time: u64,
}

impl Default for Bounds {
    /// 256 MiB and 2 s.
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            time: 2_000_000_000,
        }
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What must hold.
    pub expr: RequestExpr,
    /// Earliest start that matches.
    pub from: UnixNanos,
    /// First start that no longer matches.
    pub to: UnixNanos,
    /// Order of the answer.
    pub sort: Sort,
    /// Most requests in one page, 1 to 1,000.
    pub limit: usize,
    /// Go on after this.
    pub after: Option<Cursor>,
    /// Budget.
    pub bounds: Bounds,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Segments looked at.
    pub segments: u64,
    /// Value filters probed.
    pub filters: u64,
    /// Rows unpacked and verified.
    pub rows: u64,
    /// Bytes unpacked.
    pub bytes: u64,
    /// Milliseconds taken.
    pub ms: u64,
}

/// One page of an answer.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Matching requests, in order.
    pub hits: Vec<Summary>,
    /// Where to go on; none when this was the last page.
    pub next: Option<Cursor>,
    /// False if the budget ran out before the page was full: `next` then says how far it got.
    pub complete: bool,
    /// The sort key down to which everything was looked at, if the search stopped early.
    pub searched_until: Option<u64>,
    /// What it cost.
    pub cost: Cost,
}
