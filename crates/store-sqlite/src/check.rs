//! `hoplog check`: everything is read and held against everything else.

mod rollups;
mod segment;

use crate::db::Connection;
use crate::partition::{Figures, Partition};
use crate::rows;
use crate::sql::{self, Args};
use crate::store::SqliteStore;
use hoplog_model::{Interface, TraceId, UnixNanos};
use hoplog_store::pack::{Dictionaries, Unpacker};
use hoplog_store::rollup::{Delta, Rollups};
use hoplog_store::segment::Names;
use hoplog_store::walk::SegmentHead;
use hoplog_store::{Books, CheckReport, Difference, StoreError};
use rustc_hash::FxHashMap;
use segment::{Bin, CheckedRow};
use std::fmt::Display;

/// Differences that are told; more are only counted as there being some.
const TOLD: usize = 1_000;

/// A check of one partition on its way.
struct Check<'a> {
    partition: &'a Partition,
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
}

impl SqliteStore {
    /// [`hoplog_store::Maintenance::check`]. Nothing is written meanwhile.
    pub(crate) async fn check_all(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<CheckReport, StoreError> {
        let _writer = self.writer().await;
        let partitions = self.shared.partitions();
        let all = partitions
            .iter()
            .map(|partition| partition.figures().rows)
            .sum();
        let mut report = CheckReport {
            books: self.shared.books(),
            ..CheckReport::default()
        };
        for partition in &partitions {
            let mut connection = self.connection(partition).await?;
            let interfaces = partition.interfaces(&mut connection).await?.list;
            let check = Check {
                partition,
                dictionaries: &self.shared.dictionaries,
                report: &mut report,
                unpacker: Unpacker::new(),
                interfaces: interfaces
                    .iter()
                    .map(|(id, of)| (of.clone(), *id))
                    .collect(),
                rollups: FxHashMap::default(),
                names: Names::default(),
                found: Found::default(),
            };
            check
                .run(&mut connection, &|rows| progress(rows, all))
                .await?;
            self.shared.readers.give_back(partition, connection);
        }
        Ok(report)
    }
}

impl Check<'_> {
    async fn run(
        mut self,
        connection: &mut Connection,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let heads = self.next_bin(connection, after).await?;
            let Some(first) = heads.first() else { break };
            let bin = match Bin::read(connection, first.segment >> sql::BIN_BITS).await {
                Err(StoreError::Corrupt { at, what }) => {
                    self.differs(None, format_args!("{at}: {what}"));
                    Bin::default()
                }
                bin => bin?,
            };
            for head in &heads {
                self.segment(connection, &bin, head).await?;
                progress(self.report.rows);
                after = head.segment;
            }
        }
        self.figures();
        self.compare_rollups(connection).await
    }

    /// The segments of the next bin that has any.
    async fn next_bin(
        &mut self,
        connection: &mut Connection,
        after: i64,
    ) -> Result<Vec<SegmentHead>, StoreError> {
        let args = Args::new().with(after).with(1_i64 << sql::BIN_BITS);
        let rows = connection.all(&sql::READ_SEGMENTS_SINCE, args).await?;
        let heads: Result<Vec<_>, _> = rows.iter().map(crate::source::segment_head).collect();
        let mut heads = heads?;
        if let Some(bin) = heads.first().map(|head| head.segment >> sql::BIN_BITS) {
            heads.retain(|head| head.segment >> sql::BIN_BITS == bin);
        }
        Ok(heads)
    }

    async fn segment(
        &mut self,
        connection: &mut Connection,
        bin: &Bin,
        head: &SegmentHead,
    ) -> Result<(), StoreError> {
        let heads = match hoplog_store::segment::heads(&head.heads) {
            Ok(heads) => heads,
            Err(why) => {
                self.differs(None, format_args!("segments {} heads: {why}", head.segment));
                return Ok(());
            }
        };
        let first = head.segment << hoplog_model::RowId::ORDINAL_BITS;
        let end = (head.segment + 1) << hoplog_model::RowId::ORDINAL_BITS;
        let found = connection
            .all(&sql::CHECK_ROWS, Args::new().with(first).with(end))
            .await?;
        let mut rollups = Rollups::new();
        for row in found {
            match self.open(connection, &row).await {
                Ok(row) => {
                    let wrong = row.compare(head, &heads, bin, &self.interfaces);
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

    async fn open(
        &mut self,
        connection: &mut Connection,
        row: &sqlx::sqlite::SqliteRow,
    ) -> Result<CheckedRow, StoreError> {
        let (columns, stored, check) = segment::columns(row)?;
        let stored = rows::complete(connection, stored, check).await?;
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
    }

    /// Books and figures against what was found.
    fn figures(&mut self) {
        let Figures {
            books: Books { stored, .. },
            rows,
            packed_bytes,
            ..
        } = self.partition.figures();
        let Found {
            rows: found_rows,
            spans,
            packed_bytes: found_bytes,
        } = self.found;
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
            let what = format!("{}: {what}", self.partition.name);
            self.report.differences.push(Difference { trace_id, what });
        }
    }
}
