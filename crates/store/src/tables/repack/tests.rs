//! Whatever is packed anew says what it said.

use super::*;
use crate::conformance::build::{Span, content, set, trace};
use crate::pack::train;
use hoplog_otlp::SpanSet;
use proptest::collection::vec;
use proptest::prelude::*;

fn request(n: u64, odd: &str) -> SpanSet {
    let spans = (1..6).map(|i| {
        let span = if i == 1 {
            Span::root(n * 10 + i)
        } else {
            Span::child(n * 10 + i, n * 10 + 1)
        };
        span.service(["shop", "bank", "stock"][usize::try_from((n + i) % 3).unwrap()])
            .name(&format!("a step of many words, the {i} one"))
            .with("a.key.of.some.length", format!("value {}", n % 11).as_str())
            .with("odd", odd)
    });
    set(trace(n + 1), &spans.collect::<Vec<_>>())
}

/// The dictionary that ships, and one trained on such requests, which is in use.
fn dictionaries() -> (Dictionaries, u32) {
    let samples = (0..400).map(|n| {
        let mut raw = Vec::new();
        request(n, "").write_traces(&mut raw);
        raw
    });
    let samples: Vec<Vec<u8>> = samples.collect();
    let dictionaries = Dictionaries::shipped();
    let shipped = dictionaries.current().unwrap().id();
    let trained = train(&samples, 16 << 10).unwrap();
    let trained = dictionaries.install(trained).unwrap();
    assert!(dictionaries.choose(trained));
    (dictionaries, shipped)
}

fn line(n: i64, spans: &SpanSet, dictionary: Option<&Dictionary>) -> Line {
    let mut frames = Vec::new();
    Packer::new().pack(dictionary, spans, &mut frames);
    Line {
        row: RowId(n),
        check: check32(&frames),
        frames,
    }
}

fn run(dictionaries: &Dictionaries, lines: &[Line]) -> Vec<Smaller> {
    repack(
        dictionaries,
        &dictionaries.current().unwrap(),
        lines.to_vec(),
    )
}

#[test]
fn rows_of_the_dictionary_in_use_and_damaged_ones_stay() {
    let (dictionaries, shipped) = dictionaries();
    let old = dictionaries.get(shipped);
    let current = dictionaries.current();
    let mut lines: Vec<Line> = (0..100)
        .map(|n| {
            let dictionary = if n % 2 == 0 { &old } else { &current };
            line(n, &request(n.unsigned_abs(), ""), dictionary.as_deref())
        })
        .collect();
    lines[4].check ^= 1;
    lines[6].frames.truncate(9);
    lines[6].check = check32(&lines[6].frames);
    let rows: Vec<i64> = run(&dictionaries, &lines)
        .iter()
        .map(|new| new.row.0)
        .collect();
    let expected: Vec<i64> = (0..100)
        .filter(|n| n % 2 == 0 && ![4, 6].contains(n))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn a_segment_that_gains_little_stays() {
    let (dictionaries, shipped) = dictionaries();
    let old = dictionaries.get(shipped);
    let noise = |n: u64| {
        let hash = |i: u64| {
            format!(
                "{:016x}",
                (n * 1_000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        };
        (0..400).map(hash).collect::<String>()
    };
    let lines: Vec<Line> = (0..40)
        .map(|n| {
            line(
                n,
                &request(n.unsigned_abs(), &noise(n.unsigned_abs())),
                old.as_deref(),
            )
        })
        .collect();
    assert_eq!(run(&dictionaries, &lines), []);
}

#[test]
fn figures_follow() {
    let (dictionaries, shipped) = dictionaries();
    let old = dictionaries.get(shipped);
    let lines: Vec<Line> = (0..3)
        .map(|n| line(n, &request(n.unsigned_abs(), ""), old.as_deref()))
        .collect();
    let mut packing = Packing {
        rows: [(shipped, 3)].into(),
        ..Packing::default()
    };
    let current = dictionaries.current().unwrap().id();
    (packing.dictionary, packing.segment) = (current, 1);
    let smaller = run(&dictionaries, &lines);
    let after = repacked(packing, &smaller);
    assert_eq!(after.rows, [(current, 3)].into());
    let bytes = |lines: &mut dyn Iterator<Item = usize>| lines.sum::<usize>() as u64;
    let saved = bytes(&mut lines.iter().map(|line| line.frames.len()))
        - bytes(&mut smaller.iter().map(|new| new.frames.len()));
    assert_eq!((after.repacked, after.saved), (3, saved));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_say_the_same(rows in vec((0_u64..1_000, "\\PC{0,12}", 0_usize..3), 1..60)) {
        let (dictionaries, shipped) = dictionaries();
        let (old, current) = (dictionaries.get(shipped), dictionaries.current());
        let choices = [None, old.as_deref(), current.as_deref()];
        let sets: Vec<SpanSet> = rows.iter().map(|(n, odd, _)| request(*n, odd)).collect();
        let lines: Vec<Line> = (0..)
            .zip(sets.iter().zip(&rows))
            .map(|(place, (set, (.., choice)))| line(place, set, choices[*choice]))
            .collect();
        let mut unpacker = Unpacker::new();
        for smaller in run(&dictionaries, &lines) {
            let place = usize::try_from(smaller.row.0).unwrap();
            prop_assert_eq!(check32(&smaller.frames), smaller.check);
            prop_assert!(smaller.frames.len() < lines[place].frames.len());
            let unpacked = unpacker.unpack(&dictionaries, &smaller.frames).unwrap();
            prop_assert_eq!(unpacked.trace_id, Some(trace(rows[place].0 + 1)));
            prop_assert_eq!(content(&unpacked.spans), content(&sets[place]));
        }
    }
}
