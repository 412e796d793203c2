//! A client with one reader, and what its tables say about a destination.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use qfp_core::adjacency::{AdjacencyKind, AdjacencyTables, GroupClass};
use qfp_core::fib::{Fib4, Fib6, LANES};
use qfp_core::isa::Isa;
use qfp_core::packet::PacketMask;
use qfp_core::tables::TableReader;
use qfp_core::uidb::{TableId, UidbIndex};

use crate::config::{Config, MacAddr, Neighbour, Origin, Port, Route, RouteTable, Target, Vlan};
use crate::{Capacity, Client, CommitError, PortFacts, Usage};

/// Ports of every configuration here; each has a sub-interface with one tag and one with two.
pub(super) const PORTS: usize = 3;
/// Interfaces in all.
pub(super) const INTERFACES: u8 = 9;

/// A table for few routes, so that each case is quick.
pub(super) const TINY: Capacity = Capacity {
    interfaces: 64,
    adjacencies: 256,
    paths: 1 << 12,
    long_prefixes: 256,
    ipv6_lines: 1 << 12,
    vrfs: 4,
    vrf_ipv4_lines: 128,
    vrf_ipv6_lines: 1 << 10,
    vrf_long_prefixes: 16,
    acl_lines: 1 << 13,
    rules: 1 << 12,
    classes: 64,
    sas: 16,
    replay_words: 256,
};

pub(super) fn facts() -> Vec<PortFacts> {
    (0..PORTS).map(|n| PortFacts { mac: port_mac(n), filter_mac: false }).collect()
}

pub(super) fn port_mac(port: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, port as u8]
}

/// Interfaces 0, 3, 6 are ports; 1, 4, 7 have one tag, 2, 5, 8 two.
pub(super) fn name(interface: u8) -> String {
    let port = interface / 3;
    match interface % 3 {
        0 => format!("port{port}"),
        1 => format!("port{port}.10"),
        _ => format!("port{port}.10.20"),
    }
}

/// Host `host` on the link of an interface; host 1 is the router.
pub(super) fn address(interface: u8, host: u8, v6: bool) -> IpAddr {
    match v6 {
        false => [10, interface, 0, host].into(),
        true => [0x2001, 0xdb8, interface.into(), 0, 0, 0, 0, host.into()].into(),
    }
}

/// Ports with those interfaces that are in `present` (bit 0 is interface 0); ports are always
/// there, but have no addresses when they are not.
pub(super) fn interfaces(present: u16) -> Config {
    let addresses = |interface: u8| -> Vec<IpNet> {
        let v4 = IpNet::new(address(interface, 1, false), 24).unwrap();
        vec![v4, IpNet::new(address(interface, 1, true), 64).unwrap()]
    };
    let has = |interface: u8| present >> interface & 1 == 1;
    let mut config = Config::default();
    for port in 0..PORTS as u8 {
        let first = 3 * port;
        let mut new = Port::new(name(first));
        new.device = Some("sink".to_owned());
        if has(first) {
            new.layer3.addresses = addresses(first);
        }
        for (interface, inner) in [(first + 1, None), (first + 2, Some(20))] {
            if has(interface) {
                let mut vlan = Vlan::new(&new.name, 10, inner);
                vlan.layer3.addresses = addresses(interface);
                new.vlans.push(vlan);
            }
        }
        config.ports.push(new);
    }
    config
}

pub(super) fn route(prefix: IpNet, target: Target, weight: u8) -> Route {
    Route { prefix, target, weight, vrf: None, origin: Origin::default() }
}

pub(super) fn via(prefix: &str, hop: IpAddr) -> Route {
    route(prefix.parse().unwrap(), Target::Via { address: hop, dev: None }, 1)
}

pub(super) fn neighbour(address: IpAddr, mac: [u8; 6]) -> Neighbour {
    Neighbour { address, mac: MacAddr(mac), dev: None, origin: Origin::default() }
}

/// One way packets may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Receive,
    LocalGroup,
    Null0,
    Glean(u16),
    /// Interface, next hop, and the bytes in front of the packet once they are known.
    Neighbour(u16, IpAddr, Option<Vec<u8>>),
}

/// Where a destination goes: each way with its share of the places, or no route.
pub(super) type Verdict = Option<BTreeMap<Way, u32>>;

pub(super) struct World {
    pub(super) client: Client,
    pub(super) reader: RefCell<TableReader>,
}

impl World {
    pub(super) fn new(capacity: &Capacity) -> Self {
        let mut client = Client::new(capacity).unwrap();
        let reader = RefCell::new(client.attach("test").unwrap());
        Self { client, reader }
    }

    pub(super) fn commit(&mut self, config: &Config) -> Result<(), CommitError> {
        self.commit_all(config, &RouteTable::default())
    }

    pub(super) fn commit_all(
        &mut self,
        config: &Config,
        routes: &RouteTable,
    ) -> Result<(), CommitError> {
        // The lcore looks at nothing meanwhile, and so holds nothing up.
        let result = self.reader.get_mut().offline(|| self.client.commit(config, routes, &facts()));
        self.settle();
        result.map(drop)
    }

    /// Lets all grace periods pass, and tells what is in use then.
    pub(super) fn settle(&mut self) -> Usage {
        for _ in 0..3 {
            self.reader.get_mut().quiescent();
            self.client.housekeeping();
            if self.client.wants_rings_cleared() {
                self.client.rings_cleared();
            }
        }
        self.client.usage()
    }

    pub(super) fn uidb(&self, interface: u8) -> UidbIndex {
        self.client.uidb(&name(interface)).unwrap()
    }

    /// Walks the tables as an lcore does: leaf, group, adjacencies.
    pub(super) fn lookup(&self, dst: IpAddr) -> Verdict {
        self.lookup_in(TableId::GLOBAL, dst)
    }

    /// As [`World::lookup`], in one routing table.
    pub(super) fn lookup_in(&self, table: TableId, dst: IpAddr) -> Verdict {
        let leaf = self.leaf(table, dst);
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let tables = AdjacencyTables::open(&tables);
        let group = tables.group(leaf);
        if group.places == 0 {
            return None;
        }
        let step = (1u64 << 32) / u64::from(group.places);
        let mut ways = BTreeMap::new();
        for place in 0..u64::from(group.places) {
            let number = tables.member(group, (place * step + step / 2) as u32);
            let row = &tables.adjacencies[number as usize];
            let (output, state) = (row.output().0, row.state());
            let (way, class) = match state.kind {
                AdjacencyKind::Receive => (Way::Receive, GroupClass::Receive),
                AdjacencyKind::LocalGroup => (Way::LocalGroup, GroupClass::Receive),
                AdjacencyKind::Null0 => (Way::Null0, GroupClass::Null0),
                AdjacencyKind::Glean => (Way::Glean(output), GroupClass::Forward),
                AdjacencyKind::Incomplete => {
                    let hop = row.next_hop().unwrap();
                    (Way::Neighbour(output, hop, None), GroupClass::Forward)
                }
                AdjacencyKind::Plain | AdjacencyKind::Featured => {
                    let header = row.rewrite()[..state.rewrite_len.into()].to_vec();
                    assert_eq!(state.mtu, 1500);
                    let hop = row.next_hop().unwrap();
                    (Way::Neighbour(output, hop, Some(header)), GroupClass::Forward)
                }
                AdjacencyKind::Absent => panic!("{dst} leads to adjacency {number}, not in use"),
            };
            assert_eq!(group.class, class, "{dst}");
            assert!(group.places > 1 || group.output.0 == output, "{dst}");
            *ways.entry(way).or_insert(0) += 1;
        }
        Some(ways)
    }

    /// The number of the group that a destination's route has.
    pub(super) fn leaf(&self, table: TableId, dst: IpAddr) -> u32 {
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let mut out = [0; LANES];
        match dst {
            IpAddr::V4(dst) => {
                let keys = [dst.to_bits(); LANES];
                let fib = Fib4::of(&tables, table, Isa::Portable);
                fib.look_up(&keys, PacketMask(1), &mut out);
            }
            IpAddr::V6(dst) => {
                let bits = dst.to_bits();
                let (hi, lo) = ([(bits >> 64) as u64; LANES], [bits as u64; LANES]);
                let fib = Fib6::of(&tables, table, Isa::Portable);
                fib.look_up(&hi, &lo, PacketMask(1), &mut out);
            }
        }
        out[0]
    }

    /// The member of each place of a destination's group, by the number of its row.
    pub(super) fn members(&self, dst: IpAddr) -> Vec<u32> {
        let leaf = self.leaf(TableId::GLOBAL, dst);
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let tables = AdjacencyTables::open(&tables);
        let group = tables.group(leaf);
        match group.places {
            1 => vec![group.first],
            _ => tables.members(group).collect(),
        }
    }
}

/// The bytes in front of a packet to `mac` on the link of an interface.
pub(super) fn header(interface: u8, mac: [u8; 6], v6: bool) -> Vec<u8> {
    let tags: &[u8] = match interface % 3 {
        0 => &[],
        1 => &[0x81, 0, 0, 10],
        _ => &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 20],
    };
    let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
    [&mac, &port_mac(usize::from(interface / 3))[..], tags, &ethertype].concat()
}
