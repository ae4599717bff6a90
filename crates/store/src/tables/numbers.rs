//! Unsigned numbers in columns that are signed.

/// All 64 bits of `value`; back with `cast_unsigned`.
pub fn bits(value: u64) -> i64 {
    value.cast_signed()
}

/// `value`, but at most the greatest signed number: keeps the order, for what is compared in SQL.
pub fn ordered(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What [`ordered`] may have been, at most.
pub fn upper(stored: i64) -> u64 {
    if stored == i64::MAX {
        u64::MAX
    } else {
        u64::try_from(stored).unwrap_or_default()
    }
}

/// What [`ordered`] may have been, at least.
pub fn lower(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}
