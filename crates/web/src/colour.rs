//! Which of the sixteen service colours a service has, on every page.

/// Colour slots in `ui.css` (`k1` to `k16`); none of them is near the red of a failure.
const SLOTS: u64 = 16;

/// The slot of a service, 1 to 16: by its name alone, so it never changes.
pub(crate) fn slot(service: &str) -> u8 {
    let hash = twox_hash::XxHash3_64::oneshot(service.as_bytes());
    u8::try_from(hash % SLOTS + 1).expect("at most sixteen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_slot() {
        assert!((1..=16).contains(&slot("checkout")));
        assert_eq!(slot("checkout"), slot("checkout"));
        let used: std::collections::BTreeSet<_> =
            (0..400).map(|n| slot(&format!("s{n}"))).collect();
        assert_eq!(used.len(), 16, "every slot is used");
    }
}
