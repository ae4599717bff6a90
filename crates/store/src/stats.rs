//! Roll-ups as answers: counts, errors and durations per interface and step.

use crate::StoreError;
use hoplog_model::times::MINUTE;
use hoplog_model::{Interface, Sketch, SpanKind, UnixNanos};
use std::collections::BTreeSet;

/// Which roll-ups to add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsQuery {
    /// First instant, rounded down to a whole minute by the store.
    pub from: UnixNanos,
    /// First instant no longer asked for; rounded up to a whole minute.
    pub to: UnixNanos,
    /// Nanoseconds per step, a multiple of a minute; none for one row over the whole range.
    pub step: Option<u64>,
    /// The step that holds this whole minute is cut in two there, so that what follows can be told
    /// from what comes before.
    pub cut: Option<UnixNanos>,
    /// Only this service.
    pub service: Option<String>,
    /// Only spans of this kind; none for all kinds that a span can have. Statements are added up where
    /// their kind is asked for, and only there.
    pub kind: Option<SpanKind>,
    /// Only spans of this name.
    pub name: Option<String>,
    /// Only spans of these; none for all.
    pub only: Option<BTreeSet<Interface>>,
    /// Of a service that has SERVER or CONSUMER spans in the time asked for, the store may leave out
    /// the others: they do not stand for it. It need not.
    pub entries_will_do: bool,
}

impl StatsQuery {
    /// First minute asked for, and the first no longer asked for, in Unix nanoseconds.
    pub fn minutes(&self) -> (UnixNanos, UnixNanos) {
        let to = self.to.checked_next_multiple_of(MINUTE).unwrap_or(u64::MAX);
        (self.from - self.from % MINUTE, to)
    }

    /// The step that holds a minute at or after the first; steps count from the first minute.
    pub fn step_of(&self, minute: UnixNanos) -> UnixNanos {
        let start = self.whole_step_of(minute);
        self.cut
            .filter(|cut| (start..=minute).contains(cut))
            .unwrap_or(start)
    }

    /// Where the step that holds a minute ends.
    pub fn step_end(&self, minute: UnixNanos) -> UnixNanos {
        let step = self.step.unwrap_or(u64::MAX);
        let end = self.whole_step_of(minute).saturating_add(step);
        self.cut
            .filter(|cut| (minute + 1..end).contains(cut))
            .unwrap_or(end)
    }

    fn whole_step_of(&self, minute: UnixNanos) -> UnixNanos {
        let (from, _) = self.minutes();
        self.step
            .map_or(from, |step| minute - (minute - from) % step)
    }

    /// Whether spans of this interface are asked for.
    pub fn wants(&self, interface: &Interface) -> bool {
        self.service
            .as_ref()
            .is_none_or(|service| *service == interface.service)
            && self
                .kind
                .map_or(!interface.is_statement(), |kind| kind == interface.kind)
            && self
                .name
                .as_ref()
                .is_none_or(|name| *name == interface.name)
            && self
                .only
                .as_ref()
                .is_none_or(|only| only.contains(interface))
    }

    /// [`StoreError::Invalid`] if the step is not a multiple of a minute.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.step {
            Some(step) if step == 0 || step % MINUTE != 0 => Err(StoreError::Invalid(
                "a step is a multiple of a minute".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// All spans of one interface that started within one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatRow {
    /// Whose spans.
    pub interface: Interface,
    /// The step's first instant.
    pub at: UnixNanos,
    /// Spans, kept ones and those a policy only counts.
    pub count: u64,
    /// Those with status error.
    pub errors: u64,
    /// Sum of their durations in nanoseconds, each at most [`SUM_MAX`](crate::rollup::SUM_MAX).
    pub sum: u64,
    /// Their durations.
    pub sketch: Sketch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_makes_two_steps_of_one() {
        let query = StatsQuery {
            from: MINUTE,
            to: 13 * MINUTE,
            step: Some(4 * MINUTE),
            cut: Some(7 * MINUTE),
            ..StatsQuery::default()
        };
        let steps: Vec<_> = (1..13)
            .map(|minute| {
                (
                    query.step_of(minute * MINUTE),
                    query.step_end(minute * MINUTE),
                )
            })
            .map(|(from, to)| (from / MINUTE, to / MINUTE))
            .collect();
        let expected = [[(1, 5); 4], [(5, 7), (5, 7), (7, 9), (7, 9)], [(9, 13); 4]];
        assert_eq!(steps, expected.concat());
    }
}
