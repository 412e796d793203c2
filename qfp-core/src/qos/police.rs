//! Policers without rounding: every decision equals that of exact rational arithmetic.
//!
//! A token is the smallest amount that both a nanosecond and a byte are a whole number of: at
//! 1 Gb/s an eighth of a byte, at 7 bit/s a part in 8 000 000 000. So a bucket is an integer, time
//! adds an integer to it, and nothing is ever cut off. Rates go from 1 bit/s to 800 Gb/s, bursts
//! to 2^40 bytes; where 64 bits are too few for a bucket, a policer uses 128.
//!
//! - [`PolicerSpec`] is what an operator says; [`PolicerSpec::program`] checks it and makes
//! - [`PolicerConfig`], a row that lcores read;
//! - [`PolicerState`], the tokens, is a row that lcores write. It names its own units, so it
//!   outlives the configuration it was filled under, and a row of zeroes is a full policer.
//! - [`meter`] colours a packet; [`Policers::meter_batch`] a vector of them.
//!
//! A policer belongs to one lcore, or is shared, which its configuration must say. A shared one
//! takes two atomic steps a packet and never waits for another lcore; no nanosecond is credited
//! and no token spent twice, so its total is exact.
//!
//! Two levels are two calls, child before parent: the packets that the child lets through enter
//! the parent with the child's colour.

mod arch;
mod batch;
mod colour;
mod config;
mod program;
mod rate;
mod row;
mod shared;
mod special;
mod state;

#[cfg(test)]
mod tests;

pub use batch::{NO_POLICER, Policers};
pub use colour::{Colour, meter};
pub use config::{
    Algorithm, Bucket, Burst, Limits, PolicerError, PolicerSpec, PolicerWarning, Rate,
};
pub use program::Programmed;
pub use rate::{BitsPerSecond, Granularity, PacketsPerSecond, Percent, RateError};
pub use row::PolicerConfig;
pub use state::{PolicerState, Snapshot};
