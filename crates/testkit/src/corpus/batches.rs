//! The corpus as export requests.

use super::attributes::write_span;
use super::names::SERVICES;
use super::{BATCH_SPANS, Corpus, EXPORT_EVERY, INSTANCES};
use bytes::Bytes;
use hoplog_model::UnixNanos;
use hoplog_otlp::write;
use std::collections::VecDeque;
use std::sync::Arc;

/// One export request.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The service that sends it.
    pub service: Arc<str>,
    /// The `ExportTraceServiceRequest`.
    pub bytes: Bytes,
    /// Spans in it.
    pub spans: u32,
    /// When it would be sent in the corpus's own time; never falls.
    pub at: UnixNanos,
}

/// The batches of a corpus; see [`Corpus::batches`].
#[derive(Debug)]
pub struct Batches {
    corpus: Corpus,
    /// The next request to be planned.
    next: u64,
    queues: Vec<Queue>,
    ready: VecDeque<Batch>,
    /// When the next queue's time is up.
    wake: UnixNanos,
    now: UnixNanos,
    text: String,
    span: Vec<u8>,
}

/// Spans that an instance has yet to export.
#[derive(Debug)]
struct Queue {
    /// Resource and scope, each framed.
    resource: Vec<u8>,
    scope: Vec<u8>,
    spans: u32,
    framed: Vec<u8>,
    export_at: UnixNanos,
}

impl Batches {
    pub(super) fn new(corpus: Corpus) -> Self {
        let instances = SERVICES.len() * INSTANCES;
        let start = corpus.options.start_at;
        // Instances started at different times: their first exports are spread.
        let phase = |number: usize| EXPORT_EVERY * (number as u64 * 37 % 120 + 1) / 120;
        let queue = |number: usize| Queue {
            resource: resource(number / INSTANCES, number % INSTANCES),
            scope: scope(),
            spans: 0,
            framed: Vec::new(),
            export_at: start + phase(number),
        };
        Self {
            queues: (0..instances).map(queue).collect(),
            next: 0,
            ready: VecDeque::new(),
            wake: start,
            now: start,
            text: String::new(),
            span: Vec::new(),
            corpus,
        }
    }

    /// Plans the next request and puts its spans where their instances export them.
    fn advance(&mut self) {
        let request = self.corpus.request(self.next);
        self.now = self.corpus.start_of(self.next);
        self.next += 1;
        self.export_due();
        let mut order: Vec<usize> = (0..request.spans.len()).collect();
        order.sort_by_key(|index| (request.spans[*index].end, usize::MAX - index));
        for index in order {
            let span = &request.spans[index];
            let number = span.service * INSTANCES + span.instance;
            self.span.clear();
            write_span(&mut self.span, &request, index, &mut self.text);
            let queue = &mut self.queues[number];
            write::bytes(&mut queue.framed, 2, &self.span);
            queue.spans += 1;
            if queue.spans == BATCH_SPANS {
                self.export(number);
            }
        }
    }

    /// Exports what waited for 5 s. Looked at ten times a second.
    fn export_due(&mut self) {
        if self.now < self.wake {
            return;
        }
        self.wake = self.now + EXPORT_EVERY / 50;
        for number in 0..self.queues.len() {
            if self.queues[number].export_at <= self.now {
                self.export(number);
            }
        }
    }

    fn export(&mut self, number: usize) {
        let queue = &mut self.queues[number];
        queue.export_at = self.now + EXPORT_EVERY;
        if queue.spans == 0 {
            return;
        }
        let scope_spans = queue.scope.len() + queue.framed.len();
        let resource_spans = queue.resource.len() + write::len_delimited_len(2, scope_spans);
        let mut bytes = Vec::with_capacity(write::len_delimited_len(1, resource_spans));
        write::len_prefix(&mut bytes, 1, resource_spans);
        bytes.extend_from_slice(&queue.resource);
        write::len_prefix(&mut bytes, 2, scope_spans);
        bytes.extend_from_slice(&queue.scope);
        bytes.append(&mut queue.framed);
        let spans = std::mem::take(&mut queue.spans);
        let service = super::service_name(number / INSTANCES);
        self.ready.push_back(Batch {
            service,
            bytes: bytes.into(),
            spans,
            at: self.now,
        });
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        while self.ready.is_empty() && self.next < self.corpus.requests {
            self.advance();
        }
        if self.ready.is_empty() {
            // The end: every instance shuts down and exports what it has.
            (0..self.queues.len()).for_each(|number| self.export(number));
        }
        self.ready.pop_front()
    }
}

fn resource(service: usize, instance: usize) -> Vec<u8> {
    let name = SERVICES[service].0;
    let pod = format!("{name}-7d9c5b-{instance}");
    let mut out = Vec::new();
    write::message(&mut out, 1, |out| {
        for (key, value) in [
            ("service.name", name),
            ("service.version", "4.12.0"),
            ("service.instance.id", &pod),
            ("deployment.environment.name", "production"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", "0.33.0"),
            ("k8s.pod.name", &pod),
        ] {
            write::string_attribute(out, 1, key, value);
        }
    });
    out
}

fn scope() -> Vec<u8> {
    let mut out = Vec::new();
    write::message(&mut out, 1, |out| {
        write::bytes(out, 1, b"shop-instrumentation");
        write::bytes(out, 2, b"1.4.0");
    });
    out
}
