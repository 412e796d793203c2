//! Frames in whole cache lines, and the copy that brings them into a buffer.
#![expect(unsafe_code, reason = "the destination is a buffer that is known by address")]

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

impl Line {
    /// Up to 64 bytes, zero filled.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut line = [0; 64];
        let len = bytes.len().min(64);
        line[..len].copy_from_slice(&bytes[..len]);
        Self(line)
    }
}

/// Lines that `len` bytes take.
#[inline]
pub(crate) const fn line_count(len: usize) -> usize {
    len.div_ceil(64)
}

/// Copies the `len` bytes at the start of `lines` to `to`, and what follows them in their last line
/// as far as there is room, because whole lines are cheaper than counted bytes.
///
/// # Safety
/// `lines` holds `len` bytes, `to` is valid for writing `room` bytes, and `len <= room`.
#[inline]
pub(crate) unsafe fn copy_lines(lines: &[Line], len: usize, to: *mut u8, room: usize) {
    let count = line_count(len);
    debug_assert!(len <= room && count <= lines.len());
    if count <= 2 && count * 64 <= room {
        for (index, line) in lines[..count].iter().enumerate() {
            // SAFETY: `count * 64 <= room`, so line `index` of the destination may be written.
            unsafe { to.add(index * 64).cast::<[u8; 64]>().write_unaligned(line.0) };
        }
    } else {
        // SAFETY: `lines` holds `len` bytes and `to` takes them, as the caller promises; a buffer
        // never overlaps memory of the program.
        unsafe { std::ptr::copy_nonoverlapping(lines.as_ptr().cast::<u8>(), to, len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_and_stays_in_its_room() {
        for len in 0..400 {
            let frame: Vec<u8> = (1..=251).cycle().take(len).collect();
            let lines: Vec<Line> = frame.chunks(64).map(Line::from_bytes).collect();
            assert_eq!(lines.len(), line_count(len));
            for room in [len, len + 1, len + 64] {
                let mut buffer = vec![0xee; room + 64];
                // SAFETY: the buffer has more than `room` bytes and `room >= len`.
                unsafe { copy_lines(&lines, len, buffer.as_mut_ptr(), room) };
                assert_eq!(buffer[..len], frame);
                assert!(buffer[room..].iter().all(|&byte| byte == 0xee));
            }
        }
    }
}
