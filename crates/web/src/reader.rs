//! Who is reading: language, theme, zone and keys from cookies, and where they are.

use crate::Web;
use crate::format::Zone;
use crate::i18n::{Lang, Messages};
use axum::extract::FromRequestParts;
use hoplog_model::UnixNanos;
use http::header;
use http::request::Parts;
use std::convert::Infallible;

/// How pages are lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system says.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Its name in the cookie, `auto`, `light` or `dark`; none for any other.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark]
            .into_iter()
            .find(|theme| theme.name() == name)
    }

    /// Its name in the cookie.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the switch in the top bar goes to where there is no script to ask the system.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Auto => Self::Dark,
            Self::Dark => Self::Light,
            Self::Light => Self::Auto,
        }
    }
}

/// The reader of a page.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Language.
    pub lang: Lang,
    /// Whether the language was chosen, not guessed from the browser.
    pub lang_chosen: bool,
    /// Theme.
    pub theme: Theme,
    /// Whether single-letter keys are off.
    pub keys_off: bool,
    /// Time zone.
    pub zone: Zone,
    /// Whether the zone was chosen, not guessed by the script.
    pub zone_chosen: bool,
    /// The present.
    pub now: UnixNanos,
    /// Path and query of the page, to come back to after a form.
    pub here: String,
}

impl Reader {
    /// The texts in the reader's language.
    pub fn t(&self) -> &'static Messages {
        self.lang.messages()
    }

    /// From the headers `Cookie` and `Accept-Language`; what is missing or strange is left at its
    /// default.
    pub fn new(cookies: &str, languages: &str, here: String, now: UnixNanos) -> Self {
        let value = |name: &str| {
            cookies
                .split(';')
                .filter_map(|pair| pair.trim().split_once('='))
                .find_map(|(other, value)| (other == name).then_some(value))
        };
        let chosen = value("lang").and_then(Lang::parse);
        let zone = value("zone").unwrap_or("");
        let (zone, zone_chosen) = match zone.strip_prefix("auto") {
            Some(zone) => (Zone::parse(zone), false),
            None => (Zone::parse(zone), !zone.is_empty()),
        };
        Self {
            lang: chosen
                .or_else(|| Lang::accepted(languages))
                .unwrap_or_default(),
            lang_chosen: chosen.is_some(),
            theme: value("theme").and_then(Theme::parse).unwrap_or_default(),
            keys_off: value("keys") == Some("off"),
            zone_chosen: zone_chosen && zone.is_some(),
            zone: zone.unwrap_or_default(),
            now,
            here,
        }
    }
}

impl FromRequestParts<Web> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let text = |name: header::HeaderName| {
            let values = parts
                .headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(";")
        };
        let here = parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let (cookies, languages) = (text(header::COOKIE), text(header::ACCEPT_LANGUAGE));
        Ok(Self::new(&cookies, &languages, here.into(), web.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_win_over_the_browser() {
        let reader = Reader::new("theme=dark; lang=ko; keys=off; zone=%", "en", "/".into(), 0);
        assert_eq!((reader.lang, reader.theme), (Lang::Ko, Theme::Dark));
        assert!(reader.keys_off && !reader.zone_chosen);
        let reader = Reader::new("zone=auto+09:00; theme=pink", "ko-KR", "/".into(), 0);
        assert_eq!(
            (reader.lang, reader.theme, reader.zone.label()),
            (Lang::Ko, Theme::Auto, "UTC+9".into())
        );
        assert!(!reader.zone_chosen && !reader.lang_chosen);
    }
}
