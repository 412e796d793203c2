//! What memory there is, and what becomes of it.

use super::*;
use crate::acl::{Change, Nodes};

#[test]
fn a_build_that_runs_out_of_memory_takes_nothing_and_says_how_much_it_wanted() {
    let rules: Vec<Vec<Pattern4>> = (0..2000_u32)
        .map(|i| vec![Pattern4::any().destination(i << 12, !0xfff).source(i << 7, !0x7f)])
        .collect();
    for lines in [2, 20, 200, 400] {
        let mut world = World::new(lines);
        let placed = rules.iter().enumerate().map(|(i, patterns)| {
            let place = Place { feature: 0, sequence: i as u64 };
            (place, Rule { result: 0, patterns: patterns.clone() })
        });
        let error = Classifier::build(&mut world.memory(), placed).unwrap_err().to_string();
        assert!(error.contains("lines of the classifier: "), "{error}");
        world.pass();
        assert_eq!(world.space.lines().free(), lines, "{error}");
    }
}

#[test]
fn changes_that_run_out_of_memory_change_nothing_and_take_nothing() {
    let patterns: Vec<Pattern4> = (0..1000_u32)
        .map(|i| Pattern4::any().destination(i << 12, !0xfff).source(i << 7, !0x7f))
        .collect();
    let rules: Vec<Vec<Pattern4>> = patterns.iter().map(|pattern| vec![*pattern]).collect();
    let mut world = World::new(2000);
    let mut classifier = classifier(&mut world, &rules, 1);
    let keys: Vec<_> = (0..64).map(|seed| key(&patterns, seed * 7919)).collect();
    let mut refused = 0;
    for round in 0..400 {
        // Some rules with new results, while readers stay: what they may see takes ever more room.
        let changes = (0..10).flat_map(|n| {
            let i = (round * 97 + n * 41) % 1000;
            let place = Place { feature: 0, sequence: 10 * i as u64 };
            let rule = Rule { result: round as u32, patterns: rules[i].clone() };
            [Change::Remove(place), Change::Add(place, rule)]
        });
        let (object, free) = (classifier.object(), world.space.lines().free());
        let (changes, mut memory) = (changes.collect::<Vec<_>>(), world.memory());
        let nodes = [Nodes::Copied, Nodes::InPlace][round % 2];
        if let Err(error) = classifier.apply(&mut memory, &changes, nodes) {
            assert!(error.to_string().contains("lines of the classifier: "), "{error}");
            assert_eq!(
                (classifier.object(), world.space.lines().free()),
                (object, free),
                "{error}"
            );
            refused += 1;
            world.pass();
        }
        world.check(&classifier, &keys);
    }
    assert!((5..200).contains(&refused), "{refused}");
    classifier.retire(&mut world.memory());
    world.pass();
    assert_eq!(world.space.lines().in_use(), 0);
}

#[test]
fn a_rebuild_that_found_no_room_is_not_wanted_again_before_something_has_changed() {
    let of = |n: u32| Pattern4::any().source(n << 8, !0xff).destination(n << 16, u32::MAX);
    let rules: Vec<Vec<Pattern4>> = (0..60).map(|n| vec![of(n)]).collect();
    let mut large = World::new(1 << 12);
    drop(classifier(&mut large, &rules, 1));
    let lines = (1 << 12) - large.space.lines().free();
    // Room for edits, but not for all of it once more.
    let mut world = World::new(lines + lines / 2);
    let mut list = classifier(&mut world, &rules, 1);
    let other = classifier(&mut world, &rules[..4], 1);
    let place = Place { feature: 0, sequence: 0 };
    let edit = |world: &mut World, list: &mut Classifier<WORDS4>, result| {
        let rule = Rule { result, patterns: rules[0].clone() };
        let changes = [Change::Remove(place), Change::Add(place, rule)];
        list.apply(&mut world.memory(), &changes, Nodes::InPlace).unwrap();
        world.pass();
    };
    for result in 0..5000 {
        edit(&mut world, &mut list, result);
    }
    assert!(list.wants_rebuild(&world.memory()));
    list.rebuild(&mut world.memory()).unwrap_err();
    assert!(!list.wants_rebuild(&world.memory()));
    edit(&mut world, &mut list, 1);
    assert!(list.wants_rebuild(&world.memory()), "the list has changed");
    list.rebuild(&mut world.memory()).unwrap_err();
    assert!(!list.wants_rebuild(&world.memory()));
    other.retire(&mut world.memory());
    assert!(!list.wants_rebuild(&world.memory()), "readers may still be there");
    world.pass();
    assert!(list.wants_rebuild(&world.memory()), "there is more room");
}

#[test]
fn a_list_of_ten_thousand_rules_takes_less_than_four_megabytes() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut next = |n: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as u32 % n
    };
    // Servers of some hundred networks, clients of others: what a site's list looks like.
    let rules: Vec<Vec<Pattern4>> = (0..10_000)
        .map(|_| {
            let (network, host) = (next(200) << 16, next(256) << 8 | next(256));
            let client = 0x0a00_0000 | next(4000) << 8;
            let port = [22, 25, 53, 80, 443, 8080][next(6) as usize];
            let pattern = Pattern4::any().destination(0xc000_0000 | network | host, u32::MAX);
            let pattern = if next(5) == 0 { pattern } else { pattern.source(client, !0xff) };
            vec![pattern.destination_port(&(port..=port)).protocol(6, 0xff)]
        })
        .collect();
    let mut world = World::new(1 << 17);
    let classifier = classifier(&mut world, &rules, 1);
    let used = world.space.lines().in_use() as usize;
    assert!(used * 64 <= 4 << 20, "{} bytes", used * 64);
    let all: Vec<Pattern4> = rules.iter().flatten().copied().collect();
    let keys: Vec<_> = (0..256).map(|seed| key(&all, seed * 7919)).collect();
    world.check(&classifier, &keys);
}
