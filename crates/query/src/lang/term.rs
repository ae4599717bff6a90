//! `key:value`: comparisons, lists, ranges, and whether the values fit the field.

use super::ast::{Compare, Term, Test, Value};
use super::issue::{Edit, IssueKind};
use super::keys::{Key, Type, Word};
use super::near::near;
use super::params::time;
use super::parse::Parser;
use super::paste::trace_id;
use super::units::{self, NoDuration};
use hoplog_model::UnixNanos;
use hoplog_model::times;

/// A value with its place.
struct Placed {
    text: String,
    quoted: bool,
    at: usize,
    len: usize,
}

/// The comparison of a term with its place and length (0 if none is written).
#[derive(Clone, Copy)]
struct Sign {
    compare: Compare,
    written: &'static str,
    at: usize,
}

impl Parser<'_> {
    /// What follows `name:`, which began at column `at`.
    pub(super) fn term(&mut self, at: usize, name: &str) -> Option<Term> {
        self.term_at = at;
        if name == "has" {
            return self.has();
        }
        let key = self.resolve(at, name)?;
        let sign = self.sign();
        let values = self.values(&key, sign);
        let [first, rest @ ..] = values.as_slice() else {
            return None;
        };
        let alone = rest.is_empty() && !first.quoted;
        let plain = sign.compare == Compare::Is;
        if alone && plain && first.text == "*" {
            return Some(Term {
                key,
                test: Test::Present,
            });
        }
        if alone
            && plain
            && let Some(test) = self.range(&key, first)
        {
            return Some(Term { key, test });
        }
        self.check_sign(&key, sign, &values);
        for value in &values {
            self.check_value(&key, sign, value);
        }
        let is_trace = key == Key::Word(Word::Trace);
        let now = self.now.filter(|_| key.value_type() == Type::Time);
        let own = |v: Placed| {
            let text = match now {
                Some(now) => in_full(&v.text, now),
                None if is_trace => v.text.to_lowercase(),
                None => v.text,
            };
            Value::new(text, v.quoted)
        };
        let values = values.into_iter().map(own).collect();
        Some(Term {
            key,
            test: Test::Compare(sign.compare, values),
        })
    }

    fn sign(&mut self) -> Sign {
        let at = self.scan.at;
        let written = Compare::SPELLED
            .into_iter()
            .find(|(spelled, _)| self.scan.take(spelled));
        let (written, compare) = written.unwrap_or(("", Compare::Is));
        Sign {
            compare,
            written,
            at,
        }
    }

    fn values(&mut self, key: &Key, sign: Sign) -> Vec<Placed> {
        let mut values = Vec::new();
        loop {
            let at = self.scan.at;
            let quoted = self.scan.peek() == Some('"');
            let text = if quoted {
                self.quoted()
            } else {
                self.scan.bare(true)
            };
            if text.is_empty() && !quoted {
                let kind = IssueKind::NeedsValue {
                    key: key.name().to_owned(),
                    compare: sign.written,
                };
                let edit = if values.is_empty() {
                    Edit::new(sign.at, at - sign.at, "*")
                } else {
                    // A comma was left behind.
                    Edit::new(at - 1, 1, "")
                };
                self.error(at, 1, kind, Some(edit));
                return values;
            }
            values.push(Placed {
                text,
                quoted,
                at,
                len: self.scan.at - at,
            });
            if !self.scan.take(",") {
                return values;
            }
        }
    }

    /// `a..b`, if the field has an order and the value is a range of it.
    fn range(&mut self, key: &Key, value: &Placed) -> Option<Test> {
        let (from, to) = value.text.split_once("..")?;
        let is_number = |end: &str| end.is_empty() || number(end).is_some();
        let ordered = match key.value_type() {
            Type::Duration | Type::Count | Type::Code | Type::Time => true,
            Type::Attribute => is_number(from) && is_number(to),
            _ => false,
        };
        if !ordered || (from.is_empty() && to.is_empty()) {
            return None;
        }
        let errors = self.error_count();
        let sign = Sign {
            compare: Compare::AtLeast,
            written: "..",
            at: value.at,
        };
        let to_at = value.at + from.chars().count() + 2;
        for (text, at) in [(from, value.at), (to, to_at)] {
            if !text.is_empty() {
                let len = text.chars().count();
                let end = Placed {
                    text: text.to_owned(),
                    quoted: false,
                    at,
                    len,
                };
                self.check_value(key, sign, &end);
            }
        }
        // A time of day alone is of the day on which the range begins.
        let now = self.now.unwrap_or(0);
        let day = time(from, now).unwrap_or(now);
        let is_time = key.value_type() == Type::Time;
        let backwards = match is_time {
            true => time(from, now)
                .zip(time(to, day))
                .is_some_and(|(from, to)| from >= to),
            false => is_backwards(key, from, to),
        };
        if self.error_count() == errors && backwards {
            let swapped = Edit::new(value.at, value.len, format!("{to}..{from}"));
            let kind = IssueKind::EmptyRange {
                key: key.name().to_owned(),
            };
            self.error(value.at, value.len, kind, Some(swapped));
        }
        let end = |text: &str, day: UnixNanos| {
            (!text.is_empty()).then(|| match self.now {
                Some(_) if is_time => in_full(text, day),
                _ => text.to_owned(),
            })
        };
        Some(Test::Between(end(from, now), end(to, day)))
    }

    fn check_sign(&mut self, key: &Key, sign: Sign, values: &[Placed]) {
        let Sign {
            compare,
            written,
            at,
        } = sign;
        if let [first, .., last] = values
            && !written.is_empty()
            && compare != Compare::IsNot
        {
            let rest = first.at + first.len;
            let edit = match compare {
                Compare::Is => Edit::new(at, written.len(), ""),
                _ => Edit::new(rest, last.at + last.len - rest, ""),
            };
            let kind = IssueKind::OneValue { compare: written };
            self.error(at, written.len(), kind, Some(edit));
        }
        let name = || key.name().to_owned();
        match key.value_type() {
            Type::Text | Type::OneOf(_) | Type::TraceId if compare.is_order() => {
                let kind = IssueKind::NoOrder {
                    key: name(),
                    compare: written,
                };
                self.error(
                    at,
                    written.len(),
                    kind,
                    Some(Edit::new(at, written.len(), "")),
                );
            }
            Type::Text | Type::Attribute => {}
            _ if compare == Compare::Contains => {
                let kind = IssueKind::NoContains { key: name() };
                self.error(
                    at,
                    written.len(),
                    kind,
                    Some(Edit::new(at, written.len(), "")),
                );
            }
            _ => {}
        }
    }

    fn check_value(&mut self, key: &Key, sign: Sign, value: &Placed) {
        let (at, len) = (value.at, value.len);
        let text = value.text.as_str();
        let as_text = self.as_text();
        let name = || key.name().to_owned();
        match key.value_type() {
            Type::Duration => self.check_duration(key, value),
            Type::Count if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) => {
                self.error(at, len, IssueKind::NotACount { key: name() }, as_text);
            }
            Type::Time if time(text, self.now.unwrap_or(0)).is_none() => {
                self.error(at, len, IssueKind::NotATime { key: name() }, as_text);
            }
            Type::Code if !is_code(text) => self.error(at, len, IssueKind::NotACode, as_text),
            Type::Code if sign.compare.is_order() && text.parse::<u16>().is_err() => {
                let kind = IssueKind::NotANumber {
                    key: name(),
                    compare: sign.written,
                };
                self.error(at, len, kind, as_text);
            }
            Type::Attribute if sign.compare.is_order() && number(text).is_none() => {
                let kind = IssueKind::NotANumber {
                    key: name(),
                    compare: sign.written,
                };
                self.error(at, len, kind, as_text);
            }
            Type::OneOf(choices) if !choices.contains(&text) => {
                let near = near(text, choices.iter().copied());
                let edit = near.map(|near| Edit::new(at, len, near)).or(as_text);
                self.error(
                    at,
                    len,
                    IssueKind::NotOneOf {
                        key: name(),
                        choices,
                    },
                    edit,
                );
            }
            Type::TraceId if trace_id(text).is_none() => {
                self.error(at, len, IssueKind::NotATraceId, as_text);
            }
            Type::Text if !matches!(sign.compare, Compare::Contains) => {
                self.check_seen(key, value);
            }
            _ => {}
        }
    }

    fn check_duration(&mut self, key: &Key, value: &Placed) {
        let (at, len) = (value.at, value.len);
        let Err(wrong) = units::read(&value.text) else {
            return;
        };
        let NoDuration::Unit(unit) = wrong else {
            let kind = IssueKind::NotADuration {
                key: key.name().to_owned(),
            };
            let edit = self.as_text();
            return self.error(at, len, kind, edit);
        };
        let letters = unit.chars().count();
        // In quotes the unit is not at the end of what was typed: put the whole value right.
        let (unit_at, unit_len) = if value.quoted {
            (at, len)
        } else {
            (at + len - letters, letters)
        };
        let number = value.text.strip_suffix(unit).unwrap_or_default();
        let meant = units::meant(unit);
        let with = if value.quoted {
            format!("{number}{meant}")
        } else {
            meant.to_owned()
        };
        let kind = if unit.is_empty() {
            IssueKind::MissingUnit
        } else {
            IssueKind::UnknownUnit {
                unit: unit.to_owned(),
            }
        };
        self.error(
            unit_at,
            unit_len,
            kind,
            Some(Edit::new(unit_at, unit_len, with)),
        );
    }

    /// The hint for a service or an operation that was not seen.
    fn check_seen(&mut self, key: &Key, value: &Placed) {
        let seen = match key {
            Key::Word(Word::Service | Word::Entry) => &self.known.services,
            Key::Word(Word::Op | Word::Span) => &self.known.operations,
            _ => return,
        };
        let wild = value.text.contains(['*', '?']);
        if seen.is_empty() || wild || seen.contains(&value.text) {
            return;
        }
        let near = self.nearest(&value.text, seen);
        let edit = near
            .clone()
            .map(|near| Edit::new(value.at, value.len, Value::new(near, true).to_string()));
        let kind = IssueKind::UnknownValue {
            key: key.name().to_owned(),
            value: value.text.clone(),
            near,
        };
        self.hint(value.at, value.len, kind, edit);
    }
}

/// An instant in full, as short as it can be said; what is none stays.
fn in_full(text: &str, day: UnixNanos) -> String {
    let Some(at) = time(text, day) else {
        return text.to_owned();
    };
    let full = times::rfc3339(at);
    let short = full.trim_end_matches('Z').trim_end_matches('0');
    format!("{}Z", short.trim_end_matches('.'))
}

/// A finite number, as attributes are compared.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `500`, `5xx`, a gRPC number, or a gRPC name.
fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |some: &[u8]| !some.is_empty() && some.iter().all(u8::is_ascii_digit);
    let name = !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_uppercase() || *b == b'_');
    match bytes {
        [b'1'..=b'5', b'x', b'x'] => true,
        [b'1'..=b'5', rest @ ..] if rest.len() == 2 => digits(rest),
        _ => name || (bytes.len() <= 2 && digits(bytes)),
    }
}

fn is_backwards(key: &Key, from: &str, to: &str) -> bool {
    if from.is_empty() || to.is_empty() {
        return false;
    }
    match key.value_type() {
        Type::Duration => units::read(from).ok() > units::read(to).ok(),
        _ => number(from) > number(to),
    }
}
