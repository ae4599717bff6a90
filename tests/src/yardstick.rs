//! How fast the machine is just now.
//!
//! It is shared, and two of its cores may be one: the same work takes up to 1.75 times the CPU time when
//! the neighbours are busy. So the benchmark does a fixed piece of work before and during the load,
//! and says what it took.

use anyhow::{Context, Result, anyhow};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Numbers the work goes over: 256 KiB, which a core's own cache holds.
const NUMBERS: usize = 32 << 10;
/// Times it goes over them: about a millisecond.
const ROUNDS: u64 = 300;
/// Pieces done at rest.
const AT_REST: usize = 200;
/// Between two pieces under load: they take a fiftieth of a core.
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
        let worker = std::thread::spawn(move || {
            let mut numbers = numbers();
            let (mut sum, mut pieces) = (0.0, 0.0);
            loop {
                sum += piece(&mut numbers)?;
                pieces += 1.0;
                if ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(sum / pieces);
                }
            }
        });
        Self { running, worker }
    }

    /// Ends; microseconds of CPU time a piece took on the average.
    pub fn finish(self) -> Result<f64> {
        drop(self.running);
        let done = self.worker.join();
        done.map_err(|_| anyhow!("the yardstick's thread panicked"))?
    }
}

/// Microseconds of CPU time of a piece while the machine does nothing else: of many, the fastest tenth.
pub fn at_rest() -> Result<f64> {
    let mut numbers = numbers();
    let mut pieces = (0..AT_REST)
        .map(|_| piece(&mut numbers))
        .collect::<Result<Vec<f64>>>()?;
    pieces.sort_by(f64::total_cmp);
    Ok(pieces[AT_REST / 10])
}

fn numbers() -> Vec<u64> {
    (0..NUMBERS as u64).collect()
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
