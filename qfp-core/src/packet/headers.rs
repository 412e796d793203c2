//! What is read of network headers, from `l3-parse` on.

use hal::VECTOR;

/// What is read of network headers, from `l3-parse` on.
///
/// Arrays by slot, each a multiple of a cache line.
#[repr(C, align(64))]
pub(crate) struct Headers {
    /// IP packet length, bytes.
    pub(crate) ip_len: [u16; VECTOR],
    /// Bytes in front of the network header.
    pub(crate) offset: [u8; VECTOR],
    /// IPv4 source and destination, host byte order.
    pub(crate) src4: [u32; VECTOR],
    pub(crate) dst4: [u32; VECTOR],
    /// What the second-last word of the fixed IPv4 header becomes (TTL decremented, protocol,
    /// checksum), as it lies in memory; for IPv6 the new hop limit in the low byte.
    pub(crate) next_ttl: [u32; VECTOR],
    /// IPv6 destination, host byte order, upper and lower half.
    pub(crate) dst6_hi: [u64; VECTOR],
    pub(crate) dst6_lo: [u64; VECTOR],
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            ip_len: [0; VECTOR],
            offset: [0; VECTOR],
            src4: [0; VECTOR],
            dst4: [0; VECTOR],
            next_ttl: [0; VECTOR],
            dst6_hi: [0; VECTOR],
            dst6_lo: [0; VECTOR],
        }
    }
}
