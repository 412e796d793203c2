//! The slow path: what a router does with the few packets that it does not simply forward.
//!
//! It answers for the router's own addresses (ARP, ND, echo), resolves next hops, reports errors
//! (RFC 1812 4.3, RFC 4443), fragments IPv4 (EGR-08) and what it sends itself, and puts fragments
//! for the router itself together. [`SlowPath`] is one plain object with one owner: packets and the
//! time go in, [`Action`]s come out, and nothing else happens but that [`Acquaintance`] follows. The
//! same input gives the same output.
//!
//! Every byte of a punted packet is hostile. What is malformed is dropped and counted, and nothing
//! is ever sent because of it.
//!
//! What it does not do: TCP (counted drop, no reset), IPv4 options in what it sends, duplicate
//! address detection for its own addresses, multicast listener reports, router advertisements.

mod acquaintance;
mod arp;
mod counters;
mod exercise;
mod extension;
mod fragment;
mod frame;
mod icmp;
mod interface;
mod limit;
mod local;
mod nd;
mod neighbour;
mod options;
mod path_mtu;
mod reassembly;
mod record;
mod resolve;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use hal::{Packet, PoolCache};
use pal::clock::Nanos;

use crate::packet::{DropReason, Origin, PuntCause, PuntedPacket};
use crate::uidb::{TableId, UidbIndex};
use crate::wire::{Ethernet, Ipv4, Ipv6, is_group};

pub use acquaintance::Acquaintance;
pub use counters::{IcmpKind, SlowDrop, SlowPathCounters};
pub use exercise::exercise;
pub use interface::{Interface, VlanTag};
pub use limit::{Limits, Rate, Share, TokenBucket};

use counters::{Done, Fate};
use icmp::Problem;
use interface::Interfaces;

use neighbour::{Event, Neighbours, Step};
use path_mtu::PathMtus;
use reassembly::Reassembly;
use shares::Shares;

/// What the slow path wants done. Packets go to the lcore that they, or what caused them, came from:
/// those of a flow stay in order.
#[derive(Debug)]
pub enum Action {
    /// An IP packet for the router to route, behind an Ethernet header without addresses. It
    /// enters the walk through [`UidbIndex::RP`], where TTLs are not decremented and options not
    /// looked at (ING-21).
    Inject {
        /// The lcore to route it.
        lcore: u16,
        /// The table to route it in.
        table: TableId,
        /// Where it came from, if it has only been put together.
        origin: Option<Origin>,
        /// The interface whose SA must protect it, or it does not leave: it tells of a packet that
        /// came out of ESP.
        within: Option<UidbIndex>,
        /// The packet.
        packet: Packet,
    },
    /// A packet of somebody else's that goes on, likewise, but through [`UidbIndex::RECYCLE`]: it
    /// meets the features of its output interface.
    Forward {
        /// The lcore to route it.
        lcore: u16,
        /// The table to route it in.
        table: TableId,
        /// Where it goes, if it has been routed already; its destination may lead elsewhere, since
        /// a policy may have sent it there.
        next_hop: Option<IpAddr>,
        /// Where it came from.
        origin: Origin,
        /// The packet.
        packet: Packet,
    },
    /// A complete frame of the router's own for one interface: it meets the security policy and
    /// nothing else (EGR-09).
    Transmit {
        /// The lcore to send it.
        lcore: u16,
        /// The interface.
        uidb: UidbIndex,
        /// The frame with its tags.
        packet: Packet,
    },
    /// A complete frame for one interface's transmit queue: part of a packet that has met all rows.
    TransmitPart {
        /// The lcore to send it.
        lcore: u16,
        /// The interface.
        uidb: UidbIndex,
        /// The frame with its tags.
        packet: Packet,
    },
    /// The path of what a tunnel sends is smaller than its own link.
    PathMtu {
        /// The table that the tunnel's packets are routed in.
        table: TableId,
        /// Their destination.
        destination: IpAddr,
        /// Their SPI.
        spi: u32,
        /// Largest IP packet that passes, bytes; at least 576, with IPv6 1280.
        mtu: u16,
    },
    /// What the fast path must know of a neighbour.
    Neighbour {
        /// Its link.
        uidb: UidbIndex,
        /// Its address.
        address: IpAddr,
        /// Its MAC address; `None` when it is gone.
        mac: Option<[u8; 6]>,
    },
}

/// Where a packet of the router's own goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum InjectTo {
    /// An IP packet, to where this table leads.
    Table(TableId),
    /// A complete frame with its tags, to this interface.
    Interface(UidbIndex),
}

/// One call: when it happens, for which lcore's packet, where buffers come from, and where actions
/// go.
struct Turn<'a> {
    now: Nanos,
    lcore: u16,
    pool: &'a mut PoolCache,
    actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn transmit(&mut self, uidb: UidbIndex, frame: &[u8]) -> Result<(), SlowDrop> {
        let packet = self.pool.packet(frame).ok_or(SlowDrop::NoBuffer)?;
        self.actions.push(Action::Transmit { lcore: self.lcore, uidb, packet });
        Ok(())
    }

    /// Gives back a packet to the router that has been put together.
    fn deliver(&mut self, table: TableId, origin: Origin, ip: &[u8]) -> Result<(), SlowDrop> {
        let packet = self.pool.packet(&frame::injected(ip)).ok_or(SlowDrop::NoBuffer)?;
        let (lcore, origin) = (self.lcore, Some(origin));
        self.actions.push(Action::Inject { lcore, table, origin, within: None, packet });
        Ok(())
    }
}

/// The slow path of one router.
pub struct SlowPath {
    interfaces: Interfaces,
    neighbours: Neighbours,
    limits: Limits,
    icmp_limits: [Shares; IcmpKind::COUNT],
    resend_limit: Shares,
    reassembly: Reassembly,
    path_mtus: PathMtus,
    next_id: u16,
    next_fragments: u32,
    counters: SlowPathCounters,
}

impl SlowPath {
    /// A slow path that knows no neighbour yet.
    #[must_use]
    pub fn new(interfaces: Vec<Interface>, limits: Limits) -> Self {
        Self {
            interfaces: Interfaces::new(interfaces),
            neighbours: Neighbours::new(&limits),
            icmp_limits: limits.icmp.map(|rate| Shares::new(rate, limits.icmp_share, limits.seed)),
            resend_limit: Shares::new(limits.resend, limits.resend_share, limits.seed),
            reassembly: Reassembly::default(),
            path_mtus: PathMtus::default(),
            next_id: 0,
            next_fragments: 0,
            counters: SlowPathCounters::default(),
            limits,
        }
    }

    /// Counts on from what another one has counted, which has ended and dropped what waited there.
    pub fn count_on(&mut self, from: SlowPathCounters) {
        self.counters = from.ended();
    }

    /// Works within other limits from now on. What is beyond them stays as long as it would have; budgets
    /// begin anew.
    pub fn set_limits(&mut self, limits: Limits) {
        if limits != self.limits {
            self.neighbours.ask_anew();
            self.icmp_limits =
                limits.icmp.map(|rate| Shares::new(rate, limits.icmp_share, limits.seed));
            self.resend_limit = Shares::new(limits.resend, limits.resend_share, limits.seed);
            self.limits = limits;
        }
    }

    /// Replaces all interfaces. Neighbours on links that are gone, and those whose address is the
    /// router's now, are forgotten; what waited for them is dropped, and so is what waits in a
    /// routing table that no interface is in any more: its number may become another one's. From
    /// here on, nothing is done about packets of such a table.
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>, actions: &mut Vec<Action>) {
        self.interfaces = Interfaces::new(interfaces);
        self.path_mtus.clear();
        let mut step = Step::new(Nanos::ZERO, &self.limits, &mut self.counters);
        for key @ (uidb, address) in self.neighbours.keys() {
            let link = self.interfaces.get(uidb);
            if link.is_none_or(|link| link.has_address(address)) {
                self.neighbours.remove(&mut step, key, SlowDrop::InterfaceRemoved);
            }
        }
        let interfaces = &self.interfaces;
        self.neighbours.retain_tables(&mut step, |table| interfaces.has_table(table));
        self.neighbours.retain_links(|uidb| interfaces.get(uidb).is_some());
        for shares in self.icmp_limits.iter_mut().chain([&mut self.resend_limit]) {
            shares.retain(|uidb| interfaces.get(uidb).is_some());
        }
        let events = step.into_events();
        self.discard(events, actions);
        let given_up = self.reassembly.retain_tables(|table| self.interfaces.has_table(table));
        self.counters.reassemblies_given_up += given_up;
    }

    /// Says which interfaces stand for entries of security policies, and what their networks on our
    /// side are: errors about packets that came in through them come from an address in there.
    pub fn set_sides(&mut self, sides: Vec<(UidbIndex, Vec<ipnet::IpNet>)>) {
        self.interfaces.set_sides(sides);
    }

    /// Enters a neighbour that is never asked for and never ages. It is announced, and what waits
    /// for it is sent, by the next [`SlowPath::poll`].
    pub fn add_static_neighbour(&mut self, uidb: UidbIndex, address: IpAddr, mac: [u8; 6]) {
        let mut step = Step::new(Nanos::ZERO, &self.limits, &mut self.counters);
        self.neighbours.fix(&mut step, (uidb, address), mac);
    }

    /// Takes back that a neighbour is known, because the fast path has no room for it: packets for
    /// it are dropped for a while. A static one is announced again then, another one asked for by
    /// the next packet.
    pub fn neighbour_refused(&mut self, now: Nanos, uidb: UidbIndex, address: IpAddr) {
        let mut step = Step::new(now, &self.limits, &mut self.counters);
        self.neighbours.refuse(&mut step, (uidb, address));
        let events = step.into_events();
        self.discard(events, &mut Vec::new());
    }

    /// Forgets a neighbour, static or learnt; what waited for it is dropped.
    pub fn remove_neighbour(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        actions: &mut Vec<Action>,
    ) {
        let mut step = Step::new(Nanos::ZERO, &self.limits, &mut self.counters);
        self.neighbours.remove(&mut step, (uidb, address), SlowDrop::InterfaceRemoved);
        let events = step.into_events();
        self.discard(events, actions);
    }

    /// Handles one packet that the fast path punted.
    pub fn punt(
        &mut self,
        now: Nanos,
        punted: PuntedPacket,
        pool: &mut PoolCache,
        actions: &mut Vec<Action>,
    ) {
        self.counters.punted += 1;
        let mut turn = Turn { now, lcore: punted.lcore, pool, actions };
        let fate = match punted.cause {
            _ if !self.interfaces.has_table(punted.table) => Err(SlowDrop::TableRemoved),
            PuntCause::Arp => self.arp(&mut turn, &punted),
            PuntCause::Ipv4ForUs | PuntCause::Ipv4LocalGroup => self.local_v4(&mut turn, &punted),
            PuntCause::Ipv6ForUs => self.local_v6(&mut turn, &punted),
            PuntCause::Glean | PuntCause::IncompleteAdjacency => self.resolve(&mut turn, punted),
            PuntCause::IpTtlExceeded => self.report(&mut turn, &punted, Problem::TtlExceeded),
            PuntCause::IpMtuExceeded => self.too_big(&mut turn, &punted),
            PuntCause::Ipv4Options => self.options_v4(&mut turn, punted),
            PuntCause::Ipv6HopByHop => self.options_v6(&mut turn, punted),
            PuntCause::Feature => Err(SlowDrop::Unclaimed),
        };
        self.counters.settle(fate);
    }

    /// Counts a punted packet that somebody else has dealt with.
    pub fn taken(&mut self) {
        self.counters.punted += 1;
        self.counters.settle(Ok(Done::Consumed));
    }

    /// Sends a packet of somebody else's as the router's own, by the first lcore. False when it is no
    /// IP packet, there is no such interface, or no buffer for it.
    pub fn originate(
        &self,
        to: InjectTo,
        bytes: &[u8],
        pool: &mut PoolCache,
        actions: &mut Vec<Action>,
    ) -> bool {
        let lcore = 0;
        let action = match to {
            InjectTo::Table(table) if ends(bytes).is_ok() => pool
                .packet(&frame::injected(bytes))
                .map(|packet| Action::Inject { lcore, table, origin: None, within: None, packet }),
            InjectTo::Interface(uidb) if self.interfaces.get(uidb).is_some() => {
                pool.packet(bytes).map(|packet| Action::Transmit { lcore, uidb, packet })
            }
            _ => None,
        };
        let is_sent = action.is_some();
        actions.extend(action);
        is_sent
    }

    /// Reports a packet that the fast path dropped for `reason` to its source, if that is due.
    ///
    /// No route is reported as such; a Null0 route as host unreachable (IPv6: reject route) unless
    /// [`Limits::null0_unreachables`] is off; an access list as administratively prohibited; the
    /// loss of an adjacency as host unreachable. Other reasons are never reported.
    pub fn unreachable(
        &mut self,
        now: Nanos,
        dropped: &PuntedPacket,
        reason: DropReason,
        pool: &mut PoolCache,
        actions: &mut Vec<Action>,
    ) {
        self.counters.reported += 1;
        let mut turn = Turn { now, lcore: dropped.lcore, pool, actions };
        let problem = match reason {
            _ if !self.interfaces.has_table(dropped.table) => {
                return self.counters.settle(Err(SlowDrop::TableRemoved));
            }
            DropReason::Ipv4NoRoute | DropReason::Ipv6NoRoute => Some(Problem::NoRoute),
            DropReason::Ipv4Null0 | DropReason::Ipv6Null0 => {
                self.limits.null0_unreachables.then_some(Problem::NullRoute)
            }
            DropReason::NoAdjacency => Some(Problem::HostUnreachable),
            DropReason::Ipv4Acl | DropReason::Ipv6Acl => Some(Problem::Prohibited),
            _ => None,
        };
        let fate = match problem {
            Some(problem) => self.report(&mut turn, dropped, problem),
            None => Err(SlowDrop::NotReported),
        };
        self.counters.settle(fate);
    }

    /// Does what is due at `now`: asks again, gives up, ages. To be called when
    /// [`SlowPath::next_deadline`] has come; more often does no harm.
    pub fn poll(&mut self, now: Nanos, pool: &mut PoolCache, actions: &mut Vec<Action>) {
        for bucket in self.icmp_limits.iter_mut().chain([&mut self.resend_limit]) {
            bucket.advance(now);
        }
        let mut turn = Turn { now, lcore: 0, pool, actions };
        self.expire_fragments(&mut turn);
        let mut step = Step::new(now, &self.limits, &mut self.counters);
        self.neighbours.expire(&mut step);
        let events = step.into_events();
        self.apply(&mut turn, events);
    }

    /// When [`SlowPath::poll`] next has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let deadlines = [self.neighbours.next_deadline(), self.reassembly.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Drops every packet that waits, at the end of a run.
    pub fn drain(&mut self) {
        let held = self.neighbours.release_all();
        self.settle_held(&held, Err(SlowDrop::RunEnded));
    }

    /// Whom it knows and whom it waits for, for the fast path to ask.
    #[must_use]
    pub fn acquaintance(&self) -> Arc<Acquaintance> {
        Arc::clone(self.neighbours.acquaintance())
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &SlowPathCounters {
        &self.counters
    }

    /// Gives packets that waited the same fate.
    fn settle_held(&mut self, held: &VecDeque<PuntedPacket>, fate: Fate) {
        for _ in held {
            self.counters.held -= 1;
            self.counters.settle(fate);
        }
    }

    /// Applies events that send nothing.
    fn discard(&mut self, events: Vec<Event>, actions: &mut Vec<Action>) {
        for event in events {
            match event {
                Event::Discarded(held, reason) => self.settle_held(&held, Err(reason)),
                Event::Lost((uidb, address)) => {
                    self.counters.neighbours_lost += 1;
                    actions.push(Action::Neighbour { uidb, address, mac: None });
                }
                Event::Ask(..) | Event::Resolved(..) | Event::Absent(..) => {}
            }
        }
    }

    /// Sends an answer to the source of `about`: routed, or, to an address that only its link
    /// knows, back to where the frame came from. In fragments, where its path or its link takes no
    /// more; what its output link does not take comes back here by [`PuntCause::IpMtuExceeded`]. With
    /// `within`, only protected by the SA of that interface.
    fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        about: &PuntedPacket,
        ip: &[u8],
        to: IpAddr,
        within: Option<UidbIndex>,
    ) -> Result<(), SlowDrop> {
        if !interface::is_link_local(to) {
            let mtu = self.path_mtus.get(turn.now, (about.table, to)).unwrap_or(u16::MAX);
            let pieces = self.own_pieces(ip, mtu)?;
            return self.inject_all(turn, about.table, within, &pieces);
        }
        if within.is_some() {
            // Nothing leads from a link-local address into an SA.
            return Err(SlowDrop::NoAddress);
        }
        let link = self.interfaces.get(about.input).ok_or(SlowDrop::NoInterface)?;
        let frame = Ethernet::parse(about.packet.frame()).map_err(|_| SlowDrop::Malformed)?;
        if !is_station(frame.src()) || frame.src() == link.mac {
            return Err(SlowDrop::BadNextHop);
        }
        let header = frame::ethernet(link, frame.src(), frame::ip_ethertype(ip), &[]);
        let (uidb, mtu) = (link.uidb, link.mtu);
        let pieces = self.own_pieces(ip, mtu)?;
        self.transmit_all(turn, (uidb, true), &header, &pieces).map(|_| ())
    }

    /// The identification of the next IPv4 datagram the router originates.
    fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

/// The bytes from the network header on; none when the metadata contradict the frame.
fn network(punted: &PuntedPacket) -> &[u8] {
    let offset = usize::from(punted.l3_offset);
    if offset < 14 { &[] } else { punted.packet.frame().get(offset..).unwrap_or_default() }
}

/// Source and destination of an IP packet.
fn ends(bytes: &[u8]) -> Result<(IpAddr, IpAddr), SlowDrop> {
    let ends = if bytes.first().is_some_and(|first| first >> 4 == 4) {
        Ipv4::parse(bytes).map(|ip| (IpAddr::V4(ip.src()), IpAddr::V4(ip.dst())))
    } else {
        Ipv6::parse(bytes).map(|ip| (IpAddr::V6(ip.src()), IpAddr::V6(ip.dst())))
    };
    ends.map_err(|_| SlowDrop::Malformed)
}

/// True for a MAC address that one station can have.
fn is_station(mac: [u8; 6]) -> bool {
    !is_group(mac) && mac != [0; 6]
}
