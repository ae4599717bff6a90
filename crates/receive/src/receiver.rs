//! What both protocols do with a request once it is bytes.

use crate::body;
use crate::config::Config;
use crate::refusal::Refusal;
use crate::stats::{Counters, ReceiveStats};
use axum::body::Body;
use bytes::Bytes;
use hoplog_inbox::{Entry, Inbox};
use hoplog_model::Clock;
use hoplog_otlp::{Limits, json, slice};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Number of the OTLP/gRPC receiver in the inbox's totals.
pub(crate) const GRPC: u8 = 0;
/// Number of the OTLP/HTTP receiver in the inbox's totals.
pub(crate) const HTTP: u8 = 1;

/// Bytes are handed out in pieces of this size, so that a permit count fits 32 bits.
const PIECE: usize = 1024;
/// A sender that is slowed down is looked at again this often …
const SLOW_STEP: Duration = Duration::from_millis(5);
/// … and let through after this many looks, so that the disk, not the sender, takes the rest.
const SLOW_STEPS: u32 = 100;

/// Takes requests into the inbox. Shared by all connections.
#[derive(Debug)]
pub struct Receiver {
    inbox: Inbox,
    config: Config,
    limits: Limits,
    clock: Arc<dyn Clock>,
    in_flight: Semaphore,
    pub(crate) discards: Semaphore,
    counters: Counters,
}

/// A request that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Spans left out of it.
    pub rejected: u32,
    /// Why, for the sender's log.
    pub message: Option<String>,
}

impl Receiver {
    /// A receiver that appends to `inbox`.
    pub fn new(inbox: Inbox, config: Config, clock: Arc<dyn Clock>) -> Arc<Self> {
        let pieces = config.in_flight_bytes_max / PIECE;
        Arc::new(Self {
            limits: config.limits(),
            in_flight: Semaphore::new(pieces.clamp(1, Semaphore::MAX_PERMITS)),
            discards: Semaphore::new(body::DISCARDS),
            inbox,
            config,
            clock,
            counters: Counters::default(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Figures since the start.
    pub fn stats(&self) -> ReceiveStats {
        self.counters.snapshot()
    }

    /// Room for a request of `bytes`, or the refusal that tells the sender to retry.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Refusal> {
        let most = self.config.in_flight_bytes_max / PIECE;
        let pieces = u32::try_from((bytes / PIECE + 1).min(most.max(1))).unwrap_or(u32::MAX);
        self.in_flight
            .try_acquire_many(pieces)
            .map_err(|_| Refusal::Overloaded {
                why: format!(
                    "more than {} MiB of requests are being taken at once",
                    self.config.in_flight_bytes_max >> 20
                ),
                after: self.config.retry_after_seconds,
            })
    }

    /// Takes an `ExportTraceServiceRequest`: protobuf, not compressed. Returns when its spans are on disk.
    ///
    /// # Errors
    /// [`Refusal`]; nothing of the request is stored then.
    pub async fn take(&self, receiver: u8, payload: Bytes) -> Result<Taken, Refusal> {
        let taken = self.try_take(receiver, payload).await;
        if let Err(refusal) = &taken {
            self.counters.refused(receiver, refusal);
        }
        taken
    }

    async fn try_take(&self, receiver: u8, payload: Bytes) -> Result<Taken, Refusal> {
        if payload.len() > self.config.message_bytes_max {
            return Err(too_large(self.config.message_bytes_max));
        }
        let bytes = payload.len();
        let _room = self.reserve(bytes)?;
        let received_at = self.clock.now();
        let sliced = slice(payload, &self.limits)?;
        let rejected = sliced.rejected;
        let accepted = u32::try_from(sliced.spans.len()).expect("the slicer bounds the spans");
        if accepted > 0 || rejected.total() > 0 {
            let entry = Entry {
                receiver,
                received_at,
                accepted,
                rejected: rejected.total(),
                payload: if accepted > 0 {
                    sliced.bytes.clone()
                } else {
                    Bytes::new()
                },
                extra: Some(Arc::new(sliced)),
            };
            let full = |error| Refusal::of_append(&error, self.config.retry_after_seconds);
            self.inbox.append(entry).await.map_err(full)?;
            self.slow_down().await;
        }
        self.counters.taken(receiver, bytes, &rejected);
        Ok(Taken {
            rejected: rejected.total(),
            message: rejected.message(),
        })
    }

    /// Re-encodes an OTLP/JSON request, so that one path follows.
    pub(crate) fn decode_json(&self, text: &[u8]) -> Result<Bytes, Refusal> {
        let decoded = json::decode(text, &self.limits);
        let (payload, repairs) = decoded.map_err(|error| Refusal::Malformed(error.to_string()))?;
        self.counters.repaired(u64::from(repairs.total()));
        Ok(payload.into())
    }

    /// Counts a request that was refused before [`Receiver::take`] saw it.
    pub(crate) fn note(&self, receiver: u8, refusal: &Refusal) {
        self.counters.refused(receiver, refusal);
    }

    /// Lets the sender of a refused request end what it is writing, unless too many are doing so.
    pub(crate) async fn see_out(&self, body: &mut Body) {
        if !body::discard(body, &self.discards).await {
            self.counters.cut_off();
        }
    }

    /// The request is durable; if the assembler is behind, the answer waits a little, which is the one way
    /// to slow a client down without refusing it.
    async fn slow_down(&self) {
        if self.inbox.backlog_bytes() <= self.config.backlog_bytes {
            return;
        }
        self.counters.slowed();
        for _ in 0..SLOW_STEPS {
            tokio::time::sleep(SLOW_STEP).await;
            if self.inbox.backlog_bytes() <= self.config.backlog_bytes {
                return;
            }
        }
    }
}

/// The refusal of a request over `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Refusal {
    Refusal::TooLarge(format!(
        "the request is larger than {limit} bytes (before or after decompression); send smaller batches"
    ))
}
