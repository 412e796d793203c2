//! What holds for all service policies, and the words for it.

use qfp_core::qos::accounting::{Accounting, Overhead};
use qfp_core::qos::police::{BitsPerSecond, Granularity};

use super::{Origin, Problem};

/// What the table `[qos]` says besides the policies.
#[derive(Clone, Debug, Default)]
pub struct Qos {
    /// How many bytes a frame counts for.
    pub accounting: Accounting,
    /// Steps of rates.
    pub granularity: Granularity,
    /// Where this was said.
    pub origin: Origin,
}

impl PartialEq for Qos {
    fn eq(&self, other: &Self) -> bool {
        (self.accounting, self.granularity) == (other.accounting, other.granularity)
    }
}

impl Eq for Qos {}

/// `asr9000`, `iosxe` or `user-defined N`.
pub(super) fn accounting(text: &str) -> Result<Accounting, Problem> {
    let bad = || Problem::BadAccounting(text.to_owned());
    match text {
        "asr9000" => Ok(Accounting::Asr9000),
        "iosxe" => Ok(Accounting::Iosxe),
        _ => {
            let bytes = text.strip_prefix("user-defined ").ok_or_else(bad)?;
            let bytes = bytes.trim().parse::<i32>().map_err(|_| bad())?;
            Overhead::new(bytes).map(Accounting::UserDefined).map_err(|_| bad())
        }
    }
}

/// The word for an accounting.
pub(super) fn accounting_word(accounting: Accounting) -> String {
    match accounting {
        Accounting::Asr9000 => "asr9000".to_owned(),
        Accounting::Iosxe => "iosxe".to_owned(),
        Accounting::UserDefined(overhead) => format!("user-defined {}", overhead.get()),
    }
}

const GRANULARITIES: [(&str, Granularity); 3] = [
    ("native", Granularity::Native),
    ("typhoon", Granularity::Typhoon),
    ("trident", Granularity::Trident),
];

/// `native`, `typhoon` or `trident`.
pub(super) fn granularity(text: &str) -> Result<Granularity, Problem> {
    let known = GRANULARITIES.into_iter().find(|(word, _)| *word == text);
    known.map(|(_, known)| known).ok_or_else(|| Problem::BadGranularity(text.to_owned()))
}

/// The word for a granularity.
pub(super) fn granularity_word(granularity: Granularity) -> &'static str {
    let known = GRANULARITIES.into_iter().find(|(_, known)| *known == granularity);
    known.map_or("native", |(word, _)| word)
}

/// Bits a second: a number, with `k`, `m` or `g` for thousands, millions or billions.
pub(super) fn speed(text: &str) -> Result<BitsPerSecond, Problem> {
    let bad = || Problem::BadSpeed(text.to_owned());
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number = digits.trim().parse::<u64>().map_err(|_| bad())?;
    let rate = number.checked_mul(unit).ok_or_else(bad)?;
    BitsPerSecond::new(rate).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_they_stand_for_are_the_same_both_ways() {
        for word in ["asr9000", "iosxe", "user-defined -4", "user-defined 24"] {
            assert_eq!(accounting_word(accounting(word).unwrap()), word);
        }
        for word in ["native", "typhoon", "trident"] {
            assert_eq!(granularity_word(granularity(word).unwrap()), word);
        }
        assert!(accounting("user-defined 64").is_err() && accounting("ios").is_err());
        assert!(granularity("").is_err());
    }

    #[test]
    fn speeds_are_numbers_with_a_unit() {
        for (text, rate) in [("10g", 10_000_000_000), ("100 M", 100_000_000), ("64000", 64_000)] {
            assert_eq!(speed(text).unwrap().get(), rate, "{text}");
        }
        for text in ["", "g", "-1", "1t", "801g", "18446744073709551615g"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }
}
