//! The numbers that interfaces have in one partition, as its writer knows them.

use super::bits;
use crate::segment::{Names as Met, OTHER};
use crate::statement;
use hoplog_model::Interface;
use rustc_hash::{FxHashMap, FxHashSet};
use twox_hash::XxHash3_64;

/// Interfaces of a partition; beyond, a name is filed under [`OTHER`] of its service and kind.
pub const INTERFACES_MAX: usize = 20_000;
/// How many of these may be statements: senders who put values into them must not take the names of the rest.
const STATEMENTS_MAX: usize = 10_000;
/// Attribute keys of a partition that are remembered for suggestions.
pub const KEYS_MAX: usize = 20_000;

/// Interned names. New ones are numbered at once and written with the batch that brought them.
#[derive(Debug, Default)]
pub struct Names {
    interfaces: FxHashMap<Interface, i64>,
    interfaces_max: usize,
    /// How many of them are statements.
    statements: usize,
    statements_max: usize,
    /// The least number of an interface of each service.
    services: FxHashMap<String, i64>,
    keys: FxHashSet<String>,
    fresh: Fresh,
    /// Finds an interface without an allocation; by its numbers, those here.
    pub(super) met: Met,
    places: Vec<(i64, i64)>,
}

/// Names that a partition does not hold yet.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Each with its number.
    pub interfaces: Vec<(i64, Interface)>,
    /// Attribute keys.
    pub keys: Vec<String>,
}

impl Names {
    /// Those a partition holds; interfaces by number. Statements are counted from its first row on, or not
    /// at all: [`statement::counted`] says which.
    pub fn new(
        interfaces: impl IntoIterator<Item = (i64, Interface)>,
        keys: impl IntoIterator<Item = String>,
    ) -> Self {
        let (mut services, mut statements) = (FxHashMap::default(), 0);
        let mut note = |(id, interface): (i64, Interface)| {
            services.entry(interface.service.clone()).or_insert(id);
            statements += usize::from(interface.is_statement());
            (interface, id)
        };
        let interfaces: FxHashMap<Interface, i64> = interfaces.into_iter().map(&mut note).collect();
        let is_new = interfaces.is_empty();
        let met =
            Met::counting_statements(is_new || interfaces.contains_key(&statement::counted()));
        let mut names = Self {
            interfaces,
            interfaces_max: INTERFACES_MAX,
            statements,
            statements_max: STATEMENTS_MAX,
            services,
            keys: keys.into_iter().collect(),
            met,
            ..Self::default()
        };
        if is_new {
            names.interface(&statement::counted());
        }
        names
    }

    /// How many interfaces have a number.
    pub fn interfaces(&self) -> usize {
        self.interfaces.len()
    }

    /// The number of an interface that was met, and that of its service.
    pub(super) fn place(&mut self, met: u32) -> (i64, i64) {
        for next in self.places.len()..=met as usize {
            let interface = self.met.interfaces()[next].clone();
            let number = self.interface(&interface);
            let service = self.service(&interface.service).unwrap_or(number);
            self.places.push((number, service));
        }
        self.places[met as usize]
    }

    /// Forgets what was met, if it has become much.
    pub(super) fn bound(&mut self) {
        if self.met.interfaces().len() > 2 * self.interfaces_max {
            self.met = Met::counting_statements(self.met.counts_statements());
            self.places.clear();
        }
    }

    /// The interface's number.
    pub(super) fn interface(&mut self, interface: &Interface) -> i64 {
        if let Some(id) = self.interfaces.get(interface) {
            return *id;
        }
        let is_full = self.interfaces.len() >= self.interfaces_max
            || (interface.is_statement() && self.statements >= self.statements_max);
        if is_full && interface.name != OTHER {
            return self.interface(&Interface {
                name: OTHER.to_owned(),
                ..interface.clone()
            });
        }
        let id = i64::try_from(self.interfaces.len()).expect("a few ten thousand") + 1;
        self.interfaces.insert(interface.clone(), id);
        self.services.entry(interface.service.clone()).or_insert(id);
        self.fresh.interfaces.push((id, interface.clone()));
        self.statements += usize::from(interface.is_statement());
        id
    }

    /// The number of a service of which an interface has one.
    fn service(&self, service: &str) -> Option<i64> {
        self.services.get(service).copied()
    }

    /// Remembers that a key occurs.
    pub(super) fn note_key(&mut self, key: &str) {
        if self.keys.len() < KEYS_MAX && !self.keys.contains(key) {
            self.fresh.keys.push(key.to_owned());
            self.keys.insert(key.to_owned());
        }
    }

    /// What the partition does not hold yet; asked once a batch.
    pub(super) fn take_fresh(&mut self) -> Fresh {
        std::mem::take(&mut self.fresh)
    }
}

/// The number of an attribute key in the `filters` table: needs no list of keys.
pub fn key_number(key: &str) -> i64 {
    bits(XxHash3_64::oneshot(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_model::SpanKind;

    fn named(name: &str) -> Interface {
        Interface {
            service: "shop".to_owned(),
            kind: SpanKind::Server,
            name: name.to_owned(),
        }
    }

    #[test]
    fn beyond_the_cap_a_name_counts_as_other() {
        let mut names = Names {
            interfaces_max: 3,
            ..Names::new([], [])
        };
        assert_eq!(
            [names.interface(&named("a")), names.interface(&named("b"))],
            [2, 3]
        );
        assert_eq!(
            [names.interface(&named("c")), names.interface(&named("d"))],
            [4, 4]
        );
        assert_eq!(names.interface(&named("a")), 2);
        assert_eq!(
            (names.service("shop"), names.service("bank")),
            (Some(2), None)
        );
        assert_eq!(names.fresh.interfaces.last(), Some(&(4, named(OTHER))));
    }

    #[test]
    fn statements_beyond_their_cap_leave_room_for_names() {
        let mut names = Names {
            statements_max: 2,
            ..Names::new([], [])
        };
        let statement = |name| Interface {
            kind: SpanKind::Statement,
            ..named(name)
        };
        // The first stands for none: it says that statements are counted.
        assert_eq!(names.interfaces[&statement::counted()], 1);
        let all =
            ["SELECT a", "SELECT b", "SELECT c"].map(|name| names.interface(&statement(name)));
        assert_eq!(all, [2, 3, 3]);
        assert_eq!(names.fresh.interfaces[2], (3, statement(OTHER)));
        assert_eq!(names.interface(&named("a")), 4);
    }

    #[test]
    fn a_partition_that_was_begun_without_statements_stays_without() {
        assert!(Names::new([], []).met.counts_statements());
        assert!(
            Names::new([(1, statement::counted())], [])
                .met
                .counts_statements()
        );
        let mut old = Names::new([(1, named("a"))], []);
        assert!(!old.met.counts_statements());
        old.met = Met::counting_statements(false);
        old.interfaces_max = 0;
        old.bound();
        assert!(!old.met.counts_statements());
    }

    #[test]
    fn names_the_partition_holds_are_not_fresh() {
        let mut names = Names::new([(1, named("a"))], ["k".to_owned()]);
        names.interface(&named("a"));
        names.note_key("k");
        assert!(names.fresh.interfaces.is_empty() && names.fresh.keys.is_empty());
        names.note_key("l");
        assert_eq!(names.fresh.keys, ["l"]);
    }
}
