//! Rows `lpts` and `punt-police`: what type of flow a packet for the slow path is of, and whether
//! that still has room.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hal::PacketMask;

use super::{Admission, FlowType, ForUs, LptsGroup, Offered, Session};
use crate::adjacency::{AdjacencyTables, GroupClass};
use crate::counters::Policed;
use crate::fib::Fib4;
use crate::isa::Isa;
use crate::packet::{DropReason, End, L3, PuntCause, Vector};
use crate::simd;
use crate::step::{Lcore, Step};
use crate::tables::Tables;
use crate::uidb::{TableId, UidbIndex, UidbTable};
use crate::wire::{Arp, ArpOperation, icmpv6};

/// Row `lpts`: finds the type of everything that rows have punted.
///
/// Up to three hash lookups for a packet to the router, one route for ARP.
#[derive(Debug)]
pub struct LptsClassify(Arc<LptsGroup>);

impl LptsClassify {
    /// The row of an lcore of that group.
    #[must_use]
    pub fn new(group: Arc<LptsGroup>) -> Self {
        Self(group)
    }
}

impl Step for LptsClassify {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        keep_up(&mut self.0);
        // What is only to be told about is `unreachable`, whatever it was.
        for slot in select & vector.ends.punted {
            vector.ends.flow[slot & 63] = flow_type(&self.0, &lcore.tables, vector, slot);
        }
    }
}

/// Goes on with the group that has taken this one's place.
#[inline]
fn keep_up(group: &mut Arc<LptsGroup>) {
    if let Some(next) = group.successor() {
        // This one is kept by who has put the other there, and is not freed here.
        *group = next;
    }
}

/// Row `punt-police`: lets as many through as their types may have ([`LptsGroup`]).
#[derive(Debug)]
pub struct PuntPolice(Arc<LptsGroup>);

impl PuntPolice {
    /// The row of an lcore of that group.
    #[must_use]
    pub fn new(group: Arc<LptsGroup>) -> Self {
        Self(group)
    }
}

impl Step for PuntPolice {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        keep_up(&mut self.0);
        self.tell(lcore, vector, select & vector.ends.reported);
        let now = vector.now();
        // In one vector time stands still: who has been refused is refused again, at the price of
        // a comparison.
        let mut refused: Option<(Offered, Admission)> = None;
        for slot in select & vector.ends.punted {
            let flow = vector.ends.flow[slot & 63];
            let sender = if flow.by_sender() { sender(&self.0, vector, slot) } else { None };
            let offered = Offered { flow, input: vector.input(slot), sender };
            let admission = match refused {
                Some((same, admission)) if same == offered => admission,
                _ => self.0.admit(offered, now),
            };
            if admission == Admission::Accepted {
                lcore.counters.policed(offered.input, flow, Policed::Passed, 1);
                continue;
            }
            refused = Some((offered, admission));
            lcore.counters.policed(offered.input, flow, Policed::Dropped, 1);
            let reason = match admission {
                Admission::FlowLimit if !flow.is_for_us() => DropReason::PuntPerCausePolicer,
                _ => DropReason::Lpts,
            };
            vector.refuse(slot, reason);
        }
    }
}

/// Senders of a vector who are asked for by themselves once their interface has had its share.
const ASKED: u32 = 2;

impl PuntPolice {
    /// The dropped packets of `told`, whose sources are told of as many as may be.
    fn tell(&self, lcore: &Lcore<'_>, vector: &mut Vector, told: PacketMask) {
        let mut left = told;
        while let Some(slot) = left.into_iter().next() {
            let input = vector.input(slot);
            let same = left & simd::same_interface(&vector.route.input, input);
            left -= same;
            let passed = self.told(vector, input, same);
            vector.ends.reported -= same - passed;
            let count = |packets: PacketMask, policed| {
                let count = u64::from(packets.count());
                lcore.counters.policed(input, FlowType::Unreachable, policed, count);
            };
            count(passed, Policed::Passed);
            count(same - passed, Policed::Dropped);
        }
    }

    /// Those of `select`, all of one interface, whose sources are told.
    ///
    /// A flood of drops must cost what drops cost: once all that is lent is gone, a few senders are
    /// asked for whether they have shares of their own, and all others are refused together.
    fn told(&self, vector: &Vector, input: UidbIndex, select: PacketMask) -> PacketMask {
        let mut passed = PacketMask::EMPTY;
        let (mut last, mut refused) = (None, 0);
        for slot in select {
            let host = host(vector, slot);
            if last == Some(host) {
                continue;
            }
            if refused == ASKED {
                break;
            }
            let sender = sender(&self.0, vector, slot);
            let offered = Offered { flow: FlowType::Unreachable, input, sender };
            if self.0.admit(offered, vector.now()) == Admission::Accepted {
                passed.insert(slot);
            } else {
                last = Some(host);
                refused += 1;
            }
        }
        passed
    }
}

/// The source as one word: a host of IPv4, a /64 of IPv6.
#[inline]
fn host(vector: &Vector, slot: usize) -> u64 {
    if vector.is.ipv4.contains(slot) {
        return u64::from(vector.l3.src4[slot & 63]);
    }
    let prefix = vector.network(slot).get(8..).and_then(|rest| rest.first_chunk::<8>());
    prefix.map_or(0, |prefix| u64::from_le_bytes(*prefix))
}

/// What type a packet is of that a row has punted.
fn flow_type(lpts: &LptsGroup, tables: &Tables<'_>, vector: &Vector, slot: usize) -> FlowType {
    let End::Punt(cause) = vector.ends.end[slot & 63] else { return FlowType::Unreachable };
    match cause {
        PuntCause::Arp => arp(lpts, tables, vector, slot),
        PuntCause::Ipv4ForUs | PuntCause::Ipv6ForUs | PuntCause::Ipv4LocalGroup => {
            let table = vector.table(UidbTable::open(tables), slot);
            let Some(packet) = for_us(vector, slot, table) else { return FlowType::RawDefault };
            match lpts.sessions().classify(&packet) {
                FlowType::IcmpControl if is_acquainted(lpts, vector, slot) => FlowType::NdKnown,
                flow => flow,
            }
        }
        PuntCause::Glean | PuntCause::IncompleteAdjacency => FlowType::Glean,
        PuntCause::IpTtlExceeded => FlowType::TtlExceeded,
        PuntCause::IpMtuExceeded => FlowType::MtuExceeded,
        PuntCause::Ipv4Options => FlowType::Ipv4Options,
        PuntCause::Ipv6HopByHop => FlowType::Ipv6Options,
        PuntCause::Feature => FlowType::Feature,
    }
}

/// ARP of a neighbour, about the router, or about others.
fn arp(lpts: &LptsGroup, tables: &Tables<'_>, vector: &Vector, slot: usize) -> FlowType {
    let Ok(arp) = Arp::parse(vector.network(slot)) else { return FlowType::ArpOther };
    let (input, sender) = (vector.input(slot), IpAddr::V4(arp.sender_ip()));
    let known = lpts.acquaintance();
    if known.knows(input, sender, arp.sender_mac())
        || arp.operation() == ArpOperation::Reply && known.awaits(input, sender)
    {
        return FlowType::ArpKnown;
    }
    let table = vector.own_table(UidbTable::open(tables), slot);
    let target = Fib4::of(tables, table, Isa::Portable).leaf(arp.target_ip().to_bits());
    match AdjacencyTables::open(tables).group(target).class {
        GroupClass::Receive => FlowType::ArpForUs,
        _ => FlowType::ArpOther,
    }
}

/// Whether a neighbour message is of a neighbour that the router knows, or the answer to a
/// question of its own (RFC 4861 4.3, 4.4).
fn is_acquainted(lpts: &LptsGroup, vector: &Vector, slot: usize) -> bool {
    let Some(transport) = vector.transport(slot) else { return false };
    let packet = vector.network(slot);
    let message = packet.get(usize::from(transport.offset)..).unwrap_or(&[]);
    let address = |bytes: Option<&[u8]>| {
        bytes.and_then(|bytes| bytes.first_chunk::<16>()).map(|bytes| IpAddr::from(*bytes))
    };
    let speaker = match message.first() {
        Some(&icmpv6::NEIGHBOUR_ADVERTISEMENT) => address(message.get(8..24)),
        Some(&icmpv6::NEIGHBOUR_SOLICITATION) => address(packet.get(8..24)),
        _ => None,
    };
    let mac = vector.burst.frame(slot).get(6..12).and_then(|mac| mac.first_chunk::<6>());
    let (Some(speaker), Some(mac)) = (speaker, mac) else { return false };
    let (known, input) = (lpts.acquaintance(), vector.input(slot));
    let answers = message.first() == Some(&icmpv6::NEIGHBOUR_ADVERTISEMENT);
    known.knows(input, speaker, *mac) || answers && known.awaits(input, speaker)
}

/// Who has sent the packet, as far as that can be told.
fn sender(lpts: &LptsGroup, vector: &Vector, slot: usize) -> Option<u32> {
    let source = match vector.l3(slot) {
        L3::Ipv4 => 12..16,
        L3::Ipv6 => 8..24,
        // ARP: the sender's protocol address.
        L3::Other => 14..18,
    };
    Some(lpts.sender(vector.network(slot).get(source)?))
}

/// The flow of a packet for this router; none without a whole IP header.
fn for_us(vector: &Vector, slot: usize, table: TableId) -> Option<ForUs> {
    let transport = vector.transport(slot)?;
    let packet = vector.network(slot);
    let (remote, local) = if vector.is.ipv4.contains(slot) {
        let word = |at: usize| packet.get(at..at + 4)?.try_into().ok();
        let address = |bytes: [u8; 4]| IpAddr::V4(Ipv4Addr::from(bytes));
        (address(word(12)?), address(word(16)?))
    } else {
        let words = |at: usize| packet.get(at..at + 16)?.try_into().ok();
        let address = |bytes: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes));
        (address(words(8)?), address(words(24)?))
    };
    let header = packet.get(usize::from(transport.offset)..).unwrap_or(&[]);
    let (remote_port, local_port) = match (transport.protocol, header) {
        // The message's type, as `ForUs` has it.
        (1 | 58, [kind, ..]) => (u16::from(*kind), 0),
        (6 | 17, [a, b, c, d, ..]) => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    };
    let protocol = transport.protocol;
    let flow = Session { table, protocol, local, remote, local_port, remote_port };
    Some(ForUs::Ip { flow, later_fragment: transport.later_fragment })
}
