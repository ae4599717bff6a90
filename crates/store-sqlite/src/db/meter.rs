//! Pages that statements read, for the test at volume.
//!
//! A page that is not in a connection's cache is one `read` of the process. Each statement begins with an empty cache.
//! (SQLite would count pages itself, but asking it needs code that is not safe.)

use super::PAGE_BYTES;
use hoplog_store::conformance::volume::ledger::Run;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was run since [`start`]; none while nobody wants to know.
static RUNS: Mutex<Option<Vec<Run>>> = Mutex::new(None);

fn runs() -> MutexGuard<'static, Option<Vec<Run>>> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on statements are noted.
pub(crate) fn start() {
    *runs() = Some(Vec::new());
}

/// Whether they are.
pub(super) fn is_on() -> bool {
    runs().is_some()
}

/// What was noted. Nothing is from here on.
pub(crate) fn stop() -> Vec<Run> {
    runs().take().expect("it was started")
}

/// A statement on its way.
#[derive(Debug)]
pub(super) struct Metered(Option<(Arc<str>, &'static str, u64)>);

impl Metered {
    /// One of this name begins, on this file.
    pub(super) fn start(file: &Arc<str>, statement: &'static str) -> Self {
        Self(is_on().then(|| (Arc::clone(file), statement, bytes_read())))
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let Some((file, statement, before)) = self.0.take() else {
            return;
        };
        // The rest is what was read to find this out.
        let pages = (bytes_read() - before) / u64::from(PAGE_BYTES);
        if let Some(runs) = runs().as_mut() {
            runs.push(Run {
                statement: statement.to_owned(),
                place: file.as_ref().to_owned(),
                runs: 1,
                pages,
            });
        }
    }
}

/// Bytes that this process has read from files so far.
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux counts them");
    let bytes = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    bytes
        .and_then(|bytes| bytes.parse().ok())
        .expect("a number")
}
