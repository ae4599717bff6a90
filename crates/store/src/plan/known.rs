//! The filters of one segment.

use super::hop::only_text;
use crate::filter::contains;
use crate::segment::{Damaged, OTHER, number_text, value_hash};
use crate::walk::FilterRow;
use crate::{Range, ValueMatch};
use rustc_hash::FxHashMap;

/// The filters of the keys asked for that a segment has.
#[derive(Debug, Default)]
pub(crate) struct Filters(FxHashMap<String, FilterRow>);

impl Filters {
    pub(crate) fn insert(&mut self, key: String, row: FilterRow) {
        self.0.insert(key, row);
    }

    /// Whether one of the keys may have such a value on some span.
    pub(super) fn may_have_any(
        &self,
        keys: &[String],
        value: &ValueMatch,
    ) -> Result<bool, Damaged> {
        keys.iter()
            .try_fold(false, |may, key| Ok(may || self.may_have(key, value)?))
    }

    fn may_have(&self, key: &str, value: &ValueMatch) -> Result<bool, Damaged> {
        let Some(row) = self.own(key) else {
            return self.is_other(key);
        };
        match value {
            ValueMatch::Present => Ok(true),
            ValueMatch::Text(text) => match only_text(text) {
                Some(text) => contains(&row.filter, value_hash(text.as_bytes())),
                None => Ok(true),
            },
            ValueMatch::Number { range, .. } => {
                let (Some(least), Some(greatest)) = (row.number_min, row.number_max) else {
                    return Ok(false);
                };
                let overlaps = range.least.is_none_or(|bound| bound <= greatest)
                    && range.greatest.is_none_or(|bound| bound >= least);
                match only_number(range) {
                    Some(number) if overlaps => {
                        contains(&row.filter, value_hash(number_text(number).as_bytes()))
                    }
                    _ => Ok(overlaps),
                }
            }
        }
    }

    /// Whether the key may have a value of this hash.
    pub(super) fn may_have_hash(&self, key: &str, hash: u64) -> Result<bool, Damaged> {
        match self.own(key) {
            Some(row) => contains(&row.filter, hash),
            None => self.is_other(key),
        }
    }

    fn own(&self, key: &str) -> Option<&FilterRow> {
        self.0.get(key).filter(|_| key != OTHER)
    }

    /// Whether the key may be one of those without a filter of their own.
    fn is_other(&self, key: &str) -> Result<bool, Damaged> {
        match self.0.get(OTHER) {
            Some(row) => contains(&row.filter, value_hash(key.as_bytes())),
            None => Ok(false),
        }
    }
}

/// The one number in a range.
fn only_number(range: &Range<f64>) -> Option<f64> {
    range.least.filter(|least| range.greatest == Some(*least))
}
