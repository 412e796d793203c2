//! Packets that claim to come from this router: its MAC address, its IP addresses and the broadcast
//! addresses of its networks as source.
//!
//! Nothing on a link may have these but this router (RFC 1812 5.3.8, RFC 2827). Looking every source
//! up would cost as much as routing does, so a filter of two bits a packet says which may be ours,
//! and only those are looked for in the list. Both come from the client.

use std::net::IpAddr;

use hal::PacketMask;

use crate::l2::PortClass;
use crate::packet::{DropReason, Source, Vector};
use crate::step::Lcore;
use crate::tables::{Tables, table_kind};
use crate::uidb::{TableId, Uidb, UidbTable};

pal::plain_struct! {
    /// An address that only this router has, or nobody.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct OwnAddress {
        /// The routing table it belongs to.
        pub table: u64,
        /// The address, upper and lower half; IPv4 as `::ffff:a.b.c.d`.
        pub high: u64,
        /// Lower half.
        pub low: u64,
    }
}

impl OwnAddress {
    fn new(table: TableId, address: u128) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let (high, low) = ((address >> 64) as u64, address as u64);
        Self { table: u64::from(table.0), high, low }
    }
}

/// Words of the octets' part of a filter, which comes first: one register.
const OCTETS: usize = 16;
/// Words of the smallest filter behind them, which the kernel keeps in two registers.
pub(super) const FILTER: usize = 32;
/// Words of the smallest with the octets' part.
pub(crate) const LEAST_FILTER: usize = OCTETS + FILTER;
/// Words of the largest.
const FILTER_MAX: usize = 1 << 16;

/// What a packet's hash is multiplied with: 2^32 over the golden ratio.
pub(super) const GOLDEN: u32 = 0x9e37_79b1;
/// The bits of a hash, from here on, that choose the two bits of a word.
pub(super) const BITS: [u32; 2] = [17, 12];

/// What is hashed of an IPv4 address, host byte order.
pub(super) const fn key4(source: u32) -> u32 {
    source
}

/// What is hashed of an IPv6 address: its upper half, and the last 24 bits.
#[expect(clippy::cast_possible_truncation, reason = "folded on purpose")]
pub(super) const fn key6(source: u128) -> u32 {
    (source >> 96) as u32 ^ (source >> 64) as u32 ^ (source as u32 & 0x00ff_ffff)
}

/// The word of a filter of `words` words, and the bits in it, that stand for `key`.
const fn place(key: u32, words: usize) -> (usize, u32) {
    let hash = key.wrapping_mul(GOLDEN);
    let index = (hash >> (32 - words.trailing_zeros())) as usize;
    (index, 1 << (hash >> BITS[0] & 31) | 1 << (hash >> BITS[1] & 31))
}

/// Filter and list of `addresses`, as [`table_kind::OWN_FILTER`] and [`table_kind::OWN_ADDRESSES`]
/// have them.
///
/// The filter has two parts. In the first, 64 bytes in 16 words, bit `p` of byte `b` says that an
/// IPv4 address has an octet at place `p` (0 is the first) that ends in the six bits of `b`. The
/// other is a power of two of words, with two bits in one of them for each address. The list is in
/// order.
#[must_use]
pub fn own_addresses(
    addresses: impl IntoIterator<Item = (TableId, IpAddr)>,
) -> (Vec<u32>, Vec<OwnAddress>) {
    let addresses: Vec<(TableId, IpAddr)> = addresses.into_iter().collect();
    // Two addresses a word leave one foreign source in a hundred to be looked for.
    let words = (addresses.len() / 2).next_power_of_two().clamp(FILTER, FILTER_MAX);
    let mut filter = vec![0; OCTETS + words];
    let (octets, hashed) = filter.split_at_mut(OCTETS);
    let mut rows = Vec::new();
    for (table, address) in addresses {
        let (key, address) = match address {
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    let byte = usize::from(octet & 63);
                    octets[byte / 4] |= 1 << (byte % 4 * 8 + place);
                }
                (key4(address.to_bits()), address.to_ipv6_mapped().to_bits())
            }
            IpAddr::V6(address) => (key6(address.to_bits()), address.to_bits()),
        };
        let (word, bits) = place(key, words);
        hashed[word] |= bits;
        rows.push(OwnAddress::new(table, address));
    }
    rows.sort_unstable();
    rows.dedup();
    (filter, rows)
}

/// A filter as [`own_addresses`] makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter<'a> {
    pub(super) octets: &'a [u32; OCTETS],
    /// A power of two of words, at least [`FILTER`].
    pub(super) words: &'a [u32],
}

impl<'a> Filter<'a> {
    fn new(table: &'a [u32]) -> Option<Self> {
        let (octets, words) = table.split_first_chunk()?;
        (words.len() >= FILTER && words.len().is_power_of_two()).then_some(Self { octets, words })
    }

    /// Whether the address that `key` stands for may be ours.
    #[inline]
    fn may_have(&self, key: u32) -> bool {
        let (word, bits) = place(key, self.words.len());
        self.words.get(word).is_some_and(|word| word & bits == bits)
    }
}

/// What the frames of a vector are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    /// The port's MAC address, in the low 48 bits as in a frame; none for packets that came in
    /// through no port, whose frames have no addresses.
    pub(super) mac: Option<u64>,
    /// Sources that may be ours; none where own sources are allowed.
    pub(super) filter: Option<Filter<'a>>,
}

/// A MAC address that no frame has been checked for: a group, which is odd without it.
const NO_MAC: u64 = 0xffff_ffff_ffff;

impl<'a> Own<'a> {
    /// Nothing is compared.
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self { mac: None, filter: None };

    /// For the interfaces of `vector`.
    #[inline]
    pub(super) fn open(tables: &Tables<'a>, vector: &Vector) -> Self {
        if vector.walk.gates_in.any & Uidb::SOURCE == 0 {
            let mac = matches!(vector.walk.source, Source::Port(_)).then_some(NO_MAC);
            return Self { mac, filter: None };
        }
        let mac = match vector.walk.source {
            Source::Port(port) => {
                let ports: &[PortClass] = tables.view(table_kind::PORT_CLASS);
                Some(ports.get(usize::from(port)).map_or(NO_MAC, |port| port.mac))
            }
            Source::Internal { .. } => None,
        };
        Self { mac, filter: Filter::new(tables.view(table_kind::OWN_FILTER)) }
    }

    /// True for a frame whose source MAC address is a group, zero, or ours.
    #[inline]
    pub(super) fn is_odd(&self, frame: &[u8]) -> bool {
        let (Some(own), Some(&[a, b, c, d, e, f])) =
            (self.mac, frame.get(6..).and_then(|rest| rest.first_chunk::<6>()))
        else {
            return false;
        };
        let mac = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        mac & 1 == 1 || mac == 0 || mac == own
    }
}

/// Drops the frames of `select` whose source MAC address no station has, and those with ours where
/// that is not allowed. Returns the others.
#[inline]
pub(super) fn drop_odd_frames(
    lcore: &Lcore<'_>,
    vector: &mut Vector,
    select: PacketMask,
    own: &Own<'_>,
) -> PacketMask {
    let mut left = select;
    for slot in select {
        let frame = vector.burst.frame(slot);
        if own.is_odd(frame) {
            // A vector may have interfaces of both kinds.
            let unicast = frame[6] & 1 == 0 && frame.get(6..12) != Some(&[0; 6]);
            if !(unicast && allows(lcore, vector, slot)) {
                vector.drop(slot, DropReason::SourceMac);
                left.remove(slot);
            }
        }
    }
    left
}

/// Drops the packets of `select` whose source is an address of their routing table that only this
/// router has, where that is not allowed.
#[inline]
pub(super) fn drop_own(lcore: &Lcore<'_>, vector: &mut Vector, select: PacketMask, own: &Own<'_>) {
    let Some(filter) = own.filter else { return };
    let rows: &[OwnAddress] = lcore.tables.view(table_kind::OWN_ADDRESSES);
    for slot in select & vector.live & (vector.is.ipv4 | vector.is.ipv6) {
        let (key, address) = if vector.is.ipv4.contains(slot) {
            let source = vector.l3.src4[slot & 63];
            (key4(source), u128::from(source) | 0xffff << 32)
        } else {
            let source = vector.network(slot).get(8..).and_then(|rest| rest.first_chunk::<16>());
            let source = source.map_or(0, |source| u128::from_be_bytes(*source));
            (key6(source), source)
        };
        if filter.may_have(key) {
            let table = vector.own_table(UidbTable::open(&lcore.tables), slot);
            let own = rows.binary_search(&OwnAddress::new(table, address)).is_ok();
            if own && !allows(lcore, vector, slot) {
                vector.drop(slot, DropReason::OwnSource);
            }
        }
    }
}

/// Whether the packet's interface takes what the router has sent itself.
fn allows(lcore: &Lcore<'_>, vector: &Vector, slot: usize) -> bool {
    let uidb = UidbTable::open(&lcore.tables).get(vector.route.input[slot & 63]);
    uidb.features_in & Uidb::SOURCE == 0
}

#[cfg(test)]
mod tests;
