//! What stands behind the inbox's one lock: the queue, the table of segments, the tail of records
//! in memory, the cursors and the counters. Nothing here does I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use hoplog_model::Position;

use crate::config::GROUP_BYTES;
use crate::entry::{Delivered, Totals};
use crate::error::AppendError;
use crate::format::SEGMENT_HEADER;
use crate::recover::Recovered;
use crate::shared::Pending;
use crate::stats::Stats;

/// A segment file. The last one in the table is the newest, to which the writer may append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// Durable bytes, the header included.
    pub(crate) len: u32,
    pub(crate) first_sequence: u64,
    /// Totals before its first record.
    pub(crate) start: Totals,
    /// Record bytes in all segments before it, deleted ones since the opening included.
    pub(crate) base: u64,
}

impl Segment {
    pub(crate) fn end(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.len,
        }
    }

    /// What `base` is for the segment after this one.
    pub(crate) fn base_after(&self) -> u64 {
        self.bytes_before(self.len)
    }

    /// Record bytes up to `offset` in this segment and in all before.
    fn bytes_before(&self, offset: u32) -> u64 {
        self.base + u64::from(offset.min(self.len).saturating_sub(SEGMENT_HEADER))
    }
}

/// How far a cursor's owner has got for good.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) name: &'static str,
    pub(crate) durable: Position,
}

/// Where a reader stands.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) id: u64,
    pub(crate) at: Position,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Pending>,
    /// Disk bytes of what is queued or being written.
    pub(crate) reserved: u64,
    /// The writer is to begin a new segment.
    pub(crate) rotate: bool,
    /// No append is taken any more.
    pub(crate) closed: bool,
    /// The writer has written all and stopped.
    pub(crate) finished: bool,
    /// Oldest first; never empty but for an inbox that could not create its first file yet.
    pub(crate) segments: VecDeque<Segment>,
    /// Of the next record.
    pub(crate) sequence: u64,
    /// Synced records, oldest first, without a hole up to the newest.
    pub(crate) tail: VecDeque<Arc<Delivered>>,
    pub(crate) tail_bytes: usize,
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) next_reading: u64,
    /// Counters; the fields that are computed stay at their defaults here.
    pub(crate) stats: Stats,
}

// === impl State ===

impl State {
    /// `lost` is what had been lost before the place where reading begins.
    pub(crate) fn new(recovered: Recovered, lost: Totals) -> State {
        let Recovered {
            segments,
            end,
            truncated_bytes,
            ..
        } = recovered;
        let disk_bytes = segments.iter().map(|segment| u64::from(segment.len)).sum();
        let totals = end.totals;
        let stats = Stats {
            disk_bytes,
            totals,
            lost,
            truncated_bytes,
            ..Stats::default()
        };
        State {
            segments,
            sequence: end.sequence,
            stats,
            ..State::default()
        }
    }

    pub(crate) fn refusal(&self) -> Option<AppendError> {
        if let Some(why) = &self.stats.fenced {
            return Some(AppendError::Fenced { why: why.clone() });
        }
        self.closed.then_some(AppendError::Closed)
    }

    pub(crate) fn refuse(&mut self, received_at: u64, records: u64) {
        self.stats.refused += records;
        self.stats.full_since.get_or_insert(received_at);
    }

    pub(crate) fn fence(&mut self, why: &Arc<str>) {
        if self.stats.fenced.is_none() {
            tracing::error!(%why, "the inbox is fenced: nothing is acknowledged any more");
            self.stats.fenced = Some(why.clone());
        }
    }

    pub(crate) fn newest_has_records(&self) -> bool {
        self.segments
            .back()
            .is_some_and(|newest| newest.len > SEGMENT_HEADER)
    }

    pub(crate) fn take_group(&mut self, records: usize) -> VecDeque<Pending> {
        let mut bytes = 0;
        let mut count = 0;
        for pending in self.queue.iter().take(records) {
            bytes += pending.disk_bytes();
            if count > 0 && bytes > GROUP_BYTES {
                break;
            }
            count += 1;
        }
        let rest = self.queue.split_off(count);
        std::mem::replace(&mut self.queue, rest)
    }

    /// Drops the oldest records from memory while there is too much; readers find them on disk.
    pub(crate) fn evict(&mut self, bound: usize, in_flight: usize) -> Vec<Arc<Delivered>> {
        let mut evicted = Vec::new();
        while self.tail_bytes + in_flight > bound {
            let Some(oldest) = self.tail.pop_front() else {
                break;
            };
            self.tail_bytes -= oldest.entry.weight();
            evicted.push(oldest);
        }
        evicted
    }

    /// Drops what all readers have passed.
    pub(crate) fn trim(&mut self) {
        let slowest = self.readings.iter().map(|reading| reading.at).min();
        while let Some(oldest) = self.tail.front() {
            if slowest.is_some_and(|at| oldest.position >= at) {
                break;
            }
            self.tail_bytes -= oldest.entry.weight();
            self.tail.pop_front();
        }
    }

    pub(crate) fn moved(&mut self, id: u64, at: Position) {
        if let Some(reading) = self.readings.iter_mut().find(|reading| reading.id == id) {
            reading.at = at;
        }
        self.trim();
    }

    /// The place in a file that `at` means now, and up to where that file is durable: the end of
    /// a file that has a successor is the beginning of that, and so is a place in a deleted one.
    pub(crate) fn settle(&self, at: Position) -> (Position, u32) {
        let index = self
            .segments
            .partition_point(|segment| segment.number < at.segment);
        let beginning = SEGMENT_HEADER;
        for (i, segment) in self.segments.iter().enumerate().skip(index) {
            let same = segment.number == at.segment;
            let offset = if same {
                at.offset.max(beginning)
            } else {
                beginning
            };
            if offset < segment.len || i + 1 == self.segments.len() {
                return (
                    Position {
                        segment: segment.number,
                        offset,
                    },
                    segment.len,
                );
            }
        }
        (at, 0)
    }

    /// Takes the segments out of the table that can be deleted.
    /// Whether the newest segment holds something and every cursor has passed all of it.
    pub(crate) fn is_passed(&self) -> bool {
        let least = self.cursors.iter().map(|cursor| cursor.durable).min();
        let newest = self
            .segments
            .back()
            .filter(|newest| newest.len > SEGMENT_HEADER);
        least
            .zip(newest)
            .is_some_and(|(least, newest)| newest.end() <= least)
    }

    pub(crate) fn take_passed(&mut self) -> Vec<u32> {
        let Some(least) = self.cursors.iter().map(|cursor| cursor.durable).min() else {
            return Vec::new();
        };
        let mut passed = Vec::new();
        while self.segments.len() > 1 {
            let Some(oldest) = self.segments.front() else {
                break;
            };
            let empty = oldest.len <= SEGMENT_HEADER;
            if !empty && oldest.end() > least {
                break;
            }
            self.stats.disk_bytes = self.stats.disk_bytes.saturating_sub(u64::from(oldest.len));
            passed.push(oldest.number);
            self.segments.pop_front();
        }
        passed
    }

    pub(crate) fn bytes_before(&self, at: Position) -> u64 {
        let (at, _) = self.settle(at);
        let index = self
            .segments
            .partition_point(|segment| segment.number < at.segment);
        self.segments
            .get(index)
            .map_or(0, |segment| segment.bytes_before(at.offset))
    }

    pub(crate) fn backlog_bytes(&self) -> u64 {
        let end = self.segments.back().map_or(0, Segment::base_after);
        let slowest = self.readings.iter().map(|reading| reading.at).min();
        slowest.map_or(0, |at| end.saturating_sub(self.bytes_before(at)))
    }
}
