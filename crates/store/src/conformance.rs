//! What every store must do, as tests: fixed cases, and generated operations compared with
//! [`MemoryStore`](crate::memory::MemoryStore).
//!
//! A case is `pub async fn name(store: &dyn Store)` in one of the modules here, and a line in
//! [`conformance!`](crate::conformance!), which a store's tests call once. A case gets an empty store
//! that keeps [`KEEP`], on a clock that stands at [`NOW`].

pub mod build;
pub mod figures;
pub mod generated;
pub mod merging;
pub mod paging;
pub mod policies;
pub mod retention;
pub mod searching;
pub mod upgrade;
pub mod upkeep;
pub mod volume;
pub mod writing;

use crate::{
    Books, Bounds, Cursor, Page, Part, RequestExpr, Search, Sort, Store, StoreError, StoredRequest,
    TraceReader, WriteBatch, Written,
};
use hoplog_model::times::DAY;
use hoplog_model::{Clock, ManualClock, Summary, TraceId, UnixNanos};
use std::sync::Arc;

/// The time on a case's clock: noon, UTC.
pub const NOW: UnixNanos = 1_795_435_200_000_000_000;

/// How long a store under test keeps a day after its end, in nanoseconds.
pub const KEEP: u64 = 7 * DAY;

/// A clock that stands at [`NOW`].
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(NOW))
}

/// Writes the parts as one batch.
///
/// # Panics
/// If the store does not take it.
pub async fn write(store: &dyn Store, parts: Vec<Part>) -> Written {
    let parts = parts.into_iter().map(Arc::new).collect();
    store
        .write(WriteBatch { parts })
        .await
        .expect("the store takes the batch")
}

/// Reads a request that must be there.
///
/// # Panics
/// If it is not.
pub async fn read(store: &dyn Store, trace_id: TraceId) -> StoredRequest {
    let found = store.get(&trace_id).await.expect("the store can be read");
    found.expect("the request is in the store")
}

/// A search for everything that matches, newest first, 1,000 to the page.
pub fn search(expr: RequestExpr) -> Search {
    Search {
        expr,
        from: 0,
        to: UnixNanos::MAX,
        sort: Sort::Newest,
        limit: 1_000,
        after: None,
        bounds: Bounds::default(),
    }
}

/// Every page of a search, put together. Each page is checked: not more than asked for, in order, and
/// never without progress.
///
/// # Panics
/// If a page is not as it must be, or the store cannot be read.
pub async fn all_pages(store: &dyn TraceReader, search: &Search) -> Vec<Summary> {
    pages(store, search)
        .await
        .into_iter()
        .flat_map(|page| page.hits)
        .collect()
}

/// As [`all_pages`], page by page.
///
/// # Panics
/// As [`all_pages`].
pub async fn pages(store: &dyn TraceReader, search: &Search) -> Vec<Page> {
    let mut asked = search.clone();
    let mut pages = Vec::new();
    loop {
        let page = store
            .search(&asked)
            .await
            .expect("the store can be searched");
        check_page(&asked, &page);
        let next = page.next;
        pages.push(page);
        if next.is_none() {
            return pages;
        }
        asked.after = next;
    }
}

fn check_page(search: &Search, page: &Page) {
    assert!(page.hits.len() <= search.limit, "more hits than asked for");
    let place = |hit: &Summary| (search.sort.key(hit), hit.trace_id);
    let order = |cursor: Cursor| (cursor.key, cursor.trace_id);
    for pair in page.hits.windows(2) {
        assert!(place(&pair[0]) > place(&pair[1]), "out of order: {pair:?}");
    }
    if let (Some(first), Some(after)) = (page.hits.first(), search.after) {
        assert!(
            place(first) < order(after),
            "a hit from before the cursor: {first:?}"
        );
    }
    if let (Some(next), Some(after)) = (page.next, search.after) {
        assert!(order(next) < order(after), "no progress: {next:?}");
    }
    if let (Some(next), Some(last)) = (page.next, page.hits.last()) {
        assert!(
            order(next) <= place(last),
            "the next page would repeat {last:?}"
        );
    }
    if !page.complete {
        assert!(page.next.is_some(), "incomplete, and no way to go on");
        assert!(
            page.searched_until.is_some(),
            "incomplete, and does not say how far it got"
        );
    }
}

/// Trace ids of all hits, in order.
///
/// # Panics
/// As [`all_pages`].
pub async fn found(store: &dyn Store, search: &Search) -> Vec<TraceId> {
    all_pages(store, search)
        .await
        .into_iter()
        .map(|hit| hit.trace_id)
        .collect()
}

/// The totals.
///
/// # Panics
/// If the store cannot be read.
pub async fn books(store: &dyn Store) -> Books {
    store.books().await.expect("the store can be read")
}

/// That the call was refused as senseless.
///
/// # Panics
/// If it was not.
pub fn assert_invalid<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Invalid(_))),
        "not refused: {result:?}"
    );
}

/// Makes a test of every case of the suite.
///
/// Takes the path of `async fn(Arc<dyn hoplog_model::Clock>) -> (guard, store)`, which makes an empty
/// store that keeps [`conformance::KEEP`](crate::conformance::KEEP) without bound in size; the guard is
/// dropped after the test. The caller needs `tokio` with `rt` and `macros`.
#[macro_export]
macro_rules! conformance {
    ($fresh:path) => {
        $crate::conformance! { @cases $fresh;
            figures::books_add_up_over_everything_written
            figures::interfaces_are_listed_by_name
            figures::keys_in_use_are_listed
            figures::stats_add_up_by_interface_and_step
            figures::stats_of_statements_are_apart
            figures::stats_count_a_request_in_parts_once
            figures::stats_are_of_whole_minutes
            figures::stats_follow_a_span_that_gave_way
            figures::a_step_that_is_no_whole_minute_is_refused
            merging::merging_changes_no_answer
            paging::pages_neither_repeat_nor_skip
            paging::new_requests_do_not_disturb_the_pages_after_a_cursor
            paging::slowest_first_is_by_duration
            paging::from_and_to_bound_the_start
            paging::a_merged_row_is_found_once_and_at_its_new_place
            paging::a_spent_budget_is_said_and_can_be_gone_on_from
            paging::a_limit_out_of_range_is_refused
            paging::windows_of_starts_and_ends_are_a_union
            policies::counted_requests_have_roll_ups_and_no_row
            policies::dropped_requests_are_only_in_the_books
            policies::outcomes_mix_in_one_batch
            policies::capped_spans_are_flagged_and_counted
            searching::everything_matches_the_empty_expression
            searching::services_are_found
            searching::span_names_are_found
            searching::kinds_are_found
            searching::span_statuses_are_found
            searching::span_durations_are_found
            searching::own_times_are_found
            searching::attribute_texts_are_found
            searching::attribute_numbers_are_found
            searching::resource_attributes_are_found
            searching::exceptions_are_found
            searching::texts_are_found_wherever_they_stand
            searching::span_ids_are_found
            searching::tests_in_braces_are_of_one_span
            searching::not_some_span_is_not_some_span_not
            searching::request_words_are_of_the_whole_request
            searching::codes_are_found
            searching::counts_of_a_request_are_found
            searching::root_attributes_are_found
            searching::alternatives_are_found
            searching::a_value_that_is_nowhere_is_not_found
            upkeep::retention_drops_old_days_and_keeps_the_books
            upkeep::recovery_knows_what_lies_beyond_the_checkpoint
            upkeep::decisions_are_remembered_for_an_hour
            upkeep::a_check_of_a_good_store_finds_nothing
            upkeep::a_clock_that_jumps_loses_nothing
            upkeep::times_at_the_ends_of_time_are_rows
            upkeep::health_counts_the_rows
            upkeep::training_changes_no_answer
            upkeep::packing_anew_changes_no_answer
            writing::a_request_is_read_as_soon_as_it_is_written
            writing::an_unknown_request_is_not_found
            writing::an_empty_batch_changes_nothing
            writing::a_full_batch_is_taken
            writing::parts_in_any_order_give_the_row_of_all_at_once
            writing::a_part_sent_again_changes_nothing
            writing::of_two_spans_with_one_id_the_later_end_stays
            writing::a_request_without_root_says_so_until_it_comes
            writing::a_far_off_start_is_filed_by_the_time_of_receipt
            writing::a_later_part_finds_its_row_over_midnight
            writing::a_time_ordered_id_changes_nothing
            writing::a_row_may_be_large
            writing::stored_tells_which_requests_have_a_row
        }

        #[test]
        fn generated_operations_answer_as_the_oracle_does() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            $crate::conformance::generated::run(|plan| {
                runtime.block_on(async {
                    let (_guard, store) = $fresh($crate::conformance::clock()).await;
                    $crate::conformance::generated::compare(&store, plan).await
                })
            });
        }
    };
    (@cases $fresh:path; $($module:ident :: $case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let (_guard, store) = $fresh($crate::conformance::clock()).await;
            $crate::conformance::$module::$case(&store).await;
        }
    )*};
}

#[cfg(test)]
mod tests {
    const MACRO: &str = include_str!("conformance.rs");
    const MODULES: [(&str, &str); 7] = [
        ("figures", include_str!("conformance/figures.rs")),
        ("merging", include_str!("conformance/merging.rs")),
        ("paging", include_str!("conformance/paging.rs")),
        ("policies", include_str!("conformance/policies.rs")),
        ("searching", include_str!("conformance/searching.rs")),
        ("upkeep", include_str!("conformance/upkeep.rs")),
        ("writing", include_str!("conformance/writing.rs")),
    ];

    #[test]
    fn every_case_is_in_the_macro() {
        for (module, source) in MODULES {
            for line in source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
            {
                let (case, _) = line.split_once('(').unwrap();
                assert!(
                    MACRO.contains(&format!("{module}::{case}\n")),
                    "{module}::{case}"
                );
            }
        }
    }
}
