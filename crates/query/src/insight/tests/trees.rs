//! Trees and paths of odd requests.

use super::fixtures::{Fixture, MS, below, call, shop};
use crate::insight::{Finding, Insight, NoPath, Usuals};
use hoplog_model::SpanKind::{Client, Consumer, Internal, Server};
use hoplog_otlp::SpanSet;
use hoplog_testkit::spans::trace;

#[test]
fn without_spans_there_is_no_root_and_it_is_said() {
    let insight = Insight::of(&SpanSet::new(), &Usuals::new());
    assert!(insight.tree.nodes.is_empty());
    assert_eq!(insight.tree.extent(), (0, 0));
    assert_eq!(insight.findings, [Finding::NoRoot]);
}

#[test]
fn circles_are_cut_at_their_earliest_span() {
    let trace = trace("t").span("b").child_of("c").start_ms(2);
    let trace = trace
        .span("c")
        .child_of("a")
        .start_ms(3)
        .span("a")
        .child_of("b")
        .start_ms(1);
    let trace = trace.span("d").child_of("b").start_ms(4);
    let request = Fixture::new(trace).analyse();
    let places = ["a", "c", "b", "d"].map(|name| request.at(name));
    assert_eq!(places, [0, 1, 2, 3]);
    // Every parent named was received, and yet none is the root.
    assert_eq!(request.told(), [Finding::NoRoot]);
    assert!(request.insight.tree.root().is_none());
}

#[test]
fn a_span_that_is_its_own_parent_is_no_root() {
    let request = Fixture::new(trace("t").span("a").child_of("a").ms(60)).analyse();
    assert_eq!(request.told(), [Finding::NoRoot]);
    assert!(!request.node("a").is_orphan);
}

#[test]
fn of_several_spans_without_parent_the_earliest_is_the_root() {
    let trace = trace("t")
        .span("late")
        .start_ms(9)
        .span("first")
        .start_ms(5);
    let trace = trace.span("orphan").child_of("lost").start_ms(1);
    let request = Fixture::new(trace).analyse();
    let roots = ["first", "late", "orphan"].map(|name| request.at(name));
    assert_eq!(request.insight.tree.roots, roots);
    assert_eq!(request.insight.tree.root_place(), Some(roots[0]));
}

#[test]
fn a_root_without_time_has_no_path() {
    let request = Fixture::new(trace("t").span("root").ms(0)).analyse();
    assert_eq!(request.insight.path, Err(NoPath::NoTime));
    let nothing = Finding::NoOneCause {
        shares: vec![],
        usual: None,
    };
    assert_eq!(request.told(), [nothing]);
}

#[test]
fn a_difference_of_more_than_a_second_is_no_clocks() {
    let shift = |behind: u64| {
        let trace = shop("GET /", 100).start_ms(5_000);
        let trace = below(trace, "root", "SELECT", Client, (5_000 - behind, 10)).service("db");
        Fixture::new(trace).analyse().node("SELECT").shift
    };
    assert_eq!(shift(1_000), 1_000 * MS);
    assert_eq!(shift(1_001), 0);
}

#[test]
fn a_chain_of_ten_thousand_is_no_deeper_than_one_of_ten() {
    const DEPTH: u64 = 10_000;
    let trace = (1..DEPTH).fold(shop("hop 0", 3 * DEPTH).error(""), |trace, n| {
        let (parent, name) = (format!("hop {}", n - 1), format!("hop {n}"));
        let parent = if n == 1 { "root" } else { &parent };
        below(trace, parent, &name, Server, (n, 3 * DEPTH - 2 * n))
            .service("echo")
            .error("")
    });
    let request = Fixture::new(trace)
        .usually("echo", Server, "hop 9999", 50)
        .analyse();
    let last = request.at("hop 9999");
    assert_eq!(request.insight.tree.nodes[last].depth, 9_999);
    assert!(matches!(request.told(), [Finding::Failed { place, .. }] if *place == last));
    assert_eq!(request.path().len(), 2 * 9_999 + 1);
}

#[test]
fn calls_in_a_row_that_overlap_a_little_are_all_on_the_path() {
    // As with clocks that count in milliseconds, or differ by a few.
    let trace = below(shop("GET /", 100), "root", "one", Client, (0, 41));
    let trace = below(trace, "root", "two", Client, (40, 31));
    let trace = below(trace, "root", "three", Client, (70, 30));
    let trace = below(trace, "root", "beside", Internal, (1, 98));
    let request = Fixture::new(trace).analyse();
    assert_eq!(
        request.path(),
        [("one", 0, 40), ("two", 40, 70), ("three", 70, 100)]
    );
}

#[test]
fn of_children_side_by_side_the_last_to_end_was_waited_for() {
    let trace = below(shop("GET /", 100), "root", "short", Client, (10, 40));
    let trace = below(trace, "root", "long", Client, (10, 80));
    let trace = below(trace, "root", "before", Client, (2, 7));
    let request = Fixture::new(trace).analyse();
    let path = [
        ("GET /", 0, 2),
        ("before", 2, 9),
        ("GET /", 9, 10),
        ("long", 10, 90),
        ("GET /", 90, 100),
    ];
    assert_eq!(request.path(), path);
}

#[test]
fn what_ends_after_the_root_was_waited_for_only_if_it_can_have_been() {
    let path = |failed: bool, kind, times: (u64, u64)| {
        let root = shop("GET /", 100);
        let root = if failed { root.error("") } else { root };
        let request = Fixture::new(below(root, "root", "child", kind, times)).analyse();
        request.path().iter().any(|(name, ..)| *name == "child")
    };
    // Noted late, as servers do that end their span before the work inside it.
    assert!(path(false, Internal, (5, 100)));
    // Begun and left alone.
    assert!(!path(false, Internal, (80, 300)));
    // The root gave up on it.
    assert!(path(true, Internal, (80, 300)));
    // Another clock.
    assert!(path(false, Server, (80, 300)));
    assert!(!path(true, Consumer, (5, 300)));
}

#[test]
fn own_time_is_what_no_child_covers() {
    let trace = below(shop("GET /", 100), "root", "a", Client, (10, 30));
    let trace = below(trace, "root", "b", Client, (20, 30));
    let trace = below(trace, "root", "c", Client, (90, 30));
    let request = Fixture::new(call(trace, "root", "d", "stock", (60, 10))).analyse();
    assert_eq!(request.node("root").own, 40 * MS);
    assert_eq!(request.node("d call").own, 2 * MS);
    assert_eq!(
        (request.node("root").below, request.node("d call").below),
        (5, 1)
    );
}
