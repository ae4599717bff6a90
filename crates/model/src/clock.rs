//! Time as a parameter: only [`SystemClock`] asks the machine.

use crate::UnixNanos;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

/// What time it is. Tests hold it still with [`ManualClock`].
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present, in Unix nanoseconds.
    fn now(&self) -> UnixNanos;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine"
    )]
    fn now(&self) -> UnixNanos {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            })
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixNanos) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Shows `now` from here on.
    pub fn set(&self, now: UnixNanos) {
        self.0.store(now, Ordering::SeqCst);
    }

    /// Moves the hands forward by `nanos`.
    pub fn advance(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixNanos {
        self.0.load(Ordering::SeqCst)
    }
}
