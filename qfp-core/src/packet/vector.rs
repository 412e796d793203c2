//! The vector: up to 64 packets, one array a field, and which of them are still walking.

use std::net::IpAddr;

use hal::{Burst, Packet, PacketMask, VECTOR};
use pal::clock::Nanos;

use crate::packet::{Cold, DropReason, FlowType, L3, Origin, PuntCause};
use crate::simd;
use crate::uidb::{Gates, TableId, Uidb, UidbIndex, UidbTable};

/// Where a vector came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A receive queue of this port: interfaces are found by VLAN tags.
    Port(u16),
    /// An internal interface: the slow path, recirculation, a crypto engine. It has no VRF of its
    /// own: `table` is where the packets are routed.
    Internal {
        /// The interface.
        uidb: UidbIndex,
        /// The routing table.
        table: TableId,
    },
}

/// Rows that the same packets meet: those that are ahead of a row pass it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// All that walk.
    Open,
    /// Those whose link header is not the new one yet.
    Rewrite,
    /// Those that egress features look at, or that nobody has looked at yet.
    Egress,
    /// Those that have left their walk for the slow path.
    Leaving,
}

/// How the walk of a packet ended, for its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Walking,
    Drop(DropReason),
    Punt(PuntCause),
    Consumed,
}

/// Up to 64 packets on their way through the feature invocation array.
///
/// Hot fields are arrays, written by one row and read by the next, each on cache lines of its own,
/// so they come first; what only some packets need is in one [`Cold`] struct a packet. A slot's
/// fields mean something only after the row that fills them: lengths and sources at receive,
/// interfaces at `if-classify`, network headers at `l3-parse`, adjacencies at the forwarding
/// lookup.
#[repr(C, align(64))]
pub struct Vector {
    /// The frames.
    pub burst: Burst,
    /// Input interface.
    pub(crate) input: [UidbIndex; VECTOR],
    /// Output interface.
    pub(crate) output: [UidbIndex; VECTOR],
    /// IP packet length, bytes.
    pub(crate) ip_len: [u16; VECTOR],
    /// Bytes in front of the network header.
    pub(crate) l3_offset: [u8; VECTOR],
    /// IPv4 source and destination, host byte order.
    pub(crate) src4: [u32; VECTOR],
    pub(crate) dst4: [u32; VECTOR],
    /// What the second-last word of the fixed IPv4 header becomes (TTL decremented, protocol,
    /// checksum), as it lies in memory; for IPv6 the new hop limit in the low byte.
    pub(crate) next_ttl: [u32; VECTOR],
    /// IPv6 destination, host byte order, upper and lower half.
    pub(crate) dst6_hi: [u64; VECTOR],
    pub(crate) dst6_lo: [u64; VECTOR],
    /// Next-hop group of the route.
    pub(crate) leaf: [u32; VECTOR],
    /// Adjacency.
    pub(crate) adjacency: [u32; VECTOR],
    /// First matches of each [`Feature`](crate::acl::Feature).
    pub(crate) class: [[u32; VECTOR]; 4],
    /// Routing tables of packets that policy has redirected.
    pub(crate) redirect: [TableId; VECTOR],
    /// Internal classes of service.
    pub(crate) cos: [u8; VECTOR],
    /// QoS groups and discard classes.
    pub(crate) marks: [(u16, u8); VECTOR],
    /// Offset of the payload behind the network header, protocol, and the like.
    pub(crate) cold: [Cold; VECTOR],
    pub(crate) end: [End; VECTOR],
    /// Types of what leaves for the slow path (from `lpts` on).
    pub(crate) flow: [FlowType; VECTOR],
    /// Packets that are still walking.
    pub(crate) live: PacketMask,
    /// IPv4 packets (from `l3-parse` on).
    pub(crate) ipv4: PacketMask,
    /// IPv6 packets (from `l3-parse` on).
    pub(crate) ipv6: PacketMask,
    /// IPv6 packets with extension headers, whose [`Cold`] fields say what is behind them.
    pub(crate) extended: PacketMask,
    /// Packets with a link-local address, which may not pass the router.
    pub(crate) link_scope: PacketMask,
    /// Packets whose TTL or hop limit is at most 1.
    pub(crate) ttl_expiring: PacketMask,
    /// Packets for which `egress-fast` has done what the rows of [`Span::Rewrite`] do, and those
    /// of them for which there is nothing to do in [`Span::Egress`].
    pub(crate) rewritten: PacketMask,
    pub(crate) complete: PacketMask,
    /// Packets that are for this router whatever the routes say: to local groups and link-local
    /// addresses, and ARP. Those are no IP packets.
    pub(crate) local: PacketMask,
    /// Packets whose options this router must look at before they are forwarded.
    pub(crate) attention: PacketMask,
    /// Packets that are for this router (from `next-hop` on).
    pub(crate) for_us: PacketMask,
    /// Packets whose first matches are known ([`Vector::class`]), by direction.
    pub(crate) classified: [PacketMask; 2],
    /// Packets that a rule wants captured.
    pub(crate) captured: PacketMask,
    /// Packets that ESP has been taken out of in this walk.
    pub(crate) opened: PacketMask,
    /// Packets that are routed in the table [`Vector::redirect`] names.
    pub(crate) redirected: PacketMask,
    /// Packets whose `cos` is their internal class of service.
    pub(crate) gleaned: PacketMask,
    /// Packets whose `marks` have been set.
    pub(crate) marked: PacketMask,
    /// Slots whose walk has ended.
    pub(crate) dropped: PacketMask,
    pub(crate) punted: PacketMask,
    /// Those of the dropped whose source is to be told.
    pub(crate) reported: PacketMask,
    pub(crate) consumed: PacketMask,
    pub(crate) sent: PacketMask,
    /// Packets that begin another walk, where the last of them comes in, and whether others come in
    /// elsewhere: only then it is noted for each.
    pub(crate) recirculated: PacketMask,
    pub(crate) together: (UidbIndex, TableId),
    pub(crate) scattered: bool,
    pub(crate) comes_in: [(UidbIndex, TableId); VECTOR],
    /// Rows that are on for the input interfaces.
    pub(crate) gates_in: Gates,
    /// Rows that are on for the output interfaces.
    pub(crate) gates_out: Gates,
    pub(crate) source: Source,
    /// Where all packets go instead of to their destination: they have been routed once already.
    pub(crate) via: Option<IpAddr>,
    /// Where packets came from that the slow path has put together.
    pub(crate) origin: Option<Origin>,
    /// The interface whose SA must protect the packets, or they do not leave: they tell of packets
    /// that it has opened.
    pub(crate) within: Option<UidbIndex>,
    pub(crate) now: Nanos,
    /// Walks that its packets have begun anew.
    pub(crate) walks: u8,
    /// Packets that steps hold, of all vectors of this lcore.
    pub(crate) held: usize,
    /// Bytes of all frames as they came.
    pub(crate) bytes: u64,
}

impl Vector {
    /// An empty vector for buffers of `origin`.
    #[must_use]
    pub fn new(origin: hal::pool::Origin) -> Self {
        Self {
            burst: Burst::new(origin),
            live: PacketMask::EMPTY,
            ipv4: PacketMask::EMPTY,
            ipv6: PacketMask::EMPTY,
            extended: PacketMask::EMPTY,
            link_scope: PacketMask::EMPTY,
            ttl_expiring: PacketMask::EMPTY,
            rewritten: PacketMask::EMPTY,
            complete: PacketMask::EMPTY,
            local: PacketMask::EMPTY,
            attention: PacketMask::EMPTY,
            for_us: PacketMask::EMPTY,
            classified: [PacketMask::EMPTY; 2],
            captured: PacketMask::EMPTY,
            opened: PacketMask::EMPTY,
            redirected: PacketMask::EMPTY,
            gleaned: PacketMask::EMPTY,
            marked: PacketMask::EMPTY,
            dropped: PacketMask::EMPTY,
            punted: PacketMask::EMPTY,
            reported: PacketMask::EMPTY,
            consumed: PacketMask::EMPTY,
            sent: PacketMask::EMPTY,
            recirculated: PacketMask::EMPTY,
            together: (UidbIndex::NONE, TableId::GLOBAL),
            scattered: false,
            comes_in: [(UidbIndex::NONE, TableId::GLOBAL); VECTOR],
            input: [UidbIndex::NONE; VECTOR],
            output: [UidbIndex::NONE; VECTOR],
            ip_len: [0; VECTOR],
            l3_offset: [0; VECTOR],
            src4: [0; VECTOR],
            dst4: [0; VECTOR],
            next_ttl: [0; VECTOR],
            dst6_hi: [0; VECTOR],
            dst6_lo: [0; VECTOR],
            leaf: [0; VECTOR],
            adjacency: [0; VECTOR],
            class: [[u32::MAX; VECTOR]; 4],
            redirect: [TableId::GLOBAL; VECTOR],
            cos: [0; VECTOR],
            marks: [(0, 0); VECTOR],
            cold: [Cold::default(); VECTOR],
            end: [End::Walking; VECTOR],
            flow: [FlowType::Feature; VECTOR],
            gates_in: Gates::NONE,
            gates_out: Gates::NONE,
            source: Source::Internal { uidb: UidbIndex::NONE, table: TableId::GLOBAL },
            via: None,
            origin: None,
            within: None,
            now: Nanos::ZERO,
            walks: 0,
            held: 0,
            bytes: 0,
        }
    }

    /// Starts the walk of what the burst holds: all of it lives, nothing is known about it.
    #[inline]
    pub fn begin(&mut self, source: Source, now: Nanos) {
        self.live = self.burst.owned();
        self.ipv4 = PacketMask::EMPTY;
        self.ipv6 = PacketMask::EMPTY;
        self.extended = PacketMask::EMPTY;
        self.link_scope = PacketMask::EMPTY;
        self.ttl_expiring = PacketMask::EMPTY;
        self.rewritten = PacketMask::EMPTY;
        self.complete = PacketMask::EMPTY;
        self.local = PacketMask::EMPTY;
        self.attention = PacketMask::EMPTY;
        self.for_us = PacketMask::EMPTY;
        self.classified = [PacketMask::EMPTY; 2];
        self.captured = PacketMask::EMPTY;
        self.opened = PacketMask::EMPTY;
        self.redirected = PacketMask::EMPTY;
        self.gleaned = PacketMask::EMPTY;
        self.marked = PacketMask::EMPTY;
        self.dropped = PacketMask::EMPTY;
        self.punted = PacketMask::EMPTY;
        self.reported = PacketMask::EMPTY;
        self.consumed = PacketMask::EMPTY;
        self.sent = PacketMask::EMPTY;
        self.recirculated = PacketMask::EMPTY;
        self.scattered = false;
        self.gates_in = Gates::NONE;
        self.gates_out = Gates::NONE;
        self.source = source;
        self.via = None;
        self.origin = None;
        self.within = None;
        self.now = now;
        self.bytes = simd::sum(self.burst.lens(), self.live);
    }

    /// Packets that are still walking.
    #[inline]
    #[must_use]
    pub fn live(&self) -> PacketMask {
        self.live
    }

    /// Packets that a row of `span` has still to look at.
    #[inline]
    pub(crate) fn walking(&self, span: Span) -> PacketMask {
        match span {
            Span::Open => self.live,
            Span::Rewrite => self.live - self.rewritten,
            Span::Egress => self.live - self.complete,
            Span::Leaving => self.leaving(),
        }
    }

    /// When the vector was received.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Where the vector came from.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// True when all packets are routed in the global table (from `if-classify` on).
    #[inline]
    #[must_use]
    pub(crate) fn is_global(&self) -> bool {
        self.gates_in.any & Uidb::VRF == 0
            && self.redirected.is_empty()
            && !matches!(self.source, Source::Internal { table: TableId(1..), .. })
    }

    /// The table that the packet in `slot` is routed in (from `if-classify` on).
    #[inline]
    #[must_use]
    pub(crate) fn table(&self, uidbs: UidbTable<'_>, slot: usize) -> TableId {
        if self.redirected.contains(slot) {
            return self.redirect[slot & 63];
        }
        self.own_table(uidbs, slot)
    }

    /// The table of the interface that the packet in `slot` came in through.
    #[inline]
    #[must_use]
    pub(crate) fn own_table(&self, uidbs: UidbTable<'_>, slot: usize) -> TableId {
        match self.source {
            Source::Internal { table, .. } => table,
            Source::Port(_) => uidbs.get(self.input[slot & 63]).routing_table(),
        }
    }

    /// Input interface of the packet in `slot`.
    #[inline]
    #[must_use]
    pub fn input(&self, slot: usize) -> UidbIndex {
        self.input[slot & 63]
    }

    /// Output interface; [`UidbIndex::NONE`] before the forwarding lookup.
    #[inline]
    #[must_use]
    pub fn output(&self, slot: usize) -> UidbIndex {
        self.output[slot & 63]
    }

    /// What the packet's network header is.
    #[inline]
    #[must_use]
    pub fn l3(&self, slot: usize) -> L3 {
        if self.ipv4.contains(slot) {
            L3::Ipv4
        } else if self.ipv6.contains(slot) {
            L3::Ipv6
        } else {
            L3::Other
        }
    }

    /// The packet from its network header on; empty when there is none.
    #[inline]
    #[must_use]
    pub fn network(&self, slot: usize) -> &[u8] {
        self.burst.frame(slot).get(usize::from(self.l3_offset[slot & 63])..).unwrap_or(&[])
    }

    /// The packet from its network header on, writable; empty when there is none.
    #[inline]
    #[must_use]
    pub fn network_mut(&mut self, slot: usize) -> &mut [u8] {
        let offset = usize::from(self.l3_offset[slot & 63]);
        self.burst.frame_mut(slot).get_mut(offset..).unwrap_or(&mut [])
    }

    /// IPv4 destination, host byte order; meaningful for IPv4 packets only.
    #[inline]
    #[must_use]
    pub fn dst4(&self, slot: usize) -> u32 {
        self.dst4[slot & 63]
    }

    /// IPv4 source, host byte order; meaningful for IPv4 packets only.
    #[inline]
    #[must_use]
    pub fn src4(&self, slot: usize) -> u32 {
        self.src4[slot & 63]
    }

    /// Length of the IP packet, bytes, without link layer and padding.
    #[inline]
    #[must_use]
    pub fn ip_len(&self, slot: usize) -> u16 {
        self.ip_len[slot & 63]
    }

    /// What only some packets need.
    #[inline]
    #[must_use]
    pub fn cold(&self, slot: usize) -> &Cold {
        &self.cold[slot & 63]
    }

    /// Ends the packet's walk: it is dropped and counted under `reason`.
    #[inline]
    pub fn drop(&mut self, slot: usize, reason: DropReason) {
        if self.live.contains(slot) {
            self.live.remove(slot);
            self.dropped.insert(slot);
            if reason.is_reported() {
                self.reported.insert(slot);
            }
            self.end[slot & 63] = End::Drop(reason);
        }
    }

    /// Does not let a packet through that another row has sent to the slow path: a punted one is
    /// dropped and counted under `reason`, of a dropped one nobody is told.
    #[inline]
    pub fn refuse(&mut self, slot: usize, reason: DropReason) {
        self.reported.remove(slot);
        if self.punted.contains(slot) {
            self.punted.remove(slot);
            self.dropped.insert(slot);
            self.end[slot & 63] = End::Drop(reason);
        }
    }

    /// What has left its walk for the slow path: punted packets, and dropped ones whose source is
    /// to be told.
    #[inline]
    #[must_use]
    pub fn leaving(&self) -> PacketMask {
        self.punted | self.reported
    }

    /// True for a packet that came out of ESP: in this walk, or before it came in through a tunnel.
    #[inline]
    #[must_use]
    pub fn was_opened(&self, slot: usize) -> bool {
        let inside = matches!(self.source, Source::Internal { uidb, .. }
            if uidb >= UidbIndex::FIRST_CONFIGURED);
        inside || self.opened.contains(slot) || self.origin.is_some_and(|origin| origin.opened)
    }

    /// Ends the packet's walk: it goes to the slow path, counted under `cause`.
    #[inline]
    pub fn punt(&mut self, slot: usize, cause: PuntCause) {
        if self.live.contains(slot) {
            self.live.remove(slot);
            self.punted.insert(slot);
            self.end[slot & 63] = End::Punt(cause);
        }
    }

    /// Ends the packet's walk: the caller takes it over. `None` when it was not walking any more.
    #[inline]
    pub fn consume(&mut self, slot: usize) -> Option<Packet> {
        if !self.live.contains(slot) {
            return None;
        }
        self.live.remove(slot);
        self.consumed.insert(slot);
        self.end[slot & 63] = End::Consumed;
        self.burst.take(slot)
    }

    /// Takes the packet out of the vector for a while: it is counted when its next walk ends.
    /// `None` when it was not walking any more. For steps that give it back
    /// ([`Step::resume`](crate::step::Step::resume)).
    #[inline]
    pub fn hold(&mut self, slot: usize) -> Option<Packet> {
        if !self.live.contains(slot) {
            return None;
        }
        self.live.remove(slot);
        let packet = self.burst.take(slot);
        self.held += usize::from(packet.is_some());
        packet
    }

    /// Walks that the packets have begun anew. A step that holds packets keeps it with them.
    #[inline]
    #[must_use]
    pub const fn walks(&self) -> u8 {
        self.walks
    }

    /// Says how many walks the packets have begun anew.
    #[inline]
    pub const fn set_walks(&mut self, walks: u8) {
        self.walks = walks;
    }

    /// Ends this walk of the packet: it begins another one, as a packet that comes in through
    /// `uidb` and is routed in `table`. Its frame is an Ethernet header of 14 bytes, without
    /// addresses, and an IP packet.
    #[inline]
    pub fn recirculate(&mut self, slot: usize, uidb: UidbIndex, table: TableId) {
        self.recirculate_all(PacketMask::only(slot), uidb, table);
    }

    /// As [`recirculate`](Self::recirculate), for every packet of `select`. Best called once: then
    /// all of them keep their place in the vector.
    #[inline]
    pub fn recirculate_all(&mut self, select: PacketMask, uidb: UidbIndex, table: TableId) {
        let select = select & self.live;
        if select.is_empty() {
            return;
        }
        self.live -= select;
        let comes_in = (uidb, table);
        if !self.recirculated.is_empty() && self.together != comes_in && !self.scattered {
            self.scattered = true;
            self.note_comes_in(self.recirculated, self.together);
        }
        self.together = comes_in;
        if self.scattered {
            self.note_comes_in(select, comes_in);
        }
        self.recirculated |= select;
    }

    #[cold]
    fn note_comes_in(&mut self, select: PacketMask, comes_in: (UidbIndex, TableId)) {
        for slot in select {
            self.comes_in[slot & 63] = comes_in;
        }
    }

    /// Drops the packets of `select`, which do not walk any more, behind their last row.
    #[cold]
    pub(crate) fn end_all(&mut self, select: PacketMask, reason: DropReason) {
        self.recirculated -= select;
        self.dropped |= select;
        for slot in select {
            self.end[slot & 63] = End::Drop(reason);
        }
    }

    /// Drops every packet of `select` under one reason.
    #[inline]
    pub fn drop_all(&mut self, select: PacketMask, reason: DropReason) {
        for slot in select & self.live {
            self.drop(slot, reason);
        }
    }

    /// Punts every packet of `select` for one cause.
    #[inline]
    pub fn punt_all(&mut self, select: PacketMask, cause: PuntCause) {
        for slot in select & self.live {
            self.punt(slot, cause);
        }
    }
}
