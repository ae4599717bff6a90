//! Sentences with names, links and emphasis in them, from a catalogue's templates.
//!
//! A template is text with `**bold**`, `` `code` `` and placeholders:
//!
//! - `{name}`: the argument of that name;
//! - `{n?span|spans}`: the first form where argument `n` prints `1`, else the second;
//! - `{name:을/를}`: the argument, then the Korean particle that its last sound asks for;
//! - `{~name:을/를}`: only the particle.

use std::fmt;

/// HTML made by this crate: every part that came from outside is escaped in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// `text` with what HTML minds escaped.
    pub fn escape(text: &str) -> Self {
        let mut html = String::with_capacity(text.len());
        push_escaped(&mut html, text);
        Self(html)
    }

    /// Markup written in this crate's source: never pass what came from outside.
    pub(crate) fn trusted(markup: impl Into<String>) -> Self {
        Self(markup.into())
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::FastWritable for Html {
    fn write_into(&self, to: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(to.write_str(&self.0)?)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// What stands in for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// Text, escaped.
    Text(String),
    /// A link: address, then its text; both escaped.
    Link(String, String),
    /// Markup made by [`html`] before.
    Html(Html),
}

impl Arg {
    /// A link to `href`.
    pub fn link(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Link(href.into(), text.into())
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Link(_, text) => text,
            Self::Html(html) => html.as_str(),
        }
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Html> for Arg {
    fn from(html: Html) -> Self {
        Self::Html(html)
    }
}

/// A template as HTML. A placeholder without argument prints its name: a test catches it.
pub fn html(template: &str, args: &[(&str, Arg)]) -> Html {
    let (mut out, mut bold, mut code) = (String::with_capacity(template.len() * 2), false, false);
    for token in tokens(template) {
        match token {
            Token::Text(text) => push_escaped(&mut out, text),
            Token::Bold => {
                out.push_str(if bold { "</b>" } else { "<b>" });
                bold = !bold;
            }
            Token::Code => {
                out.push_str(if code { "</code>" } else { "<code>" });
                code = !code;
            }
            Token::Hole(hole) => match hole.arg(args) {
                Some(Arg::Html(html)) if hole.is_plain() => out.push_str(html.as_str()),
                Some(Arg::Link(href, text)) if hole.is_plain() => {
                    out.push_str("<a href=\"");
                    push_escaped(&mut out, href);
                    out.push_str("\">");
                    push_escaped(&mut out, text);
                    out.push_str("</a>");
                    out.push_str(hole.particle(text));
                }
                _ => push_escaped(&mut out, &hole.print(args)),
            },
        }
    }
    Html(out)
}

/// A template as text, without its markup: for titles and labels.
pub fn text(template: &str, args: &[(&str, Arg)]) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    for token in tokens(template) {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Bold | Token::Code => {}
            Token::Hole(hole) => out.push_str(&hole.print(args)),
        }
    }
    out
}

/// Names of a template's placeholders, in order of first use; for the test of the catalogues.
pub fn holes(template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for token in tokens(template) {
        if let Token::Hole(hole) = token
            && !names.contains(&hole.name)
        {
            names.push(hole.name);
        }
    }
    names
}

fn push_escaped(to: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            c => to.push(c),
        }
    }
}

struct Hole<'a> {
    name: &'a str,
    particle_only: bool,
    forms: Option<(&'a str, &'a str)>,
    particles: Option<(&'a str, &'a str)>,
}

impl<'a> Hole<'a> {
    fn parse(inside: &'a str) -> Self {
        if let Some((name, forms)) = inside.split_once('?') {
            Self {
                name,
                particle_only: false,
                forms: forms.split_once('|'),
                particles: None,
            }
        } else if let Some((name, particles)) = inside.split_once(':') {
            let (name, particle_only) = match name.strip_prefix('~') {
                Some(name) => (name, true),
                None => (name, false),
            };
            Self {
                name,
                particle_only,
                forms: None,
                particles: particles.split_once('/'),
            }
        } else {
            Self {
                name: inside,
                particle_only: false,
                forms: None,
                particles: None,
            }
        }
    }

    /// Whether the argument itself is printed.
    fn is_plain(&self) -> bool {
        self.forms.is_none() && !self.particle_only
    }

    fn arg<'b>(&self, args: &'b [(&str, Arg)]) -> Option<&'b Arg> {
        args.iter()
            .find(|(name, _)| *name == self.name)
            .map(|(_, arg)| arg)
    }

    fn particle(&self, text: &str) -> &'a str {
        self.particles.map_or(
            "",
            |(closed, open)| if ends_closed(text) { closed } else { open },
        )
    }

    fn print(&self, args: &[(&str, Arg)]) -> String {
        let Some(arg) = self.arg(args) else {
            return format!("{{{}}}", self.name);
        };
        let text = arg.text();
        match self.forms {
            Some((one, many)) => String::from(if text == "1" { one } else { many }),
            None if self.particle_only => String::from(self.particle(text)),
            None => {
                let mut out = String::from(text);
                out.push_str(self.particle(text));
                out
            }
        }
    }
}

enum Token<'a> {
    Text(&'a str),
    Bold,
    Code,
    Hole(Hole<'a>),
}

/// Cuts a template; a `{` that is never closed is text.
fn tokens(template: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("**") {
            rest = after;
            return Some(Token::Bold);
        }
        if let Some(after) = rest.strip_prefix('`') {
            rest = after;
            return Some(Token::Code);
        }
        if let Some((inside, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            rest = after;
            return Some(Token::Hole(Hole::parse(inside)));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let more = rest.get(first..).unwrap_or("");
        let end = more
            .find(['*', '`', '{'])
            .map_or(rest.len(), |at| at + first);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Token::Text(text))
    })
}

/// Whether a Korean reader hears a consonant at the end of `text`. Exact for Hangul and digits, a
/// good guess for Latin names (`gateway` ends open, `checkout` closed).
fn ends_closed(text: &str) -> bool {
    let mut from_end = text.chars().rev().filter(|c| c.is_alphanumeric());
    let Some(last) = from_end.next() else {
        return false;
    };
    match last.to_ascii_lowercase() {
        '가'..='힣' => !(u32::from(last) - u32::from('가')).is_multiple_of(28),
        '0' | '1' | '3' | '6' | '7' | '8' | 'l' | 'm' | 'n' => true,
        'b' | 'c' | 'k' | 'p' | 't' => from_end
            .next()
            .is_some_and(|c| "aeiou".contains(c.to_ascii_lowercase())),
        'g' => from_end.next() == Some('n'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_is_escaped_and_templates_make_markup() {
        let made = html(
            "**{a}** ran `{b}` {n} {n?time|times}",
            &[
                ("a", "<x>".into()),
                ("b", Arg::link("/r?a=1&b", "q'")),
                ("n", "2".into()),
            ],
        );
        assert_eq!(
            made.as_str(),
            "<b>&lt;x&gt;</b> ran <code><a href=\"/r?a=1&amp;b\">q&#39;</a></code> 2 times"
        );
    }

    #[test]
    fn text_has_no_markup() {
        assert_eq!(
            text(
                "**{a}** of {n?one|many}",
                &[("a", "x".into()), ("n", "1".into())]
            ),
            "x of one"
        );
        assert_eq!(text("open { brace", &[]), "open { brace");
    }

    #[test]
    fn korean_particles_follow_the_last_sound() {
        for (name, particle) in [
            ("payment-gateway", "를"),
            ("checkout", "을"),
            ("은행", "을"),
            ("주소", "를"),
            ("web", "을"),
            ("orders", "를"),
            ("v2.31.0", "을"),
            ("billing", "을"),
        ] {
            let said = text("{s:을/를}", &[("s", name.into())]);
            assert_eq!(said, format!("{name}{particle}"));
        }
    }

    #[test]
    fn a_particle_may_stand_alone() {
        let args = [("s", Arg::link("/x", "checkout"))];
        let said = html("**{s}**{~s:을/를}", &args);
        assert_eq!(said.as_str(), "<b><a href=\"/x\">checkout</a></b>을");
    }

    #[test]
    fn holes_are_listed_once() {
        assert_eq!(holes("{a} {b?x|y} {a} {c:이/가}"), ["a", "b", "c"]);
    }
}
