//! Image of the interface classification.

use crate::tables::{Tables, table_kind};
use crate::uidb::UidbIndex;

/// Tags of one table: all values of a 12-bit VLAN id.
pub(super) const TAGS: usize = 4096;

pal::plain_struct! {
    /// One port.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PortClass {
        /// Interface of untagged and priority-tagged frames; 0xffff for none.
        pub native: u16,
        /// Reserved, zero.
        pub reserved: u16,
        /// First of the port's [`TAGS`] rows in the outer tag table, plus one; 0 when the port has
        /// no sub-interfaces.
        pub outer: u32,
        /// The port's own MAC address, as the first six bytes of a frame, in the low 48 bits.
        pub mac: u64,
    }

    /// One outer tag of one port.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TagEntry {
        /// Interface of frames with this tag alone, or with no better match; 0xffff for none.
        pub uidb: u16,
        /// Number of the table of inner tags, plus one; 0 when there are none.
        pub inner: u16,
    }
}

impl PortClass {
    /// A port without interfaces.
    pub const NONE: Self = Self { native: UidbIndex::NONE.0, reserved: 0, outer: 0, mac: 0 };
}

impl TagEntry {
    /// A tag without an interface.
    pub const NONE: Self = Self { uidb: UidbIndex::NONE.0, inner: 0 };
}

/// A MAC address in the layout of [`PortClass::mac`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacRow(pub u64);

impl From<[u8; 6]> for MacRow {
    fn from(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

/// The classification tables of a generation.
#[derive(Clone, Copy, Debug)]
pub struct TagTables<'a> {
    ports: &'a [PortClass],
    outer: &'a [TagEntry],
    inner: &'a [u16],
}

impl<'a> TagTables<'a> {
    /// Opens the generation's tables.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>) -> Self {
        Self {
            ports: tables.view(table_kind::PORT_CLASS),
            outer: tables.view(table_kind::OUTER_TAG),
            inner: tables.view(table_kind::INNER_TAG),
        }
    }

    /// The row of a port; one without interfaces for a wrong number.
    #[inline]
    #[must_use]
    pub fn port(&self, port: u16) -> PortClass {
        self.ports.get(usize::from(port)).copied().unwrap_or(PortClass::NONE)
    }

    /// The outer tags of `class`; `None` when it has no sub-interfaces.
    #[inline]
    #[must_use]
    pub(super) fn outer_tags(&self, class: PortClass) -> Option<&'a [TagEntry; TAGS]> {
        let first = (class.outer as usize).checked_sub(1)?;
        self.outer.get(first..)?.first_chunk()
    }

    /// The row of an outer tag of `class`. `vid` is taken modulo 4096.
    #[inline]
    #[must_use]
    pub fn outer(&self, class: PortClass, vid: u16) -> TagEntry {
        if class.outer == 0 {
            return TagEntry::NONE;
        }
        let index = (class.outer - 1) as usize + usize::from(vid & 0xfff);
        self.outer.get(index).copied().unwrap_or(TagEntry::NONE)
    }

    /// The interface of an inner tag behind `outer`.
    #[inline]
    #[must_use]
    pub fn inner(&self, outer: TagEntry, vid: u16) -> UidbIndex {
        if outer.inner == 0 {
            return UidbIndex::NONE;
        }
        let index = usize::from(outer.inner - 1) * TAGS + usize::from(vid & 0xfff);
        UidbIndex(self.inner.get(index).copied().unwrap_or(UidbIndex::NONE.0))
    }
}
