//! What is to be done to one packet, and how it ended.

use std::ops::Range;

/// Packets of a batch at most.
pub const BATCH: usize = crate::VECTOR;

/// What is authenticated before the payload and not sent with it, up to 16 bytes.
///
/// For ESP: SPI and sequence number, 8 bytes, or 12 with extended sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aad {
    words: [u64; 2],
    len: u32,
}

impl Aad {
    /// SPI and sequence number (RFC 4106 §5).
    #[inline]
    #[must_use]
    pub const fn esp(spi: u32, sequence: u32) -> Self {
        Self { words: [(spi.to_be() as u64) | (sequence.to_be() as u64) << 32, 0], len: 8 }
    }

    /// SPI and extended sequence number, its high half first (RFC 4106 §5).
    ///
    /// HMACs take the low half there and the high half after the payload (RFC 4303 §2.2.1).
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub const fn esn(spi: u32, sequence: u64) -> Self {
        let (high, low) = ((sequence >> 32) as u32, sequence as u32);
        Self {
            words: [(spi.to_be() as u64) | (high.to_be() as u64) << 32, low.to_be() as u64],
            len: 12,
        }
    }

    /// Any bytes; none if there are more than 16.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; 16];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let len = u32::try_from(bytes.len()).ok()?;
        Some(Self { words: Iv::block(padded).0, len })
    }

    /// Its bytes, padded with zeroes, as the words they are in memory.
    #[inline]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        self.words
    }

    /// Number of bytes.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always something")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Its bytes, padded with zeroes.
    #[must_use]
    pub fn padded(&self) -> [u8; 16] {
        Iv(self.words).bytes()
    }
}

/// The IV of one packet, as it travels.
///
/// Never use one twice with the same key: with GCM and ChaCha20 that gives everything away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iv([u64; 2]);

impl Iv {
    /// The IV of 8 bytes that is a counter, most significant byte first.
    #[inline]
    #[must_use]
    pub const fn counter(count: u64) -> Self {
        Self([count.to_be(), 0])
    }

    /// An IV of 16 bytes, for CBC: it must not be predictable.
    #[inline]
    #[must_use]
    pub const fn block(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self([
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// The IV of 8 bytes.
    #[inline]
    #[must_use]
    pub const fn short(bytes: [u8; 8]) -> Self {
        Self([u64::from_le_bytes(bytes), 0])
    }

    /// The first 8 bytes, as a word in memory.
    #[inline]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0[0]
    }

    /// All 16 bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        (self.0[0] as u128 | (self.0[1] as u128) << 64).to_le_bytes()
    }
}

/// What is to be done to one packet: no pointers, so that it may cross to another lcore.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Row of the table of keys.
    pub key: u32,
    /// Where the payload begins in the packet.
    pub payload: u32,
    /// Bytes of payload.
    pub payload_len: u32,
    /// Where the tag is or is written; it may not overlap the payload.
    pub tag: u32,
    /// The IV; the engine neither reads nor writes the packet's own copy.
    pub iv: Iv,
    /// What is authenticated besides.
    pub aad: Aad,
}

impl Job {
    /// A job for a payload whose tag follows it, as in ESP.
    #[inline]
    #[must_use]
    pub const fn new(key: u32, payload: u32, payload_len: u32, iv: Iv, aad: Aad) -> Self {
        Self { key, payload, payload_len, tag: payload.wrapping_add(payload_len), iv, aad }
    }

    /// The bytes of the payload.
    #[inline]
    #[must_use]
    pub const fn payload_range(&self) -> Range<usize> {
        self.payload as usize..self.payload as usize + self.payload_len as usize
    }

    /// The bytes of a tag of `len` bytes.
    #[inline]
    #[must_use]
    pub const fn tag_range(&self, len: usize) -> Range<usize> {
        self.tag as usize..self.tag as usize + len
    }
}

/// How a packet ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Sealed, or opened and authentic.
    Done,
    /// The tag is wrong. The payload is zeroes now.
    NotAuthentic,
    /// Payload or tag lie outside of the packet or overlap; nothing was changed.
    OutOfRange,
    /// The payload is not a multiple of the cipher's block or is too long; nothing was changed.
    BadLength,
    /// There is no key in that row; nothing was changed.
    #[default]
    NoKey,
}

/// How each packet of a batch ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes(pub [Outcome; BATCH]);

impl Outcomes {
    /// Nothing has been done.
    pub const NONE: Self = Self([Outcome::NoKey; BATCH]);

    /// How packet `i` ended; [`Outcome::NoKey`] beyond the batch.
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> Outcome {
        self.0.get(i).copied().unwrap_or_default()
    }

    /// A bit for each packet that is [`Outcome::Done`].
    #[inline]
    #[must_use]
    pub fn done(&self) -> u64 {
        self.0
            .iter()
            .enumerate()
            .fold(0, |mask, (i, &outcome)| mask | u64::from(outcome == Outcome::Done) << i)
    }
}
