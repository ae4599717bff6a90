//! `check` finds what is wrong, and says where.

use super::support::{check, clock, fill, fresh, partition, run};
use hoplog_store::conformance::build::trace;
use hoplog_store::{Difference, Maintenance, StoreError, TraceReader};
use hoplog_store_sqlite::SqliteStore;

/// What a check says of a store of 400 requests after these statements.
async fn after(damage: &'static str) -> Vec<Difference> {
    let (dir, store) = fresh().await;
    fill(&store, 1..401).await;
    store.close().await.unwrap();
    run(&partition(dir.path()), damage).await;
    let store = SqliteStore::open_read_only(dir.path(), clock())
        .await
        .unwrap();
    let report = check(&store).await;
    report.differences
}

macro_rules! damages {
    ($($name:ident: $damage:literal => $said:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let differences = after($damage).await;
            let is_said = differences.iter().any(|difference| difference.what.contains($said));
            assert!(is_said, "{differences:?}");
        }
    )*};
}

// Interface 1 is the one that says that statements are counted.
damages! {
    a_changed_column_is_found:
        "UPDATE requests SET span_count = span_count + 1 WHERE row_id = 1024" => "requests row 1024";
    a_changed_frame_is_found:
        "UPDATE requests SET spans = x'28b52ffd' WHERE row_id = 1025" => "requests row 1025 spans";
    a_missing_record_is_found:
        "DELETE FROM records WHERE service = 2" => "records:";
    a_damaged_area_is_found:
        "UPDATE area SET bytes = x'00'" => "area";
    a_missing_filter_is_found:
        "DELETE FROM filters WHERE value_count = 7" => "filters user";
    a_changed_head_is_found:
        "UPDATE segments SET max_start = max_start - 100000" => "heads";
    a_changed_roll_up_is_found:
        "UPDATE rollup_minute SET count = count + 1 WHERE interface = 2" => "rollup_minute";
    a_missing_roll_up_is_found:
        "DELETE FROM rollup_hour WHERE interface = 2" => "rollup_hour";
    wrong_books_are_found:
        "UPDATE books SET stored = stored - 1" => "books stored";
    a_missing_row_is_found:
        "DELETE FROM requests WHERE row_id = 1030" => "row_count";
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_it() {
    let (dir, store) = fresh().await;
    fill(&store, 1..3).await;
    store.close().await.unwrap();
    run(
        &partition(dir.path()),
        "UPDATE requests SET check32 = check32 - 1 WHERE row_id = 1024",
    )
    .await;
    let store = super::support::open(dir.path()).await;
    let found = [store.get(&trace(1)).await, store.get(&trace(2)).await];
    let (whole, damaged): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    assert_eq!((whole.len(), damaged.len()), (1, 1));
    let why = damaged[0].as_ref().unwrap_err();
    let names = |at: &str| at.contains("requests row 1024 spans");
    assert!(
        matches!(why, StoreError::Corrupt { at, .. } if names(at)),
        "{why}"
    );
    assert_eq!(store.health().await.unwrap().rows, 2);
}
