//! Lookups against a search of all rules, one by one.
#![expect(clippy::cast_possible_truncation, reason = "small numbers, and random ones")]

mod changes;
mod memory;
mod properties;

use proptest::prelude::*;

use crate::acl::key::{Keys4, WORDS4};
use crate::acl::{Classifier, FEATURES, Line, Matches, Memory, NO_MATCH, Pattern4, Place, Rule};
use crate::acl::{Space, Tcam};
use crate::isa::Isa;
use hal::{PacketMask, VECTOR};
use pal::publication::Timekeeper;

/// Lines and their space, for a test.
struct World {
    lines: Vec<Line>,
    space: Space,
    time: Timekeeper,
}

impl World {
    fn new(lines: u32) -> Self {
        let time = Timekeeper::default();
        let space = Space::new(lines, time.clock());
        let lines = std::iter::repeat_with(Line::default).take(lines as usize).collect();
        Self { lines, space, time }
    }

    /// All readers move on.
    fn pass(&mut self) {
        let grace = self.time.begin();
        self.time.pass(grace);
        self.space.reclaim();
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory { lines: &self.lines, space: &mut self.space }
    }

    /// Compares what every kernel finds with what a search of the rules finds.
    fn check(&self, classifier: &Classifier<WORDS4>, keys: &[[u64; WORDS4]]) {
        for isa in [Isa::Portable, Isa::Avx512.or_lower()] {
            let tcam = Tcam::new(&self.lines, isa);
            for keys in keys.chunks(VECTOR) {
                let (mut batch, mut matches) = (Keys4::new(), Matches::<FEATURES>::new());
                for (slot, key) in keys.iter().enumerate() {
                    batch.set(slot, key);
                }
                let select = PacketMask(u64::MAX >> (VECTOR - keys.len()));
                tcam.look_up(classifier.object(), &batch, select, &mut matches);
                for (slot, key) in keys.iter().enumerate() {
                    for feature in 0..FEATURES {
                        let found = matches.result(feature, slot);
                        let first = classifier.first_match(feature as u8, key);
                        let wanted = first.map_or(NO_MATCH, |(_, rule)| rule.result);
                        assert_eq!(found, wanted, "{isa:?} {feature} {key:x?} {first:?}");
                    }
                }
            }
        }
    }
}

/// A rule over few distinct values, so that rules overlap and keys meet them.
fn pattern() -> impl Strategy<Value = Pattern4> {
    let address = || {
        prop_oneof![
            2 => Just((0, 0)),
            3 => (0..8_u32, 1..=32_u32).prop_map(|(i, len)| {
                (0x0a00_0000 | (i * 0x0101_0101), u32::MAX << (32 - len))
            }),
            1 => (any::<u32>(), any::<u32>()).prop_map(|(a, m)| (a & 0x0707_0707, m | 0xf8f8_0000)),
        ]
    };
    let port = || {
        prop_oneof![
            3 => Just(0..=u16::MAX),
            2 => (0..6_u16).prop_map(|p| p * 500..=p * 500),
            2 => (0..3000_u16, 0..3000_u16).prop_map(|(a, n)| a..=a + n),
        ]
    };
    let rare = (0..12_u8, any::<u8>(), any::<u8>(), 0..1500_u16);
    (address(), address(), port(), port(), 0..4_u8, rare).prop_map(
        |(src, dst, sport, dport, protocol, (which, value, mask, length))| {
            let pattern = Pattern4::any()
                .source(src.0, src.1)
                .destination(dst.0, dst.1)
                .source_port(&sport)
                .destination_port(&dport);
            let pattern = match protocol {
                0 => pattern,
                protocol => pattern.protocol(protocol, 0xff),
            };
            match which {
                0 => pattern.tcp_flags(value, mask & 0x17),
                1 => pattern.traffic_class(value & 0xfc, mask & 0xfc),
                2 => pattern.condition(value & 1, 1),
                3 => pattern.length(&(length..=length + 200)),
                4 => pattern.ttl(&(value.min(mask)..=value.max(mask))),
                5 => pattern.vlan(&(length..=length + 10)).cos(value & 7),
                6 => pattern.inner_vlan(&(5..=9)).inner_cos(value & 7),
                7 => pattern.exp(value & 7).qos_group(u16::from(mask & 3)),
                8 => pattern.source_mac(u64::from(value), 0xff).destination_mac(7, 7),
                _ => pattern,
            }
        },
    )
}

fn rule() -> impl Strategy<Value = Vec<Pattern4>> {
    prop::collection::vec(pattern(), 1..3)
}

/// A key near a rule: each part of it from a pattern or random.
fn key(patterns: &[Pattern4], seed: u64) -> [u64; WORDS4] {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::array::from_fn(|word| {
        let noise = next();
        let Some(near) = patterns.get(next() as usize % (patterns.len() + 1)) else { return noise };
        let (value, mask) = near.widened(word);
        let key = value | noise & !mask & 0x1fff_00ff_0fff_0fff;
        if next() % 8 == 0 { near.value[word] } else { key }
    })
}

/// A classifier of `rules`, in order, dealt out to the first `features` features.
fn classifier(world: &mut World, rules: &[Vec<Pattern4>], features: u8) -> Classifier<WORDS4> {
    let placed = rules.iter().enumerate().map(|(i, patterns)| {
        let place = Place { feature: i as u8 % features, sequence: 10 * i as u64 };
        (place, Rule { result: i as u32, patterns: patterns.clone() })
    });
    Classifier::build(&mut world.memory(), placed).unwrap()
}

#[test]
fn an_object_without_rules_matches_nothing_and_an_unknown_object_neither() {
    let mut world = World::new(64);
    let empty = classifier(&mut world, &[], 1);
    world.check(&empty, &[[0; WORDS4], [u64::MAX; WORDS4]]);
    let tcam = Tcam::new(&world.lines, Isa::detect());
    let mut matches = Matches::<1>::new();
    tcam.look_up(9999, &Keys4::new(), PacketMask(1), &mut matches);
    assert_eq!(matches.result(0, 0), NO_MATCH);
}
