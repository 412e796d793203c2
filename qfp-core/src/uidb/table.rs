//! The uIDB table: one row an interface, swapped whole with a generation.

use std::num::TryFromIntError;

use crate::tables::{Tables, table_kind};

/// Number of an interface in the uIDB table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[derive(serde::Serialize, serde::Deserialize)]
pub struct UidbIndex(pub u16);

impl UidbIndex {
    /// No interface.
    pub const NONE: Self = Self(u16::MAX);
    /// What the slow path injects comes in here: `internal0/0/rp:0` (ING-21).
    pub const RP: Self = Self(0);
    /// Packets that start their walk again: after a change of outer header (CRY-06), or when the
    /// slow path lets them go on.
    pub const RECYCLE: Self = Self(1);
    /// Packets that come back from a crypto engine.
    pub const CRYPTO: Self = Self(2);
    /// The first number that configured interfaces get.
    pub const FIRST_CONFIGURED: Self = Self(3);
}

impl Default for UidbIndex {
    fn default() -> Self {
        Self::NONE
    }
}

/// Number of a routing table: each VRF has its own.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct TableId(pub u16);

impl TableId {
    /// The table of interfaces without VRF.
    pub const GLOBAL: Self = Self(0);
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl From<$number> for u32 {
            fn from(number: $number) -> Self {
                number.0.into()
            }
        }

        impl TryFrom<u32> for $number {
            type Error = TryFromIntError;

            fn try_from(number: u32) -> Result<Self, TryFromIntError> {
                u16::try_from(number).map(Self)
            }
        }
    )*};
}

numbers!(UidbIndex TableId);

/// Port number of interfaces that have no port.
pub const NO_PORT: u16 = u16::MAX;

pal::plain_struct! {
    /// What the data path knows of one interface. All zeroes is an interface that does not exist.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Uidb {
        /// Ingress rows that are switched on: bit `n` is [`Gate::bit`](crate::fia::Gate) `n`.
        pub features_in: u64,
        /// Egress rows that are switched on.
        pub features_out: u64,
        /// The port frames of this interface leave through; [`NO_PORT`] for internal ones.
        pub port: u16,
        /// Largest IP packet, bytes.
        pub mtu: u16,
        /// What it is: [`Uidb::ABSENT`], [`Uidb::DOWN`] or [`Uidb::UP`].
        pub state: u8,
        /// Unicast RPF, as [`Rpf::pack`](crate::uidb::Rpf) puts it; read where the row `urpf` is on.
        pub urpf: u8,
        /// Number of the routing table ([`TableId`]); read where [`Uidb::VRF`] is set.
        pub table: u16,
    }
}

const _: () = assert!(size_of::<Uidb>() == 24);

impl Uidb {
    /// Bit of [`Uidb::features_in`]: sources are checked as [`Uidb::urpf`] says.
    pub const URPF: u64 = 1 << 4;
    /// Bit of [`Uidb::features_in`]: TTL or hop limit is decremented.
    pub const TTL: u64 = 1 << 5;
    /// Bit of [`Uidb::features_in`]: packets are not routed in the global table.
    pub const VRF: u64 = 1 << 7;
    /// Bit of [`Uidb::features_in`]: packets that claim to come from this router are dropped.
    pub const SOURCE: u64 = 1 << 10;
    /// Bit of [`Uidb::features_out`]: what leaves is protected by ESP.
    pub const ESP_OUT: u64 = 1 << 2;
    /// Bit of [`Uidb::features_in`], with no row of its own: IPv4 packets that ask for the router's
    /// address or the time go to the slow path (RFC 1812 5.2.4).
    pub const RECORD_ROUTE: u64 = 1 << 30;
    /// Bit of [`Uidb::features_in`], with no row of its own: fragments that hide what they carry are
    /// not dropped.
    pub const PASS_FRAGMENTS: u64 = 1 << 31;
    /// There is no such interface.
    pub const ABSENT: u8 = 0;
    /// Shut down: what comes in is dropped.
    pub const DOWN: u8 = 1;
    /// Forwarding.
    pub const UP: u8 = 2;
    /// An interface that does not exist: nothing comes in, and there is no port to leave through.
    pub const NONE: Self = Self {
        features_in: 0,
        features_out: 0,
        port: NO_PORT,
        mtu: 0,
        state: Self::ABSENT,
        urpf: 0,
        table: TableId::GLOBAL.0,
    };
}

impl Uidb {
    /// The table that packets which come in here are routed in.
    #[inline]
    #[must_use]
    pub const fn routing_table(&self) -> TableId {
        if self.features_in & Self::VRF == 0 { TableId::GLOBAL } else { TableId(self.table) }
    }
}

/// The uIDB table of a generation.
#[derive(Clone, Copy, Debug)]
pub struct UidbTable<'a>(&'a [Uidb]);

impl<'a> UidbTable<'a> {
    /// Opens the generation's table.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>) -> Self {
        Self(tables.view(table_kind::UIDB))
    }

    /// The row of `index`; for a stale or wrong number an absent interface without a port.
    #[inline]
    #[must_use]
    pub fn get(self, index: UidbIndex) -> Uidb {
        match self.0.get(usize::from(index.0)) {
            Some(row) if row.state != Uidb::ABSENT => *row,
            _ => Uidb::NONE,
        }
    }

    /// All rows.
    #[must_use]
    pub fn rows(self) -> &'a [Uidb] {
        self.0
    }
}

/// Which rows are switched on for packets of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Rows that are on for at least one packet.
    pub any: u64,
    /// Rows that are on for every packet.
    pub all: u64,
}

impl Gates {
    /// Those of no packet.
    pub const NONE: Self = Self { any: 0, all: u64::MAX };

    /// There are packets with the features `bits`, too.
    #[inline]
    pub const fn open(&mut self, bits: u64) {
        self.any |= bits;
        self.all &= bits;
    }
}
