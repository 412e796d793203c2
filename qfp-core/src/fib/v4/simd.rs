//! DIR-24-8 for a whole vector.
#![expect(unsafe_code, reason = "gathers and prefetches have no safe form")]
#![expect(clippy::cast_possible_truncation, reason = "masks of 16 lanes; numbers below 2^17")]

use super::dir24::Dir24;
use crate::fib::{Isa, LANES};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Prefetches the element of the first array for each selected key.
pub(super) fn dir24_prefetch(table: &Dir24<'_>, isa: Isa, keys: &[u32; LANES], select: u64) {
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::Portable {
        if select == u64::MAX {
            for &key in keys {
                prefetch(&table.tbl24[key as usize >> 8]);
            }
        } else {
            for lane in lanes(select) {
                prefetch(&table.tbl24[keys[lane] as usize >> 8]);
            }
        }
    }
}

/// Looks up the selected keys.
pub(super) fn dir24_batch(
    table: &Dir24<'_>,
    isa: Isa,
    keys: &[u32; LANES],
    select: u64,
    out: &mut [u32; LANES],
) {
    match isa {
        // SAFETY: a view holds an instruction set only if this processor has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { dir24_avx512(table, keys, select, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if select == u64::MAX => unsafe { dir24_avx2(table, keys, out) },
        _ => {
            for lane in lanes(select) {
                out[lane] = table.lookup(keys[lane]);
            }
        }
    }
}

/// The numbers of the bits set.
fn lanes(mut select: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = select.trailing_zeros() as usize;
        select &= select.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch<T>(target: &T) {
    // SAFETY: SSE is part of x86-64, and a prefetch cannot fault.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt")]
fn dir24_avx512(table: &Dir24<'_>, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
    let tbl24 = table.tbl24.as_ptr().cast::<i32>();
    let tbl8 = table.tbl8.as_ptr().cast::<i32>();
    let from = _mm512_set1_epi32(table.blocks_from() as i32);
    let (low8, low16) = (_mm512_set1_epi32(0xff), _mm512_set1_epi32(0xffff));
    let sixteen = _mm512_set1_epi32(16);
    for (i, (keys, out)) in
        keys.as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<16>().0).enumerate()
    {
        let live = (select >> (16 * i)) as u16;
        if live == 0 {
            continue;
        }
        // SAFETY: 16 keys are 64 bytes. Elements are gathered in aligned pairs: `key >> 9` is
        // below 2^23, and `tbl24` has that many pairs. The number of a block is at most 65,535,
        // so below `from` + the number of blocks, and the pair lies inside `tbl8`. Both arrays
        // begin at a multiple of 4 (checked by `Dir24::new`), so each gathered pair is one
        // aligned 32-bit load, which a concurrent aligned 16-bit store cannot tear.
        unsafe {
            let key = _mm512_loadu_si512(keys.as_ptr().cast());
            let pair = _mm512_mask_i32gather_epi32::<4>(
                _mm512_setzero_si512(),
                live,
                _mm512_srli_epi32::<9>(key),
                tbl24,
            );
            let shift = _mm512_and_si512(_mm512_srli_epi32::<4>(key), sixteen);
            let mut leaf = _mm512_and_si512(_mm512_srlv_epi32(pair, shift), low16);
            let blocks = _mm512_mask_cmpge_epu32_mask(live, leaf, from);
            if blocks != 0 {
                let block = _mm512_sub_epi32(leaf, from);
                let at =
                    _mm512_or_si512(_mm512_slli_epi32::<8>(block), _mm512_and_si512(key, low8));
                let pair = _mm512_mask_i32gather_epi32::<4>(
                    _mm512_setzero_si512(),
                    blocks,
                    _mm512_srli_epi32::<1>(at),
                    tbl8,
                );
                let shift = _mm512_and_si512(_mm512_slli_epi32::<4>(at), sixteen);
                let deep = _mm512_and_si512(_mm512_srlv_epi32(pair, shift), low16);
                leaf = _mm512_mask_mov_epi32(leaf, blocks, deep);
            }
            // A masked store cannot be forwarded to the loads that soon follow it.
            if live == u16::MAX {
                _mm512_storeu_si512(out.as_mut_ptr().cast(), leaf);
            } else {
                _mm512_mask_storeu_epi32(out.as_mut_ptr().cast(), live, leaf);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn dir24_avx2(table: &Dir24<'_>, keys: &[u32; LANES], out: &mut [u32; LANES]) {
    let tbl24 = table.tbl24.as_ptr().cast::<i32>();
    let below = _mm256_set1_epi32(table.blocks_from() as i32 - 1);
    let sixteen = _mm256_set1_epi32(16);
    for (keys, out) in keys.as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<8>().0) {
        // SAFETY: 8 keys are 32 bytes; the gather is as in `dir24_avx512`.
        unsafe {
            let key = _mm256_loadu_si256(keys.as_ptr().cast());
            let pair = _mm256_i32gather_epi32::<4>(tbl24, _mm256_srli_epi32::<9>(key));
            let shift = _mm256_and_si256(_mm256_srli_epi32::<4>(key), sixteen);
            let leaf = _mm256_and_si256(_mm256_srlv_epi32(pair, shift), _mm256_set1_epi32(0xffff));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), leaf);
            let blocks = _mm256_cmpgt_epi32(leaf, below);
            if _mm256_testz_si256(blocks, blocks) == 0 {
                for (key, out) in keys.iter().zip(out) {
                    *out = table.lookup(*key);
                }
            }
        }
    }
}
