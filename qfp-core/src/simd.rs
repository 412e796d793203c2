//! Small vector operations over a vector's arrays, for the fastest instructions of this machine.
#![expect(unsafe_code, reason = "calls of functions compiled for other instruction sets")]

use hal::{PacketMask, VECTOR};

use crate::uidb::UidbIndex;

/// Calls the function of that name that is the fastest here.
macro_rules! fastest {
    ($name:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the feature was just checked.
            unsafe { avx512::$name($($argument),*) }
        } else {
            portable::$name($($argument),*)
        }
        #[cfg(not(target_arch = "x86_64"))]
        portable::$name($($argument),*)
    }};
}

/// Slots whose interface is `wanted`.
#[inline]
#[must_use]
pub(crate) fn same_interface(array: &[UidbIndex; VECTOR], wanted: UidbIndex) -> PacketMask {
    PacketMask(fastest!(equal(array, wanted)))
}

/// Interfaces with fewer packets in the vector are seen to packet by packet: a comparison of the
/// whole vector costs as much as so many packets.
const FEW: u32 = 6;

/// Calls `see` with packets of one interface each, until all of `select` have been seen: at once
/// while an interface has many of them or all that are left, then one by one.
#[inline]
pub(crate) fn each_interface(
    array: &[UidbIndex; VECTOR],
    select: PacketMask,
    mut see: impl FnMut(UidbIndex, PacketMask),
) {
    let mut rest = select;
    while let Some(first) = rest.into_iter().next() {
        let uidb = array[first & 63];
        let same = rest & same_interface(array, uidb);
        if same.count() < FEW && same != rest {
            break;
        }
        see(uidb, same);
        rest -= same;
    }
    for slot in rest {
        see(array[slot & 63], PacketMask::only(slot));
    }
}

/// Slots whose byte is `wanted`.
#[inline]
#[must_use]
pub(crate) fn equal_bytes(array: &[u8; VECTOR], wanted: u8) -> PacketMask {
    PacketMask(fastest!(equal_bytes(array, wanted)))
}

/// Slots whose word is `wanted`.
#[inline]
#[must_use]
pub(crate) fn equal_words(array: &[u32; VECTOR], wanted: u32) -> PacketMask {
    PacketMask(fastest!(equal_words(array, wanted)))
}

/// Slots whose word has any of the bits `wanted`.
#[inline]
#[must_use]
pub(crate) fn words_with(array: &[u32; VECTOR], wanted: u32) -> PacketMask {
    PacketMask(fastest!(words_with(array, wanted)))
}

/// Sum of the lengths of `select`.
#[inline]
#[must_use]
pub(crate) fn sum(lens: &[u16; VECTOR], select: PacketMask) -> u64 {
    match select.into_iter().next() {
        Some(only) if select == PacketMask::only(only) => u64::from(lens[only & 63]),
        _ => sum_at_least(lens, select, 0),
    }
}

/// Sum of the lengths of `select`, each of which counts as `least` if it is less.
#[inline]
#[must_use]
pub(crate) fn sum_at_least(lens: &[u16; VECTOR], select: PacketMask, least: u16) -> u64 {
    fastest!(sum_at_least(lens, select.0, least))
}

/// Slots whose frame goes on behind a packet of that length at that offset.
#[inline]
#[must_use]
pub(crate) fn longer(
    frames: &[u16; VECTOR],
    offsets: &[u8; VECTOR],
    packets: &[u16; VECTOR],
) -> PacketMask {
    PacketMask(fastest!(longer(frames, offsets, packets)))
}

mod portable {
    use super::{PacketMask, UidbIndex, VECTOR};

    pub(super) fn equal(array: &[UidbIndex; VECTOR], wanted: UidbIndex) -> u64 {
        slots(array, |uidb| *uidb == wanted)
    }

    pub(super) fn equal_bytes(array: &[u8; VECTOR], wanted: u8) -> u64 {
        slots(array, |byte| *byte == wanted)
    }

    pub(super) fn equal_words(array: &[u32; VECTOR], wanted: u32) -> u64 {
        slots(array, |word| *word == wanted)
    }

    pub(super) fn words_with(array: &[u32; VECTOR], wanted: u32) -> u64 {
        slots(array, |word| *word & wanted != 0)
    }

    pub(super) fn sum_at_least(lens: &[u16; VECTOR], select: u64, least: u16) -> u64 {
        PacketMask(select).into_iter().map(|slot| u64::from(lens[slot & 63].max(least))).sum()
    }

    pub(super) fn longer(
        frames: &[u16; VECTOR],
        offsets: &[u8; VECTOR],
        packets: &[u16; VECTOR],
    ) -> u64 {
        let ends = packets.iter().zip(offsets).map(|(len, at)| len.wrapping_add(u16::from(*at)));
        let longer = frames.iter().zip(ends).map(|(frame, end)| *frame > end);
        longer.enumerate().fold(0, |slots, (slot, longer)| slots | u64::from(longer) << slot)
    }

    /// Slots whose element passes the test.
    fn slots<T>(array: &[T; VECTOR], test: impl Fn(&T) -> bool) -> u64 {
        array.iter().enumerate().fold(0, |slots, (slot, one)| slots | u64::from(test(one)) << slot)
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
    pub(super) fn equal_words(array: &[u32; VECTOR], wanted: u32) -> u64 {
        let wanted = _mm512_set1_epi32(wanted.cast_signed());
        words(array, |words| _mm512_cmpeq_epi32_mask(words, wanted))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn words_with(array: &[u32; VECTOR], wanted: u32) -> u64 {
        let wanted = _mm512_set1_epi32(wanted.cast_signed());
        words(array, |words| _mm512_test_epi32_mask(words, wanted))
    }

    /// Slots by what `test` says of the words of sixteen.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn words(array: &[u32; VECTOR], test: impl Fn(__m512i) -> __mmask16) -> u64 {
        let sixteen = |group: usize| {
            // SAFETY: 16 of 64 words are a register.
            let words = unsafe { _mm512_loadu_si512(array.as_ptr().add(16 * group).cast()) };
            u64::from(test(words)) << (16 * group)
        };
        sixteen(0) | sixteen(1) | sixteen(2) | sixteen(3)
    }

    /// Ten instructions for 64 packets.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn longer(
        frames: &[u16; VECTOR],
        offsets: &[u8; VECTOR],
        packets: &[u16; VECTOR],
    ) -> u64 {
        let half = |first: usize| {
            // SAFETY: 32 of 64 elements, of 16 bits a register, of 8 bits half of one.
            let (frames, offsets, packets) = unsafe {
                (
                    _mm512_loadu_si512(frames.as_ptr().add(first).cast()),
                    _mm256_loadu_si256(offsets.as_ptr().add(first).cast()),
                    _mm512_loadu_si512(packets.as_ptr().add(first).cast()),
                )
            };
            let ends = _mm512_add_epi16(packets, _mm512_cvtepu8_epi16(offsets));
            u64::from(_mm512_cmpgt_epu16_mask(frames, ends)) << first
        };
        half(0) | half(32)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a mask")]
    pub(super) fn sum_at_least(lens: &[u16; VECTOR], select: u64, least: u16) -> u64 {
        let lens = lens.as_ptr().cast::<__m512i>();
        // SAFETY: 64 elements of 16 bits are two registers.
        let (low, high) = unsafe { (_mm512_loadu_si512(lens), _mm512_loadu_si512(lens.add(1))) };
        let least = _mm512_set1_epi16(least.cast_signed());
        let low = _mm512_maskz_max_epu16(select as u32, low, least);
        let high = _mm512_maskz_max_epu16((select >> 32) as u32, high, least);
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
            least: u16,
        ) {
            let mut array = [UidbIndex(0); VECTOR];
            let mut lens = [0u16; VECTOR];
            for i in 0..VECTOR {
                array[i] = UidbIndex(values[i / 2]);
                lens[i] = values[i / 2] ^ big;
            }
            let words = array.map(|uidb| u32::from(uidb.0) << 16 | 7);
            let wanted = 2 << 16 | 7;
            prop_assert_eq!(equal_words(&words, wanted).0, portable::equal_words(&words, wanted));
            prop_assert_eq!(
                same_interface(&array, UidbIndex(2)).0,
                portable::equal(&array, UidbIndex(2))
            );
            prop_assert_eq!(words_with(&words, 5 << 16).0, portable::words_with(&words, 5 << 16));
            let mut offsets = [14u8; VECTOR];
            offsets[..VECTOR / 2].fill(22);
            let packets = lens.map(|len| len.wrapping_sub(18));
            prop_assert_eq!(
                longer(&lens, &offsets, &packets).0,
                portable::longer(&lens, &offsets, &packets)
            );
            for least in [0, least] {
                prop_assert_eq!(
                    sum_at_least(&lens, PacketMask(select), least),
                    portable::sum_at_least(&lens, select, least)
                );
            }
        }
    }
}
