//! What is known of one segment's rows.

use super::Verdict;
use super::hop::{Numbers, Seen, Tri};
use super::known::Filters;
use crate::segment::{Code, Heads, RowHead, RowSet, TRACE_ID, value_hash};
use crate::{HopExpr, RequestTest};
use hoplog_model::Interface;

/// A record with its rows and interface at hand.
#[derive(Debug)]
pub(crate) struct KnownRecord<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) rows: RowSet,
    pub(crate) count: u32,
    pub(crate) errors: u32,
    pub(crate) longest: u64,
}

impl KnownRecord<'_> {
    /// What it says of each of its spans.
    pub(super) fn seen(&self) -> Seen<'_> {
        Seen {
            interface: Some(self.interface),
            numbers: Some(Numbers {
                count: self.count,
                errors: self.errors,
                longest: self.longest,
            }),
            ..Seen::default()
        }
    }
}

/// What was read about one segment so far.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    heads: &'a Heads,
    rows: RowSet,
    failed: RowSet,
    /// None while they were not read: everything is possible.
    pub(crate) filters: Option<Filters>,
    /// Those of [`super::Interfaces::wanted`]; none while they were not read.
    pub(crate) records: Option<Vec<KnownRecord<'a>>>,
}

/// The rows of a segment that may pass a test of the whole request, by its filters alone.
pub(super) fn by_filters(test: &RequestTest, filters: &Filters) -> RowSet {
    match test {
        RequestTest::Trace(id) => filters.of_hash(TRACE_ID, value_hash(id.as_bytes())),
        RequestTest::RootAttribute { keys, value } => filters.of_any(keys, value),
        _ => RowSet::all(),
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn new(heads: &'a Heads) -> Self {
        let pick = |test: fn(&RowHead) -> bool| {
            heads
                .rows
                .iter()
                .filter(|row| test(row))
                .map(|row| row.ordinal)
                .collect()
        };
        let (rows, failed) = (pick(|_| true), pick(|row| row.errors > 0));
        Self {
            heads,
            rows,
            failed,
            filters: None,
            records: None,
        }
    }

    pub(super) fn rows(&self) -> RowSet {
        self.rows
    }

    /// A test of the whole request.
    pub(super) fn test(&self, test: &RequestTest) -> Verdict {
        let by_head = |is: &dyn Fn(&RowHead) -> bool| {
            let rows: RowSet = self
                .heads
                .rows
                .iter()
                .filter(|row| is(row))
                .map(|row| row.ordinal)
                .collect();
            Verdict {
                may: rows,
                does: rows,
            }
        };
        match test {
            RequestTest::Status(status) => by_head(&|row| row.status == *status),
            RequestTest::Duration(range) => by_head(&|row| range.contains(row.duration)),
            RequestTest::Started(range) => by_head(&|row| range.contains(row.start)),
            RequestTest::Hops(range) => by_head(&|row| range.contains(row.hops.into())),
            RequestTest::Spans(range) => by_head(&|row| range.contains(row.spans.into())),
            RequestTest::Errors(range) => by_head(&|row| range.contains(row.errors.into())),
            RequestTest::Code(text) => {
                let fits: Vec<bool> = self
                    .heads
                    .codes
                    .iter()
                    .map(|code| text.matches(code))
                    .collect();
                let known = by_head(&|row| matches!(row.code, Code::Known(index) if fits[index]));
                let long = by_head(&|row| row.code == Code::Long);
                Verdict {
                    may: known.may.or(&long.may),
                    does: known.does,
                }
            }
            RequestTest::Trace(_) | RequestTest::RootAttribute { .. } => {
                let may = self
                    .filters
                    .as_ref()
                    .map(|filters| by_filters(test, filters));
                self.perhaps(&may.unwrap_or_else(RowSet::all))
            }
            // Asked of the root's span, as a site; of an end the segment's bounds say what can be said.
            RequestTest::Entry(_) | RequestTest::Name(_) | RequestTest::Ended(_) => {
                self.perhaps(&RowSet::all())
            }
        }
    }

    fn perhaps(&self, may: &RowSet) -> Verdict {
        Verdict {
            may: self.rows.and(may),
            does: RowSet::new(),
        }
    }

    /// Rows with a span that fulfils the condition. `any_span`: any such span will do. `records`: whether
    /// those of statements answer it or those of span names; none if none of them does.
    pub(super) fn site(&self, expr: &HopExpr, any_span: bool, records: Option<bool>) -> Verdict {
        let mut verdict = Verdict {
            may: RowSet::new(),
            does: RowSet::new(),
        };
        let well = self.rows.without(&self.failed);
        for (class, failed) in [(self.failed, true), (well, false)] {
            if class.is_empty() {
                continue;
            }
            let seen = Seen {
                row_failed: Some(failed),
                ..Seen::default()
            };
            let mut note = |rows: RowSet, seen: &Seen<'_>| {
                let rows = rows.and(&class);
                let tri = seen.asks(expr);
                if tri != Tri::No {
                    let may = self
                        .filters
                        .as_ref()
                        .map(|filters| filters.rows(expr, seen));
                    verdict.may = verdict.may.or(&may.map_or(rows, |may| rows.and(&may)));
                }
                if tri == Tri::Yes && any_span {
                    verdict.does = verdict.does.or(&rows);
                }
            };
            match self.records.as_ref().zip(records) {
                Some((known, of_statements)) => {
                    let asked = |record: &&KnownRecord<'_>| {
                        record.interface.is_statement() == of_statements
                    };
                    for record in known.iter().filter(asked) {
                        let seen = Seen {
                            row_failed: Some(failed),
                            ..record.seen()
                        };
                        note(record.rows, &seen);
                    }
                }
                None => note(self.rows, &seen),
            }
        }
        verdict
    }
}
