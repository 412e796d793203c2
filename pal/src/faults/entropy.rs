//! No entropy: what the standard library seeds its hash maps with is the same on every thread, so
//! that a seed is replayed to the last step.
#![allow(unsafe_code, reason = "takes the place of a function of the C library")]

use std::ffi::c_void;

/// Fills `buffer` with bytes that are always the same.
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut c_void, len: usize, _flags: u32) -> isize {
    // SAFETY: the caller of this function of the C library says that there is room for `len` bytes.
    unsafe { buffer.cast::<u8>().write_bytes(0x5a, len) };
    len.cast_signed()
}
