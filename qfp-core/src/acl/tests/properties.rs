//! Whatever the rules, every kernel finds what a search finds.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    // rows: ARC-21, ARC-26
    #[test]
    fn a_lookup_finds_the_first_match_of_every_feature(
        rules in prop::collection::vec(rule(), 0..300),
        features in 1..=4_u8,
        seeds in prop::collection::vec(any::<u64>(), 64..65),
    ) {
        let mut world = World::new(1 << 15);
        let classifier = classifier(&mut world, &rules, features);
        let all: Vec<Pattern4> = rules.iter().flatten().copied().collect();
        let keys: Vec<_> = seeds.iter().map(|seed| key(&all, *seed)).collect();
        world.check(&classifier, &keys);
    }

    #[test]
    fn one_feature_alone_is_found_by_the_kernel_for_one(
        rules in prop::collection::vec(rule(), 1..100),
        seeds in prop::collection::vec(any::<u64>(), 64..65),
    ) {
        let mut world = World::new(1 << 14);
        let classifier = classifier(&mut world, &rules, 1);
        let all: Vec<Pattern4> = rules.iter().flatten().copied().collect();
        let mut batch = Keys4::new();
        for (slot, seed) in seeds.iter().enumerate() {
            batch.set(slot, &key(&all, *seed));
        }
        let mut found = Matches::<1>::new();
        let tcam = Tcam::new(&world.lines, Isa::detect());
        tcam.look_up(classifier.object(), &batch, PacketMask(u64::MAX), &mut found);
        for slot in 0..VECTOR {
            let first = classifier.first_match(0, &batch.get(slot));
            let wanted = first.map_or(NO_MATCH, |(_, rule)| rule.result);
            prop_assert_eq!(found.result(0, slot), wanted);
        }
    }

    #[test]
    fn what_two_patterns_share_is_what_both_hold(a in pattern(), b in pattern(), seed: u64) {
        for seed in [seed, seed ^ 1, seed ^ 2] {
            let key = key(&[a, b], seed);
            let both = a.and(&b).is_some_and(|both| both.matches(&key));
            prop_assert_eq!(both, a.matches(&key) && b.matches(&key));
        }
    }

    #[test]
    fn a_widened_pattern_holds_every_key_that_the_pattern_holds(
        pattern in pattern(),
        seed: u64,
    ) {
        let key = key(&[pattern], seed);
        if pattern.matches(&key) {
            for (word, key) in key.iter().enumerate() {
                let (value, mask) = pattern.widened(word);
                prop_assert_eq!(key & mask, value);
            }
        }
    }
}

#[test]
fn thousands_of_rules_that_only_ranges_tell_apart_are_still_searched_in_order() {
    let mut world = World::new(1 << 16);
    let rules: Vec<Vec<Pattern4>> = (0..3000_u16)
        .map(|i| vec![Pattern4::any().source_port(&(30_000 - i..=33_000 + i))])
        .collect();
    let classifier = classifier(&mut world, &rules, 1);
    let keys: Vec<[u64; WORDS4]> =
        (0..=u16::MAX).step_by(97).map(|port| [0, u64::from(port) << 48, 0, 0, 0, 0]).collect();
    world.check(&classifier, &keys);
}
