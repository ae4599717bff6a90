//! The query language: what a person types, its errors, its canonical form, and the search it means.
//!
//! Words outside braces about the request (`status:error`, `duration:>1s`) describe the whole
//! request. Words about a hop (`service:checkout`, `http.route:/orders/{id}`) must all be true of
//! one same hop. Each `{ … }` is another hop, and inside it `duration status op code method route`
//! speak of that hop. `started:` and `ended:` take times, `10:00..11:00` or one end of it: "started in A or ended in
//! B" is `started:A OR ended:B`, and where no `time:` is given they are the time that is searched. Text may stand in any hop. `-x` is "not x": `-service:auth` means that no
//! hop is in `auth`, `{-service:auth}` that some hop is elsewhere.

mod ast;
mod chips;
mod issue;
mod keys;
mod lower;
mod near;
mod params;
mod parse;
mod paste;
mod scan;
mod term;
mod units;

pub use ast::{Ast, Compare, Term, Test, Value};
pub use chips::{Chip, chips};
pub use issue::{Edit, Issue, IssueKind, apply_all, caret};
pub use keys::{Key, Scope, Word};
pub use params::{Extracted, Reading, TimeWords, extract_time_and_sort, read, sort_of};
pub use parse::{Parsed, parse};
pub use paste::{PastedId, find_id};
pub use units::{format_duration, parse_duration};

/// Longest query, in bytes.
pub const MAX_BYTES: usize = 4096;
/// Deepest nesting of brackets.
pub const MAX_DEPTH: usize = 32;
/// Most combinations of alternatives that mix words about the request with words about a hop.
pub const MAX_ALTERNATIVES: usize = 64;

/// What was seen in the data, for suggestions. Empty lists suggest nothing and warn of nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Attribute keys.
    pub keys: Vec<String>,
    /// Services.
    pub services: Vec<String>,
    /// Span names.
    pub operations: Vec<String>,
}

#[cfg(test)]
mod tests;
