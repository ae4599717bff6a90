//! Addresses of our own pages, with their parameters encoded.

use std::fmt::{self, Write};

/// A path and its parameters; `{}` prints it encoded. Parameters keep the order they came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Href {
    path: String,
    params: Vec<(String, String)>,
    fragment: String,
}

impl Href {
    /// `/` and the segments, each encoded.
    pub(crate) fn path(segments: &[&str]) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            push_encoded(&mut path, segment, |c| {
                c.is_ascii_alphanumeric() || b"-._~".contains(&c)
            });
        }
        if path.is_empty() {
            path.push('/');
        }
        Self {
            path,
            ..Self::default()
        }
    }

    /// With the parameter set to this value; an empty value takes it away.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.params.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.params.push((name.into(), value));
        }
        self
    }

    /// Without the parameters.
    #[must_use]
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.params
            .retain(|(other, _)| !names.contains(&other.as_str()));
        self
    }

    /// With `#fragment`.
    #[must_use]
    pub(crate) fn at(mut self, fragment: impl Into<String>) -> Self {
        self.fragment = fragment.into();
        self
    }

    /// The parameters, as hidden fields of a form to the same path.
    pub(crate) fn params(&self) -> &[(String, String)] {
        &self.params
    }
}

impl fmt::Display for Href {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = self.path.clone();
        for (n, (name, value)) in self.params.iter().enumerate() {
            out.push(if n == 0 { '?' } else { '&' });
            push_encoded(&mut out, name, query_safe);
            out.push('=');
            push_encoded(&mut out, value, query_safe);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            push_encoded(&mut out, &self.fragment, query_safe);
        }
        f.write_str(&out)
    }
}

impl From<Href> for String {
    fn from(href: Href) -> Self {
        href.to_string()
    }
}

/// What may stand in a query value as it is, so that an address stays readable.
fn query_safe(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"-._~:/,*@!()".contains(&c)
}

fn push_encoded(to: &mut String, text: &str, safe: impl Fn(u8) -> bool) {
    for c in text.bytes() {
        if safe(c) {
            to.push(char::from(c));
        } else {
            write!(to, "%{c:02X}").expect("a String takes everything");
        }
    }
}

/// A place to go back to after a form: a path of our own, never another site.
pub(crate) fn back(text: &str) -> &str {
    let own =
        text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\r', '\n']);
    if own && text.is_ascii() { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_and_readable() {
        let href = Href::path(&["services", "a/b", "GET /x"]).with("q", "status:error \"é\" a&b");
        assert_eq!(
            href.to_string(),
            "/services/a%2Fb/GET%20%2Fx?q=status:error%20%22%C3%A9%22%20a%26b"
        );
        assert_eq!(
            Href::path(&[]).with("t", "1h").with("t", "").to_string(),
            "/"
        );
        assert_eq!(
            Href::path(&["r"])
                .with("a", "1")
                .without(&["a"])
                .at("s1")
                .to_string(),
            "/r#s1"
        );
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(back("/requests?q=a"), "/requests?q=a");
        for bad in [
            "//evil",
            "/\\evil",
            "https://evil",
            "",
            "/a\r\nset-cookie: x",
        ] {
            assert_eq!(back(bad), "/", "{bad}");
        }
    }
}
