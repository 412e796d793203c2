//! Several frames of a burst at once, which the engine wants.
#![expect(unsafe_code, reason = "frames of one burst lie in different buffers")]

use hal::{Burst, PacketMask, VECTOR};

/// The frames in `slots`, writable, in that order, into `frames`; returns how many.
///
/// A slot that the burst does not own, or that was named before, gives an empty frame.
#[inline]
pub(super) fn frames_mut<'a>(
    burst: &'a mut Burst,
    slots: &[u8],
    frames: &mut [&'a mut [u8]; VECTOR],
) -> usize {
    let mut left = burst.owned();
    for (frame, slot) in frames.iter_mut().zip(slots) {
        let slot = usize::from(*slot) & 63;
        *frame = if left.contains(slot) {
            left -= PacketMask::only(slot);
            let (data, len) = (burst.data_ptrs()[slot], usize::from(burst.lens()[slot]));
            // SAFETY: an owned slot points at `len` initialised bytes inside its buffer; no two
            // slots have the same buffer, each slot is taken once, and the borrow of the burst
            // lasts as long as the frames do.
            unsafe { std::slice::from_raw_parts_mut(data, len) }
        } else {
            &mut []
        };
    }
    slots.len().min(VECTOR)
}
