//! Trace IDs in the layout of UUIDv7, span IDs at random.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use rand::Rng;

/// Makes trace IDs that sort by the time they were made.
///
/// Layout, from the left: 48 bits of Unix time in milliseconds, the version `0111`, 12 random bits,
/// the variant `10`, 62 random bits. All random bits are drawn anew for each ID, without a counter,
/// so the right-most 56 bits satisfy the W3C trace context's `random` flag. An ID tells when it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOrderedIds;

impl IdGenerator for TimeOrderedIds {
    fn new_trace_id(&self) -> TraceId {
        let mut rng = rand::rng();
        trace_id(unix_millis(), rng.random(), rng.random())
    }

    fn new_span_id(&self) -> SpanId {
        // Zero would be an invalid ID.
        SpanId::from(rand::rng().random_range(1..=u64::MAX))
    }
}

/// Lays out one trace ID. Bits that do not fit are cut off.
fn trace_id(unix_millis: u64, rand_a: u16, rand_b: u64) -> TraceId {
    let high = (unix_millis << 16) | 0x7000 | u64::from(rand_a & 0x0fff);
    let low = (0b10 << 62) | (rand_b >> 2);
    TraceId::from((u128::from(high) << 64) | u128::from(low))
}

/// Milliseconds since 1970, 0 for a clock that stands before it.
fn unix_millis() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "an ID is made of the real time; what it does with it is tested in trace_id"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(id: TraceId) -> u128 {
        u128::from_be_bytes(id.to_bytes())
    }

    #[test]
    fn the_layout_is_that_of_uuid_v7() {
        let id = trace_id(0x0192_3456_789a, 0xffff, u64::MAX);
        assert_eq!(id.to_string(), "01923456789a7fffbfffffffffffffff");
        let id = trace_id(0x0192_3456_789a, 0, 0);
        assert_eq!(id.to_string(), "01923456789a70008000000000000000");
    }

    #[test]
    fn generated_ids_carry_version_variant_and_the_time() {
        let before = unix_millis();
        let id = bits(TimeOrderedIds.new_trace_id());
        let after = unix_millis();
        let millis = u64::try_from(id >> 80).unwrap();
        assert!((before..=after).contains(&millis));
        assert_eq!((id >> 76) & 0xf, 7);
        assert_eq!((id >> 62) & 0b11, 0b10);
    }

    /// Each of the 62 low bits and of the 12 bits before the variant is a fair coin, and no two of
    /// neighbouring IDs hang together: a counter would fail the second at once.
    #[test]
    fn random_bits_are_fair_and_independent_of_the_id_before() {
        const N: u32 = 20_000;
        let ids: Vec<u128> = (0..=N)
            .map(|_| bits(TimeOrderedIds.new_trace_id()))
            .collect();
        // Six standard deviations of a fair coin tossed N times: a false alarm in 10^8 runs.
        let slack = 6.0 * f64::from(N).sqrt() / 2.0;
        for bit in (0..62).chain(64..76) {
            let mut ones = 0_u32;
            let mut changes = 0_u32;
            for pair in ids.windows(2) {
                ones += u32::from((pair[1] >> bit) & 1 == 1);
                changes += u32::from(((pair[0] ^ pair[1]) >> bit) & 1 == 1);
            }
            for (what, count) in [("ones", ones), ("changes", changes)] {
                let off = (f64::from(count) - f64::from(N) / 2.0).abs();
                assert!(off < slack, "bit {bit}: {count} {what} of {N}");
            }
        }
    }

    /// The share that a sampler on the right-most 56 bits keeps is the share it asks for.
    #[test]
    fn a_threshold_on_the_low_56_bits_keeps_its_share() {
        const N: u32 = 20_000;
        let kept = (0..N)
            .filter(|_| bits(TimeOrderedIds.new_trace_id()) & ((1 << 56) - 1) < (1 << 54))
            .count();
        let share = f64::from(u32::try_from(kept).unwrap()) / f64::from(N);
        assert!((share - 0.25).abs() < 0.02, "{share}");
    }

    #[test]
    fn span_ids_are_never_zero_and_differ() {
        let a = TimeOrderedIds.new_span_id();
        let b = TimeOrderedIds.new_span_id();
        assert_ne!(a, SpanId::INVALID);
        assert_ne!(a, b);
    }
}
