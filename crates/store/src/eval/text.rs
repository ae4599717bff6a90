//! Comparing text with patterns.

use crate::TextMatch;

impl TextMatch {
    /// Whether the text matches. Takes time proportional to text times pattern at worst.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == text,
            Self::Glob(pattern) => glob(pattern, text),
            Self::Contains(part) => contains_ignoring_case(text, part),
        }
    }
}

/// Whether `*` (any characters) and `?` (one) in the pattern can be filled in to give the text.
///
/// Only the last star seen is ever tried again: what an earlier one could take, a later one can.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut last_star = None;
    loop {
        let mut rest = pattern.clone();
        let wanted = rest.next();
        if wanted == Some('*') {
            pattern = rest;
            last_star = Some((pattern.clone(), text.clone()));
            continue;
        }
        let mut after = text.clone();
        match (wanted, after.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                (pattern, text) = (rest, after);
            }
            _ => {
                // The star takes one character more; with none left to take, there is no way.
                let Some((after_star, taken)) = &mut last_star else {
                    return false;
                };
                if taken.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), taken.clone());
            }
        }
    }
}

/// Whether `part` occurs in `text`, both in lower case.
pub(super) fn contains_ignoring_case(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        return contains_ascii(text.as_bytes(), part.as_bytes());
    }
    text.to_lowercase().contains(&part.to_lowercase())
}

fn contains_ascii(text: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else {
        return true;
    };
    text.windows(part.len())
        .any(|window| window[0].eq_ignore_ascii_case(first) && window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning, said as plainly as possible; exponential.
    fn plain_glob(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, found) => found.is_none(),
            (Some('*'), _) => (0..=text.len()).any(|skip| plain_glob(&pattern[1..], &text[skip..])),
            (Some('?'), Some(_)) => plain_glob(&pattern[1..], &text[1..]),
            (Some(wanted), Some(found)) => wanted == found && plain_glob(&pattern[1..], &text[1..]),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_means_what_it_plainly_means(pattern in "[ab*?ü]{0,7}", text in "[abü]{0,7}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern, &text), plain_glob(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn contains_means_contains_in_lower_case(text in "[aAbBüÜK\u{212a}k]{0,8}", part in "[aAbBüK\u{212a}k]{0,2}") {
            let plainly = text.to_lowercase().contains(&part.to_lowercase());
            prop_assert_eq!(contains_ignoring_case(&text, &part), plainly);
        }
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!glob(&pattern, &"a".repeat(20_000)));
    }

    #[test]
    fn only_contains_ignores_case() {
        assert!(!TextMatch::Is("Post".into()).matches("POST"));
        assert!(!TextMatch::Glob("post*".into()).matches("POST /x"));
        assert!(TextMatch::Contains("post".into()).matches("a POST"));
        assert!(TextMatch::Glob("POST /orders/*".into()).matches("POST /orders/{id}"));
        assert!(TextMatch::Glob("5??".into()).matches("503"));
        assert!(!TextMatch::Glob("5??".into()).matches("50"));
    }
}
