#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

pub(crate) mod bench;
mod closed;
pub(crate) mod fast;
mod features;
mod order;
