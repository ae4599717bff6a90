//! Interfaces as small numbers, found with one hash a span.

use super::{NAME_BYTES_MAX, OTHER};
use hoplog_model::{Interface, SpanKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Interfaces met so far, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct Names {
    interfaces: Vec<Interface>,
    by_hash: FxHashMap<u64, u32>,
    services: FxHashMap<Arc<str>, u32>,
    /// The service asked for last: a sender's spans come together.
    last: Option<(Arc<str>, u32)>,
}

impl Names {
    /// The number of this interface. A name that is too long counts as [`OTHER`].
    pub(crate) fn number(&mut self, service: &Arc<str>, kind: SpanKind, name: &str) -> usize {
        let name = if name.len() > NAME_BYTES_MAX {
            OTHER
        } else {
            name
        };
        let seed = u64::from(self.service(service)) << 8 | u64::from(kind.to_wire());
        let mut hash = XxHash3_64::oneshot_with_seed(seed, name.as_bytes());
        // Two interfaces with one hash: the second stands at the next free one.
        while let Some(number) = self.by_hash.get(&hash) {
            let found = &self.interfaces[*number as usize];
            if found.kind == kind && found.name == name && *found.service == **service {
                return *number as usize;
            }
            hash = hash.wrapping_add(1);
        }
        let number = self.interfaces.len();
        self.by_hash.insert(
            hash,
            u32::try_from(number).expect("each takes more than a byte"),
        );
        let service = service.as_ref().to_owned();
        self.interfaces.push(Interface {
            service,
            kind,
            name: name.to_owned(),
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
    pub(crate) fn into_interfaces(self) -> Vec<Interface> {
        self.interfaces
    }
}
