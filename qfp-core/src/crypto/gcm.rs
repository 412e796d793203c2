//! AES-GCM (NIST SP 800-38D) of one packet, by any kernel.

mod portable;

use super::algorithm::KeySize;
use super::key::SaKey;
use super::simd::{self, Message};
use super::tier::Kernel;
use hal::crypto::{Aad, Iv};

/// One packet as the kernels take it.
#[inline]
pub(super) fn message<'a>(key: &'a SaKey, iv: Iv, aad: Aad, data: &'a mut [u8]) -> Message<'a> {
    let state = simd::block(aad.words());
    Message { key, iv: iv.word(), state, hashed: false, aad_len: aad.len(), data }
}

/// Enciphers or deciphers in place and returns the tag, first byte lowest.
#[inline]
pub(super) fn crypt<const SEAL: bool>(
    kernel: Kernel,
    size: KeySize,
    key: &SaKey,
    iv: Iv,
    aad: Aad,
    data: &mut [u8],
) -> u128 {
    match kernel {
        Kernel::Vaes512(vaes) => vaes.gcm::<SEAL>(size, message(key, iv, aad, data)),
        Kernel::AesNi(aes) => aes.gcm::<SEAL>(size, message(key, iv, aad, data)),
        Kernel::Portable => {
            portable::crypt::<SEAL>(size, key, iv, &aad.padded()[..aad.len()], data)
        }
    }
}

/// The tag of AES-GMAC (RFC 4543 §3.3): the AAD, the IV and the payload are all authenticated.
pub(super) fn mac(
    kernel: Kernel,
    size: KeySize,
    key: &SaKey,
    iv: Iv,
    aad: Aad,
    data: &[u8],
) -> u128 {
    // The first four blocks together, as the payload does not begin at one.
    let mut start = [0; 64];
    let head = aad.len() + 8;
    start[..16].copy_from_slice(&aad.padded());
    start[aad.len()..head].copy_from_slice(&iv.bytes()[..8]);
    let (first, rest) = data.split_at(data.len().min(64 - head));
    start[head..head + first.len()].copy_from_slice(first);
    crypt_after::<true>(kernel, size, key, iv, &[&start[..head + first.len()], rest], &mut [])
}

/// As [`crypt`], with an AAD in pieces, all but the last of whole blocks.
pub(super) fn crypt_after<const SEAL: bool>(
    kernel: Kernel,
    size: KeySize,
    key: &SaKey,
    iv: Iv,
    aad: &[&[u8]],
    data: &mut [u8],
) -> u128 {
    let aad_len = aad.iter().map(|piece| piece.len()).sum();
    let start = simd::block([0; 2]);
    let message = |state, data| Message { key, iv: iv.word(), state, hashed: true, aad_len, data };
    match kernel {
        Kernel::Vaes512(vaes) => {
            let state = aad.iter().fold(start, |state, piece| vaes.ghash(key, state, piece));
            vaes.gcm::<SEAL>(size, message(state, data))
        }
        Kernel::AesNi(aes) => {
            let state = aad.iter().fold(start, |state, piece| aes.ghash(key, state, piece));
            aes.gcm::<SEAL>(size, message(state, data))
        }
        Kernel::Portable => portable::crypt_after::<SEAL>(size, key, iv, aad, data),
    }
}

#[cfg(test)]
mod tests;
