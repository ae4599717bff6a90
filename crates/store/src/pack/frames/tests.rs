//! Frames come back, by whichever dictionary, and damage shows.

use super::*;
use crate::conformance::build::{Span, content, set, trace};
use crate::pack::train;
use proptest::collection::vec;
use proptest::prelude::*;

fn request(n: u64) -> SpanSet {
    let id = n * 10;
    let spans = (1..5).map(|i| {
        let span = if i == 1 {
            Span::root(id + i)
        } else {
            Span::child(id + i, id + 1)
        };
        let service = ["shop", "bank", "stock"][((n + i) % 3) as usize];
        span.service(service)
            .name(&format!("POST /orders/{{id}}/step{i}"))
            .with("http.request.method", "POST")
            .with(
                "url.path",
                format!("/orders/{}", n.wrapping_mul(7_919)).as_str(),
            )
            .with("server.port", 8_000 + i.cast_signed())
    });
    set(trace(n + 1), &spans.collect::<Vec<_>>())
}

fn trained(seed: u64) -> Vec<u8> {
    let samples: Vec<Vec<u8>> = (seed..seed + 400)
        .map(|n| {
            let mut raw = Vec::new();
            request(n).write_traces(&mut raw);
            raw
        })
        .collect();
    train(&samples, 8 << 10).expect("enough to learn from")
}

/// Two dictionaries, of which the second is current.
fn two() -> (Dictionaries, [u32; 2]) {
    let dictionaries = Dictionaries::plain();
    let ids = [1, 5_000].map(|seed| dictionaries.install(trained(seed)).unwrap());
    assert!(dictionaries.choose(ids[1]));
    (dictionaries, ids)
}

#[test]
fn spans_come_back_by_any_dictionary_and_by_none() {
    let (dictionaries, ids) = two();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(dictionaries.current().unwrap().id(), ids[1]);
    let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
    let choices = [None, dictionaries.get(ids[0]), dictionaries.current()];
    let spans = request(77_777);
    let sizes = choices.each_ref().map(|dictionary| {
        let mut frames = Vec::new();
        packer.pack(dictionary.as_deref(), &spans, &mut frames);
        let mut raw = Vec::new();
        spans.write_traces(&mut raw);
        let unpacked = unpacker.unpack(&dictionaries, &frames).unwrap();
        assert_eq!(unpacked.trace_id, Some(trace(77_778)));
        assert_eq!(unpacked.bytes, raw.len() as u64);
        assert_eq!(content(&unpacked.spans), content(&spans));
        frames.len()
    });
    assert!(
        sizes[1] * 2 < sizes[0] && sizes[2] * 2 < sizes[0],
        "{sizes:?}"
    );
}

#[test]
fn frames_of_several_parts_read_as_one_with_the_best_of_each_span() {
    let (dictionaries, ids) = two();
    let early = set(
        trace(1),
        &[Span::root(1).at(5, 0), Span::child(2, 1).at(5, 9)],
    );
    let late = set(
        trace(1),
        &[Span::root(1).at(5, 70), Span::child(3, 1).at(6, 1)],
    );
    let mut packer = Packer::new();
    let mut frames = Vec::new();
    packer.pack(None, &early, &mut frames);
    packer.pack(dictionaries.get(ids[0]).as_deref(), &late, &mut frames);
    packer.pack_some(
        dictionaries.current().as_deref(),
        &early,
        |index| index == 0,
        &mut frames,
    );
    let unpacked = Unpacker::new().unpack(&dictionaries, &frames).unwrap();
    let mut joined = early;
    joined.absorb(&late);
    assert_eq!(content(&unpacked.spans), content(&joined));
}

#[test]
fn no_frames_are_no_spans() {
    let unpacked = Unpacker::new().unpack(&Dictionaries::plain(), &[]).unwrap();
    assert_eq!((unpacked.trace_id, unpacked.spans.len()), (None, 0));
}

#[test]
fn a_missing_dictionary_is_named() {
    let (dictionaries, ids) = two();
    let mut frames = Vec::new();
    Packer::new().pack(dictionaries.current().as_deref(), &request(1), &mut frames);
    let answer = Unpacker::new().unpack(&Dictionaries::plain(), &frames);
    assert!(matches!(answer, Err(PackError::UnknownDictionary(id)) if id == ids[1]));
}

#[test]
fn only_dictionaries_are_installed_and_the_same_one_twice() {
    let dictionaries = Dictionaries::plain();
    assert!(matches!(
        dictionaries.install(b"no".to_vec()),
        Err(PackError::NoDictionary)
    ));
    assert!(!dictionaries.choose(7));
    let bytes = trained(1);
    let id = dictionaries.install(bytes.clone()).unwrap();
    assert_eq!(dictionaries.install(bytes.clone()).unwrap(), id);
    let mut other = bytes;
    *other.last_mut().unwrap() ^= 1;
    assert!(matches!(dictionaries.install(other), Err(PackError::SameId(same)) if same == id));
    assert_eq!(dictionaries.len(), 1);
}

#[test]
fn too_little_to_learn_from_is_said() {
    assert_eq!(train(&[], 1 << 10), None);
    assert_eq!(train(&[b"a".to_vec()], 1 << 10), None);
}

proptest! {
    #[test]
    fn damage_shows_in_the_check_and_breaks_nothing(n in 0..1_000_u64, place in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let dictionaries = Dictionaries::shipped();
        let mut frames = Vec::new();
        Packer::new().pack(dictionaries.current().as_deref(), &request(n), &mut frames);
        let check = check32(&frames);
        let place = place.index(frames.len());
        frames[place] ^= flip;
        prop_assert_ne!(check32(&frames), check);
        let _ = Unpacker::new().unpack(&dictionaries, &frames);
    }

    #[test]
    fn frames_cut_short_are_refused(n in 0..1_000_u64, place in any::<prop::sample::Index>()) {
        let mut frames = Vec::new();
        Packer::new().pack(None, &request(n), &mut frames);
        let cut = place.index(frames.len() - 1) + 1;
        prop_assert!(Unpacker::new().unpack(&Dictionaries::plain(), &frames[..cut]).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(frames in vec(any::<u8>(), 0..80)) {
        let _ = Unpacker::new().unpack(&Dictionaries::plain(), &frames);
    }
}
