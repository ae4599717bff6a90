//! What spans of one resource and scope share.

use crate::value::Value;
use crate::view::Attributes;
use crate::wire::{self, Fields};
use bytes::Bytes;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Resource, scope and their schema URLs. Equal by content; holds no part of the request's buffer.
#[derive(Debug, Clone)]
pub struct Group {
    /// The `Resource` message, without tag and length; empty if there was none.
    pub resource: Bytes,
    /// `ResourceSpans.schema_url`.
    pub resource_schema: Bytes,
    /// The `InstrumentationScope` message, without tag and length; empty if there was none.
    pub scope: Bytes,
    /// `ScopeSpans.schema_url`.
    pub scope_schema: Bytes,
    /// The resource's `service.name`, "" if absent.
    pub service: Arc<str>,
    fingerprint: u64,
}

impl Group {
    /// A group of these messages (without tags); reads the service's name from the resource.
    pub fn new(resource: Bytes, resource_schema: Bytes, scope: Bytes, scope_schema: Bytes) -> Self {
        Self::with_scope(
            &SharedResource::new(resource, resource_schema),
            scope,
            scope_schema,
        )
    }

    /// As [`Group::new`], of a resource read before.
    pub(crate) fn with_scope(shared: &SharedResource, scope: Bytes, scope_schema: Bytes) -> Self {
        let SharedResource {
            resource,
            resource_schema,
            service,
            hash,
        } = shared.clone();
        let fingerprint = hash_all(hash, [&scope, &scope_schema]);
        Self {
            resource,
            resource_schema,
            scope,
            scope_schema,
            service,
            fingerprint,
        }
    }

    /// A hash of the content; the same in every process of one version.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Bytes of content.
    pub fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// The resource's attributes, in the order sent.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::of_resource(&self.resource)
    }

    /// The resource's attribute of this key, the first if there are several.
    pub fn attribute(&self, key: &str) -> Option<Value<'_>> {
        self.attributes().get(key)
    }

    /// The scope's name, "" if absent.
    pub fn scope_name(&self) -> Cow<'_, str> {
        wire::text(Fields::new(&self.scope).last_bytes(1))
    }

    /// The scope's version, "" if absent.
    pub fn scope_version(&self) -> Cow<'_, str> {
        wire::text(Fields::new(&self.scope).last_bytes(2))
    }

    /// The scope's attributes, in the order sent.
    pub fn scope_attributes(&self) -> Attributes<'_> {
        Attributes::new(&self.scope, 3)
    }

    /// The four parts in a fixed order: what equality and order are about.
    pub(crate) fn parts(&self) -> [&Bytes; 4] {
        [
            &self.resource,
            &self.resource_schema,
            &self.scope,
            &self.scope_schema,
        ]
    }
}

/// Longest service name in bytes: each interface of the service is filed with it. Of a longer one the
/// beginning counts.
pub const SERVICE_BYTES_MAX: usize = 256;

fn cut(service: &str) -> &str {
    let end = service.floor_char_boundary(SERVICE_BYTES_MAX);
    service.get(..end).unwrap_or(service)
}

/// A resource, read once for all its scopes: a request may hold thousands of them.
#[derive(Debug, Clone)]
pub(crate) struct SharedResource {
    resource: Bytes,
    resource_schema: Bytes,
    service: Arc<str>,
    hash: u64,
}

impl SharedResource {
    pub(crate) fn new(resource: Bytes, resource_schema: Bytes) -> Self {
        let service = Attributes::of_resource(&resource)
            .get("service.name")
            .map_or_else(|| Arc::from(""), |value| Arc::from(cut(&value.text())));
        let hash = hash_all(0, [&resource, &resource_schema]);
        Self {
            resource,
            resource_schema,
            service,
            hash,
        }
    }
}

impl Default for SharedResource {
    fn default() -> Self {
        Self::new(Bytes::new(), Bytes::new())
    }
}

fn hash_all(seed: u64, parts: [&Bytes; 2]) -> u64 {
    parts
        .into_iter()
        .fold(seed, |seed, part| XxHash3_64::oneshot_with_seed(seed, part))
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.parts() == other.parts()
    }
}

impl Eq for Group {}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_service_name_the_beginning_counts() {
        let long = format!("a{}", "é".repeat(SERVICE_BYTES_MAX));
        assert_eq!(cut(&long).len(), SERVICE_BYTES_MAX - 1);
        assert!(long.starts_with(cut(&long)));
        assert_eq!(cut("shop"), "shop");
    }
}
