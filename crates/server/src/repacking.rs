//! Packing rows anew in the background, within a share of one processor.

use anyhow::Result;
use hoplog_store::Maintenance;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Time between two looks for rows to pack anew, when there are none.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Packs rows anew until stopped, for `percent` of the time at most (0: never). A step reads, packs and writes one
/// after the other, so the time it takes is no less than what all threads, and the database, work at it; when
/// others want the processor it takes longer, and so do the pauses.
pub(crate) async fn repack(
    store: Arc<dyn Maintenance>,
    percent: u32,
    stop: CancellationToken,
) -> Result<()> {
    let (mut rows, mut saved) = (0, 0);
    loop {
        let began = Instant::now();
        let step = match percent {
            0 => Ok(hoplog_store::tables::Step::default()),
            // Never given up half way: what it did would not be known.
            _ => store.repack().await,
        };
        let pause = match step {
            Ok(step) => {
                (rows, saved) = (rows + step.rows, saved + step.saved);
                if step.more {
                    pause_after(began.elapsed(), percent)
                } else {
                    if rows > 0 {
                        info!(rows, saved, "rows were packed with a better dictionary");
                    }
                    (rows, saved) = (0, 0);
                    LOOK_EVERY
                }
            }
            Err(why) => {
                warn!(%why, "rows could not be packed anew; trying again");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How long to rest after a step that took so long.
fn pause_after(took: Duration, percent: u32) -> Duration {
    took * 100u32.saturating_sub(percent) / percent.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_keep_the_share() {
        let took = Duration::from_millis(20);
        assert_eq!(pause_after(took, 5), Duration::from_millis(380));
        assert_eq!(pause_after(took, 50), took);
        assert_eq!(pause_after(took, 100), Duration::ZERO);
    }
}
