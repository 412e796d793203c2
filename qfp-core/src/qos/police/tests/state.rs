//! Tokens outlive configurations.

use super::*;

fn two_rates(cir: u64, bc: u64, pir: u64, be: u64) -> PolicerConfig {
    let algorithm = Algorithm::Rfc2698 { pir: bits(pir), be: Burst::Size(be) };
    row(&spec(bits(cir), bc, algorithm))
}

/// Meters 1 byte, which brings the buckets up to date, and returns what they hold.
fn content(config: &PolicerConfig, state: &PolicerState, now: u64) -> [u64; 2] {
    meter(config, state, Nanos(now), 0, Colour::Green);
    state.snapshot().content().unwrap()
}

#[test]
fn a_row_of_zeroes_is_a_full_policer() {
    let config = two_rates(8_000, 1500, 16_000, 3000);
    assert_eq!(PolicerState::default().snapshot().content(), None);
    assert_eq!(content(&config, &PolicerState::default(), 1 << 60), [1500, 3000]);
}

#[test]
fn a_configuration_of_zeroes_lets_everything_pass() {
    for state in [PolicerState::default(), used()] {
        let config = PolicerConfig::default();
        assert_eq!(meter(&config, &state, Nanos(5), 9000, Colour::Red), Colour::Green);
    }
}

/// 500 of 1500 and 2000 of 3000 bytes, at 7 s.
fn used() -> PolicerState {
    let state = PolicerState::default();
    let config = two_rates(8_000, 1500, 16_000, 3000);
    meter(&config, &state, Nanos::from_secs(7), 1000, Colour::Green);
    state
}

#[test]
fn a_changed_policer_keeps_its_tokens_up_to_the_new_burst() {
    let at = 7_000_000_000;
    let cases = [
        (two_rates(8_001, 1500, 16_003, 3000), [500, 2000]),
        (two_rates(9_999_999_999, 1 << 40, 800_000_000_000, 1 << 40), [500, 2000]),
        (two_rates(24_000, 400, 32_000, 1000), [400, 1000]),
        (two_rates(7, 499, 13, 2001), [499, 2000]),
    ];
    for (config, wanted) in cases {
        let state = used();
        assert_eq!(content(&config, &state, at), wanted, "{config:?}");
        // And back again, as lcores do that have not heard of the change.
        let old = two_rates(8_000, 1500, 16_000, 3000);
        assert_eq!(content(&old, &state, at), wanted);
    }
}

#[test]
fn a_bucket_that_was_not_there_is_full() {
    let state = PolicerState::default();
    let one = one_rate(8_000, 1500);
    assert_eq!(meter(&one, &state, Nanos(1), 1000, Colour::Green), Colour::Green);
    let two = two_rates(8_000, 1500, 16_000, 3000);
    assert_eq!(content(&two, &state, 1), [500, 3000]);
    let by_packets = row(&spec(packets(5), 7, Algorithm::OneRate));
    assert_eq!(meter(&by_packets, &state, Nanos(1), 1, Colour::Green), Colour::Green);
    assert_eq!(state.snapshot().content(), Some([6, 0]));
}

#[test]
fn the_value_that_is_kept_is_the_one_that_a_packet_meets() {
    let mut random = Random(11);
    for _ in 0..20_000 {
        let mut config = || {
            let [a, b] = [(); 2].map(|()| random.spread(800_000_000_000));
            let [bc, be] = [(); 2].map(|()| random.spread(1 << 40));
            two_rates(a.min(b), bc, a.max(b), be)
        };
        let (old, new) = (config(), config());
        let state = PolicerState::default();
        meter(&old, &state, Nanos(5), random.spread(1 << 20) as u32, Colour::Green);
        let kept = state.snapshot().adapted(&new, Nanos(5));
        meter(&new, &state, Nanos(5), 0, Colour::Green);
        assert_eq!(state.snapshot(), kept);
        let copy = PolicerState::default();
        copy.restore(&kept);
        assert_eq!(copy.snapshot(), kept);
        let full = [new.full()[0] / u128::from(new.unit), new.full()[1] / u128::from(new.unit)];
        let content = kept.content().unwrap().map(u128::from);
        assert!(content[0] <= full[0] && content[1] <= full[1]);
    }
}

#[test]
fn an_excess_burst_that_grows_is_not_a_gift() {
    let config = |be| row(&spec(bits(8_000), 1000, Algorithm::Rfc2697 { be: Burst::Size(be) }));
    let state = PolicerState::default();
    for _ in 0..4 {
        meter(&config(1000), &state, Nanos(1), 500, Colour::Green);
    }
    assert_eq!(content(&config(9000), &state, 1), [0, 0]);
    assert_eq!(content(&config(9000), &state, 1_000_000_001), [1000, 0]);
}
