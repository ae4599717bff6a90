//! What is known of a span before it is read.

use crate::segment::OTHER;
use crate::{HopExpr, HopTest, Range, TextMatch};
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
}

impl<'a> Seen<'a> {
    pub(super) fn interface(interface: &'a Interface) -> Self {
        Self {
            interface: Some(interface),
            ..Self::default()
        }
    }

    /// Whether such spans fulfil the condition: each (`Yes`), none (`No`), or some.
    pub(super) fn asks(&self, expr: &HopExpr) -> Tri {
        match expr {
            HopExpr::And(all) => all
                .iter()
                .fold(Tri::Yes, |tri, expr| tri.min(self.asks(expr))),
            HopExpr::Or(any) => any
                .iter()
                .fold(Tri::No, |tri, expr| tri.max(self.asks(expr))),
            HopExpr::Not(expr) => self.asks(expr).not(),
            HopExpr::Is(test) => self.passes(test),
        }
    }

    fn passes(&self, test: &HopTest) -> Tri {
        match test {
            HopTest::Service(text) => self
                .interface
                .map_or(Tri::Perhaps, |known| text.matches(&known.service).into()),
            HopTest::Name(text) => match self.interface {
                Some(known) if known.name != OTHER && !known.is_statement() => {
                    text.matches(&known.name).into()
                }
                _ => Tri::Perhaps,
            },
            HopTest::Kind(kind) => match self.interface {
                Some(known) if !known.is_statement() => (known.kind == *kind).into(),
                _ => Tri::Perhaps,
            },
            HopTest::Statement(text) => match self.interface {
                Some(known) if known.is_statement() && known.name != OTHER => {
                    text.matches(&known.name).into()
                }
                _ => Tri::Perhaps,
            },
            HopTest::Status(status) => self.status(*status),
            HopTest::Duration(range) => self.duration(range),
            HopTest::SelfTime(range) => match self.numbers {
                Some(numbers) => Tri::perhaps_if(range.least.is_none_or(|l| l <= numbers.longest)),
                None => Tri::Perhaps,
            },
            // Filters have a say in these, see [`super::known`]; in text nothing has.
            HopTest::Attribute { .. }
            | HopTest::Exception(_)
            | HopTest::SpanId(_)
            | HopTest::Text(_) => Tri::Perhaps,
        }
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

/// Whether only a span with a statement can fulfil the condition.
pub(super) fn needs_statement(expr: &HopExpr) -> bool {
    fn without(expr: &HopExpr) -> Tri {
        match expr {
            HopExpr::And(all) => all.iter().map(without).min().unwrap_or(Tri::Yes),
            HopExpr::Or(any) => any.iter().map(without).max().unwrap_or(Tri::No),
            HopExpr::Not(expr) => without(expr).not(),
            HopExpr::Is(HopTest::Statement(_)) => Tri::No,
            HopExpr::Is(_) => Tri::Perhaps,
        }
    }
    without(expr) == Tri::No
}

/// The one text that a pattern stands for, if it is one.
pub(super) fn only_text(text: &TextMatch) -> Option<&str> {
    match text {
        TextMatch::Is(text) => Some(text),
        TextMatch::Glob(pattern) if !pattern.contains(['*', '?']) => Some(pattern),
        TextMatch::Glob(_) | TextMatch::Contains(_) => None,
    }
}
