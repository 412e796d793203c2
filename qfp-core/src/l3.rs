//! Network headers: every packet is parsed once, and what later rows need is kept in the vector.
//!
//! A vector kernel takes 16 frames at a time through the checks of RFC 1812 5.2.2 and
//! returns which of them are plain IPv4 or IPv6 unicast; the rest go through [`scalar`], one by
//! one, which knows all the rules. Both must agree, which a property test checks.

mod book;
mod fragment;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
mod simd;
mod source;
mod stage;
mod transport;

pub(crate) use source::LEAST_FILTER;
pub use source::{OwnAddress, own_addresses};
pub use stage::L3Parse;
pub use transport::Transport;
