//! HMAC (RFC 2104) with SHA-256, SHA-384 and SHA-512, truncated as ESP wants it (RFC 4868), from
//! the states after the pads.

use sha2::block_api::{compress256, compress512};
use zeroize::Zeroize;

use super::algorithm::Hash;

/// Initial values (FIPS 180-4 §5.3).
const SHA256: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
const SHA384: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];
const SHA512: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// What an HMAC covers: a head, the packet's bytes and a tail, without copying them together.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// At most one block.
    pub(super) head: &'a [u8],
    pub(super) data: &'a [u8],
    /// At most 4 bytes.
    pub(super) tail: &'a [u8],
}

/// Bytes of the longest tag.
pub(super) const LONGEST: usize = 64;

/// The whole digest in the first bytes; the tag is its beginning.
pub(super) type Digest = [u8; LONGEST];

/// Writes the states after the inner and the outer pad: 8 rows.
pub(super) fn precompute(hash: Hash, key: &[u8], rows: &mut [[u8; 16]]) {
    let (inner, outer) = rows.split_at_mut(4);
    match hash {
        Hash::Sha256 => {
            small::write(&small::padded(SHA256, key, 0x36), inner);
            small::write(&small::padded(SHA256, key, 0x5c), outer);
        }
        Hash::Sha384 => {
            large::write(&large::padded(SHA384, key, 0x36), inner);
            large::write(&large::padded(SHA384, key, 0x5c), outer);
        }
        Hash::Sha512 => {
            large::write(&large::padded(SHA512, key, 0x36), inner);
            large::write(&large::padded(SHA512, key, 0x5c), outer);
        }
    }
}

/// The HMAC of `text`, by the states that [`precompute`] wrote.
pub(super) fn digest(hash: Hash, rows: &[[u8; 16]], text: Text<'_>) -> Digest {
    let (inner, outer) = rows.split_at(4);
    match hash {
        Hash::Sha256 => small::digest(inner, outer, text, 32),
        Hash::Sha384 => large::digest(inner, outer, text, 48),
        Hash::Sha512 => large::digest(inner, outer, text, 64),
    }
}

/// The same for both widths of word.
macro_rules! width {
    ($name:ident, $word:ty, $block:literal, $compress:ident) => {
        mod $name {
            use super::{Digest, LONGEST, Text, Zeroize, $compress};

            const BLOCK: usize = $block;
            const WORD: usize = size_of::<$word>();
            pub(super) type State = [$word; 8];

            /// The state after one block of key and pad; the key is at most one block.
            pub(super) fn padded(mut state: State, key: &[u8], pad: u8) -> State {
                let mut block = [pad; BLOCK];
                for (byte, key) in block.iter_mut().zip(key) {
                    *byte ^= key;
                }
                $compress(&mut state, &[block]);
                block.zeroize();
                state
            }

            pub(super) fn write(state: &State, rows: &mut [[u8; 16]]) {
                for (i, word) in state.iter().enumerate() {
                    let (row, at) = (i * WORD / 16, i * WORD % 16);
                    rows[row][at..at + WORD].copy_from_slice(&word.to_le_bytes());
                }
            }

            #[inline]
            fn read(rows: &[[u8; 16]]) -> State {
                let mut words = rows.as_flattened().as_chunks().0.iter();
                [0; 8].map(|_: $word| words.next().map_or(0, |word| <$word>::from_le_bytes(*word)))
            }

            #[inline]
            fn bytes(state: &State) -> Digest {
                let mut bytes = [0; LONGEST];
                for (bytes, word) in bytes.chunks_exact_mut(WORD).zip(state) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
                bytes
            }

            pub(super) fn digest(
                inner: &[[u8; 16]],
                outer: &[[u8; 16]],
                text: Text<'_>,
                len: usize,
            ) -> Digest {
                let mut state = read(inner);
                absorb(&mut state, text);
                let digest = bytes(&state);
                let mut state = read(outer);
                absorb(&mut state, Text { head: &digest[..len], data: &[], tail: &[] });
                bytes(&state)
            }

            /// Hashes all of a text that follows one block, padding and length included.
            #[inline]
            fn absorb(state: &mut State, text: Text<'_>) {
                let Text { head, data, tail } = text;
                let bits = ((BLOCK + head.len() + data.len() + tail.len()) as u64) << 3;
                // Room for what is left of the text and the padding.
                let mut end = [0; 2 * BLOCK];
                end[..head.len()].copy_from_slice(head);
                let mut filled = head.len();
                let (start, data) = data.split_at(data.len().min(BLOCK - filled));
                end[filled..filled + start.len()].copy_from_slice(start);
                filled += start.len();
                if filled == BLOCK {
                    $compress(state, &end.as_chunks().0[..1]);
                    let (blocks, rest) = data.as_chunks();
                    $compress(state, blocks);
                    end[..rest.len()].copy_from_slice(rest);
                    filled = rest.len();
                }
                end[filled..filled + tail.len()].copy_from_slice(tail);
                filled += tail.len();
                end[filled] = 0x80;
                let blocks = (filled + 1 + 2 * WORD).div_ceil(BLOCK);
                end[filled + 1..].fill(0);
                end[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&bits.to_be_bytes());
                $compress(state, &end.as_chunks().0[..blocks]);
            }
        }
    };
}

width!(small, u32, 64, compress256);
width!(large, u64, 128, compress512);

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::{Hmac, KeyInit, Mac};

    fn expected<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }

    #[test]
    fn texts_of_every_length_agree_with_the_crate() {
        let text: Vec<u8> = (0..600u32).map(|i| (i * 7 + i / 256).to_le_bytes()[0]).collect();
        for (hash, len) in [(Hash::Sha256, 32), (Hash::Sha384, 48), (Hash::Sha512, 64)] {
            let key = &text[17..17 + len];
            let mut rows = [[0; 16]; 8];
            precompute(hash, key, &mut rows);
            for end in 0..text.len() {
                let head = end.min(24);
                let tail = (end - head).min(end % 2 * 4);
                let parts = Text {
                    head: &text[..head],
                    data: &text[head..end - tail],
                    tail: &text[end - tail..end],
                };
                let expected = match hash {
                    Hash::Sha256 => expected::<Hmac<sha2::Sha256>>(key, &text[..end]),
                    Hash::Sha384 => expected::<Hmac<sha2::Sha384>>(key, &text[..end]),
                    Hash::Sha512 => expected::<Hmac<sha2::Sha512>>(key, &text[..end]),
                };
                assert_eq!(digest(hash, &rows, parts)[..len], expected, "{hash:?}, {end} bytes");
            }
        }
    }
}
