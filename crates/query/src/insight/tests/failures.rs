//! Rules 1 to 3: what failed.

use super::error;
use super::fixtures::{Fixture, MS, below, call, failed_call, shop};
use crate::insight::Finding;
use hoplog_model::SpanKind::{Client, Internal, Server};
use hoplog_testkit::spans::{Trace, trace};

/// The name of the span that the first finding calls the cause of a failed request.
fn cause(trace: Trace) -> String {
    let request = Fixture::new(trace).analyse();
    match request.told().first() {
        Some(Finding::Failed { place, .. }) => request.insight.tree.nodes[*place].name.clone(),
        other => panic!("{other:?}"),
    }
}

/// A failed call of "bank" that no hop answers.
fn refused(trace: Trace, parent: &str, name: &str, start: u64) -> Trace {
    let trace = below(trace, parent, name, Client, (start, 5))
        .name("POST")
        .error("refused");
    trace.attr("server.address", "bank")
}

#[test]
fn an_earlier_error_that_was_handled_is_not_the_cause() {
    let trace = shop("GET /", 100).error("");
    let trace = call(trace, "root", "GET /cart", "cart", (5, 30));
    let trace = below(trace, "GET /cart", "GET cache", Client, (10, 5)).error("refused");
    let trace = failed_call(
        trace.service("cart"),
        "root",
        "GET /item",
        "stock",
        (50, 30),
    );
    assert_eq!(cause(trace), "GET /item");
}

#[test]
fn steps_without_status_and_answers_of_4xx_pass_failures_on() {
    let trace = below(
        shop("GET /", 100).error(""),
        "root",
        "load",
        Internal,
        (1, 90),
    );
    let trace = below(trace, "load", "call", Client, (2, 80)).error("404");
    let trace = below(trace, "call", "GET /item", Server, (3, 70)).service("stock");
    let trace = below(trace, "GET /item", "SELECT", Client, (4, 60)).service("stock");
    assert_eq!(cause(trace.error("no such row")), "SELECT");
}

#[test]
fn a_step_that_says_it_went_well_passes_nothing_on() {
    let trace = below(
        shop("GET /", 100).error("bad"),
        "root",
        "load",
        Internal,
        (1, 90),
    )
    .ok();
    let trace = below(trace, "load", "SELECT", Client, (4, 60)).error("no such row");
    assert_eq!(cause(trace), "GET /");
}

#[test]
fn a_failure_below_a_missing_parent_comes_before_the_root_itself() {
    let orphan = |trace| below(trace, "lost", "SELECT", Client, (10, 20)).error("timeout");
    assert_eq!(cause(orphan(shop("GET /", 100).error(""))), "SELECT");
    let known = failed_call(
        shop("GET /", 100).error(""),
        "root",
        "GET /item",
        "stock",
        (50, 30),
    );
    assert_eq!(cause(orphan(known)), "GET /item");
    // It began when the root was over.
    let late = below(
        shop("GET /", 100).error(""),
        "lost",
        "SELECT",
        Client,
        (101, 20),
    );
    assert_eq!(cause(late.error("timeout")), "GET /");
}

#[test]
fn without_root_a_failure_is_told_all_the_same() {
    let trace = trace("t")
        .span("charge")
        .child_of("lost")
        .name("POST /charges")
        .kind(Server);
    let request = Fixture::new(trace.ms(50).error("no funds")).analyse();
    let error = error("shop", "POST /charges", "", "no funds");
    let failed = Finding::Failed { place: 0, error };
    assert_eq!(request.told(), [failed, Finding::NoRoot]);
}

#[test]
fn the_type_of_an_error_is_its_attribute_where_there_is_no_exception() {
    let trace = shop("GET /", 10).error("").attr("error.type", "500");
    let failed = Finding::Failed {
        place: 0,
        error: error("shop", "GET /", "500", ""),
    };
    assert_eq!(Fixture::new(trace).analyse().told(), [failed]);
}

#[test]
fn calls_that_no_hop_answered_are_told_by_their_caller() {
    let trace = (0..4).fold(shop("GET /", 60).error(""), |trace, n| {
        refused(trace, "root", &format!("try {n}"), n * 10)
    });
    let request = Fixture::new(trace)
        .usually("shop", Client, "POST", 3)
        .analyse();
    let gave_up = Finding::GaveUp {
        caller: request.at("root"),
        call: request.at("try 0"),
        calls: 4,
        longest: 5 * MS,
        usual: Some(3 * MS),
    };
    assert_eq!(request.told(), [gave_up]);
}

#[test]
fn calls_of_different_things_are_no_retries() {
    let trace = refused(shop("GET /", 40).error(""), "root", "one", 0);
    let trace = refused(trace, "root", "other", 10).with(|span| span.attributes.clear());
    assert_eq!(cause(trace.attr("server.address", "stock")), "POST");
}

#[test]
fn retries_that_went_well_in_the_end_were_not_given_up() {
    let trace = refused(shop("GET /", 90).error("bad"), "root", "try 0", 0);
    let trace = refused(trace, "root", "try 1", 10);
    let trace = below(trace, "root", "try 2", Client, (20, 20)).name("POST");
    let trace = trace.attr("server.address", "bank");
    let trace = below(trace, "try 2", "POST /charges", Server, (21, 15)).service("bank");
    assert_eq!(cause(trace.clone()), "POST");
    // Two more do not make four.
    let trace = refused(refused(trace, "root", "try 3", 50), "root", "try 4", 60);
    let request = Fixture::new(trace).analyse();
    let Some(Finding::GaveUp { call, calls, .. }) = request.told().first() else {
        panic!("{:?}", request.told());
    };
    assert_eq!((*call, *calls), (request.at("try 3"), 2));
}

#[test]
fn of_retries_of_retries_the_deepest_are_told() {
    let trace = (0..3).fold(shop("GET /", 300).error(""), |trace, n| {
        let (orders, start) = (format!("orders {n}"), n * 100);
        let trace = failed_call(trace, "root", &orders, "orders", (start, 90));
        let trace = trace.name("GET /orders");
        (0..2).fold(trace, |trace, m| {
            refused(trace, &orders, &format!("try {n}{m}"), start + 10 + m * 10).service("orders")
        })
    });
    let request = Fixture::new(trace).analyse();
    let Some(Finding::GaveUp {
        caller,
        call,
        calls,
        ..
    }) = request.told().first()
    else {
        panic!("{:?}", request.told());
    };
    let wanted = (request.at("orders 0"), request.at("try 00"), 2);
    assert_eq!((*caller, *call, *calls), wanted);
}

#[test]
fn calls_told_as_given_up_are_not_told_as_repeated() {
    let trace = (0..6).fold(shop("GET /", 120).error(""), |trace, n| {
        failed_call(trace, "root", &format!("bank {n}"), "bank", (n * 20, 20)).name("POST /pay")
    });
    let request = Fixture::new(trace).analyse();
    let is_alone = matches!(request.told(), [Finding::GaveUp { calls: 6, .. }]);
    assert!(is_alone, "{:?}", request.told());
}
