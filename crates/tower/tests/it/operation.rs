//! Operations: queries, messages, steps.

use hoplog_tower::{Operation, context, record_error, record_exception};
use opentelemetry::trace::SpanKind;

use crate::support::{attribute, exception, is_error, is_root, service};

#[tokio::test]
async fn a_message_that_waited_in_a_table_goes_on_in_its_senders_trace() {
    let (orders, sent) = service("orders");
    let (worker, taken) = service("worker");
    let stored = Operation::send("sqlite", "shipments")
        .of(&orders)
        .run(async { context::inject() })
        .await;
    assert_eq!(stored.len(), 1, "no empty tracestate: {stored:?}");
    Operation::process("sqlite", "shipments", stored)
        .of(&worker)
        .run(async {
            // Belongs to the worker without being told so.
            Operation::query("sqlite", "SELECT orders", "SELECT 1")
                .run(async {})
                .await;
        })
        .await;

    let producer = sent.only();
    assert_eq!(producer.name, "send shipments");
    assert_eq!(producer.span_kind, SpanKind::Producer);
    let consumer = taken.named("process shipments");
    assert_eq!(consumer.span_kind, SpanKind::Consumer);
    assert_eq!(consumer.parent_span_id, producer.span_context.span_id());
    assert_eq!(
        consumer.span_context.trace_id(),
        producer.span_context.trace_id()
    );
    assert_eq!(
        attribute(&consumer, "messaging.system").as_deref(),
        Some("sqlite")
    );
    assert_eq!(
        attribute(&consumer, "messaging.destination.name").as_deref(),
        Some("shipments")
    );
    assert_eq!(
        attribute(&consumer, "messaging.operation.type").as_deref(),
        Some("process")
    );
    let query = taken.named("SELECT orders");
    assert_eq!(query.parent_span_id, consumer.span_context.span_id());
    assert_eq!(query.span_kind, SpanKind::Client);
    assert_eq!(
        attribute(&query, "db.system.name").as_deref(),
        Some("sqlite")
    );
    assert_eq!(
        attribute(&query, "db.query.summary").as_deref(),
        Some("SELECT orders")
    );
    assert_eq!(
        attribute(&query, "db.query.text").as_deref(),
        Some("SELECT 1")
    );
}

#[tokio::test]
async fn a_message_without_a_sender_starts_a_trace() {
    let (worker, spans) = service("worker");
    let nothing: [(String, String); 0] = [];
    Operation::process("sqlite", "shipments", nothing)
        .of(&worker)
        .run(async {})
        .await;
    assert!(is_root(&spans.only()));
}

#[tokio::test]
async fn an_error_of_the_work_is_one_of_the_span() {
    let (telemetry, spans) = service("orders");
    let failed: Result<(), std::io::Error> = Operation::call("bank authorise")
        .of(&telemetry)
        .attribute("server.address", "bank.example")
        .try_run(async { Err(std::io::Error::other("line cut")) })
        .await;
    failed.unwrap_err();
    let span = spans.only();
    assert!(is_error(&span));
    assert_eq!(
        attribute(&span, "error.type").as_deref(),
        Some("std::io::error::Error")
    );
    assert_eq!(
        attribute(&span, "server.address").as_deref(),
        Some("bank.example")
    );
    assert_eq!(exception(&span).1, "line cut");
}

#[tokio::test]
async fn work_given_up_is_cancelled() {
    let (telemetry, spans) = service("orders");
    let mut work = Box::pin(
        Operation::step("wait")
            .of(&telemetry)
            .run(std::future::pending::<()>()),
    );
    assert!(futures_util::poll!(work.as_mut()).is_pending());
    drop(work);
    assert_eq!(
        attribute(&spans.only(), "error.type").as_deref(),
        Some("cancelled")
    );
}

#[tokio::test]
async fn exceptions_that_are_handled_are_noted_on_the_current_span() {
    let (telemetry, spans) = service("orders");
    Operation::step("handled")
        .of(&telemetry)
        .run(async {
            record_exception("shop::OutOfStock", "none left");
            context::set_attribute("sku", "tea");
        })
        .await;
    Operation::step("error")
        .of(&telemetry)
        .run(async { record_error(&std::io::Error::other("gone")) })
        .await;
    let span = spans.named("handled");
    assert!(!is_error(&span));
    assert_eq!(
        exception(&span),
        ("shop::OutOfStock".to_owned(), "none left".to_owned())
    );
    assert_eq!(attribute(&span, "sku").as_deref(), Some("tea"));
    assert_eq!(exception(&spans.named("error")).0, "std::io::error::Error");
    // Outside of a span nothing happens.
    record_exception("nobody", "listens");
    assert_eq!(context::trace_id(), None);
}
