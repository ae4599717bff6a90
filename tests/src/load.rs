//! Sending a corpus to a server over OTLP/gRPC.

use anyhow::{Context, Result};
use hoplog_testkit::client::OtlpClient;
use hoplog_testkit::corpus::{Batch, Corpus};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Batches made ahead of sending.
const AHEAD: usize = 16;
/// A server that has no room is asked again after this time.
const RETRY: Duration = Duration::from_millis(200);

/// How to send.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one request under way.
    pub connections: usize,
    /// At the corpus's own pace instead of as fast as the server takes it.
    pub real_pace: bool,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// Spans in requests that were answered with success.
    pub spans: u64,
    /// Requests that were told to come again.
    pub retries: u64,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Load {
    /// Sends the whole corpus; every request until it is acknowledged.
    pub async fn send(self, corpus: &Corpus, to: SocketAddr) -> Result<Sent> {
        let (batches, queue) = mpsc::channel::<Batch>(AHEAD);
        let corpus = corpus.clone();
        let maker = tokio::task::spawn_blocking(move || {
            for batch in corpus.batches() {
                if batches.blocking_send(batch).is_err() {
                    return;
                }
            }
        });
        let queue = Arc::new(Mutex::new(queue));
        let counts = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let begun = Instant::now();
        let mut senders = JoinSet::new();
        for _ in 0..self.connections {
            let client = OtlpClient::connect(to).await?;
            senders.spawn(self.send_some(client, Arc::clone(&queue), Arc::clone(&counts), begun));
        }
        while let Some(sender) = senders.join_next().await {
            sender??;
        }
        maker.await.context("making the corpus")?;
        Ok(Sent {
            spans: counts.0.load(Ordering::Relaxed),
            retries: counts.1.load(Ordering::Relaxed),
            took: begun.elapsed(),
        })
    }

    async fn send_some(
        self,
        mut client: OtlpClient,
        queue: Arc<Mutex<mpsc::Receiver<Batch>>>,
        counts: Arc<(AtomicU64, AtomicU64)>,
        begun: Instant,
    ) -> Result<()> {
        let mut first_at = None;
        loop {
            let Some(batch) = queue.lock().await.recv().await else {
                return Ok(());
            };
            let first_at = *first_at.get_or_insert(batch.at);
            if self.real_pace {
                let after = Duration::from_nanos(batch.at.saturating_sub(first_at));
                sleep_until(begun + after).await;
            }
            loop {
                match client.export(batch.bytes.clone()).await {
                    Ok((0, _)) => break,
                    Ok((rejected, why)) => anyhow::bail!("{rejected} spans rejected: {why}"),
                    Err(status) if status.code() as i32 == 14 => {
                        counts.1.fetch_add(1, Ordering::Relaxed);
                        sleep(RETRY).await;
                    }
                    Err(status) => return Err(status.into()),
                }
            }
            counts
                .0
                .fetch_add(u64::from(batch.spans), Ordering::Relaxed);
        }
    }
}
