//! A cursor as clients hold it: opaque, and of one search only.

use super::Window;
use crate::QueryError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hoplog_model::TraceId;
use hoplog_store::{Cursor, Sort};
use twox_hash::XxHash3_64;

const VERSION: u8 = 1;
/// Version, order, key, trace id, window, hash of the question.
const BYTES: usize = 1 + 1 + 8 + 16 + 8 + 8 + 8;

/// A cursor with the search it belongs to. The window is kept in it, so that "the last hour" is
/// the same hour on every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) after: Cursor,
    pub(super) window: Window,
}

fn order(sort: Sort) -> u8 {
    match sort {
        Sort::Newest => 0,
        Sort::Slowest => 1,
    }
}

impl Token {
    /// As text, for the next page of the question `canonical` in that order.
    pub(super) fn write(&self, canonical: &str, sort: Sort) -> String {
        let mut bytes = vec![VERSION, order(sort)];
        bytes.extend(self.after.key.to_be_bytes());
        bytes.extend(self.after.trace_id.as_bytes());
        bytes.extend(self.window.from.to_be_bytes());
        bytes.extend(self.window.to.to_be_bytes());
        bytes.extend(XxHash3_64::oneshot(canonical.as_bytes()).to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Token::write`] wrote for the same question and order.
    pub(super) fn read(text: &str, canonical: &str, sort: Sort) -> Result<Self, QueryError> {
        let wrong = |what: &str| QueryError::invalid("cursor", what);
        let no_cursor =
            || wrong("this is no cursor of hoplog; take next_cursor of an answer as it is");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| no_cursor())?;
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| no_cursor())?;
        if bytes[0] != VERSION {
            return Err(wrong(
                "this cursor was made by another version of hoplog; search again",
            ));
        }
        let number = |at: usize| {
            u64::from_be_bytes(
                bytes[at..at + 8]
                    .try_into()
                    .expect("eight bytes of the array"),
            )
        };
        let trace_id = TraceId::from_slice(&bytes[10..26]).map_err(|_| no_cursor())?;
        if bytes[1] != order(sort) || number(42) != XxHash3_64::oneshot(canonical.as_bytes()) {
            return Err(wrong(
                "this cursor belongs to another query or order; search again without it",
            ));
        }
        let window = Window {
            from: number(26),
            to: number(34),
        };
        Ok(Self {
            after: Cursor {
                key: number(2),
                trace_id,
            },
            window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_for_its_own_search_only() {
        let trace_id = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        let window = Window {
            from: 1,
            to: u64::MAX,
        };
        let token = Token {
            after: Cursor { key: 77, trace_id },
            window,
        };
        let text = token.write("status:error", Sort::Newest);
        assert_eq!(Token::read(&text, "status:error", Sort::Newest), Ok(token));
        for (query, sort) in [("status:error", Sort::Slowest), ("status:ok", Sort::Newest)] {
            let error = Token::read(&text, query, sort).unwrap_err();
            assert!(error.what.contains("another query"), "{error}");
        }
        let other_version = text.replacen('A', "B", 1);
        for broken in ["", "x", "!!!", text.trim_start_matches('A'), &other_version] {
            assert!(
                Token::read(broken, "status:error", Sort::Newest).is_err(),
                "{broken}"
            );
        }
    }
}
