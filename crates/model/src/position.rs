//! Where a record lies in the inbox.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A record's place in the inbox: segment file, then byte offset in it. Later records are greater.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Number of the segment file, from 1; 0 is before everything.
    pub segment: u32,
    /// Bytes from the start of the segment file to the record.
    pub offset: u32,
}

impl Position {
    /// One number in the same order: segment in the high 32 bits.
    pub fn to_u64(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    /// The position that [`Position::to_u64`] gave.
    pub fn from_u64(packed: u64) -> Self {
        let low = u32::try_from(packed & u64::from(u32::MAX)).expect("masked to 32 bits");
        let high = u32::try_from(packed >> 32).expect("shifted to 32 bits");
        Self {
            segment: high,
            offset: low,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_packing() {
        let early = Position {
            segment: 1,
            offset: u32::MAX,
        };
        let late = Position {
            segment: 2,
            offset: 0,
        };
        assert!(early < late && early.to_u64() < late.to_u64());
        assert_eq!(Position::from_u64(early.to_u64()), early);
    }
}
