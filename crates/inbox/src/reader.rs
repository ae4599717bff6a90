//! Hands the records out in order, from memory or from the files.

use std::fmt;
use std::io;
use std::sync::Arc;

use hoplog_model::Position;

use crate::entry::{Account, Delivered, Entry, Totals};
use crate::format::{RecordHeader, segment_path};
use crate::pack::Unpacker;
use crate::scan::{Step, Walk};
use crate::shared::{Failure, Next, Shared};

/// One reader of the inbox: every record from its position on, once, in order.
///
/// Unreadable records are counted ([`crate::Stats::corrupt_records`], [`Reader::lost`]), logged
/// and skipped. When a file cannot be read at all the inbox is fenced and the reader ends, so that
/// nothing is passed over that another start may find readable.
pub struct Reader {
    shared: Arc<Shared>,
    id: u64,
    /// Only one reader reports damage to the inbox's figures, or it would count twice.
    reports: bool,
    at: Position,
    replay_end: Position,
    walk: Option<Walk>,
    unpacker: Unpacker,
    /// Just behind the last record handed out: where `account` holds.
    behind: Position,
    account: Account,
    /// Each loss that `account` has and the one at the beginning had not, with the totals before it.
    losses: Vec<(Totals, Totals)>,
    /// Spans in unreadable bytes between the last record and the end. They are no part of `account`
    /// before a record follows, as a reader that begins there finds them again.
    lost_at_end: Totals,
    /// The sequence that the next record should have, once that is known.
    expected: Option<u64>,
    /// Gaps met since the last record.
    gaps: u64,
    failed: bool,
}

/// What one look brought.
enum Look {
    Found(Arc<Delivered>),
    Wait,
    End,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        from: Position,
        account: Account,
        replay_end: Position,
        reports: bool,
    ) -> io::Result<Reader> {
        let unpacker = Unpacker::new()?;
        let id = shared.add_reading(from);
        Ok(Reader {
            shared,
            id,
            reports,
            at: from,
            replay_end,
            walk: None,
            unpacker,
            behind: from,
            account,
            losses: Vec::new(),
            lost_at_end: Totals::default(),
            expected: None,
            gaps: 0,
            failed: false,
        })
    }

    /// The next record; waits for one. `None` when the inbox has been closed and all records have
    /// been handed out, or when a file cannot be read (the inbox is then fenced).
    ///
    /// Cancel safe: a record is either returned or still the next one. While it reads from disk it
    /// blocks the thread for the reading and unpacking of one record.
    pub async fn next(&mut self) -> Option<Arc<Delivered>> {
        tokio::task::coop::consume_budget().await;
        let shared = self.shared.clone();
        loop {
            // Before looking: what is published after the look wakes it.
            let news = shared.news.notified();
            match self.look() {
                Look::Found(record) => return Some(record),
                Look::End => return None,
                Look::Wait => news.await,
            }
        }
    }

    /// The next record if there is one now.
    pub fn try_next(&mut self) -> Option<Arc<Delivered>> {
        match self.look() {
            Look::Found(record) => Some(record),
            Look::Wait | Look::End => None,
        }
    }

    /// Whether all that was on disk when this reader began has been handed out. It becomes true
    /// with the last such record, at the latest when [`Reader::try_next`] returns `None`.
    pub fn is_caught_up(&self) -> bool {
        self.at >= self.replay_end
    }

    /// Just behind the last record handed out.
    pub fn position(&self) -> Position {
        self.at
    }

    /// Spans of the records that could not be read, those of the account that this reader began with
    /// included. They are among the totals, so the books need them.
    pub fn lost(&self) -> Totals {
        self.account.lost.and(&self.lost_at_end)
    }

    /// What is counted before `position`, one that a record gave ([`Delivered::position`] or
    /// `next`) and that has not been released; from [`Reader::position`] on it is what is counted
    /// behind the last record. Reading that begins at `position` with this account counts every
    /// span once, lost or not. May read a few bytes from disk.
    pub fn account_at(&self, position: Position) -> Account {
        if position >= self.behind {
            return self.account;
        }
        let mut account = Account {
            totals: self.shared.totals_at(position),
            lost: self.account.lost,
        };
        for (before, lost) in self.losses.iter().rev() {
            // Totals only rise.
            if account.totals.spans() < before.and(lost).spans() {
                account.lost = account.lost.since(lost);
                // What follows unreadable bytes may tell of a part of the loss.
                if account.totals.spans() > before.spans() {
                    account.totals = *before;
                }
            }
        }
        account
    }

    fn look(&mut self) -> Look {
        while !self.failed {
            match self.shared.next(self.id, self.at) {
                Next::Memory(record) => return Look::Found(self.deliver(record)),
                Next::Wait(totals) => {
                    // Whatever damage there was at the end of the files lies behind it now.
                    self.at = self.at.max(self.replay_end);
                    self.note_end(totals);
                    return Look::Wait;
                }
                Next::End => return Look::End,
                Next::Disk { at, limit } => match self.read(at, limit) {
                    Ok(Some(record)) => return Look::Found(self.deliver(record)),
                    Ok(None) => {}
                    Err(error) => self.fail(at, &error),
                },
            }
        }
        Look::End
    }

    /// Reads what stands at `at`; `None` after a gap.
    fn read(&mut self, at: Position, limit: u32) -> io::Result<Option<Arc<Delivered>>> {
        if self
            .walk
            .as_ref()
            .is_none_or(|walk| walk.segment() != at.segment)
        {
            let path = segment_path(&self.shared.folder, at.segment);
            self.walk = Some(Walk::open(&path, at.segment)?);
        }
        let Some(walk) = &mut self.walk else {
            return Ok(None);
        };
        let end = match walk.step(at.offset, limit)? {
            Step::Record { header, end } => {
                let stored = walk.payload(at.offset, &header);
                let payload = self
                    .unpacker
                    .unpack(stored, header.compressed, header.length);
                if let Some(payload) = payload {
                    let record = delivered(at, end, &header, payload);
                    self.shared.lock().stats.read_from_disk += 1;
                    self.shared.moved(self.id, record.next);
                    return Ok(Some(Arc::new(record)));
                }
                end
            }
            Step::Gap { end } => end,
            Step::End => limit,
        };
        self.skip(at, end);
        Ok(None)
    }

    fn deliver(&mut self, record: Arc<Delivered>) -> Arc<Delivered> {
        let missing = self
            .expected
            .map_or(0, |expected| record.sequence.saturating_sub(expected));
        let lost = record.before.since(&self.account.totals);
        // Each gap was counted as one record when it was met; it may have been several.
        let uncounted = missing.saturating_sub(self.gaps);
        if uncounted > 0 || lost != Totals::default() {
            tracing::error!(
                records = missing,
                spans = lost.accepted(),
                before = %record.position,
                "acknowledged records are unreadable"
            );
            self.report(uncounted, 0, &lost.since(&self.lost_at_end));
        }
        if lost != Totals::default() {
            self.losses.push((self.account.totals, lost));
        }
        let entry = &record.entry;
        self.account = Account {
            totals: record
                .before
                .plus(entry.receiver, entry.accepted, entry.rejected),
            lost: self.account.lost.and(&lost),
        };
        self.behind = record.next;
        self.lost_at_end = Totals::default();
        self.expected = Some(record.sequence + 1);
        self.gaps = 0;
        self.at = record.next;
        record
    }

    /// All there is has been read: what it counts more than its last record is lost. Once a record
    /// follows, that one says it as well.
    fn note_end(&mut self, totals: Totals) {
        let lost = totals.since(&self.account.totals);
        if self.gaps > 0 && lost != self.lost_at_end {
            self.report(0, 0, &lost.since(&self.lost_at_end));
            self.lost_at_end = lost;
        }
    }

    fn skip(&mut self, from: Position, end: u32) {
        tracing::error!(%from, end, "unreadable bytes in the inbox, skipped");
        self.gaps += 1;
        self.report(1, u64::from(end - from.offset), &Totals::default());
        self.at = Position {
            segment: from.segment,
            offset: end,
        };
        self.shared.moved(self.id, self.at);
    }

    fn report(&self, records: u64, bytes: u64, lost: &Totals) {
        if self.reports {
            let stats = &mut self.shared.lock().stats;
            stats.corrupt_records += records;
            stats.corrupt_bytes += bytes;
            stats.lost = stats.lost.and(lost);
        }
    }

    fn fail(&mut self, at: Position, error: &io::Error) {
        self.failed = true;
        let path = segment_path(&self.shared.folder, at.segment);
        let why = format!("cannot read {}: {error}", path.display());
        self.shared.fail([], &Failure::Fence(why.into()));
    }
}

fn delivered(at: Position, end: u32, header: &RecordHeader, payload: bytes::Bytes) -> Delivered {
    Delivered {
        position: at,
        next: Position {
            segment: at.segment,
            offset: end,
        },
        sequence: header.sequence,
        before: header.before,
        entry: Entry {
            receiver: header.receiver,
            received_at: header.received_at,
            accepted: header.accepted,
            rejected: header.rejected,
            payload,
            extra: None,
        },
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.remove_reading(self.id);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("at", &self.at)
            .field("replay_end", &self.replay_end)
            .field("account", &self.account)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
