//! What filters say to a question, from rows of tables: those of single segments, and those that were merged.

use super::key_number;
use crate::StoreError;
use crate::filter::merged::{self, Head, group_of, segments_of};
use crate::walk::{FilterRow, Probe};
use std::collections::BTreeSet;

/// A question to the filters of some segments of a partition.
///
/// Single filters are read first, merged ones after them: what is merged in between is then found twice, which is
/// no harm, and never missed.
#[derive(Debug)]
pub struct Asked<'a> {
    probes: &'a [Probe],
    segments: &'a [i64],
    keys: Vec<i64>,
    found: Vec<FilterRow>,
    heads: Vec<(i64, usize, Head)>,
    hits: Vec<(i64, usize, u64, crate::segment::RowSet)>,
}

impl<'a> Asked<'a> {
    /// What these probes ask of these segments.
    pub fn new(probes: &'a [Probe], segments: &'a [i64]) -> Self {
        Self {
            probes,
            segments,
            keys: probes.iter().map(|probe| key_number(&probe.key)).collect(),
            found: Vec::new(),
            heads: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Numbers of the keys asked for.
    pub fn keys(&self) -> &[i64] {
        &self.keys
    }

    /// The groups that the segments are of, ascending.
    pub fn groups(&self) -> Vec<i64> {
        let groups: BTreeSet<i64> = self.segments.iter().map(|of| group_of(*of)).collect();
        groups.into_iter().collect()
    }

    /// Values that merged filters are asked for: the key's number and [`merged::slice`].
    pub fn slices(&self) -> Vec<(i64, i64)> {
        let slices = self.keys.iter().zip(self.probes).flat_map(|(key, probe)| {
            let slices = probe.hashes.iter().map(|hash| merged::slice(*hash));
            slices.map(|slice| (*key, slice))
        });
        slices.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes the filter of one segment.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is none.
    pub fn take(
        &mut self,
        key: i64,
        segment: i64,
        filter: &[u8],
        numbers: (Option<f64>, Option<f64>),
    ) -> Result<(), StoreError> {
        let key = self.probe(key)?;
        let row = FilterRow::read(self.probes, key, segment, filter, numbers)?;
        self.found.push(row);
        Ok(())
    }

    /// Takes the head of a merged filter.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is none.
    pub fn take_head(&mut self, group: i64, key: i64, head: &[u8]) -> Result<(), StoreError> {
        let key = self.probe(key)?;
        let head = Head::read(head).map_err(|why| damaged(group, why))?;
        self.heads.push((group, key, head));
        Ok(())
    }

    /// Takes the slice of a merged filter for one of [`Asked::slices`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is none.
    pub fn take_slice(
        &mut self,
        group: i64,
        (key, slice): (i64, i64),
        shift: i64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let key = self.probe(key)?;
        let shift = u32::try_from(shift).map_err(|why| damaged(group, why))?;
        let hashes = &self.probes[key].hashes;
        for hash in hashes.iter().filter(|hash| merged::slice(**hash) == slice) {
            let hits = merged::hits(group, shift, bytes, *hash);
            for (segment, rows) in hits.map_err(|why| damaged(group, why))? {
                self.hits.push((segment, key, *hash, rows));
            }
        }
        Ok(())
    }

    /// The answer.
    pub fn finish(mut self) -> Vec<FilterRow> {
        self.hits
            .sort_unstable_by_key(|(segment, key, ..)| (*segment, *key));
        let mut segments = self.segments.to_vec();
        segments.sort_unstable();
        for (group, key, head) in &self.heads {
            let all = segments_of(*group);
            let from = segments.partition_point(|segment| *segment < all.start);
            let of_group = segments[from..]
                .iter()
                .take_while(|segment| **segment < all.end);
            for segment in of_group.filter(|segment| head.has(**segment)) {
                let from = (self.hits).partition_point(|hit| (hit.0, hit.1) < (*segment, *key));
                let own = self.hits[from..]
                    .iter()
                    .take_while(|hit| (hit.0, hit.1) == (*segment, *key));
                let (number_min, number_max) = head.numbers(*segment).unzip();
                self.found.push(FilterRow {
                    key: *key,
                    segment: *segment,
                    hits: own.map(|(_, _, hash, rows)| (*hash, *rows)).collect(),
                    number_min,
                    number_max,
                });
            }
        }
        self.found
    }

    fn probe(&self, key: i64) -> Result<usize, StoreError> {
        let probe = self.keys.iter().position(|asked| *asked == key);
        probe.ok_or_else(|| StoreError::corrupt("filters key", "not one that was asked for"))
    }
}

fn damaged(group: i64, why: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt(format!("merged filters of group {group}"), why)
}
