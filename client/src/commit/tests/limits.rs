//! A table that is full: an error with a name, and forwarding as before (ARC-20).

use std::net::IpAddr;

use ipnet::IpNet;

use super::oracle::Oracle;
use super::world::{INTERFACES, TINY, World, address, interfaces, name, neighbour, route, via};
use crate::config::{Config, RouteTable, Target};
use crate::{Capacity, Usage};

/// Some of everything: sub-interfaces, groups, long prefixes, static neighbours.
fn good() -> Config {
    let mut config = interfaces(0b111_010_011);
    for n in [0, 1, 4, 6] {
        config.routes.push(via(&format!("172.{n}.0.0/16"), address(n, 9, false)));
        config.routes.push(via(&format!("172.{n}.0.128/25"), address(n, 8, false)));
        config.routes.push(via(&format!("2001:db8:{n}:7::/64"), address(n, 9, true)));
        let target = Target::Via { address: address(n, 8, false), dev: None };
        config.routes.push(route("192.168.0.0/16".parse().unwrap(), target, n + 1));
    }
    config.neighbours.push(neighbour(address(0, 9, false), [4; 6]));
    config
}

/// Another configuration that changes everything there is, and fits.
fn other() -> Config {
    let mut config = interfaces(0b001_111_001);
    config.ports[0].mtu = 1400;
    config.neighbours.push(neighbour(address(0, 9, false), [8; 6]));
    config.neighbours.push(neighbour(address(3, 9, false), [8; 6]));
    config.routes.push(via("172.0.0.0/16", address(3, 9, false)));
    config.routes.push(via("172.4.0.0/16", address(0, 9, false)));
    config
}

/// Commits `good`, then `bad`, which must fail with `message` and leave no trace.
fn refuses(capacity: &Capacity, bad: &Config, message: &str) {
    let mut world = World::new(capacity);
    let none = RouteTable::default();
    // All names have been used once, so that the uIDB table does not grow.
    world.commit(&interfaces(0x1ff)).unwrap();
    world.commit(&good()).unwrap();
    let mut oracle = Oracle::default();
    oracle.commit(&good(), &none);
    let hop = (4, address(4, 9, false));
    world.client.neighbour(world.uidb(hop.0), hop.1, Some([6; 6])).unwrap();
    oracle.neighbour(hop, Some([6; 6]));
    let before = world.settle();
    for _ in 0..3 {
        let error = world.commit(bad).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        oracle.check(&world);
        assert_eq!(world.settle(), before);
        oracle.check(&world);
    }
    // Neighbours still speak, and what fits still goes in.
    oracle.neighbour(hop, Some([10; 6]));
    world.client.neighbour(world.uidb(hop.0), hop.1, Some([10; 6])).unwrap();
    oracle.check(&world);
    world.commit(&other()).unwrap();
    world.commit(&good()).unwrap();
    oracle.commit(&other(), &none);
    oracle.commit(&good(), &none);
    oracle.check(&world);
}

// rows: ARC-20
#[test]
fn too_many_adjacencies() {
    let mut bad = other();
    let hops = (0..60).map(|n: u8| via(&format!("172.20.{n}.0/24"), address(0, n + 10, false)));
    bad.routes.extend(hops);
    let capacity = Capacity { adjacencies: 48, ..TINY };
    refuses(&capacity, &bad, "adjacencies: 1 wanted, 0 of 47 free, 0 waiting for readers");
}

#[test]
fn too_many_static_neighbours() {
    let mut bad = other();
    bad.neighbours.extend((0..60).map(|n| neighbour(address(0, n + 10, false), [4; 6])));
    let capacity = Capacity { adjacencies: 48, ..TINY };
    refuses(&capacity, &bad, "adjacencies: 1 wanted, 0 of 47 free, 0 waiting for readers");
}

#[test]
fn too_many_places_of_groups() {
    let mut bad = other();
    for (n, weight) in [(0, 101), (3, 100)] {
        let target = Target::Via { address: address(n, 8, false), dev: None };
        bad.routes.push(route("172.20.0.0/16".parse().unwrap(), target, weight));
    }
    let capacity = Capacity { paths: 1 << 8, ..TINY };
    refuses(&capacity, &bad, "places of next-hop groups: 256 wanted, ");
}

// rows: ARC-20
#[test]
fn too_many_groups() {
    // Leaves share their numbers with blocks: few are left for groups.
    let capacity = Capacity { adjacencies: 1 << 10, paths: 1 << 22, long_prefixes: 32_768, ..TINY };
    let mut bad = other();
    for n in 0..34_000u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let hop: IpAddr = [10, 0, 0, 2 + b % 250].into();
        let second: IpAddr = [10, 3, 0, 2 + a].into();
        for (hop, weight) in [(hop, 1 + a % 7), (second, 1 + (n / 250 % 7) as u8)] {
            let prefix = IpNet::new([100, a, b, 0].into(), 24).unwrap();
            bad.routes.push(route(prefix, Target::Via { address: hop, dev: None }, weight));
        }
    }
    refuses(&capacity, &bad, "next-hop groups: 1 wanted, 0 of ");
}

#[test]
fn too_many_long_prefixes() {
    let mut bad = other();
    bad.routes.extend((0..300).map(|n: u16| {
        via(&format!("172.{}.{}.128/25", 20 + n / 256, n % 256), address(0, 9, false))
    }));
    refuses(&TINY, &bad, "blocks below a /24: 1 wanted, 0 of 256 free");
}

#[test]
fn too_many_long_ipv6_prefixes() {
    let mut bad = other();
    let hop = address(0, 9, true);
    bad.routes.extend((0..300).map(|n| via(&format!("2001:db9:{n:x}:8000::/49"), hop)));
    bad.routes.extend((0..300).map(|n| via(&format!("2001:db9:{n:x}::/50"), address(3, 9, true))));
    refuses(&TINY, &bad, "spans below a /48");
}

#[test]
fn too_many_ipv6_routes() {
    let mut bad = other();
    for n in 0..3000u16 {
        let hop = address(if n % 2 == 0 { 0 } else { 3 }, 9, true);
        bad.routes.push(via(&format!("2001:{:x}:{:x}::/48", n % 60, n * 7), hop));
    }
    let capacity = Capacity { ipv6_lines: 400, ..TINY };
    refuses(&capacity, &bad, "lines of forwarding tables");
}

#[test]
fn a_first_commit_that_does_not_fit_leaves_empty_tables() {
    for bad in [
        (0..300)
            .map(|n: u16| {
                via(&format!("172.{}.{}.128/25", 20 + n / 256, n % 256), address(0, 9, false))
            })
            .collect(),
        (0..60)
            .map(|n| via(&format!("172.20.{n}.0/24"), address(0, n + 10, false)))
            .collect::<Vec<_>>(),
    ] {
        let mut world = World::new(&Capacity { adjacencies: 48, ..TINY });
        let mut config = good();
        config.routes.extend(bad);
        world.commit(&config).unwrap_err();
        let usage = world.settle();
        assert_eq!((usage.adjacencies, usage.groups, usage.paths), (0, 0, 0));
        for dst in ["10.0.0.1", "172.20.5.129", "172.20.5.1", "2001:db8::1"] {
            assert_eq!(world.lookup(dst.parse().unwrap()), None);
        }
        world.commit(&good()).unwrap();
        let mut oracle = Oracle::default();
        oracle.commit(&good(), &RouteTable::default());
        oracle.check(&world);
    }
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let mut bad = good();
    bad.routes.push(via("172.20.0.0/16", address(7, 200, false)));
    bad.routes.push(via("172.20.0.0/16", [8, 8, 8, 8].into()));
    refuses(&TINY, &bad, "next hop 8.8.8.8 is on no connected network, and no other route");
}

#[test]
fn a_swap_of_all_long_prefixes_fits_when_each_half_does() {
    let with = |net: u8| {
        let mut config = interfaces(1);
        let routes = (0..200).map(|n| via(&format!("172.{net}.{n}.128/25"), address(0, 9, false)));
        config.routes.extend(routes);
        config
    };
    let mut world = World::new(&TINY);
    for net in [16, 17, 16, 18] {
        world.commit(&interfaces(1)).unwrap();
        world.commit(&with(net)).unwrap();
        let mut oracle = Oracle::default();
        oracle.commit(&with(net), &RouteTable::default());
        oracle.check(&world);
    }
}

// rows: ARC-15, ARC-19
#[test]
fn add_and_remove_leaves_usage_at_the_baseline() {
    let mut world = World::new(&TINY);
    world.commit(&interfaces(0x1ff)).unwrap();
    world.commit(&interfaces(0)).unwrap();
    let baseline = world.settle();
    assert_eq!(
        Usage { memory: 0, ..baseline },
        Usage { adjacencies: 0, groups: 0, paths: 0, memory: 0 }
    );
    for round in 0..20 {
        let config = if round % 2 == 0 { good() } else { other() };
        world.commit(&config).unwrap();
        for n in 0..INTERFACES {
            let Some(uidb) = world.client.uidb(&name(n)) else { continue };
            world.client.neighbour(uidb, address(n, 9, false), Some([2 * round; 6])).unwrap();
        }
        world.commit(&interfaces(0)).unwrap();
        assert_eq!(world.settle(), baseline);
    }
}

/// An lcore that hangs keeps memory from being used again: a commit fails in the end, but what
/// the tables say is the old or the new, and the next commit puts it right.
#[test]
fn a_reader_that_hangs_leads_to_no_table_that_is_neither_old_nor_new() {
    let config = |shift: u16| {
        let mut config = interfaces(0b1001);
        for n in 0..200u16 {
            let hop = address(if (n + shift).is_multiple_of(3) { 0 } else { 3 }, 9, true);
            config.routes.push(via(&format!("2001:{:x}:{:x}::/48", n % 20, n * 7), hop));
        }
        config
    };
    let mut world = World::new(&Capacity { ipv6_lines: 700, ..TINY });
    let none = RouteTable::default();
    world.commit(&config(0)).unwrap();
    let mut last = 0;
    let mut failed = 0;
    for shift in 1..12 {
        // The reader does not say that it moves on.
        match world.client.commit(&config(shift), &none, &super::world::facts()) {
            Ok(_) => last = shift,
            Err(error) => {
                assert!(error.to_string().contains("lines of forwarding tables"), "{error}");
                failed += 1;
            }
        }
        for n in 0..200u16 {
            let dst: IpAddr = [0x2001, n % 20, n * 7, 0, 0, 0, 0, 1].into();
            let ways: Vec<_> = world.lookup(dst).into_iter().flatten().collect();
            assert_eq!(ways.len(), 1, "{dst}");
        }
    }
    assert!(failed > 0, "the table is small enough");
    world.settle();
    world.commit(&config(last)).unwrap();
    let mut oracle = Oracle::default();
    oracle.commit(&config(last), &none);
    oracle.check(&world);
}
