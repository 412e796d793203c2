//! Adjacencies and next-hop groups: from a route's leaf to the bytes put in front of a packet.
//!
//! `leaf -> group -> (member by hash) -> adjacency`. A group with one member costs no hash. Both
//! tables are written in place: losing a neighbour is one store of an adjacency's state word,
//! however many prefixes use it.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::tables::{Tables, table_kind};
use crate::uidb::UidbIndex;

/// Longest rewrite string: Ethernet with two tags, and room for labels.
pub const REWRITE_MAX: usize = 32;

/// What becomes of packets that resolve to an adjacency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AdjacencyKind {
    /// Not in use: packets are dropped (`NoAdjacency`).
    Absent = 0,
    /// The rewrite string is there and the output interface has no egress features.
    Plain = 1,
    /// The rewrite string is there; egress features look at the packet.
    Featured = 2,
    /// The next hop's MAC address is being looked for.
    Incomplete = 3,
    /// A connected network: the destination itself is the next hop to look for.
    Glean = 4,
    /// An address of ours.
    Receive = 5,
    /// Discard: the route is Null0.
    Null0 = 6,
    /// A group or broadcast that the router itself listens to.
    LocalGroup = 7,
}

impl AdjacencyKind {
    /// The kind with this number; an unknown number is absent.
    #[inline]
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Plain,
            2 => Self::Featured,
            3 => Self::Incomplete,
            4 => Self::Glean,
            5 => Self::Receive,
            6 => Self::Null0,
            7 => Self::LocalGroup,
            _ => Self::Absent,
        }
    }
}

/// The state word of an adjacency: kind, rewrite length and MTU change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdjacencyState {
    /// What becomes of packets.
    pub kind: AdjacencyKind,
    /// Bytes of the rewrite string, at most [`REWRITE_MAX`].
    pub rewrite_len: u8,
    /// Largest IP packet, bytes.
    pub mtu: u16,
}

impl AdjacencyState {
    /// As it is stored: kind in the low byte, then length, then MTU.
    #[inline]
    #[must_use]
    pub const fn pack(self) -> u32 {
        self.kind as u32 | (self.rewrite_len as u32) << 8 | (self.mtu as u32) << 16
    }

    /// Back from [`AdjacencyState::pack`]; a length beyond [`REWRITE_MAX`] is cut.
    #[inline]
    #[must_use]
    pub const fn unpack(word: u32) -> Self {
        let [kind, rewrite_len, mtu_lo, mtu_hi] = word.to_le_bytes();
        let max = 32;
        Self {
            kind: AdjacencyKind::from_u8(kind),
            rewrite_len: if rewrite_len > max { max } else { rewrite_len },
            mtu: u16::from_le_bytes([mtu_lo, mtu_hi]),
        }
    }
}

pal::plain_struct! {
    /// One adjacency: 64 bytes, one cache line.
    #[derive(Debug, Default)]
    pub struct Adjacency {
        /// [`AdjacencyState`], packed.
        pub state: AtomicU32,
        /// Output interface.
        pub output: AtomicU16,
        /// Address family of the next hop: 4, 6, or 0 when there is none.
        pub family: AtomicU16,
        /// Next hop, IPv4 in the low half of the first word, host byte order.
        pub next_hop: [AtomicU64; 2],
        /// The bytes in front of the network header, in wire order.
        pub rewrite: [AtomicU64; 4],
        /// Reserved, zero.
        pub reserved: AtomicU64,
    }

    /// One next-hop group.
    #[derive(Debug, Default)]
    pub struct Group {
        /// [`GroupWord`], packed.
        pub word: AtomicU64,
    }

    /// One place of a group with several members.
    #[derive(Debug, Default)]
    pub struct Path {
        /// Adjacency.
        pub adjacency: AtomicU32,
    }
}

impl Adjacency {
    /// The state now. One load.
    #[inline]
    #[must_use]
    pub fn state(&self) -> AdjacencyState {
        AdjacencyState::unpack(self.state.load(Ordering::Acquire))
    }

    /// The interface packets leave through.
    #[inline]
    #[must_use]
    pub fn output(&self) -> UidbIndex {
        UidbIndex(self.output.load(Ordering::Relaxed))
    }

    /// The rewrite string; only the first `rewrite_len` bytes mean anything.
    #[inline]
    #[must_use]
    pub fn rewrite(&self) -> [u8; REWRITE_MAX] {
        let mut bytes = [0; REWRITE_MAX];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&self.rewrite) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        bytes
    }

    /// The next hop, if the adjacency has one.
    #[must_use]
    pub fn next_hop(&self) -> Option<std::net::IpAddr> {
        let [hi, lo] = [0, 1].map(|i: usize| self.next_hop[i].load(Ordering::Relaxed));
        match self.family.load(Ordering::Relaxed) {
            4 => {
                let [.., a, b, c, d] = hi.to_be_bytes();
                Some(std::net::Ipv4Addr::new(a, b, c, d).into())
            }
            6 => Some(std::net::Ipv6Addr::from(u128::from(hi) << 64 | u128::from(lo)).into()),
            _ => None,
        }
    }
}

/// What all members of a group have in common, so that it can be told from the leaf alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GroupClass {
    /// Packets are forwarded.
    Forward = 0,
    /// Packets are for this router.
    Receive = 1,
    /// Packets are discarded: Null0.
    Null0 = 2,
}

/// What a leaf resolves to before a member is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupWord {
    /// Adjacency of a group of one, else the first place in the path table; below 2^24.
    pub first: u32,
    /// Output interface of a group of one; the adjacencies of larger groups say it.
    pub output: UidbIndex,
    /// What becomes of packets.
    pub class: GroupClass,
    /// Number of places; 0 for a group that does not exist.
    pub places: u16,
}

impl GroupWord {
    /// The word of a group that does not exist.
    pub const NONE: u64 = 0;
    /// Where the output interface stands in the word.
    pub(super) const OUTPUT_SHIFT: u32 = 24;
    /// Where class and number of places stand.
    pub(super) const CLASS_SHIFT: u32 = 40;
    /// The upper bits of a group with one member that is forwarded to.
    pub(super) const ONE_FORWARD: u64 = 1 << 2;
    /// The same where its packets are for us.
    pub(super) const ONE_RECEIVE: u64 = Self::ONE_FORWARD | GroupClass::Receive as u64;

    /// As it is stored: 24 bits `first`, 16 bits output, 2 bits class, 16 bits places.
    #[inline]
    #[must_use]
    pub const fn pack(self) -> u64 {
        (self.first & 0xff_ffff) as u64
            | (self.output.0 as u64) << Self::OUTPUT_SHIFT
            | (self.class as u64) << Self::CLASS_SHIFT
            | (self.places as u64) << (Self::CLASS_SHIFT + 2)
    }

    /// Back from [`GroupWord::pack`].
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "fields of the word")]
    pub const fn unpack(word: u64) -> Self {
        Self {
            first: word as u32 & 0xff_ffff,
            output: UidbIndex((word >> Self::OUTPUT_SHIFT) as u16),
            class: match word >> Self::CLASS_SHIFT & 3 {
                0 => GroupClass::Forward,
                1 => GroupClass::Receive,
                _ => GroupClass::Null0,
            },
            places: (word >> (Self::CLASS_SHIFT + 2)) as u16,
        }
    }
}

/// The adjacency, group and path tables of a generation.
#[derive(Clone, Copy, Debug)]
pub struct AdjacencyTables<'a> {
    /// Adjacencies; number 0 is never used.
    pub adjacencies: &'a [Adjacency],
    /// Groups by leaf; number 0 is "no route".
    pub groups: &'a [Group],
    /// Places of groups with several members.
    pub paths: &'a [Path],
}

impl<'a> AdjacencyTables<'a> {
    /// Opens the generation's tables.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>) -> Self {
        Self {
            adjacencies: tables.view(table_kind::ADJACENCY),
            groups: tables.view(table_kind::GROUP),
            paths: tables.view(table_kind::PATH),
        }
    }

    /// The group of `leaf`; one without places for a wrong number.
    #[inline]
    #[must_use]
    pub fn group(&self, leaf: u32) -> GroupWord {
        let word = self.groups.get(leaf as usize).map(|g| g.word.load(Ordering::Acquire));
        GroupWord::unpack(word.unwrap_or(0))
    }

    /// The adjacencies in the places of a group with several members.
    pub fn members(&self, group: GroupWord) -> impl Iterator<Item = u32> + use<'a> {
        let first = group.first as usize;
        let paths = self.paths.get(first..first + usize::from(group.places)).unwrap_or(&[]);
        paths.iter().map(|path| path.adjacency.load(Ordering::Acquire))
    }

    /// The member of `group` for a flow's `hash`; adjacency 0 for an empty or wrong group.
    #[inline]
    #[must_use]
    pub fn member(&self, group: GroupWord, hash: u32) -> u32 {
        match group.places {
            0 => 0,
            1 => group.first,
            places => {
                // Multiply-shift maps the hash evenly onto the places without a division.
                let place = (u64::from(hash) * u64::from(places)) >> 32;
                let index = u64::from(group.first) + place;
                let path = usize::try_from(index).ok().and_then(|i| self.paths.get(i));
                path.map_or(0, |path| path.adjacency.load(Ordering::Acquire))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjacency_fills_one_cache_line() {
        assert_eq!(size_of::<Adjacency>(), 64);
    }

    #[test]
    fn the_state_word_survives_packing() {
        let state = AdjacencyState { kind: AdjacencyKind::Featured, rewrite_len: 22, mtu: 9000 };
        assert_eq!(AdjacencyState::unpack(state.pack()), state);
        assert_eq!(AdjacencyState::unpack(0xff).kind, AdjacencyKind::Absent);
        assert_eq!(AdjacencyState::unpack(0xff00).rewrite_len, 32);
    }

    #[test]
    fn the_group_word_survives_packing() {
        for class in [GroupClass::Forward, GroupClass::Receive, GroupClass::Null0] {
            let (first, output) = (0xab_cdef, UidbIndex(0x8765));
            let word = GroupWord { first, output, class, places: 16_320 };
            assert_eq!(GroupWord::unpack(word.pack()), word);
        }
        assert_eq!(GroupWord::unpack(GroupWord::NONE).places, 0);
        let one =
            GroupWord { first: 1, output: UidbIndex(2), class: GroupClass::Forward, places: 1 };
        assert_eq!(one.pack() >> GroupWord::CLASS_SHIFT, GroupWord::ONE_FORWARD);
        let one = GroupWord { class: GroupClass::Receive, ..one };
        assert_eq!(one.pack() >> GroupWord::CLASS_SHIFT, GroupWord::ONE_RECEIVE);
    }

    #[test]
    fn a_flow_stays_on_its_member_and_all_members_are_used() {
        let paths: Vec<Path> = (10..13).map(|a| Path { adjacency: AtomicU32::new(a) }).collect();
        let tables = AdjacencyTables { adjacencies: &[], groups: &[], paths: &paths };
        let group = |first, places| GroupWord {
            first,
            places,
            output: UidbIndex(9),
            class: GroupClass::Forward,
        };
        let three = group(0, 3);
        assert_eq!(tables.member(three, 0), 10);
        assert_eq!(tables.member(three, u32::MAX / 2), 11);
        assert_eq!(tables.member(three, u32::MAX), 12);
        assert_eq!(tables.member(group(7, 1), 99), 7);
        assert_eq!(tables.member(group(9, 2), u32::MAX), 0);
    }
}
