//! A router without its ports, and what must hold of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use client::acl::{Document, Family};
use client::config::{Config, RouteTable};
use client::{Capacity, Client, ListEdit, PortFacts};
use hal::pool::NativePool;
use hal::{Pool, PoolCache, TxQueue};
use pal::clock::Nanos;
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::{FiaBuilder, Kit};
use qfp_core::isa::Isa;
use qfp_core::lpts::LptsGroup;
use qfp_core::ppe::{Injected, PolledQueue, Ppe, PpeParts, SlowWork};
use qfp_core::punt::{Action, Limits, SlowPath};
use qfp_core::uidb::UidbIndex;

use crate::frames::{LINK, MARK, packet};
use crate::peer::Peer;
use crate::scene::{PORTS, WAN, config, is_closed, is_tunnel_mode};
use crate::wire::{Coming, Gone, Wire};

const BUFFERS: usize = 4096;
/// Rounds between slow path and walk, at most.
const ROUNDS: usize = 64;

/// What stays from one input to the next.
pub(crate) struct Router {
    scene: usize,
    /// With and without more features, and with either keys.
    configs: [[Config; 2]; 2],
    client: Client,
    facts: Vec<PortFacts>,
    peer: Peer,
    pool: NativePool,
    /// The tables say something else than the first configuration.
    changed: bool,
    /// Changes so far: each may skip sequence numbers, of which a key has 256 times as many.
    spent: usize,
}

/// Changes that one client lives through.
const CHANGES: usize = 100;

fn new_client(configs: &[[Config; 2]; 2]) -> Client {
    let capacity = Capacity {
        adjacencies: 512,
        long_prefixes: 64,
        ipv6_lines: 1 << 12,
        ..Capacity::fitting(&configs[1][0], &RouteTable::default())
    };
    Client::new(&capacity).expect("memory")
}

impl Router {
    pub(crate) fn new(scene: usize) -> Self {
        let configs = [false, true].map(|other| [0, 1].map(|keys| config(scene, other, keys)));
        let client = new_client(&configs);
        let facts =
            (0..PORTS as u8).map(|n| PortFacts { mac: [2, 0, 0, 0, n, 1], filter_mac: false });
        let pool = NativePool::new(BUFFERS, 2048);
        Self {
            scene,
            configs,
            client,
            facts: facts.collect(),
            peer: Peer::new(),
            pool,
            changed: true,
            spent: 0,
        }
    }

    /// A router as its configuration says, which knows nobody yet.
    pub(crate) fn start(&mut self, knobs: u8) -> Running<'_> {
        let config = &self.configs[0][0];
        if self.spent > CHANGES {
            self.client = new_client(&self.configs);
            (self.changed, self.spent) = (true, 0);
        }
        if std::mem::take(&mut self.changed) {
            let routes = RouteTable::default();
            self.client.commit(config, &routes, &self.facts).expect("it fits");
        }
        let interfaces = self.client.slow_path_interfaces(config, &self.facts);
        let mut slow = SlowPath::new(interfaces, Limits::default());
        for (uidb, address, mac) in self.client.static_neighbours(config) {
            slow.add_static_neighbour(uidb, address, mac);
        }
        slow.set_sides(self.client.slow_path_sides(config));
        let tables = self.client.attach("fuzz").expect("a place for a reader");
        let fia = FiaBuilder::router();
        let fia = if knobs & 1 == 0 { fia } else { fia.row_by_row() };
        let isa =
            [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::detect()][usize::from(knobs >> 1 & 3)];
        let limit = self.client.uidb_limit();
        let layout = CounterLayout::new(fia.names().len(), PORTS, limit).with_rules(1 << 12);
        let mut totals = CounterTotals::new(layout);
        let lpts = LptsGroup::new(
            &config.lpts.rates,
            self.client.lpts(config),
            slow.acquaintance(),
            limit,
        );
        let kit = Kit { isa: isa.or_lower(), lpts: Arc::new(lpts), ..Kit::default() };
        let (coming, gone) = <([Wire; PORTS], [Wire; PORTS])>::default();
        let pool = Pool::Native(self.pool.clone());
        let mut ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build_with(&kit),
            rx: (0..)
                .zip(&coming)
                .map(|(n, wire)| PolledQueue::new(n, Box::new(Coming(Arc::clone(wire)))))
                .collect(),
            tx: gone
                .iter()
                .map(|wire| Box::new(Gone(Arc::clone(wire))) as Box<dyn TxQueue>)
                .collect(),
            pool: pool.cache(0),
            tables,
            counters: totals.add_lcore(),
        });
        if knobs & 8 != 0 {
            ppe.trace(20);
        }
        let lists = config.access_lists.clone();
        let mut running = Running {
            cache: pool.cache(0),
            pool,
            router: self,
            ppe,
            slow,
            totals,
            coming,
            gone,
            lists,
            now: Nanos::from_secs(1),
            variant: (0, 0),
            learnt: BTreeSet::new(),
        };
        // Static neighbours are announced.
        running.turn(0);
        running
    }
}

/// A router in one input.
pub(crate) struct Running<'r> {
    router: &'r mut Router,
    ppe: Ppe,
    slow: SlowPath,
    totals: CounterTotals,
    coming: [Wire; PORTS],
    gone: [Wire; PORTS],
    pool: Pool,
    cache: PoolCache,
    lists: Document,
    now: Nanos,
    /// Which configuration, and which keys.
    variant: (usize, usize),
    learnt: BTreeSet<(UidbIndex, IpAddr)>,
}

impl Running<'_> {
    pub(crate) fn receive(&mut self, port: usize, mut frame: Vec<u8>) {
        frame.truncate(1900);
        self.coming[port].lock().expect("no other thread").push_back(frame);
    }

    pub(crate) fn receive_sealed(&mut self, sa: u8, template: u8, fix: bool, over: &[u8]) {
        if self.router.scene == 0 {
            return;
        }
        let (sa, tunnel) = (usize::from(sa & 1), is_tunnel_mode(self.router.scene));
        let mut inner = packet(WAN, template, fix, over);
        inner.truncate(1700);
        let outer = self.router.peer.seal(sa, self.variant.1 as u32, tunnel, &inner);
        let ethertype: [u8; 2] = if sa == 0 { [8, 0] } else { [0x86, 0xdd] };
        let link = [&[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2], &ethertype[..]].concat();
        self.receive(WAN, [link, outer].concat());
    }

    /// All that has come walks; the slow path answers, until nothing moves any more.
    pub(crate) fn turn(&mut self, time: u8) {
        self.now =
            self.now.saturating_add(u64::from(time) * u64::from(time) * 2 * Nanos::PER_MILLI);
        self.router.client.watch_sas(self.now.0, &mut Vec::new());
        let mut work: Vec<SlowWork> = Vec::new();
        while self.ppe.poll(self.now, &mut work) > 0 {}
        let mut actions = Vec::new();
        self.slow.poll(self.now, &mut self.cache, &mut actions);
        for round in 0.. {
            assert!(round < ROUNDS, "something goes round for ever");
            for work in work.drain(..) {
                let slow = &mut self.slow;
                match work {
                    SlowWork::Punt(packet) => {
                        slow.punt(self.now, packet, &mut self.cache, &mut actions)
                    }
                    SlowWork::Unreachable(packet, reason) => {
                        slow.unreachable(self.now, &packet, reason, &mut self.cache, &mut actions);
                    }
                }
            }
            let taken: Vec<Action> = std::mem::take(&mut actions);
            let injected: Vec<Injected> =
                taken.into_iter().filter_map(|action| self.injection(action)).collect();
            if injected.is_empty() {
                break;
            }
            self.ppe.inject(injected, self.now, &mut work);
        }
        assert!(self.totals.conserved(0), "a packet is not counted, or twice");
        assert!(self.slow.counters().conserved());
        self.look_at_what_has_left();
    }

    fn injection(&mut self, action: Action) -> Option<Injected> {
        Some(match action {
            Action::Inject { table, origin, within, packet, .. } => {
                Injected::Route { table, origin, within, packet }
            }
            Action::Forward { table, next_hop, origin, packet, .. } => {
                Injected::Forward { table, next_hop, origin, packet }
            }
            Action::Transmit { uidb, packet, .. } => Injected::Transmit(uidb, packet),
            Action::TransmitPart { uidb, packet, .. } => Injected::TransmitPart(uidb, packet),
            Action::Neighbour { uidb, address, mac } => {
                self.neighbour(uidb, address, mac);
                return None;
            }
            Action::PathMtu { spi, destination, mtu, .. } => {
                for (uidb, inner) in self.router.client.inner_mtus(spi, destination, mtu) {
                    if let Some(mtu) = self.router.client.set_path_mtu(uidb, Some(inner)) {
                        self.slow.set_mtu(uidb, mtu);
                    }
                }
                return None;
            }
        })
    }

    fn neighbour(&mut self, uidb: UidbIndex, address: IpAddr, mac: Option<[u8; 6]>) {
        // Tables may be full.
        let _ = self.router.client.neighbour(uidb, address, mac);
        self.learnt.insert((uidb, address));
    }

    /// Another configuration, other keys, an edited list, a neighbour, an SA that goes.
    pub(crate) fn change(&mut self, what: u8, choice: u8) {
        let (other, keys) = self.variant;
        self.router.changed = true;
        self.router.spent += 1;
        match what % 6 {
            0 => self.commit((1 - other, keys)),
            1 => {
                let to = (other, 1 - keys);
                self.router.client.rekey(&self.router.configs[to.0][to.1]).expect("it fits");
                self.variant = to;
            }
            2 | 3 => self.edit(choice),
            4 => {
                let name = ["lan", "wan", "more", "blue5"][usize::from(choice & 3)];
                let Some(uidb) = self.router.client.uidb(name) else { return };
                let address = IpAddr::from([10, 3, 0, choice >> 2]);
                let mac = (choice & 0x80 == 0).then_some([2, 0, 0, 0, 9, choice]);
                self.neighbour(uidb, address, mac);
            }
            _ => {
                let name = ["out0", "in0", "out1", "in1"][usize::from(choice & 3)];
                let _ = self.router.client.delete_sa(name);
            }
        }
        self.router.client.housekeeping();
    }

    fn commit(&mut self, to: (usize, usize)) {
        let config = &self.router.configs[to.0][to.1];
        let client = &mut self.router.client;
        client.commit(config, &RouteTable::default(), &self.router.facts).expect("it fits");
        let mut actions = Vec::new();
        let interfaces = client.slow_path_interfaces(config, &self.router.facts);
        self.slow.set_interfaces(interfaces, &mut actions);
        self.slow.set_sides(client.slow_path_sides(config));
        self.lists = config.access_lists.clone();
        self.variant = to;
        for action in actions {
            assert!(self.injection(action).is_none(), "nothing is sent");
        }
    }

    fn edit(&mut self, choice: u8) {
        let texts =
            ["deny icmp any any", "permit udp any any range 5 99", "deny ip any 10.1.0.0 0.0.0.3"];
        let text = format!("ip access-list extended X\n {}\n", texts[usize::from(choice) % 3]);
        let made = Document::parse(&text).expect("a good list");
        let Some((_, ace)) = made.lists().next().and_then(|list| list.aces().next()) else {
            return;
        };
        let place = 10 * u32::from(choice >> 5);
        let edit = match choice >> 2 & 3 {
            0 => ListEdit::Add(Some(place + 1), ace.clone()),
            1 => ListEdit::Delete(place),
            2 => ListEdit::Replace(place, ace.clone()),
            _ => ListEdit::Move(place, place + 5),
        };
        let name = ["IN", "OUT", "AWAY"][usize::from(choice) % 3];
        // Some cannot be.
        let _ = self.router.client.edit_list(&mut self.lists, Family::V4, name, &[edit]);
    }

    fn look_at_what_has_left(&mut self) {
        for (port, wire) in self.gone.iter().enumerate() {
            for frame in wire.lock().expect("no other thread").drain(..) {
                assert!(frame.len() >= LINK, "a frame has a header");
                if port == WAN && is_closed(self.router.scene) {
                    assert!(may_leave(&frame), "in the clear: {frame:02x?}");
                    let ip = frame[12..14] != [8, 6];
                    let marked = frame.windows(MARK.len()).any(|part| part == MARK);
                    assert!(
                        !ip || !marked || is_discovery(&frame[LINK..]),
                        "can be read: {frame:02x?}"
                    );
                }
            }
        }
    }

    pub(crate) fn end(mut self) {
        for traced in self.ppe.take_traces() {
            assert!(!traced.steps.is_empty());
        }
        self.slow.drain();
        assert!(self.slow.counters().conserved());
        let client = &mut self.router.client;
        for (uidb, address) in &self.learnt {
            let _ = client.neighbour(*uidb, *address, None);
        }
        for wire in &self.coming {
            assert!(wire.lock().expect("no other thread").is_empty());
        }
        drop((self.ppe, self.slow, self.cache));
        self.pool.check_complete().expect("every buffer comes back");
    }
}

/// ARP, ESP of the SAs, neighbour discovery on the link, and IKE.
fn may_leave(frame: &[u8]) -> bool {
    let ip = &frame[LINK..];
    match (&frame[12..14], ip.first().map(|first| first >> 4)) {
        ([8, 6], _) => true,
        (_, Some(4)) if ip.len() >= 28 => {
            let upper = ip.get(usize::from(ip[0] & 15) * 4..).unwrap_or(&[]);
            let is_ike = ip[9] == 17 && upper.get(..4) == Some(&[1, 0xf4, 1, 0xf4]);
            // ESP between the ends of an SA passes, whoever wrote it.
            let is_esp = ip[9] == 50 && ip[12..20] == [192, 0, 2, 1, 192, 0, 2, 2];
            is_esp || is_ike
        }
        (_, Some(6)) if ip.len() >= 48 => {
            let (protocol, upper) = behind_extensions(ip);
            let is_ike = protocol == 17 && upper.get(..4) == Some(&[1, 0xf4, 1, 0xf4]);
            let ends = ip[13] == 0xff && ip[23] == 1 && ip[29] == 0xff && ip[39] == 2;
            protocol == 50 && ends || is_ike || is_discovery(ip)
        }
        _ => false,
    }
}

fn behind_extensions(ip: &[u8]) -> (u8, &[u8]) {
    let (mut next, mut at) = (ip[6], 40);
    while matches!(next, 0 | 43 | 44 | 60 | 135 | 139 | 140) && at + 8 <= ip.len() {
        let len = if next == 44 { 8 } else { 8 + 8 * usize::from(ip[at + 1]) };
        (next, at) = (ip[at], at + len);
    }
    (next, ip.get(at..).unwrap_or(&[]))
}

fn is_discovery(ip: &[u8]) -> bool {
    let (protocol, upper) = behind_extensions(ip);
    ip[0] >> 4 == 6
        && ip[7] == 255
        && protocol == 58
        && upper.first().is_some_and(|kind| (133..=137).contains(kind))
}
