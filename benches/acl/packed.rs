//! Headers as contestants get them: packed bytes in network byte order.

use crate::set::{self, Family, Header};

/// Headers a record each: protocol, source, destination, ports, then padding.
pub(crate) struct Packed {
    pub(crate) family: Family,
    bytes: Vec<u8>,
    count: usize,
}

/// Bytes of an IPv4 record.
pub(crate) const RECORD_V4: usize = 16;
/// Bytes of an IPv6 record.
pub(crate) const RECORD_V6: usize = 40;

impl Packed {
    /// Lays out `headers`.
    pub(crate) fn new(family: Family, headers: &[Header]) -> Self {
        let mut bytes = Vec::new();
        let skip = 16 - usize::from(set::bits(family) / 8);
        let stride = stride(family);
        for (at, header) in headers.iter().enumerate() {
            bytes.push(header.proto);
            bytes.extend(&header.src.to_be_bytes()[skip..]);
            bytes.extend(&header.dst.to_be_bytes()[skip..]);
            bytes.extend(header.sport.to_be_bytes());
            bytes.extend(header.dport.to_be_bytes());
            bytes.resize((at + 1) * stride, 0);
        }
        Self { family, bytes, count: headers.len() }
    }

    /// Number of headers.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// All records, which are of `N` bytes; none if they are of another size.
    pub(crate) fn as_records<const N: usize>(&self) -> &[[u8; N]] {
        if N == stride(self.family) { self.bytes.as_chunks().0 } else { &[] }
    }

    /// Record by record.
    #[cfg_attr(not(feature = "dpdk"), expect(dead_code, reason = "only peers take records"))]
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(stride(self.family))
    }
}

const fn stride(family: Family) -> usize {
    match family {
        Family::V4 => RECORD_V4,
        Family::V6 => RECORD_V6,
    }
}
