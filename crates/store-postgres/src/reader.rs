//! The way out. Every question reads the list of partitions as it is now.

use crate::db::{self, column};
use crate::error;
use crate::partition::Partition;
use crate::rows;
use crate::shared::{Shared, text};
use crate::source::{Source, limit};
use crate::sql::{self, Args};
use crate::store::{PostgresStore, totals};
use crate::tables::{PartitionTables, begin_snapshot, end_snapshot};
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
use sqlx::PgConnection;
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

/// Asks again if what could not be read was packed with a dictionary that came this moment, or was dropped by
/// retention.
macro_rules! again_if_changed {
    ($shared:expr, $answer:expr) => {
        match $answer {
            Err(StoreError::Corrupt { .. })
                if {
                    let mut connection = $shared.connection().await?;
                    $shared.load_dictionaries(&mut connection).await?
                } =>
            {
                $answer
            }
            Err(StoreError::Busy(_)) => $answer,
            answer => answer,
        }
    };
}

impl Shared {
    /// The request's rows, oldest partition first. Once one is found, only the partitions beside it are
    /// asked: a request's rows stand side by side.
    async fn rows(&self, id: &TraceId) -> Result<Vec<PackedRow>, StoreError> {
        let mut connection = self.connection().await?;
        let partitions = self.partitions(&mut connection).await?;
        let mut found: Vec<(usize, PackedRow)> = Vec::new();
        for place in search_order(id, &partitions) {
            let is_beside = |(known, _): &(usize, PackedRow)| known.abs_diff(place) <= 1;
            if !found.is_empty() && !found.iter().any(is_beside) {
                continue;
            }
            let day = partitions[place].day();
            let args = Args::new().with(id.as_bytes().as_slice());
            let rows = rows::read(&mut connection, day, &sql::READ_REQUEST, args).await?;
            found.extend(rows.into_iter().map(|stored| (place, stored.packed)));
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }

    async fn request(&self, id: &TraceId) -> Result<Option<StoredRequest>, StoreError> {
        let mut unpacker = Unpacker::new();
        let mut joined: Option<StoredRequest> = None;
        for row in self.rows(id).await? {
            let (request, _) = row.open(&self.dictionaries, &mut unpacker)?;
            joined = Some(match joined {
                None => request,
                Some(first) => join(first, &request),
            });
        }
        Ok(joined)
    }

    async fn stored_of(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let mut missing: FxHashSet<TraceId> = trace_ids.iter().copied().collect();
        let mut stored = FxHashSet::default();
        let mut connection = self.connection().await?;
        let partitions = self.partitions(&mut connection).await?;
        for partition in recent(partitions, self.clock.now()).iter().rev() {
            if missing.is_empty() {
                break;
            }
            let ids: Vec<&[u8]> = missing.iter().map(|id| id.as_bytes().as_slice()).collect();
            let args = Args::new().with(ids);
            for row in db::all(&mut connection, sql::FIND_ROWS.of(partition.day()), args).await? {
                let id = trace_id(column(&row, 0)?)?;
                missing.remove(&id);
                stored.insert(id);
            }
        }
        Ok(stored)
    }

    async fn interfaces_of(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError> {
        let mut connection = self.connection().await?;
        let mut partitions = self.partitions(&mut connection).await?;
        partitions.retain(|one| {
            (one.from < to && one.to.saturating_add(TAIL) > from) || one.may_hold(from, to)
        });
        let mut all: BTreeSet<Interface> = BTreeSet::new();
        for partition in partitions {
            let known = self.interfaces(&mut connection, &partition);
            all.extend(
                known
                    .await?
                    .list
                    .iter()
                    .map(|(_, interface)| interface)
                    .filter(|interface| !interface.is_statement())
                    .cloned(),
            );
        }
        Ok(all.into_iter().take(limit).collect())
    }

    async fn first_keys(&self, n: usize) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection().await?;
        let mut all = BTreeSet::new();
        for partition in self.partitions(&mut connection).await? {
            let args = Args::new().with(limit(n));
            for row in db::all(&mut connection, sql::READ_KEYS.of(partition.day()), args).await? {
                all.insert(text(column(&row, 0)?)?);
            }
        }
        Ok(all.into_iter().take(n).collect())
    }

    async fn sums(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        let mut connection = self.connection().await?;
        begin_snapshot(&mut connection).await?;
        let sums = self.sums_of_snapshot(&mut connection, query).await;
        let ended = end_snapshot(&mut connection).await;
        let sums = sums?;
        ended?;
        Ok(sums)
    }

    pub(crate) async fn sums_of_snapshot(
        &self,
        connection: &mut PgConnection,
        query: &StatsQuery,
    ) -> Result<Vec<StatRow>, StoreError> {
        let partitions = self.partitions(connection).await?;
        let mut sums = Sums::new(query);
        loop {
            for partition in &partitions {
                let mut tables = PartitionTables::open(self, connection, partition).await?;
                sums.add(&mut tables).await?;
            }
            if !sums.needs_second_pass() {
                return Ok(sums.finish());
            }
        }
    }
}

impl PostgresStore {
    /// In a task of its own: a transaction must not be given up half way, its connection would go on in it.
    async fn sums(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        let (shared, query) = (Arc::clone(&self.shared), query.clone());
        let runtime = &self.shared.runtime;
        let sums = runtime.spawn(async move { shared.sums(&query).await });
        sums.await.map_err(|why| error::task(&why))?
    }

    async fn page(&self, search: &Search) -> Result<Page, StoreError> {
        let mut connection = self.shared.connection().await?;
        let mut partitions = self.shared.partitions(&mut connection).await?;
        drop(connection);
        partitions.retain(|partition| partition.may_hold(search.from, search.to));
        let source = |partition: Partition| {
            let shared = Arc::clone(&self.shared);
            Arc::new(Source { partition, shared }) as Arc<dyn SegmentSource>
        };
        let sources: Vec<_> = partitions.into_iter().map(source).collect();
        let (dictionaries, clock) = (&self.shared.dictionaries, &*self.shared.clock);
        walk(&sources, dictionaries, clock, search).await
    }
}

#[async_trait]
impl TraceReader for PostgresStore {
    async fn get(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_changed!(self.shared, self.shared.request(trace_id).await)
    }

    async fn stored(&self, trace_ids: &[TraceId]) -> Result<FxHashSet<TraceId>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_changed!(self.shared, self.shared.stored_of(trace_ids).await)
    }

    async fn search(&self, search: &Search) -> Result<Page, StoreError> {
        let _permit = permit(&self.shared.searches).await?;
        again_if_changed!(self.shared, self.page(search).await)
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Vec<StatRow>, StoreError> {
        query.check()?;
        let _permit = permit(&self.shared.lookups).await?;
        again_if_changed!(self.shared, self.sums(query).await)
    }

    async fn interfaces(
        &self,
        from: UnixNanos,
        to: UnixNanos,
        limit: usize,
    ) -> Result<Vec<Interface>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        let shared = &self.shared;
        again_if_changed!(shared, shared.interfaces_of(from, to, limit).await)
    }

    async fn keys(&self, n: usize) -> Result<Vec<String>, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        again_if_changed!(self.shared, self.shared.first_keys(n).await)
    }

    async fn books(&self) -> Result<Books, StoreError> {
        let _permit = permit(&self.shared.lookups).await?;
        let mut connection = self.shared.connection().await?;
        Ok(totals(&mut connection).await?.0)
    }
}
