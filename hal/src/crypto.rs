//! Crypto devices: what seals and opens the packets of ESP, in software or in hardware.
//!
//! A [`Job`] says what is to be done to one packet and a [`CryptoKey`] under which key; a
//! [`CryptoDevice`] does batches of them. The engine in software is `qfp_core::crypto`, which
//! implements the trait too and is what lcores use; with feature `dpdk` there is
//! `dpdk::DpdkCrypto` over DPDK's cryptodevs. All of them give the same bytes.

mod job;

pub use job::{Aad, BATCH, Iv, Job, Outcome, Outcomes};

use crate::Packet;

/// How payload is enciphered and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// AES-GCM with a tag of 16 bytes (RFC 4106); keys of 16 or 32 bytes.
    AesGcm,
    /// ChaCha20-Poly1305 (RFC 7634); keys of 32 bytes.
    ChaCha20Poly1305,
    /// AES-CBC (RFC 3602), keys of 16 or 32 bytes, then an HMAC over all of ESP (RFC 4868).
    AesCbc(Hash),
}

/// The hash of an HMAC, whose tag is half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Keys of 32 bytes, tags of 16.
    Sha256,
    /// Keys of 48 bytes, tags of 24.
    Sha384,
    /// Keys of 64 bytes, tags of 32.
    Sha512,
}

impl Transform {
    /// Bytes of the tag.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AesGcm | Self::ChaCha20Poly1305 | Self::AesCbc(Hash::Sha256) => 16,
            Self::AesCbc(Hash::Sha384) => 24,
            Self::AesCbc(Hash::Sha512) => 32,
        }
    }

    /// What the length of the payload must be a multiple of.
    #[must_use]
    pub const fn block(self) -> u32 {
        match self {
            Self::AesGcm | Self::ChaCha20Poly1305 => 1,
            Self::AesCbc(_) => 16,
        }
    }

    /// Whether one algorithm enciphers and authenticates.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        !matches!(self, Self::AesCbc(_))
    }
}

/// A key as a device takes it. It is never printed.
#[derive(Clone, Copy)]
pub struct CryptoKey<'a> {
    /// What it is for.
    pub transform: Transform,
    /// The cipher's key, and where there is a salt these 4 bytes behind it (RFC 4106 §8.1).
    pub cipher: &'a [u8],
    /// The HMAC's key; empty where the cipher authenticates.
    pub auth: &'a [u8],
    /// Whether sequence numbers are extended: 12 bytes of AAD instead of 8.
    pub esn: bool,
}

/// Why a device does not take a key, or is none.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// There is no such device, or it does not start.
    #[error("crypto device {device}: {reason}")]
    Device {
        /// The device.
        device: String,
        /// What it, or its driver, says.
        reason: String,
    },
    /// The device lacks the algorithm, or this use of it.
    #[error("crypto device {device} has no {transform:?}{}", if *esn { " with extended sequence numbers" } else { "" })]
    Unsupported {
        /// The device.
        device: String,
        /// What it lacks.
        transform: Transform,
        /// With extended sequence numbers.
        esn: bool,
    },
    /// A key of another length than the algorithm's.
    #[error("a key of another length than {0:?} takes")]
    KeyLength(Transform),
    /// A row beyond those that the device was opened with.
    #[error("key row {row} of {rows}")]
    NoRow {
        /// The row.
        row: u32,
        /// Rows there are.
        rows: usize,
    },
}

/// Seals and opens packets of ESP under keys that it keeps by row.
///
/// One thread uses it. Calls return when the whole batch is done; packets stay the caller's.
pub trait CryptoDevice: Send {
    /// What reports call it.
    fn name(&self) -> &str;

    /// Puts a key into a row, in place of the one that was there. Control path.
    ///
    /// # Errors
    /// The device does not take it; then the row is empty.
    fn set_key(&mut self, row: u32, key: &CryptoKey<'_>) -> Result<(), CryptoError>;

    /// Empties a row and forgets its key. Control path.
    fn clear_key(&mut self, row: u32);

    /// Enciphers each packet's payload in place and writes its tag. `packets[i]` is what `jobs[i]`
    /// is about; at most [`BATCH`] are done. Each packet is done or refused for itself.
    fn seal(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes;

    /// Deciphers each packet's payload in place, if its tag is right; else the payload is zeroes.
    fn open(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes;
}
