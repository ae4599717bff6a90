//! Numbers as JSON senders write them: plain, with a fraction of zero, as strings.

/// A number before its field says what it must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
}

/// 2^63 and 2^64: the first doubles that an `i64` and a `u64` do not hold.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

impl Number {
    /// A number in a string: decimal, or a double by name as protobuf's JSON mapping has it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Some(Self::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Self::Signed(number));
        }
        text.parse().ok().map(Self::Double)
    }

    /// As i64, if it is whole and fits.
    pub(super) fn signed(self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(number).ok(),
            Self::Signed(number) => Some(number),
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            Self::Double(number) => {
                let whole = number.fract() == 0.0 && (-TWO_63..TWO_63).contains(&number);
                whole.then_some(number as i64)
            }
        }
    }

    /// As u64, if it is whole and fits.
    pub(super) fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole and in range"
            )]
            Self::Double(number) => {
                let whole = number.fract() == 0.0 && (0.0..TWO_64).contains(&number);
                whole.then_some(number as u64)
            }
        }
    }

    /// As a double; a large integer is rounded.
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    pub(super) fn double(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Signed(number) => number as f64,
            Self::Double(number) => number,
        }
    }
}
