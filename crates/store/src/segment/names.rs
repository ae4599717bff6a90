//! Interfaces as small numbers, found with one hash a span.

use super::{NAME_BYTES_MAX, OTHER};
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
}

impl Names {
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
