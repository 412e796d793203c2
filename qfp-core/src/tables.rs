//! The tables of a generation, as lcores see them.

use pal::publication::{Generation, Root, Seen, TableKind};
use pal::region::{Plain, ReadOnly, ReadWrite, ViewError};

/// Why an lcore cannot run with the tables there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is missing, or does not lie in its region.
    #[error("table {name}: {error}")]
    View {
        /// The table.
        name: &'static str,
        /// What is wrong.
        error: ViewError,
    },
    /// Whoever wrote it means other rows.
    #[error("table {name} has rows of {found} bytes, not {wanted}")]
    RowSize {
        /// The table.
        name: &'static str,
        /// Bytes of a row as they were written.
        found: u64,
        /// Bytes of a row as they are read.
        wanted: usize,
    },
    /// It has too few rows.
    #[error("table {name} has {found} rows, and needs {wanted}")]
    TooFew {
        /// The table.
        name: &'static str,
        /// Rows there are.
        found: usize,
        /// Rows it must have.
        wanted: usize,
    },
}

/// When a table must be there, and how large.
enum Need {
    /// From the start on, with so many rows.
    Rows(usize),
    /// From the start on, in the region that lcores write.
    State,
    /// From the first configuration on, or where there is room for security associations. What reads
    /// it is closed without it.
    Maybe,
    /// Likewise, in the region that lcores write.
    MaybeState,
}

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
    pub fn state<T: Plain>(&self, kind: TableKind<T>) -> &'a [T] {
        let view = |state: &'a ReadWrite| state.view(self.root.block(kind)?).ok();
        self.state.and_then(view).unwrap_or(&[])
    }

    /// The table of a kind; empty when the generation has none. A few loads.
    #[inline]
    #[must_use]
    pub fn view<T: Plain>(&self, kind: TableKind<T>) -> &'a [T] {
        self.root.view(self.region, kind).unwrap_or(&[])
    }

    /// Whether all tables are there that must be, and have the shape that is read here. Asked once,
    /// by whoever attaches.
    ///
    /// # Errors
    /// The first table that is missing or has another shape.
    pub fn check(&self) -> Result<(), TableError> {
        table_kind::check(self)
    }

    fn check_one<T: Plain>(
        &self,
        kind: TableKind<T>,
        name: &'static str,
        need: &Need,
    ) -> Result<(), TableError> {
        let Some(found) = self.root.row_size(kind) else {
            let error = ViewError::NoTable { kind: kind.index() };
            return match need {
                Need::Maybe | Need::MaybeState => Ok(()),
                Need::Rows(_) | Need::State => Err(TableError::View { name, error }),
            };
        };
        if found != size_of::<T>() as u64 {
            return Err(TableError::RowSize { name, found, wanted: size_of::<T>() });
        }
        let rows = match (need, self.state, self.root.block(kind)) {
            (Need::State | Need::MaybeState, Some(state), Some(block)) => state.view(block),
            (Need::State | Need::MaybeState, ..) => return Ok(()),
            _ => self.root.view(self.region, kind),
        };
        let found = rows.map_err(|error| TableError::View { name, error })?.len();
        match *need {
            Need::Rows(wanted) if found < wanted => Err(TableError::TooFew { name, found, wanted }),
            _ => Ok(()),
        }
    }

    /// When the generation was taken: what keeps numbers of rows beyond the vector keeps this too
    /// ([`Step::pins`](crate::step::Step::pins)).
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

/// Kinds of tables in the root block, and the rows of each.
pub mod table_kind {
    use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

    use pal::publication::TableKind;

    use super::{Need, TableError, Tables};

    /// Numbers the kinds in their order.
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident: $row:ty, $need:expr;)+) => {
            #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "as the constants")]
            enum Number { $($name),+ }

            $($(#[$doc])* pub const $name: TableKind<$row> = TableKind::new(Number::$name as u8);)+

            pub(super) fn check(tables: &Tables<'_>) -> Result<(), TableError> {
                $(tables.check_one($name, stringify!($name), &$need)?;)+
                Ok(())
            }
        };
    }

    kinds! {
        /// [`Uidb`](crate::uidb::Uidb) rows.
        UIDB: crate::uidb::Uidb, Need::Maybe;
        /// [`PortClass`](crate::l2::PortClass) rows, by port.
        PORT_CLASS: crate::l2::PortClass, Need::Maybe;
        /// Outer VLAN tags, 4096 a port.
        OUTER_TAG: crate::l2::TagEntry, Need::Maybe;
        /// Inner VLAN tags, 4096 an outer tag.
        INNER_TAG: u16, Need::Maybe;
        /// Which sources may be the router's own, as bits ([`own_addresses`](crate::l3::own_addresses)).
        OWN_FILTER: u32, Need::Maybe;
        /// [`OwnAddress`](crate::l3::OwnAddress) rows, in order.
        OWN_ADDRESSES: crate::l3::OwnAddress, Need::Maybe;
        /// [`Adjacency`](crate::adjacency::Adjacency) rows.
        ADJACENCY: crate::adjacency::Adjacency, Need::Rows(1);
        /// [`Group`](crate::adjacency::Group) rows, by leaf.
        GROUP: crate::adjacency::Group, Need::Rows(1);
        /// [`Path`](crate::adjacency::Path) rows.
        PATH: crate::adjacency::Path, Need::Rows(0);
        /// IPv4, DIR-24-8: a leaf for each /24.
        FIB4_TBL24: AtomicU16, Need::Rows(1 << 24);
        /// IPv4, DIR-24-8: blocks of 256 leaves.
        FIB4_TBL8: AtomicU16, Need::Rows(0);
        /// IPv4: how many /24s routes cover, counted once a route, as one 64-bit word.
        FIB4_COVER: AtomicU64, Need::Rows(1);
        /// IPv4, compact: roots.
        FIB4_ROOT: AtomicU32, Need::Maybe;
        /// IPv4, compact: lines.
        FIB4_LINES: crate::fib::Line, Need::Maybe;
        /// IPv6: roots.
        FIB6_ROOT: AtomicU32, Need::Rows(1 << 16);
        /// IPv6: lines.
        FIB6_LINES: crate::fib::Line, Need::Rows(0);
        /// IPv6: spans below a /48.
        FIB6_DEEP: AtomicU32, Need::Rows(0);
        /// [`Vrf`](crate::fib::Vrf) rows, by table number.
        VRF: crate::fib::Vrf, Need::Rows(1);
        /// IPv4 of all VRFs, compact: roots.
        FIB4_VRF_ROOTS: AtomicU32, Need::Rows(0);
        /// IPv4 of all VRFs, compact: lines.
        FIB4_VRF_LINES: crate::fib::Line, Need::Rows(0);
        /// IPv6 of all VRFs: roots.
        FIB6_VRF_ROOTS: AtomicU32, Need::Rows(0);
        /// IPv6 of all VRFs: lines.
        FIB6_VRF_LINES: crate::fib::Line, Need::Rows(0);
        /// IPv6 of all VRFs: spans below a /48.
        FIB6_VRF_DEEP: AtomicU32, Need::Rows(0);
        /// [`Line`](crate::acl::Line)s of classification images.
        ACL_LINES: crate::acl::Line, Need::Rows(0);
        /// The line that each classification object begins at.
        ACL_OBJECTS: AtomicU32, Need::Rows(1);
        /// [`Bindings`](crate::acl::Bindings), by uIDB number.
        ACL_BINDINGS: crate::acl::Bindings, Need::Maybe;
        /// [`PbrAction`](crate::pbr::PbrAction) rows.
        PBR_ACTIONS: crate::pbr::PbrAction, Need::Maybe;
        /// [`ClassRow`](crate::qos::ClassRow)s.
        QOS_CLASSES: crate::qos::ClassRow, Need::Maybe;
        /// One [`QosSettings`](crate::qos::QosSettings).
        QOS_SETTINGS: crate::qos::QosSettings, Need::Maybe;
        /// [`PolicerConfig`](crate::qos::police::PolicerConfig) rows.
        POLICER_CONFIGS: crate::qos::police::PolicerConfig, Need::Maybe;
        /// Which configuration each policer has.
        POLICER_CONFIG_OF: u32, Need::Maybe;
        /// [`PolicerState`](crate::qos::police::PolicerState) rows, in the region that lcores write.
        POLICER_STATES: crate::qos::police::PolicerState, Need::State;
        /// [`Tunnel`](crate::ipsec::Tunnel) rows, by uIDB number.
        ESP_TUNNELS: crate::ipsec::Tunnel, Need::Maybe;
        /// [`OutboundSa`](crate::ipsec::OutboundSa) rows.
        ESP_OUTBOUND: crate::ipsec::OutboundSa, Need::Maybe;
        /// [`InboundSa`](crate::ipsec::InboundSa) rows.
        ESP_INBOUND: crate::ipsec::InboundSa, Need::Maybe;
        /// [`SpiBucket`](crate::ipsec::SpiBucket)s.
        ESP_SPIS: crate::ipsec::SpiBucket, Need::Maybe;
        /// [`SaKey`](crate::crypto::SaKey) rows.
        ESP_KEYS: crate::crypto::SaKey, Need::Maybe;
        /// [`SaState`](crate::ipsec::SaState) rows, in the region that lcores write.
        ESP_STATES: crate::ipsec::SaState, Need::MaybeState;
        /// Words of replay windows, in the region that lcores write.
        ESP_REPLAY: AtomicU64, Need::MaybeState;
        /// [`TunnelState`](crate::ipsec::TunnelState) rows by uIDB number, in the region that lcores
        /// write.
        ESP_TUNNEL_STATES: crate::ipsec::TunnelState, Need::MaybeState;
        /// [`SpdEntry`](crate::ipsec::SpdEntry) rows.
        ESP_POLICIES: crate::ipsec::SpdEntry, Need::Maybe;
    }
}

#[cfg(test)]
mod tests {
    use pal::publication::{Publisher, RootDraft};
    use pal::region::{HugePages, Region};

    use super::*;
    use crate::fia::tests::bench::{Plan, Router};

    /// What stands against a root, beyond the tables of a plan, that names what `change` names.
    fn refused(change: impl FnOnce(&Region, &mut RootDraft)) -> TableError {
        let mut router = Router::new(&Plan::with_ports(1));
        let region = router.region().clone();
        router.publish_with(&Plan::with_ports(1), |root| change(&region, root));
        let (reader, tables) = router.attach();
        Tables::new(reader.root(), &tables).check().unwrap_err()
    }

    #[test]
    fn a_root_without_tables_is_refused_by_the_name_of_the_first() {
        let region = Region::anonymous(1 << 20, HugePages::Never).unwrap();
        let mut publisher = Publisher::new();
        let reader = publisher.register_reader("test").unwrap();
        let tables = region.map_read_only().unwrap();
        let error = Tables::new(reader.root(), &tables).check().unwrap_err();
        assert!(error.to_string().starts_with("table ADJACENCY: "), "{error}");
    }

    #[test]
    fn rows_of_another_size_and_too_few_of_them_are_refused() {
        let (name, kind) = ("FIB4_TBL24", table_kind::FIB4_TBL24);
        // As a client of another build would name it.
        let other = TableKind::<u64>::new(kind.index().try_into().unwrap());
        let error = refused(|region, root| {
            root.set(other, region.alloc(1 << 10).unwrap().publish());
        });
        assert_eq!(error, TableError::RowSize { name, found: 8, wanted: 2 });
        let error = refused(|region, root| {
            root.set(kind, region.alloc(1 << 10).unwrap().publish());
        });
        assert_eq!(error, TableError::TooFew { name, found: 1 << 10, wanted: 1 << 24 });
    }
}
