//! What is wrong with a query, in the reader's language.

use crate::i18n::Messages;
use crate::rich::{Arg, Html};
use hoplog_query::lang::IssueKind;

/// The sentence for an issue.
pub(crate) fn sentence(kind: &IssueKind, t: &'static Messages) -> Html {
    let (template, args) = about_form(kind, t).unwrap_or_else(|| about_value(kind, t));
    t.html(template, &args)
}

type Said = (&'static str, Vec<(&'static str, Arg)>);

/// Brackets, operators, limits.
fn about_form(kind: &IssueKind, t: &'static Messages) -> Option<Said> {
    let limit = |limit: &usize| vec![("limit", limit.to_string().into())];
    let key = |key: &String| vec![("key", key.as_str().into())];
    Some(match kind {
        IssueKind::UnclosedQuote => (t.issue_unclosed_quote, vec![]),
        IssueKind::UnclosedBracket => (t.issue_unclosed_bracket, vec![]),
        IssueKind::UnclosedHop => (t.issue_unclosed_hop, vec![]),
        IssueKind::EmptyBrackets => (t.issue_empty_brackets, vec![]),
        IssueKind::EmptyHop => (t.issue_empty_hop, vec![]),
        IssueKind::NestedHop => (t.issue_nested_hop, vec![]),
        IssueKind::StrayClose(c) => (t.issue_stray_close, vec![("c", c.to_string().into())]),
        IssueKind::Unexpected(c) => (t.issue_unexpected, vec![("c", c.to_string().into())]),
        IssueKind::OrNeedsLeft => (t.issue_or_left, vec![]),
        IssueKind::OrNeedsRight => (t.issue_or_right, vec![]),
        IssueKind::NotNeedsRight => (t.issue_not_right, vec![]),
        IssueKind::TooDeep { limit: most } => (t.issue_too_deep, limit(most)),
        IssueKind::TooLong { limit: most } => (t.issue_too_long, limit(most)),
        IssueKind::TooManyAlternatives { limit: most } => (t.issue_too_many, limit(most)),
        IssueKind::OperatorInSmallLetters(word) => {
            let upper = word.to_uppercase();
            (
                t.issue_small_operator,
                vec![("word", word.as_str().into()), ("upper", upper.into())],
            )
        }
        IssueKind::RequestWordInHop { key: word } => (t.issue_request_word, key(word)),
        IssueKind::MisplacedParameter { key: word } => (t.issue_misplaced, key(word)),
        IssueKind::NotYet { key: word } => (t.issue_not_yet, key(word)),
        _ => return None,
    })
}

/// Fields and values.
fn about_value(kind: &IssueKind, t: &'static Messages) -> Said {
    let key = |key: &String| vec![("key", Arg::from(key.as_str()))];
    let with_op = |word: &String, op: &'static str| [key(word), vec![("op", op.into())]].concat();
    match kind {
        IssueKind::UnknownKey { key: word, near } => meant(
            key(word),
            near,
            t.issue_unknown_key,
            t.issue_unknown_key_near,
        ),
        IssueKind::UnknownAttribute { key: word, near } => meant(
            key(word),
            near,
            t.issue_unknown_attribute,
            t.issue_unknown_attribute_near,
        ),
        IssueKind::UnknownValue {
            key: word,
            value,
            near,
        } => {
            let args = [key(word), vec![("value", value.as_str().into())]].concat();
            meant(
                args,
                near,
                t.issue_unknown_value,
                t.issue_unknown_value_near,
            )
        }
        IssueKind::NeedsValue {
            key: word,
            compare: "",
        } => (t.issue_needs_value, key(word)),
        IssueKind::NeedsValue { key: word, compare } => {
            (t.issue_needs_value_after, with_op(word, compare))
        }
        IssueKind::OneValue { compare } => (t.issue_one_value, vec![("op", (*compare).into())]),
        IssueKind::NoOrder { key: word, compare } => (t.issue_no_order, with_op(word, compare)),
        IssueKind::NoContains { key: word } => (t.issue_no_contains, key(word)),
        IssueKind::NotANumber { key: word, compare } => {
            (t.issue_not_number, with_op(word, compare))
        }
        IssueKind::NotADuration { key: word } => (t.issue_not_duration, key(word)),
        IssueKind::MissingUnit => (t.issue_missing_unit, vec![]),
        IssueKind::UnknownUnit { unit } => {
            (t.issue_unknown_unit, vec![("unit", unit.as_str().into())])
        }
        IssueKind::NotACount { key: word } => (t.issue_not_count, key(word)),
        IssueKind::NotACode => (t.issue_not_code, vec![]),
        IssueKind::NotATraceId => (t.issue_not_trace_id, vec![]),
        IssueKind::NotOneOf { key: word, choices } => (
            t.issue_not_one_of,
            [key(word), vec![("choices", choices.join(" ").into())]].concat(),
        ),
        IssueKind::EmptyRange { key: word } => (t.issue_empty_range, key(word)),
        IssueKind::NotATime { key: word } if word == "last" => (t.issue_not_last, vec![]),
        IssueKind::NotATime { key: word } => (t.issue_not_time, key(word)),
        IssueKind::NotASort => (t.issue_not_sort, vec![]),
        // The list may grow; what it grows by has no words here yet.
        _ => (t.issue_other, vec![]),
    }
}

fn meant(
    mut args: Vec<(&'static str, Arg)>,
    near: &Option<String>,
    bare: &'static str,
    with_near: &'static str,
) -> Said {
    match near {
        Some(near) => {
            args.push(("near", near.as_str().into()));
            (with_near, args)
        }
        None => (bare, args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;
    use hoplog_query::lang::{Known, parse};

    #[test]
    fn every_mistake_has_words_in_both_languages() {
        let wrong = [
            "\"open",
            "(a",
            "{a",
            "()",
            "{}",
            "{{a}}",
            "a)",
            "OR a",
            "a OR",
            "NOT",
            "statsu:error",
            "service:",
            "duration:>",
            "duration:>1s,2s",
            "service:>a",
            "duration:~1s",
            "duration:fast",
            "duration:1",
            "duration:1sec",
            "errors:few",
            "code:700",
            "trace:1",
            "status:eror",
            "duration:2s..1s",
            "{entry:a}",
        ];
        for query in wrong {
            let parsed = parse(query, &Known::default());
            assert!(!parsed.errors.is_empty(), "{query} is wrong");
            for issue in &parsed.errors {
                for lang in Lang::ALL {
                    let t = lang.messages();
                    let said = sentence(&issue.kind, t).to_string();
                    assert!(
                        !said.contains('{') || query.contains('{'),
                        "{query}: {said}"
                    );
                    assert_ne!(said, Html::escape(t.issue_other).to_string(), "{query}");
                }
            }
        }
    }
}
