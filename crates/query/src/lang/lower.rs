//! From [`Ast`] to what the store is asked.
//!
//! In every conjunction the words about a hop are gathered into one condition on one span. Where
//! an OR mixes both sorts of words, each of its branches makes a conjunction of its own.

use super::MAX_ALTERNATIVES;
use super::ast::{Ast, Compare, Term, Test, Value};
use super::keys::{HTTP_CODES, Key, RPC_CODES, Scope, Word, with_older_names};
use super::paste::{span_id, trace_id};
use super::term::number;
use super::units::parse_duration;
use hoplog_store::{HopExpr, HopTest, Range, RequestExpr, RequestTest, TextMatch, ValueMatch};

/// gRPC status names by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Ast {
    /// What the store is asked. A value that [`super::parse`] refuses matches nothing.
    pub fn lower(&self) -> RequestExpr {
        request(self)
    }

    /// Whether lowering would multiply out into more than [`MAX_ALTERNATIVES`] conjunctions.
    pub(super) fn has_too_many_alternatives(&self) -> bool {
        count(self) > MAX_ALTERNATIVES
    }
}

/// What builds conditions, on a request or on a hop.
trait Expr: Sized {
    fn and(parts: Vec<Self>) -> Self;
    fn or(parts: Vec<Self>) -> Self;
    fn not(self) -> Self;

    fn all(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::and(parts)
        }
    }

    fn any(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::or(parts)
        }
    }

    fn nothing() -> Self {
        Self::or(Vec::new())
    }
}

macro_rules! expr {
    ($type:ty) => {
        impl Expr for $type {
            fn and(parts: Vec<Self>) -> Self {
                Self::And(parts)
            }
            fn or(parts: Vec<Self>) -> Self {
                Self::Or(parts)
            }
            fn not(self) -> Self {
                Self::Not(Box::new(self))
            }
        }
    };
}
expr!(RequestExpr);
expr!(HopExpr);

// === the structure ===

/// Whether a part holds words about the hop that its conjunction is about.
fn speaks_of_the_hop(ast: &Ast) -> bool {
    match ast {
        Ast::And(parts) | Ast::Or(parts) => parts.iter().any(speaks_of_the_hop),
        Ast::Term(term) => term.key.scope() == Scope::Hop,
        Ast::Not(_) | Ast::Hop(_) | Ast::Text(_) => false,
    }
}

/// Whether a part holds nothing else.
fn speaks_only_of_the_hop(ast: &Ast) -> bool {
    match ast {
        Ast::And(parts) | Ast::Or(parts) => parts.iter().all(speaks_only_of_the_hop),
        other => speaks_of_the_hop(other),
    }
}

/// A conjunction being gathered: what the one hop must fulfil, and what the request must.
#[derive(Clone, Default)]
struct Conjunction {
    hop: Vec<HopExpr>,
    request: Vec<RequestExpr>,
}

impl Conjunction {
    fn join(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.hop.extend(other.hop.iter().cloned());
        both.request.extend(other.request.iter().cloned());
        both
    }

    fn lower(mut self) -> RequestExpr {
        if !self.hop.is_empty() {
            self.request.push(RequestExpr::Hop(HopExpr::all(self.hop)));
        }
        RequestExpr::all(self.request)
    }
}

fn alternatives(ast: &Ast) -> Vec<Conjunction> {
    let request_only = |expr| {
        vec![Conjunction {
            request: vec![expr],
            ..Conjunction::default()
        }]
    };
    if speaks_only_of_the_hop(ast) {
        return vec![Conjunction {
            hop: vec![hop(ast)],
            ..Conjunction::default()
        }];
    }
    match ast {
        Ast::And(parts) => parts
            .iter()
            .fold(vec![Conjunction::default()], |so_far, part| {
                let branches = alternatives(part);
                let joined = so_far
                    .iter()
                    .flat_map(|left| branches.iter().map(|right| left.join(right)));
                joined.collect()
            }),
        Ast::Or(parts) if speaks_of_the_hop(ast) => parts.iter().flat_map(alternatives).collect(),
        Ast::Or(parts) => request_only(RequestExpr::any(parts.iter().map(request).collect())),
        Ast::Not(inner) => request_only(request(inner).not()),
        Ast::Hop(inner) => request_only(RequestExpr::Hop(hop(inner))),
        Ast::Text(value) => request_only(text(value)),
        Ast::Term(term) => request_only(request_term(term)),
    }
}

/// The most conjunctions that any part of the query multiplies out into.
fn count(ast: &Ast) -> usize {
    fn here(ast: &Ast) -> usize {
        match ast {
            _ if speaks_only_of_the_hop(ast) => 1,
            Ast::And(parts) => parts.iter().map(here).fold(1, usize::saturating_mul),
            Ast::Or(parts) if speaks_of_the_hop(ast) => {
                parts.iter().map(here).fold(0, usize::saturating_add)
            }
            _ => 1,
        }
    }
    let below = match ast {
        Ast::And(parts) | Ast::Or(parts) => parts.iter().map(count).max().unwrap_or(1),
        Ast::Not(inner) => count(inner),
        Ast::Hop(_) | Ast::Term(_) | Ast::Text(_) => 1,
    };
    here(ast).max(below)
}

fn request(ast: &Ast) -> RequestExpr {
    RequestExpr::any(
        alternatives(ast)
            .into_iter()
            .map(Conjunction::lower)
            .collect(),
    )
}

fn hop(ast: &Ast) -> HopExpr {
    match ast {
        Ast::And(parts) => HopExpr::all(parts.iter().map(hop).collect()),
        Ast::Or(parts) => HopExpr::any(parts.iter().map(hop).collect()),
        Ast::Not(inner) => hop(inner).not(),
        Ast::Hop(inner) => hop(inner),
        Ast::Term(term) => hop_term(term),
        Ast::Text(value) => HopExpr::Is(HopTest::Text(value.text.clone())),
    }
}

/// Text in any hop. 16 hex digits may also be a span's id.
fn text(value: &Value) -> RequestExpr {
    let found = HopExpr::Is(HopTest::Text(value.text.clone()));
    let id = span_id(&value.text).map(|id| HopExpr::Is(HopTest::SpanId(id)));
    RequestExpr::Hop(HopExpr::any(id.into_iter().chain([found]).collect()))
}

// === words about the request ===

fn request_term(term: &Term) -> RequestExpr {
    let Key::Word(word) = &term.key else {
        return RequestExpr::Hop(hop_term(term));
    };
    let test = &term.test;
    let is = RequestExpr::Is;
    match word {
        Word::Entry => texts(test, |m| is(RequestTest::Entry(m))),
        Word::Op => texts(test, |m| is(RequestTest::Name(m))),
        Word::Status => each(test, |value| {
            status(value).map_or_else(RequestExpr::nothing, |s| is(RequestTest::Status(s)))
        }),
        Word::Duration => ranges(test, parse_duration, |r| is(RequestTest::Duration(r))),
        Word::Started => times(test, |r| is(RequestTest::Started(r))),
        Word::Ended => times(test, |r| is(RequestTest::Ended(r))),
        Word::Hops => ranges(test, whole, |r| is(RequestTest::Hops(r))),
        Word::Spans => ranges(test, whole, |r| is(RequestTest::Spans(r))),
        Word::Errors => ranges(test, whole, |r| is(RequestTest::Errors(r))),
        Word::Trace => each(test, |value| {
            trace_id(&value.text).map_or_else(RequestExpr::nothing, |id| is(RequestTest::Trace(id)))
        }),
        Word::Code => request_code(test),
        _ => attribute(word.attributes(), test, &|keys, value| {
            is(RequestTest::RootAttribute { keys, value })
        }),
    }
}

fn request_code(test: &Test) -> RequestExpr {
    let code = |m| RequestExpr::Is(RequestTest::Code(m));
    match test {
        Test::Present => code(TextMatch::Glob("*".to_owned())),
        Test::Compare(Compare::Is | Compare::IsNot, _) => {
            each(test, |value| match value.text.strip_suffix("xx") {
                Some(class) => code(TextMatch::Glob(format!("{class}??"))),
                None => RequestExpr::any(
                    spellings(&value.text)
                        .map(TextMatch::Is)
                        .map(code)
                        .collect(),
                ),
            })
        }
        _ => attribute(code_numbers(test), test, &|keys, value| {
            RequestExpr::Is(RequestTest::RootAttribute { keys, value })
        }),
    }
}

// === words about a hop ===

fn hop_term(term: &Term) -> HopExpr {
    let test = &term.test;
    let is = HopExpr::Is;
    let on_attribute = |keys: Vec<String>, value| is(HopTest::Attribute { keys, value });
    let word = match &term.key {
        Key::Attribute(name) => {
            let keys = with_older_names(name);
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            return attribute(&keys, test, &on_attribute);
        }
        Key::Word(word) => *word,
    };
    match word {
        Word::Service => texts(test, |m| is(HopTest::Service(m))),
        Word::Span | Word::Op => texts(test, |m| is(HopTest::Name(m))),
        Word::Exception => texts(test, |m| is(HopTest::Exception(m))),
        Word::Statement => texts(test, |m| is(HopTest::Statement(m))),
        Word::Kind => each(test, |value| {
            value
                .text
                .parse()
                .map_or_else(|()| HopExpr::nothing(), |kind| is(HopTest::Kind(kind)))
        }),
        Word::Status => each(test, |value| {
            status(value).map_or_else(HopExpr::nothing, |status| is(HopTest::Status(status)))
        }),
        Word::Duration => ranges(test, parse_duration, |r| is(HopTest::Duration(r))),
        Word::SelfTime => ranges(test, parse_duration, |r| is(HopTest::SelfTime(r))),
        Word::Code => hop_code(test),
        _ => attribute(word.attributes(), test, &on_attribute),
    }
}

fn hop_code(test: &Test) -> HopExpr {
    let on = |keys: &[&str], value| {
        HopExpr::Is(HopTest::Attribute {
            keys: owned(keys),
            value,
        })
    };
    match test {
        Test::Present => on(&[HTTP_CODES, RPC_CODES].concat(), ValueMatch::Present),
        Test::Compare(Compare::Is | Compare::IsNot, _) => each(test, |value| {
            let text = value.text.as_str();
            if let Some(class) = text.strip_suffix("xx").and_then(number) {
                let range = Range {
                    least: Some(class * 100.0),
                    greatest: Some(class * 100.0 + 99.0),
                };
                return on(
                    HTTP_CODES,
                    ValueMatch::Number {
                        range,
                        least_open: false,
                        greatest_open: false,
                    },
                );
            }
            let keys = if text.len() == 3 && number(text).is_some() {
                HTTP_CODES
            } else {
                RPC_CODES
            };
            let any = spellings(text).map(|s| on(keys, ValueMatch::Text(TextMatch::Is(s))));
            HopExpr::any(any.collect())
        }),
        _ => attribute(code_numbers(test), test, &|keys, value| {
            HopExpr::Is(HopTest::Attribute { keys, value })
        }),
    }
}

/// A status code as written; a gRPC one by its name and by its number.
fn spellings(code: &str) -> impl Iterator<Item = String> {
    let by_name = GRPC
        .iter()
        .position(|name| *name == code)
        .map(|n| n.to_string());
    let by_number = code.parse::<usize>().ok().and_then(|n| GRPC.get(n));
    let other = by_name.or_else(|| by_number.map(|name| (*name).to_owned()));
    std::iter::once(code.to_owned()).chain(other)
}

/// Which codes are compared as numbers: HTTP's, unless a bound can only be gRPC's.
fn code_numbers(test: &Test) -> &'static [&'static str] {
    let small = |text: &str| number(text).is_some_and(|code| code < 100.0);
    let is_grpc = match test {
        Test::Compare(_, values) => values.iter().any(|value| small(&value.text)),
        Test::Between(from, to) => from.iter().chain(to).any(|end| small(end)),
        Test::Present => false,
    };
    if is_grpc { RPC_CODES } else { HTTP_CODES }
}

// === values ===

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn status(value: &Value) -> Option<hoplog_model::SpanStatus> {
    use hoplog_model::SpanStatus::{Error, Ok, Unset};
    [Unset, Ok, Error]
        .into_iter()
        .find(|status| status.as_str() == value.text)
}

fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn text_match(compare: Compare, value: &Value) -> TextMatch {
    let text = value.text.clone();
    match compare {
        Compare::Contains => TextMatch::Contains(text),
        _ if value.has_wildcards() => TextMatch::Glob(text),
        _ => TextMatch::Is(text),
    }
}

/// Any of the values, or none of them. Presence alone is fulfilled by every request and hop.
fn each<E: Expr>(test: &Test, is: impl Fn(&Value) -> E) -> E {
    match test {
        Test::Present => E::all(Vec::new()),
        Test::Compare(Compare::Is, values) => E::any(values.iter().map(is).collect()),
        Test::Compare(Compare::IsNot, values) => E::any(values.iter().map(is).collect()).not(),
        Test::Compare(..) | Test::Between(..) => E::nothing(),
    }
}

fn texts<E: Expr>(test: &Test, is: impl Fn(TextMatch) -> E) -> E {
    match test {
        Test::Present => is(TextMatch::Glob("*".to_owned())),
        Test::Compare(Compare::Contains, values) => E::any(
            values
                .iter()
                .map(|value| is(text_match(Compare::Contains, value)))
                .collect(),
        ),
        _ => each(test, |value| is(text_match(Compare::Is, value))),
    }
}

/// From the first, and up to but without the second.
fn times<E: Expr>(test: &Test, is: impl Fn(Range<u64>) -> E) -> E {
    match test {
        Test::Between(from, to) => {
            let at = |end: &Option<String>| end.as_deref().and_then(hoplog_model::times::parse);
            let greatest = at(to).map(|to| to.saturating_sub(1));
            is(Range {
                least: at(from),
                greatest,
            })
        }
        _ => ranges(test, hoplog_model::times::parse, is),
    }
}

fn ranges<E: Expr>(
    test: &Test,
    read: impl Fn(&str) -> Option<u64>,
    is: impl Fn(Range<u64>) -> E,
) -> E {
    let within = |least, greatest| is(Range { least, greatest });
    let exactly = |value: &Value| {
        read(&value.text).map_or_else(E::nothing, |value| within(Some(value), Some(value)))
    };
    let bound = |values: &[Value]| values.first().and_then(|value| read(&value.text));
    match test {
        Test::Between(from, to) => within(
            from.as_deref().and_then(&read),
            to.as_deref().and_then(&read),
        ),
        Test::Compare(Compare::AtLeast, values) => {
            bound(values).map_or_else(E::nothing, |least| within(Some(least), None))
        }
        Test::Compare(Compare::AtMost, values) => {
            bound(values).map_or_else(E::nothing, |most| within(None, Some(most)))
        }
        Test::Compare(Compare::Greater, values) => bound(values)
            .and_then(|bound| bound.checked_add(1))
            .map_or_else(E::nothing, |least| within(Some(least), None)),
        Test::Compare(Compare::Less, values) => bound(values)
            .and_then(|bound| bound.checked_sub(1))
            .map_or_else(E::nothing, |most| within(None, Some(most))),
        _ => each(test, exactly),
    }
}

/// A test of an attribute. "Is not" wants the attribute to be there, with another value.
fn attribute<E: Expr>(keys: &[&str], test: &Test, is: &dyn Fn(Vec<String>, ValueMatch) -> E) -> E {
    let on = |value| is(owned(keys), value);
    let within = |least: Option<f64>, greatest: Option<f64>, open: (bool, bool)| {
        let range = Range { least, greatest };
        on(ValueMatch::Number {
            range,
            least_open: open.0,
            greatest_open: open.1,
        })
    };
    let text = |compare, value: &Value| on(ValueMatch::Text(text_match(compare, value)));
    let any = |compare, values: &[Value]| {
        E::any(values.iter().map(|value| text(compare, value)).collect())
    };
    let bound = |values: &[Value]| values.first().and_then(|value| number(&value.text));
    match test {
        Test::Present => on(ValueMatch::Present),
        Test::Between(from, to) => {
            let end = |end: &Option<String>| end.as_deref().and_then(number);
            within(end(from), end(to), (false, false))
        }
        Test::Compare(compare @ (Compare::Is | Compare::Contains), values) => any(*compare, values),
        Test::Compare(Compare::IsNot, values) => E::and(vec![
            on(ValueMatch::Present),
            any(Compare::Is, values).not(),
        ]),
        Test::Compare(order, values) => match (bound(values), order) {
            (None, _) => E::nothing(),
            (least, Compare::AtLeast) => within(least, None, (false, false)),
            (least, Compare::Greater) => within(least, None, (true, false)),
            (most, Compare::AtMost) => within(None, most, (false, false)),
            (most, _) => within(None, most, (false, true)),
        },
    }
}
