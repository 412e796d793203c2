//! Row `urpf`: a packet's source must have a route, too (ING-09, RFC 3704).
//!
//! The full lookup of the destination rows, for sources. Strict asks that a member of the route's
//! group leads back through the input interface; loose that there is a route. Null0 is none, so
//! a discard route drops what comes from its prefix as well as what goes there. The router's own
//! addresses and broadcasts are nobody's source. The default route counts where the interface
//! says so; its leaf tells it from all others.
//!
//! Never looked at: link-local IPv6 sources, which pass no router, and the unspecified address,
//! which is whose who has none yet and may speak to local groups only (DHCP, RFC 4862 5.4).

use hal::{PacketMask, VECTOR};

use super::vrf::ByTable;
use super::{Fib4, Fib6, Isa, Vrf};
use crate::adjacency::{AdjacencyTables, GroupClass, GroupWord};
use crate::packet::{DropReason, Vector};
use crate::simd::same_interface;
use crate::step::{Lcore, Step};
use crate::tables::Tables;
use crate::uidb::{Rpf, RpfMode, UidbIndex, UidbTable};

/// Where it stands in an IPv6 header.
const IPV6_SOURCE: std::ops::Range<usize> = 8..24;

/// Row `urpf`.
#[derive(Debug)]
pub struct Urpf {
    isa: Isa,
    /// What the sources of the vector resolve to.
    leaf: [u32; VECTOR],
    /// IPv6 sources, host byte order, upper and lower half.
    src6_hi: [u64; VECTOR],
    src6_lo: [u64; VECTOR],
}

impl Urpf {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        let none = [0; VECTOR];
        Self { isa: isa.or_lower(), leaf: [0; VECTOR], src6_hi: none, src6_lo: none }
    }

    /// Reads the sources of `select` from their headers.
    fn read_sources6(&mut self, vector: &Vector, select: PacketMask) {
        for slot in select {
            let [hi, lo] = source6(vector, slot);
            self.src6_hi[slot & 63] = hi;
            self.src6_lo[slot & 63] = lo;
        }
    }

    /// Drops the packets of `select`, all of one table, whose source will not do.
    fn judge(&self, tables: &Tables<'_>, vector: &mut Vector, select: PacketMask, about: &About) {
        let uidbs = UidbTable::open(tables);
        let groups = AdjacencyTables::open(tables);
        // Packets of a flow come in a row, and a group may have many members.
        let mut last = (u32::MAX, UidbIndex::NONE, false);
        for slot in select {
            let (leaf, input) = (self.leaf[slot & 63], vector.input(slot));
            if (leaf, input) != (last.0, last.1) {
                let rpf = (about.rpf)(uidbs.get(input).urpf);
                last = (leaf, input, accepts(&groups, rpf, leaf, about.default_leaf, input));
            }
            if !last.2 {
                vector.drop(slot, about.reason);
            }
        }
    }
}

/// What the packets of one family and one table are judged by.
struct About {
    rpf: fn(u8) -> Rpf,
    default_leaf: u32,
    reason: DropReason,
}

impl About {
    fn ipv4(row: Vrf) -> Self {
        Self {
            rpf: |byte| Rpf::unpack(byte).0,
            default_leaf: row.default4.into(),
            reason: DropReason::Ipv4UnicastRpf,
        }
    }

    fn ipv6(row: Vrf) -> Self {
        Self {
            rpf: |byte| Rpf::unpack(byte).1,
            default_leaf: row.default6.into(),
            reason: DropReason::Ipv6UnicastRpf,
        }
    }
}

impl Step for Urpf {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let tables = &lcore.tables;
        let (ipv4, ipv6) = checked(tables, vector, select);
        let nameless4 = |slot: &usize| vector.l3.src4[slot & 63] == 0;
        let ipv4 = ipv4 - only(ipv4 & vector.is.local, nameless4);
        for (table, same) in ByTable::new(tables, vector, ipv4) {
            Fib4::of(tables, table, self.isa).look_up(&vector.l3.src4, same, &mut self.leaf);
            self.judge(tables, vector, same, &About::ipv4(Vrf::of(tables, table)));
        }
        self.read_sources6(vector, ipv6);
        let nameless6 = |slot: &usize| (self.src6_hi[slot & 63] | self.src6_lo[slot & 63]) == 0;
        let ipv6 = ipv6 - only(ipv6 & vector.is.local, nameless6);
        for (table, same) in ByTable::new(tables, vector, ipv6) {
            let fib = Fib6::of(tables, table, self.isa);
            fib.look_up(&self.src6_hi, &self.src6_lo, same, &mut self.leaf);
            self.judge(tables, vector, same, &About::ipv6(Vrf::of(tables, table)));
        }
    }
}

/// The slots of `select` that `is` is true of.
fn only(select: PacketMask, is: impl Fn(&usize) -> bool) -> PacketMask {
    select.into_iter().filter(is).fold(PacketMask::EMPTY, |all, slot| all | PacketMask::only(slot))
}

/// The IPv4 and the IPv6 packets of `select` whose interface checks their family.
fn checked(tables: &Tables<'_>, vector: &Vector, select: PacketMask) -> (PacketMask, PacketMask) {
    let uidbs = UidbTable::open(tables);
    let (mut ipv4, mut ipv6) = (PacketMask::EMPTY, PacketMask::EMPTY);
    let mut rest = select;
    while let Some(slot) = rest.into_iter().next() {
        let input = vector.input(slot);
        let same = rest & same_interface(&vector.route.input, input);
        rest -= same;
        let (rpf4, rpf6) = Rpf::unpack(uidbs.get(input).urpf);
        if rpf4.mode != RpfMode::Off {
            ipv4 |= same & vector.is.ipv4;
        }
        if rpf6.mode != RpfMode::Off {
            ipv6 |= (same & vector.is.ipv6) - vector.is.link_scope;
        }
    }
    (ipv4, ipv6)
}

/// The halves of the IPv6 source in the header, host byte order.
fn source6(vector: &Vector, slot: usize) -> [u64; 2] {
    match vector.network(slot).get(IPV6_SOURCE).unwrap_or(&[]).as_chunks::<8>().0 {
        [hi, lo] => [u64::from_be_bytes(*hi), u64::from_be_bytes(*lo)],
        _ => [0; 2],
    }
}

/// Tells whether a source whose route has `leaf` may come in through `input`.
fn accepts(
    groups: &AdjacencyTables<'_>,
    rpf: Rpf,
    leaf: u32,
    default_leaf: u32,
    input: UidbIndex,
) -> bool {
    let group = groups.group(leaf);
    if group.places == 0 || group.class != GroupClass::Forward {
        return false;
    }
    if leaf == default_leaf && !rpf.allow_default {
        return false;
    }
    rpf.mode != RpfMode::Strict || leads_through(groups, group, input)
}

/// Tells whether a member of `group` leaves through `input`. O(places) until one is found.
fn leads_through(groups: &AdjacencyTables<'_>, group: GroupWord, input: UidbIndex) -> bool {
    if group.places == 1 {
        return group.output == input;
    }
    groups.members(group).any(|member| {
        groups.adjacencies.get(member as usize).is_some_and(|row| row.output() == input)
    })
}

#[cfg(test)]
mod tests;
