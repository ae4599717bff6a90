//! Ages, durations and sizes as they stand in a configuration: `30d`, `1s`, `20GiB`.

use hoplog_model::times::{DAY, HOUR, MINUTE, SECOND};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The greatest age: as nanoseconds beside a time it must fit into 64 bits.
const AGE_MAX: u64 = 100_000 * DAY;

/// Units of time, the greatest first.
const TIMES: [(&str, u64); 8] = [
    ("w", 7 * DAY),
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of sizes, the greatest first.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// How long something is kept: `30d`, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// For so many nanoseconds.
    Nanos(u64),
    /// Without end.
    Forever,
}

/// A duration in nanoseconds: `1s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nanos(pub u64);

/// A bound in bytes: `20GiB`, a number of bytes, or `unbounded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// At most so many.
    AtMost(u64),
    /// Any number.
    Unbounded,
}

/// A whole number and one of the units.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_')?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(*factor)
}

/// As a whole number of the greatest unit that it is one of.
fn write_amount(
    f: &mut fmt::Formatter<'_>,
    number: u64,
    units: &[(&'static str, u64)],
) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| number >= *factor && number.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((name, factor)) => write!(f, "{}{name}", number / factor),
        None => write!(f, "{number}{}", units.last().map_or("", |(name, _)| name)),
    }
}

// === impl Age ===

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["forever", "never"].contains(&text.trim()) {
            return Ok(Self::Forever);
        }
        match amount(text, &TIMES) {
            Some(age) if (1..=AGE_MAX).contains(&age) => Ok(Self::Nanos(age)),
            _ => Err(format!(
                "{text:?} is no age: it is a number with s, m, h, d or w, such as \"30d\", from 1 ns to 100000d, or \"forever\""
            )),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Days read better than weeks, and weeks are seldom meant.
            Self::Nanos(age) => write_amount(f, *age, &TIMES[1..]),
            Self::Forever => f.write_str("forever"),
        }
    }
}

// === impl Nanos ===

impl FromStr for Nanos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        amount(text, &TIMES).map(Self).ok_or_else(|| {
            format!("{text:?} is no duration: it is a number with ns, us, ms, s, m or h, such as \"500ms\"")
        })
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, self.0, &TIMES[1..])
    }
}

// === impl Bytes ===

impl Bytes {
    /// The bound, if there is one.
    pub fn at_most(self) -> Option<u64> {
        match self {
            Self::AtMost(bytes) => Some(bytes),
            Self::Unbounded => None,
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "unbounded" {
            return Ok(Self::Unbounded);
        }
        amount(text, &SIZES).map(Self::AtMost).ok_or_else(|| {
            format!("{text:?} is no size: it is a number with B, KiB, MiB, GiB or TiB, such as \"20GiB\", or \"unbounded\"")
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bytes) => write_amount(f, *bytes, &SIZES),
            Self::Unbounded => f.write_str("unbounded"),
        }
    }
}

// === serde ===

/// Reads text, or (for sizes) a bare number.
struct Reads<T>(std::marker::PhantomData<T>, &'static str, bool);

impl<T: FromStr<Err = String>> Visitor<'_> for Reads<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        if self.2 {
            return self.visit_str(&format!("{number}B"));
        }
        Err(E::custom(format!(
            "{number} has no unit: {} is meant",
            self.1
        )))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format!("{number} is less than nothing"))),
        }
    }
}

macro_rules! as_text {
    ($($type:ty: $expected:literal, $bare:literal;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Reads(std::marker::PhantomData, $expected, $bare))
            }
        }
    )*};
}

as_text! {
    Age: "an age such as \"30d\", or \"forever\"", false;
    Nanos: "a duration such as \"1s\"", false;
    Bytes: "a size such as \"20GiB\", or \"unbounded\"", true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_durations_and_sizes_are_read_and_written() {
        for (text, age) in [
            ("30d", Age::Nanos(30 * DAY)),
            ("36h", Age::Nanos(36 * HOUR)),
            ("90s", Age::Nanos(90 * SECOND)),
            ("forever", Age::Forever),
        ] {
            assert_eq!(text.parse(), Ok(age));
            assert_eq!(age.to_string(), text);
        }
        assert_eq!("2w".parse(), Ok(Age::Nanos(14 * DAY)));
        assert_eq!("never".parse(), Ok(Age::Forever));
        assert_eq!("1_000 ms".parse(), Ok(Nanos(SECOND)));
        assert_eq!(Nanos(1_500_000_000).to_string(), "1500ms");
        assert_eq!("20GiB".parse(), Ok(Bytes::AtMost(20 << 30)));
        assert_eq!(Bytes::AtMost(20 << 30).to_string(), "20GiB");
        assert_eq!(Bytes::AtMost(7).to_string(), "7B");
        assert_eq!(Bytes::AtMost(0).to_string(), "0B");
        assert_eq!("unbounded".parse(), Ok(Bytes::Unbounded));
    }

    #[test]
    fn what_is_none_is_refused_with_an_example() {
        for text in ["", "d", "30", "3 days", "-1d", "0d", "100001d", "1e3d"] {
            let said = text.parse::<Age>().unwrap_err();
            assert!(said.contains("\"30d\""), "{said}");
        }
        assert!(
            "20 gigabytes"
                .parse::<Bytes>()
                .unwrap_err()
                .contains("20GiB")
        );
        assert!("1".parse::<Nanos>().unwrap_err().contains("500ms"));
    }
}
