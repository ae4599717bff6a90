//! A seeded corpus of requests: the same options give the same bytes, on every machine.
//!
//! 30 services with 180 interfaces; 3 to 40 spans a request over 2 to 9 services; 8 to 16
//! attributes and about 450 bytes a span. Each service has four instances, each of which exports
//! as SDKs do: 512 spans at a time, or what there is after 5 s, children before parents. Nothing
//! but the instances' queues is held in memory.

mod attributes;
mod batches;
mod dice;
mod names;
mod plan;

pub use batches::{Batch, Batches};
pub use plan::{PlannedSpan, Request};

use hoplog_model::{Interface, SpanKind, TraceId, UnixNanos};
use names::{INTERFACES, SERVICES};
use std::sync::Arc;

/// Spans that an instance exports at a time.
pub const BATCH_SPANS: u32 = 512;

/// Instances of each service.
pub const INSTANCES: usize = 4;

/// From one request's start to the next in the corpus's own time: about 15,000 spans a second.
const INTERVAL: u64 = 1_000_000;

/// An instance exports after this time even if it has fewer spans.
const EXPORT_EVERY: u64 = 5_000_000_000;

/// Rare values in a corpus, if it has as many requests.
const RARE_VALUES: u64 = 20;

/// What trace ids look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// 16 random bytes, as most SDKs send.
    #[default]
    Random,
    /// The UUIDv7 layout: time-ordered, as hoplog-tower sends.
    V7,
}

/// What a corpus is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Another seed, another corpus.
    pub seed: u64,
    /// Spans at least; the last request is whole, so up to 39 more.
    pub spans: u64,
    /// Trace ids.
    pub ids: Ids,
    /// When the first request starts. A server files what is more than 24 h off its clock under
    /// the time of receipt: a benchmark starts near the present.
    pub start_at: UnixNanos,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        let start_at = 1_760_000_000_000_000_000;
        Self {
            seed: 1,
            spans: 10_000,
            ids: Ids::Random,
            start_at,
        }
    }
}

/// A corpus: what is in it follows from its options alone.
#[derive(Debug, Clone)]
pub struct Corpus {
    options: CorpusOptions,
    requests: u64,
    spans: u64,
}

/// A value of `customer.id` that a single request holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rare {
    /// The value.
    pub value: String,
    /// The request, whose root span (at least) has it.
    pub trace_id: TraceId,
}

/// What is known of a corpus without sending it: ground for queries and their right answers.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Requests in all.
    pub requests: u64,
    /// Spans in all.
    pub spans: u64,
    /// When the first request starts.
    pub from: UnixNanos,
    /// After the last request's start.
    pub to: UnixNanos,
    /// Up to 1,000 of the requests, evenly spread.
    pub trace_ids: Vec<TraceId>,
    /// All services.
    pub services: Vec<String>,
    /// All interfaces: six a service, of kind server but the last, which is of kind consumer.
    pub interfaces: Vec<Interface>,
    /// Up to 20 values that one request each holds.
    pub rare: Vec<Rare>,
    /// A `customer.id` that no request holds.
    pub nowhere: String,
}

impl Corpus {
    /// Counts the requests (0.1 s for 10 million spans); generates none.
    pub fn new(options: CorpusOptions) -> Self {
        let (mut requests, mut spans) = (0, 0);
        while spans < options.spans {
            spans += plan::span_count(options.seed, requests) as u64;
            requests += 1;
        }
        Self {
            options,
            requests,
            spans,
        }
    }

    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Spans in all.
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// The request of this number, from 0 and below [`Corpus::requests`].
    pub fn request(&self, number: u64) -> Request {
        Request::plan(self, number)
    }

    /// The export requests in the order they would be sent, made one after the other.
    pub fn batches(&self) -> Batches {
        Batches::new(self.clone())
    }

    /// What a reader of the corpus should find.
    pub fn facts(&self) -> Facts {
        let step = self.requests.div_ceil(1000).max(1) as usize;
        let trace_id = |number| plan::trace_id(self, number);
        let rare = (0..self.requests).filter_map(|number| {
            Some(Rare {
                value: self.rare_value(number)?,
                trace_id: trace_id(number),
            })
        });
        Facts {
            requests: self.requests,
            spans: self.spans,
            from: self.options.start_at,
            to: self.start_of(self.requests),
            trace_ids: (0..self.requests).step_by(step).map(trace_id).collect(),
            services: SERVICES.map(|(name, _)| name.to_owned()).to_vec(),
            interfaces: interfaces(),
            rare: rare.collect(),
            nowhere: "rare-nowhere".to_owned(),
        }
    }

    fn start_of(&self, number: u64) -> UnixNanos {
        self.options.start_at + number * INTERVAL
    }

    /// The rare value that this request holds, if it is one of those that hold one.
    fn rare_value(&self, number: u64) -> Option<String> {
        let step = (self.requests / RARE_VALUES).max(1);
        let planted = number % step == step / 2 && number / step < RARE_VALUES;
        planted.then(|| format!("rare-{:04}", number / step))
    }
}

fn interfaces() -> Vec<Interface> {
    let all = (0..SERVICES.len()).flat_map(|service| (0..INTERFACES).map(move |i| (service, i)));
    let interface = |(service, interface): (usize, usize)| Interface {
        service: SERVICES[service].0.to_owned(),
        kind: if interface == names::CONSUMER {
            SpanKind::Consumer
        } else {
            SpanKind::Server
        },
        name: names::table().interface(service, interface).to_owned(),
    };
    all.map(interface).collect()
}

/// The name of a service by its number.
pub(crate) fn service_name(service: usize) -> Arc<str> {
    Arc::from(SERVICES[service].0)
}
