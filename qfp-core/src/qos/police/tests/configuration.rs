//! Bursts, steps, and what is refused.

use super::super::{
    Bucket, Percent, PolicerError, PolicerWarning, RateError,
    row::{NARROW_MAX, Scale, TOKENS_PER_BYTE},
};
use super::*;

/// Bursts that follow from a rate.
pub(super) fn check_bursts(rate: u64, bc: u64, be: u64, short: u64) {
    let program = |burst| {
        let algorithm = Algorithm::Rfc2697 { be: burst };
        let spec = PolicerSpec { bc: burst, algorithm, ..PolicerSpec::one_rate(bits(rate)) };
        let made = spec.program(&anything()).unwrap();
        (made.bc, made.be)
    };
    assert_eq!(program(Burst::Default), (bc, be));
    assert_eq!(program(Burst::Auto250Ms), (short, 2 * short));
}

/// A rate as two platforms program it; 0 where one refuses it.
pub(super) fn check_steps(rate: u64, trident: u64, typhoon: u64) {
    let programmed = |granularity| {
        let limits = Limits::new(granularity, 0);
        PolicerSpec::one_rate(bits(rate)).program(&limits).map(|made| made.cir)
    };
    let below = |step| Err(RateError::BelowStep { rate, step }.into());
    let wanted = |rate: u64, step| if rate == 0 { below(step) } else { Ok(rate) };
    assert_eq!(programmed(Granularity::Native), Ok(rate));
    assert_eq!(programmed(Granularity::Trident), wanted(trident, 64_000));
    assert_eq!(programmed(Granularity::Typhoon), wanted(typhoon, 8_000));
}

#[test]
fn bursts_follow_from_the_rate() {
    check_bursts(64_000, 12_000, 24_000, 2_000);
    check_bursts(1_000_000, 187_500, 375_000, 31_250);
    check_bursts(10_000_000, 1_875_000, 3_750_000, 312_500);
    check_bursts(100_000_000, 18_750_000, 37_500_000, 3_125_000);
    check_bursts(1_000_000_000, 187_500_000, 375_000_000, 31_250_000);
    check_bursts(10_000_000_000, 1_875_000_000, 3_750_000_000, 312_500_000);
}

#[test]
fn platforms_round_rates_down() {
    check_steps(63_999, 0, 56_000);
    check_steps(64_000, 64_000, 64_000);
    check_steps(100_000, 64_000, 96_000);
    check_steps(127_999, 64_000, 120_000);
    check_steps(128_000, 128_000, 128_000);
    check_steps(1_000_000, 960_000, 1_000_000);
    check_steps(1_001_000, 960_000, 1_000_000);
    check_steps(12_345_678, 12_288_000, 12_344_000);
    check_steps(100_000_000, 99_968_000, 100_000_000);
    check_steps(1_000_000_000, 1_000_000_000, 1_000_000_000);
}

#[test]
fn bursts_follow_from_the_rate_as_programmed() {
    let made = PolicerSpec::one_rate(bits(1_000_000))
        .program(&Limits::new(Granularity::Trident, 1518))
        .unwrap();
    assert_eq!((made.cir, made.bc), (960_000, 180_000));
    let [rate, programmed] = [1_000_000, 960_000].map(|rate| BitsPerSecond::new(rate).unwrap());
    assert_eq!(made.warnings, [PolicerWarning::Rounded { rate, programmed }]);
}

#[test]
fn high_rates_without_bursts_are_warned_of() {
    let program = |rate, bc| {
        let spec = PolicerSpec { bc, ..PolicerSpec::one_rate(bits(rate)) };
        spec.program(&Limits::new(Granularity::Native, 1518)).unwrap().warnings
    };
    let rate = BitsPerSecond::new(10_000_000_000).unwrap();
    let warning = PolicerWarning::DefaultBurst { rate, burst: 1_875_000_000 };
    assert_eq!(program(10_000_000_000, Burst::Default), [warning]);
    assert_eq!(program(10_000_000_000, Burst::Size(1 << 30)), []);
    assert_eq!(program(999_999_999, Burst::Default), []);
}

#[test]
fn a_bucket_holds_the_largest_frame() {
    let limits = Limits::new(Granularity::Native, 1518);
    let small = spec(bits(1_000_000), 1517, Algorithm::OneRate);
    let below = |bucket| PolicerError::BurstBelowFrame { bucket, burst: 1517, largest: 1518 };
    assert_eq!(small.program(&limits), Err(below(Bucket::Committed)));
    let algorithm = Algorithm::Rfc2697 { be: Burst::Size(1517) };
    let excess = spec(bits(1_000_000), 1518, algorithm);
    assert_eq!(excess.program(&limits), Err(below(Bucket::Excess)));

    // 8 kb/s for 1.5 s are 1500 bytes.
    let made = PolicerSpec::one_rate(bits(8_000)).program(&limits).unwrap();
    let raised = PolicerWarning::Raised { bucket: Bucket::Committed, burst: 1500, raised: 1518 };
    assert_eq!((made.bc, made.warnings), (1518, vec![raised]));
    let policer = Policer::new(made.config);
    assert!(policer.conforms(0, 1518));
}

#[test]
fn a_packet_rate_has_a_burst_of_at_least_one_packet() {
    let program = |rate| PolicerSpec::one_rate(packets(rate)).program(&anything()).unwrap().bc;
    assert_eq!([1, 2, 1000].map(program), [1, 3, 1500]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let program = |spec: PolicerSpec| spec.program(&anything()).map(|made| made.cir);
    let two = |pir| Algorithm::Rfc2698 { pir, be: Burst::Default };
    let peak = PolicerError::PeakBelowCommitted { cir: 9_000, pir: 8_000 };
    assert_eq!(program(spec(bits(9_000), 9, two(bits(8_000)))), Err(peak));
    let mixed = spec(bits(9_000), 9, two(packets(8_000)));
    assert_eq!(program(mixed), Err(PolicerError::MixedUnits));
    let share = Percent::new(10).unwrap();
    let percent = PolicerSpec::one_rate(Rate::Percent(share));
    assert_eq!(program(percent), Err(PolicerError::NoLinkRate(share)));
    for burst in [0, PolicerSpec::BURST_MAX + 1] {
        let error = PolicerError::BurstOutOfRange { bucket: Bucket::Committed, burst };
        assert_eq!(program(spec(bits(9_000), burst, Algorithm::OneRate)), Err(error));
    }
    let one = spec(bits(9_000), 9, two(bits(9_000))).child_conform_aware(&anything());
    assert_eq!(one, Err(PolicerError::NothingAboveCommitted(9_000)));

    assert_eq!(BitsPerSecond::new(0), Err(RateError::Bits(0)));
    assert_eq!(BitsPerSecond::new(800_000_000_001), Err(RateError::Bits(800_000_000_001)));
    assert_eq!(PacketsPerSecond::new(0), Err(RateError::Packets(0)));
    assert_eq!([0, 101].map(Percent::new), [0, 101].map(|n| Err(RateError::Percent(n))));
}

#[test]
fn a_shared_bucket_fits_one_word() {
    // The worst of rates: a byte is 8 * 10^9 tokens.
    let shared = |bc| {
        let one = spec(bits(799_999_999_999), bc, Algorithm::OneRate);
        PolicerSpec { shared: true, ..one }.program(&anything()).map(|made| made.bc)
    };
    let largest = u64::try_from(NARROW_MAX).unwrap() / TOKENS_PER_BYTE;
    assert_eq!(shared(largest), Ok(largest));
    let (rates, bursts) = ([799_999_999_999, 0], [largest + 1, 0]);
    assert_eq!(shared(largest + 1), Err(PolicerError::TooLargeToShare { rates, bursts }));
    // A slow bucket beside a fast one: what fills the slow one would overflow the other.
    let algorithm = Algorithm::Rfc4115 { eir: bits(800_000_000_000), be: Burst::Size(9000) };
    let uneven = spec(bits(1000), 9000, algorithm);
    assert!(uneven.program(&anything()).unwrap().config.is_wide());
    let shared = PolicerSpec { shared: true, ..uneven };
    let (rates, bursts) = ([1000, 800_000_000_000], [9000, 9000]);
    let error = PolicerError::TooLargeToShare { rates, bursts };
    assert_eq!(shared.program(&anything()), Err(error));
}

#[test]
fn a_scale_says_its_unit() {
    for twos in 0..=12u16 {
        for fives in 0..=9 {
            let unit = 2u64.pow(twos.into()) * 5u64.pow(fives);
            // A rate that has nothing else in common with 8 * 10^9.
            let rate = TOKENS_PER_BYTE / unit;
            let config = one_rate(rate, 1);
            assert_eq!((config.unit, Scale::unit(config.scale)), (unit, unit), "{rate} bit/s");
        }
    }
}
