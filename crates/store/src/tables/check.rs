//! `hoplog check`: everything is read and held against everything else.

mod rollups;
mod segment;

use super::{Packing, Tables, WholeRow};
use crate::filter::merged::group_of;
use crate::pack::{Dictionaries, Unpacker, dictionary_of};
use crate::rollup::{Delta, Rollups};
use crate::segment::Names;
use crate::walk::SegmentLine;
use crate::{Books, CheckReport, Difference, StoreError};
use hoplog_model::{Interface, TraceId, UnixNanos};
use rustc_hash::FxHashMap;
use segment::{Bin, CheckedRow, MergedGroup};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Differences that are told; more are only counted as there being some.
const TOLD: usize = 1_000;

/// A check of one partition on its way.
struct Check<'a> {
    name: &'a str,
    said: Checked,
    dictionaries: &'a Dictionaries,
    report: &'a mut CheckReport,
    unpacker: Unpacker,
    /// Numbers of interfaces.
    interfaces: FxHashMap<Interface, i64>,
    /// What the roll-ups must hold, by interface and minute.
    rollups: FxHashMap<(u32, UnixNanos), Delta>,
    names: Names,
    /// What the books must say.
    found: Found,
}

#[derive(Default)]
struct Found {
    rows: u64,
    spans: u64,
    packed_bytes: u64,
    packed_with: BTreeMap<u32, u64>,
}

/// What a partition says of itself: its books and figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What became of spans.
    pub books: Books,
    /// Rows.
    pub rows: u64,
    /// Bytes of all frames.
    pub packed_bytes: u64,
    /// What they are packed with.
    pub packing: Packing,
}

/// Checks a partition, while nothing is written to it. `progress` is told rows done of all partitions.
///
/// # Errors
/// What the tables say; what is damaged is a difference in the report.
pub async fn check(
    (name, said): (&str, Checked),
    tables: &mut impl Tables,
    dictionaries: &Dictionaries,
    report: &mut CheckReport,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), StoreError> {
    let interfaces = tables.interfaces().await?;
    let counted = crate::statement::counted();
    let counts_statements = interfaces.iter().any(|(_, one)| *one == counted);
    let numbers = interfaces.iter().map(|(id, of)| (of.clone(), *id));
    let check = Check {
        name,
        said,
        dictionaries,
        report,
        unpacker: Unpacker::new(),
        interfaces: numbers.collect(),
        rollups: FxHashMap::default(),
        names: Names::counting_statements(counts_statements),
        found: Found::default(),
    };
    check.run(tables, progress).await
}

/// Segments whose search records are read together.
const BIN: i64 = 16;

impl Check<'_> {
    async fn run(
        mut self,
        tables: &mut impl Tables,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let mut after = 0;
        let mut merged = None;
        loop {
            let heads = next_bin(tables, after).await?;
            let Some(first) = heads.first() else { break };
            let start = first.segment / BIN * BIN;
            let group = group_of(first.segment);
            let read = MergedGroup::read(merged.take(), tables, group).await;
            merged = match read {
                Err(StoreError::Corrupt { at, what }) => {
                    self.differs(None, format_args!("{at}: {what}"));
                    None
                }
                read => Some(read?),
            };
            let known = merged.clone().unwrap_or_default();
            let bin = match Bin::read(tables, start..start + BIN, known).await {
                Err(StoreError::Corrupt { at, what }) => {
                    self.differs(None, format_args!("{at}: {what}"));
                    Bin::default()
                }
                bin => bin?,
            };
            for head in &heads {
                self.segment(tables, &bin, head).await?;
                progress(self.report.rows);
                after = head.segment;
            }
        }
        self.figures();
        self.compare_rollups(tables).await
    }

    async fn segment(
        &mut self,
        tables: &mut impl Tables,
        bin: &Bin,
        head: &SegmentLine,
    ) -> Result<(), StoreError> {
        let heads = match crate::segment::heads(&head.heads) {
            Ok(heads) => heads,
            Err(why) => {
                self.differs(None, format_args!("segments {} heads: {why}", head.segment));
                return Ok(());
            }
        };
        let found = tables.whole_rows(head.segment).await?;
        let mut rollups = Rollups::new();
        for row in found {
            match row.and_then(|row| self.open(row)) {
                Ok(row) => {
                    let names = (&self.interfaces, self.names.counts_statements());
                    let wrong = row.compare(head, &heads, bin, names);
                    self.count(&row);
                    rollups.add(&mut self.names, &row.request.spans, false);
                    wrong
                        .into_iter()
                        .for_each(|what| self.differs(Some(row.trace_id()), what));
                }
                Err(StoreError::Corrupt { at, what }) => {
                    self.report.rows += 1;
                    self.found.rows += 1;
                    self.differs(None, format_args!("{at}: {what}"));
                }
                Err(why) => return Err(why),
            }
        }
        for (interface, minute, delta) in rollups.finish() {
            self.rollups
                .entry((interface, minute))
                .or_default()
                .merge(&delta);
        }
        Ok(())
    }

    fn open(&mut self, WholeRow { columns, stored }: WholeRow) -> Result<CheckedRow, StoreError> {
        let (request, _) = stored.packed.open(self.dictionaries, &mut self.unpacker)?;
        Ok(CheckedRow {
            packed: stored.packed,
            columns,
            request,
        })
    }

    fn count(&mut self, row: &CheckedRow) {
        self.report.rows += 1;
        self.report.spans += row.request.spans.len() as u64;
        self.found.rows += 1;
        self.found.spans += row.request.spans.len() as u64;
        self.found.packed_bytes += row.packed.frames.len() as u64;
        if row.packed.row.segment() >= self.said.packing.counted_from {
            let dictionary = dictionary_of(&row.packed.frames);
            *self.found.packed_with.entry(dictionary).or_default() += 1;
        }
    }

    /// Books and figures against what was found.
    fn figures(&mut self) {
        let Checked {
            books: Books { stored, .. },
            rows,
            packed_bytes,
            ..
        } = self.said;
        let Found {
            rows: found_rows,
            spans,
            packed_bytes: found_bytes,
            ..
        } = self.found;
        let (said_with, found_with) = (&self.said.packing.rows, &self.found.packed_with);
        if said_with != found_with {
            let what = format!(
                "books packing (rows by dictionary) is {said_with:?}, but {found_with:?} are there"
            );
            self.differs(None, what);
        }
        for (what, said, found) in [
            ("books stored (spans)", stored, spans),
            ("books row_count", rows, found_rows),
            ("books packed_bytes", packed_bytes, found_bytes),
        ] {
            if said != found {
                self.differs(
                    None,
                    format_args!("{what} is {said}, but {found} are there"),
                );
            }
        }
    }

    fn differs(&mut self, trace_id: Option<TraceId>, what: impl Display) {
        if self.report.differences.len() < TOLD {
            let what = format!("{}: {what}", self.name);
            self.report.differences.push(Difference { trace_id, what });
        }
    }
}

/// The segments of the next bin that has any.
async fn next_bin(tables: &mut impl Tables, after: i64) -> Result<Vec<SegmentLine>, StoreError> {
    let mut heads = tables
        .since(after, usize::try_from(BIN).unwrap_or(1))
        .await?;
    if let Some(bin) = heads.first().map(|head| head.segment / BIN) {
        heads.retain(|head| head.segment / BIN == bin);
    }
    Ok(heads)
}
