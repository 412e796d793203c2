//! AES-GCM from the crates `aes` and `ghash`, block by block: for any processor, and the measure
//! of the other kernels.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use crate::crypto::algorithm::KeySize;
use crate::crypto::key::SaKey;
use hal::crypto::Iv;

/// Enciphers or deciphers in place and returns the tag, first byte lowest.
pub(super) fn crypt<const SEAL: bool>(
    size: KeySize,
    key: &SaKey,
    iv: Iv,
    aad: &[u8],
    data: &mut [u8],
) -> u128 {
    crypt_after::<SEAL>(size, key, iv, &[aad], data)
}

/// As [`crypt`], with an AAD in pieces, all but the last of whole blocks.
pub(super) fn crypt_after<const SEAL: bool>(
    size: KeySize,
    key: &SaKey,
    iv: Iv,
    aad: &[&[u8]],
    data: &mut [u8],
) -> u128 {
    match size {
        KeySize::Aes128 => {
            gcm::<SEAL, _>(&Aes128Enc::new(&key.raw::<16>().into()), key.salt, iv, aad, data)
        }
        KeySize::Aes256 => {
            gcm::<SEAL, _>(&Aes256Enc::new(&key.raw::<32>().into()), key.salt, iv, aad, data)
        }
    }
}

fn gcm<const SEAL: bool, C>(cipher: &C, salt: u32, iv: Iv, aad: &[&[u8]], data: &mut [u8]) -> u128
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&salt.to_le_bytes());
    nonce[4..12].copy_from_slice(&iv.bytes()[..8]);
    let key_stream = |counter: u32| {
        let mut block = nonce;
        block[12..].copy_from_slice(&counter.to_be_bytes());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        block
    };
    let mut h = [0; 16].into();
    cipher.encrypt_block(&mut h);
    let mut hash = GHash::new(&h);
    let (aad_len, data_len) = (aad.iter().map(|piece| piece.len()).sum::<usize>(), data.len());
    for piece in aad {
        hash.update_padded(piece);
    }
    if !SEAL {
        hash.update_padded(data);
    }
    // RFC 4106 §4 and the length of a slice keep the counter below 2^32.
    for (chunk, counter) in data.chunks_mut(16).zip(2u32..) {
        for (byte, pad) in chunk.iter_mut().zip(key_stream(counter)) {
            *byte ^= pad;
        }
    }
    if SEAL {
        hash.update_padded(data);
    }
    let bits = |bytes: usize| u128::from((bytes as u64) << 3);
    hash.update(&[(bits(aad_len) << 64 | bits(data_len)).to_be_bytes().into()]);
    let tag: [u8; 16] = hash.finalize().into();
    u128::from_le_bytes(tag) ^ u128::from_le_bytes(key_stream(1).into())
}
