//! What answers say of a small shop.

use super::testing::{NOW, World, hop, trace_id};
use super::*;
use crate::ErrorCode;
use futures_util::StreamExt;
use hoplog_model::SpanKind;
use hoplog_model::times::{self, MINUTE};
use std::collections::HashSet;

fn q(text: &str) -> SearchInput {
    SearchInput {
        q: text.to_owned(),
        ..SearchInput::default()
    }
}

async fn found(world: &World, text: &str) -> Vec<TraceId> {
    let list = world.answers.search(&q(text)).await.unwrap();
    list.requests
        .iter()
        .map(|request| request.trace_id)
        .collect()
}

#[tokio::test]
async fn searches_find_what_they_say() {
    let world = World::shop().await;
    for (text, wanted) in [
        ("", vec![4, 3, 2, 1]),
        ("status:error", vec![3]),
        ("entry:gateway code:5xx", vec![3]),
        ("code:>=500", vec![3]),
        ("{service:payments status:error}", vec![3]),
        ("duration:>1s", vec![2]),
        ("service:payments bank.code:KB-*", vec![3, 2, 1]),
        ("entry:gateway -service:payments", vec![]),
        ("-service:payments", vec![4]),
        ("card_declined", vec![3]),
        ("method:POST sort:-duration", vec![2, 3, 1]),
        ("last:6m", vec![4, 3]),
        ("time:10:48..10:56", vec![3, 2]),
        // Request 1 began at 10:10, 2 at 10:50, 3 at 10:55, 4 at 10:58.
        ("started:10:09..10:11 OR ended:10:54..10:56", vec![3, 1]),
        ("started:..10:30", vec![1]),
        ("ended:10:50:01..10:50:03", vec![2]),
        ("started:10:50..10:56 -ended:10:50..10:51", vec![3]),
        ("kind:client", vec![1]),
        (&trace_id(2).to_string(), vec![2]),
    ] {
        let wanted: Vec<TraceId> = wanted.into_iter().map(trace_id).collect();
        assert_eq!(found(&world, text).await, wanted, "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_search_is_said() {
    let world = World::shop().await;
    let error = world
        .answers
        .search(&q("statsu:error last:soon"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.issues.len()),
        (ErrorCode::InvalidArgument, 2)
    );
    assert_eq!(error.fixed.as_deref(), Some("status:error last:1h"));
    assert_eq!(
        error.issues[0].fix.as_deref(),
        Some("status:error last:soon")
    );
    for (input, at) in [
        (
            SearchInput {
                limit: Some(0),
                ..q("")
            },
            "limit",
        ),
        (
            SearchInput {
                limit: Some(1_001),
                ..q("")
            },
            "limit",
        ),
        (
            SearchInput {
                from: Some(5),
                to: Some(5),
                ..q("")
            },
            "from",
        ),
        (
            SearchInput {
                cursor: Some("x".to_owned()),
                ..q("")
            },
            "cursor",
        ),
    ] {
        let error = world.answers.search(&input).await.unwrap_err();
        assert_eq!(error.at.as_deref(), Some(at), "{error}");
    }
}

#[tokio::test]
async fn a_hint_does_not_stop_a_search() {
    let world = World::shop().await;
    let list = world.answers.search(&q("service:paymnets")).await.unwrap();
    assert_eq!(list.requests, []);
    assert_eq!(list.hints[0].fix.as_deref(), Some("service:payments"));
}

#[tokio::test]
async fn pages_hold_each_row_once_while_new_ones_arrive_and_time_goes_on() {
    for sort in [Sort::Newest, Sort::Slowest] {
        let world = World::empty();
        for n in 0..50 {
            let start = NOW - 60 * MINUTE + n * MINUTE;
            world
                .write(n, start, &[hop("a", 2, "GET /", 1 + n * 7 % 10)])
                .await;
        }
        let mut input = SearchInput {
            limit: Some(7),
            sort: Some(sort),
            ..q("service:a")
        };
        let mut seen: Vec<TraceId> = Vec::new();
        for page in 0.. {
            let list = world.answers.search(&input).await.unwrap();
            seen.extend(list.requests.iter().map(|request| request.trace_id));
            let Some(cursor) = list.next_cursor else {
                break;
            };
            input.cursor = Some(cursor);
            world.clock.advance(10 * MINUTE);
            world
                .write(100 + page, NOW + page, &[hop("a", 2, "GET /", 5)])
                .await;
        }
        let once: HashSet<TraceId> = seen.iter().copied().collect();
        assert_eq!(once.len(), seen.len(), "no row twice");
        assert_eq!(
            once,
            (0..50).map(trace_id).collect(),
            "no row missing, {sort:?}"
        );
    }
}

#[tokio::test]
async fn a_pasted_id_finds_its_request() {
    let world = World::shop().await;
    let trace = trace_id(3);
    let span = format!("{:016x}", 3 << 16 | 2);
    for text in [
        trace.to_string(),
        format!("00-{trace}-{span}-01"),
        format!("ERROR span_id={span} boom"),
        format!("{} {span}", trace_id(99)),
    ] {
        let wanted = (!text.contains(&trace_id(99).to_string())).then_some(trace);
        assert_eq!(world.answers.find(&text).await.unwrap(), wanted, "{text}");
    }
    assert_eq!(world.answers.find("no id").await.unwrap(), None);
}

#[tokio::test]
async fn figures_are_of_arrivals_where_there_are_any() {
    let world = World::shop().await;
    let hour = Window::last(60 * MINUTE, NOW);
    let services = world.answers.services(hour).await.unwrap();
    let lines: Vec<_> = services
        .iter()
        .map(|s| (s.name.as_str(), s.figures.count, s.figures.errors))
        .collect();
    assert_eq!(
        lines,
        [("gateway", 3, 1), ("payments", 3, 1), ("worker", 1, 0)]
    );
    let gateway = services[0].figures;
    assert!(
        (gateway.rate_per_s - 3.0 / 3600.0).abs() < 1e-12,
        "{gateway:?}"
    );
    assert!((gateway.error_ratio - 1.0 / 3.0).abs() < 1e-12);
    assert!(gateway.p99_ns.unwrap().abs_diff(2_500_000_000) < 50_000_000);
    let interfaces = world.answers.interfaces("gateway", hour).await.unwrap();
    let lines: Vec<_> = interfaces
        .iter()
        .map(|i| (i.kind, i.name.as_str(), i.figures.count))
        .collect();
    assert_eq!(
        lines,
        [
            (SpanKind::Server, "POST /orders", 3),
            (SpanKind::Client, "POST", 1)
        ]
    );
}

#[tokio::test]
async fn charts_have_every_step_and_count_every_span() {
    let world = World::shop().await;
    let input = LatencyInput {
        service: Some("gateway".to_owned()),
        ..LatencyInput::default()
    };
    let hour = world.answers.latency(&input).await.unwrap();
    assert_eq!((hour.steps.len(), hour.step_ns), (60, MINUTE));
    assert_eq!(hour.steps.iter().map(|step| step.count).sum::<u64>(), 3);
    assert_eq!(hour.steps[10].count, 1);
    assert_eq!(
        (hour.steps[0].at, hour.steps[0].p50_ns),
        (NOW - 60 * MINUTE, None)
    );
    let coarse = LatencyInput {
        step: Some(7 * MINUTE - 1),
        ..input.clone()
    };
    let coarse = world.answers.latency(&coarse).await.unwrap();
    assert_eq!((coarse.steps.len(), coarse.step_ns), (9, 7 * MINUTE));
    assert_eq!(coarse.steps.iter().map(|step| step.count).sum::<u64>(), 3);
    let too_fine = LatencyInput {
        from: Some(0),
        step: Some(1),
        ..input
    };
    assert_eq!(
        world
            .answers
            .latency(&too_fine)
            .await
            .unwrap_err()
            .at
            .as_deref(),
        Some("step")
    );
    let lines = world
        .answers
        .services_series(Window::last(60 * MINUTE, NOW))
        .await
        .unwrap();
    assert_eq!(lines.len(), 3);
    for window in [
        Window::last(60 * MINUTE, NOW),
        Window::last(55 * MINUTE, NOW + 1),
        Window::last(35 * MINUTE, NOW - 4 * MINUTE),
    ] {
        let lines = world.answers.services_series(window).await.unwrap();
        let figures: Vec<_> = lines.into_iter().map(|line| line.service).collect();
        assert_eq!(figures, world.answers.services(window).await.unwrap());
    }
    for line in &lines {
        assert_eq!(line.points.len(), SPARKLINE_POINTS);
    }
    assert_eq!(
        lines[0]
            .points
            .iter()
            .map(|point| point.errors)
            .sum::<u64>(),
        1
    );
    assert_eq!(lines[0].points[5].count, 1);
}

#[tokio::test]
async fn suggestions_are_read_again_after_half_a_minute() {
    let world = World::shop().await;
    let before = world.answers.known().await.unwrap();
    assert_eq!(before.services, ["gateway", "payments", "worker"]);
    assert!(before.keys.contains(&"bank.code".to_owned()));
    world.write(9, NOW, &[hop("new", 2, "GET /", 1)]).await;
    assert_eq!(world.answers.known().await.unwrap(), before);
    world.clock.advance(30 * times::SECOND);
    let after = world.answers.known().await.unwrap();
    assert!(after.services.contains(&"new".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_each_new_request_once() {
    let world = World::shop().await;
    let mut watch = Box::pin(world.answers.watch("service:a").await.unwrap());
    world.write(10, NOW, &[hop("a", 2, "GET /", 1)]).await;
    world.write(11, NOW + 1, &[hop("b", 2, "GET /", 1)]).await;
    world.write(12, NOW + 2, &[hop("a", 2, "GET /", 1)]).await;
    for n in [10, 12] {
        let seen = watch.next().await.unwrap().unwrap();
        assert_eq!((seen.request.trace_id, seen.skipped), (trace_id(n), false));
    }
    world.write(13, NOW + 3, &[hop("a", 2, "GET /", 1)]).await;
    assert_eq!(
        watch.next().await.unwrap().unwrap().request.trace_id,
        trace_id(13)
    );
    assert!(world.answers.watch("statsu:x").await.is_err());
}
