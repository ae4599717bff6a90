//! What is heard of a statement, and what its fingerprint is.

use super::*;
use crate::conformance::build::{Span, set, trace};
use proptest::prelude::*;

fn of_span(span: Span) -> Option<String> {
    of(set(trace(1), &[span]).get(0).unwrap())
}

#[test]
fn the_summary_is_better_than_the_text_and_that_than_its_old_name() {
    let old = Span::root(1).with("db.statement", "SELECT 1");
    assert_eq!(of_span(old.clone()).as_deref(), Some("SELECT ?"));
    let new = old.with("db.query.text", "SELECT a FROM t -- 7");
    assert_eq!(of_span(new.clone()).as_deref(), Some("SELECT a FROM t"));
    let both = new.with("db.query.summary", " SELECT t1 ");
    assert_eq!(of_span(both.clone()).as_deref(), Some("SELECT t1"));
    let spans = set(trace(1), &[both]);
    assert_eq!(
        text(spans.get(0).unwrap()).as_deref(),
        Some("SELECT a FROM t")
    );
}

#[test]
fn a_span_without_a_statement_has_none() {
    assert_eq!(of_span(Span::root(1)), None);
    for (key, value) in [
        ("db.query.text", ""),
        ("db.query.text", "/* ping */ ;"),
        ("db.query.summary", " "),
        ("db.system.name", "sqlite"),
        ("db.query.tex2", "SELECT 1"),
    ] {
        assert_eq!(
            of_span(Span::root(1).with(key, value)),
            None,
            "{key} {value}"
        );
    }
    assert_eq!(of_span(Span::root(1).with("db.query.text", 7)), None);
}

#[test]
fn literals_and_placeholders_are_folded() {
    for (text, wanted) in [
        ("SELECT 1", "SELECT ?"),
        ("a1 = 1.5e-3 AND t2.b=0xFF", "a1 = ? AND t2.b=?"),
        ("x = .5 OR x = 1_000", "x = ? OR x = ?"),
        (
            "x = -5 AND y = a -5 AND z = a - 5",
            "x = ? AND y = a -? AND z = a - ?",
        ),
        ("BETWEEN -1 AND +2 LIMIT -3", "BETWEEN ? AND ? LIMIT ?"),
        ("f(-1) - -1", "f(?) - ?"),
        ("name = 'O''Brien' AND x", "name = ? AND x"),
        ("name = 'it\\'s' AND x", "name = ? AND x"),
        ("path = 'C:\\' AND x = 'y'", "path = ? AND x = ?"),
        (
            "E'it\\'s' || N'a' || x'1F' || U&'d' || _utf8'b'",
            "? || ? || ? || ? || _utf8?",
        ),
        ("name = 'open AND secret", "name = ?"),
        (
            "name = \"Col 1\" AND `b 2` = 2",
            "name = \"Col 1\" AND `b 2` = ?",
        ),
        ("$$it's$$ || $a$ $$ $a$ || $1", "? || ? || ?"),
        ("v$session, $x, a$1", "v$session, $x, a$1"),
        (
            "a = :name AND b = @p0 AND c = %s AND d = %(id)s",
            "a = ? AND b = ? AND c = ? AND d = ?",
        ),
        (
            "a::text, @@version, a := b, ?1, :2",
            "a::text, @@version, a := b, ?",
        ),
        ("a IS NULL AND b = TRUE", "a IS NULL AND b = TRUE"),
        ("GET user:123:x", "GET user:?:x"),
        (
            r#"{"find": "t", "n": 5, "in": ["a", "b"]}"#,
            r#"{"find": ?, "n": ?, "in": [?]}"#,
        ),
        ("은행 = '응답' AND ü1 = 'é'", "은행 = ? AND ü1 = ?"),
    ] {
        assert_eq!(fingerprint(text), wanted, "{text}");
    }
}

#[test]
fn lists_are_folded() {
    for (text, wanted) in [
        ("a IN (1, 2,3)", "a IN (?)"),
        ("a IN ($1,$2) AND b = $3", "a IN (?) AND b = ?"),
        ("a IN (1)", "a IN (?)"),
        ("a IN (NULL, 'x', TRUE)", "a IN (?)"),
        ("a IN (1::int, 2::int)", "a IN (?::int)"),
        ("(a, b) IN ((1, 2), (3, 4))", "(a, b) IN ((?))"),
        ("ANY(ARRAY[1, 2])", "ANY(ARRAY[?])"),
        (
            "INSERT INTO t (a, b) VALUES (1, 'x')",
            "INSERT INTO t (a, b) VALUES (?)",
        ),
        (
            "INSERT INTO t VALUES (1, 'x'), (2,NULL) , (3, DEFAULT)",
            "INSERT INTO t VALUES (?)",
        ),
        (
            "VALUES (1, now(), 2), (3, now(), 4) ON CONFLICT DO NOTHING",
            "VALUES (?, now(), ?) ON CONFLICT DO NOTHING",
        ),
        ("values (?, ?),(?, ?);", "values (?)"),
        (
            "SELECT a, a, 1 FROM t ORDER BY 1, 2",
            "SELECT a, a, ? FROM t ORDER BY ?, ?",
        ),
        ("UPDATE t SET a = 1, b = 2", "UPDATE t SET a = ?, b = ?"),
        ("f(a, 1) + f(a, 2)", "f(a, ?) + f(a, ?)"),
    ] {
        assert_eq!(fingerprint(text), wanted, "{text}");
    }
}

#[test]
fn comments_and_white_space_are_dropped() {
    for (text, wanted) in [
        ("  SELECT\n\t a ,b\r\nFROM t ; ", "SELECT a, b FROM t"),
        ("SELECT a -- 'not a text\nFROM t", "SELECT a FROM t"),
        ("/* traceparent='00-ab' */ SELECT/**/a", "SELECT a"),
        ("SELECT /* a /* b */ c */ d", "SELECT d"),
        ("SELECT a /* no end", "SELECT a"),
        ("select A From t", "select A From t"),
        ("f( 1 , 2 )", "f(?)"),
        ("a/b - c*d", "a/b - c*d"),
        ("--", ""),
        ("", ""),
    ] {
        assert_eq!(fingerprint(text), wanted, "{text}");
    }
}

#[test]
fn a_long_one_is_cut_and_still_told_apart() {
    let long = |last: &str| format!("SELECT {}{last}", "spalteü, ".repeat(200));
    let [one, other] = ["a", "b"].map(|last| fingerprint(&long(last)));
    assert!(one.len() <= BYTES_MAX && one.contains("… #"), "{one}");
    assert_ne!(one, other);
    assert_eq!(one, fingerprint(&long("a /* c */")));
    let deep = fingerprint(&("(".repeat(100_000) + &")".repeat(100_000)));
    assert!(deep.len() <= BYTES_MAX);
}

proptest! {
    #[test]
    fn any_text_has_a_fingerprint_in_bounds(text in "([-'\"`$()\\[\\],;:@%?/*a1 \\\\\n.ü]|--|/\\*|values|null){0,60}") {
        let name = fingerprint(&text);
        prop_assert!(name.len() <= BYTES_MAX);
        prop_assert!(!name.contains('\n') || text.contains(['"', '`']));
        // What it is made of has no literals left to fold.
        prop_assert!(fingerprint(&name).len() <= name.len() || name.contains(['\'', '"', '`']));
    }

    #[test]
    fn any_bytes_are_heard_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Said::of(&bytes).and_then(|said| said.fingerprint());
    }

    #[test]
    fn values_do_not_matter(number in any::<i64>(), text in "[a-z' ]{0,12}", count in 1..20_usize) {
        let quoted = format!("'{}'", text.replace('\'', "''"));
        let list = vec![quoted.as_str(); count].join(",");
        let statement = format!("SELECT * FROM t WHERE a = {number} AND b = {quoted} AND c IN ({list})");
        prop_assert_eq!(fingerprint(&statement), "SELECT * FROM t WHERE a = ? AND b = ? AND c IN (?)");
    }
}
