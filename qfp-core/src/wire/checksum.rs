//! The Internet checksum (RFC 1071), its incremental update (RFC 1624) and pseudo headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A one's complement sum under way.
///
/// ```text
/// Sum::default().bytes(header).bytes(body).finish()
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds `bytes`; an odd last byte counts as the high half of a word, so only the last piece
    /// may have odd length. O(n).
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    /// Adds a 32-bit number as two words.
    #[must_use]
    pub fn long(self, long: u32) -> Self {
        self.bytes(&long.to_be_bytes())
    }

    /// Adds the pseudo header of UDP and TCP over IPv4 (RFC 768, RFC 9293 3.1).
    #[must_use]
    pub fn pseudo_v4(self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, length: u32) -> Self {
        self.bytes(&src.octets()).bytes(&dst.octets()).word(u16::from(protocol)).long(length)
    }

    /// Adds the pseudo header of everything over IPv6 (RFC 8200 8.1).
    #[must_use]
    pub fn pseudo_v6(self, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, length: u32) -> Self {
        self.bytes(&src.octets()).bytes(&dst.octets()).word(u16::from(protocol)).long(length)
    }

    /// Adds the pseudo header for two addresses; `None` when they are of different families.
    #[must_use]
    pub fn pseudo(self, src: IpAddr, dst: IpAddr, protocol: u8, length: u32) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(self.pseudo_v4(src, dst, protocol, length)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(self.pseudo_v6(src, dst, protocol, length)),
            _ => None,
        }
    }

    /// The checksum field's value: the complement of the folded sum.
    ///
    /// Over data that contains a right checksum this is 0.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let [.., high, low] = sum.to_be_bytes();
        !u16::from_be_bytes([high, low])
    }
}

/// Checksum of `bytes`, with the checksum field in them zero; 0 when they contain a right one.
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::default().bytes(bytes).finish()
}

/// The checksum after one 16-bit word of the data went from `old` to `new` (RFC 1624, eqn. 3).
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::default().word(!checksum).word(!old).word(new).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_worked_examples_of_the_rfcs_come_out() {
        // RFC 1071 section 3: the sum of these bytes is ddf2.
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        // RFC 1624 section 4: 5555 becomes 3285 in data with checksum dd2f.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_odd_last_byte_is_a_high_byte() {
        assert_eq!(internet(&[0x12, 0x34, 0x56]), internet(&[0x12, 0x34, 0x56, 0x00]));
    }

    proptest! {
        #[test]
        fn updating_equals_computing_anew(
            mut words in prop::collection::vec(any::<u16>(), 2..40),
            at in any::<prop::sample::Index>(),
            new in any::<u16>(),
        ) {
            // A header never sums to zero: its first word, the version, is not.
            words[0] |= 0x4000;
            let at = 1 + at.index(words.len() - 1);
            let bytes = |words: &[u16]| -> Vec<u8> {
                words.iter().flat_map(|word| word.to_be_bytes()).collect()
            };
            let before = internet(&bytes(&words));
            let old = std::mem::replace(&mut words[at], new);
            prop_assert_eq!(update(before, old, new), internet(&bytes(&words)));
        }
    }
}
