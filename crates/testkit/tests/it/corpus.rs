//! The corpus has the shape that its benchmark is about.

use hoplog_model::SpanStatus;
use hoplog_otlp::{Limits, SpanView, slice};
use hoplog_testkit::corpus::{Batch, Corpus, CorpusOptions, Ids};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::{HashMap, HashSet};

fn corpus(spans: u64) -> Corpus {
    Corpus::new(CorpusOptions {
        spans,
        ..CorpusOptions::default()
    })
}

#[test]
fn one_seed_one_corpus() {
    let bytes = |options| -> Vec<_> {
        Corpus::new(options)
            .batches()
            .map(|batch: Batch| batch.bytes)
            .collect()
    };
    let options = CorpusOptions {
        spans: 3000,
        ..CorpusOptions::default()
    };
    assert_eq!(bytes(options), bytes(options));
    assert_ne!(bytes(options), bytes(CorpusOptions { seed: 2, ..options }));
}

#[test]
fn sizes_are_as_stated() {
    let corpus = corpus(60_000);
    let (mut bytes, mut spans) = (0, 0);
    let (mut services, mut interfaces) = (HashSet::new(), HashSet::new());
    let mut last = 0;
    for batch in corpus.batches() {
        assert!(batch.spans <= 512 && batch.at >= last);
        last = batch.at;
        bytes += batch.bytes.len();
        spans += u64::from(batch.spans);
        let request = ExportTraceServiceRequest::decode(batch.bytes).unwrap();
        for span in &request.resource_spans[0].scope_spans[0].spans {
            assert!((8..=16).contains(&span.attributes.len()));
            let keys: HashSet<_> = span.attributes.iter().map(|a| &a.key).collect();
            assert_eq!(keys.len(), span.attributes.len(), "each key once");
            if [2, 5].contains(&span.kind) {
                interfaces.insert((batch.service.clone(), span.name.clone()));
            }
        }
        services.insert(batch.service);
    }
    assert_eq!(spans, corpus.spans());
    assert_eq!((services.len(), interfaces.len()), (30, 180));
    let average = bytes as f64 / spans as f64;
    assert!((420.0..480.0).contains(&average), "{average} bytes a span");
}

#[test]
fn what_is_planned_is_what_is_sent() {
    let corpus = corpus(20_000);
    let mut received: HashMap<_, Vec<_>> = HashMap::new();
    for batch in corpus.batches() {
        let sliced = slice(batch.bytes, &Limits::default()).unwrap();
        assert_eq!(sliced.spans.len(), batch.spans as usize, "none is rejected");
        for span in &sliced.spans {
            let name = SpanView(sliced.raw(span)).name().into_owned();
            let service = sliced.groups[span.group as usize].service.to_string();
            received
                .entry(span.trace_id)
                .or_default()
                .push((span.head, service, name, batch.at));
        }
    }
    assert_eq!(received.len() as u64, corpus.requests());
    let (mut spread, mut failed) = (0, 0);
    for number in 0..corpus.requests() {
        let request = corpus.request(number);
        let spans = &received[&request.trace_id];
        assert_eq!(spans.len(), request.spans.len());
        assert!((3..=40).contains(&spans.len()));
        let services: HashSet<_> = spans.iter().map(|(_, service, ..)| service).collect();
        assert!((2..=9).contains(&services.len()));
        for planned in &request.spans {
            let sent = spans
                .iter()
                .find(|(head, ..)| head.span_id == planned.span_id)
                .unwrap();
            let (head, service, name, _) = sent;
            assert_eq!((head.start, head.end), (planned.start, planned.end));
            assert_eq!((&**service, &**name), (planned.service(), planned.name()));
            assert_eq!(head.status == SpanStatus::Error, planned.failed);
            let parent = planned.parent.map(|parent| request.spans[parent].span_id);
            assert_eq!((head.kind, head.parent), (planned.kind(), parent));
        }
        failed += u64::from(request.spans[0].failed);
        let sent = || spans.iter().map(|(.., at)| *at);
        spread = spread.max(sent().max().unwrap() - sent().min().unwrap());
    }
    let share = failed as f64 / corpus.requests() as f64;
    assert!((0.02..0.04).contains(&share), "{share} fail");
    assert!(
        (1_000_000_000..6_000_000_000).contains(&spread),
        "parts are {spread} ns apart"
    );
}

#[test]
fn facts_are_true() {
    let corpus = corpus(20_000);
    let facts = corpus.facts();
    assert_eq!((facts.services.len(), facts.interfaces.len()), (30, 180));
    assert_eq!(
        (facts.spans, facts.requests),
        (corpus.spans(), corpus.requests())
    );
    assert_eq!(facts.rare.len(), 20);
    let mut found: HashMap<String, Vec<_>> = HashMap::new();
    let mut seen = HashSet::new();
    for batch in corpus.batches() {
        let sliced = slice(batch.bytes, &Limits::default()).unwrap();
        for span in &sliced.spans {
            seen.insert(span.trace_id);
            let customer = SpanView(sliced.raw(span)).attributes().get("customer.id");
            let customer = customer.map(|value| value.text().into_owned());
            if let Some(rare) = customer.filter(|customer| customer.starts_with("rare")) {
                found
                    .entry(rare)
                    .or_default()
                    .push((span.trace_id, span.head.parent));
            }
        }
    }
    assert!(!found.contains_key(&facts.nowhere));
    assert_eq!(found.len(), facts.rare.len());
    for rare in &facts.rare {
        let spans = &found[&rare.value];
        assert!(spans.iter().all(|(trace_id, _)| *trace_id == rare.trace_id));
    }
    assert!(facts.trace_ids.len() > 500 && facts.trace_ids.iter().all(|id| seen.contains(id)));
}

#[test]
fn v7_ids_are_in_the_order_of_time() {
    let options = CorpusOptions {
        spans: 2000,
        ids: Ids::V7,
        ..CorpusOptions::default()
    };
    let corpus = Corpus::new(options);
    let ids = (0..corpus.requests()).map(|number| {
        let request = corpus.request(number);
        let millis = request.spans[0].start / 1_000_000;
        assert_eq!(request.trace_id.v7_millis(), Some(millis));
        request.trace_id
    });
    assert!(ids.is_sorted());
}
