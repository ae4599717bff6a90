//! Differences add up to what counting everything anew gives.

use super::*;
use crate::conformance::NOW;
use crate::conformance::build::{Span, set, trace};
use hoplog_model::Interface;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Sums = BTreeMap<(Interface, UnixNanos), Delta>;

fn add(sums: &mut Sums, names: &Names, rollups: Rollups) {
    for (number, minute, delta) in rollups.finish() {
        let interface = names.interfaces()[number as usize].clone();
        sums.entry((interface, minute)).or_default().merge(&delta);
    }
    sums.retain(|_, delta| !delta.is_zero());
}

/// Few ids, so that spans meet their own; other starts, durations, names, services each time.
fn span() -> impl Strategy<Value = Span> {
    let figures = (0..4_u64, prop_oneof![0..9_u64, any::<u64>()], any::<bool>());
    (1..6_u64, "[ab]", "[xy]", figures).prop_map(
        |(id, service, name, (minute, duration, failed))| {
            let span = Span::root(id)
                .service(&service)
                .name(&name)
                .at(NOW + minute * MINUTE / 2, duration);
            if failed { span.failed("") } else { span }
        },
    )
}

fn unique(spans: &[Span]) -> SpanSet {
    let mut set = set(trace(1), spans);
    set.dedupe();
    set
}

proptest! {
    #[test]
    fn what_parts_change_adds_up_to_the_whole(parts in vec(vec(span(), 1..8), 1..6), left_out in vec(span(), 0..5)) {
        let left_out = unique(&left_out);
        let (mut row, mut sums, mut names) = (SpanSet::new(), Sums::new(), Names::default());
        for part in parts {
            // Ids may repeat within a part: a span added can give way at once.
            let absorbed = row.absorb(&set(trace(1), &part));
            let mut rollups = Rollups::new();
            rollups.absorbed(&mut names, &row, &absorbed);
            add(&mut sums, &names, rollups);
        }
        let mut rollups = Rollups::new();
        rollups.add(&mut names, &left_out, true);
        add(&mut sums, &names, rollups);

        let (mut anew, mut expected) = (Rollups::new(), Sums::new());
        anew.add(&mut names, &row, false);
        anew.add(&mut names, &left_out, true);
        add(&mut expected, &names, anew);
        prop_assert_eq!(&sums, &expected);

        let total = |of: fn(&Delta) -> i64| sums.values().map(of).sum::<i64>();
        prop_assert_eq!(total(|delta| delta.count), (row.len() + left_out.len()) as i64);
        prop_assert_eq!(total(|delta| delta.left_out), left_out.len() as i64);
        for delta in sums.values() {
            let mut sketch = Sketch::default();
            prop_assert!(delta.apply(&mut sketch));
            prop_assert_eq!(sketch.count(), delta.count.unsigned_abs());
        }
    }
}

#[test]
fn each_span_counts_in_its_minute_and_interface() {
    let second_half = Span::root(2).at(NOW + MINUTE + 1, 3_000).failed("");
    let spans = set(
        trace(1),
        &[
            Span::root(1).at(NOW, 500),
            second_half,
            Span::root(3).at(NOW + 9, 700),
        ],
    );
    let (mut rollups, mut names) = (Rollups::new(), Names::default());
    rollups.add(&mut names, &spans, false);
    let found = rollups.finish();
    let figures: Vec<_> = found
        .iter()
        .map(|(number, at, delta)| {
            let interface = &names.interfaces()[*number as usize];
            (
                interface.service.as_str(),
                interface.name.as_str(),
                at - NOW,
                delta.count,
                delta.errors,
                delta.sum,
            )
        })
        .collect();
    assert_eq!(
        figures,
        [
            ("shop", "GET /", 0, 2, 0, 1_200),
            ("shop", "GET /", MINUTE, 1, 1, 3_000)
        ]
    );
}

#[test]
fn a_sketch_that_lacks_what_is_taken_away_says_so() {
    let delta = Delta {
        count: -1,
        buckets: vec![(3, -1)],
        ..Delta::default()
    };
    assert!(!delta.apply(&mut Sketch::default()));
}
