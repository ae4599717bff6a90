//! `/settings`: how this browser shows hoplog. Forms set cookies; nothing is kept here.

use crate::Web;
use crate::chrome::{Chrome, Place};
use crate::failure::respond;
use crate::format::Zone;
use crate::i18n::{Lang, Messages};
use crate::reader::{Reader, Theme};
use crate::url::back;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/settings.html")]
pub(crate) struct SettingsPage {
    c: Chrome,
    choices: Vec<Choice>,
    zone: String,
    now: String,
    keys: Vec<Key>,
}

/// One of several.
#[derive(Debug)]
struct Choice {
    name: &'static str,
    title: &'static str,
    hint: &'static str,
    options: Vec<ChoiceOption>,
}

/// One of them.
#[derive(Debug)]
struct ChoiceOption {
    value: &'static str,
    label: &'static str,
    selected: bool,
}

/// A key and what it does.
#[derive(Debug)]
struct Key {
    keys: &'static [&'static str],
    does: &'static str,
}

pub(crate) async fn get(State(web): State<Web>, reader: Reader) -> Response {
    let c = Chrome::new(&reader, Place::Elsewhere, reader.t().settings, web.newest());
    respond(&reader, Ok(view(c, &reader)))
}

fn view(c: Chrome, reader: &Reader) -> SettingsPage {
    let t = reader.t();
    let option = |value, label, selected| ChoiceOption {
        value,
        label,
        selected,
    };
    let themes = [
        (Theme::Auto, t.theme_auto),
        (Theme::Light, t.theme_light),
        (Theme::Dark, t.theme_dark),
    ];
    let themes = themes
        .into_iter()
        .map(|(theme, label)| option(theme.name(), label, theme == reader.theme));
    let mut langs = vec![option("auto", t.language_auto, !reader.lang_chosen)];
    langs.extend(Lang::ALL.into_iter().map(|lang| {
        let name = own_name(lang);
        option(
            lang.messages().lang,
            name,
            reader.lang_chosen && lang == reader.lang,
        )
    }));
    let keys = vec![
        option("on", t.keys_on, !reader.keys_off),
        option("off", t.keys_off, reader.keys_off),
    ];
    let now = format!("{} {}", reader.zone.clock(reader.now), reader.zone.label());
    SettingsPage {
        c,
        choices: vec![
            Choice {
                name: "theme",
                title: t.theme,
                hint: "",
                options: themes.collect(),
            },
            Choice {
                name: "lang",
                title: t.language,
                hint: "",
                options: langs,
            },
            Choice {
                name: "keys",
                title: t.keys,
                hint: t.keys_hint,
                options: keys,
            },
        ],
        zone: if reader.zone_chosen {
            zone_text(reader.zone)
        } else {
            String::new()
        },
        now: t.text(t.zone_now, &[("time", now.into())]),
        keys: key_list(t),
    }
}

/// A language's name in itself: the other catalogue holds it.
fn own_name(lang: Lang) -> &'static str {
    let other = Lang::ALL
        .into_iter()
        .find(|other| *other != lang)
        .unwrap_or_default();
    other.messages().other_name
}

fn zone_text(zone: Zone) -> String {
    if zone == Zone::default() {
        "UTC".into()
    } else {
        zone.offset()
    }
}

fn key_list(t: &'static Messages) -> Vec<Key> {
    vec![
        Key {
            keys: &["/"],
            does: t.key_query,
        },
        Key {
            keys: &["g"],
            does: t.key_id,
        },
        Key {
            keys: &["j", "k"],
            does: t.key_rows,
        },
        Key {
            keys: &["h", "l"],
            does: t.key_fold,
        },
        Key {
            keys: &["e"],
            does: t.next_error,
        },
        Key {
            keys: &["E"],
            does: t.previous_error,
        },
        Key {
            keys: &["n", "N"],
            does: t.key_next_path,
        },
        Key {
            keys: &["o", "p", "]", "["],
            does: t.key_views,
        },
        Key {
            keys: &["y"],
            does: t.key_copy,
        },
        Key {
            keys: &["?"],
            does: t.key_help,
        },
        Key {
            keys: &["Esc"],
            does: t.key_close,
        },
    ]
}

/// Sets a cookie per known field and goes back; what makes no sense is left as it was.
pub(crate) async fn post(Form(fields): Form<Vec<(String, String)>>) -> Response {
    let cookies: Vec<_> = fields
        .iter()
        .filter_map(|(name, value)| cookie(name, value))
        .collect();
    let to = fields
        .iter()
        .find(|(name, _)| name == "back")
        .map_or("/", |(_, value)| back(value));
    let set = cookies.into_iter().map(|cookie| (SET_COOKIE, cookie));
    (AppendHeaders(set.collect::<Vec<_>>()), Redirect::to(to)).into_response()
}

fn cookie(name: &str, value: &str) -> Option<String> {
    const YEAR: &str = "Max-Age=31536000";
    const AWAY: &str = "Max-Age=0";
    let value = value.trim();
    let (value, age) = match name {
        "theme" => (Theme::parse(value)?.name().to_owned(), YEAR),
        "lang" if value == "auto" => (String::new(), AWAY),
        "lang" => (Lang::parse(value)?.messages().lang.to_owned(), YEAR),
        "keys" if matches!(value, "on" | "off") => (value.to_owned(), YEAR),
        "zone" if value.is_empty() => (String::new(), AWAY),
        "zone" => (zone_text(Zone::parse(value)?), YEAR),
        _ => return None,
    };
    // Not HttpOnly: the script that spares the round trip sets the same cookies.
    Some(format!("{name}={value}; Path=/; SameSite=Lax; {age}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sense_becomes_a_cookie() {
        let set = |name, value| cookie(name, value);
        assert_eq!(
            set("theme", "dark").as_deref(),
            Some("theme=dark; Path=/; SameSite=Lax; Max-Age=31536000")
        );
        assert_eq!(
            set("zone", "+9").as_deref(),
            Some("zone=+09:00; Path=/; SameSite=Lax; Max-Age=31536000")
        );
        assert_eq!(
            set("zone", "").as_deref(),
            Some("zone=; Path=/; SameSite=Lax; Max-Age=0")
        );
        for (name, value) in [
            ("theme", "x; y"),
            ("zone", "Seoul"),
            ("back", "/"),
            ("other", "a"),
        ] {
            assert_eq!(set(name, value), None);
        }
    }
}
