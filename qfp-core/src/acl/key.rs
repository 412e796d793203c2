//! What packets are classified by: one key a packet, its words laid out by vector.

use hal::VECTOR;

/// Words of an IPv4 key.
pub const WORDS4: usize = 1 + COMMON;
/// Words of an IPv6 key.
pub const WORDS6: usize = 4 + COMMON;
/// Words behind the addresses.
const COMMON: usize = 5;

/// Number of the word behind the addresses that holds ports, protocol and flags, in a key of
/// `words` words.
///
/// From the top: source port (16), destination port or ICMP type and code (16), protocol (8), TCP
/// flags (8), DSCP and ECN (8), [`condition`] bits (8). Ports are 0 where there are none.
#[must_use]
pub const fn transport_word(words: usize) -> usize {
    words - COMMON
}

/// Number of the word of IP length (16), TTL or hop limit (16) and IPv6 flow label (low 20 bits).
#[must_use]
pub const fn length_word(words: usize) -> usize {
    words - COMMON + 1
}

/// Number of the word of outer VLAN (16) and inner VLAN (16), each [`NO_TAG`] when there is none,
/// and of [`link`] fields (32).
#[must_use]
pub const fn link_word(words: usize) -> usize {
    words - COMMON + 2
}

/// Number of the word of destination MAC address (48) and `EtherType` (16).
#[must_use]
pub const fn destination_mac_word(words: usize) -> usize {
    words - COMMON + 3
}

/// Number of the word of source MAC address (48, upper).
#[must_use]
pub const fn source_mac_word(words: usize) -> usize {
    words - COMMON + 4
}

/// Columns that are pairs of 16-bit ranges, one bit each; all others are ternary. Column `2 w` is
/// the lower half of word `w`, column `2 w + 1` the upper.
#[must_use]
pub const fn range_columns(words: usize) -> u32 {
    let first = 2 * (words - COMMON);
    1 << (first + 1) | 1 << (first + 3) | 1 << (first + 5)
}

/// VLAN of a frame without that tag.
pub const NO_TAG: u16 = u16::MAX;

/// Bits that say what kind of packet it is.
pub mod condition {
    /// A fragment other than the first: no transport header.
    pub const LATER_FRAGMENT: u8 = 1 << 0;
    /// A fragment, the first included.
    pub const FRAGMENT: u8 = 1 << 1;
    /// No more fragments behind this one.
    pub const LAST_FRAGMENT: u8 = 1 << 2;
    /// IPv4: may not be fragmented.
    pub const DONT_FRAGMENT: u8 = 1 << 3;
    /// A multicast destination.
    pub const MULTICAST: u8 = 1 << 4;
    /// The first fragment of several.
    pub const FIRST_FRAGMENT: u8 = 1 << 5;
    /// IPv6: not a later fragment, and nobody can say what is behind the extension headers, because
    /// they or the header behind them are not wholly there, or of a kind that is not known.
    pub const UNDETERMINED: u8 = 1 << 6;
}

/// Where fields of the link word's lower half lie.
pub mod link {
    /// Priority code point of the outer tag (3 bits).
    pub const COS: u32 = 0;
    /// Priority code point of the inner tag (3 bits).
    pub const INNER_COS: u32 = 3;
    /// EXP of the topmost MPLS label (3 bits).
    pub const EXP: u32 = 6;
    /// There is an MPLS label.
    pub const LABELLED: u32 = 9;
    /// Drop eligible indicator of the outer tag.
    pub const DEI: u32 = 10;
    /// Discard class (3 bits).
    pub const DISCARD_CLASS: u32 = 11;
    /// There is an outer tag.
    pub const TAGGED: u32 = 14;
    /// There is an inner tag.
    pub const INNER_TAGGED: u32 = 15;
    /// QoS group (16 bits).
    pub const QOS_GROUP: u32 = 16;
}

/// The keys of a vector: word by word, slot by slot.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Keys<const W: usize> {
    /// `words[w][slot]`, as [`transport_word`] and the others number them; the first words are the
    /// addresses, host byte order: IPv4 source above destination in one word, IPv6 in four.
    pub words: [[u64; VECTOR]; W],
}

/// Keys of IPv4 packets.
pub type Keys4 = Keys<WORDS4>;
/// Keys of IPv6 packets.
pub type Keys6 = Keys<WORDS6>;

impl<const W: usize> Keys<W> {
    /// Keys that are all zeroes.
    #[must_use]
    pub fn new() -> Self {
        Self { words: [[0; VECTOR]; W] }
    }

    /// The key in `slot`.
    #[must_use]
    pub fn get(&self, slot: usize) -> [u64; W] {
        std::array::from_fn(|word| self.words[word][slot & (VECTOR - 1)])
    }

    /// Puts a key into `slot`.
    #[inline]
    pub fn set(&mut self, slot: usize, key: &[u64; W]) {
        for (words, word) in self.words.iter_mut().zip(key) {
            words[slot & (VECTOR - 1)] = *word;
        }
    }
}

impl<const W: usize> Default for Keys<W> {
    fn default() -> Self {
        Self::new()
    }
}
