//! Hand-made sequences with the buckets after each packet.

use std::path::Path;

use serde_json::Value;

use super::super::{Percent, Policers, RateError};
use super::*;

const SECOND: f64 = 1e9;

/// Time in seconds, counted bytes, colour before and after, tokens of the two buckets.
type Line = (f64, u32, char, char, u64, u64);

fn colour(letter: char) -> Colour {
    match letter {
        'G' => Colour::Green,
        'Y' => Colour::Yellow,
        _ => Colour::Red,
    }
}

fn check(name: &str, spec: PolicerSpec, lines: &[Line]) {
    for shared in [false, true] {
        let policer = Policer::new(row(&PolicerSpec { shared, ..spec }));
        for (i, &(seconds, length, before, after, first, second)) in lines.iter().enumerate() {
            let got = policer.meter((seconds * SECOND) as u64, length, colour(before));
            assert_eq!(got, colour(after), "{name}, line {i}");
            let content = policer.state.snapshot().content();
            assert_eq!(content, Some([first, second]), "{name}, line {i}");
        }
    }
}

/// Buckets of 1000 byte/s.
fn rfc2697(aware: bool) -> PolicerSpec {
    let algorithm = Algorithm::Rfc2697 { be: Burst::Size(3000) };
    PolicerSpec { aware, ..spec(bits(8000), 2000, algorithm) }
}

/// 1000 and 2000 byte/s.
fn rfc2698(aware: bool) -> PolicerSpec {
    let algorithm = Algorithm::Rfc2698 { pir: bits(16_000), be: Burst::Size(3000) };
    PolicerSpec { aware, ..spec(bits(8000), 1500, algorithm) }
}

/// 1000 byte/s each.
fn rfc4115() -> PolicerSpec {
    let algorithm = Algorithm::Rfc4115 { eir: bits(8000), be: Burst::Size(1500) };
    PolicerSpec { aware: true, ..spec(bits(8000), 1500, algorithm) }
}

#[test]
fn one_rate_three_colours_blind() {
    let lines = [
        (0.0, 1000, 'G', 'G', 1000, 3000),
        (0.0, 1000, 'G', 'G', 0, 3000),
        (0.0, 1000, 'G', 'Y', 0, 2000),
        (0.0, 1000, 'G', 'Y', 0, 1000),
        (0.0, 1000, 'G', 'Y', 0, 0),
        (0.0, 1000, 'G', 'R', 0, 0),
        (1.0, 1000, 'G', 'G', 0, 0),
        (1.0, 1000, 'G', 'R', 0, 0),
        (3.0, 1500, 'G', 'G', 500, 0),
        (3.5, 1000, 'G', 'G', 0, 0),
        (10.0, 2000, 'G', 'G', 0, 3000),
        (10.0, 1000, 'G', 'Y', 0, 2000),
        (10.0, 1500, 'G', 'Y', 0, 500),
        (10.0, 1000, 'G', 'R', 0, 500),
    ];
    check("RFC 2697, blind", rfc2697(false), &lines);
}

#[test]
fn one_rate_three_colours_aware() {
    let lines = [
        (0.0, 1000, 'G', 'G', 1000, 3000),
        (0.0, 1000, 'Y', 'Y', 1000, 2000),
        (0.0, 1000, 'R', 'R', 1000, 2000),
        (0.0, 1000, 'G', 'G', 0, 2000),
        (0.0, 1000, 'G', 'Y', 0, 1000),
        (0.0, 2000, 'Y', 'R', 0, 1000),
        (0.0, 1000, 'Y', 'Y', 0, 0),
        (2.0, 500, 'Y', 'R', 2000, 0),
        (2.0, 1000, 'G', 'G', 1000, 0),
        (2.0, 1000, 'G', 'G', 0, 0),
        (2.0, 500, 'G', 'R', 0, 0),
    ];
    check("RFC 2697, aware", rfc2697(true), &lines);
}

#[test]
fn two_rates_three_colours_blind() {
    let lines = [
        (0.0, 1000, 'G', 'G', 500, 2000),
        (0.0, 1000, 'G', 'Y', 500, 1000),
        (0.0, 1000, 'G', 'Y', 500, 0),
        (0.0, 1000, 'G', 'R', 500, 0),
        (0.5, 500, 'G', 'G', 500, 500),
        (0.5, 500, 'G', 'G', 0, 0),
        (0.5, 500, 'G', 'R', 0, 0),
        (1.0, 1000, 'G', 'Y', 500, 0),
        (1.0, 1000, 'G', 'R', 500, 0),
        (2.0, 1500, 'G', 'G', 0, 500),
        (2.0, 500, 'G', 'Y', 0, 0),
        (2.0, 500, 'G', 'R', 0, 0),
        (4.0, 3000, 'G', 'Y', 1500, 0),
        (4.0, 100, 'G', 'R', 1500, 0),
    ];
    check("RFC 2698, blind", rfc2698(false), &lines);
}

#[test]
fn two_rates_three_colours_aware() {
    let lines = [
        (0.0, 1000, 'G', 'G', 500, 2000),
        (0.0, 1000, 'Y', 'Y', 500, 1000),
        (0.0, 500, 'R', 'R', 500, 1000),
        (0.0, 500, 'G', 'G', 0, 500),
        (0.0, 500, 'G', 'Y', 0, 0),
        (0.0, 500, 'G', 'R', 0, 0),
        (1.0, 1000, 'Y', 'Y', 1000, 1000),
        (1.0, 1000, 'G', 'G', 0, 0),
        (1.0, 500, 'G', 'R', 0, 0),
        (1.5, 1000, 'R', 'R', 500, 1000),
        (1.5, 1000, 'G', 'Y', 500, 0),
    ];
    check("RFC 2698, aware", rfc2698(true), &lines);
}

#[test]
fn two_rates_side_by_side_aware() {
    let lines = [
        (0.0, 1000, 'G', 'G', 500, 1500),
        (0.0, 1000, 'Y', 'Y', 500, 500),
        (0.0, 500, 'R', 'R', 500, 500),
        (0.0, 500, 'G', 'G', 0, 500),
        (0.0, 500, 'G', 'Y', 0, 0),
        (0.0, 500, 'G', 'R', 0, 0),
        (1.0, 1000, 'Y', 'Y', 1000, 0),
        (1.0, 1000, 'G', 'G', 0, 0),
        (1.0, 500, 'G', 'R', 0, 0),
        (1.5, 1000, 'R', 'R', 500, 500),
        (1.5, 1000, 'G', 'R', 500, 500),
    ];
    check("RFC 4115, aware", rfc4115(), &lines);
}

#[test]
fn packets_a_second() {
    let run = |rate, burst, halves: &[u64]| -> String {
        let policer = Policer::new(row(&spec(packets(rate), burst, Algorithm::OneRate)));
        let conforms = |&half: &u64| policer.conforms(half * 500_000_000, 1500);
        halves.iter().map(|half| if conforms(half) { 'C' } else { 'E' }).collect()
    };
    assert_eq!(run(1, 1, &[0, 4, 5]), "CCE");
    assert_eq!(run(1, 2, &[0, 4, 5]), "CCC");
    assert_eq!(run(1, 1, &[0, 2, 4, 6]), "CCCC");
    assert_eq!(run(1, 1, &[0, 1, 2, 3]), "CECE");
    assert_eq!(run(1, 2, &[0, 0, 0]), "CCE");
}

/// Frames of 1500 bytes at even distances: how many conform, and the first that does not.
fn offered(cir: u64, bc: u64, gap: u64, frames: u64) -> (u64, Option<u64>) {
    let policer = Policer::new(one_rate(cir, bc));
    let (mut conform, mut first) = (0, None);
    for frame in 0..frames {
        if policer.conforms(frame * gap, 1500) {
            conform += 1;
        } else {
            first = first.or(Some(frame));
        }
    }
    (conform, first)
}

#[test]
fn one_rate_two_colours() {
    const MEGABIT: u64 = 1_000_000;
    assert_eq!(offered(MEGABIT, 187_500, 0, 200), (125, Some(125)));
    // 10 Mb/s: the frame at 165.6 ms, and at 27.6 ms.
    assert_eq!(offered(MEGABIT, 187_500, 1_200_000, 8333), (958, Some(138)));
    assert_eq!(offered(MEGABIT, 31_250, 1_200_000, 8333), (854, Some(23)));
    // 2 Mb/s: at 1.494 s, and at 0.24 s.
    assert_eq!(offered(MEGABIT, 187_500, 6_000_000, 1666), (957, Some(249)));
    assert_eq!(offered(MEGABIT, 31_250, 6_000_000, 1666), (853, Some(40)));
    assert_eq!(offered(960_000, 180_000, 1_200_000, 8333).0, 919);
    assert_eq!(offered(960_000, 180_000, 6_000_000, 1666).0, 919);
}

#[test]
fn a_frame_conforms_in_the_nanosecond_that_its_tokens_are_there() {
    for (time, conforms) in [(11_999_000, false), (11_999_999, false), (12_000_000, true)] {
        let policer = Policer::new(one_rate(1_000_000, 187_500));
        assert!((0..125).all(|_| policer.conforms(0, 1500)));
        assert_eq!(policer.conforms(time, 1500), conforms, "at {time} ns");
    }
}

#[test]
fn a_priority_class_gets_its_percentage() {
    let limits = Limits { link: Some(BitsPerSecond::new(100_000_000).unwrap()), ..anything() };
    let share = Rate::Percent(Percent::new(30).unwrap());
    assert_eq!(PolicerSpec::one_rate(share).program(&limits).unwrap().cir, 30_000_000);
}

/// Megabits a second that leave three children and their parent, offered 6 Mb/s each: of the
/// parent green, yellow and red, per colour of the child.
fn two_levels(child: PolicerSpec, parent: PolicerSpec) -> [[f64; 3]; 3] {
    let configs = [row(&child), row(&parent)];
    let states: [PolicerState; 4] = Default::default();
    let policers = Policers { configs: &configs, config_of: &[0, 0, 0, 1], states: &states };
    let (mut bytes, length) = ([[0u64; 3]; 3], 1000);
    let gap = 1_333_333;
    for frame in 0..45_000 {
        for child in 0..3 {
            let now = Nanos(frame * gap + u64::from(child) * 400_000);
            let colour = policers.meter(child, now, length, Colour::Green);
            if colour == Colour::Red {
                continue;
            }
            let parent = policers.meter(3, now, length, colour);
            // Only what comes after the bursts.
            if frame >= 9_000 {
                bytes[colour as usize][parent as usize] += u64::from(length);
            }
        }
    }
    bytes.map(|row| row.map(|bytes| bytes as f64 * 8e3 / (36_000 * gap) as f64))
}

fn near(rates: [f64; 3], wanted: [f64; 3]) {
    let near = rates.iter().zip(wanted).all(|(rate, wanted)| (rate - wanted).abs() < 0.01);
    assert!(near, "{rates:?}, not {wanted:?}");
}

#[test]
fn a_parent_limits_the_sum_of_its_children() {
    const MEGABIT: u64 = 1_000_000;
    let child = spec(bits(6 * MEGABIT), 15_000, Algorithm::OneRate);
    let parent = spec(bits(10 * MEGABIT), 30_000, Algorithm::OneRate);
    let [green, ..] = two_levels(child, parent);
    near(green, [10.0, 8.0, 0.0]);
}

#[test]
fn a_parent_that_knows_the_child_keeps_all_that_conformed() {
    const MEGABIT: u64 = 1_000_000;
    let child = spec(bits(3 * MEGABIT), 15_000, Algorithm::OneRate);
    let algorithm = Algorithm::Rfc2698 { pir: bits(12 * MEGABIT), be: Burst::Size(30_000) };
    let parent = spec(bits(9 * MEGABIT), 30_000, algorithm);
    let [green, yellow, _] = two_levels(child, parent.child_conform_aware(&anything()).unwrap());
    near(green, [9.0, 0.0, 0.0]);
    near(yellow, [0.0, 3.0, 6.0]);
    // Colour-awareness alone would lose a third of what conformed.
    let [green, ..] = two_levels(child, PolicerSpec { aware: true, ..parent });
    assert!(green[0] < 7.0, "{green:?}");
}

#[test]
fn the_vectors_on_file_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/qos/vectors.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no {}", path.display());
        return;
    };
    let all: Value = serde_json::from_str(&text).unwrap();
    let policers = [
        ("srtcm_blind cir=1000B/s cbs=2000 ebs=3000", rfc2697(false)),
        ("srtcm_aware cir=1000B/s cbs=2000 ebs=3000", rfc2697(true)),
        ("trtcm_blind cir=1000B/s cbs=1500 pir=2000B/s pbs=3000", rfc2698(false)),
        ("trtcm_aware cir=1000B/s cbs=1500 pir=2000B/s pbs=3000", rfc2698(true)),
        ("rfc4115_aware cir=1000 cbs=1500 eir=1000 ebs=1500", rfc4115()),
    ];
    for (name, spec) in policers {
        let lines: Vec<Line> = all[name].as_array().unwrap().iter().map(line).collect();
        assert!(lines.len() > 10);
        check(name, spec, &lines);
    }
    for entry in all["bursts"].as_array().unwrap() {
        let [rate, bc, be, short] = [0, 1, 2, 3].map(|i| entry[i].as_u64().unwrap());
        super::configuration::check_bursts(rate, bc, be, short);
    }
    for entry in all["granularity"].as_array().unwrap() {
        let [rate, trident, typhoon] = [0, 1, 2].map(|i| entry[i].as_u64().unwrap());
        super::configuration::check_steps(rate, trident, typhoon);
    }
    let burst = all["1r2c back-to-back 200x1500 at t=0"].as_array().unwrap();
    assert_eq!(offered(1_000_000, 187_500, 0, 200).0, burst[0].as_u64().unwrap());
    for (name, value) in all.as_object().unwrap() {
        let Some(case) = name.strip_prefix("1r2c 10s offered ") else { continue };
        let gap = if case.starts_with("10Mb/s") { 1_200_000 } else { 6_000_000 };
        let (cir, bc) = match case.split_once("Mb/s").unwrap().1 {
            "" => (1_000_000, 187_500),
            " Bc=31250(250ms)" => (1_000_000, 31_250),
            _ => (960_000, 180_000),
        };
        let frames = value["frames"].as_u64().unwrap_or(10_000_000_000 / gap);
        let (conform, first) = offered(cir, bc, gap, frames);
        assert_eq!(Some(conform), value["conform"].as_u64(), "{name}");
        if let Some(seconds) = value["first_exceed_time"].as_f64() {
            assert_eq!(first.map(|first| first * gap), Some((seconds * SECOND).round() as u64));
        }
    }
}

/// A line of the file: the colour before is missing where it does not matter.
fn line(value: &Value) -> Line {
    let fields = value.as_array().unwrap();
    let letter = |i: usize| fields[i].as_str().unwrap().chars().next().unwrap();
    let tokens = |i: usize| fields[i].as_f64().unwrap() as u64;
    let seconds = fields[0].as_str().unwrap().parse().unwrap();
    let length = u32::try_from(fields[1].as_u64().unwrap()).unwrap();
    let aware = fields.len() - 5;
    let before = if aware == 1 { letter(2) } else { 'G' };
    (seconds, length, before, letter(2 + aware), tokens(3 + aware), tokens(4 + aware))
}

#[test]
fn a_rate_below_one_step_is_refused() {
    let limits = Limits::new(Granularity::Trident, 1518);
    let error = PolicerSpec::one_rate(bits(63_999)).program(&limits).unwrap_err();
    assert_eq!(error, RateError::BelowStep { rate: 63_999, step: 64_000 }.into());
}
