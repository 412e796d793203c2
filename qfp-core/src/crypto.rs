//! The software crypto engine: seals and opens packets of ESP in place, in batches, on the lcore
//! that has them.
//!
//! [`CryptoEngine::start`] chooses a [`Tier`] once, by what the processor has, and tests it with
//! known answers. Keys are rows of plain data, [`SaKey`], 1 KB each, with everything computed that
//! can be; a [`Job`] says what is to be done to one packet, without pointers.
//!
//! - AES-GCM (RFC 4106) and AES-GMAC (RFC 4543): kernels of this crate for VAES and for AES-NI
//!   (`simd`), and the crates `aes` and `ghash`, which are also what the kernels are tested on.
//!   Small packets run four side by side; of larger ones the tag of each is computed behind the
//!   start of the next.
//! - AES-CBC with HMAC-SHA-2 (RFC 3602, RFC 4868): eight packets are enciphered side by side; the
//!   hashes come from the crate `sha2`.
//! - ChaCha20-Poly1305 (RFC 7634): the crate `chacha20poly1305`.
//! - NULL encryption (RFC 2410) with an HMAC, by a call of its own:
//!   [`SaKey::set_null_encryption`].
//!
//! [`SoftwareCrypto`] is the engine as one of the [devices](hal::crypto) that take such jobs.
//!
//! No kernel branches on a secret or looks one up in a table. Keys are wiped, never printed.
//!
//! ```
//! use qfp_core::crypto::{Aad, Algorithm, CryptoEngine, Iv, Job, SaKey};
//!
//! let engine = CryptoEngine::start()?.engine;
//! let mut keys = [SaKey::empty()];
//! keys[0].set(Algorithm::Aes128Gcm, &[7; 20], &[])?;
//! let mut packet = *b"eight bytes of header, payload, room for the tag";
//! let job = Job::new(0, 8, 24, Iv::counter(1), Aad::esp(0x1000, 1));
//! assert_eq!(engine.seal(&keys, &[job], &mut [&mut packet]).done(), 1);
//! assert_eq!(engine.open(&keys, &[job], &mut [&mut packet]).done(), 1);
//! assert_eq!(&packet[..32], b"eight bytes of header, payload, ");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod cbc;
mod chacha;
mod device;
mod encrypt_then_mac;
mod engine;
mod gcm;
mod hmac;
mod key;
mod quads;
mod select;
mod self_test;
mod simd;
mod start;
mod tier;

pub use algorithm::Algorithm;
pub use device::SoftwareCrypto;
pub use engine::CryptoEngine;
pub use key::{KeyError, OwnedKey, SaKey};
pub use self_test::Refusal;
pub use start::{StartError, Started, TIER_VARIABLE};
pub use tier::Tier;

pub use hal::crypto::{Aad, BATCH, Iv, Job, Outcome, Outcomes};

#[cfg(test)]
mod tests;
