use hal::Pool;
use hal::pool::NativePool;
use proptest::prelude::*;

use super::*;
use crate::packet::L3;
use crate::punt::Rate;
use crate::uidb::TableId;

#[test]
fn a_neighbour_that_nobody_waits_for_is_asked_for_once_until_it_answers_or_is_absent() {
    let limits = Limits::default();
    let mut counters = SlowPathCounters::default();
    let key = (UidbIndex(3), IpAddr::from([192, 0, 2, 2]));
    let mut neighbours = Neighbours::new(&limits);
    let mut asked = |now| {
        let mut step = Step::new(now, &limits, &mut counters);
        neighbours.expire(&mut step);
        neighbours.look_for(&mut step, key);
        step.into_events().iter().filter(|event| matches!(event, Event::Ask(..))).count()
    };
    assert_eq!(asked(Nanos::ZERO), 1);
    assert_eq!(asked(Nanos::from_millis(500)), 0);
    let seconds: Vec<usize> = (1..8).map(|second| asked(Nanos::from_secs(second))).collect();
    // Two more requests, three seconds of silence, and then anew.
    assert_eq!(seconds, [1, 1, 0, 0, 0, 1, 1]);
}

/// Something that can happen to one of a few neighbours.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Packet { next_hop: bool },
    LookedFor,
    Heard(Heard),
    Fixed(u8),
    Refused,
    Removed,
    Later(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let heard = (0..4_u8, any::<[bool; 3]>()).prop_map(|(mac, [create, replace, confirms])| {
        let mac = (mac > 0).then_some([2, 0, 0, 0, 0, mac]);
        Happens::Heard(Heard { mac, create, replace, confirms })
    });
    prop_oneof![
        6 => any::<bool>().prop_map(|next_hop| Happens::Packet { next_hop }),
        1 => Just(Happens::LookedFor),
        8 => heard,
        1 => (1..3_u8).prop_map(Happens::Fixed),
        1 => Just(Happens::Refused),
        1 => Just(Happens::Removed),
        4 => (0..3_000_000_000_u64).prop_map(Happens::Later),
        1 => (0..300_u64).prop_map(|seconds| Happens::Later(seconds * Nanos::PER_SECOND)),
    ]
}

/// What has to be so after every step, by looking at every entry.
fn check(neighbours: &Neighbours, limits: &Limits, keys: &[Key]) -> Result<(), TestCaseError> {
    let acquaintance = neighbours.acquaintance();
    for &key in keys {
        let state = neighbours.entries.get(&key).map(|entry| entry.state);
        let awaited = matches!(state, Some(State::Incomplete { .. } | State::Probing { .. }));
        prop_assert_eq!(acquaintance.awaits(key.0, key.1), awaited, "{:?}", state);
        for last in 0..5 {
            let mac = [2, 0, 0, 0, 0, last];
            let known = match state {
                Some(State::Reachable(is) | State::Stale(is) | State::Probing { mac: is, .. })
                | Some(State::Fixed(is) | State::Refused(is)) => is == mac,
                _ => false,
            };
            prop_assert_eq!(acquaintance.knows(key.0, key.1, mac), known, "{:?}", state);
        }
    }
    let of = |link: Option<UidbIndex>, is: fn(&State) -> bool| {
        let entries = neighbours.entries.iter();
        let of_link = entries.filter(|(key, _)| link.is_none_or(|link| key.0 == link));
        of_link.filter(|(_, entry)| is(&entry.state)).count()
    };
    let learnt: fn(&State) -> bool = |state| state.is_learnt();
    let heard: fn(&State) -> bool = |state| matches!(state, State::Heard(_));
    let unresolved: fn(&State) -> bool =
        |state| matches!(state, State::Incomplete { .. } | State::Absent { .. });
    prop_assert!(of(None, learnt) <= limits.neighbours);
    prop_assert!(of(None, heard) <= limits.unsolicited);
    prop_assert!(of(None, unresolved) <= limits.unresolved);
    let mut held = 0;
    for link in [UidbIndex(3), UidbIndex(4)] {
        prop_assert!(of(Some(link), learnt) <= limits.neighbours_per_interface);
        prop_assert!(of(Some(link), heard) <= limits.unsolicited_per_interface);
        prop_assert!(of(Some(link), unresolved) <= limits.unresolved_per_interface);
        let entries = neighbours.entries.iter().filter(|(key, _)| key.0 == link);
        let of_link: usize = entries.map(|(_, entry)| entry.held.len()).sum();
        prop_assert!(of_link <= limits.held_per_interface);
        prop_assert_eq!(of_link, neighbours.held.count(link));
        held += of_link;
    }
    prop_assert!(held <= limits.held_total);
    // Every entry has its timer, but for fixed ones that have been announced.
    for (key, entry) in &neighbours.entries {
        let timed = neighbours.timers.contains(&(entry.deadline, *key));
        prop_assert!(timed || matches!(entry.state, State::Fixed(_)), "{:?}", entry);
    }
    prop_assert!(neighbours.timers.len() <= neighbours.entries.len());
    Ok(())
}

proptest! {
    #[test]
    fn the_fast_path_is_told_what_the_table_says_and_no_bound_is_exceeded(
        steps in prop::collection::vec((0..2_u16, 0..8_u8, happens()), 1..150),
    ) {
        let limits = Limits {
            neighbours: 5,
            neighbours_per_interface: 4,
            unresolved: 8,
            unresolved_per_interface: 6,
            unsolicited: 4,
            unsolicited_per_interface: 3,
            held_per_neighbour: 2,
            held_per_interface: 4,
            held_total: 6,
            requests_rate: Rate { per_second: 10, burst: 10 },
            refresh_rate: Rate { per_second: 2, burst: 2 },
            ..Limits::default()
        };
        let keys: Vec<Key> = (0..2_u16)
            .flat_map(|link| (0..8).map(move |host| (link, host)))
            .map(|(link, host)| (UidbIndex(3 + link), IpAddr::from([192, 0, 2, host])))
            .collect();
        let pool = Pool::Native(NativePool::new(64, 2048));
        let mut cache = pool.cache(0);
        let mut counters = SlowPathCounters::default();
        let mut neighbours = Neighbours::new(&limits);
        let mut now = Nanos::from_secs(1);
        // What the fast path has heard.
        let mut told = BTreeMap::new();
        for (link, host, happens) in steps {
            let key = (UidbIndex(3 + link), IpAddr::from([192, 0, 2, host]));
            let mut step = Step::new(now, &limits, &mut counters);
            match happens {
                Happens::Packet { next_hop } => {
                    let cause =
                        if next_hop { PuntCause::IncompleteAdjacency } else { PuntCause::Glean };
                    let packet = PuntedPacket {
                        lcore: 0,
                        opened: false,
                        within: None,
                        packet: cache.packet(&[0; 64]).unwrap(),
                        cause,
                        input: UidbIndex(3),
                        output: key.0,
                        table: TableId::GLOBAL,
                        l3_offset: 14,
                        l3: L3::Other,
                        next_hop: None,
                    };
                    if let Resolution::Known(mac, _) = neighbours.resolve(&mut step, key, packet) {
                        told.insert(key, mac);
                    }
                }
                Happens::LookedFor => neighbours.look_for(&mut step, key),
                Happens::Heard(heard) => {
                    let there = neighbours.hear(&mut step, key, heard);
                    prop_assert_eq!(there, neighbours.entries.contains_key(&key));
                }
                Happens::Fixed(mac) => {
                    neighbours.fix(&mut step, key, [2, 0, 0, 0, 0, mac]);
                    // Announced when time next goes on.
                    neighbours.expire(&mut step);
                }
                Happens::Refused => {
                    neighbours.refuse(&mut step, key);
                    told.remove(&key);
                }
                Happens::Removed => neighbours.remove(&mut step, key, SlowDrop::InterfaceRemoved),
                Happens::Later(ns) => {
                    now = now.saturating_add(ns);
                    step.now = now;
                    neighbours.expire(&mut step);
                }
            }
            for event in step.into_events() {
                match event {
                    Event::Resolved(key, mac, _) => drop(told.insert(key, mac)),
                    Event::Lost(key) => drop(told.remove(&key)),
                    _ => {}
                }
            }
            check(&neighbours, &limits, &keys)?;
            // The fast path knows nobody whom the table does not, and no other MAC address.
            for (key, mac) in &told {
                prop_assert_eq!(neighbours.entries.get(key).and_then(|e| e.state.used()), Some(*mac));
            }
        }
        drop(neighbours.release_all());
        drop((neighbours, cache));
        pool.check_complete().unwrap();
    }
}
