//! A query in words, so that a wrong query is seen before wrong results are trusted.

use crate::format;
use crate::i18n::Messages;
use crate::rich::{Arg, Html};
use hoplog_query::lang::{Ast, Compare, Key, Scope, Term, Test, Value, Word, parse_duration};

/// The whole query as a sentence.
pub(crate) fn sentence(ast: Option<&Ast>, t: &'static Messages) -> Html {
    let Some(ast) = ast else {
        return Html::escape(t.all_requests);
    };
    t.html(t.read_all_of, &[("list", phrase(ast, t).into())])
}

/// One part of the query in words.
pub(crate) fn phrase(ast: &Ast, t: &'static Messages) -> Html {
    let words = Words { t };
    words.request(ast)
}

#[derive(Clone, Copy)]
struct Words {
    t: &'static Messages,
}

impl Words {
    /// What holds of the request.
    fn request(self, ast: &Ast) -> Html {
        match ast {
            Ast::And(parts) => self.all(parts),
            Ast::Or(parts) => {
                self.joined(parts.iter().map(|part| self.request(part)), self.t.read_or)
            }
            Ast::Not(inner) => self.not(inner),
            Ast::Hop(inner) => self.one_hop(self.hop(inner)),
            Ast::Term(term) => self.term(term),
            Ast::Text(value) => self.one_hop(self.text(value)),
        }
    }

    /// Parts about the request stand for themselves; those about a hop speak of one same hop.
    fn all(self, parts: &[Ast]) -> Html {
        let about_hop = |part: &Ast| match part {
            Ast::Term(term) => term.key.scope() == Scope::Hop,
            Ast::Text(_) => true,
            _ => false,
        };
        let hop: Vec<&Ast> = parts.iter().filter(|part| about_hop(part)).collect();
        let mut phrases: Vec<Html> = parts
            .iter()
            .filter(|part| !about_hop(part))
            .map(|part| self.request(part))
            .collect();
        match hop.as_slice() {
            [] => {}
            [one] => phrases.push(self.request(one)),
            many => {
                let list = self.list(many.iter().map(|part| self.hop(part)));
                phrases.push(self.one_hop(list));
            }
        }
        self.joined(phrases.into_iter(), self.t.read_and)
    }

    fn not(self, inner: &Ast) -> Html {
        let t = self.t;
        if let Ast::Term(Term {
            key: Key::Word(word),
            test: Test::Compare(Compare::Is, values),
        }) = inner
            && let [value] = values.as_slice()
        {
            match (word, value.text.as_str()) {
                (Word::Status, "error") => return t.html(t.read_not_failed, &[]),
                (Word::Service, service) => {
                    return t.html(t.read_not_through, &[("a", service.into())]);
                }
                _ => {}
            }
        }
        t.html(t.read_not, &[("list", self.request(inner).into())])
    }

    fn one_hop(self, list: Html) -> Html {
        self.t.html(self.t.read_hop, &[("list", list.into())])
    }

    /// What holds of one hop.
    fn hop(self, ast: &Ast) -> Html {
        match ast {
            Ast::And(parts) => self.list(parts.iter().map(|part| self.hop(part))),
            Ast::Or(parts) => self.joined(parts.iter().map(|part| self.hop(part)), self.t.read_or),
            Ast::Not(inner) | Ast::Hop(inner) if matches!(ast, Ast::Not(_)) => self
                .t
                .html(self.t.read_not, &[("list", self.hop(inner).into())]),
            Ast::Not(inner) | Ast::Hop(inner) => self.hop(inner),
            Ast::Term(term) => self.condition(term),
            Ast::Text(value) => self.text(value),
        }
    }

    fn text(self, value: &Value) -> Html {
        self.t
            .html(self.t.read_text, &[("a", quoted(&value.text).into())])
    }

    fn term(self, term: &Term) -> Html {
        let t = self.t;
        let Key::Word(word) = &term.key else {
            return self.one_hop(self.condition(term));
        };
        match (word, &term.test) {
            (Word::Duration, test) => self.took(test).unwrap_or_else(|| self.had(term)),
            (Word::Status, Test::Compare(Compare::Is, values)) if values.len() == 1 => {
                match values[0].text.as_str() {
                    "error" => t.html(t.read_failed, &[]),
                    "ok" => t.html(t.read_went_well, &[]),
                    _ => self.had(term),
                }
            }
            (Word::Service, Test::Compare(Compare::Is, values)) => {
                t.html(t.read_through, &[("a", self.values(values).into())])
            }
            (Word::Entry, Test::Compare(Compare::Is, values)) => {
                t.html(t.read_came_in, &[("a", self.values(values).into())])
            }
            (Word::Trace, Test::Compare(Compare::Is, values)) => {
                t.html(t.read_trace, &[("a", self.values(values).into())])
            }
            (word, _) if word.scope() == Scope::Hop => self.one_hop(self.condition(term)),
            _ => self.had(term),
        }
    }

    fn had(self, term: &Term) -> Html {
        self.t
            .html(self.t.read_had, &[("list", self.condition(term).into())])
    }

    fn took(self, test: &Test) -> Option<Html> {
        let t = self.t;
        let (template, a, b) = match test {
            Test::Compare(compare, values) => {
                let template = match compare {
                    Compare::Greater => t.read_took_longer,
                    Compare::AtLeast => t.read_took_at_least,
                    Compare::Less => t.read_took_less,
                    Compare::AtMost => t.read_took_at_most,
                    _ => return None,
                };
                (template, values.first()?.text.clone(), String::new())
            }
            Test::Between(Some(a), Some(b)) => (t.read_took_between, a.clone(), b.clone()),
            Test::Between(Some(a), None) => (t.read_took_at_least, a.clone(), String::new()),
            Test::Between(None, Some(b)) => (t.read_took_at_most, b.clone(), String::new()),
            _ => return None,
        };
        Some(t.html(
            template,
            &[("a", spaced(&a).into()), ("b", spaced(&b).into())],
        ))
    }

    /// A field and what holds of it, as a noun with its value.
    fn condition(self, term: &Term) -> Html {
        let t = self.t;
        let key = self.key(&term.key);
        match &term.test {
            Test::Present => t.html(t.read_present, &[("key", key.into())]),
            Test::Between(a, b) => {
                let end = |end: &Option<String>| spaced(end.as_deref().unwrap_or("…"));
                let args = [
                    ("key", key.into()),
                    ("a", end(a).into()),
                    ("b", end(b).into()),
                ];
                t.html(t.read_between, &args)
            }
            Test::Compare(compare, values) => {
                let template = match compare {
                    Compare::Is => t.read_is,
                    Compare::IsNot => t.read_is_not,
                    Compare::Contains => t.read_contains,
                    _ => t.read_order,
                };
                let sign = match compare {
                    Compare::AtLeast => "≥",
                    Compare::AtMost => "≤",
                    other => other.symbol(),
                };
                let value: Arg = self.values(values).into();
                t.html(
                    template,
                    &[("key", key.into()), ("op", sign.into()), ("a", value)],
                )
            }
        }
    }

    fn values(self, values: &[Value]) -> String {
        let between = format!(" {} ", self.t.read_or);
        values
            .iter()
            .map(|value| spaced(&value.text))
            .collect::<Vec<_>>()
            .join(&between)
    }

    fn key(self, key: &Key) -> Html {
        match key {
            Key::Word(word) => Html::escape(word_text(*word, self.t)),
            Key::Attribute(name) => {
                let name = name.as_str();
                self.t.html("`{name}`", &[("name", name.into())])
            }
        }
    }

    fn list(self, parts: impl Iterator<Item = Html>) -> Html {
        let parts: Vec<String> = parts.map(|part| part.to_string()).collect();
        Html::trusted(parts.join(", "))
    }

    fn joined(self, parts: impl Iterator<Item = Html>, word: &str) -> Html {
        let parts: Vec<String> = parts.map(|part| part.to_string()).collect();
        Html::trusted(parts.join(&format!(" {} ", Html::escape(word))))
    }
}

fn quoted(text: &str) -> String {
    format!("“{text}”")
}

/// A duration with a space before its unit; anything else as it is.
fn spaced(text: &str) -> String {
    match parse_duration(text) {
        Some(nanos) if text.ends_with(|c: char| c.is_alphabetic()) => {
            format::duration(nanos).plain()
        }
        _ => text.into(),
    }
}

/// A field's name in words.
pub(crate) fn word_text(word: Word, t: &'static Messages) -> &'static str {
    match word {
        Word::Entry => t.word_entry,
        Word::Op => t.word_op,
        Word::Method => t.word_method,
        Word::Route => t.word_route,
        Word::Code => t.word_code,
        Word::Status => t.word_status,
        Word::Duration => t.word_duration,
        Word::Started => t.word_started,
        Word::Ended => t.word_ended,
        Word::Hops => t.word_hops,
        Word::Spans => t.word_spans,
        Word::Errors => t.word_errors,
        Word::Trace => t.word_trace,
        Word::Request => t.word_request,
        Word::Kept => t.word_kept,
        Word::Service => t.word_service,
        Word::Span => t.word_span,
        Word::Kind => t.word_kind,
        Word::Exception => t.word_exception,
        Word::Db => t.word_db,
        Word::Sql => t.word_sql,
        Word::Statement => t.word_statement,
        Word::Topic => t.word_topic,
        Word::Peer => t.word_peer,
        Word::SelfTime => t.word_self,
        Word::Version => t.word_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;
    use hoplog_query::lang::{Known, parse};

    fn said(query: &str, lang: Lang) -> String {
        let parsed = parse(query, &Known::default());
        assert!(parsed.errors.is_empty(), "{query}: {:?}", parsed.errors);
        sentence(parsed.ast.as_ref(), lang.messages())
            .to_string()
            .replace('\u{a0}', " ")
    }

    #[test]
    fn queries_are_read_back_in_both_languages() {
        for (query, en, ko) in [
            ("", "All requests.", "모든 요청."),
            (
                "duration:>500ms service:payment-gateway",
                "Requests that took longer than <b>500 ms</b> and passed through <b>payment-gateway</b>",
                "다음에 모두 해당하는 요청: <b>500 ms</b>보다 오래 걸림 · <b>payment-gateway</b>를 거침",
            ),
            (
                "status:error OR code:429",
                "Requests that <b>failed</b> or had status code <b>429</b>",
                "다음에 모두 해당하는 요청: <b>실패함</b> 또는 상태 코드 = <b>429</b>",
            ),
            (
                "{service:bank duration:>400ms} -service:auth",
                "Requests that had one hop with service <b>bank</b>, duration &gt; <b>400 ms</b> \
                 and did not pass through <b>auth</b>",
                "다음에 모두 해당하는 요청: 한 홉이 서비스 = <b>bank</b>, 소요 시간 &gt; <b>400 ms</b> \
                 · <b>auth</b>를 거치지 않음",
            ),
            (
                "service:a http.route:/x \"<b>\"",
                "Requests that had one hop with service <b>a</b>, <code>http.route</code> <b>/x</b>, \
                 the text <b>“&lt;b&gt;”</b>",
                "다음에 모두 해당하는 요청: 한 홉이 서비스 = <b>a</b>, <code>http.route</code> = \
                 <b>/x</b>, 글자 <b>“&lt;b&gt;”</b>",
            ),
        ] {
            assert_eq!(said(query, Lang::En), en);
            assert_eq!(said(query, Lang::Ko), ko);
        }
    }
}
