//! Lookups with vector registers and bit extraction.
#![allow(unsafe_code, reason = "lines are read in vector registers, past bounds checks")]

#[cfg(target_arch = "x86_64")]
mod avx512;

use hal::PacketMask;

use crate::acl::image::{Entry, Line};
use crate::acl::key::Keys;
use crate::acl::lookup::{self, Matches};

/// Looks keys up in one tree, for [`Isa::Avx512`](crate::isa::Isa::Avx512).
#[inline]
pub(super) fn look_up<const W: usize, const F: usize>(
    lines: &[Line],
    root: Entry,
    keys: &Keys<W>,
    select: PacketMask,
    matches: &mut Matches<F>,
) {
    #[cfg(target_arch = "x86_64")]
    if crate::isa::Isa::Avx512.available() {
        // SAFETY: the features were just checked.
        unsafe { avx512::look_up(lines, root, keys, select.0, matches) };
        return;
    }
    lookup::look_up(lines, root, keys, select, matches);
}
