//! What is merged of a group of segments: its filters, and outlines of its records.

use super::{Tables, records};
use crate::StoreError;
use crate::filter::merged::{Line, Merged, merge, segments_of};
use crate::segment::{Damaged, Outline, outline};

/// The search records of a group, to be merged.
#[derive(Debug)]
pub struct Group {
    group: i64,
    filters: Vec<Line>,
    records: Vec<(i64, Vec<u8>)>,
}

/// Reads the search records of a group, which must be complete.
///
/// # Errors
/// What the tables say.
pub async fn read_group(tables: &mut impl Tables, group: i64) -> Result<Group, StoreError> {
    Ok(Group {
        group,
        filters: tables.filters(segments_of(group)).await?,
        records: tables.records(segments_of(group)).await?,
    })
}

impl Group {
    /// The merged filters, and the outlines by interface. None if they are of a kind that cannot be merged: they were
    /// written by schema 1. Takes a while: for a thread of its own.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if something is not what was written.
    #[expect(clippy::type_complexity, reason = "two lists")]
    pub fn merge(self) -> Result<Option<(Vec<Merged>, Vec<(i64, Vec<u8>)>)>, StoreError> {
        let group = self.group;
        let damaged =
            |why: Damaged| StoreError::corrupt(format!("search records of group {group}"), why);
        let Some(filters) = merge(self.filters).map_err(damaged)? else {
            return Ok(None);
        };
        let mut outlines = Vec::new();
        for (segment, bytes) in &self.records {
            for entry in records::decode(bytes) {
                let entry = entry.map_err(damaged)?;
                let (_, longest) = entry.count_and_longest().map_err(damaged)?;
                outlines.push(Outline {
                    interface: entry.interface,
                    segment: *segment,
                    has_errors: entry.errors > 0,
                    longest,
                });
            }
        }
        Ok(Some((filters, outline::encode(outlines.into_iter()))))
    }
}
