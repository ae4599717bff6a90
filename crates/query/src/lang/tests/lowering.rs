//! What queries ask of the store.

use super::known;
use crate::lang::parse;
use hoplog_store::{HopExpr, HopTest, Range, RequestExpr, RequestTest, TextMatch, ValueMatch};

/// A short way to write a lowered query, so that the table below can be read.
fn short(expr: &RequestExpr) -> String {
    let list = |parts: &[RequestExpr], sign: &str| join(parts.iter().map(short), sign);
    match expr {
        RequestExpr::And(parts) => list(parts, " & "),
        RequestExpr::Or(parts) => list(parts, " | "),
        RequestExpr::Not(inner) => format!("!{}", short(inner)),
        RequestExpr::Hop(hop) => format!("some{{{}}}", short_hop(hop)),
        RequestExpr::Is(test) => match test {
            RequestTest::Trace(id) => format!("trace {id}"),
            RequestTest::Entry(m) => format!("entry {}", short_text(m)),
            RequestTest::Name(m) => format!("op {}", short_text(m)),
            RequestTest::Status(status) => format!("status {status}"),
            RequestTest::Code(m) => format!("code {}", short_text(m)),
            RequestTest::Duration(range) => format!("duration {}", short_range(range)),
            RequestTest::Started(range) => format!("started {}", short_range(range)),
            RequestTest::Ended(range) => format!("ended {}", short_range(range)),
            RequestTest::Hops(range) => format!("hops {}", short_range(range)),
            RequestTest::Spans(range) => format!("spans {}", short_range(range)),
            RequestTest::Errors(range) => format!("errors {}", short_range(range)),
            RequestTest::RootAttribute { keys, value } => {
                format!("root[{}] {}", keys.join(","), short_value(value))
            }
        },
    }
}

fn short_hop(expr: &HopExpr) -> String {
    let list = |parts: &[HopExpr], sign: &str| join(parts.iter().map(short_hop), sign);
    match expr {
        HopExpr::And(parts) => list(parts, " & "),
        HopExpr::Or(parts) => list(parts, " | "),
        HopExpr::Not(inner) => format!("!{}", short_hop(inner)),
        HopExpr::Is(test) => match test {
            HopTest::Service(m) => format!("service {}", short_text(m)),
            HopTest::Name(m) => format!("name {}", short_text(m)),
            HopTest::Kind(kind) => format!("kind {kind}"),
            HopTest::Status(status) => format!("status {status}"),
            HopTest::Duration(range) => format!("duration {}", short_range(range)),
            HopTest::SelfTime(range) => format!("self {}", short_range(range)),
            HopTest::Attribute { keys, value } => {
                format!("[{}] {}", keys.join(","), short_value(value))
            }
            HopTest::Statement(m) => format!("statement {}", short_text(m)),
            HopTest::Exception(m) => format!("exception {}", short_text(m)),
            HopTest::Text(text) => format!("text {text:?}"),
            HopTest::SpanId(id) => format!("span {id}"),
        },
    }
}

fn join(parts: impl Iterator<Item = String>, sign: &str) -> String {
    format!("({})", parts.collect::<Vec<_>>().join(sign))
}

fn short_text(text: &TextMatch) -> String {
    match text {
        TextMatch::Is(text) => format!("={text:?}"),
        TextMatch::Glob(text) => format!("glob {text:?}"),
        TextMatch::Contains(text) => format!("~{text:?}"),
    }
}

fn short_range<T: ToString>(range: &Range<T>) -> String {
    let end = |end: &Option<T>| end.as_ref().map(T::to_string).unwrap_or_default();
    format!("{}..{}", end(&range.least), end(&range.greatest))
}

fn short_value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "there".to_owned(),
        ValueMatch::Text(text) => short_text(text),
        ValueMatch::Number {
            range,
            least_open,
            greatest_open,
        } => {
            let open = |open: &bool| if *open { "°" } else { "" };
            format!(
                "{}{}{}",
                open(least_open),
                short_range(range),
                open(greatest_open)
            )
        }
    }
}

const TABLE: &[(&str, &str)] = &[
    // Rule 1: words about the request.
    (
        "status:error duration:>1s",
        "(status error & duration 1000000001..)",
    ),
    (
        "duration:<1us duration:<=1us",
        "(duration ..999 & duration ..1000)",
    ),
    (
        "duration:500ms..2s errors:>=3",
        "(duration 500000000..2000000000 & errors 3..)",
    ),
    (
        "hops:2.. spans:..9 errors:0",
        "(hops 2.. & spans ..9 & errors 0..0)",
    ),
    ("duration:<0ns", "()"),
    (
        "entry:pay* op:\"GET /*\" op:~GET",
        r#"(entry glob "pay*" & op ="GET /*" & op ~"GET")"#,
    ),
    (
        "status:error,unset status:!=ok",
        "((status error | status unset) & !status ok)",
    ),
    ("code:500", r#"code ="500""#),
    ("code:5xx", r#"code glob "5??""#),
    ("code:UNAVAILABLE", r#"(code ="UNAVAILABLE" | code ="14")"#),
    ("code:14", r#"(code ="14" | code ="UNAVAILABLE")"#),
    (
        "code:>=500",
        "root[http.response.status_code,http.status_code] 500..",
    ),
    (
        "code:>0",
        "root[rpc.response.status_code,rpc.status_code,rpc.grpc.status_code] °0..",
    ),
    ("code:!=200,201", r#"!(code ="200" | code ="201")"#),
    (
        "method:GET",
        r#"root[http.request.method,http.method,rpc.method] ="GET""#,
    ),
    (
        "route:!=/a",
        r#"(root[http.route] there & !root[http.route] ="/a")"#,
    ),
    // Rule 2: words about a hop hold of one same hop.
    (
        "service:a status:error kind:client",
        r#"(status error & some{(service ="a" & kind client)})"#,
    ),
    (
        "service:a (kind:server OR kind:consumer)",
        r#"some{(service ="a" & (kind server | kind consumer))}"#,
    ),
    (
        "service:a OR service:b",
        r#"some{(service ="a" | service ="b")}"#,
    ),
    ("-service:a", r#"!some{service ="a"}"#),
    (
        "service:b -service:a",
        r#"(!some{service ="a"} & some{service ="b"})"#,
    ),
    (
        "-(status:ok service:a)",
        r#"!(status ok & some{service ="a"})"#,
    ),
    (
        "service:a -{service:b}",
        r#"(!some{service ="b"} & some{service ="a"})"#,
    ),
    (
        "service:a (status:error OR kind:client)",
        r#"((status error & some{service ="a"}) | some{(service ="a" & kind client)})"#,
    ),
    ("service:!=a", r#"some{!service ="a"}"#),
    // Rule 3: braces are another hop.
    (
        "service:checkout {service:bank duration:>400ms status:error}",
        r#"(some{(service ="bank" & duration 400000001.. & status error)} & some{service ="checkout"})"#,
    ),
    ("{-service:x}", r#"some{!service ="x"}"#),
    (
        "{op:pay code:404 route:/x}",
        r#"some{(name ="pay" & [http.response.status_code,http.status_code] ="404" & [http.route] ="/x")}"#,
    ),
    (
        "{code:4xx}",
        "some{[http.response.status_code,http.status_code] 400..499}",
    ),
    (
        "{code:5}",
        r#"some{([rpc.response.status_code,rpc.status_code,rpc.grpc.status_code] ="5" | [rpc.response.status_code,rpc.status_code,rpc.grpc.status_code] ="NOT_FOUND")}"#,
    ),
    (
        "{\"declined\" self:>1ms}",
        r#"some{(text "declined" & self 1000001..)}"#,
    ),
    // Attributes, current and older names.
    ("user.id:*", "some{[user.id] there}"),
    ("-user.id:*", "!some{[user.id] there}"),
    (
        "bank.code:!=KB-04",
        r#"some{([bank.code] there & ![bank.code] ="KB-04")}"#,
    ),
    (
        "bank.code:KB-*,X",
        r#"some{([bank.code] glob "KB-*" | [bank.code] ="X")}"#,
    ),
    (
        "http.response.status_code:>=500",
        "some{[http.response.status_code,http.status_code] 500..}",
    ),
    (
        "http.status_code:200..299",
        "some{[http.status_code] 200..299}",
    ),
    ("tenant:1..x", r#"some{[tenant] ="1..x"}"#),
    ("tenant:<1.5", "some{[tenant] ..1.5°}"),
    (
        "db:postgresql sql:~\"from x\"",
        r#"some{([db.system.name,db.system,db.namespace,db.name] ="postgresql" & [db.query.text,db.statement,db.query.summary] ~"from x")}"#,
    ),
    (
        "topic:orders version:2.1",
        r#"some{([messaging.destination.name,messaging.destination] ="orders" & [service.version] ="2.1")}"#,
    ),
    ("exception:*Exceeded", r#"some{exception glob "*Exceeded"}"#),
    // Text stands in any hop.
    (
        "declined card service:a",
        r#"(some{text "declined"} & some{text "card"} & some{service ="a"})"#,
    ),
    ("pay* \"a*\"", r#"(some{text "pay"} & some{text "a*"})"#),
    ("-timeout", r#"!some{text "timeout"}"#),
    (
        "00f067aa0ba902b7",
        r#"some{(span 00f067aa0ba902b7 | text "00f067aa0ba902b7")}"#,
    ),
    (
        "4BF92F3577B34DA6A3CE929D0E0E4736",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    (
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ),
];

#[test]
fn every_query_of_the_table_means_what_it_says() {
    for (text, wanted) in TABLE {
        let parsed = parse(text, &known());
        assert_eq!(parsed.errors, [], "{text}");
        assert_eq!(
            short(&parsed.ast.expect("not empty").lower()),
            *wanted,
            "of {text}"
        );
    }
}

#[test]
fn times_are_of_the_day_and_in_full() {
    // 2026-11-23T12:00:00Z.
    let now = 1_795_435_200_000_000_000;
    let canonical = |text: &str| {
        let reading = crate::lang::read(text, now, &known());
        assert_eq!(reading.errors, []);
        reading.ast.unwrap().canonical()
    };
    assert_eq!(
        canonical("started:10:00..11:30 | ended:2026-11-01T10:00:00.5Z.."),
        "started:2026-11-23T10:00:00Z..2026-11-23T11:30:00Z OR ended:2026-11-01T10:00:00.5Z.."
    );
    assert_eq!(
        canonical("started:2026-11-01T22:00..23:15:30"),
        "started:2026-11-01T22:00:00Z..2026-11-01T23:15:30Z"
    );
    assert_eq!(
        canonical("-ended:<2026-11-01"),
        "-ended:<2026-11-01T00:00:00Z"
    );
    let reading = crate::lang::read("started:10:00..10:01", now, &known());
    let minute = now - 2 * hoplog_model::times::HOUR;
    assert_eq!(
        reading.ast.unwrap().lower(),
        RequestExpr::Is(RequestTest::Started(Range {
            least: Some(minute),
            greatest: Some(minute + hoplog_model::times::MINUTE - 1),
        }))
    );
}
