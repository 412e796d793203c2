//! Small vector operations over a vector's arrays, for the fastest instructions of this machine.
#![expect(unsafe_code, reason = "calls of functions compiled for other instruction sets")]

use hal::{PacketMask, VECTOR};

use crate::uidb::UidbIndex;

/// Slots whose interface is `wanted`.
#[inline]
#[must_use]
pub(crate) fn same_interface(array: &[UidbIndex; VECTOR], wanted: UidbIndex) -> PacketMask {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") {
        // SAFETY: the feature was just checked.
        return PacketMask(unsafe { avx512::equal(array, wanted) });
    }
    portable::equal(array, wanted)
}

/// Slots whose byte is `wanted`.
#[inline]
#[must_use]
pub(crate) fn equal_bytes(array: &[u8; VECTOR], wanted: u8) -> PacketMask {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") {
        // SAFETY: the feature was just checked.
        return PacketMask(unsafe { avx512::equal_bytes(array, wanted) });
    }
    portable::equal_bytes(array, wanted)
}

/// Sum of the lengths of `select`.
#[inline]
#[must_use]
pub(crate) fn sum(lens: &[u16; VECTOR], select: PacketMask) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") {
        // SAFETY: the feature was just checked.
        return unsafe { avx512::sum(lens, select.0) };
    }
    portable::sum(lens, select)
}

mod portable {
    use super::{PacketMask, UidbIndex, VECTOR};

    pub(super) fn equal(array: &[UidbIndex; VECTOR], wanted: UidbIndex) -> PacketMask {
        let mut equal = 0;
        for (slot, uidb) in array.iter().enumerate() {
            equal |= u64::from(*uidb == wanted) << slot;
        }
        PacketMask(equal)
    }

    pub(super) fn equal_bytes(array: &[u8; VECTOR], wanted: u8) -> PacketMask {
        let mut equal = 0;
        for (slot, byte) in array.iter().enumerate() {
            equal |= u64::from(*byte == wanted) << slot;
        }
        PacketMask(equal)
    }

    pub(super) fn sum(lens: &[u16; VECTOR], select: PacketMask) -> u64 {
        select.into_iter().map(|slot| u64::from(lens[slot & 63])).sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{UidbIndex, VECTOR};

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn equal(array: &[UidbIndex; VECTOR], wanted: UidbIndex) -> u64 {
        let wanted = _mm512_set1_epi16(wanted.0.cast_signed());
        let array = array.as_ptr().cast::<__m512i>();
        // SAFETY: 64 elements of 16 bits are two registers.
        let (low, high) = unsafe { (_mm512_loadu_si512(array), _mm512_loadu_si512(array.add(1))) };
        u64::from(_mm512_cmpeq_epi16_mask(low, wanted))
            | u64::from(_mm512_cmpeq_epi16_mask(high, wanted)) << 32
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn equal_bytes(array: &[u8; VECTOR], wanted: u8) -> u64 {
        // SAFETY: 64 bytes are one register.
        let bytes = unsafe { _mm512_loadu_si512(array.as_ptr().cast()) };
        _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(wanted.cast_signed()))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a mask")]
    pub(super) fn sum(lens: &[u16; VECTOR], select: u64) -> u64 {
        let lens = lens.as_ptr().cast::<i16>();
        // SAFETY: 64 elements of 16 bits are two registers.
        let (low, high) = unsafe {
            (
                _mm512_maskz_loadu_epi16(select as u32, lens),
                _mm512_maskz_loadu_epi16((select >> 32) as u32, lens.add(32)),
            )
        };
        // Even and odd elements apart, as unsigned words: 64 of them fit 32 bits.
        let even = _mm512_set1_epi32(0xffff);
        let words = _mm512_add_epi32(
            _mm512_add_epi32(_mm512_and_si512(low, even), _mm512_srli_epi32::<16>(low)),
            _mm512_add_epi32(_mm512_and_si512(high, even), _mm512_srli_epi32::<16>(high)),
        );
        u64::from(_mm512_reduce_add_epi32(words).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vector_operations_agree_with_the_portable_ones(
            values in prop::array::uniform32(0u16..4),
            big in any::<u16>(),
            select in any::<u64>(),
        ) {
            let mut array = [UidbIndex(0); VECTOR];
            let mut lens = [0u16; VECTOR];
            for i in 0..VECTOR {
                array[i] = UidbIndex(values[i / 2]);
                lens[i] = values[i / 2] ^ big;
            }
            prop_assert_eq!(
                same_interface(&array, UidbIndex(2)),
                portable::equal(&array, UidbIndex(2))
            );
            prop_assert_eq!(
                sum(&lens, PacketMask(select)),
                portable::sum(&lens, PacketMask(select))
            );
        }
    }
}
