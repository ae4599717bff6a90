//! Sets of spans: the same result in every order, and exact reports of what changed.

use hoplog_model::{SpanId, SpanKind, SpanStatus, TraceId};
use hoplog_otlp::{Absorbed, Group, SpanHead, SpanSet, write};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

const TRACE: [u8; 16] = [5; 16];

/// A span in few words, so that many collide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    id: u8,
    end: u64,
    name: String,
    group: usize,
}

fn word() -> impl Strategy<Value = Word> {
    (1..60_u8, 0..3_u64, "[ab]{0,2}", 0..3_usize).prop_map(|(id, end, name, group)| Word {
        id,
        end,
        name,
        group,
    })
}

fn groups() -> Vec<Arc<Group>> {
    let group = |name: &str| {
        let mut resource = Vec::new();
        write::string_attribute(&mut resource, 1, "service.name", name);
        let scope = name.as_bytes().to_vec();
        let mut scoped = Vec::new();
        write::bytes(&mut scoped, 1, &scope);
        Arc::new(Group::new(
            resource.into(),
            "".into(),
            scoped.into(),
            "v1".into(),
        ))
    };
    ["cart", "pay", ""].map(group).to_vec()
}

fn raw(word: &Word) -> (SpanHead, Vec<u8>) {
    let id = [word.id; 8];
    let mut raw = Vec::new();
    write::bytes(&mut raw, 1, &TRACE);
    write::bytes(&mut raw, 2, &id);
    write::bytes(&mut raw, 5, word.name.as_bytes());
    write::fixed64(&mut raw, 7, 1);
    write::fixed64(&mut raw, 8, word.end);
    // A default, which prost would leave out: what was sent must be kept as it was sent.
    write::uint(&mut raw, 10, 0);
    let head = SpanHead {
        span_id: SpanId::from_bytes(id).unwrap(),
        parent: None,
        kind: SpanKind::Internal,
        status: SpanStatus::Unset,
        start: 1,
        end: word.end,
        flags: 0,
    };
    (head, raw)
}

fn set_of(words: &[Word], groups: &[Arc<Group>]) -> SpanSet {
    let mut set = SpanSet::new();
    for word in words {
        let (head, raw) = raw(word);
        // An equal group elsewhere in memory must count as the same.
        let group = Arc::new(Group::clone(&groups[word.group]));
        set.push(
            if word.id % 2 == 0 {
                &groups[word.group]
            } else {
                &group
            },
            head,
            &raw,
        );
    }
    set
}

type Content = Vec<(SpanId, Vec<u8>, Arc<str>)>;

fn content(set: &SpanSet) -> Content {
    let span = |span: hoplog_otlp::SpanRef<'_>| {
        (
            span.head.span_id,
            span.raw.to_vec(),
            span.group.service.clone(),
        )
    };
    let mut content: Content = set.iter().map(span).collect();
    content.sort();
    content
}

/// Counts per (service, name, end) as a store keeps roll-ups: only from what is reported.
type Counts = BTreeMap<(String, Vec<u8>, u64), i64>;

fn count(counts: &mut Counts, group: &Group, name: &[u8], head: &SpanHead, by: i64) {
    let key = (group.service.to_string(), name.to_vec(), head.end);
    *counts.entry(key.clone()).or_default() += by;
    if counts[&key] == 0 {
        counts.remove(&key);
    }
}

fn apply(counts: &mut Counts, set: &SpanSet, absorbed: &Absorbed) {
    for index in &absorbed.added {
        let span = set.get(*index).unwrap();
        count(counts, span.group, span.view().name_bytes(), span.head, 1);
    }
    for old in &absorbed.replaced {
        let span = set.get(old.index).unwrap();
        count(
            counts,
            &old.group,
            old.span().view().name_bytes(),
            &old.head,
            -1,
        );
        count(counts, span.group, span.view().name_bytes(), span.head, 1);
    }
}

proptest! {
    #[test]
    fn any_order_and_split_leaves_the_same_spans(
        words in vec(word(), 0..80), order in any::<prop::sample::Index>(), part in 1..20_usize,
    ) {
        let groups = groups();
        let mut at_once = set_of(&words, &groups);
        at_once.dedupe();
        let mut turned = words.clone();
        if !turned.is_empty() {
            turned.rotate_left(order.index(words.len()));
            turned.reverse();
        }
        let (mut set, mut counts) = (SpanSet::new(), Counts::new());
        let (mut seen, mut told) = (0, 0);
        for part in turned.chunks(part) {
            let absorbed = set.absorb(&set_of(part, &groups));
            apply(&mut counts, &set, &absorbed);
            seen += part.len();
            told += absorbed.added.len();
            told += (absorbed.duplicates + absorbed.conflicts) as usize;
        }
        prop_assert_eq!(seen, told);
        prop_assert_eq!(content(&set), content(&at_once));
        let mut all = Counts::new();
        for span in set.iter() {
            count(&mut all, span.group, span.view().name_bytes(), span.head, 1);
        }
        prop_assert_eq!(counts, all);
        // Absorbing what is there changes nothing.
        let again = set.absorb(&at_once);
        prop_assert_eq!((again.added.len(), again.conflicts), (0, 0));
        prop_assert_eq!(again.duplicates as usize, set.len());
    }

    #[test]
    fn traces_go_out_and_come_back(words in vec(word(), 0..40), bytes in 1..400_usize) {
        let set = set_of(&words, &groups());
        let mut whole = Vec::new();
        set.write_traces(&mut whole);
        let (trace_id, back) = SpanSet::read_traces(&whole).unwrap();
        prop_assert_eq!(trace_id, set.get(0).map(|_| TraceId::from_bytes(TRACE).unwrap()));
        prop_assert_eq!(content(&back), content(&set));
        prop_assert_eq!(back.groups().len(), set.groups().len());
        let prost = TracesData::decode(&whole[..]).unwrap();
        prop_assert_eq!(prost.resource_spans.len(), set.groups().len());
        let spans = prost.resource_spans.iter().map(|group| group.scope_spans[0].spans.len());
        prop_assert_eq!(spans.sum::<usize>(), set.len());

        let mut pieces = Vec::new();
        let mut end = 0;
        for chunk in set.chunks(bytes) {
            prop_assert_eq!(chunk.start, end);
            end = chunk.end;
            set.write_some(|index| chunk.contains(&index), &mut pieces);
        }
        prop_assert_eq!(end, set.len());
        let (_, back) = SpanSet::read_traces(&pieces).unwrap();
        prop_assert_eq!(content(&back), content(&set));
        prop_assert_eq!(back.groups().len(), set.groups().len(), "equal groups are joined");
    }
}

fn word_of(id: u8, end: u64, name: &str) -> Word {
    Word {
        id,
        end,
        name: name.into(),
        group: 0,
    }
}

#[test]
fn the_later_end_wins_then_the_longer_then_the_greater() {
    let groups = groups();
    let winner = |a: &Word, b: &Word| {
        let mut set = set_of(std::slice::from_ref(a), &groups);
        set.absorb(&set_of(std::slice::from_ref(b), &groups));
        assert_eq!(set.len(), 1);
        set.get(0).unwrap().view().name().into_owned()
    };
    for (loses, wins) in [
        (word_of(1, 1, "long"), word_of(1, 2, "x")),
        (word_of(1, 2, "x"), word_of(1, 2, "xx")),
        (word_of(1, 2, "xa"), word_of(1, 2, "xb")),
    ] {
        assert_eq!(winner(&loses, &wins), wins.name);
        assert_eq!(winner(&wins, &loses), wins.name);
    }
}

#[test]
fn a_report_names_what_was_there_before_the_call() {
    let groups = groups();
    let mut set = set_of(&[word_of(1, 1, "old")], &groups);
    let more = [
        word_of(1, 2, "new"),
        word_of(1, 3, "newer"),
        word_of(2, 1, "x"),
        word_of(2, 2, "y"),
    ];
    let absorbed = set.absorb(&set_of(&more, &groups));
    assert_eq!(
        (absorbed.added, absorbed.duplicates, absorbed.conflicts),
        (vec![1], 0, 3)
    );
    let [replaced] = &absorbed.replaced[..] else {
        panic!("one: {:?}", absorbed.replaced)
    };
    assert_eq!(
        (
            replaced.index,
            replaced.span().view().name_bytes(),
            replaced.head.end
        ),
        (0, &b"old"[..], 1)
    );
    assert_eq!(set.get(0).unwrap().view().name(), "newer");
    assert_eq!(set.get(1).unwrap().view().name(), "y");
}

#[test]
fn what_is_no_request_is_refused() {
    let mut bytes = Vec::new();
    set_of(&[word_of(1, 1, "a")], &groups()).write_traces(&mut bytes);
    assert!(SpanSet::read_traces(&bytes[..bytes.len() - 1]).is_err());
    let mut other = bytes.clone();
    let at = other
        .windows(16)
        .position(|window| window == TRACE)
        .unwrap();
    other[at] ^= 1;
    assert!(
        SpanSet::read_traces(&[bytes.clone(), other].concat()).is_err(),
        "two requests"
    );
    bytes[at..at + 16].fill(0);
    assert!(SpanSet::read_traces(&bytes).is_err(), "no trace id");
}

#[test]
fn memory_is_told_with_groups() {
    let groups = groups();
    let set = set_of(&[word_of(1, 1, "a"), word_of(2, 1, "b")], &groups);
    assert!(SpanSet::new().bytes() == 0 && SpanSet::new().is_empty());
    assert!(set.bytes() >= set.span_bytes() + groups[0].bytes());
    assert_eq!(set.sorted_indices(), [0, 1]);
    assert_eq!(
        set.get(0)
            .unwrap()
            .attribute("service.name")
            .unwrap()
            .text(),
        "cart"
    );
}
