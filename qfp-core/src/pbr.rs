//! Policy-based routing and flow specifications: rows `pbr-classify-in` and `pbr-act-in` (ING-06).
//!
//! Both kinds of policy are rules of the same lookup. What a rule does to a packet's key (its DSCP)
//! or to its routing table happens at once, so that service policies and the forwarding lookup see
//! it; where it sends the packet is decided behind the forwarding lookup. A packet that an access
//! list denies is left alone: the denial takes effect later and wins.

use hal::PacketMask;

use crate::acl::{AclResult, Classify, Feature, NO_MATCH};
use crate::adjacency::{AdjacencyTables, GroupClass};
use crate::fib::{Fib4, Fib6, Vrf};
use crate::isa::Isa;
use crate::packet::{DropReason, Vector};
use crate::step::{Lcore, Step};
use crate::tables::{Tables, table_kind};
use crate::uidb::{Direction, TableId, UidbTable};

/// Next hops of a rule, in order of preference.
pub const NEXT_HOPS: usize = 4;

pal::plain_struct! {
    /// What a rule does. All zeroes does nothing.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PbrAction {
        /// Next hops of IPv6 packets; 0 for none.
        pub next_hop6: [u128; NEXT_HOPS],
        /// Next hops of IPv6 packets that have no route but the default route.
        pub default6: [u128; NEXT_HOPS],
        /// Next hops of IPv4 packets, host byte order; 0 for none.
        pub next_hop4: [u32; NEXT_HOPS],
        /// Next hops of IPv4 packets that have no route but the default route.
        pub default4: [u32; NEXT_HOPS],
        /// [`PbrAction::DROP`] and the others.
        pub flags: u32,
        /// Number of the rule's counters.
        pub rule: u32,
        /// Routing table, with [`PbrAction::TABLE`].
        pub table: u16,
        /// Bits of the byte of DSCP and ECN that the packet gets, where the mask is set.
        pub class: u8,
        /// Which bits.
        pub class_mask: u8,
        /// Keeps the size a multiple of 16.
        pub reserved: [u8; 4],
    }
}

impl PbrAction {
    /// The packet is dropped, unless it has a next hop.
    pub const DROP: u32 = 1 << 0;
    /// Of a flow specification: a drop is counted as such.
    pub const FLOWSPEC: u32 = 1 << 1;
    /// The packet is routed in [`PbrAction::table`].
    pub const TABLE: u32 = 1 << 2;
}

/// Row `pbr-classify-in`.
pub struct PbrClassify(Classify);

impl PbrClassify {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self(Classify::new(Direction::In, isa))
    }
}

impl Step for PbrClassify {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        self.0.process(lcore, vector, select);
        let mut remarked = PacketMask::EMPTY;
        for slot in select {
            let Some(action) = action(&lcore.tables, vector, slot) else { continue };
            lcore.counters.rule(action.rule, u64::from(vector.burst.lens()[slot & 63]));
            if action.flags & PbrAction::TABLE != 0 && !vector.is.local.contains(slot) {
                vector.redirect(slot, TableId(action.table));
            }
            if action.class_mask != 0 {
                vector.set_traffic_class(slot, action.class, action.class_mask);
                remarked.insert(slot);
            }
        }
        if !remarked.is_empty() {
            self.0.again(lcore, vector, remarked, Feature::Qos);
        }
    }
}

/// Row `pbr-act-in`, behind the forwarding lookup.
#[derive(Debug)]
pub struct PbrAct {
    isa: Isa,
}

impl PbrAct {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa: isa.or_lower() }
    }
}

impl Step for PbrAct {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        for slot in select {
            let Some(action) = action(&lcore.tables, vector, slot) else { continue };
            self.route(&lcore.tables, vector, slot, &action);
        }
    }
}

impl PbrAct {
    /// Sends a packet to the first next hop that there is a route to, or nowhere, or to the first
    /// default next hop in place of the default route. A forwarding lookup for each next hop.
    fn route(&self, tables: &Tables<'_>, vector: &mut Vector, slot: usize, action: &PbrAction) {
        let i = slot & 63;
        let leaf = vector.route.leaf[i];
        let for_us = vector.is.local.contains(slot)
            || AdjacencyTables::open(tables).group(leaf).class == GroupClass::Receive;
        let table = vector.table(UidbTable::open(tables), slot);
        if !for_us
            && self.towards(tables, table, vector, slot, &action.next_hop4, &action.next_hop6)
        {
            return;
        }
        if action.flags & PbrAction::DROP != 0 {
            let flowspec = action.flags & PbrAction::FLOWSPEC != 0;
            let reason = if flowspec { DropReason::Flowspec } else { DropReason::PbrNull0 };
            // A route map is about where packets go; what is for us goes nowhere. A flow
            // specification is about packets.
            if flowspec || !for_us {
                vector.drop(slot, reason);
            }
            return;
        }
        if for_us {
            return;
        }
        let vrf = Vrf::of(tables, table);
        let default = if vector.is.ipv4.contains(slot) { vrf.default4 } else { vrf.default6 };
        if leaf == 0 || leaf == u32::from(default) {
            self.towards(tables, table, vector, slot, &action.default4, &action.default6);
        }
    }

    /// Sends a packet to the first of `four` or `six` that there is a route to; false if there is
    /// none.
    fn towards(
        &self,
        tables: &Tables<'_>,
        table: TableId,
        vector: &mut Vector,
        slot: usize,
        four: &[u32; NEXT_HOPS],
        six: &[u128; NEXT_HOPS],
    ) -> bool {
        let i = slot & 63;
        // Should a next hop's MAC address be unknown, it is the one to be asked for: it takes the
        // place of the destination for the rows to come, not in the packet.
        if vector.is.ipv4.contains(slot) {
            for next_hop in four.iter().take_while(|hop| **hop != 0) {
                let leaf = Fib4::of(tables, table, self.isa).leaf(*next_hop);
                if leaf != 0 {
                    (vector.route.leaf[i], vector.l3.dst4[i]) = (leaf, *next_hop);
                    return true;
                }
            }
        } else if vector.is.ipv6.contains(slot) {
            for next_hop in six.iter().take_while(|hop| **hop != 0) {
                #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                let (hi, lo) = ((next_hop >> 64) as u64, *next_hop as u64);
                let leaf = Fib6::of(tables, table, self.isa).leaf(hi, lo);
                if leaf != 0 {
                    vector.route.leaf[i] = leaf;
                    (vector.l3.dst6_hi[i], vector.l3.dst6_lo[i]) = (hi, lo);
                    return true;
                }
            }
        }
        false
    }
}

/// What is to be done with a packet; nothing when no rule matched, or an access list denies it.
fn action(tables: &Tables<'_>, vector: &Vector, slot: usize) -> Option<PbrAction> {
    let result = vector.class(Feature::Pbr as usize, slot);
    let acl = AclResult(vector.class(Feature::Acl as usize, slot));
    if result == NO_MATCH || acl.0 != NO_MATCH && acl.denies() {
        return None;
    }
    tables.view(table_kind::PBR_ACTIONS).get(result as usize).copied()
}
