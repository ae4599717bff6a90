//! Which time a page is about: the last so long (`t`), or from and to.

use crate::chrome::Link;
use crate::format::{self, Zone};
use crate::reader::Reader;
use crate::url::Href;
use hoplog_model::UnixNanos;
use hoplog_model::times::{self, DAY, HOUR, MINUTE};
use hoplog_query::answers::{RequestList, Window};
use hoplog_query::lang::{format_duration, parse_duration};

/// The lengths that are one click away, as they stand in addresses.
const PRESETS: [&str; 5] = ["15m", "1h", "6h", "24h", "7d"];
/// The longest time a page looks back.
const LONGEST: u64 = 366 * DAY;

/// The parameters of an address that say which time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeParams {
    /// A length, e.g. `1h`.
    pub(crate) t: String,
    /// First instant, in any form [`instant`] reads.
    pub(crate) from: String,
    /// First instant past the end.
    pub(crate) to: String,
}

/// A time that makes no sense: the parameter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRange(pub(crate) &'static str);

/// The time of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The instants.
    pub(crate) window: Window,
    /// The length, where it ends now and moves with the reader.
    pub(crate) last: Option<u64>,
}

impl RangeParams {
    /// The instants meant; `t` counts only where neither end is given.
    pub(crate) fn resolve(&self, reader: &Reader) -> Result<Range, BadRange> {
        let end = |name, text: &str| match text.trim() {
            "" => Ok(None),
            text => instant(text, reader.zone, reader.now)
                .map(Some)
                .ok_or(BadRange(name)),
        };
        let (from, to) = (end("from", &self.from)?, end("to", &self.to)?);
        if from.is_none() && to.is_none() {
            let length = match self.t.trim() {
                "" => HOUR,
                text => parse_duration(text)
                    .filter(|t| *t > 0)
                    .ok_or(BadRange("t"))?,
            };
            let length = length.min(LONGEST);
            return Ok(Range {
                window: Window::last(length, reader.now),
                last: Some(length),
            });
        }
        let to = to.unwrap_or(reader.now);
        let from = from.unwrap_or_else(|| to.saturating_sub(HOUR));
        if from >= to {
            return Err(BadRange("to"));
        }
        Ok(Range {
            window: Window {
                from: from.max(to.saturating_sub(LONGEST)),
                to,
            },
            last: None,
        })
    }
}

impl Range {
    /// The time that was searched, where words in the query say when (`started:`, `ended:`).
    pub(crate) fn of_words(found: &RequestList) -> Option<Self> {
        let (from, to) = found.ast.as_ref()?.lower().start_bounds();
        from.or(to)?;
        let Window { from, to } = found.window;
        let from = from.max(to.saturating_sub(LONGEST));
        let window = Window { from, to };
        Some(Self { window, last: None })
    }

    /// The address with this time in it: `t` where it moves, both ends where it does not.
    pub(crate) fn on(&self, href: Href) -> Href {
        match self.last {
            Some(HOUR) => href.without(&["t", "from", "to"]),
            Some(length) => href
                .without(&["from", "to"])
                .with("t", format_duration(length)),
            None => self.frozen(href),
        }
    }

    /// The address with both ends in it: whoever opens it sees the same.
    pub(crate) fn frozen(&self, href: Href) -> Href {
        href.without(&["t"])
            .with("from", times::rfc3339(self.window.from))
            .with("to", times::rfc3339(self.window.to))
    }

    /// In words: `1 h`, `3 m 07 s`.
    pub(crate) fn length_text(&self) -> String {
        match self.window.length() {
            0 => format::duration(0).plain(),
            length if length % DAY == 0 => format!("{}\u{a0}d", length / DAY),
            length if length % HOUR == 0 => format!("{}\u{a0}h", length / HOUR),
            length if length % MINUTE == 0 => format!("{}\u{a0}m", length / MINUTE),
            length => format::duration(length).plain(),
        }
    }

    /// Nanoseconds per step of a chart of at most some 75 steps, whole minutes.
    pub(crate) fn step(&self) -> u64 {
        const MINUTES: [u64; 11] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720];
        let minutes = MINUTES
            .into_iter()
            .find(|m| self.window.length() / (m * MINUTE) <= 75);
        minutes.unwrap_or(7 * 24 * 60) * MINUTE
    }

    /// `n` labels from its start to its end, evenly spread; with days where it is longer than one.
    pub(crate) fn ticks(&self, n: u64, reader: &Reader) -> Vec<String> {
        let at = |part: u64| self.window.from + self.window.length() / (n - 1) * part;
        (0..n).map(|part| self.tick(at(part), reader)).collect()
    }

    /// An instant as precise as the range is long.
    pub(crate) fn tick(&self, at: UnixNanos, reader: &Reader) -> String {
        match self.window.length() {
            0..600_000_000_000 => reader.zone.clock(at),
            length if length <= DAY => reader.zone.minute(at),
            _ => format!(
                "{} {}",
                reader.t().day(at, reader.zone),
                reader.zone.minute(at)
            ),
        }
    }
}

/// A time as a person writes it, in their zone: RFC 3339, Unix nanoseconds, `2026-11-23 10:02:41.5`,
/// `2026-11-23`, or a time of day, which is the last one that was.
pub(crate) fn instant(text: &str, zone: Zone, now: UnixNanos) -> Option<UnixNanos> {
    if let Some(at) = times::parse(text) {
        // Short numbers are no nanoseconds of any year that matters.
        return (text.len() > 12).then_some(at);
    }
    let offset = zone.offset();
    let full = |day: &str, time: &str| {
        let time = if time.matches(':').count() == 1 {
            format!("{time}:00")
        } else {
            time.into()
        };
        times::parse(&format!("{day}T{time}{offset}"))
    };
    match text.split_once(['T', ' ']) {
        Some((day, time)) => full(day, time.trim()),
        None if text.contains(':') => {
            let today = full(&zone.date(now), text)?;
            let yesterday = || full(&zone.date(now.saturating_sub(DAY)), text);
            if today <= now + MINUTE {
                Some(today)
            } else {
                yesterday()
            }
        }
        None => full(text, "00:00"),
    }
}

/// A hidden field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The parameters of an address as hidden fields, but for some.
pub(crate) fn hidden(href: &Href, but: &[&str]) -> Vec<Hidden> {
    let kept = href
        .params()
        .iter()
        .filter(|(name, _)| !but.contains(&name.as_str()));
    kept.map(|(name, value)| Hidden {
        name: name.clone(),
        value: value.clone(),
    })
    .collect()
}

/// The control that changes the time.
#[derive(Debug, Clone)]
pub(crate) struct RangeView {
    pub(crate) label: String,
    pub(crate) span: String,
    pub(crate) links: Vec<Link>,
    /// Whether it stands inside the page's own form.
    pub(crate) in_form: bool,
    pub(crate) small: bool,
    pub(crate) action: String,
    pub(crate) hidden: Vec<Hidden>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) now: String,
}

impl RangeView {
    /// For the page at `here` (its path and other parameters).
    pub(crate) fn new(range: &Range, here: &Href, reader: &Reader) -> Self {
        let t = reader.t();
        let here = here.clone().without(&["t", "from", "to", "cursor"]);
        let name = |preset: &str| match preset {
            "15m" => t.last_15m.to_owned(),
            "1h" => t.last_1h.to_owned(),
            "6h" => t.last_6h.to_owned(),
            "24h" => t.last_24h.to_owned(),
            _ => t.last_7d.to_owned(),
        };
        let length = |preset: &str| parse_duration(preset).unwrap_or(HOUR);
        let current = PRESETS
            .into_iter()
            .find(|preset| range.last == Some(length(preset)));
        let label = match (current, range.last) {
            (Some(preset), _) => name(preset),
            (None, Some(_)) => t.text(t.last_other, &[("span", range.length_text().into())]),
            (None, None) => t.fixed_range.into(),
        };
        let link = |preset: &str| {
            let moved = Range {
                last: Some(length(preset)),
                ..*range
            };
            let (href, current) = (moved.on(here.clone()), current == Some(preset));
            Link {
                href: href.into(),
                label: name(preset),
                current,
                ..Link::default()
            }
        };
        let Window { from, to } = range.window;
        let fixed = |at: UnixNanos| match range.last {
            Some(_) => String::new(),
            None => reader
                .zone
                .machine(at)
                .replace('T', " ")
                .replace(&zone_end(reader.zone), ""),
        };
        Self {
            label,
            span: format!(
                "{}–{} {}",
                range.tick(from, reader),
                range.tick(to, reader),
                reader.zone.label()
            ),
            links: PRESETS.into_iter().map(link).collect(),
            in_form: false,
            small: true,
            action: here.clone().without(&all_names(&here)).to_string(),
            hidden: hidden(&here, &[]),
            from: fixed(from),
            to: fixed(to),
            now: reader.zone.minute(reader.now),
        }
    }
}

fn zone_end(zone: Zone) -> String {
    if zone == Zone::default() {
        "Z".into()
    } else {
        zone.offset()
    }
}

fn all_names(href: &Href) -> Vec<&str> {
    href.params()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T10:58:41.203Z
    const NOW: UnixNanos = 1_795_431_521_203_000_000;

    fn reader(zone: &str) -> Reader {
        Reader::new(&format!("zone={zone}"), "en", "/".into(), NOW)
    }

    fn params(t: &str, from: &str, to: &str) -> RangeParams {
        RangeParams {
            t: t.into(),
            from: from.into(),
            to: to.into(),
        }
    }

    #[test]
    fn times_are_read_in_the_readers_zone() {
        let korea = Zone::parse("+09:00").unwrap();
        let read = |text| instant(text, korea, NOW).map(times::rfc3339);
        for (text, meant) in [
            ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000000000Z"),
            ("2026-11-23 19:02:41.5", "2026-11-23T10:02:41.500000000Z"),
            ("2026-11-23", "2026-11-22T15:00:00.000000000Z"),
            ("19:30", "2026-11-23T10:30:00.000000000Z"),
            ("23:00", "2026-11-22T14:00:00.000000000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meant), "{text}");
        }
        for bad in ["yesterday", "10", "25:00", "2026-13-01", ":"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_relative_time_stays_relative_and_a_fixed_one_fixed() {
        let reader = reader("UTC");
        let hour = params("", "", "").resolve(&reader).unwrap();
        assert_eq!(hour.on(Href::path(&["requests"])).to_string(), "/requests");
        let day = params("24h", "", "").resolve(&reader).unwrap();
        assert_eq!(
            day.on(Href::path(&["requests"])).to_string(),
            "/requests?t=1d"
        );
        assert_eq!(day.window.length(), DAY);
        let fixed = params("1h", "10:00", "10:30").resolve(&reader).unwrap();
        assert_eq!(fixed.last, None);
        assert_eq!(fixed.window.length(), 30 * MINUTE);
        assert!(
            fixed
                .on(Href::path(&[]))
                .to_string()
                .contains("from=2026-11-23T10:00:00")
        );
        assert_eq!(
            params("", "10:30", "10:00").resolve(&reader),
            Err(BadRange("to"))
        );
        assert_eq!(params("soon", "", "").resolve(&reader), Err(BadRange("t")));
    }

    #[test]
    fn charts_have_a_bounded_number_of_steps() {
        let reader = reader("UTC");
        for t in ["1m", "15m", "1h", "6h", "24h", "7d", "30d", "366d"] {
            let range = params(t, "", "").resolve(&reader).unwrap();
            let steps = range.window.length() / range.step();
            assert!(steps <= 75, "{t}: {steps}");
        }
    }

    #[test]
    fn the_control_names_the_time() {
        let reader = reader("+09:00");
        let range = params("", "", "").resolve(&reader).unwrap();
        let view = RangeView::new(&range, &Href::path(&["requests"]).with("q", "a"), &reader);
        assert_eq!(
            (view.label.as_str(), view.span.as_str()),
            ("Last 1 hour", "18:58–19:58 UTC+9")
        );
        assert_eq!(
            view.hidden,
            [Hidden {
                name: "q".into(),
                value: "a".into()
            }]
        );
        assert_eq!(view.links[0].href, "/requests?q=a&t=15m");
    }
}
