//! How fast the machine is just now.
//!
//! It is shared: the same work takes up to twice the CPU time when its neighbours are busy. So the
//! benchmark does a fixed piece of work during the load and says what it took: only runs in which
//! that is alike can be compared.

use anyhow::{Context, Result, anyhow};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Numbers the work goes over: 256 KiB, which a core's own cache holds.
const NUMBERS: usize = 32 << 10;
/// Times it goes over them: some milliseconds.
const ROUNDS: u64 = 300;
/// Between two pieces: they take a tenth of a core.
const PAUSE: Duration = Duration::from_millis(50);

/// Fixed work, done again and again on a thread of its own.
#[derive(Debug)]
pub struct Yardstick {
    /// Dropped to end it.
    running: Sender<()>,
    worker: JoinHandle<Result<f64>>,
}

impl Yardstick {
    /// Begins.
    pub fn start() -> Self {
        let (running, ended) = channel();
        let worker = std::thread::spawn(move || measure(&ended));
        Self { running, worker }
    }

    /// Ends; microseconds of CPU time a piece took on the average.
    pub fn finish(self) -> Result<f64> {
        drop(self.running);
        let done = self.worker.join();
        done.map_err(|_| anyhow!("the yardstick's thread panicked"))?
    }
}

/// Does pieces until told to end; what one took on the average.
fn measure(ended: &Receiver<()>) -> Result<f64> {
    let mut numbers: Vec<u64> = (0..NUMBERS as u64).collect();
    let (mut sum, mut pieces) = (0.0, 0.0);
    loop {
        sum += piece(&mut numbers)?;
        pieces += 1.0;
        if ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return Ok(sum / pieces);
        }
    }
}

/// Does the work; microseconds of CPU time it took.
fn piece(numbers: &mut [u64]) -> Result<f64> {
    let begun = cpu_nanos()?;
    for round in 0..ROUNDS {
        for number in &mut *numbers {
            *number = (*number ^ round)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(17);
        }
        std::hint::black_box(&mut *numbers);
    }
    Ok((cpu_nanos()? - begun) as f64 / 1e3)
}

/// CPU time of this thread so far, in nanoseconds.
fn cpu_nanos() -> Result<u64> {
    // The system counts it to the end only when it looks for another thread to run.
    std::thread::yield_now();
    let said = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = said.split_whitespace().next();
    let nanos = nanos.context("/proc/thread-self/schedstat is empty")?;
    Ok(nanos.parse()?)
}
