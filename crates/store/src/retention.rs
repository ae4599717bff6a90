//! How long requests are kept, by what became of them, and what retention has done.
//!
//! Ages count from the end of a request's partition. `rest` is the age of every request; those with an error and
//! slow ones may have greater ones of their own, and count as long as any of theirs lasts. A partition past all of
//! them is dropped whole; one past some of them is *thinned*: the few that stay move into a new partition for the
//! same time, and the old one is dropped whole (ADR 17). Requests kept by hand ([`Pins`](crate::Pins)) stay in
//! any case but one: the bound in bytes is stronger.

mod text;

use crate::StoreError;
use hoplog_model::times::{DAY, SECOND};
use hoplog_model::{SpanStatus, Summary, UnixNanos};
use serde::{Deserialize, Serialize};
pub use text::{Age, Bytes, Nanos};

/// Requests that may be kept by hand at once.
pub const PINS_MAX: usize = 10_000;

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// How long after its partition's end a request is kept; 14 days by default.
    pub rest: Age,
    /// The same for those that are slow; no less than `rest`, whatever it says; 14 days by default.
    pub slow: Age,
    /// The same for those with an error; no less than `rest`, whatever it says; 14 days by default.
    pub errors: Age,
    /// A request that took so long is slow; 1 s by default.
    pub slow_over: Nanos,
    /// Bytes on disk beyond which the oldest partitions are dropped (the newest never is); no bound by default.
    pub bytes: Bytes,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            slow_over: Nanos(SECOND),
            ..Self::all(14 * DAY)
        }
    }
}

impl Keep {
    /// Everything for so many nanoseconds.
    pub fn all(age: u64) -> Self {
        let age = Age::Nanos(age);
        Self {
            rest: age,
            slow: age,
            errors: age,
            slow_over: Nanos(SECOND),
            bytes: Bytes::Unbounded,
        }
    }

    /// Everything for ever.
    pub fn forever() -> Self {
        Self {
            rest: Age::Forever,
            slow: Age::Forever,
            errors: Age::Forever,
            ..Self::default()
        }
    }

    /// What of a partition that ends at `to` is past its age.
    pub fn past(&self, to: UnixNanos, now: UnixNanos) -> Past {
        let is_past = |age: Age| match age {
            Age::Nanos(age) => to.saturating_add(age) <= now,
            Age::Forever => false,
        };
        let mut past = Past::NOTHING;
        if is_past(self.rest) {
            past = Past::REST;
            if is_past(self.slow) {
                past = past.with(Past::SLOW);
            }
            if is_past(self.errors) {
                past = past.with(Past::ERRORS);
            }
        }
        past
    }

    /// Whether it is slow, by the duration of its root.
    pub fn is_slow(&self, duration: u64) -> bool {
        duration >= self.slow_over.0
    }
}

/// Kinds of requests that are past their age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Past(pub u8);

impl Past {
    /// None.
    pub const NOTHING: Self = Self(0);
    /// Those that are neither slow nor have an error.
    pub const REST: Self = Self(1);
    /// Slow ones.
    pub const SLOW: Self = Self(1 << 1);
    /// Those with an error.
    pub const ERRORS: Self = Self(1 << 2);
    /// Every one.
    pub const ALL: Self = Self(7);

    /// These and those.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a request goes.
    pub fn takes(self, has_error: bool, is_slow: bool) -> bool {
        let mut own = Self::REST;
        if has_error {
            own = own.with(Self::ERRORS);
        }
        if is_slow {
            own = own.with(Self::SLOW);
        }
        self.contains(own)
    }

    /// Their names, for figures.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Self::REST, "rest"),
            (Self::SLOW, "slow"),
            (Self::ERRORS, "errors"),
        ]
        .into_iter()
        .filter(move |(one, _)| self.contains(*one))
        .map(|(_, name)| name)
    }
}

/// That no more requests can be kept by hand.
pub fn too_many_pins() -> StoreError {
    StoreError::Invalid(format!(
        "{PINS_MAX} requests are kept already: let one go first"
    ))
}

impl Serialize for Past {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.names())
    }
}

/// Whether a request has an error: its own status, or that of any of its spans.
pub fn has_error(summary: &Summary) -> bool {
    summary.status == SpanStatus::Error || summary.error_count > 0
}

/// Why rows were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Their partition was past every age.
    Age,
    /// The store was larger than its bound.
    Size,
    /// They were past the age of their kind, others of the partition were not.
    Outcome,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Age, Self::Size, Self::Outcome];

    /// As it stands in tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
            Self::Outcome => "outcome",
        }
    }

    /// From its name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// What was dropped for one reason, since ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Partitions dropped or thinned.
    pub partitions: u64,
    /// Rows in them that are no more.
    pub rows: u64,
    /// Bytes on disk that came free.
    pub bytes: u64,
    /// Rows among them that were to be kept by hand.
    pub pinned: u64,
    /// When it happened last; 0 for never.
    pub at: UnixNanos,
}

impl Gone {
    /// Adds more.
    pub fn add(&mut self, more: Self) {
        self.partitions += more.partitions;
        self.rows += more.rows;
        self.bytes += more.bytes;
        self.pinned += more.pinned;
        self.at = self.at.max(more.at);
    }
}

/// What retention has done since ever, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// [`Reason::Age`].
    pub age: Gone,
    /// [`Reason::Size`].
    pub size: Gone,
    /// [`Reason::Outcome`].
    pub outcome: Gone,
}

impl Retained {
    /// What was dropped for this reason.
    pub fn of(&self, reason: Reason) -> &Gone {
        match reason {
            Reason::Age => &self.age,
            Reason::Size => &self.size,
            Reason::Outcome => &self.outcome,
        }
    }

    /// The same, to change.
    pub fn of_mut(&mut self, reason: Reason) -> &mut Gone {
        match reason {
            Reason::Age => &mut self.age,
            Reason::Size => &mut self.size,
            Reason::Outcome => &mut self.outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_kept_as_long_as_any_of_its_ages_lasts() {
        let keep = Keep {
            errors: Age::Nanos(30),
            slow: Age::Nanos(14),
            ..Keep::all(3)
        };
        let stays = |now, has_error, is_slow| !keep.past(100, now).takes(has_error, is_slow);
        for (now, rest, slow, error, both) in [
            (102, true, true, true, true),
            (103, false, true, true, true),
            (114, false, false, true, true),
            (130, false, false, false, false),
        ] {
            assert_eq!(stays(now, false, false), rest, "{now}");
            assert_eq!(stays(now, false, true), slow, "{now}");
            assert_eq!(stays(now, true, false), error, "{now}");
            assert_eq!(stays(now, true, true), both, "{now}");
        }
        assert_eq!(keep.past(100, 130), Past::ALL);
    }

    #[test]
    fn the_age_of_the_rest_is_that_of_all() {
        let keep = Keep {
            rest: Age::Nanos(30),
            ..Keep::all(3)
        };
        assert_eq!(keep.past(100, 129), Past::NOTHING);
        assert_eq!(keep.past(100, 130), Past::ALL);
        assert_eq!(Keep::forever().past(0, u64::MAX), Past::NOTHING);
    }

    #[test]
    fn slow_errors_stay_for_the_longer_of_both() {
        let keep = Keep {
            errors: Age::Nanos(5),
            slow: Age::Forever,
            ..Keep::all(3)
        };
        let past = keep.past(0, 100);
        assert_eq!(past, Past::REST.with(Past::ERRORS));
        assert!(past.takes(true, false) && past.takes(false, false));
        assert!(!past.takes(true, true) && !past.takes(false, true));
    }
}
