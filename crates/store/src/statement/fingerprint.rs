//! A statement's text without what differs from call to call.
//!
//! Literals and placeholders become `?`, comments go, white space becomes one space, equal neighbours of
//! a comma list that hold a `?` become one (`IN (1, 2, 3)`, the rows of `VALUES`). Names, operators
//! and the case of keywords stay. `NULL`, `TRUE`, `FALSE` and `DEFAULT` are literals where they are an
//! element of a list and stay elsewhere (`IS NULL`). A text in double quotes is a name, as in
//! standard SQL, but where JSON has values (behind `:` and in `[ ]`).
//!
//! It never fails: what is no SQL is read as if it were, and what has no end (a quote) ends with the text,
//! so that nothing of a literal is left in sight.

use std::borrow::Cow;
use std::ops::Range;
use twox_hash::XxHash3_64;

/// Longest fingerprint in bytes. A longer one is cut and ends with the hash of the whole.
pub const BYTES_MAX: usize = 512;

/// Bytes of `… #` and 16 digits.
const TAIL: usize = 21;

/// Brackets within brackets that are looked into; those further in are text like any other.
const DEPTH_MAX: usize = 64;

/// Longest tag of a dollar quote in bytes.
const TAG_MAX: usize = 64;

/// Words behind which a sign belongs to the number that follows.
const BEFORE_SIGNS: [&[u8]; 16] = [
    b"and", b"or", b"between", b"like", b"in", b"then", b"else", b"when", b"select", b"return",
    b"limit", b"offset", b"values", b"not", b"by", b"is",
];

/// The text as all calls of the statement have it; empty if there is nothing but comments.
pub fn fingerprint(text: &str) -> String {
    let mut read = Reading::of(text.as_bytes(), false);
    if read.is_open {
        // Where a backslash escapes a quote (MySQL), the text makes more sense so.
        let escaped = Reading::of(text.as_bytes(), true);
        if !escaped.is_open {
            read = escaped;
        }
    }
    bounded(String::from_utf8_lossy(&read.out))
}

/// At most [`BYTES_MAX`] bytes of a text.
pub(super) fn bounded(text: Cow<'_, str>) -> String {
    if text.len() <= BYTES_MAX {
        return text.into_owned();
    }
    let hash = XxHash3_64::oneshot(text.as_bytes());
    let mut end = BYTES_MAX - TAIL;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… #{hash:016x}", text.get(..end).unwrap_or_default())
}

/// A comma list on its way: the statement itself, or what is in brackets.
#[derive(Debug, Default)]
struct List {
    /// Where its current element begins in the output.
    start: usize,
    /// The element before.
    last: Option<Range<usize>>,
    is_square: bool,
}

struct Reading<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The innermost list last; never empty.
    lists: Vec<List>,
    /// Whether white space or a comment was passed since the last token.
    is_apart: bool,
    /// Whether a quote had no end.
    is_open: bool,
    has_escapes: bool,
}

impl<'a> Reading<'a> {
    fn of(text: &'a [u8], has_escapes: bool) -> Self {
        let mut reading = Self {
            text,
            at: 0,
            out: Vec::with_capacity(text.len().min(2 * BYTES_MAX)),
            lists: vec![List::default()],
            is_apart: false,
            is_open: false,
            has_escapes,
        };
        while let Some(byte) = reading.peek(0) {
            reading.token(byte);
        }
        reading.settle();
        while let [.., b';' | b' '] = reading.out[..] {
            reading.out.pop();
        }
        reading
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Bytes of a kind from here, after the first `from`.
    fn count(&self, from: usize, is_kind: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest().get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| is_kind(**byte)).count()
    }

    fn token(&mut self, byte: u8) {
        match byte {
            _ if byte.is_ascii_whitespace() => {
                self.at += 1;
                self.is_apart = true;
            }
            b'-' if self.peek(1) == Some(b'-') => {
                self.at += self.count(0, |byte| byte != b'\n');
                self.is_apart = true;
            }
            b'/' if self.peek(1) == Some(b'*') => self.comment(),
            b'\'' => self.literal(0, self.has_escapes),
            b'"' if self.is_value_in_json() => {
                let len = self.quoted(0, b'"', true);
                self.value(len);
            }
            b'"' | b'`' => {
                let len = self.quoted(0, byte, false);
                self.text(len);
            }
            b'0'..=b'9' => self.number(0),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) && !self.is_joined() => {
                self.number(1);
            }
            b'-' | b'+' if self.is_sign() => self.number(1),
            b'?' => {
                let digits = self.count(1, |byte| byte.is_ascii_digit());
                self.value(1 + digits);
            }
            b'$' => self.dollar(),
            b':' | b'@' | b'%' if self.placeholder() > 0 => self.value(self.placeholder()),
            b'(' | b'[' => self.open(byte),
            b')' | b']' => self.close(byte),
            b',' => self.comma(),
            b';' => {
                self.settle();
                self.text(1);
            }
            _ if is_name(byte) => self.word(),
            // Operators; `::` and `@@` at once, so that no half of them looks like a placeholder.
            _ if self.peek(1) == Some(byte) && matches!(byte, b':' | b'@') => self.text(2),
            _ => self.text(1),
        }
    }

    /// PostgreSQL's can be nested.
    fn comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => (self.at, depth) = (self.at + 2, depth + 1),
                (b'*', Some(b'/')) => (self.at, depth) = (self.at + 2, depth - 1),
                _ => self.at += 1,
            }
            if depth == 0 {
                break;
            }
        }
        self.is_apart = true;
    }

    /// How long a quoted text is that begins after `from` bytes; a doubled quote is one of its characters.
    fn quoted(&mut self, from: usize, quote: u8, has_escapes: bool) -> usize {
        let mut len = from + 1;
        loop {
            match self.peek(len) {
                None => {
                    self.is_open = true;
                    return self.rest().len();
                }
                Some(b'\\') if has_escapes => len += 2,
                Some(byte) if byte == quote => {
                    len += 1;
                    if self.peek(len) != Some(quote) {
                        return len;
                    }
                    len += 1;
                }
                Some(_) => len += 1,
            }
        }
    }

    /// A text in single quotes behind a prefix of so many bytes.
    fn literal(&mut self, prefix: usize, has_escapes: bool) {
        let len = self.quoted(prefix, b'\'', has_escapes);
        self.value(len);
    }

    /// A number behind a sign or point of so many bytes.
    fn number(&mut self, before: usize) {
        let mut len = before;
        while let Some(byte) = self.peek(len) {
            let is_exponent = matches!(byte, b'+' | b'-')
                && len > 0
                && matches!(self.peek(len - 1), Some(b'e' | b'E'))
                && self.peek(len + 1).is_some_and(|b| b.is_ascii_digit())
                && !matches!(self.rest(), [b'0', b'x' | b'X', ..]);
            if !(is_exponent || byte == b'.' || is_name(byte)) {
                break;
            }
            len += 1;
        }
        self.value(len);
    }

    /// Whether a sign is here that belongs to a number: not one between two operands.
    fn is_sign(&self) -> bool {
        let is_number = match (self.peek(1), self.peek(2)) {
            (Some(b'.'), Some(next)) | (Some(next), _) => next.is_ascii_digit(),
            (None, _) => false,
        };
        let before = trimmed(&self.out);
        is_number
            && match before.last() {
                None => true,
                Some(byte) if is_name(*byte) => {
                    let start = before.iter().rposition(|byte| !is_name(*byte));
                    let word = &before[start.map_or(0, |start| start + 1)..];
                    BEFORE_SIGNS
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(word))
                }
                Some(byte) => !matches!(byte, b'?' | b')' | b']' | b'"' | b'`'),
            }
    }

    /// `$1`, `$tag$ … $tag$`, or a dollar.
    fn dollar(&mut self) {
        let digits = self.count(1, |byte| byte.is_ascii_digit());
        if digits > 0 {
            return self.value(1 + digits);
        }
        let tag = 1 + self.count(1, |byte| byte != b'$' && is_name(byte));
        if self.peek(tag) != Some(b'$') || tag > TAG_MAX {
            return self.text(1);
        }
        let (quote, rest) = self.rest().split_at(tag + 1);
        let end = rest.windows(quote.len()).position(|some| some == quote);
        self.is_open |= end.is_none();
        self.value(end.map_or(self.rest().len(), |end| end + 2 * quote.len()));
    }

    /// How long the placeholder here is, 0 if there is none: `:name`, `:1`, `@name`, `%s`, `%(name)s`.
    fn placeholder(&self) -> usize {
        if self.is_joined() {
            return 0;
        }
        let name = self.count(1, |byte| is_name(byte) && byte != b'$');
        match self.rest() {
            [b':' | b'@', ..] if name > 0 => 1 + name,
            [b'%', b's', ..] if name == 1 => 2,
            [b'%', b'(', ..] => {
                let name = self.count(2, is_name);
                let is_whole = matches!(self.rest().get(2 + name..), Some([b')', b's', ..]));
                if is_whole { name + 4 } else { 0 }
            }
            _ => 0,
        }
    }

    /// Whether the token before ends right here and is a name, value or bracket, so that this goes on with it.
    fn is_joined(&self) -> bool {
        let ends = |byte: &u8| is_name(*byte) || matches!(byte, b'?' | b')' | b']' | b'"' | b'`');
        !self.is_apart && self.out.last().is_some_and(ends)
    }

    /// Whether a double-quoted text here is one of JSON's values.
    fn is_value_in_json(&self) -> bool {
        match trimmed(&self.out).last() {
            Some(b':' | b'[') => true,
            Some(b',') => self.list().is_square,
            _ => false,
        }
    }

    fn word(&mut self) {
        let len = self.count(0, is_name);
        let word = self.rest().get(..len).unwrap_or_default();
        match self.rest().get(len..) {
            Some([b'\'', ..]) if is_one_of(word, &[b"e"]) => return self.literal(len, true),
            Some([b'\'', ..]) if is_one_of(word, &[b"b", b"n", b"r", b"x"]) => {
                return self.literal(len, self.has_escapes);
            }
            Some([b'&', b'\'', ..]) if is_one_of(word, &[b"u"]) => {
                return self.literal(len + 1, false);
            }
            _ => {}
        }
        if is_one_of(word, &[b"null", b"true", b"false", b"default"]) && self.is_element(len) {
            return self.value(len);
        }
        if self.out.last() == Some(&b')') {
            // The last row of `VALUES`, say.
            self.settle();
        }
        self.text(len);
        if is_one_of(word, &[b"values", b"value"]) {
            // The first row is an element like those that follow.
            let start = self.out.len();
            let list = self.list_mut();
            (list.start, list.last) = (start, None);
        }
    }

    /// Whether a word of this length is the whole element of a list in brackets.
    fn is_element(&self, len: usize) -> bool {
        let spaces = self.count(len, |byte| byte.is_ascii_whitespace());
        let ends = matches!(self.peek(len + spaces), Some(b',' | b')' | b']'));
        ends && self.lists.len() > 1 && trimmed(&self.out).len() <= self.list().start
    }

    /// Puts the next bytes out as they are.
    fn text(&mut self, len: usize) {
        self.space();
        let rest = self.rest();
        self.out.extend_from_slice(rest.get(..len).unwrap_or(rest));
        self.at += len;
    }

    /// Puts out a `?` for the next bytes.
    fn value(&mut self, len: usize) {
        self.space();
        self.out.push(b'?');
        self.at += len;
    }

    /// The space before a token.
    fn space(&mut self) {
        let is_apart = std::mem::take(&mut self.is_apart);
        if is_apart && !matches!(self.out.last(), None | Some(b' ' | b'(' | b'[')) {
            self.out.push(b' ');
        }
    }

    fn open(&mut self, bracket: u8) {
        self.text(1);
        if self.lists.len() < DEPTH_MAX {
            self.lists.push(List {
                start: self.out.len(),
                last: None,
                is_square: bracket == b'[',
            });
        }
    }

    fn close(&mut self, bracket: u8) {
        let is_square = bracket == b']';
        if self.lists.len() > 1 && self.list().is_square == is_square {
            self.settle();
            self.lists.pop();
        }
        self.is_apart = false;
        self.trim();
        self.text(1);
    }

    fn comma(&mut self) {
        self.settle();
        self.is_apart = false;
        self.trim();
        let end = self.out.len();
        let start = self.list().start.min(end);
        let list = self.list_mut();
        if start < end {
            list.last = Some(start..end);
        }
        self.text(1);
        self.out.push(b' ');
        let start = self.out.len();
        self.list_mut().start = start;
    }

    /// Takes the current element out again if it is that before once more.
    fn settle(&mut self) {
        let list = self.list();
        let Some(last) = list.last.clone() else {
            return;
        };
        let this = self.out.get(list.start..).unwrap_or_default();
        let before = self.out.get(last.clone()).unwrap_or_default();
        let is_same = this.contains(&b'?') && this.trim_ascii() == before.trim_ascii();
        if is_same {
            self.out.truncate(last.end);
            let list = self.list_mut();
            (list.start, list.last) = (last.start, None);
        }
    }

    /// Takes back white space.
    fn trim(&mut self) {
        let len = trimmed(&self.out).len();
        self.out.truncate(len);
    }

    fn list(&self) -> &List {
        self.lists
            .last()
            .expect("the statement's own is never taken")
    }

    fn list_mut(&mut self) -> &mut List {
        self.lists
            .last_mut()
            .expect("the statement's own is never taken")
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_end()
}

fn is_one_of(word: &[u8], known: &[&[u8]]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether a byte can be in a name; all letters but ASCII's can.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}
