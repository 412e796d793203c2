//! Proofs that this processor has the instructions of a kernel, and the kernels they open.

use super::{Block, Chain, Message};
use super::{aesni, cbc, lockstep, schedule, vaes512};
use crate::crypto::algorithm::KeySize;
use crate::crypto::key::SaKey;

/// AES-NI and PCLMULQDQ, with AVX2.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto) struct AesNi(());

/// VAES and VPCLMULQDQ on 512 bits.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto) struct Vaes512(());

impl AesNi {
    /// A token, if this processor has the instructions.
    pub(in crate::crypto) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("avx2");
        all.then_some(Self(()))
    }

    /// Writes the round keys that follow from the raw key in `key.aes`.
    pub(in crate::crypto) fn expand(self, size: KeySize, key: &mut SaKey) {
        // SAFETY: the token proves the features.
        unsafe { schedule::expand(size, key) }
    }

    /// Writes the powers of H and their folds, from the round keys.
    pub(in crate::crypto) fn hash_powers(self, size: KeySize, key: &mut SaKey) {
        // SAFETY: the token proves the features.
        unsafe { schedule::hash_powers(size, key) }
    }

    /// Writes the round keys of decryption, from those of encryption.
    pub(in crate::crypto) fn invert(self, size: KeySize, key: &mut SaKey) {
        // SAFETY: the token proves the features.
        unsafe { schedule::invert(size, key) }
    }

    /// AES-GCM over one packet, in place; returns the tag.
    #[inline]
    pub(in crate::crypto) fn gcm<const SEAL: bool>(self, size: KeySize, m: Message<'_>) -> u128 {
        // SAFETY: the token proves the features.
        unsafe {
            match size {
                KeySize::Aes128 => aesni::gcm::<SEAL, 10>(m),
                KeySize::Aes256 => aesni::gcm::<SEAL, 14>(m),
            }
        }
    }

    /// AES-CBC over the whole blocks of all packets, in place.
    pub(in crate::crypto) fn cbc<'a, const SEAL: bool>(
        self,
        size: KeySize,
        chains: impl Iterator<Item = Chain<'a>>,
    ) {
        // SAFETY: the token proves the features.
        unsafe {
            match (size, SEAL) {
                (KeySize::Aes128, true) => cbc::encrypt::<10>(chains),
                (KeySize::Aes256, true) => cbc::encrypt::<14>(chains),
                (KeySize::Aes128, false) => chains.for_each(|chain| cbc::decrypt::<10>(chain)),
                (KeySize::Aes256, false) => chains.for_each(|chain| cbc::decrypt::<14>(chain)),
            }
        }
    }

    /// GHASH of whole blocks and a last one padded with zeroes, going on from `state`.
    pub(in crate::crypto) fn ghash(self, key: &SaKey, state: Block, data: &[u8]) -> Block {
        // SAFETY: the token proves the features.
        unsafe { aesni::hash(key, state, data) }
    }
}

impl Vaes512 {
    /// A token, if this processor has the instructions.
    pub(in crate::crypto) fn detect() -> Option<Self> {
        let all = AesNi::detect().is_some()
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq");
        all.then_some(Self(()))
    }

    /// The token that this one includes.
    pub(in crate::crypto) const fn aes_ni(self) -> AesNi {
        AesNi(())
    }

    /// AES-GCM over one packet, in place; returns the tag.
    #[inline]
    pub(in crate::crypto) fn gcm<const SEAL: bool>(self, size: KeySize, m: Message<'_>) -> u128 {
        // SAFETY: the token proves the features.
        unsafe {
            match size {
                KeySize::Aes128 => vaes512::gcm::<SEAL, 10>(m),
                KeySize::Aes256 => vaes512::gcm::<SEAL, 14>(m),
            }
        }
    }

    /// AES-GCM over all packets, in place; gives each number and tag to `done`.
    #[inline]
    pub(in crate::crypto) fn gcm_all<'a, const SEAL: bool>(
        self,
        size: KeySize,
        messages: impl Iterator<Item = (usize, Message<'a>)>,
        done: impl FnMut(usize, u128),
    ) {
        // SAFETY: the token proves the features.
        unsafe {
            match size {
                KeySize::Aes128 => vaes512::gcm_all::<SEAL, 10>(messages, done),
                KeySize::Aes256 => vaes512::gcm_all::<SEAL, 14>(messages, done),
            }
        }
    }

    /// AES-GCM over four packets of 1 to [`LOCKSTEP`](Self::LOCKSTEP) bytes, in place; returns
    /// their tags. Each has its own key, all of one size; nearly equal lengths are best.
    #[inline]
    pub(in crate::crypto) fn gcm4<const SEAL: bool>(
        self,
        size: KeySize,
        four: [Message<'_>; 4],
    ) -> [u128; 4] {
        // SAFETY: the token proves the features.
        unsafe {
            match size {
                KeySize::Aes128 => lockstep::gcm::<SEAL, 10>(four),
                KeySize::Aes256 => lockstep::gcm::<SEAL, 14>(four),
            }
        }
    }

    /// Payload of a packet in lockstep at most: with the AAD and the lengths, 32 blocks.
    pub(in crate::crypto) const LOCKSTEP: usize = 30 * 16;

    /// GHASH of whole blocks and a last one padded with zeroes, going on from `state`.
    pub(in crate::crypto) fn ghash(self, key: &SaKey, state: Block, data: &[u8]) -> Block {
        // SAFETY: the token proves the features.
        unsafe { vaes512::ghash(key, state, data) }
    }

    /// Brings the lines of `key` near that `payload` bytes will need.
    #[inline]
    pub(in crate::crypto) fn prefetch(self, key: &SaKey, payload: usize) {
        vaes512::prefetch(key, payload);
    }
}
