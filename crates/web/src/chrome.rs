//! What stands around every page: title, navigation, freshness, switches, cost.

use crate::assets::{Assets, assets};
use crate::format;
use crate::i18n::Messages;
use crate::reader::{Reader, Theme};
use hoplog_model::UnixNanos;
use hoplog_model::times::SECOND;

/// Data whose newest span is older than this is late.
pub(crate) const LATE: u64 = 30 * SECOND;

/// A link, ready to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) label: String,
    /// It is where the reader is, or what is chosen.
    pub(crate) current: bool,
    /// The key that presses it; empty for none.
    pub(crate) key: &'static str,
}

impl Link {
    /// A link to `href`.
    pub(crate) fn new(href: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            href: href.into(),
            label: label.into(),
            ..Self::default()
        }
    }
}

/// A small label with a meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pill {
    /// `e` failed, `w` take care, `a` for information, or nothing.
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) title: String,
    pub(crate) href: String,
}

/// How old the newest data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) text: String,
    pub(crate) late: bool,
}

/// The pages that the navigation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Requests,
    Queries,
    Pipeline,
    Elsewhere,
}

/// What every page hands to `base.html`.
#[derive(Debug, Clone)]
pub(crate) struct Chrome {
    pub(crate) t: &'static Messages,
    /// `light`, `dark`, or empty for as the system says.
    pub(crate) theme: &'static str,
    pub(crate) next_theme: &'static str,
    pub(crate) keys_off: bool,
    pub(crate) title: String,
    pub(crate) nav: Vec<Link>,
    pub(crate) fresh: Option<Fresh>,
    pub(crate) here: String,
    pub(crate) cost: String,
    pub(crate) assets: &'static Assets,
}

impl Chrome {
    /// For a page of this title; `newest` is when the newest readable span was received.
    pub(crate) fn new(
        reader: &Reader,
        place: Place,
        title: impl Into<String>,
        newest: Option<UnixNanos>,
    ) -> Self {
        let t = reader.t();
        let nav = [
            (Place::Home, "/", t.home),
            (Place::Requests, "/requests", t.requests),
            (Place::Queries, "/queries", t.queries),
            (Place::Pipeline, "/pipeline", t.pipeline),
        ];
        let link = |(other, href, label): (Place, &str, &str)| Link {
            current: other == place,
            ..Link::new(href, label)
        };
        Self {
            t,
            theme: if reader.theme == Theme::Auto {
                ""
            } else {
                reader.theme.name()
            },
            next_theme: reader.theme.next().name(),
            keys_off: reader.keys_off,
            title: title.into(),
            nav: nav.into_iter().map(link).collect(),
            fresh: Some(fresh(reader, newest)),
            here: reader.here.clone(),
            cost: String::new(),
            assets: assets(),
        }
    }

    /// With what the page cost: questions asked of the store, and nanoseconds.
    #[must_use]
    pub(crate) fn cost(mut self, questions: usize, nanos: u64) -> Self {
        let args = [
            ("n", questions.to_string().into()),
            ("time", format::duration(nanos).plain().into()),
        ];
        self.cost = self.t.text(self.t.cost, &args);
        self
    }
}

fn fresh(reader: &Reader, newest: Option<UnixNanos>) -> Fresh {
    let t = reader.t();
    match newest {
        None => Fresh {
            text: t.fresh_none.into(),
            late: true,
        },
        Some(at) => {
            let age = reader.now.saturating_sub(at);
            let text = t.text(t.fresh, &[("ago", t.age(age).into())]);
            Fresh {
                text,
                late: age > LATE,
            }
        }
    }
}

/// `GET /orders/{id}` as method and path; a name of another form is all path.
pub(crate) fn split_name(name: &str) -> (String, String) {
    const METHODS: [&str; 9] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    match name.split_once(' ') {
        Some((method, path)) if METHODS.contains(&method) && !path.is_empty() => {
            (method.into(), path.into())
        }
        _ => (String::new(), name.into()),
    }
}

/// A name, or the words for none.
pub(crate) fn named<'a>(name: &'a str, t: &'static Messages) -> &'a str {
    if name.is_empty() { t.no_name } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_names_are_split() {
        assert_eq!(split_name("GET /a b"), ("GET".into(), "/a b".into()));
        for whole in ["SELECT orders", "GET", "get /a", "shop.Orders/Place", ""] {
            assert_eq!(split_name(whole), (String::new(), whole.into()));
        }
    }

    #[test]
    fn old_data_is_late() {
        let reader = Reader::new("", "en", "/".into(), 100 * SECOND);
        assert!(fresh(&reader, None).late);
        let of = |at| fresh(&reader, Some(at));
        assert_eq!(
            of(98 * SECOND),
            Fresh {
                text: "Data to 2.0 s ago".into(),
                late: false
            }
        );
        assert_eq!(
            of(60 * SECOND),
            Fresh {
                text: "Data to 40 s ago".into(),
                late: true
            }
        );
    }
}
