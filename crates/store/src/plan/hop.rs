//! What is known of a span before it is read.

use super::known::Filters;
use crate::segment::{Damaged, OTHER, SPAN_ID, value_hash};
use crate::{HopExpr, HopTest, Range, TextMatch, ValueMatch};
use hoplog_model::{Interface, SpanStatus};

/// The keys under which exceptions of events are filed.
pub(super) const EXCEPTION_KEYS: [&str; 2] = ["exception.type", "exception.message"];

/// An answer of one who has not seen everything. `No < Perhaps < Yes`: and is the least, or the
/// greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tri {
    No,
    Perhaps,
    Yes,
}

impl Tri {
    pub(super) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        }
    }

    pub(super) fn perhaps_if(may: bool) -> Self {
        if may { Self::Perhaps } else { Self::No }
    }
}

impl From<bool> for Tri {
    fn from(sure: bool) -> Self {
        if sure { Self::Yes } else { Self::No }
    }
}

/// The numbers of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) count: u32,
    pub(super) errors: u32,
    pub(super) longest: u64,
}

/// What is known of some spans; an answer is about each of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    /// Their interface.
    pub(super) interface: Option<&'a Interface>,
    /// The numbers of all spans of that interface in the segment.
    pub(super) numbers: Option<Numbers>,
    /// Whether their rows have any failed span.
    pub(super) row_failed: Option<bool>,
    /// The segment's filters.
    pub(super) filters: Option<&'a Filters>,
}

impl<'a> Seen<'a> {
    pub(super) fn interface(interface: &'a Interface) -> Self {
        Self {
            interface: Some(interface),
            ..Self::default()
        }
    }

    /// Whether such spans fulfil the condition: each (`Yes`), none (`No`), or some.
    pub(super) fn asks(&self, expr: &HopExpr) -> Result<Tri, Damaged> {
        match expr {
            HopExpr::And(all) => all
                .iter()
                .try_fold(Tri::Yes, |tri, expr| Ok(tri.min(self.asks(expr)?))),
            HopExpr::Or(any) => any
                .iter()
                .try_fold(Tri::No, |tri, expr| Ok(tri.max(self.asks(expr)?))),
            HopExpr::Not(expr) => Ok(self.asks(expr)?.not()),
            HopExpr::Is(test) => self.passes(test),
        }
    }

    fn passes(&self, test: &HopTest) -> Result<Tri, Damaged> {
        Ok(match test {
            HopTest::Service(text) => self
                .interface
                .map_or(Tri::Perhaps, |known| text.matches(&known.service).into()),
            HopTest::Name(text) => match self.interface {
                Some(known) if known.name != OTHER => text.matches(&known.name).into(),
                _ => Tri::Perhaps,
            },
            HopTest::Kind(kind) => self
                .interface
                .map_or(Tri::Perhaps, |known| (known.kind == *kind).into()),
            HopTest::Status(status) => self.status(*status),
            HopTest::Duration(range) => self.duration(range),
            HopTest::SelfTime(range) => match self.numbers {
                Some(numbers) => Tri::perhaps_if(range.least.is_none_or(|l| l <= numbers.longest)),
                None => Tri::Perhaps,
            },
            HopTest::Attribute { keys, value } => Tri::perhaps_if(self.any_key(keys, value)?),
            HopTest::Exception(text) => {
                let keys = EXCEPTION_KEYS.map(ToOwned::to_owned);
                Tri::perhaps_if(self.any_key(&keys, &ValueMatch::Text(text.clone()))?)
            }
            HopTest::SpanId(span_id) => match self.filters {
                Some(filters) => {
                    let hash = value_hash(span_id.as_bytes());
                    Tri::perhaps_if(filters.may_have_hash(SPAN_ID, hash)?)
                }
                None => Tri::Perhaps,
            },
            // What else a span says is in no filter; the empty text is everywhere.
            HopTest::Text(_) => Tri::Perhaps,
        })
    }

    fn any_key(&self, keys: &[String], value: &ValueMatch) -> Result<bool, Damaged> {
        self.filters
            .map_or(Ok(true), |filters| filters.may_have_any(keys, value))
    }

    fn status(&self, status: SpanStatus) -> Tri {
        let is_error = status == SpanStatus::Error;
        let numbers = self.numbers.map(|numbers| (numbers.errors, numbers.count));
        match (self.row_failed, numbers) {
            (Some(false), _) if is_error => Tri::No,
            (_, Some((0, _))) if is_error => Tri::No,
            (_, Some((errors, count))) if errors == count => is_error.into(),
            _ => Tri::Perhaps,
        }
    }

    fn duration(&self, range: &Range<u64>) -> Tri {
        let longest = self.numbers.map_or(u64::MAX, |numbers| numbers.longest);
        let least = range.least.unwrap_or(0);
        let all_below = range.greatest.is_none_or(|greatest| longest <= greatest);
        match () {
            () if least > longest => Tri::No,
            () if least == 0 && all_below => Tri::Yes,
            () => Tri::Perhaps,
        }
    }
}

/// The one text that a pattern stands for, if it is one.
pub(super) fn only_text(text: &TextMatch) -> Option<&str> {
    match text {
        TextMatch::Is(text) => Some(text),
        TextMatch::Glob(pattern) if !pattern.contains(['*', '?']) => Some(pattern),
        TextMatch::Glob(_) | TextMatch::Contains(_) => None,
    }
}
