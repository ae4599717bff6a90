//! Every text of the pages, in English and Korean.
//!
//! A text is a template of `rich`. Both catalogues are values of one struct, so a
//! key that one of them lacks does not compile; that both have the same placeholders is tested.

mod en;
mod ko;

use crate::format::Zone;
use crate::rich::{self, Arg, Html};
use hoplog_model::UnixNanos;

macro_rules! messages {
    ($($key:ident)*) => {
        /// The texts of one language.
        #[derive(Debug)]
        pub struct Messages { $(pub(crate) $key: &'static str,)* }

        impl Messages {
            /// Every key with its text.
            pub fn entries(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($key), self.$key),)*]
            }
        }
    };
}

messages! {
    lang other_lang other_name skip nav_main home requests services pipeline settings jump keys
    theme_switch fresh fresh_none ago age_s age_m age_h age_d cost months day day_time copy
    apply save see_all as_table failed failed_cap ok unset no_name percent_failed from to
    last_15m last_1h last_6h last_24h last_7d last_other fixed_range range_hint query
    query_example search form add add_failed add_slow remove_part problem_one problem_many
    problem_kept problem_column problem_also problem_use problem_all problem_fix problem_as_text
    problem_cursor form_service form_op form_status form_min form_max form_code form_key
    form_how form_value form_add form_text form_also form_any op_is op_not op_contains
    op_greater op_less op_present all_requests strip_all strip_service strip_label strip_step
    strip_hops col_time col_entry col_size col_duration col_log col_status col_error col_hops
    col_count sort_newest sort_slowest shown_one_page shown_more shown_rest first_page next_page
    freeze search_cost partial_time partial_duration continue_search flag_open flag_open_why
    flag_no_root flag_no_root_why flag_orphans flag_orphans_why flag_capped flag_capped_why
    flag_clamped flag_clamped_why flag_conflict flag_conflict_why flag_late_why error_plain
    empty_range empty_range_near empty_range_far empty_filtered empty_filtered_text
    empty_filtered_one empty_without empty_without_more empty_late empty_late_text empty_end
    empty_end_text empty_unfinished see_pipeline clear_query read_all_of read_and read_or
    read_took_longer read_took_at_least read_took_less read_took_at_most read_took_between
    read_failed read_went_well read_not_failed read_through read_not_through read_came_in
    read_trace read_hop read_had read_not read_is read_is_not read_contains read_order
    read_between read_present read_text word_entry word_op word_method word_route word_code
    word_status word_duration word_started word_ended word_hops word_spans word_errors word_trace word_request word_kept
    word_service word_span word_kind word_exception word_db word_sql word_statement word_topic
    word_peer
    word_self word_version status_none status_well status_some status_bad status_quiet
    status_worst col_service col_rate col_rate_trend col_failed_trend col_p95_trend
    failed_of_service newest_failures slowest_requests none_failed none_at_all failed_requests
    service_about arrivals arrivals_hint outgoing outgoing_hint internal internal_hint
    col_interface tile_rate tile_total tile_failed_of tile_half tile_19 tile_99 no_spans_title
    no_spans_text see_interface span_kind kind_server kind_client kind_producer kind_consumer
    kind_internal latency_over_time latency_hint latency_label latency_label_none sketch_error
    requests_and_failures interface_sentence interface_slowest interface_failed title_request
    status_failed count_services count_spans count_hops count_failed usual usual_close
    what_happened next_steps step_first_error step_same_failures step_slowest
    step_same_interface download download_otlp download_json critical_path critical_path_hint
    critical_path_label critical_path_missing more_services folding fold_auto fold_path
    fold_none fold_all failed_spans previous_error next_error n_failed zoom zoom_out zoom_from
    zoom_to mini_label spans_of_request col_service_op col_timeline key_own key_wait key_path
    key_failed key_event key_gap expand collapse row_label row_failed row_path row_group row_gap
    failed_inside failed_inside_why times_n1 times_n n_spans_inside clock_pill clock_why
    parent_pill parent_arriving parent_unknown rows_before rows_after rows_footer
    parents_received parents_missing selected_span fact_starts fact_lasts fact_own fact_share
    fact_usual fact_times fact_path stack error_from_below attributes resource identity span_id
    parent_id started ended scope trace_state status_message events span_links link_to find_same
    value_cut dropped_attributes and_more pipeline_about books books_hint book_received
    book_stored book_duplicate book_left_out book_rejected book_dead book_lost book_waiting books_balance
    books_off ready not_ready not_ready_why receivers since_start col_receiver col_address
    col_exports col_spans col_bytes col_rejected col_refused not_listening rejected_by_reason
    told_to_retry nothing_rejected nothing_refused reason_other on_the_way open_requests
    open_bytes inbox_bytes inbox_damaged rows_merged newest_span never store store_rows store_bytes
    store_density store_dictionaries store_repacked store_repacked_saved dictionaries_hint dictionary_none
    dictionary_current col_dictionary col_density_trained col_density_now store_dropped partitions no_partitions retention_none
    retention_age retention_outcomes forever store_gone store_gone_age store_gone_outcome
    store_gone_size store_pins pins_lost flag_kept flag_kept_why keep_it keep_off keep_why
    thinned_without thinned_rest thinned_slow thinned_errors
    retention_size col_partition col_share settings_about theme theme_auto
    theme_light theme_dark language language_auto keys_hint keys_on keys_off zone zone_hint
    zone_offset zone_now key_query key_id key_rows key_fold key_next_path key_copy key_views
    key_help key_close start_title start_waiting start_again start_rust start_rust_code
    start_any start_grpc start_curl go_title go_text go_none_title go_none_text go_search
    not_found_title not_found_text request_not_found request_not_found_text bad_request_title
    bad_request_text unavailable_title unavailable_text broken_title broken_text forbidden_title
    forbidden_host forbidden_origin error_detail try_again issue_unclosed_quote
    issue_unclosed_bracket issue_unclosed_hop issue_empty_brackets issue_empty_hop
    issue_nested_hop issue_stray_close issue_unexpected issue_or_left issue_or_right
    issue_not_right issue_too_deep issue_too_long issue_too_many issue_unknown_key
    issue_unknown_key_near issue_unknown_attribute issue_unknown_attribute_near
    issue_unknown_value issue_unknown_value_near issue_small_operator issue_needs_value
    issue_needs_value_after issue_one_value issue_no_order issue_no_contains issue_not_number
    issue_not_duration issue_missing_unit issue_unknown_unit issue_not_count issue_not_code
    issue_not_trace_id issue_not_one_of issue_empty_range issue_request_word issue_misplaced
    issue_not_last issue_not_time issue_not_sort issue_not_yet issue_other find_gave_up
    find_usually find_failed find_failed_bare find_survived find_survived_bare find_waited
    find_worked find_repeated_sql find_repeated find_gap find_went_on find_orphans find_no_root
    find_usual find_largest_slow find_largest find_alone path_no_root path_no_time other_request
    queries queries_about queries_all queries_none_title queries_none_text queries_rest
    col_statement col_time_share col_calls col_per_request query_n1 query_changed query_other
    query_other_why query_examples rule
}

/// A language that pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Lang {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    /// The language of that tag (`en`, `ko`); none for any other.
    pub fn parse(tag: &str) -> Option<Self> {
        match tag {
            "en" => Some(Self::En),
            "ko" => Some(Self::Ko),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that pages are written in. Weights are
    /// not read: browsers send the best first.
    pub fn accepted(header: &str) -> Option<Self> {
        let tags = header
            .split(',')
            .filter_map(|part| part.trim().split([';', '-']).next());
        tags.map(str::to_ascii_lowercase)
            .find_map(|tag| Self::parse(&tag))
    }

    /// Its texts.
    pub fn messages(self) -> &'static Messages {
        match self {
            Self::En => &en::EN,
            Self::Ko => &ko::KO,
        }
    }
}

impl Messages {
    /// A text with arguments, as text.
    pub(crate) fn text(&self, template: &str, args: &[(&str, Arg)]) -> String {
        rich::text(template, args)
    }

    /// A text with arguments, as HTML.
    pub(crate) fn html(&self, template: &str, args: &[(&str, Arg)]) -> Html {
        rich::html(template, args)
    }

    /// `12 s`, `3분`: how long ago, by the largest unit.
    pub(crate) fn age(&self, nanos: u64) -> String {
        let (n, unit) = crate::format::age(nanos);
        let template = match unit {
            's' => self.age_s,
            'm' => self.age_m,
            'h' => self.age_h,
            _ => self.age_d,
        };
        rich::text(template, &[("n", n.into())])
    }

    /// `Nov 23`, `11월 23일`.
    pub(crate) fn day(&self, at: UnixNanos, zone: Zone) -> String {
        let (month, day) = zone.month_day(at);
        let name = self
            .months
            .split(' ')
            .nth(usize::from(month) - 1)
            .unwrap_or("");
        rich::text(
            self.day,
            &[("month", name.into()), ("day", day.to_string().into())],
        )
    }

    /// `Nov 23, 11:01:52.203 UTC+9`.
    pub(crate) fn day_time(&self, at: UnixNanos, zone: Zone) -> String {
        let (month, day) = zone.month_day(at);
        let name = self
            .months
            .split(' ')
            .nth(usize::from(month) - 1)
            .unwrap_or("");
        let time = format!("{}{} {}", zone.clock(at), zone.millis(at), zone.label());
        let args = [
            ("month", name.into()),
            ("day", day.to_string().into()),
            ("time", time.into()),
        ];
        rich::text(self.day_time, &args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn both_catalogues_have_the_same_keys_and_placeholders() {
        let (en, ko) = (Lang::En.messages().entries(), Lang::Ko.messages().entries());
        assert_eq!(en.len(), ko.len());
        for ((key, en), (other, ko)) in en.into_iter().zip(ko) {
            assert_eq!(key, other);
            assert!(
                !en.trim().is_empty() && !ko.trim().is_empty(),
                "{key} is empty"
            );
            let holes = |text| rich::holes(text).into_iter().collect::<BTreeSet<_>>();
            assert_eq!(holes(en), holes(ko), "placeholders of {key}");
            for text in [en, ko] {
                assert_eq!(text.matches("**").count() % 2, 0, "emphasis of {key}");
                assert_eq!(text.matches('`').count() % 2, 0, "code of {key}");
            }
        }
    }

    #[test]
    fn no_catalogue_holds_the_other_language() {
        let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
        // The same in every language, or named in the other on purpose.
        let shared = [
            "lang",
            "other_lang",
            "query_example",
            "percent",
            "store_gone",
            "read_and",
            "read_order",
            "read_had",
            "trace_state",
            "word_trace",
            "word_sql",
            "usual",
            "times_n",
            "row_failed",
            "read_is",
            "read_is_not",
            "read_between",
            "cost",
            "title_request",
            "start_any",
        ];
        for (key, text) in Lang::En.messages().entries() {
            assert!(
                !hangul(text) || key == "other_name",
                "{key} is not English: {text}"
            );
        }
        for (key, text) in Lang::Ko.messages().entries() {
            let named = key == "other_name" || shared.contains(&key);
            assert!(hangul(text) || named, "{key} is not Korean: {text}");
        }
    }

    #[test]
    fn the_browser_is_asked_for_its_language() {
        assert_eq!(Lang::accepted("ko-KR,ko;q=0.9,en-US;q=0.8"), Some(Lang::Ko));
        assert_eq!(Lang::accepted("fr, en;q=0.5"), Some(Lang::En));
        assert_eq!(Lang::accepted("fr"), None);
    }

    #[test]
    fn dates_are_written_as_in_the_language() {
        let at = 1_795_431_521_203_000_042;
        let zone = Zone::default();
        assert_eq!(
            Lang::En.messages().day_time(at, zone),
            "Nov 23, 10:58:41.203 UTC"
        );
        assert_eq!(
            Lang::Ko.messages().day_time(at, zone),
            "11월 23일 10:58:41.203 UTC"
        );
        assert_eq!(Lang::Ko.messages().age(180_000_000_000), "3분");
    }
}
