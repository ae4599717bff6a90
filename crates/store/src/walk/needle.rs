//! A quick look at a row's bytes before its spans are read: text that a match must hold, and does not.
//!
//! It can only exclude. Where a value may be written in another way than its text (numbers, base64,
//! JSON), nothing is concluded.

use crate::{HopExpr, HopTest, RequestExpr, RequestTest, TextMatch, ValueMatch};

/// What the bytes of every match hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Needle {
    /// Nothing is known of them.
    Anything,
    /// These bytes.
    Bytes(Vec<u8>),
    /// Each of these.
    All(Vec<Needle>),
    /// One of these.
    Any(Vec<Needle>),
}

impl Needle {
    /// What requests that fulfil the expression hold.
    pub(super) fn of(expr: &RequestExpr) -> Self {
        match expr {
            RequestExpr::And(some) => Self::all(some.iter().map(Self::of)),
            RequestExpr::Or(some) => Self::any(some.iter().map(Self::of)),
            RequestExpr::Not(_) => Self::Anything,
            RequestExpr::Is(RequestTest::RootAttribute { value, .. }) => Self::of_value(value),
            RequestExpr::Is(_) => Self::Anything,
            RequestExpr::Hop(expr) => Self::of_hop(expr),
        }
    }

    fn of_hop(expr: &HopExpr) -> Self {
        match expr {
            HopExpr::And(some) => Self::all(some.iter().map(Self::of_hop)),
            HopExpr::Or(some) => Self::any(some.iter().map(Self::of_hop)),
            HopExpr::Not(_) => Self::Anything,
            HopExpr::Is(HopTest::Attribute { value, .. }) => Self::of_value(value),
            HopExpr::Is(HopTest::SpanId(id)) => Self::Bytes(id.as_bytes().to_vec()),
            HopExpr::Is(_) => Self::Anything,
        }
    }

    fn of_value(value: &ValueMatch) -> Self {
        match value {
            ValueMatch::Text(TextMatch::Is(text)) if is_written_as_it_is(text) => {
                Self::Bytes(text.as_bytes().to_vec())
            }
            _ => Self::Anything,
        }
    }

    fn all(some: impl Iterator<Item = Self>) -> Self {
        let mut some: Vec<Self> = some.filter(|one| *one != Self::Anything).collect();
        match some.len() {
            0 => Self::Anything,
            1 => some.remove(0),
            _ => Self::All(some),
        }
    }

    fn any(some: impl Iterator<Item = Self>) -> Self {
        let some: Vec<Self> = some.collect();
        if some.contains(&Self::Anything) {
            Self::Anything
        } else {
            Self::Any(some)
        }
    }

    /// Whether a row with these bytes may match.
    pub(super) fn may_be_in(&self, raw: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Bytes(bytes) => holds(raw, bytes),
            Self::All(some) => some.iter().all(|one| one.may_be_in(raw)),
            Self::Any(some) => some.iter().any(|one| one.may_be_in(raw)),
        }
    }
}

/// Whether only a string can have this text, as these very bytes: it is no number, no base64, no JSON,
/// and holds no sign that stands for bytes that are no UTF-8.
fn is_written_as_it_is(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let is_number = text.parse::<f64>().is_ok();
    let is_json = text.starts_with(['[', '{']);
    !text.is_empty()
        && !text.chars().all(is_base64)
        && !is_number
        && !is_json
        && !text.contains(char::REPLACEMENT_CHARACTER)
}

/// Places looked at together: enough for the compiler to compare many bytes at once.
const BLOCK: usize = 64;

/// Whether `needle`, which is not empty, occurs in `raw`.
fn holds(raw: &[u8], needle: &[u8]) -> bool {
    let (Some(first), Some(last)) = (needle.first(), needle.last()) else {
        return true;
    };
    let Some(ends) = raw.get(needle.len() - 1..) else {
        return false;
    };
    let starts = &raw[..ends.len()];
    let blocks = starts.chunks(BLOCK).zip(ends.chunks(BLOCK)).enumerate();
    for (number, (starts, ends)) in blocks {
        // Without branches, so that it is fast.
        let pairs = starts.iter().zip(ends);
        let some = pairs.fold(false, |some, (a, b)| some | ((a == first) & (b == last)));
        let at = number * BLOCK;
        if some && (at..at + starts.len()).any(|at| raw[at..].starts_with(needle)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_found_where_they_are(raw in vec(0..3_u8, 0..300), needle in vec(0..3_u8, 1..8)) {
            let there = raw.windows(needle.len()).any(|some| some == needle);
            prop_assert_eq!(holds(&raw, &needle), there);
        }
    }

    fn attribute(text: &str) -> HopExpr {
        HopExpr::Is(HopTest::Attribute {
            keys: vec!["a".to_owned()],
            value: ValueMatch::Text(TextMatch::Is(text.to_owned())),
        })
    }

    #[test]
    fn what_may_be_written_otherwise_excludes_nothing() {
        for text in [
            "",
            "12",
            "-1.5",
            "1e-7",
            "NaN",
            "true",
            "YWJj",
            "[1]",
            "{}",
            "\u{fffd}-",
        ] {
            assert_eq!(Needle::of_hop(&attribute(text)), Needle::Anything, "{text}");
        }
        let plain = Needle::of_hop(&attribute("c-1"));
        assert_eq!(plain, Needle::Bytes(b"c-1".to_vec()));
    }

    #[test]
    fn expressions_ask_for_what_they_need() {
        let (a, b) = (attribute("a-1"), attribute("b-2"));
        let both = HopExpr::And(vec![a.clone(), b.clone(), attribute("3")]);
        let one = HopExpr::Or(vec![a.clone(), b.clone()]);
        let unknown = HopExpr::Or(vec![a.clone(), attribute("3")]);
        let not = HopExpr::Not(Box::new(a));
        for (expr, wanted) in [
            (both, [false, false, true]),
            (one, [true, true, true]),
            (unknown, [true, true, true]),
            (not, [true, true, true]),
        ] {
            let needle = Needle::of(&RequestExpr::Hop(expr));
            let found = ["..a-1", "b-2..", "a-1b-2"].map(|raw| needle.may_be_in(raw.as_bytes()));
            assert_eq!(found, wanted);
        }
        assert!(!Needle::of(&RequestExpr::Hop(b)).may_be_in(b"a-1"));
    }
}
