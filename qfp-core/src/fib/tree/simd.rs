//! Interval lookups for a whole vector.
//!
//! The walk is cut into passes over all lanes, so that what one pass will need is on its way
//! while the pass before it still works on other lanes: entries, then separators, then leaf lines.
#![expect(unsafe_code, reason = "gathers, prefetches and 16-bit compares have no safe form")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::{Image, Shape};
use crate::fib::{Isa, LANES};

/// Looks up the selected IPv4 keys.
pub(in crate::fib) fn v4_batch(
    image: &Image<'_>,
    isa: Isa,
    keys: &[u32; LANES],
    select: u64,
    out: &mut [u32; LANES],
) {
    match isa {
        // SAFETY: a view holds an instruction set only if this processor has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::v4(image, keys, select, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::batch(image, |lane| keys[lane], select, out) },
        _ => portable(image, |lane| keys[lane], select, out),
    }
}

/// Looks up the selected IPv6 keys.
pub(in crate::fib) fn v6_batch(
    image: &Image<'_>,
    isa: Isa,
    hi: &[u64; LANES],
    lo: &[u64; LANES],
    select: u64,
    out: &mut [u32; LANES],
) {
    let key = |lane: usize| u128::from(hi[lane]) << 64 | u128::from(lo[lane]);
    match isa {
        // SAFETY: a view holds an instruction set only if this processor has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::v6(image, hi, lo, select, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::batch(image, key, select, out) },
        _ => portable(image, key, select, out),
    }
}

fn portable<A: Shape>(
    image: &Image<'_>,
    key: impl Fn(usize) -> A,
    select: u64,
    out: &mut [u32; LANES],
) {
    for lane in lanes(select) {
        out[lane] = image.lookup(key(lane));
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
/// Asks for the line that begins `offset` bytes into the lines.
#[inline(always)]
fn prefetch(image: &Image<'_>, offset: u32) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let at = image.lines.as_ptr().cast::<i8>().wrapping_add(offset as usize);
    // SAFETY: a prefetch cannot fault, and SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
}

/// Calls `f` for each lane set, densely when most are.
#[inline(always)]
fn for_lanes(mask: u64, mut f: impl FnMut(usize)) {
    if mask.count_ones() > 40 {
        (0..LANES).for_each(f);
    } else {
        lanes(mask).for_each(&mut f);
    }
}

// SAFETY: `repr(C)`, one array of atomic integers: every bit pattern is a line.
#[expect(unsafe_code, reason = "declares an image's line to be plain data")]
unsafe impl pal::region::Plain for super::Line {}
