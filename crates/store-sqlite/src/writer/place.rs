//! Which partition a part belongs to, and the row its request has there already.

use super::Writer;
use crate::db::column;
use crate::partition::Partition;
use crate::sql::{self, Args};
use hoplog_model::{RowId, TraceId, UnixNanos};
use hoplog_store::tables::place::candidates;
use hoplog_store::tables::trace_id;
use hoplog_store::{Part, StoreError};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Parts of a batch that go into one partition, each with the row its request has there.
pub(super) type Group = (Arc<Partition>, Vec<(Arc<Part>, Option<RowId>)>);

/// A part and the partitions that may hold its row, the likeliest first.
struct Candidate {
    part: Arc<Part>,
    at: UnixNanos,
    near: Vec<Arc<Partition>>,
}

impl Writer {
    /// Sorts parts by partition; makes partitions that are missing.
    pub(super) async fn place(&mut self, parts: Vec<Arc<Part>>) -> Result<Vec<Group>, StoreError> {
        let partitions = self.shared.partitions();
        let candidate = |part: Arc<Part>| {
            let (at, near) = candidates(&part, &partitions);
            Candidate { part, at, near }
        };
        let candidates: Vec<Candidate> = parts.into_iter().map(candidate).collect();
        let rows = self.find(&candidates).await?;
        let mut groups: Vec<Group> = Vec::new();
        for candidate in candidates {
            let found = rows.get(&candidate.part.trace_id);
            let (partition, row) = match found {
                Some((partition, row)) => (Arc::clone(partition), Some(*row)),
                None => (self.partition_for(candidate.at).await?, None),
            };
            match groups.iter_mut().find(|(of, _)| of.name == partition.name) {
                Some((_, parts)) => parts.push((candidate.part, row)),
                None => groups.push((partition, vec![(candidate.part, row)])),
            }
        }
        Ok(groups)
    }

    /// The rows that these requests have, one statement a partition.
    async fn find(
        &self,
        candidates: &[Candidate],
    ) -> Result<FxHashMap<TraceId, (Arc<Partition>, RowId)>, StoreError> {
        let mut found = FxHashMap::default();
        let deepest = candidates
            .iter()
            .map(|one| one.near.len())
            .max()
            .unwrap_or(0);
        for choice in 0..deepest {
            let mut wanted: FxHashMap<Arc<str>, (Arc<Partition>, Vec<TraceId>)> =
                FxHashMap::default();
            for Candidate { part, near, .. } in candidates {
                if let Some(partition) = near.get(choice)
                    && !found.contains_key(&part.trace_id)
                {
                    let name = Arc::clone(&partition.name);
                    let of = wanted
                        .entry(name)
                        .or_insert_with(|| (Arc::clone(partition), vec![]));
                    of.1.push(part.trace_id);
                }
            }
            for (partition, ids) in wanted.into_values() {
                for (id, row) in find_rows(self, &partition, &ids).await? {
                    found.insert(id, (Arc::clone(&partition), row));
                }
            }
        }
        Ok(found)
    }
}

async fn find_rows(
    writer: &Writer,
    partition: &Partition,
    ids: &[TraceId],
) -> Result<Vec<(TraceId, RowId)>, StoreError> {
    let mut connection = writer.shared.readers.take(partition).await?;
    let args = Args::new().with(sql::json_ids(ids));
    let rows = connection.all(&sql::FIND_ROWS, args).await?;
    writer.shared.readers.give_back(partition, connection);
    rows.iter()
        .map(|row| Ok((trace_id(column(row, 0)?)?, RowId(column(row, 1)?))))
        .collect()
}
