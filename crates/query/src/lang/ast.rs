//! A query, understood. `Display` writes the canonical form, which parses to the same query.

use super::keys::Key;
use super::scan::{bare_text_is_safe, bare_value_is_whole};
use std::fmt;

/// A query or a part of one. Nested lists of the same sort are flat, and never hold fewer than two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ast {
    /// All of them.
    And(Vec<Ast>),
    /// Any of them.
    Or(Vec<Ast>),
    /// Not this.
    Not(Box<Ast>),
    /// `{ … }`: some hop fulfils it.
    Hop(Box<Ast>),
    /// `key:value`.
    Term(Term),
    /// A word or a quoted text to be found anywhere in a hop.
    Text(Value),
}

/// A field and what must hold of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The field.
    pub key: Key,
    /// What must hold.
    pub test: Test,
}

/// What must hold of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `key:*`: it is there.
    Present,
    /// `key:>value`; for equality and its opposite a list of values, of which any may do.
    Compare(Compare, Vec<Value>),
    /// `key:a..b`, both ends inclusive, one may be open.
    Between(Option<String>, Option<String>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// Is; with wildcards unless quoted.
    Is,
    /// Is not.
    IsNot,
    /// Contains, ignoring case.
    Contains,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

impl Compare {
    /// Every comparison, longer spellings first.
    pub(super) const SPELLED: [(&'static str, Self); 7] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("!=", Self::IsNot),
        (">", Self::Greater),
        ("<", Self::Less),
        ("=", Self::Is),
        ("~", Self::Contains),
    ];

    /// How it is written; `Is` needs nothing.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Is => "",
            Self::IsNot => "!=",
            Self::Contains => "~",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    /// Whether it asks for an order, which only numbers have.
    pub(super) fn is_order(self) -> bool {
        matches!(
            self,
            Self::Less | Self::AtMost | Self::Greater | Self::AtLeast
        )
    }
}

/// A value of a field, or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Without its quotes.
    pub text: String,
    /// `*`, `?` and `..` in it stand for themselves, because it was quoted. Never set for a text,
    /// where they always do.
    pub literal: bool,
}

impl Value {
    /// What could only be written in quotes counts as quoted.
    pub(super) fn new(text: String, quoted: bool) -> Self {
        let literal = is_special(&text) && (quoted || !bare_value_is_whole(&text));
        Self { text, literal }
    }

    /// A text. It may stand anywhere, so stars around a bare one say nothing.
    pub(super) fn of_text(text: &str, quoted: bool) -> Self {
        let starless = text.trim_matches('*');
        let text = if quoted || starless.is_empty() {
            text
        } else {
            starless
        };
        Self {
            text: text.to_owned(),
            literal: false,
        }
    }

    /// Whether `*` and `?` stand for other characters.
    pub fn has_wildcards(&self) -> bool {
        !self.literal && self.text.contains(['*', '?'])
    }
}

impl Ast {
    /// All of `parts`, flat; none if there are none.
    pub(super) fn all(parts: Vec<Self>) -> Option<Self> {
        Self::join(parts, |part| match part {
            Self::And(parts) => Ok(parts),
            other => Err(other),
        })
        .map(|mut parts| {
            if parts.len() == 1 {
                parts.remove(0)
            } else {
                Self::And(parts)
            }
        })
    }

    /// Any of `parts`, flat; none if there are none.
    pub(super) fn any(parts: Vec<Self>) -> Option<Self> {
        Self::join(parts, |part| match part {
            Self::Or(parts) => Ok(parts),
            other => Err(other),
        })
        .map(|mut parts| {
            if parts.len() == 1 {
                parts.remove(0)
            } else {
                Self::Or(parts)
            }
        })
    }

    fn join(parts: Vec<Self>, open: impl Fn(Self) -> Result<Vec<Self>, Self>) -> Option<Vec<Self>> {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(single) => flat.push(single),
            }
        }
        (!flat.is_empty()).then_some(flat)
    }

    /// The opposite; twice is none.
    pub(super) fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// The canonical form: parses to this query again.
    pub fn canonical(&self) -> String {
        self.to_string()
    }
}

/// Whether quotes make a difference to a value's meaning.
fn is_special(text: &str) -> bool {
    text.contains(['*', '?']) || text.contains("..")
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Ast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => write_list(f, parts, " ", |part| matches!(part, Self::Or(_))),
            Self::Or(parts) => write_list(f, parts, " OR ", |_| false),
            Self::Not(inner) if matches!(**inner, Self::And(_) | Self::Or(_)) => {
                write!(f, "-({inner})")
            }
            Self::Not(inner) => write!(f, "-{inner}"),
            Self::Hop(inner) => write!(f, "{{{inner}}}"),
            Self::Term(term) => write!(f, "{term}"),
            Self::Text(value) if !bare_text_is_safe(&value.text) => {
                f.write_str(&quoted(&value.text))
            }
            Self::Text(value) => f.write_str(&value.text),
        }
    }
}

fn write_list(
    f: &mut fmt::Formatter<'_>,
    parts: &[Ast],
    between: &str,
    bracket: impl Fn(&Ast) -> bool,
) -> fmt::Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        if bracket(part) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.key)?;
        match &self.test {
            Test::Present => f.write_str("*"),
            Test::Between(from, to) => {
                let end = |end: &Option<String>| end.clone().unwrap_or_default();
                write!(f, "{}..{}", end(from), end(to))
            }
            Test::Compare(compare, values) => {
                f.write_str(compare.symbol())?;
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let odd = self.text.starts_with(['-', '(', '{']) && !is_special(&self.text);
        if self.literal || odd || !bare_value_is_whole(&self.text) {
            f.write_str(&quoted(&self.text))
        } else {
            f.write_str(&self.text)
        }
    }
}
