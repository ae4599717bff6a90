//! When a dictionary is good enough.

use super::*;
use crate::conformance::build::{Span, set, trace};
use hoplog_model::{Flags, RowId};

/// Rows of one kind of traffic, packed with the dictionary in use.
fn rows(dictionaries: &Dictionaries, kind: &str, count: u64) -> Vec<PackedRow> {
    let row = |n: u64| {
        let spans: Vec<Span> = (1..5)
            .map(|i| {
                Span::root(n * 10 + i)
                    .service(&format!("{kind} {}", (n + i) % 5))
                    .name(&format!("{kind} of a kind {i}"))
                    .with(&format!("{kind}.number"), n.cast_signed())
                    .with(
                        &format!("{kind}.what"),
                        format!("{kind} {}", n % 9).as_str(),
                    )
            })
            .collect();
        let mut frames = Vec::new();
        let spans = set(trace(n + 1), &spans);
        Packer::new().pack(dictionaries.current().as_deref(), &spans, &mut frames);
        PackedRow {
            row: RowId(n.cast_signed()),
            trace_id: trace(n + 1),
            started_at: 0,
            flags: Flags::default(),
            capped_spans: 0,
            frames,
        }
    };
    (0..count).map(row).collect()
}

fn choose(dictionaries: &Dictionaries, learned: &Learned, (trained, density): (Dictionary, f64)) {
    let id = dictionaries.install(trained.bytes().to_vec()).unwrap();
    learned.note(id, 5, Some(density));
    assert!(dictionaries.choose(id));
}

#[test]
fn a_dictionary_is_trained_again_when_it_packs_less() {
    let (dictionaries, learned) = (Dictionaries::shipped(), Learned::default());
    let orders = rows(&dictionaries, "order", 600);
    let first = learn(&dictionaries, &learned, &orders).unwrap().unwrap();
    choose(&dictionaries, &learned, first);
    // As good as it was, on rows of the same kind that it has not seen.
    assert!(learn(&dictionaries, &learned, &orders).unwrap().is_none());
    let later = rows(&dictionaries, "order", 900).split_off(600);
    assert!(learn(&dictionaries, &learned, &later).unwrap().is_none());
    // Then other services come.
    let parcels = rows(&dictionaries, "parcel", 600);
    let second = learn(&dictionaries, &learned, &parcels).unwrap().unwrap();
    let known = learned.health(&dictionaries, &BTreeMap::new());
    let old = known.iter().find(|line| line.is_current).unwrap();
    assert!(old.density_now < old.density_trained, "{known:?}");
    choose(&dictionaries, &learned, second);
    assert!(learn(&dictionaries, &learned, &parcels).unwrap().is_none());
}

#[test]
fn what_cannot_be_packed_better_is_tried_once() {
    let (dictionaries, learned) = (Dictionaries::shipped(), Learned::default());
    // Too few to learn anything from.
    let few = rows(&dictionaries, "order", 3);
    assert!(learn(&dictionaries, &learned, &few).unwrap().is_none());
    let id = dictionaries.current().unwrap().id();
    let settled = learned.lock()[&id].settled;
    assert!(learned.is_good(id, settled.expect("it was measured")));
}
