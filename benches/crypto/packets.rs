//! Packets of ESP, as every contestant has them.

use qfp::core::crypto::{Algorithm, BATCH};

/// Where the payload begins: behind Ethernet, IPv4, the ESP header and the longest IV.
pub(crate) const PAYLOAD: usize = 14 + 20 + 8 + 16;

/// One packet of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packet {
    /// Index of its SA.
    pub(crate) sa: usize,
    /// Sequence number, and IV of a counter.
    pub(crate) number: u64,
}

impl Packet {
    pub(crate) fn spi(self) -> u32 {
        0x1000 + u32::try_from(self.sa).unwrap_or(0)
    }

    pub(crate) fn sequence(self) -> u32 {
        u32::try_from(self.number & 0xffff_ffff).unwrap_or(0)
    }

    /// The IV as it travels, 16 bytes of which the first 8 may count.
    pub(crate) fn iv(self) -> [u8; 16] {
        let mut iv = [0x5a; 16];
        iv[..8].copy_from_slice(&self.number.to_be_bytes());
        iv
    }

    /// The nonce of a cipher that authenticates.
    pub(crate) fn nonce(self, key: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&key[key.len() - 4..]);
        nonce[4..].copy_from_slice(&self.iv()[..8]);
        nonce
    }

    /// SPI and sequence number.
    pub(crate) fn header(self) -> [u8; 8] {
        let mut header = [0; 8];
        header[..4].copy_from_slice(&self.spi().to_be_bytes());
        header[4..].copy_from_slice(&self.sequence().to_be_bytes());
        header
    }
}

/// Packets, and which SAs there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) algorithm: Algorithm,
    /// Bytes of payload.
    pub(crate) len: usize,
    /// Number of SAs.
    pub(crate) sas: usize,
}

impl Shape {
    /// Bytes of a packet's buffer; a multiple of a cache line.
    pub(crate) fn stride(self) -> usize {
        (PAYLOAD + self.len + self.algorithm.tag_len()).next_multiple_of(64) + 64
    }

    /// Where the header begins.
    pub(crate) fn header(self) -> usize {
        PAYLOAD - self.algorithm.iv_len() - 8
    }

    /// Where the tag ends.
    pub(crate) fn end(self) -> usize {
        PAYLOAD + self.len + self.algorithm.tag_len()
    }

    /// Key of the cipher, salt included, and of the HMAC, of one SA.
    pub(crate) fn keys(self, sa: usize) -> (Vec<u8>, Vec<u8>) {
        let byte = |i: usize| (sa * 31 + i * 7 + sa / 256).to_le_bytes()[0];
        let cipher = (0..self.algorithm.cipher_key_len()).map(byte).collect();
        (cipher, (100..100 + self.algorithm.auth_key_len()).map(byte).collect())
    }
}

/// The buffers of a batch.
pub(crate) struct Buffers {
    bytes: Vec<u8>,
    /// To the first cache line.
    start: usize,
    pub(crate) shape: Shape,
}

impl Buffers {
    pub(crate) fn new(shape: Shape) -> Self {
        let bytes = vec![0; shape.stride() * BATCH + 64];
        let start = bytes.as_ptr().align_offset(64);
        Self { bytes, start, shape }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes[self.start..].chunks_exact_mut(self.shape.stride()).take(BATCH)
    }

    /// Writes headers and IVs.
    pub(crate) fn prepare(&mut self, packets: &[Packet]) {
        let shape = self.shape;
        for (bytes, packet) in self.iter_mut().zip(packets) {
            fill(bytes, *packet, shape);
        }
    }

    /// Payload and tag of a packet.
    pub(crate) fn sealed(&self, i: usize) -> &[u8] {
        let packet = &self.bytes[self.start + i * self.shape.stride()..];
        &packet[PAYLOAD..self.shape.end()]
    }
}

/// A batch of somebody who wants nonces.
pub(crate) struct Batch {
    pub(crate) packets: [Packet; BATCH],
    pub(crate) nonces: [[u8; 12]; BATCH],
    pub(crate) buffers: Buffers,
}

impl Batch {
    pub(crate) fn new(shape: Shape) -> Self {
        let buffers = Buffers::new(shape);
        Self { packets: [Packet::default(); BATCH], nonces: [[0; 12]; BATCH], buffers }
    }

    /// `salts`: for each SA bytes that end with its salt.
    pub(crate) fn prepare(&mut self, packets: &[Packet; BATCH], salts: &[Vec<u8>]) {
        self.buffers.prepare(packets);
        self.packets = *packets;
        for (nonce, packet) in self.nonces.iter_mut().zip(packets) {
            *nonce = packet.nonce(&salts[packet.sa]);
        }
    }
}

/// Writes header, IV and a payload that its number determines.
pub(crate) fn fill(bytes: &mut [u8], packet: Packet, shape: Shape) {
    let start = shape.header();
    bytes[start..start + 8].copy_from_slice(&packet.header());
    bytes[start + 8..PAYLOAD].copy_from_slice(&packet.iv()[..shape.algorithm.iv_len()]);
    bytes[PAYLOAD..PAYLOAD + shape.len].fill(packet.number.to_le_bytes()[0]);
}
