//! Every statement this crate issues, each with the plan it must have. Nothing else speaks SQL to a
//! database: [`crate::db::Connection`] takes only a [`Statement`] or a [`Bulk`] of rows.
//!
//! `plan` holds pieces of `EXPLAIN QUERY PLAN` that must occur; a test fills a database and asks.

pub(crate) use hoplog_store::tables::{bits, lower, ordered, upper};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, Type};
use std::sync::LazyLock;

/// A statement of fixed text.
#[derive(Debug)]
pub(crate) struct Statement {
    /// What it is called in errors.
    pub(crate) name: &'static str,
    /// The SQL.
    pub(crate) text: &'static str,
    /// What must occur in its plan on a partition (or the catalogue, if `of_catalogue`).
    #[cfg_attr(not(test), expect(dead_code, reason = "the plan test reads it"))]
    pub(crate) plan: &'static [&'static str],
    /// Whether it is for the catalogue.
    #[cfg_attr(not(test), expect(dead_code, reason = "the plan test reads it"))]
    pub(crate) of_catalogue: bool,
}

macro_rules! statements {
    ($($const:ident: $db:ident $name:literal => [$($plan:literal),* $(,)?];)*) => {
        $(pub(crate) const $const: Statement = Statement {
            name: $name,
            text: include_str!(concat!("sql/", $name, ".sql")),
            plan: &[$($plan),*],
            of_catalogue: statements!(@$db),
        };)*
        #[cfg(test)]
        pub(crate) const ALL: &[&Statement] = &[$(&$const),*];
    };
    (@catalogue) => { true };
    (@partition) => { false };
}

statements! {
    // What a batch writes.
    FIND_ROWS: partition "find_rows" => ["SEARCH r USING COVERING INDEX sqlite_autoindex_requests_1 (trace_id=?)"];
    DELETE_ROWS: partition "delete_rows" => ["SEARCH requests USING INTEGER PRIMARY KEY (rowid=?)"];
    INSERT_DICTIONARY: partition "insert_dictionary" => [];
    INSERT_SEGMENT: partition "insert_segment" => [];
    INSERT_UPTO: partition "insert_upto" => [];
    DELETE_UPTO: partition "delete_upto" => ["SEARCH upto USING INDEX upto_max (upto_max<?)"];
    DELETE_DECISIONS: partition "delete_decisions" => ["SEARCH decisions USING INDEX decisions_at (at<?)"];
    SET_PACKING: partition "set_packing" => ["SEARCH books USING INTEGER PRIMARY KEY (rowid=?)"];
    DELETE_SEGMENT_ROWS: partition "delete_segment_rows" => ["SEARCH requests USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"];
    ADD_BOOKS: partition "add_books" => ["SEARCH books USING INTEGER PRIMARY KEY (rowid=?)"];
    INSERT_META: partition "insert_meta" => [];
    INSERT_ROLLUP_LOG: partition "insert_rollup_log" => [];
    DELETE_ROLLUP_LOG: partition "delete_rollup_log" => ["SEARCH rollup_log USING INTEGER PRIMARY KEY (rowid<?)"];
    FIND_MINUTES: partition "find_minutes" => ["SEARCH r USING PRIMARY KEY (at=? AND interface=?)"];
    FIND_HOURS: partition "find_hours" => ["SEARCH r USING PRIMARY KEY (at=? AND interface=?)"];
    // What a start reads.
    READ_META: partition "read_meta" => ["SEARCH meta USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_BOOKS: partition "read_books" => ["SEARCH books USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_BOUNDS: partition "read_bounds" => [];
    READ_DICTIONARIES: partition "read_dictionaries" => [];
    READ_ROLLUP_LOG: partition "read_rollup_log" => [];
    READ_UPTO: partition "read_upto" => ["SEARCH upto USING INDEX upto_max (upto_max>?)"];
    READ_DECISIONS: partition "read_decisions" => ["SEARCH decisions USING INDEX decisions_at (at>?)"];
    READ_INTERFACES: partition "read_interfaces" => ["SEARCH interfaces USING INTEGER PRIMARY KEY (rowid>?)"];
    READ_KEYS: partition "read_keys" => [];
    // What answers read.
    READ_REQUEST: partition "read_request" => ["SEARCH requests USING INDEX sqlite_autoindex_requests_1 (trace_id=?)"];
    READ_ROWS: partition "read_rows" => ["SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_PARTS: partition "read_parts" => ["SEARCH parts USING INDEX sqlite_autoindex_parts_1 (trace_id=? AND n<?)"];
    READ_NEWEST_ROWS: partition "read_newest_rows" => ["SEARCH requests USING INTEGER PRIMARY KEY (rowid>?)"];
    READ_SEGMENTS_NEWEST: partition "read_segments_newest" => ["CO-ROUTINE (subquery-1)", "SEARCH segments USING COVERING INDEX segments_newest (max_start>? AND max_start<?)", "SCAN (subquery-1)"];
    READ_SEGMENTS_SLOWEST: partition "read_segments_slowest" => ["CO-ROUTINE (subquery-1)", "SEARCH segments USING COVERING INDEX segments_slowest (max_duration<?)", "SCAN (subquery-1)"];
    READ_NEWER_SEGMENTS: partition "read_newer_segments" => ["SEARCH segments USING INTEGER PRIMARY KEY (rowid>?)"];
    READ_HEADS: partition "read_heads" => ["SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_SEGMENTS_SINCE: partition "read_segments_since" => ["SEARCH segments USING INTEGER PRIMARY KEY (rowid>?)"];
    READ_RECORDS: partition "read_records" => ["SEARCH r USING PRIMARY KEY (bin=? AND service=? AND segment=?)"];
    READ_FILTERS: partition "read_filters" => ["SEARCH f USING PRIMARY KEY (bin=? AND key=? AND segment=?)"];
    READ_MERGED_HEADS: partition "read_merged_heads" => ["SEARCH m USING PRIMARY KEY (grp=? AND key=?)"];
    READ_MERGED: partition "read_merged" => [
        "SEARCH k USING PRIMARY KEY (grp=? AND key=?)",
        "SEARCH m USING PRIMARY KEY (grp=? AND key=? AND slice=?)",
    ];
    READ_OUTLINES: partition "read_outlines" => ["SEARCH o USING PRIMARY KEY (grp=? AND interface=?)"];
    READ_AREA: partition "read_area" => ["SEARCH a USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_MINUTE_BOUNDS: partition "read_minute_bounds" => [];
    READ_MINUTES: partition "read_minutes" => ["SEARCH rollup_minute USING PRIMARY KEY (at>? AND at<?)"];
    READ_HOURS: partition "read_hours" => ["SEARCH rollup_hour USING PRIMARY KEY (at>? AND at<?)"];
    READ_MINUTES_OF: partition "read_minutes_of" => [
        "SEARCH rollup_minute USING PRIMARY KEY (at>? AND at<?)",
        "SEARCH r USING PRIMARY KEY (at>? AND at<?)",
        "SEARCH r USING PRIMARY KEY (at=? AND interface=?)",
    ];
    READ_HOURS_OF: partition "read_hours_of" => [
        "SEARCH rollup_hour USING PRIMARY KEY (at>? AND at<?)",
        "SEARCH r USING PRIMARY KEY (at>? AND at<?)",
        "SEARCH r USING PRIMARY KEY (at=? AND interface=?)",
    ];
    // Filters are merged.
    READ_MERGING: partition "read_merging" => ["SEARCH merging USING INTEGER PRIMARY KEY (rowid=?)"];
    UPDATE_MERGING: partition "update_merging" => ["SEARCH merging USING INTEGER PRIMARY KEY (rowid=?)"];
    DELETE_FILTERS: partition "delete_filters" => ["SEARCH filters USING PRIMARY KEY (bin>? AND bin<?)"];
    DELETE_AREA: partition "delete_area" => [
        "SEARCH area USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH a USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    ];
    // What is packed anew, and what a check reads.
    READ_LINES: partition "read_lines" => ["SEARCH requests USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"];
    CHECK_ROWS: partition "check_rows" => ["SEARCH requests USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"];
    CHECK_RECORDS: partition "check_records" => ["SEARCH records USING PRIMARY KEY (bin=?)"];
    CHECK_FILTERS: partition "check_filters" => ["SEARCH filters USING PRIMARY KEY (bin=?)"];
    CHECK_MERGED_KEYS: partition "check_merged_keys" => ["SEARCH merged_keys USING PRIMARY KEY (grp=?)"];
    CHECK_MERGED: partition "check_merged" => ["SEARCH merged USING PRIMARY KEY (grp=?)"];
    // The catalogue.
    READ_PARTITIONS: catalogue "read_partitions" => [];
    INSERT_PARTITION: catalogue "insert_partition" => [];
    DROP_PARTITION: catalogue "drop_partition" => ["SEARCH partitions USING PRIMARY KEY (name=?)"];
    FORGET_PARTITION: catalogue "forget_partition" => ["SEARCH partitions USING PRIMARY KEY (name=?)"];
    READ_CHECKPOINT: catalogue "read_checkpoint" => ["SEARCH checkpoint USING INTEGER PRIMARY KEY (rowid=?)"];
    WRITE_CHECKPOINT: catalogue "write_checkpoint" => ["SEARCH checkpoint USING INTEGER PRIMARY KEY (rowid=?)"];
    READ_DROPPED: catalogue "read_dropped" => ["SEARCH dropped USING INTEGER PRIMARY KEY (rowid=?)"];
    ADD_DROPPED: catalogue "add_dropped" => ["SEARCH dropped USING INTEGER PRIMARY KEY (rowid=?)"];
    INSERT_UNFINISHED: catalogue "insert_unfinished" => [];
    FINISH_PARTITION: catalogue "finish_partition" => ["SEARCH partitions USING PRIMARY KEY (name=?)"];
    READ_THINNED: catalogue "read_thinned" => [];
    PUT_THINNED: catalogue "put_thinned" => [];
    FORGET_THINNED: catalogue "forget_thinned" => ["SEARCH thinned USING PRIMARY KEY (name=?)"];
    READ_RETAINED: catalogue "read_retained" => [];
    ADD_RETAINED: catalogue "add_retained" => [];
    READ_PINS: catalogue "read_pins" => [];
    INSERT_PIN: catalogue "insert_pin" => [];
    DELETE_PIN: catalogue "delete_pin" => ["SEARCH pins USING PRIMARY KEY (trace_id=?)"];
}

/// An `INSERT` of many rows: the same text for a few constant numbers of rows, so that prepared
/// statements are found again.
#[derive(Debug)]
pub(crate) struct Insert {
    /// What it is called in errors.
    pub(crate) name: &'static str,
    head: &'static str,
    columns: usize,
    texts: LazyLock<[String; SIZES.len()]>,
}

/// Rows of one `INSERT`, descending.
const SIZES: [usize; 3] = [128, 16, 1];

macro_rules! inserts {
    ($($const:ident: $columns:literal $head:literal;)*) => {
        $(pub(crate) static $const: Insert = Insert {
            name: $head,
            head: $head,
            columns: $columns,
            texts: LazyLock::new(|| texts(&$const)),
        };)*
        #[cfg(test)]
        pub(crate) static INSERTS: &[&Insert] = &[$(&$const),*];
    };
}

inserts! {
    REQUESTS: 17 "INSERT INTO requests (row_id, trace_id, started_at, duration, extent, interface, status, code, span_count, hop_count, service_count, error_count, flags, capped_spans, part_count, check32, spans)";
    PARTS: 3 "INSERT INTO parts (trace_id, n, frames)";
    RECORDS: 6 "INSERT INTO records (bin, service, segment, start, length, bytes)";
    FILTERS: 9 "INSERT INTO filters (bin, key, segment, value_count, number_min, number_max, start, length, bytes)";
    AREA: 2 "INSERT INTO area (piece, bytes)";
    MERGED_KEYS: 4 "INSERT INTO merged_keys (grp, key, shift, head)";
    OUTLINES: 3 "INSERT INTO outlines (grp, interface, bytes)";
    MERGED: 4 "INSERT INTO merged (grp, key, slice, bytes)";
    INTERFACES: 4 "INSERT INTO interfaces (id, service, kind, name)";
    KEYS: 1 "INSERT INTO keys (key)";
    MINUTES: 7 "INSERT OR REPLACE INTO rollup_minute (at, interface, count, errors, sum, left_out, sketch)";
    HOURS: 7 "INSERT OR REPLACE INTO rollup_hour (at, interface, count, errors, sum, left_out, sketch)";
    DECISIONS: 3 "INSERT OR REPLACE INTO decisions (trace_id, outcome, at)";
}

fn texts(insert: &Insert) -> [String; SIZES.len()] {
    let row = format!("({})", vec!["?"; insert.columns].join(","));
    SIZES.map(|rows| {
        format!(
            "{} VALUES {}",
            insert.head,
            vec![row.as_str(); rows].join(",")
        )
    })
}

/// Rows on their way into one table: fill with [`Bulk::value`], row by row.
#[derive(Debug)]
pub(crate) struct Bulk {
    insert: &'static Insert,
    rows_left: usize,
    chunks: Vec<(usize, Args)>,
    values_left: usize,
}

impl Bulk {
    /// For exactly `rows` rows.
    pub(crate) fn new(insert: &'static Insert, rows: usize) -> Self {
        Self {
            insert,
            rows_left: rows,
            chunks: Vec::new(),
            values_left: 0,
        }
    }

    /// The next value of the row, or the first one of the next row.
    pub(crate) fn value<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) -> &mut Self {
        if self.values_left == 0 {
            let fits = |rows: &&usize| **rows <= self.rows_left;
            let rows = *SIZES
                .iter()
                .find(fits)
                .expect("no more rows than were announced");
            self.rows_left -= rows;
            self.values_left = rows * self.insert.columns;
            self.chunks.push((rows, Args::for_values(self.values_left)));
        }
        let (_, args) = self.chunks.last_mut().expect("one was just pushed");
        args.push(value);
        self.values_left -= 1;
        self
    }

    /// The statements, each with its values and its name for errors.
    pub(crate) fn into_statements(
        self,
    ) -> impl Iterator<Item = (&'static str, &'static str, SqliteArguments)> {
        debug_assert_eq!(
            (self.rows_left, self.values_left),
            (0, 0),
            "{}",
            self.insert.head
        );
        self.chunks.into_iter().map(move |(rows, args)| {
            let size = SIZES
                .iter()
                .position(|size| *size == rows)
                .expect("a size of the list");
            (self.insert.name, self.insert.texts[size].as_str(), args.0)
        })
    }
}

/// `records` and `filters` lie in bins of 2^4 segments.
pub(crate) const BIN_BITS: u32 = 4;

/// Values for a statement's `?1`, `?2`, ….
#[derive(Debug, Default)]
pub(crate) struct Args(pub(crate) SqliteArguments);

impl Args {
    /// No values yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn for_values(values: usize) -> Self {
        let mut args = SqliteArguments::default();
        args.reserve(values, 0);
        Self(args)
    }

    /// And this one.
    pub(crate) fn with<'v>(mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) -> Self {
        self.push(value);
        self
    }

    fn push<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) {
        // Only a type of its own, none of ours, can refuse to be written.
        self.0
            .add(value)
            .expect("numbers, text and bytes can always be bound");
    }
}

/// Numbers as a JSON array, for `json_each`.
pub(crate) fn json(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for number in numbers {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&number.to_string());
    }
    text.push(']');
    text
}

/// Pairs of numbers as a JSON array of arrays.
pub(crate) fn json_pairs(pairs: impl IntoIterator<Item = (i64, i64)>) -> String {
    let pairs = pairs.into_iter().map(|(a, b)| format!("[{a},{b}]"));
    format!("[{}]", pairs.collect::<Vec<_>>().join(","))
}

/// Trace ids as a JSON array of hex strings.
pub(crate) fn json_ids<'a>(ids: impl IntoIterator<Item = &'a hoplog_model::TraceId>) -> String {
    let ids = ids.into_iter().map(|id| format!("\"{id}\""));
    format!("[{}]", ids.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod volume;
