//! The end of a process, waited for.

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::{Duration, Instant};

/// Waits until a process has ended, ours or another's; whether its parent has waited for it does not
/// matter. False if it is still there after this time.
///
/// # Errors
/// The kernel has no descriptors for processes, i.e. is older than 5.3.
pub fn has_ended(pid: u32, within: Duration) -> anyhow::Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = match pidfd_open(pid.context("no process id")?, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(true),
        Err(why) => return Err(why).context("pidfd_open"),
    };
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("too long a time")?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(ended) => return Ok(ended > 0),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why).context("poll"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn an_end_is_seen() {
        let mut cat = Command::new("cat");
        let mut cat = cat.stdin(Stdio::piped()).spawn().unwrap();
        assert!(!has_ended(cat.id(), Duration::ZERO).unwrap());
        drop(cat.stdin.take());
        let patience = Duration::from_secs(60);
        assert!(has_ended(cat.id(), patience).unwrap());
        cat.wait().unwrap();
        assert!(has_ended(cat.id(), Duration::ZERO).unwrap());
    }
}
