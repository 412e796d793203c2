//! What a class of a service policy does to its packets.

use crate::qos::accounting::{Accounting, Overhead};
use crate::qos::police::{Colour, NO_POLICER};

/// Levels of a hierarchy: child, parent, grand-parent (LIM-06).
pub const LEVELS: usize = 3;

pal::plain_struct! {
    /// Fields to be set. All zeroes sets nothing.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mark {
        /// QoS group, with [`Mark::GROUP`].
        pub group: u16,
        /// Which of the others are set.
        pub fields: u8,
        /// Bytes of DSCP and ECN, of IPv4 packets and of IPv6 packets: of each the bits that its
        /// field says.
        pub class: [u8; 2],
        /// Priority of the outer tag, with [`Mark::COS`].
        pub cos: u8,
        /// Priority of the inner tag, with [`Mark::INNER_COS`].
        pub inner_cos: u8,
        /// Discard class, with [`Mark::DISCARD`].
        pub discard: u8,
    }

    /// What becomes of the packets of one colour.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Action {
        /// Fields to be set; if any is, it takes the place of the class's own marks.
        pub mark: Mark,
        /// 1: the packet is dropped.
        pub drop: u32,
    }

    /// One level of a class.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Level {
        /// Number of the policer; all ones for none.
        pub policer: u32,
        /// First of the class's counters ([`ClassEvent`]).
        pub counters: u32,
        /// The colour that packets come to its policer with: a number of [`Colour`], or
        /// [`Level::FROM_BELOW`].
        pub colour: u32,
        /// By colour.
        pub actions: [Action; 3],
        /// Fields that are set in any case.
        pub mark: Mark,
    }

    /// A class of a policy where it is bound, with the classes that it is in.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ClassRow {
        /// Its own level first.
        pub levels: [Level; LEVELS],
        /// How many levels there are.
        pub depth: u32,
    }

    /// What holds for all policies.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct QosSettings {
        /// 0: [`Accounting::Asr9000`], 1: [`Accounting::Iosxe`], 2: [`Accounting::UserDefined`].
        pub accounting: u32,
        /// Bytes more or less, for the last.
        pub overhead: i32,
    }
}

impl Mark {
    /// [`Mark::cos`] is set.
    pub const COS: u8 = 1 << 0;
    /// [`Mark::inner_cos`] is set.
    pub const INNER_COS: u8 = 1 << 1;
    /// [`Mark::group`] is set.
    pub const GROUP: u8 = 1 << 2;
    /// [`Mark::discard`] is set.
    pub const DISCARD: u8 = 1 << 3;
    /// The DSCP of [`Mark::class`] is set, in IPv4 packets and in IPv6 packets.
    pub const DSCP: [u8; 2] = [1 << 4, 1 << 6];
    /// The precedence alone, likewise.
    pub const PRECEDENCE: [u8; 2] = [1 << 5, 1 << 7];

    /// Whether it sets anything.
    #[inline]
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.fields != 0
    }

    /// The byte of DSCP and ECN for packets of one version, and which of its bits are set.
    #[inline]
    #[must_use]
    pub const fn class(&self, ipv4: bool) -> (u8, u8) {
        const MASKS: [u8; 4] = [0, 0xfc, 0xe0, 0xfc];
        let version = !ipv4 as usize;
        (self.class[version], MASKS[(self.fields >> (4 + 2 * version) & 3) as usize])
    }
}

impl ClassRow {
    /// Its levels, its own first.
    #[inline]
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels[..LEVELS.min(self.depth as usize)]
    }

    /// Whether packets meet a policer at any level.
    #[inline]
    #[must_use]
    pub fn polices(&self) -> bool {
        self.levels().iter().any(|level| level.policer != NO_POLICER)
    }
}

impl Level {
    /// [`Level::colour`] of packets that come with what the level below has found.
    pub const FROM_BELOW: u32 = 3;

    /// The colour that packets come with, if the level below has found `below`.
    #[inline]
    #[must_use]
    pub const fn colour(&self, below: Colour) -> Colour {
        if self.colour == Self::FROM_BELOW {
            below
        } else {
            Colour::from_u8(self.colour.to_le_bytes()[0])
        }
    }
}

impl QosSettings {
    /// The row for `accounting`.
    #[must_use]
    pub const fn of(accounting: Accounting) -> Self {
        match accounting {
            Accounting::Asr9000 => Self { accounting: 0, overhead: 0 },
            Accounting::Iosxe => Self { accounting: 1, overhead: 0 },
            Accounting::UserDefined(overhead) => {
                Self { accounting: 2, overhead: overhead.get() as i32 }
            }
        }
    }

    /// What counts.
    #[inline]
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        match self.accounting {
            1 => Accounting::Iosxe,
            2 => Overhead::new(self.overhead).map_or(Accounting::Iosxe, Accounting::UserDefined),
            _ => Accounting::Asr9000,
        }
    }
}

/// What is counted of a class, packets and bytes each: the bytes that count for its policers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ClassEvent {
    /// Packets of the class.
    Matched,
    /// Green behind its policer.
    Conform,
    /// Yellow.
    Exceed,
    /// Red.
    Violate,
    /// Dropped by its policer's actions.
    Dropped,
}

impl ClassEvent {
    /// How many there are: a class has as many counters in a row.
    pub const COUNT: u32 = Self::Dropped as u32 + 1;

    /// The event of a colour.
    #[inline]
    #[must_use]
    pub const fn of(colour: Colour) -> Self {
        match colour {
            Colour::Green => Self::Conform,
            Colour::Yellow => Self::Exceed,
            Colour::Red => Self::Violate,
        }
    }
}
