//! AES-CBC with AES-NI: eight packets at a time when enciphering, as each block waits for the one
//! before; eight blocks of one packet when deciphering.

use std::arch::x86_64::*;

use super::Chain;
use super::ghash::{load, store};
use super::wide::{each, each_round};
use crate::crypto::key::SaKey;

/// A packet that is being enciphered.
#[derive(Clone, Copy)]
struct Lane<'a> {
    key: &'a SaKey,
    at: *mut u8,
    /// Blocks left; none in a lane that runs idle.
    left: usize,
    /// Bytes to the next block: 0 in a lane that runs idle.
    stride: usize,
    chain: __m128i,
}

/// Enciphers all packets in place. Bytes after the last whole block stay as they are.
#[target_feature(enable = "avx2,aes")]
pub(super) fn encrypt<'a, const ROUNDS: usize>(chains: impl Iterator<Item = Chain<'a>>) {
    let mut chains = chains.filter(|chain| chain.data.len() >= 16).peekable();
    let Some(first) = chains.peek() else { return };
    let mut scratch = [0u8; 16];
    let scratch = scratch.as_mut_ptr();
    let zero = _mm_setzero_si128();
    let idle = Lane { key: first.key, at: scratch, left: 0, stride: 0, chain: zero };
    let mut lanes = [idle; 8];
    loop {
        for lane in lanes.iter_mut().filter(|lane| lane.left == 0) {
            *lane = chains.next().map_or(idle, |Chain { key, iv, data }| Lane {
                key,
                at: data.as_mut_ptr(),
                left: data.len() / 16,
                stride: 16,
                chain: load(&iv),
            });
        }
        let Some(run) = lanes.iter().map(|lane| lane.left).filter(|&left| left > 0).min() else {
            return;
        };
        for _ in 0..run {
            let mut s = lanes.map(|lane| lane.chain);
            each!(L in 0 1 2 3 4 5 6 7 => {
                // SAFETY: each lane has a block at `at`, of its own packet, which its `Chain`
                // borrowed exclusively, or of the scratch; at least `run` follow at its stride.
                let text = unsafe { _mm_loadu_si128(lanes[L].at.cast()) };
                s[L] = _mm_xor_si128(s[L], _mm_xor_si128(text, load(&lanes[L].key.aes[0])));
            });
            each_round!(ROUNDS, R => each!(L in 0 1 2 3 4 5 6 7 => {
                s[L] = _mm_aesenc_si128(s[L], load(&lanes[L].key.aes[R]));
            }));
            each!(L in 0 1 2 3 4 5 6 7 => {
                s[L] = _mm_aesenclast_si128(s[L], load(&lanes[L].key.aes[ROUNDS]));
                let lane = &mut lanes[L];
                lane.chain = s[L];
                // SAFETY: as above; the next address is at most one past the packet.
                unsafe {
                    _mm_storeu_si128(lane.at.cast(), s[L]);
                    lane.at = lane.at.add(lane.stride);
                }
            });
        }
        for lane in &mut lanes {
            lane.left = lane.left.saturating_sub(run);
        }
    }
}

/// Deciphers one packet in place. Bytes after the last whole block stay as they are.
#[target_feature(enable = "avx2,aes")]
pub(super) fn decrypt<const ROUNDS: usize>(chain: Chain<'_>) {
    let Chain { key, iv, data } = chain;
    let mut before = load(&iv);
    let (steps, rest) = data.as_chunks_mut::<128>();
    for step in steps {
        before = decrypt_step::<ROUNDS>(key, before, step);
    }
    let whole = rest.len() / 16 * 16;
    if whole > 0 {
        let mut last = [0; 128];
        last[..whole].copy_from_slice(&rest[..whole]);
        decrypt_step::<ROUNDS>(key, before, &mut last);
        rest[..whole].copy_from_slice(&last[..whole]);
    }
}

/// Deciphers eight blocks and returns the last one as it was.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn decrypt_step<const ROUNDS: usize>(
    key: &SaKey,
    mut before: __m128i,
    step: &mut [u8; 128],
) -> __m128i {
    let (blocks, _) = step.as_chunks_mut::<16>();
    let mut s = [before; 8];
    let k = load(&key.area[0]);
    each!(I in 0 1 2 3 4 5 6 7 => s[I] = _mm_xor_si128(load(&blocks[I]), k));
    each_round!(ROUNDS, R => {
        let k = load(&key.area[R]);
        each!(I in 0 1 2 3 4 5 6 7 => s[I] = _mm_aesdec_si128(s[I], k));
    });
    let k = load(&key.area[ROUNDS]);
    each!(I in 0 1 2 3 4 5 6 7 => {
        let plain = _mm_aesdeclast_si128(s[I], _mm_xor_si128(k, before));
        before = load(&blocks[I]);
        store(&mut blocks[I], plain);
    });
    before
}
