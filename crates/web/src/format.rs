//! Numbers as people read them: durations, counts, shares, sizes, times.
//!
//! Durations have at most three significant digits and one unit (`9.4 ms`, `96 ms`, `1.84 s`,
//! `3 m 07 s`). A no-break space stands before every unit.

use hoplog_model::UnixNanos;
use hoplog_model::times::{DAY, HOUR, MINUTE, SECOND};
use std::fmt;
use time::{OffsetDateTime, UtcOffset};

/// The no-break space between a number and its unit.
const GAP: char = '\u{a0}';

/// A number and its unit, kept apart so that columns can give units their own gutter.
///
/// `{}` prints HTML, the unit in a `span`; [`Amount::plain`] prints text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amount {
    /// Digits, perhaps with a `<` before them.
    pub value: String,
    /// The unit, ready to print; may be empty.
    pub unit: &'static str,
}

impl Amount {
    fn new(value: impl Into<String>, unit: &'static str) -> Self {
        Self {
            value: value.into(),
            unit,
        }
    }

    /// For titles and labels: `1.84 s`.
    pub fn plain(&self) -> String {
        if self.unit.is_empty() {
            self.value.clone()
        } else {
            format!("{}{GAP}{}", self.value, self.unit)
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "<0.01" is the one value with a character that HTML minds.
        let (less, digits) = match self.value.strip_prefix('<') {
            Some(digits) => ("&lt;", digits),
            None => ("", self.value.as_str()),
        };
        write!(f, "{less}{digits}<span class=\"u\">{}</span>", self.unit)
    }
}

impl askama::FastWritable for Amount {
    fn write_into(&self, to: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(write!(to, "{self}")?)
    }
}

impl askama::filters::HtmlSafe for Amount {}

/// A duration with at most three significant digits.
pub fn duration(nanos: u64) -> Amount {
    match nanos {
        0 => Amount::new("0", "µs"),
        1..1_000 => Amount::new(nanos.to_string(), "ns"),
        1_000..999_500 => Amount::new(short(nanos, 1_000, 1), "µs"),
        999_500..999_500_000 => Amount::new(short(nanos, 1_000_000, 1), "ms"),
        999_500_000..59_950_000_000 => Amount::new(short(nanos, SECOND, 2), "s"),
        _ => long_duration(nanos),
    }
}

/// `9.4`, `96`, `412` for `most` 1; `1.84`, `12.4`, `412` for 2: decimals go as digits come.
fn short(nanos: u64, unit: u64, most: usize) -> String {
    for decimals in (0..=most).rev() {
        let text = fixed(nanos, unit, decimals);
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits <= most + 1 || decimals == 0 {
            return text;
        }
    }
    String::new()
}

/// `nanos / unit`, rounded half up to `decimals` places.
fn fixed(nanos: u64, unit: u64, decimals: usize) -> String {
    let scale = 10_u128.pow(u32::try_from(decimals).unwrap_or(0));
    let scaled = (u128::from(nanos) * scale * 2 + u128::from(unit)) / (2 * u128::from(unit));
    if decimals == 0 {
        scaled.to_string()
    } else {
        format!("{}.{:0decimals$}", scaled / scale, scaled % scale)
    }
}

fn long_duration(nanos: u64) -> Amount {
    let seconds = nanos.saturating_add(SECOND / 2) / SECOND;
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    match seconds {
        0..3_600 => Amount::new(format!("{minutes}{GAP}m{GAP}{:02}", seconds % 60), "s"),
        3_600..86_400 => Amount::new(format!("{hours}{GAP}h{GAP}{:02}", minutes % 60), "m"),
        _ => Amount::new(format!("{}{GAP}d{GAP}{:02}", hours / 24, hours % 24), "h"),
    }
}

/// A whole number with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of 0 to 1 as per cent: one decimal under 10, two under 0.1, whole above.
/// Only a whole prints 100 and only nothing prints 0.
pub fn percent(share: f64) -> Amount {
    let percent = share * 100.0;
    let text = match percent {
        p if !p.is_finite() || p <= 0.0 => "0".into(),
        p if p < 0.01 => "<0.01".into(),
        p if p < 0.095 => format!("{p:.2}"),
        p if p < 9.95 => format!("{p:.1}"),
        p if p >= 100.0 => "100".into(),
        p if p > 99.0 => format!("{:.1}", (p * 10.0).floor() / 10.0),
        p => format!("{p:.0}"),
    };
    Amount::new(text, "%")
}

/// `part` of `whole` as per cent; 0 of nothing.
pub fn share(part: u64, whole: u64) -> Amount {
    percent(ratio(part, whole))
}

/// `part / whole`, 0 where `whole` is 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share for the eye needs no 64 bits"
)]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Events per second, two significant digits under 10.
pub fn rate(per_second: f64) -> Amount {
    let text = match per_second {
        r if !r.is_finite() || r <= 0.0 => "0".into(),
        r if r < 0.001 => "<0.001".into(),
        r if r < 0.0995 => format!("{r:.3}"),
        r if r < 0.995 => format!("{r:.2}"),
        r if r < 9.95 => format!("{r:.1}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^53"
        )]
        r => count(r.round() as u64),
    };
    Amount::new(text, "/s")
}

/// How many times the usual: `8.7×`, `120×`.
pub fn times(ratio: f64) -> String {
    if ratio < 99.95 {
        format!("{ratio:.1}×")
    } else {
        format!("{ratio:.0}×")
    }
}

/// Bytes in binary units, three significant digits.
pub fn bytes(number: u64) -> Amount {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1_024 {
        return Amount::new(number.to_string(), "B");
    }
    let (mut unit, mut at) = (1_024_u64, 0);
    // From 1,000 of a unit on, the next one: three digits are enough.
    while at + 1 < UNITS.len() && number / unit >= 1_000 {
        unit *= 1_024;
        at += 1;
    }
    Amount::new(short(number, unit, 2), UNITS[at])
}

/// Where on earth the reader's clock hangs: a fixed distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zone {
    /// Minutes east of UTC, -720 to 840.
    minutes: i16,
}

impl Zone {
    /// From `UTC`, `+09:00`, `-0330`, `+9`; none if it is no such thing or out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Some(Self::default());
        }
        let (sign, digits) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-" | "−", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = match digits.split_once(':') {
            Some(parts) => parts,
            None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
            None => (digits, "0"),
        };
        let number = |text: &str| text.parse::<u8>().ok().map(i16::from);
        let minutes = sign * (number(hours)? * 60 + number(minutes).filter(|m| *m < 60)?);
        (-720..=840).contains(&minutes).then_some(Self { minutes })
    }

    /// `+09:00`, as in RFC 3339 and in the cookie.
    pub fn offset(self) -> String {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        format!(
            "{sign}{:02}:{:02}",
            self.minutes.abs() / 60,
            self.minutes.abs() % 60
        )
    }

    /// `UTC`, `UTC+9`, `UTC-3:30`.
    pub fn label(self) -> String {
        let (hours, rest) = (self.minutes / 60, (self.minutes % 60).abs());
        match (hours, rest) {
            (0, 0) => "UTC".into(),
            (_, 0) => format!("UTC{hours:+}"),
            (0, _) if self.minutes < 0 => format!("UTC-0:{rest:02}"),
            _ => format!("UTC{hours:+}:{rest:02}"),
        }
    }

    fn local(self, at: UnixNanos) -> OffsetDateTime {
        let offset = UtcOffset::from_whole_seconds(i32::from(self.minutes) * 60)
            .expect("at most fourteen hours");
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at))
            .expect("64 bits of nanoseconds end in the year 2554")
            .to_offset(offset)
    }

    /// `10:58:41`.
    pub fn clock(self, at: UnixNanos) -> String {
        let at = self.local(at);
        format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
    }

    /// `.203`, what follows [`Zone::clock`].
    pub fn millis(self, at: UnixNanos) -> String {
        format!(".{:03}", self.local(at).millisecond())
    }

    /// `10:58`.
    pub fn minute(self, at: UnixNanos) -> String {
        let at = self.local(at);
        format!("{:02}:{:02}", at.hour(), at.minute())
    }

    /// Month (1 to 12) and day (1 to 31).
    pub fn month_day(self, at: UnixNanos) -> (u8, u8) {
        let at = self.local(at);
        (u8::from(at.month()), at.day())
    }

    /// `2026-11-23`.
    pub fn date(self, at: UnixNanos) -> String {
        let at = self.local(at);
        format!(
            "{:04}-{:02}-{:02}",
            at.year(),
            u8::from(at.month()),
            at.day()
        )
    }

    /// `2026-11-23T10:58:41.203+09:00`, for `time` elements and links.
    pub fn machine(self, at: UnixNanos) -> String {
        let offset = if self.minutes == 0 {
            "Z".into()
        } else {
            self.offset()
        };
        format!(
            "{}T{}{}{offset}",
            self.date(at),
            self.clock(at),
            self.millis(at)
        )
    }
}

/// A distance in time by its largest unit, for "ago": the number and `s`, `m`, `h` or `d`.
pub fn age(nanos: u64) -> (String, char) {
    match nanos {
        0..10_000_000_000 => (fixed(nanos, SECOND, 1), 's'),
        10_000_000_000..MINUTE => (fixed(nanos, SECOND, 0), 's'),
        MINUTE..HOUR => ((nanos / MINUTE).to_string(), 'm'),
        HOUR..DAY => ((nanos / HOUR).to_string(), 'h'),
        _ => ((nanos / DAY).to_string(), 'd'),
    }
}

/// A number for an SVG attribute: at most two decimals, no trailing zeros.
pub fn svg(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" || text.is_empty() {
        "0".into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_one_unit() {
        let cases = [
            (0, "0 µs"),
            (412, "412 ns"),
            (412_000, "412 µs"),
            (1_500, "1.5 µs"),
            (9_400_000, "9.4 ms"),
            (9_960_000, "10 ms"),
            (96_000_000, "96 ms"),
            (999_400_000, "999 ms"),
            (999_600_000, "1.00 s"),
            (1_840_000_000, "1.84 s"),
            (9_996_000_000, "10.0 s"),
            (12_400_000_000, "12.4 s"),
            (59_960_000_000, "1 m 00 s"),
            (187_000_000_000, "3 m 07 s"),
            (3_720_000_000_000, "1 h 02 m"),
            (93_600_000_000_000, "1 d 02 h"),
            (u64::MAX, "213503 d 23 h"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos).plain().replace(GAP, " "), text, "{nanos}");
        }
    }

    #[test]
    fn counts_are_split_in_thousands() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_211, "1,211"),
            (12_345_678, "12,345,678"),
        ];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn shares_never_round_to_all_or_nothing() {
        let cases = [
            (0.0, "0"),
            (0.000_02, "<0.01"),
            (0.000_2, "0.02"),
            (0.091, "9.1"),
            (0.338, "34"),
            (0.999_9, "99.9"),
            (1.0, "100"),
        ];
        for (share, text) in cases {
            assert_eq!(percent(share).value, text);
        }
        assert_eq!(share(1, 0).value, "0");
    }

    #[test]
    fn sizes_and_rates_have_three_digits() {
        let cases = [
            (512, "512 B"),
            (1_536, "1.50 KiB"),
            (1_024_000, "0.98 MiB"),
            (1 << 30, "1.00 GiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number).plain().replace(GAP, " "), text);
        }
        assert_eq!(rate(3.42).value, "3.4");
        assert_eq!(rate(0.034).value, "0.034");
        assert_eq!(rate(41_234.4).value, "41,234");
        assert_eq!(times(8.68), "8.7×");
    }

    #[test]
    fn a_zone_is_read_and_printed() {
        let korea = Zone::parse("+09:00").unwrap();
        assert_eq!(Some(korea), Zone::parse("+9"));
        assert_eq!(Zone::parse("-0330").unwrap().label(), "UTC-3:30");
        assert_eq!(
            (korea.label(), korea.offset()),
            ("UTC+9".into(), "+09:00".into())
        );
        for bad in ["", "9", "+15:00", "+1:99", "Seoul", "−"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
        let at = 1_795_431_521_203_000_042;
        assert_eq!(korea.machine(at), "2026-11-23T19:58:41.203+09:00");
        assert_eq!(Zone::default().machine(at), "2026-11-23T10:58:41.203Z");
    }

    #[test]
    fn numbers_in_pictures_are_short() {
        assert_eq!(
            (svg(12.0), svg(-0.001), svg(3.456)),
            ("12".into(), "0".into(), "3.46".into())
        );
    }
}
