//! The way in as the answers see it: figures of receivers, inbox and assembler put together.

use hoplog_assemble::Open;
use hoplog_inbox::Inbox;
use hoplog_query::answers::{BooksAnswer, Pipeline, PipelineReport, ReasonCount, ReceiverLine};
use hoplog_receive::Receiver;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

const RECEIVERS: [&str; 2] = ["otlp-grpc", "otlp-http"];

/// Parts of the running server that know how it is doing.
#[derive(Debug)]
pub(crate) struct RunningPipeline {
    /// Both receivers.
    pub(crate) receiver: Arc<Receiver>,
    /// Where they listen.
    pub(crate) addresses: [SocketAddr; 2],
    /// What is durable.
    pub(crate) inbox: Inbox,
    /// What is open.
    pub(crate) open: Arc<Open>,
}

impl Pipeline for RunningPipeline {
    fn books(&self) -> BooksAnswer {
        // First what was written, then what arrived: so nothing is written that has not arrived.
        let assembled = self.open.stats();
        let inbox = self.inbox.stats();
        let received = inbox.totals.accepted() + inbox.totals.rejected();
        let written = assembled.books;
        let lost = inbox.lost.accepted();
        let lost = lost.saturating_sub(assembled.lost_but_stored);
        let done = written.total() + inbox.totals.rejected() + assembled.dead_lettered + lost;
        BooksAnswer {
            received,
            stored: written.stored,
            duplicate: written.duplicate,
            left_out: written.left_out,
            rejected: inbox.totals.rejected(),
            dead_lettered: assembled.dead_lettered,
            lost,
            waiting: received.saturating_sub(done),
        }
    }

    fn report(&self) -> PipelineReport {
        let received = self.receiver.stats();
        let inbox = self.inbox.stats();
        let assembled = self.open.stats();
        let lines = RECEIVERS.iter().enumerate().map(|(index, name)| {
            let totals = inbox.totals.receivers[index];
            ReceiverLine {
                receiver: (*name).to_owned(),
                address: self.addresses[index].to_string(),
                requests: received.requests[index],
                bytes: received.bytes[index],
                received: totals.accepted + totals.rejected,
                rejected: totals.rejected,
                refused: received.refusals[index],
            }
        });
        let mut overloads: Vec<ReasonCount> = received
            .refused
            .iter()
            .map(|(reason, refused)| reason_count(reason, refused.count))
            .collect();
        overloads.push(reason_count("slowed_down", received.slowed));
        overloads.push(reason_count("cut_off", received.cut_off));
        overloads.extend(
            inbox
                .fenced
                .is_some()
                .then(|| reason_count("inbox_fenced", 1)),
        );
        overloads.extend(
            assembled
                .trouble
                .is_some()
                .then(|| reason_count("store_away", 1)),
        );
        overloads.retain(|overload| overload.count > 0);
        PipelineReport {
            receivers: lines.collect(),
            rejected: received
                .rejected
                .iter()
                .map(|(reason, count)| reason_count(reason, *count))
                .collect(),
            overloads,
            open_requests: assembled.open_requests as u64,
            open_bytes: assembled.open_bytes as u64,
            inbox_bytes: inbox.disk_bytes,
            inbox_damaged: inbox.corrupt_records,
            rows_merged: assembled.merged_rows,
            newest_committed: (assembled.newest_span > 0).then_some(assembled.newest_span),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(why) = self.inbox.stats().fenced {
            return Err(format!("the inbox takes nothing any more: {why}"));
        }
        match self.open.stats().trouble {
            Some(why) => Err(format!("the store takes nothing at present: {why}")),
            None => Ok(()),
        }
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.open.commits()
    }
}

fn reason_count(reason: &str, count: u64) -> ReasonCount {
    ReasonCount {
        reason: reason.to_owned(),
        count,
    }
}
