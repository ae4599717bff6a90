//! The reference's vectors: what a query's canonical form is, or which columns are wrong with it.

use super::{columns, known};
use crate::lang::{apply_all, parse};

/// A query, and its canonical form or `!column+length` of each error.
const VECTORS: [(&str, &str); 53] = [
    ("", ""),
    (
        r#"service:checkout status:error duration:>1s http.route:/orders/{id} "text""#,
        "service:checkout status:error duration:>1s http.route:/orders/{id} text",
    ),
    (
        "{service:checkout http.route:/orders/{id}} {service:bank-adapter duration:>400ms status:error}",
        "{service:checkout http.route:/orders/{id}} {service:bank-adapter duration:>400ms status:error}",
    ),
    ("code:500,502", "code:500,502"),
    ("code:5xx -route:/health*", "code:5xx -route:/health*"),
    ("duration:500ms..2s", "duration:500ms..2s"),
    ("duration:..50ms", "duration:..50ms"),
    ("errors:>=3 hops:2..", "errors:>=3 hops:2.."),
    (
        "status:error OR duration:>1s",
        "status:error OR duration:>1s",
    ),
    (
        "entry:mobile-bff (status:error | code:429)",
        "entry:mobile-bff (status:error OR code:429)",
    ),
    ("NOT service:auth", "-service:auth"),
    ("-(status:ok service:auth)", "-(status:ok service:auth)"),
    ("has:user.id", "user.id:*"),
    ("user.id:* -tenant:*", "user.id:* -tenant:*"),
    (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "trace:4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    ("http://a:8080/x?y=1", "http://a:8080/x?y=1"),
    ("10.0.0.1:8080", r#""10.0.0.1:8080""#),
    (r#""say \"hi\"""#, r#""say \"hi\"""#),
    ("잔액이 부족합니다", "잔액이 부족합니다"),
    (
        r#"exception:"Deadline Exceeded""#,
        r#"exception:"Deadline Exceeded""#,
    ),
    (r#"sql:~"from order_items""#, r#"sql:~"from order_items""#),
    ("service:pay*", "service:pay*"),
    ("route:/f(x)/{a}/{b}", "route:/f(x)/{a}/{b}"),
    (r#"tenant:acme,"b, c""#, r#"tenant:acme,"b, c""#),
    ("bank.code:!=KB-04", "bank.code:!=KB-04"),
    (
        "http.response.status_code:>=500",
        "http.response.status_code:>=500",
    ),
    (
        "kind:consumer topic:order.failed",
        "kind:consumer topic:order.failed",
    ),
    ("duration:>1sec", "!11+3"),
    ("duration:>1", "!11+1"),
    ("duration:fast", "!9+4"),
    ("status:eror", "!7+4"),
    ("statsu:error", "!0+6"),
    ("localhost:8080", "!0+9"),
    ("service:", "!8+1"),
    ("duration:>", "!10+1"),
    ("service:>checkout", "!8+1"),
    ("code:700", "!5+3"),
    ("errors:few", "!7+3"),
    ("(status:error", "!0+1"),
    ("status:error)", "!12+1"),
    ("{service:a", "!0+1"),
    ("{a.b:1 {c.d:2}}", "!7+1"),
    (r#""open"#, "!0+5"),
    ("status:error OR", "!13+2"),
    ("duration:>1s,2s", "!9+1"),
    (
        "started:2026-11-01T10:00..11:00 OR ended:..2026-11-01",
        "started:2026-11-01T10:00..11:00 OR ended:..2026-11-01",
    ),
    ("started:>=10:30", "started:>=10:30"),
    ("started:yesterday..", "!8+9"),
    ("ended:10:00..9:61", "!13+4"),
    ("started:11:00..10:00", "!8+12"),
    ("ended:~10:00", "!6+1"),
    ("{}", "!0+2"),
    (
        "service:payment-gatway duration:>1sec status:eror",
        "!34+3,!45+4",
    ),
];

#[test]
fn every_vector_of_the_reference_holds() {
    let known = known();
    for (query, wanted) in VECTORS {
        let parsed = parse(query, &known);
        let canonical = parsed
            .ast
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let got = if parsed.errors.is_empty() {
            canonical
        } else {
            columns(&parsed.errors)
        };
        assert_eq!(got, wanted, "of {query:?}");
        if parsed.errors.is_empty() {
            let again = parse(wanted, &known);
            assert_eq!(
                (again.ast, again.errors),
                (parsed.ast, vec![]),
                "{wanted:?} is stable"
            );
        }
    }
}

#[test]
fn every_error_of_the_reference_has_a_fix_and_all_together_a_valid_query() {
    let known = known();
    for (query, _) in VECTORS {
        let parsed = parse(query, &known);
        for issue in &parsed.errors {
            assert!(issue.fix.is_some(), "{query:?}: {}", issue.message());
        }
        let fixed = apply_all(query, &known);
        assert!(parsed.errors.is_empty() || fixed.is_some(), "{query:?}");
    }
}
