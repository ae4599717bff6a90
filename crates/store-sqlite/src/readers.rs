//! Connections for reading: a few, shared by all partitions.

use crate::db::{Connection, Use};
use crate::partition::Partition;
use hoplog_store::StoreError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Idle connections kept open at most.
const IDLE: usize = 20;

/// Idle connections by partition, the one used last in front.
#[derive(Debug)]
pub(crate) struct Readers {
    purpose: Use,
    idle: Mutex<VecDeque<(Arc<str>, Connection)>>,
}

impl Readers {
    /// None open yet.
    pub(crate) fn new(purpose: Use) -> Self {
        Self {
            purpose,
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Arc<str>, Connection)>> {
        // Nothing is ever half done while it is locked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to this partition. Give it back when nothing went wrong; else it is closed.
    pub(crate) async fn take(&self, partition: &Partition) -> Result<Connection, StoreError> {
        let known = {
            let mut idle = self.idle();
            let place = idle.iter().position(|(name, _)| *name == partition.name);
            place.and_then(|place| idle.remove(place))
        };
        match known {
            Some((_, connection)) => Ok(connection),
            None => Connection::open(&partition.path, self.purpose).await,
        }
    }

    /// Keeps the connection for the next who asks.
    pub(crate) fn give_back(&self, partition: &Partition, connection: Connection) {
        let mut idle = self.idle();
        // Asked under the lock: whoever closes those of a dropped partition comes before, or finds this one.
        if partition.is_dropped() {
            return;
        }
        idle.push_front((Arc::clone(&partition.name), connection));
        idle.truncate(IDLE);
    }

    /// Closes the idle connections of one partition, or all.
    pub(crate) async fn close(&self, of: Option<&Partition>) {
        let closed: Vec<_> = {
            let mut idle = self.idle();
            let (closed, kept) = idle
                .drain(..)
                .partition::<Vec<_>, _>(|(name, _)| of.is_none_or(|of| of.name == *name));
            idle.extend(kept);
            closed
        };
        for (name, connection) in closed {
            if let Err(why) = connection.close().await {
                tracing::warn!(%name, %why, "a connection did not close");
            }
        }
    }
}
