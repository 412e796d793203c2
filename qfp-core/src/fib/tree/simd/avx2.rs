//! The passes with AVX2: the tables lane by lane, the bounds of a line in one or two compares.

#![expect(clippy::cast_possible_truncation, reason = "keys and bounds are 16 bits wide")]

use super::super::{FAN, Image, LEAF, Line, SPAN, SPLIT, Shape, TABLE, TREE, kind, payload};
use super::{lanes, prefetch};
use crate::fib::LANES;
use std::arch::x86_64::*;
use std::sync::atomic::Ordering::Relaxed;

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn batch<A: Shape>(
    image: &Image<'_>,
    key: impl Fn(usize) -> A,
    select: u64,
    out: &mut [u32; LANES],
) {
    let mut entry = [0; LANES];
    for lane in lanes(select) {
        entry[lane] = image.first_entry(key(lane));
        prefetch(image, payload(entry[lane]) << 6);
    }
    let at = A::FIRST_SPAN;
    let mut line = [0; LANES];
    let mut inner = 0;
    for lane in lanes(select) {
        let key = key(lane).field(at, SPAN);
        if kind(entry[lane]) == TABLE {
            entry[lane] = image.slot(payload(entry[lane]), key >> SPLIT).load(Relaxed);
        }
        line[lane] = payload(entry[lane]);
        match kind(entry[lane]) {
            LEAF => out[lane] = entry[lane] & 0xffff,
            kind => {
                inner |= 1 << lane;
                if kind == TREE {
                    line[lane] += 1 + separators_below(image.line(line[lane]), key);
                }
                prefetch(image, line[lane] << 6);
            }
        }
    }
    for lane in lanes(inner) {
        let leaf = leaf(image.line(line[lane]), key(lane).field(at, SPAN));
        out[lane] = leaf;
        if leaf as usize >= image.deep_from() {
            out[lane] = image.lookup(key(lane));
        }
    }
}

/// Returns how many of the 32 bounds of a line are below `key`.
#[target_feature(enable = "avx2,popcnt")]
fn separators_below(line: &Line, key: u32) -> u32 {
    below(line, 0, key) + below(line, 1, key)
}

/// Returns the value of a leaf line for `key`.
#[target_feature(enable = "avx2,popcnt")]
fn leaf(line: &Line, key: u32) -> u32 {
    let at = FAN + below(line, 0, key).min(FAN as u32 - 1) as usize;
    let word = line.0[at / 2].load(Relaxed);
    word >> (16 * (at % 2)) & 0xffff
}

/// Returns how many of 16 bounds are below `key`: those that `key` minus the bound leaves above 0.
#[target_feature(enable = "avx2,popcnt")]
fn below(line: &Line, half: usize, key: u32) -> u32 {
    // SAFETY: `half` is 0 or 1 and a line is two halves of 32 bytes.
    let bounds = unsafe { _mm256_load_si256(line.0.as_ptr().cast::<__m256i>().add(half)) };
    let rest = _mm256_subs_epu16(_mm256_set1_epi16(key as i16), bounds);
    let zero = _mm256_cmpeq_epi16(rest, _mm256_setzero_si256());
    FAN as u32 - (_mm256_movemask_epi8(zero) as u32).count_ones() / 2
}
