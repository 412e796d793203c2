//! AES-GCM with VAES and VPCLMULQDQ on 512 bits, one packet.
//!
//! A step enciphers 512 bytes, 32 blocks in 8 registers, and multiplies 32 blocks into the hash
//! between the rounds: those of the step before when it seals, its own when it opens. The hash is
//! reduced once a step. What remains is enciphered under byte masks; its blocks, the AAD (or the
//! hash so far) and the lengths then go into one more sum.

use std::arch::x86_64::*;

use super::Message;
use super::ghash::{self, multiply, nonce, to_u128};
use super::wide::{
    Products, each, each_round, first, fold, from_all, in_order, lengths, pair, reverse, round_key,
    rows,
};
use crate::crypto::key::SaKey;

/// Bytes of a step.
const STEP: usize = 512;

/// The next counter blocks, byte-reversed, so that the counter is the lowest word of each lane.
#[derive(Clone, Copy)]
struct Counters(__m512i);

impl Counters {
    /// From the counter 2 on: 1 is for the tag (NIST SP 800-38D §7.1).
    #[inline]
    #[target_feature(enable = "avx512f,avx2")]
    fn start(nonce: __m128i) -> Self {
        let lanes = _mm512_set_epi32(0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2);
        Self(_mm512_add_epi32(_mm512_broadcast_i32x4(nonce), lanes))
    }

    /// Counter blocks for `T` registers.
    ///
    /// A step begins at a counter that is 2 modulo 32, so the lowest byte of a counter cannot
    /// overflow before the last register: all others are had by adding to that byte alone.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx2")]
    fn blocks<const T: usize>(self) -> [__m512i; T] {
        let mut blocks = [reverse(self.0); T];
        let four = from_all(4 << 120);
        for i in 1..T {
            blocks[i] = _mm512_add_epi32(blocks[i - 1], four);
        }
        if T == 8 {
            blocks[7] = reverse(_mm512_add_epi32(self.0, from_all(28)));
        }
        blocks
    }

    /// Those of the next step.
    #[inline]
    #[target_feature(enable = "avx512f,avx2")]
    fn next(self) -> Self {
        Self(_mm512_add_epi32(self.0, from_all(32)))
    }
}

/// Adds register `Z` of the 512 bytes at `at` to the sum, the first with `state`.
macro_rules! absorb {
    ($sum:ident, $key:ident, $at:expr, $state:expr, $z:ident) => {{
        // SAFETY: the step is 512 bytes, and `Z` is below 8.
        let raw = unsafe { _mm512_loadu_si512($at.add(64 * $z).cast()) };
        let mut blocks = in_order(reverse(raw));
        if $z == 0 {
            blocks = _mm512_xor_si512(blocks, _mm512_zextsi128_si512($state));
        }
        let folds = rows($key, 32 + $z / 2 * 4);
        if $z % 2 == 0 {
            $sum.add::<false>(blocks, rows($key, 4 * $z), folds);
        } else {
            $sum.add::<true>(blocks, rows($key, 4 * $z), folds);
        }
    }};
}

/// Enciphers 512 bytes at `data`; with `HASH` returns the hash, so far `state`, over the 512
/// bytes at `hashed` as they were before.
///
/// # Safety
/// 512 bytes must be writable at `data`, and with `HASH` 512 bytes readable at `hashed`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes")]
unsafe fn step<const ROUNDS: usize, const HASH: bool>(
    key: &SaKey,
    counters: Counters,
    data: *mut u8,
    hashed: *const u8,
    state: __m128i,
) -> __m128i {
    let mut s = counters.blocks::<8>();
    let k = round_key(key, 0);
    each!(Z in 0 1 2 3 4 5 6 7 => s[Z] = _mm512_xor_si512(s[Z], k));
    let mut sum = Products::zero();
    each_round!(ROUNDS, R => {
        let k = round_key(key, R);
        each!(Z in 0 1 2 3 4 5 6 7 => s[Z] = in_order(_mm512_aesenc_epi128(s[Z], k)));
        if HASH && R <= 8 {
            // The first register last: it waits for the hash of the step before.
            const Z: usize = R % 8;
            absorb!(sum, key, hashed, state, Z);
        }
    });
    let k = round_key(key, ROUNDS);
    each!(Z in 0 1 2 3 4 5 6 7 => {
        // SAFETY: 512 bytes are there.
        let at = unsafe { data.add(64 * Z) };
        // SAFETY: as above.
        let text = unsafe { _mm512_loadu_si512(at.cast()) };
        // The text goes in with the last round key, off the longest path.
        s[Z] = _mm512_aesenclast_epi128(s[Z], _mm512_xor_si512(k, text));
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(at.cast(), s[Z]) };
    });
    if HASH { sum.reduce() } else { state }
}

/// A packet that is all enciphered, whose tag is not computed yet.
struct Unfinished<'a> {
    /// Its key; none if there is no packet.
    key: Option<&'a SaKey>,
    /// The last blocks as ciphertext, byte-reversed, zeroes after the end.
    cipher: [__m512i; 8],
    /// How many blocks they are.
    blocks: usize,
    /// The AAD as a block, or the hash so far.
    state: __m128i,
    /// Powers between the state and the first block: 1 if it is the AAD, 0 if it is the hash.
    ahead: usize,
    lengths: __m128i,
    /// The keystream over the tag.
    pad: __m128i,
}

/// Enciphers the last `len` bytes at `data`, which `T` registers hold, all but at most two of
/// them full. With `PENDING` the 512 bytes before are hashed first.
///
/// # Safety
/// `len` bytes must be writable at `data`, with `PENDING` 512 readable before them;
/// `64 * (T - 2) < len <= 64 * T` unless both are 0.
#[inline(never)]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes,bmi2"
)]
unsafe fn last<const SEAL: bool, const ROUNDS: usize, const T: usize, const PENDING: bool>(
    key: &SaKey,
    packet: &mut Unfinished<'_>,
    nonce: __m128i,
    counters: Counters,
    data: *mut u8,
    len: usize,
) {
    let state = packet.state;
    let mut s = counters.blocks::<T>();
    let k = round_key(key, 0);
    for s in &mut s {
        *s = _mm512_xor_si512(*s, k);
    }
    let one = _mm_cvtsi32_si128(1);
    let mut pad = _mm512_zextsi128_si512(ghash::reverse(_mm_add_epi32(nonce, one)));
    pad = _mm512_xor_si512(pad, k);
    let mut sum = Products::zero();
    each_round!(ROUNDS, R => {
        let k = round_key(key, R);
        for s in &mut s {
            *s = in_order(_mm512_aesenc_epi128(*s, k));
        }
        pad = in_order(_mm512_aesenc_epi128(pad, k));
        if PENDING && R <= 8 {
            const Z: usize = R % 8;
            // SAFETY: the caller keeps 512 bytes readable before `data`.
            let before = unsafe { data.sub(STEP) };
            absorb!(sum, key, before, state, Z);
        }
    });
    let k = round_key(key, ROUNDS);
    pad = _mm512_aesenclast_epi128(pad, k);
    packet.pad = _mm512_castsi512_si128(pad);
    for (z, s) in s.into_iter().enumerate() {
        let mask = if z + 2 < T { u64::MAX } else { first(len.saturating_sub(64 * z)) };
        // SAFETY: `mask` has only bytes before `len`; no address is used where it is empty.
        let at = unsafe { data.add((64 * z).min(len)) };
        // SAFETY: as above.
        let text = unsafe { _mm512_maskz_loadu_epi8(mask, at.cast()) };
        let out = _mm512_aesenclast_epi128(s, _mm512_xor_si512(k, text));
        // SAFETY: as above.
        unsafe { _mm512_mask_storeu_epi8(at.cast(), mask, out) };
        let cipher = if SEAL { _mm512_maskz_mov_epi8(mask, out) } else { text };
        packet.cipher[z] = reverse(cipher);
    }
    if PENDING {
        packet.state = sum.reduce();
    }
}

/// The tag of a packet whose last blocks fill at most `T` registers.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vpclmulqdq,avx2,pclmulqdq")]
fn finish<const T: usize>(key: &SaKey, packet: &Unfinished<'_>) -> __m128i {
    let &Unfinished { blocks, state, ahead, lengths, pad, .. } = packet;
    // With 32 blocks there is no power left for the lengths: they take a product of their own.
    let apart = usize::from(T == 8 && blocks == 32);
    let mut sum = Products::zero();
    for z in 0..T {
        // The first block meets H^(blocks+1). Past the last block are zeroes, so it does not
        // matter what they meet: rows up to 31 - blocks + 4 * T + 3, which is below 40.
        let powers = rows(key, 31 + apart - blocks + 4 * z);
        sum.add::<false>(packet.cipher[z], powers, fold(powers));
    }
    let last = ghash::load(&key.area[31]);
    // The state and the lengths, in one go.
    let powers = pair(ghash::load(&key.area[31 + apart - blocks - ahead]), last);
    let both = pair(state, if apart == 1 { _mm_setzero_si128() } else { lengths });
    sum.add::<false>(both, powers, fold(powers));
    let mut state = sum.reduce();
    if apart == 1 {
        state = multiply(_mm_xor_si128(state, lengths), last);
    }
    _mm_xor_si128(ghash::reverse(state), pad)
}

impl Unfinished<'_> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn none() -> Self {
        Self {
            key: None,
            cipher: [_mm512_setzero_si512(); 8],
            blocks: 0,
            state: _mm_setzero_si128(),
            ahead: 0,
            lengths: _mm_setzero_si128(),
            pad: _mm_setzero_si128(),
        }
    }

    /// The tag, if there is a packet.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vpclmulqdq,avx2,pclmulqdq")]
    fn tag(&self) -> Option<u128> {
        let key = self.key?;
        Some(to_u128(match self.blocks.div_ceil(8) {
            0 => finish::<0>(key, self),
            1 => finish::<2>(key, self),
            2 => finish::<4>(key, self),
            3 => finish::<6>(key, self),
            _ => finish::<8>(key, self),
        }))
    }
}

/// AES-GCM over one packet, in place; returns the tag.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes,bmi2"
)]
pub(super) fn gcm<const SEAL: bool, const ROUNDS: usize>(m: Message<'_>) -> u128 {
    let mut packet = Unfinished::none();
    crypt::<SEAL, ROUNDS>(m, &mut packet, |_| ());
    packet.tag().unwrap_or(0)
}

/// AES-GCM over packets one after the other, in place; gives each number and tag to `done`.
///
/// The tag of a packet is computed behind the first step of the next one, so that its long chain
/// of products does not leave the units idle.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes,bmi2"
)]
pub(super) fn gcm_all<'a, const SEAL: bool, const ROUNDS: usize>(
    messages: impl Iterator<Item = (usize, Message<'a>)>,
    mut done: impl FnMut(usize, u128),
) {
    let mut packet = Unfinished::none();
    let mut number = 0;
    for (next, m) in messages {
        crypt::<SEAL, ROUNDS>(m, &mut packet, |tag| done(number, tag));
        number = next;
    }
    if let Some(tag) = packet.tag() {
        done(number, tag);
    }
}

/// Enciphers a packet and leaves it in `packet`; after the first step calls `done` with the tag of
/// the one that was there.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes,bmi2"
)]
fn crypt<'a, const SEAL: bool, const ROUNDS: usize>(
    m: Message<'a>,
    packet: &mut Unfinished<'a>,
    done: impl FnOnce(u128),
) {
    let Message { key, iv, mut state, hashed, aad_len, data } = m;
    let nonce = nonce(key, iv);
    let mut counters = Counters::start(nonce);
    let len = data.len();
    let (full, rest) = (len / STEP, len % STEP);
    let mut ahead = usize::from(!hashed);
    if !hashed && len > 30 * 16 {
        // More than 32 blocks with AAD and lengths.
        state = multiply(state, ghash::load(&key.area[31]));
        ahead = 0;
    }
    let mut at = data.as_mut_ptr();
    let mut before = at;
    if SEAL && full > 0 {
        // SAFETY: a step lies in `data`.
        unsafe { step::<ROUNDS, false>(key, counters, at, at, state) };
        counters = counters.next();
        // SAFETY: as above.
        at = unsafe { at.add(STEP) };
    }
    if let Some(tag) = packet.tag() {
        done(tag);
    }
    for _ in usize::from(SEAL)..full {
        // SAFETY: `full` steps lie in `data`, and `before` is the one before this when sealing.
        unsafe {
            state = step::<ROUNDS, true>(key, counters, at, if SEAL { before } else { at }, state);
            before = at;
            at = at.add(STEP);
        }
        counters = counters.next();
    }
    packet.key = Some(key);
    packet.blocks = rest.div_ceil(16);
    packet.state = state;
    packet.ahead = ahead;
    packet.lengths = lengths(aad_len, len);
    macro_rules! last {
        ($pending:literal) => {
            // SAFETY: `rest` bytes are left at `at`, after a full step if `$pending`; the number of
            // registers is `rest / 64` rounded up, then up to an even one.
            unsafe {
                match rest.div_ceil(128) {
                    0 => last::<SEAL, ROUNDS, 0, $pending>(key, packet, nonce, counters, at, rest),
                    1 => last::<SEAL, ROUNDS, 2, $pending>(key, packet, nonce, counters, at, rest),
                    2 => last::<SEAL, ROUNDS, 4, $pending>(key, packet, nonce, counters, at, rest),
                    3 => last::<SEAL, ROUNDS, 6, $pending>(key, packet, nonce, counters, at, rest),
                    _ => last::<SEAL, ROUNDS, 8, $pending>(key, packet, nonce, counters, at, rest),
                }
            }
        };
    }
    if SEAL && full > 0 { last!(true) } else { last!(false) }
}

/// GHASH of whole blocks and a last one padded with zeroes, going on from `state`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,vpclmulqdq,avx2,pclmulqdq,bmi2")]
pub(super) fn ghash(key: &SaKey, mut state: __m128i, data: &[u8]) -> __m128i {
    let (steps, rest) = data.as_chunks::<STEP>();
    for step in steps {
        let (mut sum, at) = (Products::zero(), step.as_ptr());
        each!(Z in 1 2 3 4 5 6 7 0 => absorb!(sum, key, at, state, Z));
        state = sum.reduce();
    }
    if rest.is_empty() {
        return state;
    }
    let blocks = rest.len().div_ceil(16);
    let mut sum = Products::zero();
    for (z, chunk) in rest.chunks(64).enumerate() {
        // SAFETY: the mask has only the bytes of the chunk.
        let text = unsafe { _mm512_maskz_loadu_epi8(first(chunk.len()), chunk.as_ptr().cast()) };
        let mut text = reverse(text);
        if z == 0 {
            text = _mm512_xor_si512(text, _mm512_zextsi128_si512(state));
        }
        // The last block meets H: rows up to 32 - blocks + 4 * z + 3, which is below 36.
        let powers = rows(key, 32 - blocks + 4 * z);
        sum.add::<false>(text, powers, fold(powers));
    }
    sum.reduce()
}

/// Brings the lines of `key` near that `payload` bytes will need.
#[inline]
pub(super) fn prefetch(key: &SaKey, payload: usize) {
    let start = std::ptr::from_ref(key).cast::<i8>();
    // SAFETY: a prefetch has no effect but on caches, and the line is inside of the row.
    let line = |line: usize| unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
    // Round keys are lines 0 to 3; the powers end with line 11, and 12 to 15 are their folds.
    each!(L in 0 1 2 3 11 => line(L));
    if payload > 64 {
        each!(L in 4 5 6 7 8 9 10 => line(L));
    }
    if payload >= STEP {
        each!(L in 12 13 14 15 => line(L));
    }
}
