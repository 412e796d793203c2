//! From a packet to its key.

use hal::PacketMask;

use crate::acl::key::{
    Keys, Keys4, Keys6, NO_TAG, WORDS4, WORDS6, condition, destination_mac_word, length_word, link,
    link_word, source_mac_word, transport_word,
};
use crate::packet::Vector;
use crate::wire::{Chain, ChainEnd, holds_upper_header, is_extension, may_hide};

/// Fills in the keys of IPv4 packets, as far as rules ask for `columns`.
#[inline]
pub(super) fn keys4(vector: &Vector, select: PacketMask, columns: u32, keys: &mut Keys4) {
    for slot in select {
        let i = slot & 63;
        // Not from the vector: policy may have put a next hop in the destination's place there.
        let addresses = vector.network(slot).get(12..20).and_then(|bytes| bytes.as_array::<8>());
        keys.words[0][i] = addresses.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        keys.words[transport_word(WORDS4)][i] = transport4(vector, slot);
    }
    if columns >> (2 * length_word(WORDS4)) != 0 {
        for slot in select {
            let ttl = vector.network(slot).get(8).copied().unwrap_or(0);
            let length = vector.l3.ip_len[slot & 63];
            keys.words[length_word(WORDS4)][slot & 63] =
                u64::from(length) << 48 | u64::from(ttl) << 32;
            fill_link(vector, slot, keys);
        }
    }
}

/// Fills in the keys of IPv6 packets, as far as rules ask for `columns`.
#[inline]
pub(super) fn keys6(vector: &Vector, select: PacketMask, columns: u32, keys: &mut Keys6) {
    for slot in select {
        let i = slot & 63;
        let addresses = vector.network(slot).get(8..40).and_then(|a| a.as_array::<32>());
        let (halves, _) = addresses.unwrap_or(&[0; 32]).as_chunks::<8>();
        for (words, half) in keys.words.iter_mut().zip(halves) {
            words[i] = u64::from_be_bytes(*half);
        }
        keys.words[transport_word(WORDS6)][i] = transport6(vector, slot);
    }
    if columns >> (2 * length_word(WORDS6)) != 0 {
        for slot in select {
            let header = vector.network(slot);
            let hop_limit = header.get(7).copied().unwrap_or(0);
            let label = header.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b) & 0xf_ffff);
            let length = vector.l3.ip_len[slot & 63];
            keys.words[length_word(WORDS6)][slot & 63] =
                u64::from(length) << 48 | u64::from(hop_limit) << 32 | u64::from(label);
            fill_link(vector, slot, keys);
        }
    }
}

/// The transport word of an IPv4 packet.
#[inline]
fn transport4(vector: &Vector, slot: usize) -> u64 {
    let packet = vector.network(slot);
    let Some(fixed) = packet.first_chunk::<20>() else { return 0 };
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    let mut flags = 0;
    if fragment != 0 {
        let (later, more) = (fragment & 0x1fff != 0, fragment & 0x2000 != 0);
        flags = flag(later, condition::LATER_FRAGMENT)
            | flag(later || more, condition::FRAGMENT)
            | flag(!later && more, condition::FIRST_FRAGMENT)
            | flag(later && !more, condition::LAST_FRAGMENT)
            | flag(fragment & 0x4000 != 0, condition::DONT_FRAGMENT);
    }
    flags |= flag(fixed[16] >> 4 == 0xe, condition::MULTICAST);
    let end = usize::from(vector.l3.ip_len[slot & 63]).min(packet.len());
    let transport = packet.get(usize::from(fixed[0] & 0xf) * 4..end).unwrap_or(&[]);
    transport_of(fixed[9], fixed[1], flags, transport)
}

/// The transport word of an IPv6 packet.
#[inline]
fn transport6(vector: &Vector, slot: usize) -> u64 {
    let packet = vector.network(slot);
    let Some(fixed) = packet.first_chunk::<40>() else { return 0 };
    let class = fixed[0] << 4 | fixed[1] >> 4;
    let mut flags = flag(fixed[24] == 0xff, condition::MULTICAST);
    let end = usize::from(vector.l3.ip_len[slot & 63]).min(packet.len());
    let payload = packet.get(40..end).unwrap_or(&[]);
    if !is_extension(fixed[6]) {
        let undetermined = may_hide(fixed[6]) || !holds_upper_header(fixed[6], payload);
        flags |= flag(undetermined, condition::UNDETERMINED);
        return transport_of(fixed[6], class, flags, payload);
    }
    let chain = Chain::walk(fixed[6], payload);
    let (fragment, later) = (chain.is_fragment, chain.later_fragment);
    flags |= flag(later, condition::LATER_FRAGMENT)
        | flag(fragment, condition::FRAGMENT)
        | flag(fragment && !later, condition::FIRST_FRAGMENT)
        | flag(chain.last_fragment, condition::LAST_FRAGMENT)
        | flag(chain.is_undetermined(), condition::UNDETERMINED);
    // What is left of an extension header that is cut short has no ports.
    let upper = match chain.end {
        ChainEnd::ExtensionCut => &[],
        _ => packet.get(chain.offset..end).unwrap_or(&[]),
    };
    transport_of(chain.protocol, class, flags, upper)
}

#[inline]
fn transport_of(protocol: u8, class: u8, flags: u8, header: &[u8]) -> u64 {
    let mut ports = 0;
    let mut tcp = 0;
    if flags & condition::LATER_FRAGMENT == 0 {
        match (protocol, header.first_chunk::<4>()) {
            (6 | 17 | 33 | 132 | 136, Some(first)) => ports = u32::from_be_bytes(*first),
            (1 | 58, Some(first)) => {
                ports = u32::from(first[0]) << 8 | u32::from(first[1]);
            }
            _ => {}
        }
        if protocol == 6 {
            tcp = header.get(13).copied().unwrap_or(0);
        }
    }
    u64::from(ports) << 32
        | u64::from(protocol) << 24
        | u64::from(tcp) << 16
        | u64::from(class) << 8
        | u64::from(flags)
}

/// The words of the link layer: tags and addresses, and what qfp knows of the packet.
fn fill_link<const W: usize>(vector: &Vector, slot: usize, keys: &mut Keys<W>) {
    let i = slot & 63;
    let frame = vector.burst.frame(slot);
    let l3 = usize::from(vector.l3.offset[i]);
    let tag = |at: usize| {
        (l3 >= at + 4).then(|| frame.get(at..at + 2)).flatten().map(|b| {
            let control = u16::from_be_bytes([b[0], b[1]]);
            (control & 0xfff, u64::from(control >> 13), u64::from(control >> 12 & 1))
        })
    };
    let (mut vlan, mut inner_vlan, mut fields) = (NO_TAG, NO_TAG, 0);
    if let Some((id, cos, dei)) = tag(14) {
        vlan = id;
        fields |= cos << link::COS | dei << link::DEI | 1 << link::TAGGED;
    }
    if let Some((id, cos, _)) = tag(18) {
        inner_vlan = id;
        fields |= cos << link::INNER_COS | 1 << link::INNER_TAGGED;
    }
    let (group, discard) = vector.internal_marks(slot);
    fields |= u64::from(group) << link::QOS_GROUP | u64::from(discard) << link::DISCARD_CLASS;
    keys.words[link_word(W)][i] = u64::from(vlan) << 48 | u64::from(inner_vlan) << 32 | fields;
    let address = |at: usize| {
        let bytes = frame.get(at..at + 6).unwrap_or(&[0; 6]);
        bytes.iter().fold(0, |address, byte| address << 8 | u64::from(*byte))
    };
    let ethertype =
        frame.get(l3.wrapping_sub(2)..l3).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    keys.words[destination_mac_word(W)][i] = address(0) << 16 | u64::from(ethertype);
    keys.words[source_mac_word(W)][i] = address(6) << 16;
}

#[inline(always)]
const fn flag(condition: bool, bit: u8) -> u8 {
    if condition { bit } else { 0 }
}
