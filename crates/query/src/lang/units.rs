//! Durations as people write them: a number and a unit.

/// Units with their nanoseconds, in the order of the help text.
pub(super) const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Other ways to write a unit, and the one understood.
const MEANT: [(&str, &str); 12] = [
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("min", "m"),
    ("mins", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hours", "h"),
    ("usec", "us"),
    ("days", "d"),
];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDuration<'a> {
    /// It does not begin with a number, or has more than a unit behind it.
    NotANumber,
    /// What stands where the unit belongs; empty if nothing does.
    Unit(&'a str),
}

/// Nanoseconds of `text`; what is beyond 64 bits (584 years) counts as that.
pub(super) fn read(text: &str) -> Result<u64, NoDuration<'_>> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole)
        || !digits(fraction)
        || unit.contains(|c: char| c.is_ascii_digit() || c == '.')
    {
        return Err(NoDuration::NotANumber);
    }
    let nanos = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(NoDuration::Unit(unit))?
        .1;
    let fraction = &fraction.as_bytes()[..fraction.len().min(18)];
    let (mut part, mut scale) = (0_u128, 1_u128);
    for digit in fraction {
        part = part * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    let all = u128::from(whole) * u128::from(nanos) + part * u128::from(nanos) / scale;
    Ok(u64::try_from(all).unwrap_or(u64::MAX))
}

/// The unit that was probably meant by `unit`.
pub(super) fn meant(unit: &str) -> &'static str {
    let unit = unit.trim();
    let lower = unit.to_lowercase();
    let named = MEANT
        .iter()
        .find(|(other, _)| *other == lower)
        .map(|(_, unit)| *unit);
    let near = || super::near::near(unit, UNITS.iter().map(|(name, _)| *name));
    if unit.is_empty() {
        "ms"
    } else {
        named.or_else(near).unwrap_or("ms")
    }
}

/// Nanoseconds of a duration such as `500ms`, `1.5s`, `2h`; none if it is no duration.
pub fn parse_duration(text: &str) -> Option<u64> {
    read(text).ok()
}

/// A duration in the query language, exact: the largest unit that leaves a whole number.
pub fn format_duration(nanos: u64) -> String {
    let whole = UNITS
        .iter()
        .rev()
        .find(|(name, size)| *name != "µs" && nanos.is_multiple_of(*size));
    let (unit, size) = whole.unwrap_or(&UNITS[0]);
    if nanos == 0 {
        "0s".to_owned()
    } else {
        format!("{}{unit}", nanos / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        assert_eq!(parse_duration("1.5s"), Some(1_500_000_000));
        assert_eq!(parse_duration("0.000000001s"), Some(1));
        assert_eq!(parse_duration("3µs"), Some(3_000));
        assert_eq!(parse_duration("99999999999999999999d"), Some(u64::MAX));
        assert_eq!(read("1sec"), Err(NoDuration::Unit("sec")));
        assert_eq!(read("1"), Err(NoDuration::Unit("")));
        for wrong in ["", "fast", "1.", ".5s", "1.2.3s", "1s2", "-1s"] {
            assert_eq!(read(wrong), Err(NoDuration::NotANumber), "{wrong}");
        }
        for nanos in [0, 1, 1_500_000, 60_000_000_000, 90_000_000_000, u64::MAX] {
            assert_eq!(parse_duration(&format_duration(nanos)), Some(nanos));
        }
    }
}
