//! `hoplog search`, `hoplog get` and `hoplog keep`: questions to a running hoplog over its HTTP API.

use crate::cli::{GetArgs, KeepArgs, SearchArgs};
use anyhow::{Context, Result, bail};
use hoplog_model::{Clock, SystemClock};
use hoplog_query::lang::extract_time_and_sort;
use reqwest::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Prints a page of requests, one a line.
pub(crate) fn search(args: &SearchArgs) -> Result<ExitCode> {
    let limit = args.limit.to_string();
    let query = args.query.join(" ");
    let sort = if args.slowest { "slowest" } else { "newest" };
    let parameters = [("q", query.as_str()), ("limit", &limit), ("sort", sort)];
    let answer = ask(&args.server.server, "/api/v1/requests", &parameters)?;
    let requests = answer["requests"].as_array();
    for request in requests.into_iter().flatten() {
        if args.json {
            println!("{request}");
        } else {
            println!("{}", line(request));
        }
    }
    if answer["complete"] == false {
        let until = answer["searched_until"].as_str().unwrap_or_default();
        eprintln!("the search stopped at its budget; looked at everything since {until}");
    } else if requests.is_none_or(Vec::is_empty) {
        eprintln!("{}", nothing(&query, &answer));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said if nothing was found: whoever named no time may not know that there is one.
fn nothing(query: &str, answer: &Value) -> String {
    let (from, to) = (&answer["from"], &answer["to"]);
    let window = [from, to].map(|at| at.as_str().unwrap_or_default());
    let window = window.join(" to ");
    if extract_time_and_sort(query, SystemClock.now())
        .time
        .is_some()
    {
        format!("no request matches from {window}")
    } else {
        format!("no request matches in the last hour ({window}); last:24h looks further back")
    }
}

fn line(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let error = request["first_error"]
        .as_object()
        .map_or_else(String::new, |error| {
            let part = |key: &str| {
                error
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            format!(
                "  {}: {} {}",
                part("service"),
                part("type"),
                part("message")
            )
        });
    format!(
        "{}  {}  {:>10}  {:<5}  {} {}  {} spans{}",
        text("trace_id"),
        text("started_at"),
        duration(request["duration_ns"].as_u64().unwrap_or_default()),
        text("status"),
        text("service"),
        text("interface"),
        request["span_count"],
        error.trim_end(),
    )
}

/// Three significant digits and one unit.
fn duration(nanos: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let nanos = nanos as f64;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {unit}")
}

/// Prints one request: its spans as a tree, or as OTLP/JSON.
pub(crate) fn get(args: &GetArgs) -> Result<ExitCode> {
    let path = format!("/api/v1/requests/{}", args.trace_id);
    let spans = ask(&args.server.server, &format!("{path}/otlp"), &[])?;
    if args.otlp {
        println!("{spans}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", line(&ask(&args.server.server, &path, &[])?));
    print_tree(&spans);
    Ok(ExitCode::SUCCESS)
}

/// Keeps one request whatever its age, or no longer.
pub(crate) fn keep(args: &KeepArgs) -> Result<ExitCode> {
    let path = format!("/api/v1/requests/{}/keep", args.trace_id);
    let method = if args.off {
        Method::DELETE
    } else {
        Method::PUT
    };
    let answer = send(method, &args.server.server, &path, &[])?;
    let how = match (args.off, answer["changed"] == true) {
        (false, true) => "is kept whatever its age",
        (false, false) => "was kept already",
        (true, true) => "is left to its age again",
        (true, false) => "was not kept",
    };
    println!("{} {how}", args.trace_id);
    Ok(ExitCode::SUCCESS)
}

struct Span<'a> {
    service: &'a str,
    span: &'a Value,
}

impl Span<'_> {
    fn text(&self, key: &str) -> &str {
        self.span[key].as_str().unwrap_or_default()
    }

    fn nanos(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or_default()
    }
}

fn print_tree(traces: &Value) {
    let mut spans = Vec::new();
    for resource in traces["resourceSpans"].as_array().into_iter().flatten() {
        let attributes = resource["resource"]["attributes"].as_array();
        let named = attributes
            .into_iter()
            .flatten()
            .find(|one| one["key"] == "service.name");
        let service = named
            .and_then(|one| one["value"]["stringValue"].as_str())
            .unwrap_or("?");
        for scope in resource["scopeSpans"].as_array().into_iter().flatten() {
            let found = scope["spans"].as_array().into_iter().flatten();
            spans.extend(found.map(|span| Span { service, span }));
        }
    }
    spans.sort_by_key(|span| span.nanos("startTimeUnixNano"));
    let is_known = |id: &str| spans.iter().any(|span| span.text("spanId") == id);
    // Depth first with a stack of our own: a request may be as deep as it has spans.
    let roots = spans
        .iter()
        .rev()
        .filter(|span| !is_known(span.text("parentSpanId")));
    let mut stack: Vec<(usize, &Span<'_>)> = roots.map(|span| (0, span)).collect();
    while let Some((depth, span)) = stack.pop() {
        let took = span
            .nanos("endTimeUnixNano")
            .saturating_sub(span.nanos("startTimeUnixNano"));
        let failed = if span.span["status"]["code"] == 2 {
            "  FAILED"
        } else {
            ""
        };
        let indent = depth * 2;
        println!(
            "{:indent$}{} {}  {}{failed}",
            "",
            span.service,
            span.text("name"),
            duration(took)
        );
        let children = spans
            .iter()
            .rev()
            .filter(|child| child.text("parentSpanId") == span.text("spanId"));
        stack.extend(children.map(|child| (depth + 1, child)));
    }
}

/// The address with a scheme and without a slash at its end.
fn base(server: &str) -> String {
    let server = server.trim_end_matches('/');
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    }
}

/// The JSON answer of a running hoplog, or its problem as an error.
fn ask(server: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    send(Method::GET, server, path, parameters)
}

/// The same for any method.
fn send(method: Method, server: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    crate::serve::runtime()?.block_on(async {
        let url = format!("{}{path}", base(server));
        let asked = reqwest::Client::new()
            .request(method, &url)
            .query(parameters)
            .send()
            .await;
        let answer = asked.with_context(|| format!("no hoplog answers at {server}"))?;
        let status = answer.status();
        let body: Value = answer
            .json()
            .await
            .with_context(|| format!("the answer of {url}"))?;
        if !status.is_success() {
            let detail = body["detail"]
                .as_str()
                .or(body["title"].as_str())
                .unwrap_or_default();
            bail!("{detail} ({status})");
        }
        Ok(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_needs_no_scheme() {
        assert_eq!(base("127.0.0.1:7717"), "http://127.0.0.1:7717");
        assert_eq!(base("http://localhost:1/"), "http://localhost:1");
        assert_eq!(base("https://hoplog.example"), "https://hoplog.example");
    }

    #[test]
    fn nothing_found_names_the_window() {
        let answer = json!({"requests": [], "from": "A", "to": "B"});
        let said = nothing("service:x", &answer);
        assert!(said.contains("in the last hour (A to B)"), "{said}");
        assert_eq!(
            nothing("service:x last:2h", &answer),
            "no request matches from A to B"
        );
    }

    #[test]
    fn durations_have_three_digits() {
        let shown = [412, 9_400_000, 96_000_000, 1_840_000_000, 12_400_000_000].map(duration);
        assert_eq!(shown, ["412 ns", "9.40 ms", "96.0 ms", "1.84 s", "12.4 s"]);
    }
}
