//! The search as a form: another way to write the same query, kept in step with it.

use crate::i18n::Messages;
use crate::params::Params;
use crate::range::{Hidden, hidden};
use crate::url::Href;
use hoplog_query::lang::{self, Ast, Compare, Key, Known, Term, Test, Value, Word};

/// Most rows for attributes.
const ROWS: usize = 9;
/// Most suggestions in a list, so that a page stays small.
const SUGGESTIONS: usize = 100;

/// The fields, filled from the query.
#[derive(Debug, Default)]
pub(super) struct FormView {
    pub(super) open: bool,
    pub(super) hidden: Vec<Hidden>,
    pub(super) service: String,
    pub(super) op: String,
    pub(super) statuses: Vec<Choice>,
    pub(super) min: String,
    pub(super) max: String,
    pub(super) code: String,
    pub(super) attributes: Vec<AttributeRow>,
    pub(super) text: String,
    /// What the fields cannot say.
    pub(super) also: String,
    pub(super) services: Vec<String>,
    pub(super) keys: Vec<String>,
}

/// An option of a list.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) selected: bool,
}

/// A condition on an attribute.
#[derive(Debug)]
pub(super) struct AttributeRow {
    pub(super) n: usize,
    pub(super) key: String,
    pub(super) ops: Vec<Choice>,
    pub(super) value: String,
}

/// Comparisons of an attribute row: the name in the address, and how the language writes it.
const OPS: [(&str, &str); 6] = [
    ("is", ""),
    ("not", "!="),
    ("contains", "~"),
    ("greater", ">"),
    ("less", "<"),
    ("present", "*"),
];

/// How many attribute rows the address asks for.
pub(super) fn rows(params: &Params) -> usize {
    (1..=ROWS)
        .rev()
        .find(|n| params.has(&format!("f.k{n}")))
        .unwrap_or(1)
}

/// The query that a filled form says, and whether one more row is asked for.
pub(super) fn query(params: &Params) -> (String, bool) {
    let mut parts = Vec::new();
    let mut add = |key: &str, sign: &str, value: &str| {
        if !value.is_empty() {
            parts.push(written(key, sign, value));
        }
    };
    add("service", "", params.get("f.service"));
    add("op", "", params.get("f.op"));
    add("status", "", params.get("f.status"));
    add("code", "", params.get("f.code"));
    for n in 1..=ROWS {
        let (key, op) = (
            params.get(&format!("f.k{n}")),
            params.get(&format!("f.o{n}")),
        );
        let sign = OPS
            .iter()
            .find(|(name, _)| *name == op)
            .map_or("", |(_, sign)| sign);
        match (key, sign) {
            ("", _) => {}
            (key, "*") => add(key, "", "*"),
            (key, sign) => add(key, sign, params.get(&format!("f.v{n}"))),
        }
    }
    match (
        super::duration_text(params.get("f.min")),
        super::duration_text(params.get("f.max")),
    ) {
        (min, max) if min.is_empty() && max.is_empty() => {}
        (min, max) => parts.push(format!("duration:{min}..{max}")),
    }
    match params.get("f.text") {
        "" => {}
        text => parts.push(quoted(text)),
    }
    match params.get("q") {
        "" => {}
        also => parts.push(beside_others(also)),
    }
    (parts.join(" "), params.has("add"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `key:value` as typed where the language reads it so, else with the value quoted.
fn written(key: &str, sign: &str, value: &str) -> String {
    let plain = format!("{key}:{sign}{value}");
    let parsed = lang::parse(&plain, &Known::default());
    let one = matches!(parsed.ast, Some(Ast::Term(_))) && parsed.errors.is_empty();
    // A value that is wrong in itself stays as typed: the page then says what is wrong with it.
    if one || !value.contains([' ', '"', '(', ')', '{', '}', ',', '|']) {
        plain
    } else {
        format!("{key}:{sign}{}", quoted(value))
    }
}

/// A typed query in brackets if its ORs would otherwise swallow what stands beside it.
fn beside_others(typed: &str) -> String {
    match lang::parse(typed, &Known::default()).ast {
        Some(Ast::Or(_)) => format!("({typed})"),
        _ => typed.into(),
    }
}

impl FormView {
    /// Filled from the query; what the fields cannot say goes to "also".
    pub(super) fn new(
        ast: Option<&Ast>,
        typed: &str,
        params: &Params,
        known: &Known,
        here: &Href,
        t: &'static Messages,
    ) -> Self {
        let mut filled = Filled::default();
        let parts = ast.map(lang::chips).unwrap_or_default();
        for part in &parts {
            if !filled.take(&part.part) {
                filled.also.push(super::bracketed(&part.part));
            }
        }
        if ast.is_none() {
            filled
                .also
                .extend(Some(typed.to_owned()).filter(|typed| !typed.is_empty()));
        }
        let asked = params.get("rows").parse().unwrap_or(0);
        let wanted = filled.attributes.len().max(asked).clamp(1, ROWS);
        filled.attributes.resize_with(wanted, Default::default);
        let attributes = filled.attributes.into_iter().enumerate();
        let some = |names: &[String]| names.iter().take(SUGGESTIONS).cloned().collect();
        Self {
            open: params.has("rows"),
            hidden: hidden(here, &["q"]),
            service: filled.service,
            op: filled.op,
            statuses: statuses(&filled.status, t),
            min: filled.min,
            max: filled.max,
            code: filled.code,
            attributes: attributes
                .map(|(at, row)| attribute_row(at + 1, row, t))
                .collect(),
            text: filled.text,
            also: filled.also.join(" "),
            services: some(&known.services),
            keys: some(&known.keys),
        }
    }

    /// For a query that was not understood: open, and all of it kept as typed.
    pub(super) fn unread(&mut self, typed: &str) {
        self.open = true;
        for field in [
            &mut self.service,
            &mut self.op,
            &mut self.min,
            &mut self.max,
        ] {
            field.clear();
        }
        for field in [&mut self.code, &mut self.text] {
            field.clear();
        }
        for choice in &mut self.statuses {
            choice.selected = choice.value.is_empty();
        }
        for row in &mut self.attributes {
            row.key.clear();
            row.value.clear();
        }
        typed.clone_into(&mut self.also);
    }
}

/// The fields' values while the query's parts are handed out.
#[derive(Debug, Default)]
struct Filled {
    service: String,
    op: String,
    status: String,
    code: String,
    min: String,
    max: String,
    attributes: Vec<(String, &'static str, String)>,
    text: String,
    also: Vec<String>,
}

impl Filled {
    /// Whether a field took the part.
    fn take(&mut self, part: &Ast) -> bool {
        match part {
            Ast::Term(Term {
                key: Key::Word(word),
                test,
            }) => self.take_word(*word, test),
            Ast::Term(Term {
                key: Key::Attribute(name),
                test,
            }) => self.take_attribute(name, test),
            Ast::Text(value) => fill(&mut self.text, value.text.clone()),
            _ => false,
        }
    }

    fn take_word(&mut self, word: Word, test: &Test) -> bool {
        let field = match word {
            Word::Duration => return self.take_duration(test),
            Word::Service => &mut self.service,
            Word::Op => &mut self.op,
            Word::Status => &mut self.status,
            Word::Code => &mut self.code,
            _ => return false,
        };
        match test {
            Test::Compare(Compare::Is, values) if word == Word::Code => fill(
                field,
                values
                    .iter()
                    .map(|value| value.text.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            Test::Compare(Compare::Is, values) => match values.as_slice() {
                [
                    Value {
                        text,
                        literal: false,
                    },
                ] => fill(field, text.clone()),
                _ => false,
            },
            _ => false,
        }
    }

    fn take_duration(&mut self, test: &Test) -> bool {
        let (min, max) = match test {
            Test::Between(min, max) => (min.clone(), max.clone()),
            Test::Compare(Compare::AtLeast, values) => {
                (values.first().map(|v| v.text.clone()), None)
            }
            Test::Compare(Compare::AtMost, values) => {
                (None, values.first().map(|v| v.text.clone()))
            }
            _ => return false,
        };
        if !self.min.is_empty() || !self.max.is_empty() {
            return false;
        }
        self.min = min.unwrap_or_default();
        self.max = max.unwrap_or_default();
        true
    }

    fn take_attribute(&mut self, name: &str, test: &Test) -> bool {
        let (op, value) = match test {
            Test::Present => ("present", String::new()),
            Test::Compare(compare, values) => {
                let [
                    Value {
                        text,
                        literal: false,
                    },
                ] = values.as_slice()
                else {
                    return false;
                };
                let op = match compare {
                    Compare::Is => "is",
                    Compare::IsNot => "not",
                    Compare::Contains => "contains",
                    Compare::Greater => "greater",
                    Compare::Less => "less",
                    _ => return false,
                };
                (op, text.clone())
            }
            Test::Between(..) => return false,
        };
        if self.attributes.len() == ROWS {
            return false;
        }
        self.attributes.push((name.into(), op, value));
        true
    }
}

/// Fills a field that is empty.
fn fill(field: &mut String, value: String) -> bool {
    let free = field.is_empty();
    if free {
        *field = value;
    }
    free
}

fn statuses(chosen: &str, t: &'static Messages) -> Vec<Choice> {
    let choices = [
        ("", t.form_any),
        ("error", t.failed),
        ("ok", t.ok),
        ("unset", t.unset),
    ];
    let choice = |(value, label)| Choice {
        value,
        label,
        selected: value == chosen,
    };
    choices.into_iter().map(choice).collect()
}

fn attribute_row(n: usize, row: (String, &str, String), t: &'static Messages) -> AttributeRow {
    let (key, chosen, value) = row;
    let labels = [
        t.op_is,
        t.op_not,
        t.op_contains,
        t.op_greater,
        t.op_less,
        t.op_present,
    ];
    let ops = OPS.iter().zip(labels).map(|((name, _), label)| Choice {
        value: name,
        label,
        selected: *name == chosen,
    });
    AttributeRow {
        n,
        key,
        ops: ops.collect(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;

    fn form(query: &str) -> FormView {
        let ast = lang::parse(query, &Known::default()).ast;
        let t = Lang::En.messages();
        let here = Href::path(&["requests"]);
        FormView::new(
            ast.as_ref(),
            query,
            &Params::default(),
            &Known::default(),
            &here,
            t,
        )
    }

    /// What a browser sends of the form.
    fn sent(form: &FormView) -> Params {
        let mut pairs = vec![
            ("form".to_owned(), "1".to_owned()),
            ("f.service".into(), form.service.clone()),
            ("f.op".into(), form.op.clone()),
            ("f.min".into(), form.min.clone()),
            ("f.max".into(), form.max.clone()),
            ("f.code".into(), form.code.clone()),
            ("f.text".into(), form.text.clone()),
            ("q".into(), form.also.clone()),
        ];
        let chosen = |choices: &[Choice]| {
            choices
                .iter()
                .find(|c| c.selected)
                .map_or("", |c| c.value)
                .to_owned()
        };
        pairs.push(("f.status".into(), chosen(&form.statuses)));
        for row in &form.attributes {
            pairs.push((format!("f.k{}", row.n), row.key.clone()));
            pairs.push((format!("f.o{}", row.n), chosen(&row.ops)));
            pairs.push((format!("f.v{}", row.n), row.value.clone()));
        }
        Params(pairs)
    }

    #[test]
    fn a_query_goes_through_the_form_and_comes_back_the_same() {
        let meaning = |query: &str| {
            let ast = lang::parse(query, &Known::default()).ast.expect("a query");
            let mut parts: Vec<_> = lang::chips(&ast)
                .into_iter()
                .map(|chip| chip.text)
                .collect();
            parts.sort();
            parts
        };
        for query in [
            "service:checkout status:error",
            "duration:500ms..2s code:500,5xx",
            "user.id:* -tenant:a",
            "http.route:/orders/{id} a.b:~\"c d\"",
            "status:error OR duration:>1s",
            "service:a service:b",
            "\"say hi\" {service:bank duration:>400ms}",
            "op:\"POST /orders/{id}\"",
            "a.b:!=1 c.d:>5 e.f:<6",
        ] {
            let (back, more) = super::query(&sent(&form(query)));
            assert_eq!(
                meaning(&back),
                meaning(query),
                "{query} came back as {back}"
            );
            assert!(!more);
        }
    }

    #[test]
    fn what_the_form_cannot_say_is_kept() {
        let form = form("service:a OR service:b");
        assert_eq!(
            (form.service.as_str(), form.also.as_str()),
            ("", "(service:a OR service:b)")
        );
    }

    #[test]
    fn what_is_typed_wrong_is_not_repaired_in_silence() {
        assert_eq!(written("duration", ">", "1sec"), "duration:>1sec");
        assert_eq!(written("service", "", "a b"), "service:\"a b\"");
    }
}
