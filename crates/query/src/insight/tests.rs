//! What is told of requests, from the 12 fixtures of research/ui.md section 5 to random trees.

mod delays;
mod failures;
mod fixtures;
mod properties;
mod trees;

use super::{Finding, NoPath, Usuals};
use fixtures::{Fixture, MS};
use hoplog_model::FirstError;

fn error(service: &str, name: &str, kind: &str, message: &str) -> FirstError {
    FirstError {
        service: service.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn a_plain_error_is_told_from_where_it_began() {
    let request = fixtures::plain_error().analyse();
    let place = request.at("POST /charges");
    let error = error("bank", "POST /charges", "CardError", "insufficient funds");
    assert_eq!(request.told(), [Finding::Failed { place, error }]);
}

#[test]
fn a_handled_error_is_told_as_survived() {
    let request = fixtures::handled_error().analyse();
    let place = request.at("GET cache");
    let error = error("shop", "GET cache", "", "refused");
    assert_eq!(request.told(), [Finding::Survived { place, error }]);
}

#[test]
fn retries_that_all_time_out_are_told_as_given_up_and_waited_for() {
    let request = fixtures::timeout_with_retries().analyse();
    let gave_up = Finding::GaveUp {
        caller: request.at("POST /pay"),
        call: request.at("bank 0"),
        calls: 3,
        longest: 400 * MS,
        usual: Some(71 * MS),
    };
    let waited = Finding::Waited {
        place: request.at("bank 0"),
        took: 1_200 * MS,
        of: 1_840 * MS,
        usual: 71 * MS,
    };
    assert_eq!(request.told(), [gave_up, waited]);
}

#[test]
fn the_same_statement_in_a_row_is_told_as_repeated() {
    let request = fixtures::n_plus_one().analyse();
    let [Finding::Repeated(repeat)] = request.told() else {
        panic!("{:?}", request.told());
    };
    assert_eq!(repeat.parent, request.at("root"));
    let calls: Vec<usize> = (0..24)
        .map(|n| request.at(&format!("select {n}")))
        .collect();
    assert_eq!(repeat.calls, calls);
    let what = "SELECT * FROM order_items WHERE order_id = ?";
    assert_eq!((repeat.what.as_str(), repeat.is_statement), (what, true));
    assert_eq!(repeat.total, 168 * MS);
}

#[test]
fn slow_own_work_is_told_once() {
    let request = fixtures::slow_own_work().analyse();
    let (place, took, of) = (request.at("root"), 950 * MS, 1_000 * MS);
    assert_eq!(request.told(), [Finding::Worked { place, took, of }]);
}

#[test]
fn a_statement_that_waits_for_a_lock_is_told_as_waited_for() {
    let request = fixtures::lock_wait().analyse();
    let waited = Finding::Waited {
        place: request.at("UPDATE stock"),
        took: 920 * MS,
        of: 1_000 * MS,
        usual: 4 * MS,
    };
    assert_eq!(request.told(), [waited]);
}

#[test]
fn consumers_are_not_waited_for_and_told_as_going_on() {
    let request = fixtures::goes_on().analyse();
    let (place, after) = (request.at("process mail"), 390 * MS);
    assert_eq!(request.told(), [Finding::WentOn { place, after }]);
    let own = [
        ("POST /orders", 0, 20),
        ("send mail", 20, 22),
        ("POST /orders", 22, 40),
    ];
    assert_eq!(request.path(), own);
}

#[test]
fn a_clock_that_is_behind_is_put_right_for_its_service_alone() {
    let request = fixtures::clock_skew().analyse();
    let usual = 100 * MS;
    assert_eq!(request.told(), [Finding::Usual { usual }]);
    let shifts = ["root", "pay", "POST /charges", "book", "Ledger/Book"]
        .map(|name| request.node(name).shift / MS);
    assert_eq!(shifts, [0, 0, 24, 24, 0]);
    let path = [
        ("POST /orders", 0, 10),
        ("POST /charges", 10, 14),
        ("book", 14, 25),
        ("Ledger/Book", 25, 30),
        ("book", 30, 34),
        ("POST /charges", 34, 70),
        ("pay", 70, 90),
        ("POST /orders", 90, 100),
    ];
    assert_eq!(request.path(), path);
}

#[test]
fn what_a_missing_parent_hides_is_not_told_as_work_or_gap() {
    let request = fixtures::missing_parent().analyse();
    assert_eq!(request.told(), [Finding::Orphans { count: 1 }]);
    assert!(request.node("POST /charges").is_orphan);
    assert!(!request.node("book").is_orphan);
}

#[test]
fn without_root_nobody_is_known_who_waited() {
    let request = fixtures::no_root().analyse();
    assert_eq!(request.told(), [Finding::NoRoot]);
    assert_eq!(request.insight.path, Err(NoPath::NoRoot));
}

#[test]
fn ten_thousand_spans_are_told_of_like_ten() {
    let request = fixtures::ten_thousand_spans().analyse();
    let [Finding::Repeated(repeat)] = request.told() else {
        panic!("{:?}", request.told());
    };
    assert_eq!((repeat.calls.len(), repeat.total), (9_999, 9_999 * MS));
    assert_eq!(repeat.what, "GET /item");
    assert!(!repeat.is_statement);
}

#[test]
fn a_single_span_is_as_usual_or_has_no_cause() {
    let fixture = fixtures::single_span();
    let usual = 28 * MS;
    assert_eq!(fixture.analyse().told(), [Finding::Usual { usual }]);
    let unknown = Fixture {
        usuals: Usuals::new(),
        ..fixture
    };
    let alone = Finding::NoOneCause {
        shares: vec![(0, 30 * MS)],
        usual: None,
    };
    assert_eq!(unknown.analyse().told(), [alone]);
}
