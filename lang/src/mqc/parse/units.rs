//! Numbers with their units: rates, sizes, and lists of values.

use std::ops::RangeInclusive;

use qfp_core::qos::police::{BitsPerSecond, PacketsPerSecond, Percent, Rate, RateError};

use super::Words;
use crate::ios::{TextError, What};
use crate::mqc::check::MAX_SIZE;
use crate::mqc::{Numbers, Share, Size};

/// What a number becomes in a unit.
type Unit = fn(u64) -> Size;

/// Bits a second.
pub(super) const BITS: u64 = 1;
/// Kilobits a second.
pub(super) const KILOBITS: u64 = 1_000;

const BIT_UNITS: &[(&str, u64)] =
    &[("bps", 1), ("kbps", 1_000), ("mbps", 1_000_000), ("gbps", 1_000_000_000)];

/// `percent 20`, `10 mbps`, `10m`, `100 pps`; a number without a unit is so many bits a second.
pub(super) fn rate(words: &mut Words, unit: u64) -> Result<Rate, TextError> {
    if words.take("percent") {
        let before = words.clone();
        let percent: u8 = words.number("a percentage", 1..=100)?;
        let percent = Percent::new(percent).map_err(|error| before.error(What::refused(error)))?;
        return Ok(Rate::Percent(percent));
    }
    let before = words.clone();
    let (number, suffix) = suffixed(words)?;
    if suffix.is_none() && words.take("pps") {
        let rate = PacketsPerSecond::new(number).map(Rate::Packets);
        return rate.map_err(|error| before.error(What::refused(error)));
    }
    if suffix.is_none() && words.sees("cps") {
        return Err(words.not_supported());
    }
    let unit = suffix.or_else(|| words.take_of(BIT_UNITS)).unwrap_or(unit);
    let rate = number.checked_mul(unit).ok_or(RateError::Bits(u64::MAX));
    let rate = rate.and_then(BitsPerSecond::new).map(Rate::Bits);
    rate.map_err(|error| before.error(What::refused(error)))
}

/// A rate in bits, or a percentage.
pub(super) fn share(words: &mut Words, unit: u64) -> Result<Share, TextError> {
    let before = words.clone();
    match rate(words, unit)? {
        Rate::Bits(rate) => Ok(Share::Bits(rate)),
        Rate::Percent(percent) => Ok(Share::Percent(percent)),
        Rate::Packets(_) => Err(before.expected("a rate in bits a second")),
    }
}

/// A number, and what the letter behind it makes of it.
fn suffixed(words: &mut Words) -> Result<(u64, Option<u64>), TextError> {
    const LETTERS: [(char, u64); 3] = [('k', 1_000), ('m', 1_000_000), ('g', 1_000_000_000)];
    let text = words.peek().map_or("", |word| word.text);
    let letter = text
        .chars()
        .next_back()
        .and_then(|last| LETTERS.into_iter().find(|(letter, _)| last.eq_ignore_ascii_case(letter)));
    if let Some((letter, unit)) = letter
        && let digits = &text[..text.len() - letter.len_utf8()]
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = digits.parse()
    {
        words.word("a rate")?;
        return Ok((number, Some(unit)));
    }
    Ok((words.number("a rate", 1..=u64::MAX)?, None))
}

/// A number and its unit; `plain` without one.
pub(super) fn size(words: &mut Words, wants: &'static str, plain: Unit) -> Result<Size, TextError> {
    const UNITS: &[(&str, Unit)] = &[
        ("bits", Size::Bits),
        ("bytes", Size::Bytes),
        ("byte", Size::Bytes),
        ("kbytes", |number| Size::Bytes(number.saturating_mul(1_000))),
        ("mbytes", |number| Size::Bytes(number.saturating_mul(1_000_000))),
        ("gbytes", |number| Size::Bytes(number.saturating_mul(1_000_000_000))),
        ("packets", Size::Packets),
        ("ms", |number| Size::Milliseconds(u32::try_from(number).unwrap_or(u32::MAX))),
        ("us", |number| Size::Microseconds(u32::try_from(number).unwrap_or(u32::MAX))),
    ];
    let before = words.clone();
    let number: u64 = words.number(wants, 0..=MAX_SIZE)?;
    let times = words.sees("ms") || words.sees("us");
    if times && number > u32::MAX.into() {
        before.clone().number::<u64>(wants, 0..=u32::MAX.into())?;
    }
    Ok(words.take_of(UNITS).unwrap_or(plain)(number))
}

/// Numbers and ranges of them to the end of the line, or in one word: `3 5-7`, `3,5-7`, `af11`.
pub(super) fn numbers(
    words: &mut Words,
    wants: &'static str,
    bounds: RangeInclusive<u16>,
    names: &[(&'static str, u8)],
) -> Result<Numbers, TextError> {
    let mut all = one_word(words, wants, bounds.clone(), names)?;
    while !words.is_at_end() {
        all.extend(one_word(words, wants, bounds.clone(), names)?);
    }
    Ok(all.into_iter().collect())
}

/// Numbers and ranges of them, in one word.
pub(super) fn numbers_in_word(
    words: &mut Words,
    wants: &'static str,
    bounds: RangeInclusive<u16>,
    names: &[(&'static str, u8)],
) -> Result<Numbers, TextError> {
    Ok(one_word(words, wants, bounds, names)?.into_iter().collect())
}

fn one_word(
    words: &mut Words,
    wants: &'static str,
    bounds: RangeInclusive<u16>,
    names: &[(&'static str, u8)],
) -> Result<Vec<RangeInclusive<u16>>, TextError> {
    let text = words.peek().map(|word| word.text.to_owned());
    let ranges = text.as_deref().and_then(|text| {
        text.split(',').map(|part| range(part, names)).collect::<Option<Vec<_>>>()
    });
    let inside = |range: &RangeInclusive<u16>| {
        !range.is_empty() && bounds.contains(range.start()) && bounds.contains(range.end())
    };
    match ranges.filter(|ranges| ranges.iter().all(inside)) {
        Some(ranges) => {
            words.word(wants)?;
            Ok(ranges)
        }
        None => Err(words.error(What::ExpectedNumber {
            wants,
            min: (*bounds.start()).into(),
            max: (*bounds.end()).into(),
            found: text,
        })),
    }
}

/// `7`, `5-7`, or a name.
fn range(text: &str, names: &[(&'static str, u8)]) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    if let Some((_, value)) = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(u16::from(*value)..=u16::from(*value));
    }
    match text.split_once('-') {
        Some((low, high)) => Some(number(low)?..=number(high)?),
        None => number(text).map(|number| number..=number),
    }
}
