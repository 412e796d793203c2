//! The software crypto engine.

mod algorithm;
mod cbc;
mod chacha;
mod encrypt_then_mac;
mod engine;
mod gcm;
mod hmac;
mod job;
mod key;
mod quads;
mod select;
mod self_test;
mod simd;
mod start;
mod tier;

pub use algorithm::Algorithm;
pub use engine::CryptoEngine;
pub use job::{Aad, BATCH, Iv, Job, Outcome, Outcomes};
pub use key::{KeyError, OwnedKey, SaKey};
pub use self_test::Refusal;
pub use start::{StartError, Started, TIER_VARIABLE};
pub use tier::Tier;

#[cfg(test)]
mod tests;
