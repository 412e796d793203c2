//! Row `egress-fast`: what the rows from `ttl` to `mtu` do, at once, for packets that need nothing
//! in between.
//!
//! A packet is taken only if its TTL lasts, it is not for us, no option asks for attention, its
//! rewrite is known, no egress feature looks at it and it fits the MTU. With egress features it is
//! taken to the end of `l2-rewrite` and meets the rows from there on. All others are left to the
//! rows, whose own words do the work here, or a kernel that a property test holds equal to them.

use hal::PacketMask;

use super::stage::{decrement, put_header};
use crate::adjacency::{AdjacencyKind, AdjacencyState, AdjacencyTables};
use crate::packet::Vector;
use crate::simd::{each_interface, equal_bytes, longer};
use crate::step::{Lcore, Step};
use crate::uidb::{Uidb, UidbTable};

/// Features that are not this router's own and stand between `ttl` and `l2-rewrite`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interposed {
    /// Those of input interfaces: vectors that meet one are left to the rows.
    pub ingress: u64,
    /// Whether there are some of output interfaces: packets with any egress feature are left.
    pub egress: bool,
}

/// Row `egress-fast`.
#[derive(Debug)]
pub struct EgressFast(Interposed);

impl EgressFast {
    /// A step for one lcore.
    #[must_use]
    pub const fn new(interposed: Interposed) -> Self {
        Self(interposed)
    }

    /// What may be taken of a vector; none if it must be left to the rows.
    #[inline]
    fn kinds(&self, vector: &Vector) -> Option<Kinds> {
        let gates = vector.walk.gates_in;
        let some_ttl = (gates.any & !gates.all) & Uidb::TTL != 0;
        if vector.walk.within.is_some() || gates.any & self.0.ingress != 0 || some_ttl {
            return None;
        }
        Some(Kinds { ttl: gates.any & Uidb::TTL != 0, featured: !self.0.egress })
    }
}

impl Step for EgressFast {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Some(kinds) = self.kinds(vector) else { return };
        let mut select = select - (vector.is.for_us | vector.is.attention);
        if kinds.ttl {
            select -= vector.is.ttl_expiring;
        }
        let tables = AdjacencyTables::open(&lcore.tables);
        let mut taken = rewrite(&tables, vector, select, kinds);
        for slot in select - (taken.plain | taken.featured) {
            one(&tables, vector, slot, kinds, &mut taken);
        }
        vector.is.rewritten = taken.plain | taken.featured;
        vector.is.complete = taken.plain;
        cut(vector, vector.is.rewritten);
        open_gates(UidbTable::open(&lcore.tables), vector, taken.featured);
    }
}

/// Which packets are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    /// The row `ttl` is on for all of them, or for none.
    pub(super) ttl: bool,
    /// Those with egress features too.
    featured: bool,
}

impl Kinds {
    /// The largest packet that is taken for an adjacency of that state; none if none is. The size
    /// of those with egress features is looked at behind these.
    #[inline]
    pub(super) const fn limit(self, state: AdjacencyState) -> Option<u16> {
        match state.kind {
            AdjacencyKind::Plain => Some(state.mtu),
            AdjacencyKind::Featured if self.featured => Some(u16::MAX),
            _ => None,
        }
    }
}

/// The packets that have been taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// To the point of being sent.
    pub(super) plain: PacketMask,
    /// To the end of `l2-rewrite`.
    pub(super) featured: PacketMask,
}

impl Taken {
    /// Packets of adjacencies of that kind have been taken.
    #[inline]
    pub(super) fn add(&mut self, kind: AdjacencyKind, packets: PacketMask) {
        if kind == AdjacencyKind::Plain {
            self.plain |= packets;
        } else {
            self.featured |= packets;
        }
    }
}

/// One packet that no kernel has taken.
#[inline]
fn one(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    slot: usize,
    kinds: Kinds,
    taken: &mut Taken,
) {
    let i = slot & 63;
    let Some(row) = tables.adjacencies.get(vector.route.adjacency[i] as usize) else { return };
    let state = row.state();
    let fits = kinds.limit(state).is_some_and(|limit| vector.l3.ip_len[i] <= limit);
    if fits && put_header(vector, slot, row, state.rewrite_len) {
        if kinds.ttl {
            decrement(vector, slot);
        }
        vector.impose_cos(PacketMask::only(slot));
        taken.add(state.kind, PacketMask::only(slot));
    }
}

/// Gives the packets of `select` `len` bytes in front of their network headers; returns those whose
/// buffers have room for them, and leaves the others as they are.
#[inline]
pub(super) fn make_room(vector: &mut Vector, select: PacketMask, len: u8) -> PacketMask {
    let mut ready = select & equal_bytes(&vector.l3.offset, len);
    let mut rest = select - ready;
    while let Some(first) = rest.into_iter().next() {
        let offset = vector.l3.offset[first & 63];
        let same = rest & equal_bytes(&vector.l3.offset, offset);
        rest -= same;
        let moved = vector.burst.move_starts(same, isize::from(offset) - isize::from(len));
        for slot in moved {
            vector.l3.offset[slot & 63] = len;
        }
        ready |= moved;
    }
    ready
}

/// Cuts the frames of `select` behind their IP packets (RFC 894): what stands there is padding,
/// and nobody has checked its size. Devices pad again what is too short for their links.
///
/// Ten instructions a vector, and a few for each frame that is cut.
#[inline]
pub(super) fn cut(vector: &mut Vector, select: PacketMask) {
    let frames = vector.burst.lens();
    for slot in select & longer(frames, &vector.l3.offset, &vector.l3.ip_len) {
        let end =
            usize::from(vector.l3.offset[slot & 63]) + usize::from(vector.l3.ip_len[slot & 63]);
        vector.burst.truncate(slot, end);
    }
}

/// Opens the gates of the rows that are on for the output interfaces of `select`.
#[inline]
pub(crate) fn open_gates(uidbs: UidbTable<'_>, vector: &mut Vector, select: PacketMask) {
    let mut gates = vector.walk.gates_out;
    each_interface(&vector.route.output, select, |output, _| {
        gates.open(uidbs.get(output).features_out);
    });
    vector.walk.gates_out = gates;
}

#[cfg(target_arch = "x86_64")]
use super::simd::rewrite;

/// Without a kernel for this machine packets are taken one by one.
#[cfg(not(target_arch = "x86_64"))]
fn rewrite(_: &AdjacencyTables<'_>, _: &mut Vector, _: PacketMask, _: Kinds) -> Taken {
    Taken::default()
}
