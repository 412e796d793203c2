//! The tables of a generation, as lcores see them.

use pal::publication::{Generation, Root, Seen, TableKind};
use pal::region::{Plain, ReadOnly, ReadWrite};

/// The tables of one generation, for the time of one vector.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    root: Root<'a>,
    region: &'a ReadOnly,
    state: Option<&'a ReadWrite>,
}

impl<'a> Tables<'a> {
    /// The tables that `root` names in `region`.
    #[inline]
    #[must_use]
    pub const fn new(root: Root<'a>, region: &'a ReadOnly) -> Self {
        Self { root, region, state: None }
    }

    /// The same, with the region of what lcores write.
    #[inline]
    #[must_use]
    pub const fn with_state(self, state: &'a ReadWrite) -> Self {
        Self { state: Some(state), ..self }
    }

    /// A table of what lcores write, through atomics; empty when there is none.
    #[inline]
    #[must_use]
    pub fn state<T: Plain>(&self, kind: TableKind) -> &'a [T] {
        let view = |state: &'a ReadWrite| state.view(self.root.block(kind)?).ok();
        self.state.and_then(view).unwrap_or(&[])
    }

    /// The table of a kind; empty when the generation has none. A few loads.
    #[inline]
    #[must_use]
    pub fn view<T: Plain>(&self, kind: TableKind) -> &'a [T] {
        self.root.view(self.region, kind).unwrap_or(&[])
    }

    /// When the generation was taken: what keeps numbers of rows beyond the vector keeps this too
    /// ([`Step::held`](crate::step::Step::held)).
    #[inline]
    #[must_use]
    pub const fn seen(&self) -> Seen {
        self.root.seen()
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.root.generation()
    }
}

/// Kinds of tables in the root block.
pub mod table_kind {
    use pal::publication::TableKind;

    /// [`Uidb`](crate::uidb::Uidb) rows.
    pub const UIDB: TableKind = TableKind::new(0);
    /// [`PortClass`](crate::l2::PortClass) rows, by port.
    pub const PORT_CLASS: TableKind = TableKind::new(1);
    /// Outer VLAN tags, 4096 a port.
    pub const OUTER_TAG: TableKind = TableKind::new(2);
    /// Inner VLAN tags, 4096 an outer tag.
    pub const INNER_TAG: TableKind = TableKind::new(3);
    /// [`Adjacency`](crate::adjacency::Adjacency) rows.
    pub const ADJACENCY: TableKind = TableKind::new(4);
    /// [`Group`](crate::adjacency::Group) rows, by leaf.
    pub const GROUP: TableKind = TableKind::new(5);
    /// [`Path`](crate::adjacency::Path) rows.
    pub const PATH: TableKind = TableKind::new(6);
    /// IPv4, DIR-24-8: a leaf for each /24.
    pub const FIB4_TBL24: TableKind = TableKind::new(8);
    /// IPv4, DIR-24-8: blocks of 256 leaves.
    pub const FIB4_TBL8: TableKind = TableKind::new(9);
    /// IPv4: how many /24s routes cover, counted once a route, as one 64-bit word.
    pub const FIB4_COVER: TableKind = TableKind::new(7);
    /// IPv4, compact: roots.
    pub const FIB4_ROOT: TableKind = TableKind::new(10);
    /// IPv4, compact: lines.
    pub const FIB4_LINES: TableKind = TableKind::new(11);
    /// IPv6: roots.
    pub const FIB6_ROOT: TableKind = TableKind::new(12);
    /// IPv6: lines.
    pub const FIB6_LINES: TableKind = TableKind::new(13);
    /// IPv6: spans below a /48.
    pub const FIB6_DEEP: TableKind = TableKind::new(14);
    /// [`Vrf`](crate::fib::Vrf) rows, by table number.
    pub const VRF: TableKind = TableKind::new(15);
    /// IPv4 of all VRFs, compact: roots.
    pub const FIB4_VRF_ROOTS: TableKind = TableKind::new(16);
    /// IPv4 of all VRFs, compact: lines.
    pub const FIB4_VRF_LINES: TableKind = TableKind::new(17);
    /// IPv6 of all VRFs: roots.
    pub const FIB6_VRF_ROOTS: TableKind = TableKind::new(18);
    /// IPv6 of all VRFs: lines.
    pub const FIB6_VRF_LINES: TableKind = TableKind::new(19);
    /// IPv6 of all VRFs: spans below a /48.
    pub const FIB6_VRF_DEEP: TableKind = TableKind::new(20);
    /// [`Line`](crate::acl::Line)s of classification images.
    pub const ACL_LINES: TableKind = TableKind::new(21);
    /// The line that each classification object begins at.
    pub const ACL_OBJECTS: TableKind = TableKind::new(22);
    /// [`Bindings`](crate::acl::Bindings), by uIDB number.
    pub const ACL_BINDINGS: TableKind = TableKind::new(23);
    /// [`PbrAction`](crate::pbr::PbrAction) rows.
    pub const PBR_ACTIONS: TableKind = TableKind::new(24);
    /// [`ClassRow`](crate::qos::ClassRow)s.
    pub const QOS_CLASSES: TableKind = TableKind::new(25);
    /// One [`QosSettings`](crate::qos::QosSettings).
    pub const QOS_SETTINGS: TableKind = TableKind::new(26);
    /// Which sources may be the router's own, as bits ([`own_addresses`](crate::l3::own_addresses)).
    pub const OWN_FILTER: TableKind = TableKind::new(56);
    /// [`OwnAddress`](crate::l3::OwnAddress) rows, in order.
    pub const OWN_ADDRESSES: TableKind = TableKind::new(57);
    /// [`PolicerConfig`](crate::qos::police::PolicerConfig) rows.
    pub const POLICER_CONFIGS: TableKind = TableKind::new(27);
    /// Which configuration each policer has.
    pub const POLICER_CONFIG_OF: TableKind = TableKind::new(28);
    /// [`PolicerState`](crate::qos::police::PolicerState) rows, in the region that lcores write.
    pub const POLICER_STATES: TableKind = TableKind::new(29);
    /// [`Tunnel`](crate::ipsec::Tunnel) rows, by uIDB number.
    pub const ESP_TUNNELS: TableKind = TableKind::new(30);
    /// [`OutboundSa`](crate::ipsec::OutboundSa) rows.
    pub const ESP_OUTBOUND: TableKind = TableKind::new(31);
    /// [`InboundSa`](crate::ipsec::InboundSa) rows.
    pub const ESP_INBOUND: TableKind = TableKind::new(32);
    /// [`SpiBucket`](crate::ipsec::SpiBucket)s.
    pub const ESP_SPIS: TableKind = TableKind::new(33);
    /// [`SaKey`](crate::crypto::SaKey) rows.
    pub const ESP_KEYS: TableKind = TableKind::new(34);
    /// [`SaState`](crate::ipsec::SaState) rows, in the region that lcores write.
    pub const ESP_STATES: TableKind = TableKind::new(35);
    /// Words of replay windows, in the region that lcores write.
    pub const ESP_REPLAY: TableKind = TableKind::new(36);
    /// [`TunnelState`](crate::ipsec::TunnelState) rows by uIDB number, in the region that lcores
    /// write.
    pub const ESP_TUNNEL_STATES: TableKind = TableKind::new(37);
    /// [`SpdEntry`](crate::ipsec::SpdEntry) rows.
    pub const ESP_POLICIES: TableKind = TableKind::new(38);
}
