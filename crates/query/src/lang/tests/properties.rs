//! What holds of every text.

use super::known;
use crate::lang::{apply_all, caret, chips, extract_time_and_sort, find_id, parse, read};
use proptest::prelude::*;

/// Pieces that mean something to the parser, so that random texts reach every branch of it.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        " ",
        " ",
        " ",
        "(",
        ")",
        "{",
        "}",
        "\"",
        "\\",
        ",",
        "-",
        "|",
        " OR ",
        " AND ",
        "NOT ",
        ":",
        "..",
        "*",
        "?",
        ">",
        ">=",
        "<",
        "!=",
        "~",
        "=",
        "service:",
        "status:error",
        "duration:",
        "1s",
        "5",
        "code:",
        "5xx",
        "has:",
        "user.id",
        "tenant:",
        "http.route:",
        "{id}",
        "trace:",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "http://a",
        "or",
        "self:>",
        "kept:",
        "잔액",
        "\u{a0}",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "last:1h",
        "sort:-start",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => any::<String>()]
}

fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_columns_lie_within(text in texts()) {
        let parsed = parse(&text, &known());
        let chars = text.chars().count();
        for issue in parsed.errors.iter().chain(&parsed.hints) {
            prop_assert!(issue.len >= 1 && issue.at + issue.len <= chars.max(issue.at) + 1);
            prop_assert!(!issue.message().is_empty());
        }
        caret(&text, &parsed.errors);
        find_id(&text);
        let found = extract_time_and_sort(&text, 1_795_431_521_000_000_000);
        prop_assert_eq!(found.text.chars().count(), chars);
        if let Some(ast) = parsed.ast {
            chips(&ast);
            if parsed.errors.is_empty() {
                ast.lower();
            }
        }
    }

    #[test]
    fn the_canonical_form_is_the_same_query(text in texts()) {
        let parsed = parse(&text, &known());
        if !parsed.errors.is_empty() {
            return Ok(());
        }
        let canonical = parsed.ast.as_ref().map(ToString::to_string).unwrap_or_default();
        let again = parse(&canonical, &known());
        prop_assert_eq!(&again.errors, &vec![], "canonical {:?}", canonical);
        prop_assert_eq!(&again.ast, &parsed.ast, "canonical {:?}", canonical);
        prop_assert_eq!(again.ast.map(|ast| ast.to_string()).unwrap_or_default(), canonical);
    }

    #[test]
    fn applying_all_fixes_leaves_no_error(text in texts()) {
        if let Some(fixed) = apply_all(&text, &known()) {
            prop_assert_eq!(read(&fixed, 0, &known()).errors, vec![], "fixed {:?}", fixed);
        }
    }
}
