//! What the list says of a small shop.

use super::*;
use crate::answers::testing::{NOW, World, call, order, trace_id};
use hoplog_model::times::{HOUR, MINUTE};

const ITEMS: &str = "SELECT * FROM items WHERE order_id = ?";

async fn list(world: &World, input: QueriesInput) -> QueryList {
    world.answers.queries(&input).await.unwrap()
}

#[tokio::test]
async fn statements_are_listed_by_the_time_they_took() {
    let world = World::statements().await;
    let found = list(&world, QueriesInput::default()).await;
    let names: Vec<&str> = found
        .queries
        .iter()
        .map(|q| q.fingerprint.as_str())
        .collect();
    assert_eq!(names, [ITEMS, "DELETE FROM t", "SELECT ?"]);
    assert_eq!((found.count, found.total_ns), (3, 163_000_000));
    let [items, delete, ping] = &found.queries[..] else {
        panic!("{found:?}");
    };
    assert_eq!((items.figures.count, items.figures.errors), (6, 0));
    assert!((items.share - 120.0 / 163.0).abs() < 1e-9);
    assert_eq!(items.calls_per_request(), Some(6.0));
    let (request, run) = items.run().unwrap();
    assert_eq!(request.request.trace_id, trace_id(2));
    assert_eq!((run.calls, run.total_ns), (6, 120_000_000));
    assert_eq!(
        (delete.run(), delete.calls_per_request()),
        (None, Some(1.0))
    );
    assert_eq!((delete.text.as_deref(), delete.complete), (None, true));
    assert_eq!((ping.figures.count, ping.figures.errors), (2, 1));
    let services = [("audit".to_owned(), 1), ("orders".to_owned(), 1)];
    assert_eq!(ping.services, services);
    assert_eq!(ping.text.as_deref(), Some("select ?"));
    let ids: Vec<TraceId> = ping.requests.iter().map(|r| r.request.trace_id).collect();
    assert_eq!(ids, [trace_id(3), trace_id(1)]);
}

#[tokio::test]
async fn a_list_is_of_its_service_window_and_length() {
    let world = World::statements().await;
    let of = |service: &str| QueriesInput {
        service: Some(service.to_owned()),
        ..QueriesInput::default()
    };
    let audit = list(&world, of("audit")).await;
    assert_eq!((audit.count, audit.total_ns), (1, 1_000_000));
    assert_eq!(audit.queries[0].requests.len(), 1);
    let newest = QueriesInput {
        from: Some(NOW - 12 * MINUTE),
        limit: Some(1),
        ..QueriesInput::default()
    };
    let newest = list(&world, newest).await;
    assert_eq!((newest.count, newest.queries.len()), (2, 1));
    assert_eq!(list(&world, of("nobody")).await.queries, []);
    for limit in [0, MAX_STATEMENTS + 1] {
        let input = QueriesInput {
            limit: Some(limit),
            ..QueriesInput::default()
        };
        let error = world.answers.queries(&input).await.unwrap_err();
        assert_eq!(error.at.as_deref(), Some("limit"));
    }
}

#[tokio::test]
async fn statements_are_no_interfaces_but_are_found_by_a_word() {
    let world = World::statements().await;
    let window = Window::last(HOUR, NOW);
    let interfaces = world.answers.interfaces("orders", window).await.unwrap();
    let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["GET /orders", "query"]);
    let search = crate::answers::SearchInput {
        q: format!("statement:\"{ITEMS}\""),
        ..crate::answers::SearchInput::default()
    };
    let found = world.answers.search(&search).await.unwrap();
    assert_eq!(found.requests[0].trace_id, trace_id(2));
    assert_eq!(found.requests.len(), 1);
}

#[tokio::test]
async fn a_statement_that_became_slower_says_since_when() {
    let world = World::empty();
    let today = NOW - NOW % DAY;
    let mut n = 0;
    for day in 0..10 {
        // Three days ago something happened.
        let millis = if day < 7 { 10 } else { 40 };
        let passed = if day == 9 { NOW - today } else { DAY };
        for part in 0..60 * passed / DAY {
            n += 1;
            let at = today - (9 - day) * DAY + part * (DAY / 60) + SECOND;
            world
                .write(n, at, &order(&[call("SELECT 1", millis)]))
                .await;
        }
    }
    let found = list(&world, QueriesInput::default()).await;
    let change = found.queries[0].changed.unwrap();
    assert_eq!(change.began, today - 2 * DAY);
    assert!(change.p95_since > 3 * change.p95_before, "{change:?}");
    // Before that, nobody could know.
    let then = QueriesInput {
        to: Some(today - 2 * DAY),
        from: Some(today - 3 * DAY),
        ..QueriesInput::default()
    };
    assert_eq!(list(&world, then).await.queries[0].changed, None);
}
