//! The filters of one segment.

use super::hop::{EXCEPTION_KEYS, Seen, Tri, only_text};
use crate::segment::{OTHER, RowSet, SPAN_ID, number_text, value_hash};
use crate::walk::{FilterRow, Probe};
use crate::{HopExpr, HopTest, Range, ValueMatch};
use std::sync::Arc;

/// What the filters of a segment say of the values asked for.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    probes: Arc<Vec<Probe>>,
    /// One for each key that the segment has.
    rows: Vec<FilterRow>,
}

impl Filters {
    /// Answers to these probes, none so far.
    pub(crate) fn new(probes: &Arc<Vec<Probe>>) -> Self {
        Self {
            probes: Arc::clone(probes),
            rows: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, row: FilterRow) {
        self.rows.push(row);
    }

    /// The rows with a span that may fulfil the condition, of spans that were seen as these.
    pub(super) fn rows(&self, expr: &HopExpr, seen: &Seen<'_>) -> RowSet {
        match expr {
            HopExpr::And(all) => all
                .iter()
                .fold(RowSet::all(), |rows, expr| rows.and(&self.rows(expr, seen))),
            HopExpr::Or(any) => any
                .iter()
                .fold(RowSet::new(), |rows, expr| rows.or(&self.rows(expr, seen))),
            HopExpr::Is(HopTest::Attribute { keys, value }) => self.of_any(keys, value),
            HopExpr::Is(HopTest::Exception(text)) => {
                let keys = EXCEPTION_KEYS.map(ToOwned::to_owned);
                self.of_any(&keys, &ValueMatch::Text(text.clone()))
            }
            HopExpr::Is(HopTest::SpanId(id)) => self.of_hash(SPAN_ID, value_hash(id.as_bytes())),
            // No filter has a say in these.
            HopExpr::Not(_) | HopExpr::Is(_) => match seen.asks(expr) {
                Tri::No => RowSet::new(),
                Tri::Perhaps | Tri::Yes => RowSet::all(),
            },
        }
    }

    /// The rows with a span on which one of the keys may have such a value.
    pub(super) fn of_any(&self, keys: &[String], value: &ValueMatch) -> RowSet {
        keys.iter()
            .fold(RowSet::new(), |rows, key| rows.or(&self.of(key, value)))
    }

    fn of(&self, key: &str, value: &ValueMatch) -> RowSet {
        let Some(row) = self.own(key) else {
            return self.of_other(key);
        };
        if let ValueMatch::Number { range, .. } = value {
            let (Some(least), Some(greatest)) = (row.number_min, row.number_max) else {
                return RowSet::new();
            };
            let overlaps = range.least.is_none_or(|bound| bound <= greatest)
                && range.greatest.is_none_or(|bound| bound >= least);
            if !overlaps {
                return RowSet::new();
            }
        }
        only_hash(value).map_or_else(RowSet::all, |hash| row.rows(hash))
    }

    /// The rows where the key may have a value of this hash.
    pub(super) fn of_hash(&self, key: &str, hash: u64) -> RowSet {
        match self.own(key) {
            Some(row) => row.rows(hash),
            None => self.of_other(key),
        }
    }

    fn own(&self, key: &str) -> Option<&FilterRow> {
        self.find(key).filter(|_| key != OTHER)
    }

    fn find(&self, key: &str) -> Option<&FilterRow> {
        let row = |row: &&FilterRow| {
            self.probes
                .get(row.key)
                .is_some_and(|probe| probe.key == key)
        };
        self.rows.iter().find(row)
    }

    /// The rows where the key may be one of those without a filter of their own.
    fn of_other(&self, key: &str) -> RowSet {
        let hash = value_hash(key.as_bytes());
        self.find(OTHER)
            .map_or_else(RowSet::new, |row| row.rows(hash))
    }
}

/// The hash of the one value that is asked for, if it is one.
pub(super) fn only_hash(value: &ValueMatch) -> Option<u64> {
    match value {
        ValueMatch::Present => None,
        ValueMatch::Text(text) => only_text(text).map(|text| value_hash(text.as_bytes())),
        ValueMatch::Number { range, .. } => {
            only_number(range).map(|number| value_hash(number_text(number).as_bytes()))
        }
    }
}

/// The one number in a range.
fn only_number(range: &Range<f64>) -> Option<f64> {
    range.least.filter(|least| range.greatest == Some(*least))
}
