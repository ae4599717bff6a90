//! The flush rules, one by one, and what holds for any order of arrival.

use super::*;
use crate::policy::{Keep, Policy};
use bytes::Bytes;
use hoplog_model::times::{MINUTE, SECOND};
use hoplog_otlp::{Limits, slice, write};
use hoplog_store::Decision;
use proptest::prelude::*;

/// A span of request `trace`, named by its number.
fn span(trace: u8, id: u8, end: u64) -> Vec<u8> {
    let mut span = Vec::new();
    write::bytes(&mut span, 1, &[trace; 16]);
    write::bytes(&mut span, 2, &[id; 8]);
    write::bytes(&mut span, 5, format!("GET /{id}").as_bytes());
    write::fixed64(&mut span, 7, 1);
    write::fixed64(&mut span, 8, end);
    span
}

fn record(spans: &[Vec<u8>]) -> Sliced {
    let mut scope = Vec::new();
    spans
        .iter()
        .for_each(|span| write::bytes(&mut scope, 2, span));
    let mut resource = Vec::new();
    write::bytes(&mut resource, 2, &scope);
    let mut request = Vec::new();
    write::bytes(&mut request, 1, &resource);
    slice(Bytes::from(request), &Limits::default()).unwrap()
}

fn at(offset: u32) -> Position {
    Position { segment: 1, offset }
}

/// A record at an offset, received then.
fn from(offset: u32, received_at: UnixNanos) -> Record {
    Record {
        position: at(offset),
        next: at(offset + 1),
        received_at,
    }
}

fn id(trace: u8) -> TraceId {
    TraceId::from_bytes([trace; 16]).unwrap()
}

fn assembler(config: Config) -> Assembler {
    Assembler::new(config, &Recovery::default())
}

fn ids(flushed: &[Flushed]) -> Vec<TraceId> {
    flushed.iter().map(|one| one.part.trace_id).collect()
}

const FREE: fn(&TraceId) -> bool = |_| false;

#[test]
fn a_request_is_due_when_it_has_been_quiet_for_six_seconds() {
    let mut open = assembler(Config::default());
    open.push(0, from(10, 0), &record(&[span(1, 1, 5)]));
    open.push(4 * SECOND, from(20, 0), &record(&[span(1, 2, 5)]));
    assert!(open.expire(9 * SECOND, 10, FREE).is_empty());
    let due = open.expire(10 * SECOND, 10, FREE);
    assert_eq!(ids(&due), [id(1)]);
    assert_eq!((due[0].first, due[0].part.upto), (at(10), at(20)));
    assert_eq!(due[0].part.spans.len(), 2);
    assert!(open.is_empty());
    assert_eq!((open.bytes(), open.spans()), (0, 0));
}

#[test]
fn a_request_that_never_rests_is_due_after_a_minute() {
    let mut open = assembler(Config::default());
    for second in 0..60 {
        open.push(
            second * SECOND,
            from(10, 0),
            &record(&[span(1, second as u8 + 1, 5)]),
        );
        assert!(open.expire(second * SECOND, 10, FREE).is_empty());
    }
    assert_eq!(open.expire(60 * SECOND, 10, FREE).len(), 1);
}

#[test]
fn memory_takes_the_longest_quiet_first() {
    let mut open = assembler(Config {
        memory_bytes: 1,
        ..Config::default()
    });
    for trace in 1..=3 {
        open.push(
            u64::from(trace),
            from(u32::from(trace), 0),
            &record(&[span(trace, 1, 5)]),
        );
    }
    open.push(9, from(9, 0), &record(&[span(1, 2, 5)]));
    assert!(open.is_over_memory());
    let due = open.expire(9, 2, FREE);
    assert_eq!(ids(&due), [id(2), id(3)]);
    assert_eq!(ids(&open.expire(9, 9, FREE)), [id(1)]);
    assert!(!open.is_over_memory());
}

#[test]
fn a_request_whose_last_part_is_being_written_waits_for_it() {
    let mut open = assembler(Config::default());
    open.push(0, from(1, 0), &record(&[span(1, 1, 5)]));
    assert!(open.expire(MINUTE, 10, |_| true).is_empty());
    assert_eq!(open.expire(MINUTE, 10, FREE).len(), 1);
}

#[test]
fn a_replay_has_to_start_at_the_lowest_open_span() {
    let mut open = assembler(Config::default());
    open.push(0, from(10, 0), &record(&[span(1, 1, 5)]));
    open.push(5 * SECOND, from(20, 0), &record(&[span(2, 1, 5)]));
    assert_eq!(open.low_water(), at(10));
    open.expire(6 * SECOND, 10, FREE);
    assert_eq!(open.low_water(), at(20));
    open.expire(MINUTE, 10, FREE);
    assert!(open.low_water() > at(20), "everything taken is done");
}

#[test]
fn what_the_store_has_from_before_a_crash_is_passed_over() {
    let mut recovery = Recovery::default();
    recovery.upto.insert(id(1), at(20));
    let mut open = Assembler::new(Config::default(), &recovery);
    let both = record(&[span(1, 1, 5), span(2, 1, 5)]);
    let pushed = open.push(0, from(20, 0), &both);
    assert_eq!(
        pushed,
        Pushed {
            taken: 1,
            replayed: 1
        }
    );
    assert_eq!(
        open.push(0, from(21, 0), &both),
        Pushed {
            taken: 2,
            replayed: 0
        }
    );
}

#[test]
fn over_the_cap_spans_are_counted_and_left_out() {
    let mut open = assembler(Config {
        request_spans_max: 2,
        ..Config::default()
    });
    open.push(
        0,
        from(1, 0),
        &record(&[span(1, 1, 5), span(1, 2, 5), span(1, 3, 5)]),
    );
    let due = open.expire(MINUTE, 1, FREE);
    assert_eq!((due[0].part.spans.len(), due[0].part.capped), (2, 1));
}

#[test]
fn late_spans_follow_the_decision() {
    let rule = Policy {
        keep: Keep::Count,
        ..Policy::default()
    };
    let config = Config {
        policy: vec![rule],
        ..Config::default()
    };
    let mut open = assembler(config.clone());
    open.push(0, from(1, 0), &record(&[span(1, 1, 5)]));
    assert_eq!(
        open.expire(MINUTE, 1, FREE)[0].part.outcome,
        Outcome::CountOnly
    );

    // After a restart the store tells what was decided, and it wins over the rules.
    let mut recovery = Recovery::default();
    recovery.decisions.insert(
        id(1),
        Decision {
            outcome: Outcome::Drop,
            at: 0,
        },
    );
    let mut open = Assembler::new(config, &recovery);
    open.push(0, from(2, 0), &record(&[span(1, 2, 5)]));
    assert_eq!(open.expire(MINUTE, 1, FREE)[0].part.outcome, Outcome::Drop);
}

#[test]
fn samples_are_kept_up_to_their_number_a_minute() {
    let rule = Policy {
        keep: Keep::Samples,
        samples_per_minute: 2,
        ..Policy::default()
    };
    let mut open = assembler(Config {
        policy: vec![rule],
        ..Config::default()
    });
    for trace in 1..=4 {
        open.push(0, from(u32::from(trace), 0), &record(&[span(trace, 1, 5)]));
    }
    open.push(0, from(9, MINUTE), &record(&[span(9, 1, 5)]));
    let due = open.expire(MINUTE, 10, FREE);
    let kept = due
        .iter()
        .filter(|one| one.part.outcome == Outcome::Keep)
        .count();
    assert_eq!(kept, 3, "two of the first minute, one of the second");
}

proptest! {
    /// Whatever the order, the splits and the repeats: the flushed parts hold each span once, and
    /// what was counted as duplicate makes up the rest.
    #[test]
    fn no_span_is_lost_and_none_is_twice(
        arrivals in prop::collection::vec(
            prop::collection::vec((1_u8..6, 1_u8..20, 1_u64..4), 1..12), 1..12),
        memory in prop::sample::select(vec![1_usize, 2_000, 1 << 20]),
        pace in 0_u64..4 * SECOND,
    ) {
        let mut open = assembler(Config { memory_bytes: memory, ..Config::default() });
        let mut parts = Vec::new();
        let mut sent = 0;
        for (number, spans) in arrivals.iter().enumerate() {
            let now = number as u64 * pace;
            let spans: Vec<Vec<u8>> =
                spans.iter().map(|(trace, id, end)| span(*trace, *id, *end)).collect();
            sent += spans.len();
            open.push(now, from(number as u32 + 1, now), &record(&spans));
            prop_assert_eq!(open.low_water() <= at(number as u32 + 1) || open.is_empty(), true);
            parts.extend(open.expire(now, 3, FREE));
        }
        parts.extend(open.expire(u64::MAX, usize::MAX, FREE));
        prop_assert!(open.is_empty());
        prop_assert_eq!(open.bytes(), 0);

        let held: usize = parts.iter().map(|one| one.part.spans.len()).sum();
        let again: usize = parts.iter().map(|one| one.part.duplicates as usize).sum();
        prop_assert_eq!(held + again, sent);
        let mut union: FxHashMap<TraceId, SpanSet> = FxHashMap::default();
        for one in &parts {
            union.entry(one.part.trace_id).or_default().absorb(&one.part.spans);
        }
        let all: Vec<Vec<u8>> = arrivals
            .iter().flatten().map(|(trace, id, end)| span(*trace, *id, *end)).collect();
        let mut whole = assembler(Config::default());
        whole.push(0, from(1, 0), &record(&all));
        for one in whole.expire(u64::MAX, usize::MAX, FREE) {
            let built = &union[&one.part.trace_id];
            let sorted = |set: &SpanSet| -> Vec<Vec<u8>> {
                set.sorted_indices().into_iter().map(|i| set.get(i).unwrap().raw.to_vec()).collect()
            };
            prop_assert_eq!(sorted(built), sorted(&one.part.spans));
        }
    }
}
