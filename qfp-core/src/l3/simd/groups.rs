//! Frames for groups, and from odd stations, in vectors that are not full of untagged frames.
#![expect(unsafe_code, reason = "vector loads through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "the upper half of a MAC address")]

use std::arch::x86_64::*;

use hal::PacketMask;

use crate::l3::source::Own;
use crate::packet::Vector;

/// Frames of `select` for a link-layer group, and those whose source MAC address is odd.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
pub(super) fn group_frames(vector: &Vector, select: PacketMask, own: &Own<'_>) -> PacketMask {
    // Neither comes from an honest station, so all frames are looked at together first, two in a
    // register: bit 0 of bytes 0 and 6, and the last four bytes of the source, which are zero or
    // ours.
    let own_end = _mm256_set1_epi32(own_end(own.mac.unwrap_or(0)));
    let (mut any, mut least) = (_mm256_setzero_si256(), _mm256_set1_epi32(-1));
    let mut look = |frames: [*mut u8; 2]| {
        // SAFETY: the caller's packets are owned, and behind every frame's start there are
        // `hal::packet::SLACK` readable bytes.
        let frames = unsafe { _mm256_loadu2_m128i(frames[1].cast(), frames[0].cast()) };
        any = _mm256_or_si256(any, frames);
        let either = _mm256_min_epu32(frames, _mm256_xor_si256(frames, own_end));
        least = _mm256_min_epu32(least, either);
    };
    let frames = vector.burst.data_ptrs();
    if select == PacketMask::FULL {
        frames.as_chunks().0.iter().copied().for_each(&mut look);
    } else {
        select.into_iter().for_each(|slot| look([frames[slot & 63]; 2]));
    }
    let groups = _mm256_test_epi8_mask(any, _mm256_set1_epi8(1));
    let zeros = _mm256_testn_epi32_mask(least, least);
    if groups & 0x0041_0041 == 0 && zeros & 0x44 == 0 {
        return PacketMask::EMPTY;
    }
    let mut found = PacketMask::EMPTY;
    for slot in select {
        let frame = vector.burst.frame(slot);
        if frame.first().is_some_and(|first| first & 1 == 1) || own.is_odd(frame) {
            found.insert(slot);
        }
    }
    found
}

/// The last four bytes of a MAC address, as they are in a frame.
#[inline]
pub(super) const fn own_end(mac: u64) -> i32 {
    (mac >> 16) as u32 as i32
}
