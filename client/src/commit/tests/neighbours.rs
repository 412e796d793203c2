//! Neighbours come, change and go.

use super::world::{TINY, Way, World, address, header, interfaces, neighbour, route, via};
use crate::config::{Target, Vlan};
use crate::{Capacity, Features};

/// The ways of a destination, with or without their headers.
fn ways(world: &World, dst: [u8; 4]) -> Vec<Way> {
    world.lookup(dst.into()).into_iter().flatten().map(|(way, _)| way).collect()
}

fn complete(world: &World, n: u8, host: u8, mac: [u8; 6]) -> Way {
    let header = header(n, mac, false);
    Way::Neighbour(world.uidb(n).0, address(n, host, false), Some(header))
}

fn incomplete(world: &World, n: u8, host: u8) -> Way {
    Way::Neighbour(world.uidb(n).0, address(n, host, false), None)
}

#[test]
fn a_neighbour_gets_a_host_route_while_it_is_known() {
    let mut world = World::new(&TINY);
    world.commit(&interfaces(0b11)).unwrap();
    let glean = vec![Way::Glean(world.uidb(1).0)];
    let baseline = world.settle();
    assert_eq!(ways(&world, [10, 1, 0, 9]), glean);
    for mac in [[4; 6], [8; 6], [8; 6]] {
        world.client.neighbour(world.uidb(1), address(1, 9, false), Some(mac)).unwrap();
        assert_eq!(ways(&world, [10, 1, 0, 9]), [complete(&world, 1, 9, mac)]);
        assert_eq!(ways(&world, [10, 1, 0, 8]), glean);
    }
    world.client.neighbour(world.uidb(1), address(1, 9, false), None).unwrap();
    assert_eq!(ways(&world, [10, 1, 0, 9]), glean);
    assert_eq!(world.settle(), baseline);
    // Gone twice is gone once.
    world.client.neighbour(world.uidb(1), address(1, 9, false), None).unwrap();
    assert_eq!(world.settle(), baseline);
}

#[test]
fn a_next_hop_that_goes_is_asked_for_again_and_comes_back_for_all_its_routes() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1011);
    config.routes.push(via("172.16.0.0/16", address(1, 9, false)));
    for n in [0, 1, 3] {
        let target = Target::Via { address: address(n, 9, false), dev: None };
        config.routes.push(route("172.17.0.0/16".parse().unwrap(), target, n + 1));
    }
    world.commit(&config).unwrap();
    let group = |world: &World, way: Way| {
        let mut ways = vec![incomplete(world, 0, 9), way, incomplete(world, 3, 9)];
        ways.sort();
        ways
    };
    for round in 0..3 {
        let missing = incomplete(&world, 1, 9);
        assert_eq!(ways(&world, [172, 16, 0, 1]), std::slice::from_ref(&missing));
        assert_eq!(ways(&world, [172, 17, 0, 1]), group(&world, missing));
        for mac in [[4; 6], [2 * round; 6]] {
            world.client.neighbour(world.uidb(1), address(1, 9, false), Some(mac)).unwrap();
            let there = complete(&world, 1, 9, mac);
            assert_eq!(ways(&world, [172, 16, 0, 1]), std::slice::from_ref(&there));
            assert_eq!(ways(&world, [172, 17, 0, 1]), group(&world, there));
        }
        world.client.neighbour(world.uidb(1), address(1, 9, false), None).unwrap();
        // Sometimes it is back before lcores have moved on.
        if round == 1 {
            world.settle();
        }
    }
}

#[test]
fn a_static_neighbour_counts_until_the_configuration_drops_it() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1);
    config.routes.push(via("172.16.0.0/16", address(0, 9, false)));
    let without = config.clone();
    world.commit(&config).unwrap();
    for mac in [[4; 6], [8; 6]] {
        config.neighbours = vec![neighbour(address(0, 9, false), mac)];
        world.commit(&config).unwrap();
        assert_eq!(ways(&world, [172, 16, 0, 1]), [complete(&world, 0, 9, mac)]);
        assert_eq!(ways(&world, [10, 0, 0, 9]), [complete(&world, 0, 9, mac)]);
    }
    world.commit(&without).unwrap();
    assert_eq!(ways(&world, [172, 16, 0, 1]), [incomplete(&world, 0, 9)]);
    assert_eq!(ways(&world, [10, 0, 0, 9]), [Way::Glean(world.uidb(0).0)]);
}

#[test]
fn a_link_that_changes_changes_the_headers_of_its_neighbours() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b11);
    config.routes.push(via("172.16.0.0/16", address(1, 9, false)));
    world.commit(&config).unwrap();
    world.client.neighbour(world.uidb(1), address(1, 9, false), Some([4; 6])).unwrap();
    assert_eq!(ways(&world, [172, 16, 0, 1]), [complete(&world, 1, 9, [4; 6])]);
    let old = &config.ports[0].vlans[0];
    let vlan =
        Vlan { name: old.name.clone(), layer3: old.layer3.clone(), ..Vlan::new("port0", 77, None) };
    config.ports[0].vlans[0] = vlan;
    world.commit(&config).unwrap();
    let mut wanted = header(1, [4; 6], false);
    wanted[15] = 77;
    let way = Way::Neighbour(world.uidb(1).0, address(1, 9, false), Some(wanted));
    assert_eq!(ways(&world, [172, 16, 0, 1]), std::slice::from_ref(&way));
    assert_eq!(ways(&world, [10, 1, 0, 9]), [way]);
    // Egress features make its packets meet egress rows, and off again.
    for on in [1, 0] {
        world.client.set_features("port0.10", Features { ingress: 0, egress: on });
        world.commit(&config).unwrap();
        assert_eq!(ways(&world, [172, 16, 0, 1]).len(), 1);
    }
}

#[test]
fn a_neighbour_of_an_interface_that_is_gone_is_nobody() {
    let mut world = World::new(&TINY);
    world.commit(&interfaces(0b11)).unwrap();
    let gone = world.uidb(1);
    world.client.neighbour(gone, address(1, 9, false), Some([4; 6])).unwrap();
    world.commit(&interfaces(0b1)).unwrap();
    let baseline = world.settle();
    assert_eq!(ways(&world, [10, 1, 0, 9]), []);
    world.client.neighbour(gone, address(1, 9, false), Some([4; 6])).unwrap();
    world.client.neighbour(gone, address(1, 9, false), None).unwrap();
    assert_eq!(ways(&world, [10, 1, 0, 9]), []);
    assert_eq!(world.settle(), baseline);
}

#[test]
fn neighbours_beyond_the_table_are_refused_and_the_others_stay() {
    let mut world = World::new(&Capacity { adjacencies: 40, ..TINY });
    world.commit(&interfaces(0b1)).unwrap();
    let baseline = world.settle();
    let mut known = 0;
    let error = loop {
        let hop = address(0, 2 + known, false);
        match world.client.neighbour(world.uidb(0), hop, Some([4; 6])) {
            Ok(()) => known += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(error, "adjacencies: 1 wanted, 0 of 39 free, 0 waiting for readers");
    for host in 2..2 + known {
        assert_eq!(ways(&world, [10, 0, 0, host]), [complete(&world, 0, host, [4; 6])]);
    }
    assert_eq!(ways(&world, [10, 0, 0, 2 + known]), [Way::Glean(world.uidb(0).0)]);
    for host in 2..2 + known {
        world.client.neighbour(world.uidb(0), address(0, host, false), None).unwrap();
    }
    assert_eq!(world.settle(), baseline);
}
