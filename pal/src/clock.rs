//! Time: the [`Nanos`] newtype, the cycle counter and the clocks built on it.
//!
//! Nothing above `pal` reads a clock on its own: whoever runs the loop asks a [`Clock`] once per
//! vector and hands the answer down. [`TscClock`] serves live traffic, [`ManualClock`] tests.
#![allow(unsafe_code, reason = "reads the cycle counter and CLOCK_MONOTONIC_RAW")]

mod manual;
mod nanos;
mod ratio;
mod tsc;

pub use manual::ManualClock;
pub use nanos::Nanos;
pub use tsc::TscClock;

/// A source of monotone time.
pub trait Clock {
    /// The present moment, never smaller than an earlier answer on the same thread.
    fn now(&self) -> Nanos;
}

/// Cycles of the time-stamp counter; where there is none, nanoseconds of `CLOCK_MONOTONIC_RAW`.
///
/// About 20 cycles, no system call on x86-64. Does not serialise the instruction stream.
#[inline]
#[must_use]
pub fn rdtsc() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: every x86-64 CPU has the instruction and Linux leaves it enabled for user mode.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    {
        monotonic_raw().0
    }
}

/// `CLOCK_MONOTONIC_RAW`: counts from boot and is not slewed by time synchronisation.
fn monotonic_raw() -> Nanos {
    // Miri knows no raw clock; the slewed one is as good where only ordering matters.
    let clock = if cfg!(miri) { libc::CLOCK_MONOTONIC } else { libc::CLOCK_MONOTONIC_RAW };
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid, exclusively borrowed timespec for the whole call.
    unsafe { libc::clock_gettime(clock, &raw mut ts) };
    // The kernel never returns negative fields for this clock.
    Nanos(ts.tv_sec.unsigned_abs() * Nanos::PER_SECOND + ts.tv_nsec.unsigned_abs())
}
