//! The one list of tables that the data plane reads.

pub use pal::publication::{TableError, TableReader, Tables};

/// Kinds of tables in the root block, the rows of each, and how many of them there are at least.
pub mod table_kind {
    use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

    use pal::publication::{TableKind, TableShape};

    /// Numbers the kinds in their order.
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident: $row:ty, $least:expr $(, $written:ident)?;)+) => {
            #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "as the constants")]
            enum Number { $($name),+ }

            $($(#[$doc])* pub const $name: TableKind<$row> = TableKind::new(Number::$name as u8);)+

            /// What lcores count on: all of these are there from the start on.
            pub static SHAPES: &[TableShape] =
                &[$(TableShape::of(stringify!($name), $name, $least)$(.$written())?),+];

            /// Names a table of the least rows of every kind, all zeroes; of one that is large none.
            #[cfg(test)]
            pub(crate) fn publish_least(
                region: &pal::region::Region,
                root: &mut pal::publication::RootDraft,
            ) {
                $(if $least < 1 << 24 {
                    root.set($name, region.alloc($least).unwrap().publish());
                })+
            }
        };
    }

    kinds! {
        /// [`Uidb`](crate::uidb::Uidb) rows.
        UIDB: crate::uidb::Uidb, 3;
        /// [`PortClass`](crate::l2::PortClass) rows, by port.
        PORT_CLASS: crate::l2::PortClass, 1;
        /// Outer VLAN tags, 4096 a port.
        OUTER_TAG: crate::l2::TagEntry, 0;
        /// Inner VLAN tags, 4096 an outer tag.
        INNER_TAG: u16, 0;
        /// Which sources may be the router's own, as bits ([`own_addresses`](crate::l3::own_addresses)).
        OWN_FILTER: u32, crate::l3::LEAST_FILTER;
        /// [`OwnAddress`](crate::l3::OwnAddress) rows, in order.
        OWN_ADDRESSES: crate::l3::OwnAddress, 0;
        /// [`Adjacency`](crate::adjacency::Adjacency) rows.
        ADJACENCY: crate::adjacency::Adjacency, 1;
        /// [`Group`](crate::adjacency::Group) rows, by leaf.
        GROUP: crate::adjacency::Group, 1;
        /// [`Path`](crate::adjacency::Path) rows.
        PATH: crate::adjacency::Path, 0;
        /// IPv4, DIR-24-8: a leaf for each /24.
        FIB4_TBL24: AtomicU16, 1 << 24;
        /// IPv4, DIR-24-8: blocks of 256 leaves.
        FIB4_TBL8: AtomicU16, 0;
        /// IPv4: how many /24s routes cover, counted once a route, as one 64-bit word.
        FIB4_COVER: AtomicU64, 1;
        /// IPv6: roots.
        FIB6_ROOT: AtomicU32, 1 << 16;
        /// IPv6: lines.
        FIB6_LINES: crate::fib::Line, 0;
        /// IPv6: spans below a /48.
        FIB6_DEEP: AtomicU32, 0;
        /// [`Vrf`](crate::fib::Vrf) rows, by table number.
        VRF: crate::fib::Vrf, 1;
        /// IPv4 of all VRFs, compact: roots.
        FIB4_VRF_ROOTS: AtomicU32, 0;
        /// IPv4 of all VRFs, compact: lines.
        FIB4_VRF_LINES: crate::fib::Line, 0;
        /// IPv6 of all VRFs: roots.
        FIB6_VRF_ROOTS: AtomicU32, 0;
        /// IPv6 of all VRFs: lines.
        FIB6_VRF_LINES: crate::fib::Line, 0;
        /// IPv6 of all VRFs: spans below a /48.
        FIB6_VRF_DEEP: AtomicU32, 0;
        /// [`Line`](crate::acl::Line)s of classification images.
        ACL_LINES: crate::acl::Line, 0;
        /// The line that each classification object begins at.
        ACL_OBJECTS: AtomicU32, 1;
        /// [`Bindings`](crate::acl::Bindings), by uIDB number.
        ACL_BINDINGS: crate::acl::Bindings, 3;
        /// [`PbrAction`](crate::pbr::PbrAction) rows.
        PBR_ACTIONS: crate::pbr::PbrAction, 0;
        /// [`ClassRow`](crate::qos::ClassRow)s.
        QOS_CLASSES: crate::qos::ClassRow, 0;
        /// One [`QosSettings`](crate::qos::QosSettings).
        QOS_SETTINGS: crate::qos::QosSettings, 1;
        /// [`PolicerConfig`](crate::qos::police::PolicerConfig) rows.
        POLICER_CONFIGS: crate::qos::police::PolicerConfig, 0;
        /// Which configuration each policer has.
        POLICER_CONFIG_OF: u32, 0;
        /// [`PolicerState`](crate::qos::police::PolicerState) rows, in the region that lcores write.
        POLICER_STATES: crate::qos::police::PolicerState, 0, written;
        /// [`Tunnel`](crate::ipsec::Tunnel) rows, by uIDB number.
        ESP_TUNNELS: crate::ipsec::Tunnel, 0;
        /// [`OutboundSa`](crate::ipsec::OutboundSa) rows.
        ESP_OUTBOUND: crate::ipsec::OutboundSa, 0;
        /// [`InboundSa`](crate::ipsec::InboundSa) rows.
        ESP_INBOUND: crate::ipsec::InboundSa, 0;
        /// [`SpiBucket`](crate::ipsec::SpiBucket)s.
        ESP_SPIS: crate::ipsec::SpiBucket, 1;
        /// [`SaKey`](crate::crypto::SaKey) rows.
        ESP_KEYS: crate::crypto::SaKey, 0;
        /// [`SaState`](crate::ipsec::SaState) rows, in the region that lcores write.
        ESP_STATES: crate::ipsec::SaState, 0, written;
        /// Words of replay windows, in the region that lcores write.
        ESP_REPLAY: AtomicU64, 0, written;
        /// [`TunnelState`](crate::ipsec::TunnelState) rows by uIDB number, in the region that lcores
        /// write.
        ESP_TUNNEL_STATES: crate::ipsec::TunnelState, 0, written;
        /// [`SpdEntry`](crate::ipsec::SpdEntry) rows.
        ESP_POLICIES: crate::ipsec::SpdEntry, 0;
    }
}

#[cfg(test)]
mod tests {
    use pal::publication::TableKind;
    use pal::region::ViewError;

    use super::*;
    use crate::fia::tests::bench::{Plan, Router};

    #[test]
    fn a_root_that_lacks_any_of_the_tables_is_refused() {
        let plan = Plan::with_ports(1);
        let mut router = Router::new(&plan);
        for (index, shape) in (0..).zip(table_kind::SHAPES) {
            let missing = TableKind::<u8>::new(index);
            let before = router.publisher().draft();
            router.publisher().publish(before.clone().clear(missing)).unwrap();
            let refused = router.try_attach().unwrap_err();
            assert_eq!(
                refused,
                TableError::View {
                    name: shape.name(),
                    error: ViewError::NoTable { kind: index.into() }
                }
            );
            router.publisher().publish(&before).unwrap();
            router.attach();
        }
    }
}
