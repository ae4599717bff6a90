//! What rules leave out: counted, and nowhere else.

use super::build::{Span, part, trace};
use super::{NOW, books, found, read, search, write};
use crate::{Books, Outcome, Part, RequestExpr, StatsQuery, Store, Written};
use hoplog_model::Flags;

fn left_out(n: u64, outcome: Outcome) -> Part {
    let spans = [Span::root(1), Span::child(2, 1).name("inner").failed("")];
    Part {
        outcome,
        duplicates: 1,
        ..part(trace(n), &spans)
    }
}

async fn counts(store: &dyn Store) -> Vec<(String, u64, u64)> {
    let query = StatsQuery {
        to: 2 * NOW,
        ..StatsQuery::default()
    };
    let rows = store.stats(&query).await.expect("the store can be read");
    rows.into_iter()
        .map(|row| (row.interface.name, row.count, row.errors))
        .collect()
}

async fn assert_no_row(store: &dyn Store, n: u64) {
    assert!(
        store
            .get(&trace(n))
            .await
            .expect("the store can be read")
            .is_none()
    );
    let hits = found(store, &search(RequestExpr::everything())).await;
    assert!(!hits.contains(&trace(n)));
}

/// `Outcome::CountOnly`: roll-ups, no row, a decision, left out in the books.
pub async fn counted_requests_have_roll_ups_and_no_row(store: &dyn Store) {
    let written = write(store, vec![left_out(1, Outcome::CountOnly)]).await;
    assert_eq!(
        written,
        Written {
            left_out: 2,
            duplicate: 1,
            ..Written::default()
        }
    );
    assert_no_row(store, 1).await;
    assert_eq!(
        counts(store).await,
        [("GET /".to_owned(), 1, 0), ("inner".to_owned(), 1, 1)]
    );
    assert_eq!(
        books(store).await,
        Books {
            stored: 0,
            duplicate: 1,
            left_out: 2
        }
    );
    let recovery = store.recovery().await.expect("the store can be read");
    let decision = recovery
        .decisions
        .get(&trace(1))
        .map(|decision| decision.outcome);
    assert_eq!(decision, Some(Outcome::CountOnly));
}

/// `Outcome::Drop`: a decision, left out in the books.
pub async fn dropped_requests_are_only_in_the_books(store: &dyn Store) {
    let written = write(store, vec![left_out(1, Outcome::Drop)]).await;
    assert_eq!(
        written,
        Written {
            left_out: 2,
            duplicate: 1,
            ..Written::default()
        }
    );
    assert_no_row(store, 1).await;
    assert_eq!(counts(store).await, []);
    assert_eq!(
        books(store).await,
        Books {
            stored: 0,
            duplicate: 1,
            left_out: 2
        }
    );
    let recovery = store.recovery().await.expect("the store can be read");
    let decision = recovery
        .decisions
        .get(&trace(1))
        .map(|decision| decision.outcome);
    assert_eq!(decision, Some(Outcome::Drop));
}

/// Each part of a batch follows its own outcome.
pub async fn outcomes_mix_in_one_batch(store: &dyn Store) {
    let outcomes = [
        Outcome::Drop,
        Outcome::Keep,
        Outcome::CountOnly,
        Outcome::Keep,
    ];
    let parts = outcomes
        .iter()
        .zip(1..)
        .map(|(outcome, n)| left_out(n, *outcome));
    let written = write(store, parts.collect()).await;
    let expected = Written {
        stored: 4,
        duplicate: 4,
        left_out: 4,
        merged_rows: 0,
    };
    assert_eq!(written, expected);
    let mut hits = found(store, &search(RequestExpr::everything())).await;
    hits.sort_unstable();
    let mut kept = [trace(2), trace(4)];
    kept.sort_unstable();
    assert_eq!(hits, kept);
    assert_eq!(
        counts(store).await,
        [("GET /".to_owned(), 3, 0), ("inner".to_owned(), 3, 3)]
    );
}

/// A cap that bit leaves a flag and a count on the row, and a term in the books.
pub async fn capped_spans_are_flagged_and_counted(store: &dyn Store) {
    let capped = |capped, spans: &[Span]| Part {
        capped,
        ..part(trace(1), spans)
    };
    write(store, vec![capped(3, &[Span::root(1)])]).await;
    let written = write(store, vec![capped(4, &[Span::child(2, 1)])]).await;
    let expected = Written {
        stored: 1,
        left_out: 4,
        merged_rows: 1,
        ..Written::default()
    };
    assert_eq!(written, expected);
    let row = read(store, trace(1)).await.summary;
    assert_eq!((row.capped_spans, row.span_count), (7, 2));
    assert!(row.flags.contains(Flags::CAPPED), "{:?}", row.flags);
    assert_eq!(
        books(store).await,
        Books {
            stored: 2,
            duplicate: 0,
            left_out: 7
        }
    );
}
