//! Reading characters: bare runs, quoted strings, keys, operators.

use super::paste::{is_hex, traceparent_id};

/// A place in a query's characters.
#[derive(Debug)]
pub(super) struct Scanner {
    src: Vec<char>,
    pub(super) at: usize,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self {
            src: text.chars().collect(),
            at: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.src.len()
    }

    pub(super) fn done(&self) -> bool {
        self.at >= self.src.len()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.src.get(self.at).copied()
    }

    pub(super) fn text(&self, from: usize, to: usize) -> String {
        self.src[from..to].iter().collect()
    }

    pub(super) fn skip_white(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        let mut here = self.src[self.at.min(self.src.len())..].iter();
        text.chars().all(|c| here.next() == Some(&c))
    }

    /// Takes `text` if it stands here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let there = self.looking_at(text);
        if there {
            self.at += text.chars().count();
        }
        there
    }

    /// Whether the operator word stands here by itself.
    pub(super) fn at_word(&self, word: &str) -> bool {
        let next = self.src.get(self.at + word.len());
        self.looking_at(word) && next.is_none_or(|c| c.is_whitespace() || "(){}\"|".contains(*c))
    }

    pub(super) fn at_or(&self) -> bool {
        self.at_word("OR") || self.peek() == Some('|')
    }

    /// Whether a `-` stands here that belongs to what follows it.
    pub(super) fn at_minus(&self) -> bool {
        self.peek() == Some('-')
            && self
                .src
                .get(self.at + 1)
                .is_some_and(|c| !c.is_whitespace())
    }

    /// A run without white space and quotes. Brackets are part of it while they balance, so that
    /// `/orders/{id}` needs no quotes.
    pub(super) fn bare(&mut self, stop_at_comma: bool) -> String {
        let from = self.at;
        let mut open = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '(' => open.push(')'),
                '{' => open.push('}'),
                ')' | '}' if open.last() == Some(&c) => {
                    open.pop();
                }
                ')' | '}' | '"' => break,
                ',' if stop_at_comma => break,
                c if c.is_whitespace() => break,
                _ => {}
            }
            self.at += 1;
        }
        self.text(from, self.at)
    }

    /// A quoted string, without its quotes, and whether it was closed.
    pub(super) fn quoted(&mut self) -> (String, bool) {
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return (text, true),
                '\\' => match self.peek() {
                    Some(escaped) => {
                        text.push(escaped);
                        self.at += 1;
                    }
                    None => text.push(c),
                },
                c => text.push(c),
            }
        }
        (text, false)
    }

    /// Takes a key and its colon. A URL (`word://…`) has no key.
    pub(super) fn key(&mut self) -> Option<String> {
        let first = self.peek()?;
        if !first.is_ascii_alphabetic() && first != '_' {
            return None;
        }
        let rest = &self.src[self.at..];
        let end = rest.iter().position(|c| !is_key_char(*c))?;
        let after = (rest.get(end + 1), rest.get(end + 2));
        if rest[end] != ':' || after == (Some(&'/'), Some(&'/')) {
            return None;
        }
        let from = self.at;
        self.at += end + 1;
        Some(self.text(from, from + end))
    }

    /// Takes what stands up to the next white space outside of quotes and brackets.
    pub(super) fn token(&mut self) {
        let mut open = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.quoted();
                    continue;
                }
                '(' | '{' => open += 1,
                ')' | '}' => open = open.saturating_sub(1),
                c if c.is_whitespace() && open == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Takes what is left of a token whose key is unknown: up to white space outside quotes.
    pub(super) fn rest_of_token(&mut self) {
        loop {
            let from = self.at;
            self.bare(false);
            if self.peek() == Some('"') {
                self.quoted();
            }
            if self.at == from {
                break;
            }
        }
    }
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-/".contains(c)
}

/// Whether `text` is the name of a field.
pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_key_char)
}

/// Whether a value reads as itself without quotes.
pub(super) fn bare_value_is_whole(text: &str) -> bool {
    let starts = [">", "<", "=", "~", "!="];
    bare_is_whole(text) && !starts.iter().any(|start| text.starts_with(start))
}

/// Whether a text reads as itself without quotes.
pub(super) fn bare_text_is_safe(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let is_url = scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase()));
    let means_something_else = ["OR", "AND", "NOT"].contains(&text)
        || text.starts_with(['-', '(', ')', '{', '}', '|'])
        || (text.contains(':') && !is_url)
        || (text.len() == 32 && is_hex(text))
        || traceparent_id(text).is_some()
        || (text.len() > 1 && (text.starts_with('*') || text.ends_with('*')));
    bare_is_whole(text) && !means_something_else
}

/// Whether a bare run takes all of `text`, and its brackets balance.
fn bare_is_whole(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    // A closing bracket behind it ends the run only if every bracket in it is closed.
    scanner.bare(true);
    let alone = !text.is_empty() && scanner.done();
    let mut scanner = Scanner::new(&format!("{text})"));
    scanner.bare(true);
    let mut other = Scanner::new(&format!("{text}}}"));
    other.bare(true);
    alone && scanner.at == text.chars().count() && other.at == scanner.at
}
