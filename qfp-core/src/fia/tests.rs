#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

pub(crate) mod bench;
mod closed;
mod features;
pub(crate) mod fused;
mod order;
