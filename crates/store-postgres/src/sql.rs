//! Every statement on what is stored, each with the indexes by which it must find what it reads. What else
//! speaks SQL (locks, transactions, the making and dropping of tables) reads none of it.

use crate::partition;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, Type};
use std::borrow::Cow;

/// A statement of fixed text.
#[derive(Debug)]
pub(crate) struct Statement {
    /// What it is called in errors.
    pub(crate) name: &'static str,
    /// The SQL; `X` is the ending of the partition's tables.
    pub(crate) text: &'static str,
    /// The indexes in its plan, by name. None: it reads no table that grows.
    #[cfg_attr(not(test), expect(dead_code, reason = "the plan test reads it"))]
    pub(crate) plan: &'static [&'static str],
}

/// What is said to the database: a statement, of one partition where it needs one. It names the
/// partition's tables, so that no other partition, and no index that all rows of one share, is ever considered.
#[derive(Debug)]
pub(crate) struct Text {
    /// What it is called in errors.
    pub(crate) name: &'static str,
    /// The SQL.
    pub(crate) sql: Cow<'static, str>,
}

impl Statement {
    /// The statement on the tables of the partition that begins then.
    pub(crate) fn of(&self, day: i64) -> Text {
        let name = partition::name_of(day);
        Text {
            name: self.name,
            sql: Cow::Owned(self.text.replace("_X", &format!("_{name}"))),
        }
    }
}

impl From<&Statement> for Text {
    fn from(statement: &Statement) -> Self {
        Self {
            name: statement.name,
            sql: Cow::Borrowed(statement.text),
        }
    }
}

macro_rules! statements {
    ($($const:ident: $name:literal => [$($plan:literal),* $(,)?];)*) => {
        $(pub(crate) const $const: Statement = Statement {
            name: $name,
            text: include_str!(concat!("sql/", $name, ".sql")),
            plan: &[$($plan),*],
        };)*
        #[cfg(test)]
        pub(crate) const ALL: &[&Statement] = &[$(&$const),*];
    };
}

statements! {
    // What a batch and a checkpoint write.
    LOCK_PARTITION: "lock_partition" => ["partitions_pkey"];
    FIND_ROWS: "find_rows" => ["requests_X_pkey"];
    READ_ROWS: "read_rows" => ["requests_X_row_id_idx"];
    DELETE_ROWS: "delete_rows" => ["requests_X_row_id_idx"];
    INSERT_REQUESTS: "insert_requests" => [];
    INSERT_PARTS: "insert_parts" => [];
    INSERT_DECISIONS: "insert_decisions" => [];
    INSERT_SEGMENT: "insert_segment" => [];
    INSERT_RECORDS: "insert_records" => [];
    INSERT_FILTERS: "insert_filters" => [];
    INSERT_INTERFACES: "insert_interfaces" => [];
    INSERT_KEYS: "insert_keys" => [];
    INSERT_UPTO: "insert_upto" => [];
    FIND_UPTO: "find_upto" => ["upto_pkey"];
    INSERT_ROLLUP_LOG: "insert_rollup_log" => [];
    UPDATE_PARTITION: "update_partition" => ["partitions_pkey"];
    READ_ROLLUP_LOG: "read_rollup_log" => ["rollup_log_X_pkey"];
    FIND_MINUTES: "find_minutes" => ["rollup_minute_X_pkey"];
    FIND_HOURS: "find_hours" => ["rollup_hour_X_pkey"];
    PUT_MINUTES: "put_minutes" => [];
    PUT_HOURS: "put_hours" => [];
    DELETE_ROLLUP_LOG: "delete_rollup_log" => ["rollup_log_X_pkey"];
    INSERT_DICTIONARY: "insert_dictionary" => [];
    ADD_COLLECTED: "add_collected" => [];
    WRITE_CHECKPOINT: "write_checkpoint" => [];
    DELETE_UPTO: "delete_upto" => ["upto_pkey"];
    DELETE_DECISIONS: "delete_decisions" => ["decisions_at"];
    // What a start and every answer read.
    READ_PARTITIONS: "read_partitions" => [];
    READ_DICTIONARIES: "read_dictionaries" => ["dictionaries_pkey"];
    READ_COLLECTOR: "read_collector" => ["collectors_pkey"];
    READ_COLLECTORS: "read_collectors" => [];
    READ_UPTO: "read_upto" => ["upto_pkey"];
    READ_DECISIONS: "read_decisions" => ["decisions_at"];
    // What answers read.
    READ_REQUEST: "read_request" => ["requests_X_pkey"];
    READ_PARTS: "read_parts" => ["parts_X_pkey"];
    READ_SEGMENTS_NEWEST: "read_segments_newest" => ["segments_X_max_start_segment_min_start_idx"];
    READ_SEGMENTS_SLOWEST: "read_segments_slowest" => ["segments_X_max_duration_segment_min_start_max_idx"];
    READ_SEGMENTS_SINCE: "read_segments_since" => ["segments_X_pkey"];
    READ_NEWER_SEGMENTS: "read_newer_segments" => ["segments_X_pkey"];
    READ_HEADS: "read_heads" => ["segments_X_pkey"];
    READ_MERGED_HEADS: "read_merged_heads" => ["merged_keys_X_pkey"];
    READ_MERGED: "read_merged" => ["merged_keys_X_pkey", "merged_X_pkey"];
    READ_OUTLINES: "read_outlines" => ["outlines_X_pkey"];
    READ_INTERFACES: "read_interfaces" => ["interfaces_X_pkey"];
    READ_RECORDS: "read_records" => ["records_X_pkey"];
    READ_FILTERS: "read_filters" => ["filters_X_pkey"];
    READ_KEYS: "read_keys" => ["keys_X_pkey"];
    READ_MINUTE_BOUNDS: "read_minute_bounds" => ["rollup_minute_X_pkey"];
    READ_MINUTES: "read_minutes" => ["rollup_minute_X_pkey"];
    READ_HOURS: "read_hours" => ["rollup_hour_X_pkey"];
    READ_MINUTES_OF: "read_minutes_of" => ["rollup_minute_X_pkey"];
    READ_HOURS_OF: "read_hours_of" => ["rollup_hour_X_pkey"];
    // Upkeep and checks.
    INSERT_MERGED_KEYS: "insert_merged_keys" => [];
    INSERT_MERGED: "insert_merged" => [];
    INSERT_OUTLINES: "insert_outlines" => [];
    DELETE_FILTERS: "delete_filters" => ["filters_X_pkey"];
    UPDATE_MERGING: "update_merging" => ["partitions_pkey"];
    CHECK_MERGED_KEYS: "check_merged_keys" => ["merged_keys_X_pkey"];
    CHECK_MERGED: "check_merged" => ["merged_X_pkey"];
    INSERT_PARTITION: "insert_partition" => [];
    DROP_PARTITION: "drop_partition" => ["partitions_pkey"];
    ADD_DROPPED: "add_dropped" => ["dropped_pkey"];
    READ_GOING: "read_going" => [];
    FINISH_PARTITION: "finish_partition" => ["partitions_pkey"];
    SET_THINNED: "set_thinned" => ["partitions_pkey"];
    ADD_RETAINED: "add_retained" => [];
    READ_RETAINED: "read_retained" => [];
    INSERT_PIN: "insert_pin" => [];
    DELETE_PINS: "delete_pins" => ["pins_pkey"];
    FIND_PINS: "find_pins" => ["pins_pkey"];
    READ_PINS: "read_pins" => [];
    READ_PIN_STATE: "read_pin_state" => ["pin_state_pkey"];
    LOCK_PIN_STATE: "lock_pin_state" => ["pin_state_pkey"];
    CHANGE_PIN_STATE: "change_pin_state" => ["pin_state_pkey"];
    FORGET_PARTITION: "forget_partition" => ["partitions_pkey"];
    READ_SIZES: "read_sizes" => [];
    READ_SIZE: "read_size" => [];
    READ_DEAD: "read_dead" => [];
    READ_TOTALS: "read_totals" => ["dropped_pkey"];
    READ_NEWEST_ROWS: "read_newest_rows" => ["requests_X_row_id_idx"];
    READ_LINES: "read_lines" => ["requests_X_row_id_idx"];
    UPDATE_FRAMES: "update_frames" => ["requests_X_row_id_idx"];
    SET_PACKING: "set_packing" => ["partitions_pkey"];
    CHECK_ROWS: "check_rows" => ["requests_X_row_id_idx"];
    CHECK_RECORDS: "check_records" => ["records_X_pkey"];
    CHECK_FILTERS: "check_filters" => ["filters_X_pkey"];
}

/// Values for a statement's `$1`, `$2`, ….
#[derive(Debug, Default)]
pub(crate) struct Args(pub(crate) PgArguments);

impl Args {
    /// No values yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// And this one.
    pub(crate) fn with<'v>(mut self, value: impl Encode<'v, Postgres> + Type<Postgres>) -> Self {
        // Only a type of its own, none of ours, can refuse to be written.
        self.0
            .add(value)
            .expect("numbers, text and bytes can always be bound");
        self
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod volume;
