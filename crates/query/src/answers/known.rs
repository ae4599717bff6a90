//! What is in the data, for suggestions and hints: read at most every 30 s.

use super::Answers;
use crate::QueryError;
use crate::lang::Known;
use hoplog_model::UnixNanos;
use hoplog_model::times::{DAY, SECOND};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// How long an answer is used again, in nanoseconds.
const FRESH: u64 = 30 * SECOND;
/// How far back names are looked for.
const BACK: u64 = 30 * DAY;
/// Most attribute keys remembered.
const MAX_KEYS: usize = 2_000;
/// Most interfaces remembered; beyond, services and operations are not judged at all.
const MAX_INTERFACES: usize = 5_000;

/// The last answer, and when it was made.
#[derive(Debug, Default)]
pub(super) struct KnownCache(Mutex<Option<(UnixNanos, Arc<Known>)>>);

impl KnownCache {
    fn fresh(&self, now: UnixNanos) -> Option<Arc<Known>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = cached.as_ref()?;
        (now.abs_diff(*at) < FRESH).then(|| Arc::clone(known))
    }

    fn keep(&self, now: UnixNanos, known: &Arc<Known>) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((now, Arc::clone(known)));
    }
}

impl Answers {
    /// Attribute keys, services and span names of the last 30 days, at most 30 s old.
    pub async fn known(&self) -> Result<Arc<Known>, QueryError> {
        let now = self.now();
        if let Some(known) = self.known.fresh(now) {
            return Ok(known);
        }
        let keys = self.reader.keys(MAX_KEYS).await?;
        let from = now.saturating_sub(BACK);
        let interfaces = self
            .reader
            .interfaces(from, now.saturating_add(DAY), MAX_INTERFACES)
            .await?;
        let mut known = Known {
            keys,
            ..Known::default()
        };
        // A list that was cut would call names unknown that are there.
        if interfaces.len() < MAX_INTERFACES {
            let services: BTreeSet<_> = interfaces.iter().map(|i| i.service.clone()).collect();
            let operations: BTreeSet<_> = interfaces.into_iter().map(|i| i.name).collect();
            known.services = services
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect();
            known.operations = operations
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect();
        }
        let known = Arc::new(known);
        self.known.keep(now, &known);
        Ok(known)
    }
}
