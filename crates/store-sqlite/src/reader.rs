//! The way out.

use crate::db::column;
use crate::partition::Partition;
use crate::rows;
use crate::source::Source;
use crate::sql::{self, Args};
use crate::store::SqliteStore;
use crate::tables::PartitionTables;
use async_trait::async_trait;
use hoplog_model::times::HOUR;
use hoplog_model::{Interface, TraceId, UnixNanos};
use hoplog_store::pack::Unpacker;
use hoplog_store::tables::place::{recent, search_order};
use hoplog_store::tables::{Sums, join, trace_id};
use hoplog_store::walk::{PackedRow, SegmentSource, walk};
use hoplog_store::{
    Books, Page, Search, StatRow, StatsQuery, StoreError, StoredRequest, TraceReader,
};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Nanoseconds by which spans of a request may start after its partition's end and still show in it.
const TAIL: u64 = HOUR;

async fn permit(of: &Semaphore) -> Result<SemaphorePermit<'_>, StoreError> {
    of.acquire()
        .await
        .map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))
}

/// Asks again if retention took a partition away meanwhile: its file may not have been there any more.
macro_rules! again_if_dropped {
    ($shared:expr, $answer:block) => {
        loop {
            let gone = $shared.gone();
            let answer: Result<_, StoreError> = async { $answer }.await;
            if answer.is_ok() || $shared.gone() == gone {
                break answer;
            }
        }
    };
}

impl SqliteStore {
    /// The request's row in one partition.
    async fn row(
        &self,
        partition: &Partition,
        trace_id: &TraceId,
    ) -> Result<Option<PackedRow>, StoreError> {
        let mut connection = self.connection(partition).await?;
        let args = Args::new().with(trace_id.as_bytes().as_slice());
        let found = rows::read(&mut connection, &sql::READ_REQUEST, args).await?;
        self.shared.readers.give_back(partition, connection);
        Ok(found.into_iter().next().map(|stored| stored.packed))
    }

    /// The request's rows, oldest partition first. Once one is found, only the partitions beside it are
    /// asked: a request's rows stand side by side.
    async fn rows(&self, id: &TraceId) -> Result<Vec<PackedRow>, StoreError> {
        let partitions = self.shared.partitions();
        let mut found: Vec<(usize, PackedRow)> = Vec::new();
        for place in search_order(id, &partitions) {
            let is_beside = |(known, _): &(usize, PackedRow)| known.abs_diff(place) <= 1;
            if !found.is_empty() && !found.iter().any(is_beside) {
                continue;
            }
            if let Some(row) = self.row(&partitions[place], id).await? {
                found.push((place, row));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }
}

#[async_trait]
impl TraceReader for SqliteStore {
    async fn get(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_dropped!(self.shared, {
            let rows = self.rows(trace_id).await?;
            let mut unpacker = Unpacker::new();
            let mut joined: Option<StoredRequest> = None;
            for row in rows {
                let (request, _) = row.open(&self.shared.dictionaries, &mut unpacker)?;
                joined = Some(match joined {
                    None => request,
                    Some(first) => join(first, &request),
                });
            }
            Ok(joined)
        })
    }

    async fn stored(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_dropped!(self.shared, {
            let mut missing: FxHashSet<TraceId> = trace_ids.iter().copied().collect();
            let mut stored = FxHashSet::default();
            let recent = recent(self.shared.partitions(), self.shared.clock.now());
            for partition in recent.iter().rev() {
                if missing.is_empty() {
                    break;
                }
                let mut connection = self.connection(partition).await?;
                let args = Args::new().with(sql::json_ids(&missing));
                for row in connection.all(&sql::FIND_ROWS, args).await? {
                    let id = trace_id(column(&row, 0)?)?;
                    missing.remove(&id);
                    stored.insert(id);
                }
                self.shared.readers.give_back(partition, connection);
            }
            Ok(stored)
        })
    }

    async fn search(&self, search: &Search) -> Result<Page, StoreError> {
        let _permit = permit(&self.shared.searches).await?;
        again_if_dropped!(self.shared, {
            let partitions = self.shared.partitions().into_iter();
            let sources: Vec<Arc<dyn SegmentSource>> = partitions
                .filter(|partition| partition.may_hold(search.from, search.to))
                .map(|partition| {
                    let readers = Arc::clone(&self.shared.readers);
                    Arc::new(Source { partition, readers }) as Arc<dyn SegmentSource>
                })
                .collect();
            walk(
                &sources,
                &self.shared.dictionaries,
                &*self.shared.clock,
                search,
            )
            .await
        })
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        query.check()?;
        let _permit = permit(&self.shared.lookups).await?;
        again_if_dropped!(self.shared, {
            let mut sums = Sums::new(query);
            loop {
                for partition in self.shared.partitions() {
                    let mut connection = self.connection(&partition).await?;
                    let _answering = partition.answering.read().await;
                    let mut tables = PartitionTables {
                        partition: &partition,
                        connection: &mut connection,
                    };
                    sums.add(&mut tables).await?;
                    self.shared.readers.give_back(&partition, connection);
                }
                if !sums.needs_second_pass() {
                    return Ok(sums.finish());
                }
            }
        })
    }

    async fn interfaces(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_dropped!(self.shared, {
            let mut partitions = self.shared.partitions();
            partitions.retain(|one| {
                (one.from < to && one.to.saturating_add(TAIL) > from) || one.may_hold(from, to)
            });
            let mut lists = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let mut connection = self.connection(&partition).await?;
                lists.push(partition.interfaces(&mut connection).await?.list);
                self.shared.readers.give_back(&partition, connection);
            }
            let all: BTreeSet<&Interface> = lists
                .iter()
                .flat_map(|list| list.iter().map(|(_, interface)| interface))
                .filter(|interface| !interface.is_statement())
                .collect();
            Ok(all.into_iter().take(limit).cloned().collect())
        })
    }

    async fn keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_dropped!(self.shared, {
            let least = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut all = BTreeSet::new();
            for partition in self.shared.partitions() {
                let mut connection = self.connection(&partition).await?;
                for row in connection
                    .all(&sql::READ_KEYS, Args::new().with(least))
                    .await?
                {
                    all.insert(column::<String>(&row, 0)?);
                }
                self.shared.readers.give_back(&partition, connection);
            }
            Ok(all.into_iter().take(limit).collect())
        })
    }

    async fn books(&self) -> Result<Books, StoreError> {
        Ok(self.shared.books())
    }
}
