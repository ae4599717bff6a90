//! Whether the database has come to answer a statement another way: from its daily figures alone.

use hoplog_model::{Sketch, UnixNanos};
use serde::Serialize;

/// How much slower a statement has become if its plan may have changed.
const SLOWER: u64 = 2;
/// Call rates are equal if one is at most half as high again as the other: these parts of each other.
const RATES: (u128, u128) = (3, 2);
/// Days before that a day is compared with.
const BEFORE: usize = 7;
/// How many of the last days a change may have begun on: by then what is new is what is usual.
const RECENT: usize = 7;
/// Calls of a day that are enough for its p95.
const CALLS_MIN: u64 = 30;
/// Calls of the days before that are enough for theirs.
const CALLS_BEFORE_MIN: u64 = 100;

/// A statement's calls of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// The day's first instant.
    pub at: UnixNanos,
    /// Nanoseconds of it that have passed.
    pub passed: u64,
    /// Durations of the calls.
    pub durations: Sketch,
}

/// A statement that takes longer than in the week before, though it is called as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlanChange {
    /// The first instant of the day from which on.
    pub began: UnixNanos,
    /// 95 % of the calls of the week before took at most this, in nanoseconds.
    pub p95_before: u64,
    /// 95 % of the calls since take at most this.
    pub p95_since: u64,
}

/// What a day says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// At least [`SLOWER`] times the p95, at an equal call rate.
    Slower,
    /// Less than that.
    Fine,
    /// Too few calls, or many more or less than before.
    Unclear,
}

/// Finds the first of the last seven days on which the statement's p95 was at least twice that of the week
/// before at an equal call rate, if no day since was better. Days come in order, none left out.
pub fn plan_change(days: &[Day]) -> Option<PlanChange> {
    let first = days.len().saturating_sub(RECENT).max(1);
    (first..days.len()).find_map(|began| {
        let (earlier, since) = days.split_at(began);
        let before = Before::of(&earlier[earlier.len().saturating_sub(BEFORE)..])?;
        let verdicts = || since.iter().map(|day| before.verdict(day));
        let is_change = verdicts().next() == Some(Verdict::Slower)
            && verdicts().all(|verdict| verdict != Verdict::Fine);
        let mut durations = Sketch::default();
        since.iter().for_each(|day| durations.merge(&day.durations));
        is_change.then_some(PlanChange {
            began: since.first()?.at,
            p95_before: before.p95,
            p95_since: durations.quantile(0.95)?,
        })
    })
}

/// The days before.
#[derive(Debug)]
struct Before {
    calls: u64,
    nanos: u64,
    p95: u64,
}

impl Before {
    /// None if there are too few calls. A statement that is younger than the days counts from its first.
    fn of(days: &[Day]) -> Option<Self> {
        let days = days.iter().skip_while(|day| day.durations.count() == 0);
        let (mut nanos, mut durations) = (0_u64, Sketch::default());
        for day in days {
            nanos = nanos.saturating_add(day.passed);
            durations.merge(&day.durations);
        }
        let p95 = durations.quantile(0.95)?;
        let calls = durations.count();
        (calls >= CALLS_BEFORE_MIN).then_some(Self { calls, nanos, p95 })
    }

    fn verdict(&self, day: &Day) -> Verdict {
        let calls = day.durations.count();
        match day.durations.quantile(0.95) {
            Some(p95) if calls >= CALLS_MIN => {
                if p95 < self.p95.saturating_mul(SLOWER) {
                    Verdict::Fine
                } else if self.is_as_often(calls, day.passed) {
                    Verdict::Slower
                } else {
                    Verdict::Unclear
                }
            }
            _ => Verdict::Unclear,
        }
    }

    /// Whether so many calls in so many nanoseconds are the rate of before, give or take.
    fn is_as_often(&self, calls: u64, nanos: u64) -> bool {
        let now = u128::from(calls) * u128::from(self.nanos);
        let before = u128::from(self.calls) * u128::from(nanos);
        let (more, less) = RATES;
        let most = |some: u128| some.saturating_mul(more);
        now.saturating_mul(less) <= most(before) && before.saturating_mul(less) <= most(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_model::times::DAY;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    /// A day of so many calls, all of one duration but for a few slow ones.
    fn day(n: usize, calls: u64, millis: u64) -> Day {
        let mut durations = Sketch::default();
        for call in 0..calls {
            durations.add(millis * MS * if call % 50 == 49 { 3 } else { 1 });
        }
        Day {
            at: n as u64 * DAY,
            passed: DAY,
            durations,
        }
    }

    fn days(of: &[(u64, u64)]) -> Vec<Day> {
        let all = of.iter().zip(0..);
        all.map(|((calls, millis), n)| day(n, *calls, *millis))
            .collect()
    }

    fn began(of: &[(u64, u64)]) -> Option<u64> {
        plan_change(&days(of)).map(|change| change.began / DAY)
    }

    #[test]
    fn a_statement_that_took_twice_as_long_from_one_day_on_is_found_with_that_day() {
        let mut of = vec![(200, 10); 10];
        of.extend([(190, 30), (210, 29), (200, 31)]);
        let change = plan_change(&days(&of)).unwrap();
        assert_eq!(change.began, 10 * DAY);
        let near = |nanos: u64, millis: u64| nanos.abs_diff(millis * MS) <= nanos / 40;
        assert!(
            near(change.p95_before, 10) && near(change.p95_since, 31),
            "{change:?}"
        );
    }

    #[test]
    fn what_is_better_again_or_has_another_reason_is_no_change() {
        let week = |last: &[(u64, u64)]| {
            let mut of = vec![(200, 10); 9];
            of.extend(last);
            began(&of)
        };
        assert_eq!(week(&[(200, 30)]), Some(9));
        assert_eq!(week(&[(200, 30), (200, 10)]), None, "better again");
        assert_eq!(week(&[(200, 19)]), None, "not twice");
        assert_eq!(week(&[(500, 30)]), None, "called more often");
        assert_eq!(week(&[(60, 30)]), None, "called less often");
        assert_eq!(week(&[(20, 30)]), None, "too few calls");
        assert_eq!(
            week(&[(200, 30), (0, 0), (40, 35)]),
            Some(9),
            "a quiet weekend"
        );
        assert_eq!(week(&[(200, 30); 8]), None, "usual by now");
        assert_eq!(began(&[(200, 30)]), None, "nothing before");
        assert_eq!(began(&[(50, 10), (50, 30)]), None, "too little before");
        assert_eq!(
            began(&[(0, 0), (0, 0), (200, 10), (200, 30)]),
            Some(3),
            "a young one"
        );
        assert_eq!(began(&[]), None);
    }

    #[test]
    fn a_day_that_has_just_begun_is_compared_by_its_rate() {
        let mut of = days(&[(240, 10); 8]);
        of.push(Day {
            passed: DAY / 4,
            ..day(8, 60, 30)
        });
        assert_eq!(plan_change(&of).map(|change| change.began), Some(8 * DAY));
    }

    proptest! {
        #[test]
        fn no_change_without_a_slower_day(of in vec((0..300_u64, 10..15_u64), 0..20)) {
            prop_assert_eq!(began(&of), None);
        }

        #[test]
        fn a_step_is_found_on_its_day(
            before in vec((190..210_u64, 10..12_u64), 7..12),
            since in vec((190..210_u64, 30..40_u64), 1..8),
        ) {
            let all = [before.as_slice(), since.as_slice()].concat();
            prop_assert_eq!(began(&all), Some(before.len() as u64));
        }

        #[test]
        fn any_days_are_judged(of in vec((0..9_u64, any::<u64>(), any::<u64>(), any::<u64>()), 0..20)) {
            let days: Vec<Day> = of.into_iter().map(|(times, duration, passed, at)| {
                let mut durations = Sketch::default();
                durations.add_bucket(Sketch::bucket(duration), times * 100);
                Day { at, passed, durations }
            }).collect();
            if let Some(change) = plan_change(&days) {
                prop_assert!(change.p95_since >= change.p95_before);
            }
        }
    }
}
