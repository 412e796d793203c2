//! Lcores that read while the client writes: no torn header, no header of another next hop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use qfp_core::adjacency::{AdjacencyKind, AdjacencyTables};
use qfp_core::fib::v4;
use qfp_core::isa::Isa;
use qfp_core::tables::table_kind;

use super::world::{PORTS, TINY, World, address, interfaces, neighbour, route, via};
use crate::PortFacts;
use crate::config::{RouteTable, Target};

/// A MAC address that can be told to be whole: six times the same byte.
fn mac(round: u32) -> [u8; 6] {
    [(round % 60) as u8 * 4; 6]
}

// rows: ARC-18
#[test]
fn readers_see_whole_headers_for_the_next_hops_of_the_route() {
    const HOSTS: [u8; 4] = [9, 10, 11, 12];
    let mut world = World::new(&TINY);
    let mut config = interfaces(0b11);
    for host in HOSTS {
        config.routes.push(via(&format!("172.{host}.0.0/16"), address(1, host, false)));
        let target = Target::Via { address: address(1, host, false), dev: None };
        config.routes.push(route("172.16.0.0/12".parse().unwrap(), target, 1));
    }
    let facts = [PortFacts { mac: mac(0), filter_mac: false }; PORTS];
    world.client.commit(&config, &RouteTable::default(), &facts).unwrap();
    let (output, stop) = (world.uidb(1).0, Arc::new(AtomicBool::new(false)));
    let seen = Arc::new(AtomicU64::new(0));
    let reader = {
        let mut reader = world.client.attach("lcore").unwrap();
        let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut round = 0u32;
            while !stop.load(Relaxed) {
                let tables = reader.tables();
                let tbl24 = tables.view(table_kind::FIB4_TBL24);
                let tbl8 = tables.view(table_kind::FIB4_TBL8);
                let fib = v4::Dir24::new(tbl24, tbl8, Isa::Portable).unwrap();
                let adjacencies = AdjacencyTables::open(&tables);
                for n in 0..8u32 {
                    round = round.wrapping_add(0x9e37_79b9);
                    let host = HOSTS[n as usize % 4];
                    let dst = if n < 4 { [172, host, 0, 1] } else { [172, 16, 0, 1] };
                    let group = adjacencies.group(fib.lookup(u32::from_be_bytes(dst)));
                    let row = &adjacencies.adjacencies[adjacencies.member(group, round) as usize];
                    let state = row.state();
                    match state.kind {
                        AdjacencyKind::Incomplete => continue,
                        AdjacencyKind::Plain => {}
                        other => panic!("{other:?}"),
                    }
                    assert_eq!((state.rewrite_len, row.output().0), (18, output));
                    let header = row.rewrite();
                    assert_eq!(header[..6], [header[0]; 6], "{header:02x?}");
                    // Our own address lies across two words of the row.
                    assert_eq!(header[6..12], [header[6]; 6], "{header:02x?}");
                    assert_eq!(header[12..18], [0x81, 0, 0, 10, 8, 0]);
                    let hop = row.next_hop();
                    assert!(
                        HOSTS.iter().any(|host| hop == Some(address(1, *host, false))),
                        "{hop:?}"
                    );
                    assert!(n >= 4 || hop == Some(address(1, host, false)), "{hop:?}");
                    // Whether the host is odd shows in all its MAC addresses.
                    let odd =
                        hop.is_some_and(|hop| hop.to_string().ends_with(['1', '3', '5', '7', '9']));
                    assert_eq!(header[0] & 2 == 2, odd, "{hop:?} {header:02x?}");
                    seen.fetch_add(1, Relaxed);
                }
                reader.quiescent();
            }
        })
    };
    let odd = |mut mac: [u8; 6], host: u8| {
        mac.iter_mut().for_each(|byte| *byte |= (host & 1) * 2);
        mac
    };
    let mut round = 0;
    while round < 3000 || seen.load(Relaxed) < 20_000 {
        assert!(!reader.is_finished(), "the reader has seen something wrong");
        round += 1;
        let host = HOSTS[round as usize % 4];
        let new = (round % 7 != 0).then(|| odd(mac(round / 4), host));
        // Rows are given back when the reader, which may be waiting for a core, has moved on.
        while world.client.neighbour(world.uidb(1), address(1, host, false), new).is_err() {
            std::thread::yield_now();
            world.reader.get_mut().quiescent();
            world.client.housekeeping();
        }
        if round % 16 == 0 {
            config.neighbours = match round % 32 {
                0 => vec![neighbour(address(1, 9, false), odd(mac(round), 9))],
                _ => Vec::new(),
            };
            let facts = [PortFacts { mac: mac(round / 16), filter_mac: false }; PORTS];
            while world.client.commit(&config, &RouteTable::default(), &facts).is_err() {
                std::thread::yield_now();
                world.reader.get_mut().quiescent();
                world.client.housekeeping();
            }
        }
        world.reader.get_mut().quiescent();
        world.client.housekeeping();
    }
    stop.store(true, Relaxed);
    reader.join().unwrap();
}
