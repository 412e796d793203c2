//! Random policers meet random packets: never a decision other than the reference's.

use super::reference::Reference;
use super::{Colour, Plan, Policer, Random};

/// Packets of a sequence.
const PACKETS: u64 = 24;

/// A policer of any algorithm, with rates and bursts of any size.
fn plan(random: &mut Random, widest: u64) -> Plan {
    let kind = random.below(4);
    let (spill, both, two_rates) = (kind == 1, kind == 2, kind >= 2);
    // Half of the rates are round ones, as operators write them.
    let rate = |random: &mut Random| match random.below(2) {
        0 => random.spread(800_000_000_000),
        _ => 10u64.pow(random.below(11) as u32) * (1 + random.below(8)),
    };
    let cir = rate(random);
    let second = if two_rates { rate(random) } else { 0 };
    let cir = if both { cir.min(second) } else { cir };
    let burst = |random: &mut Random| random.spread(widest);
    let bc = burst(random);
    Plan {
        packets: random.below(4) == 0,
        rate: [cir, second],
        burst: [bc, if kind == 0 { 0 } else { burst(random) }],
        aware: random.below(2) == 0,
        both,
        spill,
        second: kind != 0,
        shared: random.below(4) == 0,
    }
}

/// Runs a sequence and returns which decisions there were.
fn run(random: &mut Random, plan: Plan) -> Option<u32> {
    let ours = Policer::new(plan.compile()?);
    let mut reference = Reference::new(plan);
    let mut seen = 0;
    let mut now = random.spread(1 << 62);
    // Gaps and lengths about which the rate and the bursts matter.
    let gap = 1 + 16_000_000_000 * plan.burst[0].min(1 << 30) / plan.rate[0] / PACKETS;
    let largest = plan.burst[0].max(plan.burst[1]).clamp(1, 1 << 20);
    for packet in 0..PACKETS {
        let length = random.below(largest + 2) as u32;
        let colour = Colour::ALL[random.below(3) as usize];
        let wanted = reference.meter(now, length, colour);
        let got = ours.meter(now, length, colour);
        assert_eq!(got, wanted, "packet {packet}: {length} bytes at {now}, {colour:?}, {plan:?}");
        seen |= 1 << wanted as u8;
        now += match random.below(8) {
            0 => 0,
            1 => random.spread(30 * 86_400 * 1_000_000_000),
            _ => random.below(gap),
        };
        if random.below(16) == 0 {
            now -= random.below(gap).min(now);
        }
    }
    Some(seen)
}

#[test]
fn a_million_random_sequences_are_decided_as_by_the_reference() {
    let seed = 0x5eed;
    let (mut random, mut run_of, mut mixed, mut wide) = (Random(seed), 0, 0, 0);
    let start = std::time::Instant::now();
    while run_of < 1_000_000 {
        let widest = if random.below(4) == 0 { 1 << 40 } else { 1 << 24 };
        let plan = plan(&mut random, widest);
        let Some(seen) = run(&mut random, plan) else { continue };
        run_of += 1;
        mixed += u32::from(seen.count_ones() > 1);
        wide += u32::from(plan.compile().is_some_and(|config| config.is_wide()));
    }
    println!(
        "{run_of} sequences, {mixed} of several colours, {wide} in 128 bits: {:?}",
        start.elapsed()
    );
    assert!(mixed > 300_000 && wide > 1_000);
}
