//! Rates over a long time, and numbers at the ends of their ranges.

use super::*;

/// Conforming bytes, beyond the burst, of a policer that is offered twice its rate,
/// and the time in which they went by; `clock` turns picoseconds into what the policer is told.
fn pass(rate: u64, length: u32, bc: u64, clock: impl Fn(u128) -> u64) -> (i128, u64) {
    let policer = Policer::new(one_rate(rate, bc));
    // Packets arrive every `bits / 2 rate` seconds.
    let time = |packet: u64| {
        let bits = u128::from(packet) * u128::from(length) * 8;
        clock(bits * 1_000_000_000_000 / (2 * u128::from(rate)))
    };
    // Ten seconds are too many packets at high rates.
    let ten_seconds = u64::try_from(20 * u128::from(rate) / (u128::from(length) * 8)).unwrap();
    let packets = ten_seconds.clamp(5_000, 20_000);
    let passed = (0..packets).filter(|&packet| policer.conforms(time(packet), length)).count();
    (passed as i128 * i128::from(length) - i128::from(bc), time(packets - 1) - time(0))
}

const RATES: [u64; 9] = [
    8_000,
    64_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    400_000_000_000,
];
const LENGTHS: [u32; 4] = [64, 353, 1500, 9000];

#[test]
fn the_rate_is_right_to_one_packet() {
    for rate in RATES {
        for length in LENGTHS {
            let (passed, ns) = pass(rate, length, 18_000, |ps| (ps / 1000) as u64);
            // In parts of 8 * 10^9 of a byte.
            let error = passed * 8_000_000_000 - i128::from(rate) * i128::from(ns);
            let packet = i128::from(length) * 8_000_000_000;
            assert!(error.abs() <= packet, "{rate} bit/s, {length} bytes: {error}");
        }
    }
}

#[test]
fn the_rate_is_right_on_clocks_that_count_cycles() {
    for ghz_tenths in [10, 19, 20, 21, 24, 30, 37, 50] {
        for rate in RATES {
            for length in LENGTHS {
                let (passed, ns) = pass(rate, length, 18_000, |ps| {
                    let cycles = ps * ghz_tenths / 10_000;
                    (cycles * 10 / ghz_tenths) as u64
                });
                let wanted = i128::from(rate) * i128::from(ns) / 8_000_000_000;
                let off = (passed - wanted).abs() - i128::from(length);
                assert!(off * 10_000 <= wanted, "{rate} bit/s, {length} bytes: {off} of {wanted}");
            }
        }
    }
}

#[test]
fn a_higher_rate_never_passes_less() {
    let mut rates = vec![1, 2, 3, 7, 999, 800_000_000_000, 799_999_999_999];
    rates.extend([68, 69, 70].map(|gigabits| gigabits * 1_000_000_000));
    rates.extend((0..40).map(|power| 1u64 << power).filter(|&rate| rate < 800_000_000_000));
    rates.extend(RATES);
    rates.sort_unstable();
    // 64 kB each 10 us: more than any rate.
    let passed = |rate: u64| {
        let policer = Policer::new(one_rate(rate, 1 << 40));
        // Empty, but for a frame.
        assert!(policer.conforms(0, (1 << 30) - 1));
        for _ in 0..1024 {
            policer.meter(0, (1 << 30) - 1, Colour::Green);
        }
        (1..20_000).filter(|i| policer.conforms(i * 10_000, 64_000)).count()
    };
    let mut last = 0;
    for rate in rates {
        let passed = passed(rate);
        assert!(passed >= last, "{rate} bit/s: {passed} frames, fewer than {last}");
        last = passed;
    }
    assert!(last > 19_000);
}

#[test]
fn a_policer_that_was_idle_for_a_month_is_full_and_no_more() {
    const MONTH: u64 = 30 * 86_400 * 1_000_000_000;
    for rate in [1, 68_000_000_000, 69_000_000_000, 70_000_000_000, 800_000_000_000] {
        for bc in [2_000, 1 << 40] {
            for shared in [false, true] {
                let spec = PolicerSpec { shared, ..spec(bits(rate), bc, Algorithm::OneRate) };
                let Ok(made) = spec.program(&anything()) else { continue };
                let policer = Policer::new(made.config);
                let start = 1 << 62;
                policer.meter(start, 1_000, Colour::Green);
                policer.meter(start, 1_000, Colour::Green);
                policer.meter(start + MONTH, 0, Colour::Green);
                let tokens = u128::from(rate) * u128::from(MONTH) / 8_000_000_000;
                let held = u128::from(bc).min(u128::from(bc) - 2_000 + tokens) as u64;
                let content = policer.state.snapshot().content();
                assert_eq!(content, Some([held, 0]), "{rate} bit/s");
            }
        }
    }
}

#[test]
fn one_bit_a_second_fills_a_byte_in_eight_seconds() {
    let policer = Policer::new(one_rate(1, 1));
    let second = 1_000_000_000;
    let outcome: Vec<bool> =
        [0, 8 * second - 1, 8 * second, 16 * second].map(|now| policer.conforms(now, 1)).into();
    assert_eq!(outcome, [true, false, true, true]);
}

#[test]
fn time_that_stands_still_or_goes_back_brings_nothing() {
    let policer = Policer::new(one_rate(8_000_000_000, 1000));
    assert!(policer.conforms(5_000, 1000));
    for now in [5_000, 4_000, 0, 5_000] {
        assert!(!policer.conforms(now, 1));
    }
    assert!(policer.conforms(5_001, 1));
    assert!(!policer.conforms(u64::MAX, 1001));
    assert!(policer.conforms(u64::MAX, 1000));
    assert!(!policer.conforms(0, 1));
}
