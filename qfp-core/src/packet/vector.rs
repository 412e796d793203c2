//! The vector: up to 64 packets, one array a field, and which of them are still walking.

use hal::{Burst, Packet, PacketMask, VECTOR};
use pal::clock::Nanos;

use super::classes::Classes;
use super::ends::{End, Ends};
use super::headers::Headers;
use super::known::Known;
use super::route::Route;
use super::walk::{Source, Walk};
use crate::packet::{Cold, DropReason, L3, PuntCause};
use crate::simd;
use crate::uidb::{TableId, Uidb, UidbIndex, UidbTable};

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

/// Up to 64 packets on their way through the feature invocation array.
///
/// Hot fields are arrays, written by one row and read by the next, each on cache lines of its own;
/// what only some packets need is in one [`Cold`] struct a packet. A slot's fields mean something
/// only after the row that fills them: lengths and sources at receive, interfaces at `if-classify`,
/// network headers at `l3-parse`, adjacencies at the forwarding lookup.
#[repr(C, align(64))]
pub struct Vector {
    /// The frames.
    pub(crate) burst: Burst,
    /// Interfaces, and where packets are routed.
    pub(crate) route: Route,
    /// What is read of network headers.
    pub(crate) l3: Headers,
    /// What packets have matched, and the marks that this leads to.
    pub(crate) classes: Classes,
    /// Offset of the payload behind the network header, protocol, and the like.
    pub(crate) cold: [Cold; VECTOR],
    /// Packets that are still walking.
    pub(crate) live: PacketMask,
    /// What is known of packets.
    pub(crate) is: Known,
    /// What has become of those that do not walk any more.
    pub(crate) ends: Ends,
    /// What is the same for all of them.
    pub(crate) walk: Walk,
    /// Walks that its packets have begun anew.
    pub(crate) walks: u8,
    /// Packets that steps hold, of all vectors of this lcore.
    pub(crate) held: usize,
}

impl Vector {
    /// An empty vector for buffers of `origin`.
    #[must_use]
    pub fn new(origin: hal::pool::Origin) -> Self {
        Self {
            burst: Burst::new(origin),
            route: Route::default(),
            l3: Headers::default(),
            classes: Classes::default(),
            cold: [Cold::default(); VECTOR],
            live: PacketMask::EMPTY,
            is: Known::default(),
            ends: Ends::default(),
            walk: Walk::default(),
            walks: 0,
            held: 0,
        }
    }

    /// Starts the walk of what the burst holds: all of it lives, nothing is known about it.
    #[inline]
    pub fn begin(&mut self, source: Source, now: Nanos) {
        self.live = self.burst.owned();
        self.is = Known::default();
        self.ends.begin();
        let bytes = simd::sum(self.burst.lens(), self.live);
        self.walk = Walk { source, now, bytes, ..Walk::default() };
    }

    /// The frame in `slot`; empty when there is none.
    #[inline]
    #[must_use]
    pub fn frame(&self, slot: usize) -> &[u8] {
        self.burst.frame(slot)
    }

    /// The frame in `slot`, writable.
    #[inline]
    #[must_use]
    pub fn frame_mut(&mut self, slot: usize) -> &mut [u8] {
        self.burst.frame_mut(slot)
    }

    /// As [`Burst::move_start`].
    pub fn move_start(&mut self, slot: usize, by: isize) -> bool {
        self.burst.move_start(slot, by)
    }

    /// As [`Burst::narrow`].
    pub fn narrow(&mut self, slot: usize, start: usize, len: usize) -> bool {
        self.burst.narrow(slot, start, len)
    }

    /// As [`Burst::truncate`].
    pub fn truncate(&mut self, slot: usize, len: usize) {
        self.burst.truncate(slot, len);
    }

    /// As [`Burst::extend`].
    pub fn extend(&mut self, slot: usize, by: usize) -> bool {
        self.burst.extend(slot, by)
    }

    /// Puts a packet that was held into the vector, which is to begin ([`Vector::begin`]).
    ///
    /// # Errors
    /// There is no room, or it comes from other buffers: it is given back.
    pub fn put(&mut self, packet: Packet) -> Result<usize, Packet> {
        self.burst.push(packet)
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
            Span::Rewrite => self.live - self.is.rewritten,
            Span::Egress => self.live - self.is.complete,
            Span::Leaving => self.leaving(),
        }
    }

    /// When the vector was received.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.walk.now
    }

    /// Where the vector came from.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Source {
        self.walk.source
    }

    /// True when all packets are routed in the global table (from `if-classify` on).
    #[inline]
    #[must_use]
    pub(crate) fn is_global(&self) -> bool {
        self.walk.gates_in.any & Uidb::VRF == 0
            && self.is.redirected.is_empty()
            && !matches!(self.walk.source, Source::Internal { table: TableId(1..), .. })
    }

    /// The table that the packet in `slot` is routed in (from `if-classify` on).
    #[inline]
    #[must_use]
    pub(crate) fn table(&self, uidbs: UidbTable<'_>, slot: usize) -> TableId {
        if self.is.redirected.contains(slot) {
            return self.route.redirect[slot & 63];
        }
        self.own_table(uidbs, slot)
    }

    /// The table of the interface that the packet in `slot` came in through.
    #[inline]
    #[must_use]
    pub(crate) fn own_table(&self, uidbs: UidbTable<'_>, slot: usize) -> TableId {
        match self.walk.source {
            Source::Internal { table, .. } => table,
            Source::Port(_) => uidbs.get(self.route.input[slot & 63]).routing_table(),
        }
    }

    /// Input interface of the packet in `slot`.
    #[inline]
    #[must_use]
    pub fn input(&self, slot: usize) -> UidbIndex {
        self.route.input[slot & 63]
    }

    /// Output interface; [`UidbIndex::NONE`] before the forwarding lookup.
    #[inline]
    #[must_use]
    pub fn output(&self, slot: usize) -> UidbIndex {
        self.route.output[slot & 63]
    }

    /// What the packet's network header is.
    #[inline]
    #[must_use]
    pub fn l3(&self, slot: usize) -> L3 {
        if self.is.ipv4.contains(slot) {
            L3::Ipv4
        } else if self.is.ipv6.contains(slot) {
            L3::Ipv6
        } else {
            L3::Other
        }
    }

    /// The packet from its network header on; empty when there is none.
    #[inline]
    #[must_use]
    pub fn network(&self, slot: usize) -> &[u8] {
        self.burst.frame(slot).get(usize::from(self.l3.offset[slot & 63])..).unwrap_or(&[])
    }

    /// The packet from its network header on, writable; empty when there is none.
    #[inline]
    #[must_use]
    pub fn network_mut(&mut self, slot: usize) -> &mut [u8] {
        let offset = usize::from(self.l3.offset[slot & 63]);
        self.burst.frame_mut(slot).get_mut(offset..).unwrap_or(&mut [])
    }

    /// IPv4 destination, host byte order; meaningful for IPv4 packets only.
    #[inline]
    #[must_use]
    pub fn dst4(&self, slot: usize) -> u32 {
        self.l3.dst4[slot & 63]
    }

    /// IPv4 source, host byte order; meaningful for IPv4 packets only.
    #[inline]
    #[must_use]
    pub fn src4(&self, slot: usize) -> u32 {
        self.l3.src4[slot & 63]
    }

    /// Length of the IP packet, bytes, without link layer and padding.
    #[inline]
    #[must_use]
    pub fn ip_len(&self, slot: usize) -> u16 {
        self.l3.ip_len[slot & 63]
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
            self.ends.dropped.insert(slot);
            if reason.is_reported() {
                self.ends.reported.insert(slot);
            }
            self.ends.end[slot & 63] = End::Drop(reason);
        }
    }

    /// Does not let a packet through that another row has sent to the slow path: a punted one is
    /// dropped and counted under `reason`, of a dropped one nobody is told.
    #[inline]
    pub fn refuse(&mut self, slot: usize, reason: DropReason) {
        self.ends.reported.remove(slot);
        if self.ends.punted.contains(slot) {
            self.ends.punted.remove(slot);
            self.ends.dropped.insert(slot);
            self.ends.end[slot & 63] = End::Drop(reason);
        }
    }

    /// What has left its walk for the slow path: punted packets, and dropped ones whose source is
    /// to be told.
    #[inline]
    #[must_use]
    pub fn leaving(&self) -> PacketMask {
        self.ends.punted | self.ends.reported
    }

    /// True for a packet that came out of ESP: in this walk, or before it came in through a tunnel.
    #[inline]
    #[must_use]
    pub fn was_opened(&self, slot: usize) -> bool {
        let inside = matches!(self.walk.source, Source::Internal { uidb, .. }
            if uidb >= UidbIndex::FIRST_CONFIGURED);
        inside
            || self.is.opened.contains(slot)
            || self.walk.origin.is_some_and(|origin| origin.opened)
    }

    /// Ends the packet's walk: it goes to the slow path, counted under `cause`.
    #[inline]
    pub fn punt(&mut self, slot: usize, cause: PuntCause) {
        if self.live.contains(slot) {
            self.live.remove(slot);
            self.ends.punted.insert(slot);
            self.ends.end[slot & 63] = End::Punt(cause);
        }
    }

    /// Ends the packet's walk: the caller takes it over. `None` when it was not walking any more.
    #[inline]
    pub fn consume(&mut self, slot: usize) -> Option<Packet> {
        if !self.live.contains(slot) {
            return None;
        }
        self.live.remove(slot);
        self.ends.consumed.insert(slot);
        self.ends.end[slot & 63] = End::Consumed;
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
        if !self.ends.recirculated.is_empty()
            && self.ends.together != comes_in
            && !self.ends.scattered
        {
            self.ends.scattered = true;
            self.note_comes_in(self.ends.recirculated, self.ends.together);
        }
        self.ends.together = comes_in;
        if self.ends.scattered {
            self.note_comes_in(select, comes_in);
        }
        self.ends.recirculated |= select;
    }

    #[cold]
    fn note_comes_in(&mut self, select: PacketMask, comes_in: (UidbIndex, TableId)) {
        for slot in select {
            self.ends.comes_in[slot & 63] = comes_in;
        }
    }

    /// Drops the packets of `select`, which do not walk any more, behind their last row.
    #[cold]
    pub(crate) fn end_all(&mut self, select: PacketMask, reason: DropReason) {
        self.ends.recirculated -= select;
        self.ends.dropped |= select;
        for slot in select {
            self.ends.end[slot & 63] = End::Drop(reason);
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
