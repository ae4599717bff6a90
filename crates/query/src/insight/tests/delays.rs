//! Rules 4 to 11: where the time went.

use super::fixtures::{Fixture, MS, below, call, shop};
use crate::insight::Finding;
use hoplog_model::SpanKind::{Client, Consumer, Internal, Producer, Server};
use hoplog_testkit::spans::Trace;

/// Names of what is told: the rule, and the span.
fn told(fixture: &Fixture) -> Vec<(&'static str, String)> {
    let request = fixture.analyse();
    let name = |finding: &Finding| {
        let rule = match finding {
            Finding::Waited { .. } => "waited",
            Finding::Worked { .. } => "worked",
            Finding::Repeated(_) => "repeated",
            Finding::Gap { .. } => "gap",
            Finding::WentOn { .. } => "went on",
            Finding::Usual { .. } => "usual",
            Finding::NoOneCause { .. } => "no one cause",
            _ => "other",
        };
        let place = finding
            .place()
            .map(|place| request.insight.tree.nodes[place].name.clone());
        (rule, place.unwrap_or_default())
    };
    request.told().iter().map(name).collect()
}

fn one(rule: &'static str, span: &str) -> Vec<(&'static str, String)> {
    vec![(rule, span.to_owned())]
}

#[test]
fn the_deepest_hop_that_explains_a_wait_is_told() {
    let trace = call(shop("GET /", 1_000), "root", "GET /cart", "cart", (10, 980));
    let trace = call(trace, "GET /cart", "GET /price", "price", (20, 900));
    let fixture = Fixture::new(trace)
        .usually("cart", Server, "GET /cart", 50)
        .usually("price", Server, "GET /price", 30);
    assert_eq!(told(&fixture), one("waited", "GET /price"));
    // What is as usual explains nothing.
    let usual = fixture.clone().usually("price", Server, "GET /price", 800);
    assert_eq!(told(&usual), one("waited", "GET /cart"));
}

#[test]
fn a_small_wait_further_down_does_not_explain_a_large_one_elsewhere() {
    let trace = call(shop("GET /", 1_000), "root", "GET /slow", "slow", (10, 500));
    let trace = call(trace, "root", "GET /cart", "cart", (520, 470));
    let trace = call(trace, "GET /cart", "GET /price", "price", (530, 450));
    let fixture = Fixture::new(trace)
        .usually("slow", Server, "GET /slow", 5)
        .usually("price", Server, "GET /price", 30);
    let wanted = [
        ("waited", "GET /slow".to_owned()),
        ("worked", "GET /price".to_owned()),
    ];
    assert_eq!(told(&fixture), wanted);
}

#[test]
fn a_call_and_its_hop_are_one_wait_named_by_the_hop() {
    let trace = call(shop("GET /", 1_000), "root", "GET /cart", "cart", (10, 980));
    let trace = below(trace, "GET /cart", "read", Internal, (20, 960)).service("cart");
    let of_call = Fixture::new(trace.clone()).usually("shop", Client, "GET /cart call", 40);
    let of_hop = Fixture::new(trace).usually("cart", Server, "GET /cart", 40);
    for fixture in [of_call, of_hop] {
        let request = fixture.analyse();
        let waited = Finding::Waited {
            place: request.at("GET /cart"),
            took: 980 * MS,
            of: 1_000 * MS,
            usual: 40 * MS,
        };
        assert_eq!(request.told(), [waited]);
    }
}

#[test]
fn a_call_is_named_itself_where_its_hop_took_little_of_it() {
    let trace = below(shop("GET /", 1_000), "root", "call", Client, (10, 980));
    let trace = below(trace, "call", "GET /cart", Server, (900, 50)).service("cart");
    let fixture = Fixture::new(trace).usually("cart", Server, "GET /cart", 50);
    let wanted = [("waited", "call".to_owned()), ("gap", "call".to_owned())];
    assert_eq!(told(&fixture), wanted);
}

#[test]
fn several_calls_of_one_thing_are_one_wait() {
    let trace = (0..3).fold(shop("GET /", 1_000), |trace, n| {
        let name = format!("select {n}");
        below(trace, "root", &name, Client, (50 + n * 320, 280 + n)).name("SELECT")
    });
    let request = Fixture::new(trace)
        .usually("shop", Client, "SELECT", 100)
        .analyse();
    let waited = Finding::Waited {
        place: request.at("select 2"),
        took: 843 * MS,
        of: 1_000 * MS,
        usual: 100 * MS,
    };
    assert_eq!(request.told(), [waited]);
}

#[test]
fn many_usual_calls_are_no_wait() {
    let fixture = super::fixtures::n_plus_one().usually("shop", Client, "SELECT order_items", 6);
    assert_eq!(told(&fixture), one("repeated", "SELECT order_items"));
}

#[test]
fn hops_that_call_each_other_in_turns_are_counted_once() {
    let trace = (0..6).fold(shop("GET /", 1_000), |trace, n| {
        let parent = if n == 0 {
            "root".to_owned()
        } else {
            format!("hop {}", n - 1)
        };
        let trace = below(
            trace,
            &parent,
            &format!("hop {n}"),
            Server,
            (10 + n, 980 - 2 * n),
        );
        trace
            .service(["ping", "pong"][usize::try_from(n % 2).unwrap()])
            .name("GET /")
    });
    let fixture = Fixture::new(trace).usually("ping", Server, "GET /", 9);
    let request = fixture.usually("pong", Server, "GET /", 9).analyse();
    let Some(Finding::Waited { place, took, .. }) = request.told().first() else {
        panic!("{:?}", request.told());
    };
    assert_eq!((*place, *took), (request.at("hop 1"), 978 * MS));
}

#[test]
fn what_few_spans_say_is_not_known_to_be_usual() {
    let fixture = |count| {
        let trace = below(shop("GET /", 100), "root", "SELECT", Client, (10, 80));
        Fixture::new(trace).known_from(count, "shop", Client, "SELECT", 10)
    };
    assert_eq!(told(&fixture(4)), one("no one cause", ""));
    assert_eq!(told(&fixture(5)), one("waited", "SELECT"));
}

#[test]
fn work_that_is_told_is_not_told_as_a_gap_too() {
    let trace = |ms| {
        let trace = call(
            shop("GET /", 1_000),
            "root",
            "GET /cart",
            "cart",
            (200, 700),
        );
        below(trace, "GET /cart", "read", Client, (300, ms)).service("cart")
    };
    let slow = |trace: Trace| Fixture::new(trace).usually("cart", Server, "GET /cart", 100);
    let wanted = [
        ("waited", "GET /cart".to_owned()),
        ("worked", "GET /cart".to_owned()),
        ("gap", "GET /".to_owned()),
    ];
    assert_eq!(told(&slow(trace(10))), wanted);
    // Without the work being unusual, the longest stretch without record is the cart's.
    assert_eq!(told(&Fixture::new(trace(10))), one("gap", "GET /cart"));
}

#[test]
fn calls_and_spans_that_record_nothing_have_no_gap() {
    let trace = below(shop("GET /", 1_000), "root", "SELECT", Client, (100, 800));
    let fixture = Fixture::new(trace);
    assert_eq!(told(&fixture), one("no one cause", ""));
}

#[test]
fn time_in_which_a_child_ran_is_no_gap_even_off_the_path() {
    // The two overlap, and neither is what the root waited for in the other's time.
    let trace = below(shop("GET /", 1_000), "root", "early", Internal, (10, 890));
    let trace = below(trace, "root", "late", Internal, (100, 890));
    let trace = below(trace, "root", "first", Internal, (20, 75));
    let fixture = Fixture::new(trace).usually("shop", Server, "GET /", 1_000);
    assert_eq!(told(&fixture), one("usual", ""));
}

#[test]
fn rules_are_told_in_their_order_and_at_most_three_of_them() {
    let trace = super::fixtures::n_plus_one().trace;
    let trace = below(trace, "root", "GET cache", Client, (2, 1)).error("refused");
    let trace = below(trace, "root", "send", Producer, (204, 1));
    let trace = below(trace, "send", "process", Consumer, (205, 100)).service("worker");
    let trace = below(trace, "lost", "orphan", Internal, (5, 1));
    let fixture = Fixture::new(trace).usually("shop", Client, "SELECT order_items", 1);
    let wanted = [
        ("other", "GET cache".to_owned()),
        ("waited", "SELECT order_items".to_owned()),
        ("repeated", "SELECT order_items".to_owned()),
    ];
    assert_eq!(told(&fixture), wanted);
}

#[test]
fn slow_without_one_cause_names_the_largest_shares() {
    let trace = [(0, 30), (30, 26), (56, 24), (80, 20)];
    let trace = trace
        .into_iter()
        .enumerate()
        .fold(shop("GET /", 100), |trace, (n, times)| {
            below(trace, "root", &format!("step {n}"), Internal, times)
        });
    let fixture = Fixture::new(trace).usually("shop", Server, "GET /", 60);
    let request = fixture.analyse();
    let shares = [("step 0", 30), ("step 1", 26), ("step 2", 24)];
    let shares = shares
        .map(|(name, ms)| (request.at(name), ms * MS))
        .to_vec();
    let usual = Some(60 * MS);
    assert_eq!(request.told(), [Finding::NoOneCause { shares, usual }]);
    // Up to one and a half times is nothing unusual.
    let usual = fixture.usually("shop", Server, "GET /", 67);
    assert_eq!(told(&usual), one("usual", ""));
}

#[test]
fn repeats_are_in_a_row_and_equal_in_target_and_statement() {
    let statement = |n: u64, overlap: u64, text: &str, host: &str| {
        (0..n).fold(shop("GET /", 400), |trace, n| {
            let name = format!("call {n}");
            let trace = below(trace, "root", &name, Client, (20 + n * 20, 20 + overlap));
            let trace = trace
                .name("GET")
                .attr("server.address", host.replace('#', &n.to_string()));
            let text = text.replace('#', &n.to_string());
            if text.is_empty() {
                trace
            } else {
                trace.attr("db.query.text", text)
            }
        })
    };
    let repeats = |trace: Trace| {
        let request = Fixture::new(trace).analyse();
        let repeats = request.insight.repeats.into_iter();
        repeats
            .map(|repeat| (repeat.calls.len(), repeat.what))
            .collect::<Vec<_>>()
    };
    let found = |count: usize, what: &str| vec![(count, what.to_owned())];
    assert_eq!(repeats(statement(5, 0, "", "stock")), found(5, "GET"));
    assert_eq!(repeats(statement(4, 0, "", "stock")), []);
    assert_eq!(repeats(statement(9, 1, "", "stock")), []);
    assert_eq!(repeats(statement(9, 0, "", "stock-#")), []);
    let literal = statement(6, 0, "SELECT 7 WHERE id = #", "db");
    assert_eq!(repeats(literal), found(6, "SELECT ? WHERE id = ?"));
    let equal = statement(6, 0, "SELECT 7 WHERE id = $1", "db");
    assert_eq!(repeats(equal), found(6, "SELECT ? WHERE id = ?"));
}

#[test]
fn repeated_calls_are_named_by_who_answers() {
    let trace = (0..5).fold(shop("GET /", 400), |trace, n| {
        call(
            trace,
            "root",
            &format!("item {n}"),
            "stock",
            (20 + n * 20, 20),
        )
        .name("GET /item")
    });
    // Their callers have different names, as they would have with ids in them.
    let trace = Fixture::new(trace).analyse();
    assert_eq!(trace.insight.repeats, []);
    let trace = (0..5).fold(shop("GET /", 400), |trace, n| {
        let (caller, hop) = (format!("call {n}"), format!("item {n}"));
        let trace = below(trace, "root", &caller, Client, (20 + n * 20, 20)).name("GET");
        let trace = below(trace, &caller, &hop, Server, (21 + n * 20, 18)).name("GET /item");
        trace.service("stock")
    });
    let request = Fixture::new(trace).analyse();
    assert_eq!(request.insight.repeats[0].what, "GET /item");
}
