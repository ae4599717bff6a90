//! Interfaces as small numbers, found with one hash a span.

use super::{NAME_BYTES_MAX, OTHER};
use crate::statement::Said;
use hoplog_model::{Interface, SpanKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Interfaces met so far, numbered from 0: those of one batch, or of many.
#[derive(Debug, Default)]
pub struct Names {
    interfaces: Vec<Interface>,
    by_hash: FxHashMap<u64, u32>,
    services: FxHashMap<Arc<str>, u32>,
    /// The service asked for last: a sender's spans come together.
    last: Option<(Arc<str>, u32)>,
    /// Nothing is filed under statements: of the partition's rows only some would be.
    without_statements: bool,
    /// Texts of statements met of late, by hash.
    said: Vec<Known>,
}

/// Texts of statements remembered, so that the same text again costs no more than a name does.
const SAID: usize = 512;

/// Longest text in bytes that is remembered.
const SAID_BYTES_MAX: usize = 2_048;

/// The text of a statement with its number.
#[derive(Debug, Clone, Default)]
struct Known {
    service: u32,
    is_summary: bool,
    text: Vec<u8>,
    number: Option<u32>,
}

impl Names {
    /// As if empty; spans are filed under their statements, too, or not.
    pub(crate) fn counting_statements(does: bool) -> Self {
        Self {
            without_statements: !does,
            ..Self::default()
        }
    }

    /// Whether spans are filed under their statements, too.
    pub(crate) fn counts_statements(&self) -> bool {
        !self.without_statements
    }

    /// The numbers of a span's interface, and of its statement's if it has one.
    pub(crate) fn numbers(
        &mut self,
        service: &Arc<str>,
        kind: SpanKind,
        name: &[u8],
        statement: Option<Said<'_>>,
    ) -> impl Iterator<Item = u32> + use<> {
        let own = self.number(service, kind, name);
        let statement = statement.and_then(|said| self.statement(service, said));
        std::iter::once(own).chain(statement)
    }

    /// The number of the statement's interface.
    fn statement(&mut self, service: &Arc<str>, said: Said<'_>) -> Option<u32> {
        if self.without_statements {
            return None;
        }
        let number_of = |names: &mut Self| {
            let fingerprint = said.fingerprint()?;
            Some(names.number(service, SpanKind::Statement, fingerprint.as_bytes()))
        };
        if said.text.len() > SAID_BYTES_MAX {
            return number_of(self);
        }
        let of = self.service(service);
        let seed = u64::from(of) << 1 | u64::from(said.is_summary());
        let hash = XxHash3_64::oneshot_with_seed(seed, said.text);
        let place = usize::try_from(hash % SAID as u64).expect("a few hundred");
        if let Some(known) = self.said.get(place)
            && (known.service, known.is_summary) == (of, said.is_summary())
            && known.text == said.text
        {
            return known.number;
        }
        let number = number_of(self);
        if self.said.is_empty() {
            self.said.resize(SAID, Known::default());
        }
        let known = &mut self.said[place];
        (known.service, known.is_summary, known.number) = (of, said.is_summary(), number);
        known.text.clear();
        known.text.extend_from_slice(said.text);
        number
    }

    /// The number of this interface; `name` as sent, UTF-8 or not. A name that is too long counts as
    /// [`OTHER`].
    pub fn number(&mut self, service: &Arc<str>, kind: SpanKind, name: &[u8]) -> u32 {
        let seed = u64::from(self.service(service)) << 8 | u64::from(kind.to_wire());
        let mut hash = XxHash3_64::oneshot_with_seed(seed, name);
        // Two interfaces with one hash: the second stands at the next free one.
        while let Some(number) = self.by_hash.get(&hash) {
            let found = &self.interfaces[*number as usize];
            let is_name = found.name.as_bytes() == name;
            if is_name && found.kind == kind && *found.service == **service {
                return *number;
            }
            hash = hash.wrapping_add(1);
        }
        // What is here already needs none of this.
        let text = String::from_utf8_lossy(name);
        let text = if text.len() > NAME_BYTES_MAX {
            OTHER
        } else {
            &text
        };
        if text.as_bytes() != name {
            return self.number(service, kind, text.as_bytes());
        }
        let number = u32::try_from(self.interfaces.len()).expect("each takes more than a byte");
        self.by_hash.insert(hash, number);
        self.interfaces.push(Interface {
            service: service.as_ref().to_owned(),
            kind,
            name: text.to_owned(),
        });
        number
    }

    fn service(&mut self, service: &Arc<str>) -> u32 {
        if let Some((last, number)) = &self.last
            && Arc::ptr_eq(last, service)
        {
            return *number;
        }
        let next = u32::try_from(self.services.len()).expect("each takes more than a byte");
        let number = match self.services.get(service) {
            Some(number) => *number,
            None => *self.services.entry(service.clone()).or_insert(next),
        };
        self.last = Some((service.clone(), number));
        number
    }

    /// The interfaces by number.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }
}
