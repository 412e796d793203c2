//! Routing tables of VRFs, interfaces that are shut down, sources that are checked.

use qfp_core::fia::Gate;
use qfp_core::l3::own_addresses;
use qfp_core::tables::table_kind;
use qfp_core::uidb::{Rpf, RpfMode, TableId};

use super::world::{TINY, Way, World, address, facts, interfaces, neighbour, via};
use crate::Capacity;
use crate::config::{Config, Interfaces, Neighbour, RouteTable, Urpf};

fn ways(world: &World, table: TableId, dst: [u8; 4]) -> Vec<Way> {
    world.lookup_in(table, dst.into()).into_iter().flatten().map(|(way, _)| way).collect()
}

/// Three ports with the same network: one global, one in each VRF.
fn overlapping() -> Config {
    let mut config = interfaces(0b001);
    for (n, name) in [(1, "red"), (2, "blue")] {
        config.ports[n].layer3.addresses = config.ports[0].layer3.addresses.clone();
        config.ports[n].layer3.vrf = Some(name.to_owned());
        let mut route = via("172.16.0.0/16", address(0, 9, false));
        route.vrf = Some(name.to_owned());
        config.routes.push(route);
        let dev = Some(format!("port{n}"));
        config
            .neighbours
            .push(Neighbour { dev, ..neighbour(address(0, 9, false), [4 * n as u8; 6]) });
    }
    config
}

#[test]
fn the_same_addresses_in_several_vrfs_are_different_hosts() {
    let mut world = World::new(&TINY);
    world.commit(&overlapping()).unwrap();
    let red = world.client.table("red").unwrap();
    let blue = world.client.table("blue").unwrap();
    assert!(red != blue && red != TableId::GLOBAL && blue != TableId::GLOBAL);
    assert_eq!(ways(&world, TableId::GLOBAL, [172, 16, 0, 1]), []);
    assert_eq!(ways(&world, TableId::GLOBAL, [10, 0, 0, 9]), [Way::Glean(world.uidb(0).0)]);
    for (table, interface) in [(red, 3), (blue, 6)] {
        let mac = [4 * (interface / 3); 6];
        let header = super::world::header(interface, mac, false);
        let way = Way::Neighbour(world.uidb(interface).0, address(0, 9, false), Some(header));
        assert_eq!(ways(&world, table, [172, 16, 0, 1]), std::slice::from_ref(&way));
        assert_eq!(ways(&world, table, [10, 0, 0, 9]), [way]);
        assert_eq!(ways(&world, table, [10, 0, 0, 1]), [Way::Receive]);
        assert_eq!(ways(&world, table, [10, 0, 0, 8]), [Way::Glean(world.uidb(interface).0)]);
    }
    // A VRF that goes takes its routes with it, and its table can be another's.
    world.commit(&interfaces(1)).unwrap();
    assert_eq!(world.client.table("red"), None);
    for table in [red, blue] {
        assert_eq!(ways(&world, table, [10, 0, 0, 9]), []);
    }
}

// rows: ARC-20
#[test]
fn vrfs_beyond_the_tables_are_refused_and_all_stays() {
    let mut world = World::new(&Capacity { vrfs: 1, ..TINY });
    world.commit(&interfaces(1)).unwrap();
    let before = ways(&world, TableId::GLOBAL, [10, 0, 0, 9]);
    let error = world.commit(&overlapping()).unwrap_err().to_string();
    assert_eq!(error, "VRFs: 1 wanted, 0 of 1 free, 0 waiting for readers");
    assert_eq!(ways(&world, TableId::GLOBAL, [10, 0, 0, 9]), before);
    // A table that is too small for its routes.
    let mut config = overlapping();
    config.ports[2].layer3.vrf = None;
    config.ports[2].layer3.addresses.clear();
    config.neighbours.pop();
    config.routes.pop();
    for n in 0..200u16 {
        let mut route = via(&format!("172.{}.{}.0/24", n, n), address(0, 9, false));
        route.vrf = Some("red".to_owned());
        config.routes.push(route);
    }
    let mut world = World::new(&Capacity { vrf_ipv4_lines: 100, ..TINY });
    world.commit(&interfaces(1)).unwrap();
    let error = world.commit(&config).unwrap_err().to_string();
    assert!(error.contains("lines of forwarding tables"), "{error}");
    assert_eq!(world.client.table("red"), None);
    assert_eq!(ways(&world, TableId::GLOBAL, [10, 0, 0, 9]), before);
}

/// Packets have it in walks, and in the rings to and from the slow path.
#[test]
fn the_number_of_a_vrf_is_another_s_only_when_no_packet_can_have_it() {
    let named = |name: &str| {
        let mut config = interfaces(0b001);
        config.ports[1].layer3.vrf = Some(name.to_owned());
        config
    };
    let mut world = World::new(&Capacity { vrfs: 1, ..TINY });
    world.client.commit(&named("red"), &RouteTable::default(), &facts()).unwrap();
    world.client.commit(&interfaces(0b001), &RouteTable::default(), &facts()).unwrap();
    let refused = |world: &mut World, passes: bool| {
        if passes {
            world.reader.get_mut().quiescent();
        }
        world.client.housekeeping();
        let commit = world.client.commit(&named("blue"), &RouteTable::default(), &facts());
        let error = commit.unwrap_err().to_string();
        assert_eq!(error, "VRFs: 1 wanted, 0 of 1 free, 1 waiting for readers");
    };
    refused(&mut world, true);
    assert!(world.client.wants_rings_cleared());
    refused(&mut world, true);
    assert!(!world.client.wants_rings_cleared(), "it is being done");
    world.client.rings_cleared();
    // What came out of the rings is being walked.
    refused(&mut world, false);
    assert!(!world.client.wants_rings_cleared(), "the lcore has not moved on");
    refused(&mut world, true);
    // What was walked may have gone up.
    assert!(world.client.wants_rings_cleared());
    refused(&mut world, true);
    world.client.rings_cleared();
    world.client.commit(&named("blue"), &RouteTable::default(), &facts()).unwrap();
    assert_eq!(world.client.table("blue"), Some(TableId(1)));
    assert!(!world.client.wants_rings_cleared(), "nothing waits");
}

#[test]
fn a_thousand_vrfs_have_tables_of_their_own() {
    const VRFS: u16 = if cfg!(debug_assertions) { 64 } else { 1024 };
    let capacity = Capacity {
        vrfs: VRFS,
        vrf_ipv4_lines: 64,
        vrf_ipv6_lines: 64,
        vrf_long_prefixes: 2,
        ..TINY
    };
    let capacity = Capacity { adjacencies: 1 << 13, interfaces: 2048, ..capacity };
    let mut world = World::new(&capacity);
    let mut config = interfaces(1);
    for n in 0..VRFS {
        let mut vlan = crate::config::Vlan::new("port0", n + 1, None);
        vlan.layer3.vrf = Some(format!("vrf{n}"));
        vlan.layer3.addresses = vec!["10.0.0.1/24".parse().unwrap()];
        config.ports[0].vlans.push(vlan);
    }
    world.client.commit(&config, &RouteTable::default(), &facts()).unwrap();
    for n in 0..VRFS {
        let table = world.client.table(&format!("vrf{n}")).unwrap();
        let uidb = world.client.uidb(&format!("port0.{}", n + 1)).unwrap();
        assert_eq!(ways(&world, table, [10, 0, 0, 9]), [Way::Glean(uidb.0)]);
    }
}

#[test]
fn an_interface_that_is_shut_down_takes_its_routes_with_it() {
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b1001);
    config.routes.push(via("172.16.0.0/16", address(0, 9, false)));
    config.routes.push(via("172.16.0.0/16", address(3, 9, false)));
    config.routes.push(via("172.17.0.0/16", address(0, 9, false)));
    world.commit(&config).unwrap();
    world.client.neighbour(world.uidb(0), address(0, 9, false), Some([4; 6])).unwrap();
    let before = ways(&world, TableId::GLOBAL, [172, 16, 0, 1]);
    assert_eq!(before.len(), 2);
    config.ports[0].shutdown = true;
    world.commit(&config).unwrap();
    assert_eq!(ways(&world, TableId::GLOBAL, [172, 16, 0, 1]).len(), 1);
    for gone in [[172, 17, 0, 1], [10, 0, 0, 9], [10, 0, 0, 1], [10, 0, 0, 8]] {
        assert_eq!(ways(&world, TableId::GLOBAL, gone), [], "{gone:?}");
    }
    config.ports[0].shutdown = false;
    world.commit(&config).unwrap();
    assert_eq!(ways(&world, TableId::GLOBAL, [172, 16, 0, 1]).len(), 2);
    assert_eq!(ways(&world, TableId::GLOBAL, [172, 17, 0, 1]).len(), 1);
}

#[test]
fn what_interfaces_ask_of_sources_is_in_their_rows_and_default_routes_have_their_own_groups() {
    let mut world = World::new(&TINY);
    let mut config = overlapping();
    config.ports[0].layer3.urpf = Some(Urpf { strict: true, allow_default: true });
    config.ports[1].layer3.urpf = Some(Urpf { strict: false, allow_default: false });
    for prefix in ["0.0.0.0/0", "172.20.0.0/16"] {
        config.routes.push(via(prefix, address(0, 7, false)));
    }
    world.commit(&config).unwrap();
    let mut reader = world.reader.borrow_mut();
    let tables = reader.tables();
    let uidbs = tables.view(table_kind::UIDB);
    for (n, mode, allow_default) in
        [(0, RpfMode::Strict, true), (3, RpfMode::Loose, false), (6, RpfMode::Off, false)]
    {
        let row = &uidbs[usize::from(world.uidb(n).0)];
        let rpf = Rpf { mode, allow_default };
        assert_eq!(Rpf::unpack(row.urpf), (rpf, rpf));
        assert_eq!(row.features_in & Gate::URPF.mask() != 0, mode != RpfMode::Off);
        assert_eq!(row.features_in & Gate::VRF.mask() != 0, n != 0);
    }
    let row = tables.view(table_kind::VRF)[0];
    drop(reader);
    let leaf = |dst: [u8; 4]| world.leaf(TableId::GLOBAL, dst.into());
    assert_eq!(leaf([8, 8, 8, 8]), u32::from(row.default4));
    assert_ne!(leaf([172, 20, 0, 1]), u32::from(row.default4));
    let (default, other) = ([8, 8, 8, 8], [172, 20, 0, 1]);
    assert_eq!(ways(&world, TableId::GLOBAL, default), ways(&world, TableId::GLOBAL, other));
}

#[test]
fn addresses_that_are_the_router_s_alone_are_told_by_table_and_asked_of_all_who_do_not_allow_them()
{
    let mut world = World::new(&TINY);
    let mut config = overlapping();
    config.ports[0].layer3.allow_own_source = true;
    world.commit(&config).unwrap();
    let mut reader = world.reader.borrow_mut();
    let tables = reader.tables();
    let uidbs = tables.view(table_kind::UIDB);
    for n in [0, 3, 6] {
        let asked = uidbs[usize::from(world.uidb(n).0)].features_in & Gate::SOURCE.mask() != 0;
        assert_eq!(asked, n != 0);
    }
    let mut expected = Vec::new();
    for interface in Interfaces::new(&config).all() {
        let table = interface.vrf().map_or(Some(TableId::GLOBAL), |vrf| world.client.table(vrf));
        let table = table.unwrap();
        for net in interface.addresses() {
            expected.push((table, net.addr()));
            if net.addr().is_ipv4() && net.prefix_len() < 31 {
                expected.push((table, net.broadcast()));
            }
        }
    }
    let (filter, rows) = own_addresses(expected);
    assert!(rows.len() > 4 && rows.iter().any(|row| row.table != 0));
    assert_eq!(tables.view(table_kind::OWN_FILTER), filter);
    assert_eq!(tables.view(table_kind::OWN_ADDRESSES), rows);
}
