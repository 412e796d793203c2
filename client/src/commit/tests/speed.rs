//! How long a full table takes to forward, and how many updates a second there can be.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnet::IpNet;
use qfp_core::uidb::TableId;

use super::world::{World, address, facts, interfaces};
use crate::Capacity;
use crate::config::RouteTable;
use crate::rib::{Action, NextHop, Path, Paths, RouteUpdate, Source};

const ROUTES: u32 = if cfg!(debug_assertions) { 20_000 } else { 1_040_000 };

/// Lines of a route file with 192 next hops; `QFP_ROUTES` names another.
fn text() -> String {
    if let Ok(file) = std::env::var("QFP_ROUTES") {
        return std::fs::read_to_string(file).unwrap();
    }
    let mut text = String::new();
    for n in 0..ROUTES {
        let prefix = Ipv4Addr::from((n + (11 << 16)) << 8);
        writeln!(text, "{prefix}/24 via 10.0.0.{}", 2 + n * 7 % 192).unwrap();
    }
    text
}

#[test]
fn a_full_table_is_loaded_and_changed() {
    let start = Instant::now();
    let file = RouteTable::read(text().as_bytes(), "routes").unwrap();
    eprintln!("read {} lines: {:?}", file.len(), start.elapsed());
    let mut world = World::new(&Capacity::INTERNET);
    let config = interfaces(0b1);
    let start = Instant::now();
    let World { reader, client, .. } = &mut world;
    reader.get_mut().offline(|| client.commit(&config, &file, &facts())).unwrap();
    eprintln!("committed {} routes: {:?}", client.route_count(), start.elapsed());
    world.settle();
    let start = Instant::now();
    let World { reader, client, .. } = &mut world;
    reader.get_mut().offline(|| client.commit(&config, &file, &facts())).unwrap();
    eprintln!("the same again: {:?}", start.elapsed());

    let paths: Vec<Paths> = (2..194)
        .map(|host| {
            let hop = NextHop::Via { address: address(0, host, false), interface: None };
            Paths::from([Path { hop, weight: 1 }])
        })
        .collect();
    let prefixes: Vec<IpNet> = (0..ROUTES / 4)
        .map(|n| {
            IpNet::new(Ipv4Addr::from(n.wrapping_mul(0x9e37_7900) & !0xff).into(), 24).unwrap()
        })
        .collect();
    for round in 0..3usize {
        let start = Instant::now();
        for (n, batch) in prefixes.chunks(1000).enumerate() {
            let updates = batch.iter().enumerate().map(|(m, prefix)| RouteUpdate {
                table: TableId::GLOBAL,
                prefix: *prefix,
                source: Source::FPM,
                action: match round {
                    2 => Action::Withdraw,
                    _ => Action::Replace(paths[(n + m / 8 + round) % 192].clone()),
                },
            });
            world.client.routes(updates).unwrap();
            world.reader.get_mut().quiescent();
        }
        let rate = prefixes.len() as f64 / start.elapsed().as_secs_f64();
        eprintln!("round {round}: {:.0} k updates/s", rate / 1e3);
    }
    let dst: IpAddr = [11, 0, 0, 1].into();
    assert!(world.lookup(dst).is_some() || std::env::var("QFP_ROUTES").is_ok());
}
