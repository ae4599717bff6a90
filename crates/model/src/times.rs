//! Writing and reading times: RFC 3339 with nanoseconds out, that or Unix nanoseconds in.

use crate::UnixNanos;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: u64 = 60 * SECOND;
/// Nanoseconds in an hour.
pub const HOUR: u64 = 60 * MINUTE;
/// Nanoseconds in a day.
pub const DAY: u64 = 24 * HOUR;

/// `2026-11-23T10:58:41.203000000Z`: UTC, always nine digits after the point.
pub fn rfc3339(at: UnixNanos) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at))
        .expect("64 bits of nanoseconds end in the year 2554");
    let at = at.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.nanosecond()
    )
}

/// A time as a person or program writes it: RFC 3339, or a whole number of Unix nanoseconds.
/// None if it is neither or lies outside the years 1970 to 2554.
pub fn parse(text: &str) -> Option<UnixNanos> {
    if let Ok(nanos) = text.parse::<u64>() {
        return Some(nanos);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_digits_and_back() {
        let at = 1_795_431_521_203_000_042;
        assert_eq!(rfc3339(at), "2026-11-23T10:58:41.203000042Z");
        assert_eq!(parse(&rfc3339(at)), Some(at));
        assert_eq!(parse("2026-11-23T19:58:41.203000042+09:00"), Some(at));
        assert_eq!(parse("1795431521203000042"), Some(at));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }
}
