//! Retention as plainly as possible: a day is gone whole, or rows of it are.

use super::{MemoryStore, Row, State};
use crate::retention::{Gone, Keep, PINS_MAX, Past, Reason, has_error, too_many_pins};
use crate::{Pins, StoreError};
use async_trait::async_trait;
use hoplog_model::times::DAY;
use hoplog_model::{TraceId, UnixNanos};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

fn end_of(day: u64) -> UnixNanos {
    day.saturating_add(1).saturating_mul(DAY)
}

impl State {
    /// By age, then by size.
    pub(super) fn retain(&mut self, keep: &Keep, now: UnixNanos) -> u64 {
        let before = self.rows.len();
        let days: BTreeSet<u64> = self.rows.values().map(|row| row.day).collect();
        let counted = self.rollups.days();
        for day in days.union(&counted) {
            let past = keep.past(end_of(*day), now);
            if past == Past::ALL && !self.has_pinned(*day) {
                self.drop_day(*day, Reason::Age, now);
            } else if past != Past::NOTHING {
                self.thin(keep, *day, past, (Reason::Outcome, now));
            }
        }
        if let Some(most) = keep.bytes.at_most() {
            // The first time pinned rows stay, then they go, too.
            for pinned_stay in [true, false] {
                let days: Vec<u64> = self.days().into_keys().collect();
                for day in days.iter().rev().skip(1).rev() {
                    let bytes: u64 = self.days().values().map(|day| day.bytes).sum();
                    if bytes <= most {
                        break;
                    }
                    if pinned_stay && self.has_pinned(*day) {
                        self.thin(keep, *day, Past::ALL, (Reason::Size, now));
                    } else {
                        self.drop_day(*day, Reason::Size, now);
                    }
                }
            }
        }
        let dropped = (before - self.rows.len()) as u64;
        self.dropped_rows += dropped;
        dropped
    }

    fn has_pinned(&self, day: u64) -> bool {
        let mut of_day = self.rows.values().filter(|row| row.day == day);
        of_day.any(|row| self.pins.contains(&row.summary.trace_id))
    }

    fn drop_day(&mut self, day: u64, reason: Reason, now: UnixNanos) {
        let pinned: Vec<TraceId> = self
            .rows
            .values()
            .filter(|row| row.day == day && self.pins.contains(&row.summary.trace_id))
            .map(|row| row.summary.trace_id)
            .collect();
        self.pins.retain(|id| !pinned.contains(id));
        self.remove(|row| row.day == day, pinned.len() as u64, (reason, now));
        self.rollups.retain(|of| of != day);
        self.thinned.remove(&day);
    }

    fn thin(&mut self, keep: &Keep, day: u64, past: Past, why: (Reason, UnixNanos)) {
        let pins = self.pins.clone();
        let goes = |row: &Row| {
            row.day == day
                && !pins.contains(&row.summary.trace_id)
                && past.takes(has_error(&row.summary), keep.is_slow(row.summary.duration))
        };
        self.remove(goes, 0, why);
        let known = self.thinned.entry(day).or_default();
        *known = known.with(past);
    }

    fn remove(
        &mut self,
        goes: impl Fn(&Row) -> bool,
        pinned: u64,
        (reason, now): (Reason, UnixNanos),
    ) {
        let (before, mut bytes) = (self.rows.len(), 0);
        self.rows.retain(|_, row| {
            let goes = goes(row);
            bytes += if goes {
                row.spans.span_bytes() as u64
            } else {
                0
            };
            !goes
        });
        let rows = (before - self.rows.len()) as u64;
        if rows > 0 {
            self.retained.of_mut(reason).add(Gone {
                partitions: 1,
                rows,
                bytes,
                pinned,
                at: now,
            });
        }
    }
}

#[async_trait]
impl Pins for MemoryStore {
    async fn pin(
        &self,
        trace_id: TraceId,
        is_kept: bool,
        _now: UnixNanos,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        if !is_kept {
            return Ok(state.pins.remove(&trace_id));
        }
        if state.pins.len() >= PINS_MAX && !state.pins.contains(&trace_id) {
            return Err(too_many_pins());
        }
        Ok(state.pins.insert(trace_id))
    }

    async fn pinned(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let state = self.lock();
        let pinned = trace_ids.iter().filter(|id| state.pins.contains(id));
        Ok(pinned.copied().collect())
    }
}
