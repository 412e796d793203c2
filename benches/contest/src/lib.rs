//! What the benchmarks share.
//!
//! - [`bench()`]: the one shape of a bench's `main`
//! - [`Cycles`], [`criterion()`]: criterion in cycles of the time stamp counter, for what is
//!   measured against its own past
//! - [`thread_ns`], [`Spread`], [`results`]: for contests, whose contestants take turns in one run

#![deny(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it measures")]

mod bench;
mod cpu_time;
mod cycles;
pub mod results;
mod spread;

pub use bench::{BenchError, Words, bench};
pub use cpu_time::thread_ns;
pub use cycles::{Cycles, criterion};
pub use spread::Spread;
