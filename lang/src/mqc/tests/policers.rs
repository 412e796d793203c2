//! Policers: their many spellings, and what is programmed.

use qfp_core::qos::police::{
    self, Algorithm, BitsPerSecond, Colour, Granularity, PacketsPerSecond, Percent, PolicerError,
    Rate,
};

use super::*;

fn bits(rate: u64) -> Rate {
    Rate::Bits(BitsPerSecond::new(rate).unwrap())
}

fn percent(share: u8) -> Rate {
    Rate::Percent(Percent::new(share).unwrap())
}

fn bytes(size: u64) -> Burst {
    Burst::Size(Size::Bytes(size))
}

fn police(line: &str) -> Police {
    actions(line).police.expect(line)
}

fn limits() -> police::Limits {
    police::Limits {
        link: BitsPerSecond::new(100_000_000).ok(),
        granularity: Granularity::Native,
        largest_frame: 1518,
        high_rate: BitsPerSecond::GIGABIT,
    }
}

#[test]
fn every_spelling_says_rate_and_bursts() {
    let ms = |time| Burst::Size(Size::Milliseconds(time));
    let two = |rate, burst| (rate, burst, None);
    let three = |rate, burst, peak, be| (rate, burst, Some((peak, be)));
    let pps = |rate| Rate::Packets(PacketsPerSecond::new(rate).unwrap());
    let packets = |size| Burst::Size(Size::Packets(size));
    let default = Burst::Default;
    let cases = [
        ("police 1000000", two(bits(1_000_000), default)),
        ("police 1000000 187500", two(bits(1_000_000), bytes(187_500))),
        ("police cir 10 mbps bc 2000", two(bits(10_000_000), bytes(2000))),
        ("police cir 10m burst auto 250ms", two(bits(10_000_000), Burst::Auto250Ms)),
        ("police cir 10k bc auto", two(bits(10_000), default)),
        ("police rate 2 gbps burst 250 ms", two(bits(2_000_000_000), ms(250))),
        ("police rate 64 kbps burst 3 kbytes", two(bits(64_000), bytes(3000))),
        ("police cir percent 20 bc 300 ms", two(percent(20), ms(300))),
        ("police rate 100 pps burst 10 packets", two(pps(100), packets(10))),
        ("police rate 100 pps burst 10", two(pps(100), packets(10))),
        ("police 8000 1500 3000", three(bits(8000), bytes(1500), None, bytes(3000))),
        ("police cir 8000 be 3000", three(bits(8000), default, None, bytes(3000))),
        (
            "police cir 8000 pir 16000 be 3000",
            three(bits(8000), default, Some(bits(16_000)), bytes(3000)),
        ),
        (
            "police rate 1 mbps burst 9 ms peak-rate 2 mbps peak-burst 8 ms",
            three(bits(1_000_000), ms(9), Some(bits(2_000_000)), ms(8)),
        ),
        (
            "police cir percent 20 bc 300 ms pir percent 40 be 400 ms",
            three(percent(20), ms(300), Some(percent(40)), ms(400)),
        ),
        (
            "police cir 8000 bc auto 250 ms pir 9000",
            three(bits(8000), Burst::Auto250Ms, Some(bits(9000)), Burst::Auto250Ms),
        ),
    ];
    for (line, (rate, burst, beyond)) in cases {
        let police = police(line);
        let found = police.beyond.map(|beyond| (beyond.peak, beyond.burst));
        assert_eq!((police.rate, police.burst, found), (rate, burst, beyond), "{line}");
        assert_eq!(police.conform, Outcome::Transmit(vec![]), "{line}");
        assert_eq!(police.exceed, Outcome::Drop, "{line}");
    }
}

#[test]
fn actions_stand_in_the_line_or_below_it() {
    let line = police(
        "police 1000000 187500 375000 conform-action transmit exceed-action set-dscp-transmit af13 \
         violate-action drop",
    );
    let below = police(
        "police cir 1000000 bc 187500 be 375000\n  conform-action transmit\n\
         exceed-action set-dscp-transmit 14\n  violate-action drop",
    );
    assert_eq!(line, below);
    let marked = Outcome::Transmit(vec![Mark::Dscp(Ip::Both, 14)]);
    assert_eq!(line.outcome(Colour::Green), &Outcome::Transmit(vec![]));
    assert_eq!(line.outcome(Colour::Yellow), &marked);
    assert_eq!(line.outcome(Colour::Red), &Outcome::Drop);
    assert_eq!(line.outcomes().count(), 3);
}

#[test]
fn a_violate_action_asks_for_a_third_colour() {
    let two = police("police 8000 exceed-action transmit");
    assert_eq!(two.beyond, None);
    assert_eq!(two.outcome(Colour::Red), &Outcome::Transmit(vec![]));
    let three = police("police 8000\n violate-action drop").beyond.unwrap();
    assert_eq!((three.peak, three.burst), (None, Burst::Default));
    let same = police("police 8000 pir 9000\n exceed-action set-cos-transmit 1").beyond.unwrap();
    assert_eq!(same.violate, Outcome::Transmit(vec![Mark::Cos(1)]));
}

#[test]
fn classes_give_colours() {
    let aware = police("police 8000\n conform-color inner\n exceed-action drop");
    assert_eq!(aware.colours, Some(ColourClasses { conform: name("inner"), exceed: None }));
    assert!(aware.spec(&limits()).unwrap().aware);
    let both = police("police 8000\n conform-color inner exceed-color c");
    assert_eq!(both.colours.unwrap().exceed, Some(name("c")));
}

#[test]
fn times_become_sizes_at_their_rate() {
    let spec = |line: &str| police(line).spec(&limits()).unwrap();
    let size = police::Burst::Size;
    assert_eq!(spec("police rate 10 mbps burst 250 ms").bc, size(312_500));
    assert_eq!(spec("police cir percent 20 bc 300 ms").bc, size(750_000));
    assert_eq!(spec("police rate 1000 pps burst 1500 us").bc, size(1));
    assert_eq!(spec("police cir 8000").bc, police::Burst::Default);
    assert_eq!(spec("police cir 8000 bc auto 250ms").bc, police::Burst::Auto250Ms);
    let two_rates = spec("police cir 1m bc 100 ms pir 2m be 100 ms");
    let be = size(25_000);
    assert_eq!(two_rates.algorithm, Algorithm::Rfc2698 { pir: bits(2_000_000), be });
    let one_rate = spec("police 8000 1500 3000").algorithm;
    assert_eq!(one_rate, Algorithm::Rfc2697 { be: size(3000) });
    let unknown = police::Limits { link: None, ..limits() };
    let error = police("police cir percent 20 bc 300 ms").spec(&unknown).unwrap_err();
    assert_eq!(error, PolicerError::NoLinkRate(Percent::new(20).unwrap()));
}

#[test]
fn awareness_of_children_meters_the_excess_apart() {
    let line = "service-policy inner\npolice cir 9m pir 12m\n child-conform-aware";
    let spec = police(line).spec(&limits()).unwrap();
    assert!(spec.aware);
    let be = police::Burst::Default;
    assert_eq!(spec.algorithm, Algorithm::Rfc4115 { eir: bits(3_000_000), be });
}
