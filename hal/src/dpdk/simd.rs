//! Instructions that the compiler does not choose by itself.

use std::mem::MaybeUninit;

use crate::mask::PacketMask;
use crate::packet::{RawBuf, VECTOR};

/// Collects the entries of a table that a mask names; see [`crate::packet::compress`].
pub(super) type Compress =
    fn(&[RawBuf; VECTOR], PacketMask, &mut [MaybeUninit<RawBuf>; VECTOR]) -> usize;

/// The fastest way to collect on this CPU.
pub(super) fn compress() -> Compress {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the CPU has AVX-512F.
        return |table, select, out| unsafe { compress_avx512(table, select, out) };
    }
    crate::packet::compress
}

/// Eight pointers a step: `vpcompressq` in a register, and one whole store.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
fn compress_avx512(
    table: &[RawBuf; VECTOR],
    select: PacketMask,
    out: &mut [MaybeUninit<RawBuf>; VECTOR],
) -> usize {
    use std::arch::x86_64::{_mm512_loadu_si512, _mm512_maskz_compress_epi64, _mm512_storeu_si512};

    let mut n = 0;
    for (block, &lanes) in table.chunks_exact(8).zip(&select.0.to_le_bytes()) {
        // SAFETY: a block has eight pointers. At block `b` at most `8 * b` entries were collected,
        // so the eight that are stored end within `out`.
        unsafe {
            let pointers = _mm512_loadu_si512(block.as_ptr().cast());
            let packed = _mm512_maskz_compress_epi64(lanes, pointers);
            _mm512_storeu_si512(out.as_mut_ptr().add(n).cast(), packed);
        }
        n += lanes.count_ones() as usize;
    }
    n
}

/// Asks for the cache line at `address`; any address will do.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of an address that is not mapped does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_chosen_way_collects_what_the_portable_one_does(select: u64) {
            let table = std::array::from_fn(|slot| (slot + 1) as RawBuf);
            let mut fast = [MaybeUninit::new(std::ptr::null_mut()); VECTOR];
            let mut plain = fast;
            let count = compress()(&table, PacketMask(select), &mut fast);
            prop_assert_eq!(
                count,
                crate::packet::compress(&table, PacketMask(select), &mut plain)
            );
            for (fast, plain) in fast.iter().zip(&plain).take(count) {
                // SAFETY: both arrays were initialised above.
                prop_assert_eq!(unsafe { fast.assume_init() }, unsafe { plain.assume_init() });
            }
        }
    }
}
