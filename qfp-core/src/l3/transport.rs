//! Where the transport header is, for the rows that look at ports.

use crate::packet::{L3, Vector};
use crate::wire::{Chain, protocol};

/// The transport header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Transport {
    /// Protocol number.
    pub protocol: u8,
    /// Offset from the network header, bytes.
    pub offset: u16,
    /// True for a fragment other than the first: there are no ports.
    pub later_fragment: bool,
}

impl Vector {
    /// The transport header of the packet in `slot`; `None` without a network header.
    ///
    /// Reads two bytes of the header; chains of IPv6 extension headers were walked at `l3-parse`.
    #[inline]
    #[must_use]
    pub fn transport(&self, slot: usize) -> Option<Transport> {
        let header = self.network(slot);
        match self.l3(slot) {
            L3::Ipv4 => {
                let fixed = header.first_chunk::<20>()?;
                Some(Transport {
                    protocol: fixed[9],
                    offset: u16::from(fixed[0] & 0xf) * 4,
                    later_fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff != 0,
                })
            }
            L3::Ipv6 if self.is.extended.contains(slot) => {
                let cold = self.cold(slot);
                Some(Transport {
                    protocol: cold.protocol,
                    offset: cold.l4_offset,
                    later_fragment: cold.later_fragment,
                })
            }
            L3::Ipv6 => Some(Transport {
                protocol: header.first_chunk::<40>()?[6],
                offset: 40,
                later_fragment: false,
            }),
            L3::Other => None,
        }
    }

    /// The extension headers of an IPv6 packet; they are walked.
    #[must_use]
    pub fn chain(&self, slot: usize) -> Chain {
        let packet = self.network(slot);
        let end = usize::from(self.l3.ip_len[slot & 63]).min(packet.len());
        let first = packet.get(6).copied().unwrap_or(protocol::NO_NEXT_HEADER);
        Chain::walk(first, packet.get(40..end).unwrap_or(&[]))
    }

    /// Hash of the packet's flow: addresses, protocol and, where they can be read, ports.
    ///
    /// The same for all packets of a flow. Fragments hash by addresses and, of IPv4, protocol only, all
    /// of them, so that a fragmented datagram stays together (RFC 2992, RFC 6438).
    #[must_use]
    pub fn flow_hash(&self, slot: usize) -> u32 {
        let header = self.network(slot);
        let Some(transport) = self.transport(slot) else { return 0 };
        let addresses = match self.l3(slot) {
            L3::Ipv4 => header.get(12..20),
            _ => header.get(8..40),
        };
        let (protocol, fragment) = match self.l3(slot) {
            L3::Ipv4 => {
                let word = header.get(6..8);
                let fragment = word.is_some_and(|w| w[0] & 0x3f != 0 || w[1] != 0);
                (transport.protocol, fragment)
            }
            // The first fragment may say another protocol than the others: headers that go with the
            // payload stand behind its fragment header. It is read again, for others are plain.
            _ if self.is.extended.contains(slot) && self.chain(slot).is_fragment => {
                (protocol::FRAGMENT, true)
            }
            _ => (transport.protocol, false),
        };
        let mut hash = u64::from(protocol) ^ 0x9e37_79b9_7f4a_7c15;
        for chunk in addresses.unwrap_or(&[]).chunks_exact(8) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            hash = mix(hash ^ u64::from_le_bytes(bytes));
        }
        let ported = matches!(protocol, 6 | 17 | 33 | 132 | 136);
        if ported && !fragment {
            let offset = usize::from(transport.offset);
            if let Some(&ports) = header.get(offset..).and_then(|rest| rest.first_chunk::<4>()) {
                hash = mix(hash ^ u64::from(u32::from_le_bytes(ports)));
            }
        }
        // The well-mixed half.
        (mix(hash) >> 32) as u32
    }
}

/// Folded 64 by 64 bit multiplication: every input bit reaches every output bit.
#[inline]
const fn mix(value: u64) -> u64 {
    let product = value as u128 * 0xd6e8_feb8_6659_fd93_u128;
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}
