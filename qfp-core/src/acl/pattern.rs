//! What a rule asks of a key: ternary words and pairs of ranges.

use std::ops::RangeInclusive;

use crate::acl::key::{
    WORDS4, WORDS6, destination_mac_word, length_word, link, link_word, range_columns,
    source_mac_word, transport_word,
};

/// A set of keys: each 32-bit half of a word is either ternary (value under mask) or two 16-bit
/// ranges, as [`range_columns`] says.
///
/// Begin with [`Pattern::any`] and narrow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pattern<const W: usize> {
    /// Value, or lower ends of ranges.
    pub(super) value: [u64; W],
    /// Mask, or lengths of ranges less one.
    pub(super) mask: [u64; W],
}

/// A pattern of IPv4 keys.
pub type Pattern4 = Pattern<WORDS4>;
/// A pattern of IPv6 keys.
pub type Pattern6 = Pattern<WORDS6>;

impl<const W: usize> Default for Pattern<W> {
    fn default() -> Self {
        Self::any()
    }
}

impl<const W: usize> Pattern<W> {
    /// Every key.
    #[must_use]
    pub fn any() -> Self {
        let mask = std::array::from_fn(|word| if is_range(W, word) { HIGH } else { 0 });
        Self { value: [0; W], mask }
    }

    /// Narrows a ternary part of a word; bits that it asked for already are replaced.
    #[must_use]
    pub(super) fn ternary(mut self, word: usize, value: u64, mask: u64) -> Self {
        self.value[word] = self.value[word] & !mask | value & mask;
        self.mask[word] |= mask;
        self
    }

    fn range(mut self, word: usize, shift: u32, range: &RangeInclusive<u16>) -> Self {
        let (low, high) = (*range.start(), *range.end().max(range.start()));
        let lane = 0xffff_u64 << shift;
        self.value[word] = self.value[word] & !lane | u64::from(low) << shift;
        self.mask[word] = self.mask[word] & !lane | u64::from(high - low) << shift;
        self
    }

    /// Source ports.
    #[must_use]
    pub fn source_port(self, ports: &RangeInclusive<u16>) -> Self {
        self.range(transport_word(W), 48, ports)
    }

    /// Destination ports; for ICMP type (upper byte) and code.
    #[must_use]
    pub fn destination_port(self, ports: &RangeInclusive<u16>) -> Self {
        self.range(transport_word(W), 32, ports)
    }

    /// Protocol, under a mask.
    #[must_use]
    pub fn protocol(self, value: u8, mask: u8) -> Self {
        self.ternary(transport_word(W), u64::from(value) << 24, u64::from(mask) << 24)
    }

    /// TCP flags, under a mask.
    #[must_use]
    pub fn tcp_flags(self, value: u8, mask: u8) -> Self {
        self.ternary(transport_word(W), u64::from(value) << 16, u64::from(mask) << 16)
    }

    /// The byte of DSCP and ECN, under a mask.
    #[must_use]
    pub fn traffic_class(self, value: u8, mask: u8) -> Self {
        self.ternary(transport_word(W), u64::from(value) << 8, u64::from(mask) << 8)
    }

    /// [`condition`](crate::acl::key::condition) bits, under a mask.
    #[must_use]
    pub fn condition(self, value: u8, mask: u8) -> Self {
        self.ternary(transport_word(W), u64::from(value), u64::from(mask))
    }

    /// Length of the IP packet, bytes.
    #[must_use]
    pub fn length(self, bytes: &RangeInclusive<u16>) -> Self {
        self.range(length_word(W), 48, bytes)
    }

    /// TTL or hop limit.
    #[must_use]
    pub fn ttl(self, ttl: &RangeInclusive<u8>) -> Self {
        self.range(length_word(W), 32, &(u16::from(*ttl.start())..=u16::from(*ttl.end())))
    }

    /// IPv6 flow label, under a mask.
    #[must_use]
    pub fn flow_label(self, value: u32, mask: u32) -> Self {
        self.ternary(length_word(W), u64::from(value), u64::from(mask & 0xf_ffff))
    }

    /// VLAN of the outer tag.
    #[must_use]
    pub fn vlan(self, ids: &RangeInclusive<u16>) -> Self {
        self.range(link_word(W), 48, ids)
    }

    /// VLAN of the inner tag.
    #[must_use]
    pub fn inner_vlan(self, ids: &RangeInclusive<u16>) -> Self {
        self.range(link_word(W), 32, ids)
    }

    /// A field of `bits` bits of the link word, at one of the places of [`link`].
    #[must_use]
    pub fn link_field(self, at: u32, bits: u32, value: u32) -> Self {
        let mask = ((1_u64 << bits) - 1) << at;
        self.ternary(link_word(W), u64::from(value) << at, mask)
    }

    /// Class of service of the outer tag.
    #[must_use]
    pub fn cos(self, cos: u8) -> Self {
        self.link_field(link::COS, 3, cos.into()).link_field(link::TAGGED, 1, 1)
    }

    /// Class of service of the inner tag.
    #[must_use]
    pub fn inner_cos(self, cos: u8) -> Self {
        self.link_field(link::INNER_COS, 3, cos.into()).link_field(link::INNER_TAGGED, 1, 1)
    }

    /// EXP of the topmost label.
    #[must_use]
    pub fn exp(self, exp: u8) -> Self {
        self.link_field(link::EXP, 3, exp.into()).link_field(link::LABELLED, 1, 1)
    }

    /// QoS group.
    #[must_use]
    pub fn qos_group(self, group: u16) -> Self {
        self.link_field(link::QOS_GROUP, 16, group.into())
    }

    /// Discard class.
    #[must_use]
    pub fn discard_class(self, class: u8) -> Self {
        self.link_field(link::DISCARD_CLASS, 3, class.into())
    }

    /// Destination MAC address, under a mask; the lower 48 bits count.
    #[must_use]
    pub fn destination_mac(self, value: u64, mask: u64) -> Self {
        self.ternary(destination_mac_word(W), value << 16, mask << 16)
    }

    /// `EtherType`.
    #[must_use]
    pub fn ethertype(self, ethertype: u16) -> Self {
        self.ternary(destination_mac_word(W), ethertype.into(), 0xffff)
    }

    /// Source MAC address, under a mask; the lower 48 bits count.
    #[must_use]
    pub fn source_mac(self, value: u64, mask: u64) -> Self {
        self.ternary(source_mac_word(W), value << 16, mask << 16)
    }

    /// The keys that are in both sets; none when there is no such key.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut both = Self::any();
        for word in 0..W {
            let ternary = if is_range(W, word) { LOW } else { u64::MAX };
            let (a, b) =
                ((self.value[word], self.mask[word]), (other.value[word], other.mask[word]));
            if (a.0 ^ b.0) & a.1 & b.1 & ternary != 0 {
                return None;
            }
            both.mask[word] = (a.1 | b.1) & ternary;
            both.value[word] = (a.0 & a.1 | b.0 & b.1) & ternary;
            for shift in [32, 48].into_iter().filter(|_| is_range(W, word)) {
                let lane = |word: u64| word >> shift & 0xffff;
                let low = lane(a.0).max(lane(b.0));
                let high = (lane(a.0) + lane(a.1)).min(lane(b.0) + lane(b.1));
                both.value[word] |= low << shift;
                both.mask[word] |= high.checked_sub(low)? << shift;
            }
        }
        Some(both)
    }

    /// Whether `key` is in the set.
    #[must_use]
    pub fn matches(&self, key: &[u64; W]) -> bool {
        (0..W).all(|word| {
            let (value, mask, key) = (self.value[word], self.mask[word], key[word]);
            if !is_range(W, word) {
                return (key ^ value) & mask == 0;
            }
            let within = |shift: u32| {
                let lane = |word: u64| word >> shift & 0xffff;
                lane(key).wrapping_sub(lane(value)) & 0xffff <= lane(mask)
            };
            within(48) && within(32) && (key ^ value) & mask & LOW == 0
        })
    }

    /// A word as value under mask: ranges are widened to the bits that their ends share.
    pub(super) fn widened(&self, word: usize) -> (u64, u64) {
        let (value, mask) = (self.value[word], self.mask[word]);
        if !is_range(W, word) {
            return (value & mask, mask);
        }
        let mut wide = (value & mask & LOW, mask & LOW);
        for shift in [32, 48] {
            let low = value >> shift & 0xffff;
            let differ = low ^ (low + (mask >> shift & 0xffff));
            let shared =
                if differ == 0 { 0xffff } else { 0xffff & !(u64::MAX >> differ.leading_zeros()) };
            wide.0 |= (low & shared) << shift;
            wide.1 |= shared << shift;
        }
        wide
    }

    /// Whether it asks for more than seven bits of the source address, and of the destination.
    pub(super) fn named(&self) -> [bool; 2] {
        let ones = |masks: &[u64]| masks.iter().map(|mask| mask.count_ones()).sum::<u32>();
        let sides = match &self.mask[..transport_word(W)] {
            [both] => [(both >> 32).count_ones(), (both & LOW).count_ones()],
            words => [ones(&words[..words.len() / 2]), ones(&words[words.len() / 2..])],
        };
        sides.map(|bits| bits > 7)
    }

    /// Columns in which the pattern asks for anything, a bit each.
    pub(super) fn columns(&self) -> u32 {
        (0..W).fold(0, |columns, word| {
            let low = u32::from(self.mask[word] & LOW != 0) << (2 * word);
            let any = if is_range(W, word) { HIGH } else { 0 };
            let high = u32::from(self.mask[word] & HIGH != any) << (2 * word + 1);
            columns | low | high
        })
    }
}

impl Pattern4 {
    /// Source address under a mask, which need not be a prefix.
    #[must_use]
    pub fn source(self, address: u32, mask: u32) -> Self {
        self.ternary(0, u64::from(address) << 32, u64::from(mask) << 32)
    }

    /// Destination address under a mask, which need not be a prefix.
    #[must_use]
    pub fn destination(self, address: u32, mask: u32) -> Self {
        self.ternary(0, address.into(), mask.into())
    }
}

impl Pattern6 {
    /// Source address under a mask.
    #[must_use]
    pub fn source(self, address: u128, mask: u128) -> Self {
        let (value, bits) = (halves(address), halves(mask));
        self.ternary(0, value[0], bits[0]).ternary(1, value[1], bits[1])
    }

    /// Destination address under a mask.
    #[must_use]
    pub fn destination(self, address: u128, mask: u128) -> Self {
        let (value, bits) = (halves(address), halves(mask));
        self.ternary(2, value[0], bits[0]).ternary(3, value[1], bits[1])
    }
}

const HIGH: u64 = 0xffff_ffff << 32;
const LOW: u64 = 0xffff_ffff;

/// Whether the upper half of a word is two ranges.
const fn is_range(words: usize, word: usize) -> bool {
    range_columns(words) >> (2 * word + 1) & 1 != 0
}

/// The upper and the lower half of an address.
#[expect(clippy::cast_possible_truncation, reason = "halves of an address")]
const fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}
