//! Routes of other sources, recursive next hops, members that come and go.

use std::net::IpAddr;

use qfp_core::uidb::TableId;

use super::world::{TINY, Way, World, address, interfaces, via};
use crate::rib::{Action, NextHop, Path, RouteUpdate, Source};

fn update(prefix: &str, hops: &[IpAddr]) -> RouteUpdate {
    let path = |address: &IpAddr| {
        let hop = NextHop::Via { address: *address, interface: None };
        Path { hop, weight: 1 }
    };
    let action = match hops {
        [] => Action::Withdraw,
        _ => Action::Replace(hops.iter().map(path).collect()),
    };
    RouteUpdate {
        table: TableId::GLOBAL,
        prefix: prefix.parse().unwrap(),
        source: Source::FPM,
        action,
    }
}

fn hops(world: &World, dst: [u8; 4]) -> Vec<IpAddr> {
    let ways = world.lookup(dst.into()).into_iter().flatten();
    ways.filter_map(|(way, _)| if let Way::Neighbour(_, hop, _) = way { Some(hop) } else { None })
        .collect()
}

#[test]
fn sources_are_preferred_by_number_and_a_batch_counts_as_its_last_update() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1);
    config.routes.push(via("172.16.0.0/16", address(0, 9, false)));
    world.commit(&config).unwrap();
    let fpm = address(0, 8, false);
    let other = address(0, 7, false);
    world
        .client
        .routes([
            update("172.16.0.0/16", &[fpm]),
            update("172.17.0.0/16", &[fpm]),
            update("172.17.0.0/16", &[]),
            update("172.17.0.0/16", &[other]),
        ])
        .unwrap();
    assert_eq!(hops(&world, [172, 16, 0, 1]), [address(0, 9, false)]);
    assert_eq!(hops(&world, [172, 17, 0, 1]), [other]);
    // Another configuration leaves them; a static route that goes makes room for them.
    world.commit(&interfaces(0b1)).unwrap();
    assert_eq!(hops(&world, [172, 16, 0, 1]), [fpm]);
    world.client.routes([update("172.16.0.0/16", &[]), update("172.17.0.0/16", &[])]).unwrap();
    assert_eq!(world.lookup([172, 16, 0, 1].into()), None);
    world.commit(&interfaces(0)).unwrap();
    let usage = world.settle();
    assert_eq!((usage.adjacencies, usage.groups, usage.paths), (0, 0, 0));
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let mut world = World::new(&TINY);
    world.commit(&interfaces(0b1)).unwrap();
    let hop = address(0, 9, false);
    let before = (world.settle(), world.client.route_count());
    let many =
        (0..300u16).map(|n| update(&format!("172.16.{}.{}/25", n % 256, n / 256 * 128), &[hop]));
    let mut many: Vec<_> = many.collect();
    many.extend((0..44).map(|n| update(&format!("172.17.{n}.0/25"), &[hop])));
    let error = world.client.routes(many).unwrap_err().to_string();
    assert!(error.contains("blocks below a /24"), "{error}");
    assert_eq!((world.settle(), world.client.route_count()), before);
    assert_eq!(world.lookup([172, 16, 0, 1].into()), None);
    let error = world.client.routes([update("172.16.0.0/16", &[address(0, 9, true)])]);
    assert!(error.unwrap_err().to_string().contains("not of the same family"));
    world.client.routes([update("172.16.0.0/25", &[hop])]).unwrap();
    assert_eq!(hops(&world, [172, 16, 0, 1]), [hop]);
}

#[test]
fn a_recursive_next_hop_follows_the_route_that_covers_it() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1001);
    config.routes.push(via("192.168.0.0/16", address(0, 9, false)));
    config.routes.push(via("172.16.0.0/16", [192, 168, 1, 1].into()));
    world.commit(&config).unwrap();
    let leaf = world.leaf(TableId::GLOBAL, [172, 16, 0, 1].into());
    assert_eq!(hops(&world, [172, 16, 0, 1]), [address(0, 9, false)]);
    let more = [address(3, 9, false), address(3, 8, false)];
    world.client.routes([update("192.168.1.0/24", &more)]).unwrap();
    let mut wanted = more.to_vec();
    wanted.sort();
    assert_eq!(hops(&world, [172, 16, 0, 1]), wanted);
    assert_eq!(world.leaf(TableId::GLOBAL, [172, 16, 0, 1].into()), leaf, "changed in place");
    world.client.routes([update("192.168.1.0/24", &[])]).unwrap();
    assert_eq!(hops(&world, [172, 16, 0, 1]), [address(0, 9, false)]);
    // Nowhere to lead: not there, and back when there is.
    let behind = [IpAddr::from([100, 0, 0, 1])];
    world.client.routes([update("172.18.0.0/16", &behind)]).unwrap();
    assert_eq!(world.lookup([172, 18, 0, 1].into()), None);
    world.client.routes([update("100.0.0.0/8", &[[192, 168, 9, 9].into()])]).unwrap();
    assert_eq!(hops(&world, [172, 18, 0, 1]), [address(0, 9, false)]);
    world.client.routes([update("100.0.0.0/8", &[])]).unwrap();
    assert_eq!(world.lookup([172, 18, 0, 1].into()), None);
}

#[test]
fn a_neighbour_that_is_lost_gives_its_places_away_until_it_is_back() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1);
    let all = [7, 8, 9].map(|host| address(0, host, false));
    for hop in all {
        config.routes.push(via("172.16.0.0/16", hop));
    }
    world.commit(&config).unwrap();
    for (n, hop) in all.into_iter().enumerate() {
        world.client.neighbour(world.uidb(0), hop, Some([4 * n as u8 + 4; 6])).unwrap();
    }
    let dst: IpAddr = [172, 16, 0, 1].into();
    let before = world.members(dst);
    world.client.neighbour(world.uidb(0), all[1], None).unwrap();
    assert_eq!(world.client.lost_next_hops(), [(world.uidb(0), all[1])]);
    let without = world.members(dst);
    let gone = before.iter().zip(&without).filter(|(a, b)| a != b).map(|(a, _)| *a);
    let gone: Vec<u32> = gone.collect();
    assert!(gone.len() >= 21 && gone.iter().all(|number| *number == gone[0]));
    assert!(!without.contains(&gone[0]));
    world.settle();
    world.client.neighbour(world.uidb(0), all[1], Some([8; 6])).unwrap();
    assert_eq!(world.members(dst), before);
    assert_eq!(world.client.lost_next_hops(), []);
    // When all are lost, packets ask for them.
    for hop in all {
        world.client.neighbour(world.uidb(0), hop, None).unwrap();
    }
    assert_eq!(hops(&world, [172, 16, 0, 1]).len(), 3);
}

#[test]
fn a_path_that_is_withdrawn_moves_only_its_flows() {
    let mut world = World::new(&TINY);
    world.commit(&interfaces(0b1)).unwrap();
    let all = [6, 7, 8, 9].map(|host| address(0, host, false));
    world.client.routes([update("172.16.0.0/16", &all)]).unwrap();
    let before = world.members([172, 16, 0, 1].into());
    world.client.routes([update("172.16.0.0/16", &all[..3])]).unwrap();
    let after = world.members([172, 16, 0, 1].into());
    let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert_eq!(moved.len(), before.len() / 4);
    assert!(moved.iter().all(|(from, _)| *from == moved[0].0));
}
