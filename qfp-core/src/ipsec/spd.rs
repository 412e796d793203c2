//! Rows `spd-in`, `spd-out` and `spd-confine`: security policies (RFC 4301 §4.4.1) of an interface, in order.
//!
//! The entries are rules of the interface's classification object, so they are found in the one
//! lookup of access lists and service policies; what no entry names is bypassed. An entry that
//! protects has an interface of its own, to which `spd-out` sends what it matches: row `esp-encap`
//! then works as for a tunnel.

use hal::PacketMask;

use crate::acl::{Classify, Feature, first_match};
use crate::isa::Isa;
use crate::packet::{DropReason, Source, Vector};
use crate::step::{Lcore, Step};
use crate::tables::table_kind;
use crate::uidb::{Direction, Uidb, UidbIndex, UidbTable};

pal::plain_struct! {
    /// What one entry says. All zeroes lets packets pass.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SpdEntry {
        /// Number of the entry's counters.
        rule: u32,
        action: u16,
        /// The interface of what is protected.
        interface: u16,
    }
}

/// What becomes of the packets of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpdAction {
    /// They pass in the clear.
    Bypass,
    /// They are dropped.
    Discard,
    /// They leave through this interface, whose SA protects them, and never come in in the clear.
    Protect(UidbIndex),
}

impl SpdEntry {
    const BYPASS: u16 = 0;
    const DISCARD: u16 = 1;
    const PROTECT: u16 = 2;

    /// An entry whose counters are number `rule`.
    #[must_use]
    pub const fn new(rule: u32, action: SpdAction) -> Self {
        let (action, interface) = match action {
            SpdAction::Bypass => (Self::BYPASS, 0),
            SpdAction::Discard => (Self::DISCARD, 0),
            SpdAction::Protect(interface) => (Self::PROTECT, interface.0),
        };
        Self { rule, action, interface }
    }
}

/// What becomes of a packet: as the entry says that it has matched, which is counted, and no
/// further when that entry is missing.
fn matched(lcore: &Lcore<'_>, vector: &Vector, direction: Direction, slot: usize) -> SpdEntry {
    let Some(row) = first_match(vector, direction, Feature::Spd, slot) else {
        return SpdEntry::default();
    };
    let entries = lcore.tables.view(table_kind::ESP_POLICIES);
    let Some(entry) = entries.get(row as usize) else {
        return SpdEntry { action: SpdEntry::DISCARD, ..SpdEntry::default() };
    };
    lcore.counters.rule(entry.rule, u64::from(vector.burst.lens()[slot & 63]));
    *entry
}

/// Row `spd-in`: drops what came in the clear though an entry wants it protected, and what an entry
/// discards (RFC 4301 §5.2).
pub struct SpdIn(Classify);

impl SpdIn {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self(Classify::new(Direction::In, isa))
    }
}

impl Step for SpdIn {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        // What ESP was taken out of has met the selectors of its SA.
        let select = select - vector.is.opened;
        self.0.process(lcore, vector, select);
        for slot in select {
            match matched(lcore, vector, Direction::In, slot).action {
                SpdEntry::PROTECT => vector.drop(slot, DropReason::SpdUnprotected),
                SpdEntry::DISCARD => vector.drop(slot, DropReason::SpdDiscard),
                _ => {}
            }
        }
    }
}

/// Row `spd-out`: sends what is to be protected to the interface of its entry, and drops what an
/// entry discards (RFC 4301 §5.1).
///
/// What comes out of `esp-encap` has been here before and passes.
pub struct SpdOut(Classify);

impl SpdOut {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self(Classify::new(Direction::Out, isa))
    }
}

impl Step for SpdOut {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        if matches!(vector.walk.source, Source::Internal { uidb: UidbIndex::CRYPTO, .. }) {
            return;
        }
        self.0.process(lcore, vector, select);
        let uidbs = UidbTable::open(&lcore.tables);
        for slot in select {
            let entry = matched(lcore, vector, Direction::Out, slot);
            match entry.action {
                SpdEntry::PROTECT => {
                    let interface = UidbIndex(entry.interface);
                    vector.route.output[slot & 63] = interface;
                    let on = uidbs.get(interface).features_out;
                    vector.walk.gates_out.any |= on;
                    vector.walk.gates_out.all &= on;
                }
                SpdEntry::DISCARD => vector.drop(slot, DropReason::SpdDiscard),
                _ => {}
            }
        }
    }
}

/// Row `spd-confine`: what tells of packets that ESP was taken out of leaves through the SA that
/// they came by, or not at all. ICMP errors quote what they are about, and neither a route nor a
/// selector that does not fit must put that on a wire in the clear.
#[derive(Debug, Default)]
pub struct SpdConfine;

impl Step for SpdConfine {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Some(within) = vector.walk.within else { return };
        let uidbs = UidbTable::open(&lcore.tables);
        let seals = |uidb| uidbs.get(uidb).features_out & Uidb::ESP_OUT != 0;
        // Packets of transport mode came in through the interface itself, whose entry is not known
        // any more: any that protects will do.
        let any = !seals(within);
        for slot in select {
            let output = vector.route.output[slot & 63];
            if !seals(output) || !any && output != within {
                vector.drop(slot, DropReason::SpdUnprotected);
            }
        }
    }
}
