//! kill -9 in mid-load: nothing acknowledged is missing afterwards, nothing is there twice.

use anyhow::Result;
use hoplog_tests::soak::{Options, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_in_twenty_kills() -> Result<()> {
    run(&Options {
        check_every: 1,
        rounds: 20,
        spans: 8_000,
        seed: 20,
        final_looks: 2_000,
        readable_within: None,
    })
    .await
}
