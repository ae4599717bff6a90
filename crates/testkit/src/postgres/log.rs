//! What a server says, as it says it.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What PostgreSQL says when it takes connections.
const READY: &[u8] = b"database system is ready to accept connections";

/// What it is made to say so that one knows how far its log was copied.
pub(super) const MARK: &str = "everything before this was copied";

/// What is heard of a server by way of its log. The lock makes it shareable; nobody else takes it.
#[derive(Debug)]
pub(super) struct Heard {
    ready: Mutex<Receiver<()>>,
    marks: Mutex<Receiver<()>>,
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// The server takes connections.
    Ready,
    /// All its processes have ended, and what they said is in the log.
    Ended,
    /// Neither, and no more time.
    InVain,
}

impl Heard {
    /// Copies what comes out of the pipe into a new file, to its end: when the last process that holds
    /// the other end is gone.
    pub(super) fn new(said: PipeReader, log: &Path) -> std::io::Result<Self> {
        let ((ready, heard), (mark, marks)) = (channel(), channel());
        let log = File::create(log)?;
        std::thread::Builder::new()
            .name("postgres log".to_owned())
            .spawn(move || copy(said, log, &ready, &mark))?;
        Ok(Self {
            ready: Mutex::new(heard),
            marks: Mutex::new(marks),
        })
    }

    /// Waits until it is ready.
    pub(super) fn until_ready(&mut self, within: Duration) -> Waited {
        let heard = self.ready.get_mut().unwrap_or_else(PoisonError::into_inner);
        match heard.recv_timeout(within) {
            Ok(()) => Waited::Ready,
            Err(RecvTimeoutError::Disconnected) => Waited::Ended,
            Err(RecvTimeoutError::Timeout) => Waited::InVain,
        }
    }

    /// Waits until the next [`MARK`] is in the log; false if it does not come.
    pub(super) fn until_marked(&self, within: Duration) -> bool {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.recv_timeout(within).is_ok()
    }

    /// Waits until all its processes have ended, the one that started them and the others; false if
    /// they have not.
    pub(super) fn until_ended(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A server that restarts itself after a crash is ready again and again.
            match self.until_ready(left) {
                Waited::Ready => {}
                ended => return ended == Waited::Ended,
            }
        }
    }
}

/// `ready` goes when nothing more can come.
fn copy(said: PipeReader, mut log: File, ready: &Sender<()>, mark: &Sender<()>) {
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    while said.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A full disk must not stop the server: it would wait for us.
        drop(log.write_all(&line));
        if line.windows(READY.len()).any(|words| words == READY) {
            // Nobody may listen any more.
            let _ = ready.send(());
        }
        let is_mark = line.windows(MARK.len());
        if is_mark.into_iter().any(|words| words == MARK.as_bytes()) {
            let _ = mark.send(());
        }
        line.clear();
    }
}
