//! The passes with AVX-512: vectors of 16 lanes for the arithmetic, one load a lane.
//!
//! Plain loads beat gathers here (measured: 305 against 250 million hot IPv6 keys a second): a
//! lane that one pass reads is seldom the last thing its key needs.

#![expect(clippy::cast_possible_truncation, reason = "masks and bit patterns, or checked sizes")]

use super::super::{FAN, Image, KIND_SHIFT, PAYLOAD, SEPARATORS, TABLE, TREE, WORDS};
use super::{for_lanes, lanes, prefetch};
use crate::fib::LANES;
use std::arch::x86_64::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What the passes hand on, one element a lane. Each array is whole cache lines.
#[repr(C, align(64))]
struct Walk {
    entry: [u32; LANES],
    /// The 16 bits to look for in the span that `entry` stands for, twice, so that one load
    /// spreads them over a vector.
    key: [u32; LANES],
    /// The upper 32 bits of an IPv6 address.
    top: [u32; LANES],
    /// Which word of the lines a pass is to read.
    index: [u32; LANES],
    /// What was read there.
    next: [u32; LANES],
    /// Byte offset of the separators of a node.
    separators: [u32; LANES],
    /// Byte offset of a leaf line, then the value found in it.
    leaves: [u32; LANES],
}

impl Walk {
    fn new() -> Self {
        let none = [0; LANES];
        Self {
            entry: none,
            key: none,
            top: none,
            index: none,
            next: none,
            separators: none,
            leaves: none,
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt")]
pub(super) fn v4(image: &Image<'_>, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
    let mut walk = Walk::new();
    for (entry, key) in walk.entry.iter_mut().zip(keys) {
        *entry = image.root[*key as usize >> 16].load(Relaxed);
    }
    for group in 0..LANES / 16 {
        let key = load(keys, group);
        store(&mut walk.key, group, twice(_mm512_slli_epi32::<16>(key)));
    }
    spans(image, &mut walk, select, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt")]
pub(super) fn v6(
    image: &Image<'_>,
    hi: &[u64; LANES],
    lo: &[u64; LANES],
    select: u64,
    out: &mut [u32; LANES],
) {
    let mut walk = Walk::new();
    for (entry, hi) in walk.entry.iter_mut().zip(hi) {
        *entry = image.root[(hi >> 48) as usize].load(Relaxed);
    }
    for group in 0..LANES / 16 {
        // SAFETY: `group * 16 + 16 <= LANES`.
        let (a, b) = unsafe {
            let at = hi.as_ptr().add(group * 16);
            (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(8).cast()))
        };
        let high = narrow(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        store(&mut walk.key, group, twice(narrow(a, b)));
        store(&mut walk.top, group, high);
    }
    let tables = walk.tables(image, |walk, group| {
        _mm512_and_si512(_mm512_srli_epi32::<4>(load(&walk.top, group)), _mm512_set1_epi32(0xfff))
    });
    walk.through(image, tables);
    let tables = walk.tables(image, |walk, group| {
        _mm512_and_si512(load(&walk.top, group), _mm512_set1_epi32(0xf))
    });
    walk.through(image, tables);
    let deep = spans(image, &mut walk, select, out);
    for lane in lanes(deep) {
        let key = u128::from(hi[lane]) << 64 | u128::from(lo[lane]);
        out[lane] = image.lookup(key);
    }
}

impl Walk {
    /// Sets `index` to where the entries go on, and returns the lanes that do.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn tables(&mut self, image: &Image<'_>, element: impl Fn(&Self, usize) -> __m512i) -> u64 {
        let mut all = 0;
        let last = _mm512_set1_epi32((image.lines.len() * WORDS - 1) as i32);
        for group in 0..LANES / 16 {
            let entry = load(&self.entry, group);
            let table = _mm512_set1_epi32((TABLE << KIND_SHIFT) as i32);
            let tables = _mm512_cmpge_epu32_mask(entry, table);
            let line = _mm512_and_si512(entry, _mm512_set1_epi32(PAYLOAD as i32));
            let at = _mm512_add_epi32(_mm512_slli_epi32::<4>(line), element(self, group));
            store(&mut self.index, group, _mm512_maskz_min_epu32(tables, at, last));
            all |= u64::from(tables) << (16 * group);
        }
        all
    }

    /// Reads the elements of the tables; the other lanes keep their entry.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn through(&mut self, image: &Image<'_>, tables: u64) {
        let words = image.lines.as_ptr().cast::<AtomicU32>();
        if tables.count_ones() < 24 {
            for lane in lanes(tables) {
                // SAFETY: `tables` keeps the index below the number of words.
                let word = unsafe { &*words.add(self.index[lane] as usize) };
                self.entry[lane] = word.load(Relaxed);
            }
            return;
        }
        for (next, index) in self.next.iter_mut().zip(&self.index) {
            // SAFETY: `tables` keeps the index below the number of words.
            *next = unsafe { &*words.add(*index as usize) }.load(Relaxed);
        }
        for group in 0..LANES / 16 {
            let tables = (tables >> (16 * group)) as u16;
            let entry =
                _mm512_mask_mov_epi32(load(&self.entry, group), tables, load(&self.next, group));
            store(&mut self.entry, group, entry);
        }
    }
}

/// Resolves the spans; writes the leaves to `out` and returns the lanes that go deeper.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt")]
fn spans(image: &Image<'_>, walk: &mut Walk, select: u64, out: &mut [u32; LANES]) -> u64 {
    let mut inner = 0;
    // The clamps leave room for the separators' choice beyond the first leaf line.
    let last = _mm512_set1_epi32((image.lines.len() - 1 - SEPARATORS) as i32);
    let one = _mm512_set1_epi32(1);
    let tables = walk.tables(image, |walk, group| _mm512_srli_epi32::<24>(load(&walk.key, group)));
    walk.through(image, tables);
    for group in 0..LANES / 16 {
        let entry = load(&walk.entry, group);
        let line = _mm512_and_si512(entry, _mm512_set1_epi32(PAYLOAD as i32));
        let kind = _mm512_srli_epi32::<KIND_SHIFT>(entry);
        let is_inner = _mm512_cmpneq_epi32_mask(kind, _mm512_setzero_si512());
        let is_tree = _mm512_cmpeq_epi32_mask(kind, _mm512_set1_epi32(TREE as i32));
        let separator = _mm512_maskz_min_epu32(is_tree, line, last);
        let leaf =
            _mm512_maskz_min_epu32(is_inner, _mm512_mask_add_epi32(line, is_tree, line, one), last);
        store(&mut walk.separators, group, _mm512_slli_epi32::<6>(separator));
        store(&mut walk.leaves, group, _mm512_slli_epi32::<6>(leaf));
        inner |= u64::from(is_inner) << (16 * group);
    }
    inner &= select;
    let base = image.lines.as_ptr().cast::<u8>();
    for_lanes(inner, |lane| {
        // SAFETY: the offset is that of a line.
        let count = unsafe {
            let bounds = _mm512_load_si512(base.add(walk.separators[lane] as usize).cast());
            let key = _mm512_set1_epi32(walk.key[lane] as i32);
            _mm512_cmplt_epu16_mask(bounds, key).count_ones()
        };
        walk.leaves[lane] += count * 64;
        prefetch(image, walk.leaves[lane]);
    });
    for_lanes(inner, |lane| {
        // SAFETY: the offset was clamped so that it is that of a line; of its 16 bounds 15 are
        // compared, so the value is one of the 16 behind them.
        unsafe {
            let line = base.add(walk.leaves[lane] as usize);
            let key = _mm256_set1_epi32(walk.key[lane] as i32);
            let bounds = _mm256_load_si256(line.cast());
            let at = FAN as u32 + _mm256_mask_cmplt_epu16_mask(0x7fff, bounds, key).count_ones();
            walk.leaves[lane] = line.cast::<u16>().add(at as usize).read().into();
        }
    });
    let from = _mm512_set1_epi32(image.deep_from() as i32);
    let mut deep = 0;
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let live = (select >> (16 * group)) as u16;
        let entry = load(&walk.entry, group);
        let found = (inner >> (16 * group)) as u16;
        let leaf = _mm512_mask_mov_epi32(entry, found, load(&walk.leaves, group));
        let leaf = _mm512_and_si512(leaf, _mm512_set1_epi32(0xffff));
        deep |= u64::from(_mm512_mask_cmpge_epu32_mask(live, leaf, from)) << (16 * group);
        write(out, live, leaf);
    }
    deep
}

/// Writes the live lanes. A masked store cannot be forwarded to the loads that soon follow it.
#[target_feature(enable = "avx512f")]
fn write(out: &mut [u32; 16], live: u16, value: __m512i) {
    let to = out.as_mut_ptr();
    // SAFETY: `out` has 16 elements.
    unsafe {
        if live == u16::MAX {
            _mm512_storeu_si512(to.cast(), value);
        } else {
            _mm512_mask_storeu_epi32(to.cast(), live, value);
        }
    }
}

/// Repeats the upper 16 bits of each lane in the lower.
#[target_feature(enable = "avx512f")]
fn twice(key: __m512i) -> __m512i {
    let upper = _mm512_and_si512(key, _mm512_set1_epi32(-1 << 16));
    _mm512_or_si512(upper, _mm512_srli_epi32::<16>(key))
}

#[target_feature(enable = "avx512f")]
fn narrow(a: __m512i, b: __m512i) -> __m512i {
    _mm512_inserti64x4::<1>(
        _mm512_castsi256_si512(_mm512_cvtepi64_epi32(a)),
        _mm512_cvtepi64_epi32(b),
    )
}

#[target_feature(enable = "avx512f")]
fn load(lanes: &[u32; LANES], group: usize) -> __m512i {
    // SAFETY: the slice has 16 elements.
    unsafe { _mm512_loadu_si512(lanes[group * 16..group * 16 + 16].as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(lanes: &mut [u32; LANES], group: usize, value: __m512i) {
    // SAFETY: the slice has 16 elements.
    unsafe { _mm512_storeu_si512(lanes[group * 16..group * 16 + 16].as_mut_ptr().cast(), value) };
}
