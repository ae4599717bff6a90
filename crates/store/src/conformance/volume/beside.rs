//! Somebody who writes and somebody who reads while something else is done to the store: how long each waits at most.

use super::questions::Question;
use super::{DAYS, Filler, Request, day, write_batch};
use crate::Store;
use crate::conformance::build::{Span, part};
use hoplog_model::times::HOUR;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Calls after which somebody has found their pace.
pub const WARM: u64 = 300;

/// What somebody waits.
#[derive(Debug, Default)]
pub struct Waits {
    calls: AtomicU64,
    longest_ns: AtomicU64,
    stopped: AtomicBool,
}

impl Waits {
    async fn time<T>(&self, call: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = call.await;
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.longest_ns.fetch_max(took, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// Calls since this was last taken.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Calls since this was last taken, and the longest of them.
    pub fn take(&self) -> (u64, Duration) {
        let longest = self.longest_ns.swap(0, Ordering::SeqCst);
        let calls = self.calls.swap(0, Ordering::SeqCst);
        (calls, Duration::from_nanos(longest))
    }

    /// Ends it after the call that is on its way.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::SeqCst)
    }
}

/// Writes batches of eight small requests of the newest day, until stopped.
///
/// # Panics
/// If the store does not take one.
pub async fn write(store: &dyn Store, waits: &Waits) {
    for batch in 0.. {
        if !waits.goes_on() {
            return;
        }
        let request = |n| {
            let at = day(DAYS - 1) + HOUR + n;
            let mut part = part(
                Request::late(1 << 30 | n).trace_id,
                &[Span::root(1).at(at, 5)],
            );
            part.received_at = at;
            Arc::new(part)
        };
        let parts = (batch * 8..batch * 8 + 8).map(request).collect();
        waits.time(write_batch(store, parts)).await;
    }
}

/// Reads requests of the newest day, and now and then a page of a search, until stopped.
///
/// # Panics
/// If the store does not answer.
pub async fn read(store: &dyn Store, waits: &Waits) {
    let mut filler = Filler::default();
    for n in 0.. {
        if !waits.goes_on() {
            return;
        }
        if n % 10 == 0 {
            let page = Question::Service.ask(store, &mut filler, n);
            waits.time(page).await;
        } else {
            let id = Request::new(0, DAYS - 1, n % 1_000).trace_id;
            let found = waits.time(store.get(&id)).await;
            found.expect("the store can be read");
        }
    }
}
