//! No start is left out that a request may have.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Expressions over instants up to 20; `Hop`s stand for what is not known.
fn exprs() -> impl Strategy<Value = RequestExpr> {
    let end = || proptest::option::of(0_u64..20);
    let range = || (end(), end()).prop_map(|(least, greatest)| Range { least, greatest });
    let leaf = prop_oneof![
        range().prop_map(|range| RequestExpr::Is(RequestTest::Started(range))),
        range().prop_map(|range| RequestExpr::Is(RequestTest::Ended(range))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(RequestExpr::And),
            vec(inner.clone(), 0..4).prop_map(RequestExpr::Or),
            inner.prop_map(|expr| RequestExpr::Not(Box::new(expr))),
        ]
    })
}

fn holds(expr: &RequestExpr, start: u64, end: u64) -> bool {
    match expr {
        RequestExpr::And(all) => all.iter().all(|expr| holds(expr, start, end)),
        RequestExpr::Or(any) => any.iter().any(|expr| holds(expr, start, end)),
        RequestExpr::Not(expr) => !holds(expr, start, end),
        RequestExpr::Is(RequestTest::Started(range)) => range.contains(start),
        RequestExpr::Is(RequestTest::Ended(range)) => range.contains(end),
        _ => unreachable!("not made here"),
    }
}

proptest! {
    #[test]
    fn every_request_starts_in_a_range(expr in exprs(), extent in 0_u64..6) {
        let ranges = starts(&expr, extent);
        for pair in ranges.windows(2) {
            prop_assert!(pair[0].end < pair[1].start, "{ranges:?}");
        }
        prop_assert!(ranges.iter().all(|range| !range.is_empty()));
        for start in 0..30_u64 {
            let is_in = ranges.iter().any(|range| range.contains(&start));
            let matching = (0..=extent).any(|extent| holds(&expr, start, start + extent));
            prop_assert!(is_in || !matching, "{start} is missing in {ranges:?}");
        }
        let (from, to) = expr.start_bounds();
        for range in &ranges {
            prop_assert!(from.is_none_or(|from| from <= range.start));
            prop_assert!(to.is_none_or(|to| range.end <= to));
        }
    }
}

fn started(least: u64, greatest: u64) -> RequestExpr {
    RequestExpr::Is(RequestTest::Started(Range {
        least: Some(least),
        greatest: Some(greatest),
    }))
}

#[test]
fn a_union_is_its_ranges() {
    let ended = RequestExpr::Is(RequestTest::Ended(Range {
        least: Some(500),
        greatest: Some(599),
    }));
    let expr = RequestExpr::Or(vec![started(100, 199), ended, started(150, 249)]);
    assert_eq!(starts(&expr, 50), [100..250, 450..600]);
    let joined = starts(&expr, 300);
    assert_eq!((joined.len(), joined[0].clone()), (1, 100..600));
    assert_eq!(expr.start_bounds(), (None, Some(600)));
    assert_eq!(started(5, 7).start_bounds(), (Some(5), Some(8)));
    assert_eq!(RequestExpr::everything().start_bounds(), (None, None));
}

#[test]
fn many_ranges_become_few() {
    let many = (0..100)
        .map(|n| started(n * n * 10, n * n * 10 + 1))
        .collect();
    let ranges = starts(&RequestExpr::Or(many), 0);
    assert_eq!(ranges.len(), RANGES_MAX);
    assert_eq!(ranges.last(), Some(&(98_010..98_012)));
    assert_eq!(ranges[0].start, 0);
}
