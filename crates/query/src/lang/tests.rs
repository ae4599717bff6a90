//! The language's tests: the reference's vectors, properties, fixes, and what queries mean.

mod lowering;
mod properties;
mod vectors;

use super::*;

pub(super) fn known() -> Known {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Known {
        keys: own(&[
            "bank.code",
            "http.route",
            "http.response.status_code",
            "user.id",
            "tenant",
        ]),
        services: own(&["payment-gateway", "checkout", "bank-adapter"]),
        operations: Vec::new(),
    }
}

fn columns(issues: &[Issue]) -> String {
    let each = issues
        .iter()
        .map(|issue| format!("!{}+{}", issue.at, issue.len));
    each.collect::<Vec<_>>().join(",")
}

fn first_error(text: &str) -> IssueKind {
    parse(text, &known())
        .errors
        .first()
        .map(|issue| issue.kind.clone())
        .expect("an error")
}

#[test]
fn the_caret_line_and_every_message() {
    let text = "service:payment-gatway duration:>1sec status:eror";
    let parsed = parse(text, &known());
    assert_eq!(
        caret(text, &parsed.errors),
        "service:payment-gatway duration:>1sec status:eror\n                                  ^^^        ^^^^"
    );
    let said: Vec<String> = parsed
        .errors
        .iter()
        .chain(&parsed.hints)
        .map(Issue::message)
        .collect();
    assert_eq!(
        said,
        [
            "I do not know the unit “sec”. Units are ns us ms s m h d.",
            "status is ok, error or unset.",
            "No service called “payment-gatway” was seen. Did you mean “payment-gateway”?",
        ]
    );
    let fix = parsed.errors[1].fix.as_deref();
    assert_eq!(
        fix,
        Some("service:payment-gatway duration:>1sec status:error")
    );
    assert_eq!(
        apply_all(text, &known()).as_deref(),
        Some("service:payment-gateway duration:>1s status:error")
    );
}

#[test]
fn every_vector_error_that_can_be_fixed_is() {
    for (text, fixed) in [
        ("duration:>1", Some("duration:>1ms")),
        ("statsu:eror", Some("status:error")),
        ("localhost:8080", Some("\"localhost:8080\"")),
        ("service:", Some("service:*")),
        ("service:>checkout", Some("service:checkout")),
        (
            "({service:a OR (status:ok",
            Some("({service:a OR (status:ok)})"),
        ),
        ("status:error)", Some("status:error")),
        ("\"open", Some("\"open\"")),
        ("\"a\\", Some("\"a\\\\\"")),
        ("status:error OR", Some("status:error ")),
        ("bank.cod:KB or x", Some("bank.code:KB OR x")),
        ("duration:2s..1s", Some("duration:1s..2s")),
        ("duration:\"1 sec\"", Some("duration:1s")),
        ("duration:fast", Some("\"duration:fast\"")),
        ("duration:>", Some("duration:*")),
        ("tenant:a,", Some("tenant:a")),
        ("duration:>1s,2s", Some("duration:>1s")),
        ("{a.b:1 {c.d:2}}", Some("{a.b:1 (c.d:2)}")),
        ("{hops:2 kept:true", Some("{\"hops:2\" \"kept:true\"}")),
        ("has:? x", Some("\"has:?\" x")),
        ("status:error", None),
    ] {
        let known = Known {
            services: Vec::new(),
            ..known()
        };
        assert_eq!(apply_all(text, &known).as_deref(), fixed, "{text}");
    }
}

#[test]
fn limits_and_words_out_of_place_say_so() {
    assert_eq!(
        first_error(&"x".repeat(MAX_BYTES + 1)),
        IssueKind::TooLong { limit: MAX_BYTES }
    );
    assert_eq!(
        first_error(&"(".repeat(100)),
        IssueKind::TooDeep { limit: MAX_DEPTH }
    );
    let nested = format!("{}a{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert_eq!(parse(&nested, &known()).errors, []);
    let mixed = "(status:ok OR kind:client) ".repeat(7);
    assert_eq!(
        first_error(&mixed),
        IssueKind::TooManyAlternatives {
            limit: MAX_ALTERNATIVES
        }
    );
    assert_eq!(
        first_error("kept:true"),
        IssueKind::NotYet {
            key: "kept".to_owned()
        }
    );
    assert_eq!(
        first_error("{hops:2}"),
        IssueKind::RequestWordInHop {
            key: "hops".to_owned()
        }
    );
    assert_eq!(
        first_error("(last:1h)"),
        IssueKind::MisplacedParameter {
            key: "last".to_owned()
        }
    );
    assert_eq!(first_error("trace:12"), IssueKind::NotATraceId);
    assert_eq!(
        first_error("duration:~5"),
        IssueKind::NoContains {
            key: "duration".to_owned()
        }
    );
    assert_eq!(
        first_error("tenant:>acme"),
        IssueKind::NotANumber {
            key: "tenant".to_owned(),
            compare: ">"
        }
    );
    assert_eq!(first_error("OR x"), IssueKind::OrNeedsLeft);
    assert_eq!(first_error("x NOT"), IssueKind::NotNeedsRight);
}

#[test]
fn columns_count_characters() {
    let parsed = parse("잔액이 statsu:error", &known());
    assert_eq!(columns(&parsed.errors), "!4+6");
    assert_eq!(parsed.errors[0].fix.as_deref(), Some("잔액이 status:error"));
}

#[test]
fn chips_are_the_terms_and_what_is_left() {
    let ast = parse("status:error (a OR b) {service:x}", &known())
        .ast
        .unwrap();
    let chips: Vec<_> = chips(&ast)
        .into_iter()
        .map(|chip| (chip.text, chip.without))
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        chips,
        [
            pair("status:error", "(a OR b) {service:x}"),
            pair("a OR b", "status:error {service:x}"),
            pair("{service:x}", "status:error (a OR b)"),
        ]
    );
    let single = super::chips(&parse("status:error", &known()).ast.unwrap());
    assert_eq!(single[0].without, "");
}

#[test]
fn time_and_sort_leave_the_query() {
    use hoplog_model::times;
    let now = times::parse("2026-11-23T12:00:00Z").unwrap();
    let at = |text: &str| times::parse(text);
    let found = extract_time_and_sort("last:15m status:error sort:-duration", now);
    assert_eq!(found.text, "         status:error               ");
    assert_eq!(found.time, Some(TimeWords::Last(15 * times::MINUTE)));
    assert_eq!(found.sort, Some(hoplog_store::Sort::Slowest));
    for (words, from, to) in [
        (
            "time:10:02..11:02:30",
            at("2026-11-23T10:02:00Z"),
            at("2026-11-23T11:02:30Z"),
        ),
        (
            "time:2026-11-22T10:00:00+09:00..",
            at("2026-11-22T01:00:00Z"),
            None,
        ),
        (
            "time:..1795431521203000042",
            None,
            Some(1_795_431_521_203_000_042),
        ),
    ] {
        let found = extract_time_and_sort(words, now);
        assert_eq!(found.time, Some(TimeWords::Between(from, to)), "{words}");
    }
    let kept = extract_time_and_sort("\"last:1h\" (sort:x) {last:1h}", now);
    assert_eq!(
        (kept.text.as_str(), kept.time),
        ("\"last:1h\" (sort:x) {last:1h}", None)
    );
    let wrong = extract_time_and_sort("a last:soon time:25:00.. sort:duration", now);
    let said: Vec<_> = wrong
        .errors
        .iter()
        .map(|issue| (issue.at, issue.fix.clone()))
        .collect();
    assert_eq!(
        said,
        [
            (2, Some("a last:1h time:25:00.. sort:duration".to_owned())),
            (12, Some("a last:soon last:1h sort:duration".to_owned())),
            (
                25,
                Some("a last:soon time:25:00.. sort:-duration".to_owned())
            ),
        ]
    );
}
