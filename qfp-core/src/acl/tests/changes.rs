//! Rules that come and go: every step finds what a search finds, and nothing is leaked.

use super::*;
use crate::acl::{Change, ClassifierError, Nodes};

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u64, Vec<Pattern4>),
    Remove(usize),
    Replace(usize, Vec<Pattern4>),
    Move(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8, 0..5000_u64, rule()).prop_map(|(f, s, rule)| Step::Add(f, s, rule)),
        any::<prop::sample::Index>().prop_map(|i| Step::Remove(i.index(1 << 20))),
        (any::<prop::sample::Index>(), rule())
            .prop_map(|(i, rule)| Step::Replace(i.index(1 << 20), rule)),
        (any::<prop::sample::Index>(), 0..5000_u64)
            .prop_map(|(i, s)| Step::Move(i.index(1 << 20), s)),
    ]
}

fn changes(classifier: &Classifier<WORDS4>, step: &Step, result: u32) -> Vec<Change<WORDS4>> {
    let nth = |i: usize| {
        let rules: Vec<_> = classifier.rules().map(|(place, rule)| (place, rule.clone())).collect();
        (!rules.is_empty()).then(|| rules[i % rules.len()].clone())
    };
    match step {
        Step::Add(feature, sequence, patterns) => {
            let place = Place { feature: *feature, sequence: *sequence };
            vec![Change::Add(place, Rule { result, patterns: patterns.clone() })]
        }
        Step::Remove(i) => nth(*i).map(|(place, _)| Change::Remove(place)).into_iter().collect(),
        Step::Replace(i, patterns) => nth(*i).map_or(Vec::new(), |(place, _)| {
            let rule = Rule { result, patterns: patterns.clone() };
            vec![Change::Remove(place), Change::Add(place, rule)]
        }),
        Step::Move(i, sequence) => nth(*i).map_or(Vec::new(), |(place, rule)| {
            let to = Place { sequence: *sequence, ..place };
            vec![Change::Remove(place), Change::Add(to, rule)]
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // rows: ARC-21
    #[test]
    fn after_every_change_lookups_agree_with_a_search_and_memory_comes_back(
        rules in prop::collection::vec(rule(), 0..200),
        steps in prop::collection::vec((step(), prop_oneof![Just(Nodes::Copied), Just(Nodes::InPlace)]), 1..40),
        seeds in prop::collection::vec(any::<u64>(), 64..65),
    ) {
        let mut world = World::new(1 << 14);
        let mut classifier = classifier(&mut world, &rules, 3);
        let mut all: Vec<Pattern4> = rules.iter().flatten().copied().collect();
        for (number, (step, nodes)) in steps.iter().enumerate() {
            if let Step::Add(_, _, patterns) | Step::Replace(_, patterns) = step {
                all.extend(patterns);
            }
            let changes = changes(&classifier, step, 10_000 + number as u32);
            let before: Vec<_> = classifier.rules().map(|(p, r)| (p, r.clone())).collect();
            let (object, mut memory) = (classifier.object(), world.memory());
            if let Err(error) = classifier.apply(&mut memory, &changes, *nodes) {
                prop_assert!(matches!(error, ClassifierError::RuleExists(..)), "{error}");
                let after: Vec<_> = classifier.rules().map(|(p, r)| (p, r.clone())).collect();
                prop_assert_eq!(before, after);
            } else if !changes.is_empty() && *nodes == Nodes::Copied {
                prop_assert_ne!(object, classifier.object());
            }
            world.pass();
            let keys: Vec<_> = seeds.iter().map(|seed| key(&all, *seed ^ number as u64)).collect();
            world.check(&classifier, &keys);
        }
        classifier.retire(&mut world.memory());
        world.pass();
        prop_assert_eq!(world.space.lines().in_use(), 0);
    }
}

/// Rules of few patterns, so that most are left out of the object and come into it when others go.
fn twins() -> impl Strategy<Value = Vec<Pattern4>> {
    let pattern = (0..3_u32, 0..2_u8).prop_map(|(net, flag)| {
        let pattern = Pattern4::any().destination(net << 24, 0xff00_0000);
        if flag == 0 { pattern } else { pattern.condition(1, 1) }
    });
    prop::collection::vec(pattern, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_equal_patterns_before_it_leave_out_comes_back_when_they_go(
        rules in prop::collection::vec(twins(), 0..60),
        steps in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(twins())), 1..60),
    ) {
        let mut world = World::new(1 << 12);
        let mut classifier = classifier(&mut world, &rules, 2);
        let keys: Vec<[u64; WORDS4]> = (0..8_u64)
            .map(|n| { let mut key = [0; WORDS4]; (key[0], key[1]) = ((n / 2) << 24, n % 2); key })
            .collect();
        for (number, (index, patterns)) in steps.iter().enumerate() {
            let result = 1000 + number as u32;
            let step = match patterns {
                Some(patterns) if number % 3 == 0 => {
                    Step::Add(number as u8 % 2, index.index(600) as u64, patterns.clone())
                }
                Some(patterns) => Step::Replace(index.index(1 << 20), patterns.clone()),
                None => Step::Remove(index.index(1 << 20)),
            };
            let changes = changes(&classifier, &step, result);
            // A place may be taken: nothing changes then.
            let _ = classifier.apply(&mut world.memory(), &changes, Nodes::InPlace);
            world.check(&classifier, &keys);
            world.pass();
        }
        classifier.retire(&mut world.memory());
        world.pass();
        prop_assert_eq!(world.space.lines().in_use(), 0);
    }
}

#[test]
fn rules_that_are_all_the_same_take_the_room_of_one() {
    let mut world = World::new(64);
    let mut classifier = classifier(&mut world, &vec![vec![Pattern4::any()]; 30_000], 1);
    world.check(&classifier, &[[7; WORDS4]]);
    for sequence in [0, 10, 20] {
        let change = Change::Remove(Place { feature: 0, sequence });
        classifier.apply(&mut world.memory(), &[change], Nodes::InPlace).unwrap();
        world.check(&classifier, &[[7; WORDS4]]);
        world.pass();
    }
    assert_eq!(classifier.len(), 29_997);
}

#[test]
fn a_rule_that_comes_and_goes_in_place_leaves_the_object_where_it_is() {
    let mut world = World::new(1 << 14);
    let of = |n: u32| Pattern4::any().source(n << 8, !0xff).destination(n << 16, u32::MAX);
    let rules: Vec<Vec<Pattern4>> = (0..200).map(|n| vec![of(n)]).collect();
    let mut classifier = classifier(&mut world, &rules, 1);
    let (object, place) = (classifier.object(), Place { feature: 0, sequence: 1 << 40 });
    let rule = |result| Rule { result, patterns: vec![of(7), of(300)] };
    let keys: Vec<_> = (0..64).map(|n| key(&[of(7), of(300)], n)).collect();
    let replace = [Change::Remove(place), Change::Add(place, rule(2000))];
    for changes in [&[Change::Add(place, rule(1000))][..], &replace, &[Change::Remove(place)]] {
        let free = world.space.lines().free();
        classifier.apply(&mut world.memory(), changes, Nodes::InPlace).unwrap();
        assert_eq!(classifier.object(), object);
        world.check(&classifier, &keys);
        // Leaves alone were written: five columns at most, of at most two leaves.
        assert!(free - world.space.lines().free() <= 24, "{free} {:?}", world.space.lines());
    }
}

#[test]
fn rules_squeezed_between_two_others_get_their_turn_without_end() {
    let mut world = World::new(1 << 14);
    let any = || Rule { result: 0, patterns: vec![Pattern4::any()] };
    let mut classifier = classifier(&mut world, &[], 1);
    let place = |sequence| Place { feature: 0, sequence };
    let first = Change::Add(place(1 << 60), any());
    classifier.apply(&mut world.memory(), &[first], Nodes::Copied).unwrap();
    // Each comes before the one that came before it: ranks run out, and are spread anew.
    for step in 1..200_u64 {
        let rule = Rule { result: step as u32, ..any() };
        let change = Change::Add(place((1 << 60) - step), rule);
        classifier.apply(&mut world.memory(), &[change], Nodes::Copied).unwrap();
        world.check(&classifier, &[[0; WORDS4]]);
    }
}

#[test]
fn changes_that_contradict_are_refused_and_change_nothing() {
    let mut world = World::new(1 << 10);
    let rules = vec![vec![Pattern4::any()]];
    let mut classifier = classifier(&mut world, &rules, 1);
    let object = classifier.object();
    let place = |feature, sequence| Place { feature, sequence };
    let rule = || Rule { result: 5, patterns: vec![Pattern4::any()] };
    let refused = [
        vec![Change::Remove(place(0, 7))],
        vec![Change::Add(place(0, 3), rule()), Change::Add(place(0, 0), rule())],
        vec![Change::Add(place(4, 0), rule())],
    ];
    for changes in refused {
        classifier.apply(&mut world.memory(), &changes, Nodes::Copied).unwrap_err();
        assert_eq!((classifier.object(), classifier.len()), (object, 1));
    }
    world.check(&classifier, &[[0; WORDS4]]);
}
