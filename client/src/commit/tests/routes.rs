//! Commits of any configurations, one after the other, say what a slow list says.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::oracle::Oracle;
use super::world::{INTERFACES, TINY, World, address, interfaces, name, neighbour, route, via};
use crate::config::{Config, RouteTable, Target};

/// One configuration, and neighbours that are heard of after it was committed.
#[derive(Clone, Debug)]
struct Stage {
    config: Config,
    file: String,
    events: Vec<(u8, u8, bool, Option<u8>)>,
}

/// Few prefixes of all lengths, many of them inside each other or on connected networks.
fn prefix() -> impl Strategy<Value = IpNet> {
    // The shorter a prefix, the longer it takes to write.
    let lens = prop_oneof![30 => 12..=32u8, 2 => 9..12u8, 1 => Just(0)];
    let v4 = (prop::sample::select(&[10u8, 172][..]), 0..9u8, 0..3u8, 0..4u8, lens);
    let v4 = v4.prop_map(|(a, b, c, d, len)| IpNet::new([a, b, c, d * 64].into(), len).unwrap());
    let lens = prop_oneof![0..=128u8, Just(48), Just(64), Just(128)];
    let v6 = (0..9u16, 0..3u16, any::<bool>(), 0..5u16, lens).prop_map(|(a, b, far, d, len)| {
        let address = Ipv6Addr::new(0x2001, 0xdb8 + u16::from(far), a, b, 0, 0, 0, d);
        IpNet::new(address.into(), len).unwrap()
    });
    prop_oneof![v4, v6].prop_map(|net| net.trunc())
}

fn target() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop_oneof![1 => Just(None), 5 => (0..INTERFACES, 0..5u8).prop_map(Some)]
}

prop_compose! {
    fn stage()(
        present in any::<u16>(),
        routes in prop::collection::vec((prefix(), target(), 1..5u8, any::<bool>()), 0..25),
        hosts in prop::collection::vec((0..INTERFACES, 2..6u8, any::<bool>(), any::<u8>()), 0..6),
        events in prop::collection::vec((0..INTERFACES, 2..6u8, any::<bool>(), prop::option::weighted(0.7, 0..3u8)), 0..10),
    ) -> Stage {
        let mut config = interfaces(present);
        let has = |n: u8| present >> n & 1 == 1;
        let mut targets: BTreeMap<IpNet, Vec<Target>> = BTreeMap::new();
        let mut file = String::new();
        for (prefix, target, weight, in_file) in routes {
            let target = match target {
                None => Target::Drop,
                Some((n, _)) if !has(n) => continue,
                Some((n, 0)) => Target::Dev(name(n)),
                Some((n, hop)) => {
                    let address = address(n, hop + 1, prefix.addr().is_ipv6());
                    Target::Via { address, dev: None }
                }
            };
            let earlier = targets.entry(prefix).or_default();
            let clash = !earlier.is_empty() && (target == Target::Drop || earlier.contains(&Target::Drop));
            if clash || earlier.contains(&target) {
                continue;
            }
            if in_file {
                let text = match &target {
                    Target::Drop => "drop".to_owned(),
                    Target::Dev(dev) => format!("dev {dev}"),
                    Target::Via { address, .. } => format!("via {address}"),
                };
                file += &format!("{prefix} {text}\n");
            } else {
                config.routes.push(route(prefix, target.clone(), weight));
            }
            earlier.push(target);
        }
        for (n, host, v6, mac) in hosts {
            let address = address(n, host, v6);
            if has(n) && config.neighbours.iter().all(|known| known.address != address) {
                config.neighbours.push(neighbour(address, [4, n, host, 0, 0, mac]));
            }
        }
        // The slow path never speaks of static neighbours, nor of interfaces that are not there.
        let quiet: Vec<IpAddr> = config.neighbours.iter().map(|n| n.address).collect();
        let mut events = events;
        events.retain(|(n, host, v6, _)| has(*n) && !quiet.contains(&address(*n, *host, *v6)));
        Stage { config, file, events }
    }
}

/// Commits one stage and lets the neighbours of it speak.
fn play(world: &mut World, oracle: &mut Oracle, stage: &Stage) {
    let file = RouteTable::read(stage.file.as_bytes(), "routes").unwrap();
    world.commit_all(&stage.config, &file).unwrap();
    oracle.commit(&stage.config, &file);
    oracle.check(world);
    for (n, host, v6, mac) in &stage.events {
        let address = address(*n, *host, *v6);
        let mac = mac.map(|mac| [6, *n, *host, 0, 0, mac]);
        world.client.neighbour(world.uidb(*n), address, mac).unwrap();
        oracle.neighbour((*n, address), mac);
    }
    oracle.check(world);
    world.settle();
    oracle.check(world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    // rows: ARC-13
    #[test]
    fn the_tables_say_what_a_list_of_routes_says_after_every_commit(
        stages in prop::collection::vec(stage(), 1..4),
    ) {
        let mut world = World::new(&TINY);
        let mut oracle = Oracle::default();
        for stage in &stages {
            play(&mut world, &mut oracle, stage);
        }
        // And nothing is left of it in the end (ARC-15).
        let empty = Stage { config: interfaces(0), file: String::new(), events: Vec::new() };
        play(&mut world, &mut oracle, &empty);
        let usage = world.settle();
        prop_assert_eq!((usage.adjacencies, usage.groups, usage.paths), (0, 0, 0));
        // The uIDB table keeps a row for every name there ever was: commit them all once.
        play(&mut world, &mut oracle, &Stage { config: interfaces(0x1ff), ..empty.clone() });
        play(&mut world, &mut oracle, &empty);
        let memory = world.settle().memory;
        for stage in &stages {
            play(&mut world, &mut oracle, stage);
        }
        play(&mut world, &mut oracle, &empty);
        prop_assert_eq!(world.settle().memory, memory);
    }

    #[test]
    fn a_commit_after_others_gives_what_a_first_commit_gives(
        before in prop::collection::vec(stage(), 1..3),
        last in stage(),
    ) {
        let mut world = World::new(&TINY);
        for stage in before {
            // Neighbours that were heard of would be remembered: here they are not.
            play(&mut world, &mut Oracle::default(), &Stage { events: Vec::new(), ..stage });
        }
        play(&mut world, &mut Oracle::default(), &Stage { events: Vec::new(), ..last });
    }
}

#[test]
fn committing_the_same_again_changes_nothing() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0x1ff);
    for hop in 2..6 {
        let target = Target::Via { address: address(hop, 9, false), dev: None };
        config.routes.push(route("172.16.0.0/12".parse().unwrap(), target, hop));
    }
    config.neighbours.push(neighbour(address(3, 9, false), [4; 6]));
    world.commit(&config).unwrap();
    // A neighbour that changes gets another row, and its group keeps its number all the same.
    world.client.neighbour(world.uidb(2), address(2, 9, false), Some([6; 6])).unwrap();
    world.client.neighbour(world.uidb(2), address(2, 9, false), Some([10; 6])).unwrap();
    let (ways, usage) = (world.lookup([172, 16, 0, 1].into()), world.settle());
    world.commit(&config).unwrap();
    assert_eq!(world.lookup([172, 16, 0, 1].into()), ways);
    assert_eq!(world.client.usage().groups, usage.groups);
    assert_eq!(world.settle(), usage);
}

#[test]
fn a_default_route_that_goes_with_one_of_its_links_leaves_nothing() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1_1000_0000);
    let default: IpNet = "0.0.0.0/0".parse().unwrap();
    config.routes.push(route(default, Target::Dev(name(7)), 1));
    config.routes.push(via("0.0.0.0/0", address(8, 4, false)));
    world.commit(&config).unwrap();
    // What is left of its paths still leads somewhere, but there is no route any more.
    world.commit(&interfaces(0b1_0000_0000)).unwrap();
    assert_eq!(world.lookup([192, 0, 2, 1].into()), None);
    world.commit(&interfaces(0)).unwrap();
    let usage = world.settle();
    assert_eq!((usage.adjacencies, usage.groups, usage.paths), (0, 0, 0));
}
