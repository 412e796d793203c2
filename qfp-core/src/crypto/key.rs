//! The key state of one SA: a row of plain data, with everything computed that can be.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroize;

use super::algorithm::{Algorithm, Cipher, KeySize, SALT};
use super::{hmac, simd};

pal::plain_struct! {
    /// The key state of one SA in 1 KB: 16 cache lines, and all that a packet of it needs.
    ///
    /// | Bytes | What |
    /// |---|---|
    /// | 0 | number of the [`Algorithm`], 0 for none |
    /// | 4 to 8 | salt |
    /// | 16 to 256 | AES round keys, 11 or 15; the key of ChaCha20 |
    /// | 256 to 768 | GCM: H^32 down to H^1, each times x, so that products need no shift |
    /// | 768 to 1024 | GCM: the two halves of each of these added up, for Karatsuba; 64-byte row k holds powers 32-8k-j in the low and 28-8k-j in the high half of 16 bytes j |
    /// | 256 to 496 | CBC: round keys of decryption |
    /// | 512 to 640 | HMAC: state after the inner and after the outer pad |
    ///
    /// A small packet touches the first three or four lines and the one with the low powers.
    /// The row is valid on any machine with the same processor features as the one that wrote it.
    /// It has no destructor, so that it may lie in tables: call [`wipe`](Self::wipe).
    #[repr(align(64))]
    pub struct SaKey {
        pub(super) algorithm: u8,
        unused: [u8; 3],
        pub(super) salt: u32,
        spare: [u8; 8],
        pub(super) aes: [[u8; 16]; 15],
        pub(super) area: [[u8; 16]; 48],
    }
}

const _: () = assert!(size_of::<SaKey>() == 1024 && align_of::<SaKey>() == 64);

/// Where the states of the HMAC begin in the area.
const HMAC: usize = 16;

/// Why a key was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cipher's key (with the salt, where there is one) has another length.
    #[error("{} takes a cipher key of {} bytes, not {given}", algorithm.name(), algorithm.cipher_key_len())]
    CipherKeyLength {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// Bytes given.
        given: usize,
    },
    /// The HMAC's key has another length.
    #[error("{} takes an authentication key of {} bytes, not {given}", algorithm.name(), algorithm.auth_key_len())]
    AuthKeyLength {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// Bytes given.
        given: usize,
    },
    /// NULL encryption sends everything in the clear, so it must be asked for by its own call.
    #[error("{} does not encrypt: it must be asked for explicitly", .0.name())]
    NullEncryption(Algorithm),
}

impl SaKey {
    /// A row without a key.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            algorithm: 0,
            unused: [0; 3],
            salt: 0,
            spare: [0; 8],
            aes: [[0; 16]; 15],
            area: [[0; 16]; 48],
        }
    }

    /// Fills the row. `cipher_key` ends with the salt where the algorithm has one, as in RFC 4106
    /// §8.1. Costs about a microsecond. After an error the row is empty.
    ///
    /// # Errors
    /// A key of the wrong length, or an algorithm of NULL encryption.
    pub fn set(
        &mut self,
        algorithm: Algorithm,
        cipher_key: &[u8],
        auth_key: &[u8],
    ) -> Result<(), KeyError> {
        self.wipe();
        if algorithm.cipher() == Cipher::Null {
            return Err(KeyError::NullEncryption(algorithm));
        }
        self.fill(algorithm, cipher_key, auth_key)
    }

    /// Fills the row for packets that are authenticated and travel in the clear (RFC 2410).
    ///
    /// # Errors
    /// As [`set`](Self::set); an algorithm that encrypts finds no cipher key.
    pub fn set_null_encryption(
        &mut self,
        algorithm: Algorithm,
        auth_key: &[u8],
    ) -> Result<(), KeyError> {
        self.wipe();
        self.fill(algorithm, &[], auth_key)
    }

    fn fill(
        &mut self,
        algorithm: Algorithm,
        cipher_key: &[u8],
        auth_key: &[u8],
    ) -> Result<(), KeyError> {
        if cipher_key.len() != algorithm.cipher_key_len() {
            return Err(KeyError::CipherKeyLength { algorithm, given: cipher_key.len() });
        }
        if auth_key.len() != algorithm.auth_key_len() {
            return Err(KeyError::AuthKeyLength { algorithm, given: auth_key.len() });
        }
        let key = match algorithm.cipher() {
            Cipher::Gcm(_) | Cipher::Gmac(_) | Cipher::ChaCha => {
                let (key, salt) = cipher_key.split_at(cipher_key.len() - SALT);
                self.salt = salt.first_chunk().map_or(0, |salt| u32::from_le_bytes(*salt));
                key
            }
            Cipher::Cbc(_) | Cipher::Null => cipher_key,
        };
        // The first round keys of AES are the key itself, which is all that the crates need.
        for (row, chunk) in self.aes.iter_mut().zip(key.chunks_exact(16)) {
            row.copy_from_slice(chunk);
        }
        if let Some(aes) = simd::AesNi::detect() {
            match algorithm.cipher() {
                Cipher::Gcm(size) | Cipher::Gmac(size) => {
                    aes.expand(size, self);
                    aes.hash_powers(size, self);
                }
                Cipher::Cbc(size) => {
                    aes.expand(size, self);
                    aes.invert(size, self);
                }
                Cipher::ChaCha | Cipher::Null => {}
            }
        }
        if let Some(hash) = algorithm.hash() {
            hmac::precompute(hash, auth_key, &mut self.area[HMAC..HMAC + 8]);
        }
        self.algorithm = algorithm as u8;
        Ok(())
    }

    /// What the row is for; none if it is empty.
    #[inline]
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_number(self.algorithm)
    }

    /// The size of its key if it is for AES-GCM: the shortest way for most packets.
    #[inline]
    pub(super) const fn gcm(&self) -> Option<KeySize> {
        const AES_128: u8 = Algorithm::Aes128Gcm as u8;
        const AES_256: u8 = Algorithm::Aes256Gcm as u8;
        match self.algorithm {
            AES_128 => Some(KeySize::Aes128),
            AES_256 => Some(KeySize::Aes256),
            _ => None,
        }
    }

    /// Overwrites everything with zeroes, in a way that is not optimised away.
    pub fn wipe(&mut self) {
        self.algorithm.zeroize();
        self.salt.zeroize();
        self.aes.zeroize();
        self.area.zeroize();
    }

    /// The cipher's key as it was given, without the salt.
    pub(super) fn raw<const N: usize>(&self) -> [u8; N] {
        let mut key = [0; N];
        for (chunk, row) in key.chunks_mut(16).zip(&self.aes) {
            chunk.copy_from_slice(&row[..chunk.len()]);
        }
        key
    }

    /// The states of the HMAC.
    #[inline]
    pub(super) fn hmac(&self) -> &[[u8; 16]] {
        &self.area[HMAC..HMAC + 8]
    }
}

impl fmt::Debug for SaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

/// A [`SaKey`] that is wiped when it is dropped, for those that lie in no table.
pub struct OwnedKey(Box<SaKey>);

impl OwnedKey {
    /// See [`SaKey::set`].
    ///
    /// # Errors
    /// As there.
    pub fn new(algorithm: Algorithm, cipher_key: &[u8], auth_key: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self(Box::new(SaKey::empty()));
        key.0.set(algorithm, cipher_key, auth_key)?;
        Ok(key)
    }

    /// See [`SaKey::set_null_encryption`].
    ///
    /// # Errors
    /// As there.
    pub fn null_encryption(algorithm: Algorithm, auth_key: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self(Box::new(SaKey::empty()));
        key.0.set_null_encryption(algorithm, auth_key)?;
        Ok(key)
    }
}

impl Deref for OwnedKey {
    type Target = SaKey;

    fn deref(&self) -> &SaKey {
        &self.0
    }
}

impl Drop for OwnedKey {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl fmt::Debug for OwnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeySize {
    /// Rounds of AES.
    pub(super) const fn rounds(self) -> usize {
        match self {
            Self::Aes128 => 10,
            Self::Aes256 => 14,
        }
    }
}
