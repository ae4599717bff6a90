//! What holds for every request.

use super::fixtures::{self, reordered};
use crate::insight::{Finding, Insight, Node, Tree, Usual, Usuals};
use hoplog_model::{Interface, SpanKind, UnixNanos};
use hoplog_otlp::SpanSet;
use hoplog_testkit::spans::trace;
use proptest::prelude::*;
use proptest::sample::select;

/// Panics if the analysis contradicts itself or the spans.
fn assert_sound(insight: &Insight) {
    let (tree, findings) = (&insight.tree, &insight.findings);
    assert!((1..=3).contains(&findings.len()), "{findings:?}");
    for (place, node) in tree.nodes.iter().enumerate() {
        assert_eq!(tree.place(&node.span_id), Some(place));
        assert!(node.parent.is_none_or(|parent| parent < place));
        assert!(
            node.children
                .iter()
                .all(|child| tree.nodes[*child].parent == Some(place))
        );
    }
    assert_path_sound(insight);
    let gap = findings.iter().find_map(|finding| match finding {
        Finding::Gap { place, took } => Some((*place, *took)),
        _ => None,
    });
    let is_worked = |place| {
        findings
            .iter()
            .any(|told| matches!(told, Finding::Worked { place: at, .. } if *at == place))
    };
    if let Some((place, took)) = gap {
        assert!(!is_worked(place), "{findings:?}");
        assert!(took <= own_without_consumers(tree, place), "{findings:?}");
    }
    for finding in findings {
        if let Finding::Waited { took, of, .. } | Finding::Worked { took, of, .. } = finding {
            assert!(
                took <= of && *of == tree.root().unwrap().duration(),
                "{finding:?}"
            );
        }
        if let Finding::Worked { place, took, .. } = finding {
            assert!(*took <= own_without_consumers(tree, *place), "{finding:?}");
        }
    }
}

fn assert_path_sound(insight: &Insight) {
    let Ok(path) = &insight.path else {
        let is_timeless = insight.tree.root().is_none_or(|root| root.duration() == 0);
        assert!(is_timeless, "{:?}", insight.path);
        return;
    };
    let root = insight.tree.root().unwrap();
    let mut at = root.shown_start();
    for segment in &path.segments {
        let node = &insight.tree.nodes[segment.place];
        assert_eq!(segment.start, at);
        assert!(segment.start < segment.end);
        assert!(node.shown_start() <= segment.start && segment.end <= node.shown_end());
        at = segment.end;
    }
    assert_eq!(at, root.shown_end());
    assert_eq!(path.duration(), root.duration());
}

fn runs(node: &Node, at: UnixNanos) -> bool {
    (node.shown_start()..node.shown_end()).contains(&at)
}

/// Own time, counted nanosecond by nanosecond.
fn counted_own(tree: &Tree, place: usize, counts: impl Fn(&Node) -> bool) -> u64 {
    let node = &tree.nodes[place];
    let children: Vec<&Node> = node
        .children
        .iter()
        .map(|child| &tree.nodes[*child])
        .collect();
    let is_own = |at: &u64| {
        !children
            .iter()
            .any(|child| counts(child) && runs(child, *at))
    };
    let own = (node.shown_start()..node.shown_end()).filter(is_own);
    u64::try_from(own.count()).unwrap()
}

fn own_without_consumers(tree: &Tree, place: usize) -> u64 {
    let own = tree.own_intervals(place, |child| child.kind != SpanKind::Consumer);
    own.iter().map(|(start, end)| end - start).sum()
}

/// All that is known, without what depends on the order of the spans.
fn all_of(mut insight: Insight) -> String {
    for node in &mut insight.tree.nodes {
        node.index = 0;
    }
    let Insight {
        tree,
        path,
        repeats,
        findings,
    } = insight;
    format!(
        "{:?} {:?} {path:?} {repeats:?} {findings:?}",
        tree.nodes, tree.roots
    )
}

#[test]
fn the_fixtures_are_sound_and_do_not_depend_on_the_order_of_spans() {
    for (name, fixture) in fixtures::all() {
        let set = fixture.trace.set();
        let insight = Insight::of(&set, &fixture.usuals);
        println!("{name}");
        assert_sound(&insight);
        let backwards: Vec<usize> = (0..set.len()).rev().collect();
        let other = Insight::of(&reordered(&set, &backwards), &fixture.usuals);
        assert!(all_of(other) == all_of(insight), "{name}");
    }
}

#[derive(Debug, Clone)]
struct Spec {
    parent: Option<usize>,
    service: &'static str,
    kind: SpanKind,
    name: &'static str,
    start: u64,
    duration: u64,
    failed: bool,
    statement: bool,
}

/// Parents may be missing, go in circles, or be later spans.
fn spec(times: impl Strategy<Value = (u64, u64)>) -> impl Strategy<Value = Spec> {
    let parent = prop_oneof![1 => Just(None), 12 => (0_usize..24).prop_map(Some)];
    let service = select(vec!["a", "b", "c"]);
    let kind = select(SpanKind::ALL.to_vec());
    let name = select(vec!["x", "y"]);
    let outcome = (any::<bool>(), any::<bool>());
    (parent, service, kind, name, times, outcome).prop_map(
        |(parent, service, kind, name, (start, duration), (failed, statement))| Spec {
            parent,
            service,
            kind,
            name,
            start,
            duration,
            failed,
            statement,
        },
    )
}

fn set_of(specs: &[Spec]) -> SpanSet {
    let built = specs
        .iter()
        .enumerate()
        .fold(trace("t"), |trace, (n, spec)| {
            let trace = trace
                .span(&n.to_string())
                .service(spec.service)
                .name(spec.name);
            let trace = trace.kind(spec.kind).with(|span| {
                span.start_time_unix_nano = spec.start;
                span.end_time_unix_nano = spec.start.saturating_add(spec.duration);
            });
            let trace = match spec.parent {
                Some(parent) => trace.child_of(&parent.to_string()),
                None => trace,
            };
            let trace = if spec.failed {
                trace.error("bad")
            } else {
                trace
            };
            if spec.statement {
                trace.attr("db.query.text", "SELECT 1")
            } else {
                trace
            }
        });
    built.set()
}

fn usuals(p50: u64) -> Usuals {
    let interface = |service: &str, kind, name: &str| Interface {
        service: service.to_owned(),
        kind,
        name: name.to_owned(),
    };
    let known = SpanKind::ALL.into_iter().flat_map(|kind| {
        ["a", "b"].map(|service| {
            (
                interface(service, kind, "x"),
                Usual {
                    p50,
                    p99: p50,
                    count: 9,
                },
            )
        })
    });
    known.collect()
}

fn small() -> impl Strategy<Value = (u64, u64)> {
    (1_000_u64..1_100, 0_u64..120)
}

/// From the first instant there is to the last, and what an hour is apart from each other.
fn any_times() -> impl Strategy<Value = (u64, u64)> {
    let start = select(vec![0, 1, 1 << 40, u64::MAX / 2, u64::MAX - 1, u64::MAX]);
    let duration = select(vec![
        0,
        1,
        900_000_000,
        3_600_000_000_000,
        u64::MAX / 2,
        u64::MAX,
    ]);
    (start, duration)
}

fn requests(times: impl Strategy<Value = (u64, u64)>) -> impl Strategy<Value = Vec<Spec>> {
    proptest::collection::vec(spec(times), 1..24).prop_map(|mut specs| {
        // Most have a root that all else could be in.
        if specs.len() % 4 != 0 {
            specs[0].parent = None;
        }
        specs
    })
}

proptest! {
    #[test]
    fn every_request_is_soundly_analysed(specs in requests(small()), p50 in 0_u64..40) {
        let insight = Insight::of(&set_of(&specs), &usuals(p50));
        assert_sound(&insight);
        for place in 0..insight.tree.nodes.len() {
            let counted = counted_own(&insight.tree, place, |_| true);
            prop_assert_eq!(insight.tree.nodes[place].own, counted);
        }
    }

    #[test]
    fn no_times_are_too_odd(specs in requests(any_times()), p50 in any::<u64>()) {
        let insight = Insight::of(&set_of(&specs), &usuals(p50));
        assert_sound(&insight);
    }

    #[test]
    fn the_order_of_spans_does_not_matter(
        (specs, order) in requests(small()).prop_flat_map(|specs| {
            let order = Just((0..specs.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(specs), order)
        }),
        p50 in 0_u64..40,
    ) {
        let set = set_of(&specs);
        let insight = Insight::of(&set, &usuals(p50));
        let other = Insight::of(&reordered(&set, &order), &usuals(p50));
        prop_assert_eq!(all_of(insight), all_of(other));
    }
}
