//! What an SA may use, with the sizes that follow from it.

use hal::crypto::{self as device, Transform};

/// An encryption and authentication of ESP.
///
/// The number is what a [`SaKey`](super::SaKey) stores; 0 is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// AES-128-GCM with a tag of 16 bytes (RFC 4106).
    Aes128Gcm = 1,
    /// AES-256-GCM with a tag of 16 bytes (RFC 4106).
    Aes256Gcm,
    /// AES-128-GMAC, no encryption (RFC 4543).
    Aes128Gmac,
    /// AES-256-GMAC, no encryption (RFC 4543).
    Aes256Gmac,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-128-CBC (RFC 3602) with HMAC-SHA-256-128 (RFC 4868).
    Aes128CbcSha256,
    /// AES-256-CBC with HMAC-SHA-256-128.
    Aes256CbcSha256,
    /// AES-128-CBC with HMAC-SHA-384-192.
    Aes128CbcSha384,
    /// AES-256-CBC with HMAC-SHA-384-192.
    Aes256CbcSha384,
    /// AES-128-CBC with HMAC-SHA-512-256.
    Aes128CbcSha512,
    /// AES-256-CBC with HMAC-SHA-512-256.
    Aes256CbcSha512,
    /// No encryption (RFC 2410) with HMAC-SHA-256-128.
    NullSha256,
    /// No encryption with HMAC-SHA-384-192.
    NullSha384,
    /// No encryption with HMAC-SHA-512-256.
    NullSha512,
}

/// How payload is enciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Gcm(KeySize),
    Gmac(KeySize),
    ChaCha,
    Cbc(KeySize),
    Null,
}

/// Length of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeySize {
    Aes128,
    Aes256,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::Aes128Gmac,
        Self::Aes256Gmac,
        Self::ChaCha20Poly1305,
        Self::Aes128CbcSha256,
        Self::Aes256CbcSha256,
        Self::Aes128CbcSha384,
        Self::Aes256CbcSha384,
        Self::Aes128CbcSha512,
        Self::Aes256CbcSha512,
        Self::NullSha256,
        Self::NullSha384,
        Self::NullSha512,
    ];

    /// The algorithm of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its name, as configurations and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes128Gmac => "aes-128-gmac",
            Self::Aes256Gmac => "aes-256-gmac",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes128CbcSha256 => "aes-128-cbc-sha256",
            Self::Aes256CbcSha256 => "aes-256-cbc-sha256",
            Self::Aes128CbcSha384 => "aes-128-cbc-sha384",
            Self::Aes256CbcSha384 => "aes-256-cbc-sha384",
            Self::Aes128CbcSha512 => "aes-128-cbc-sha512",
            Self::Aes256CbcSha512 => "aes-256-cbc-sha512",
            Self::NullSha256 => "null-sha256",
            Self::NullSha384 => "null-sha384",
            Self::NullSha512 => "null-sha512",
        }
    }

    /// What a [crypto device](hal::crypto) calls it; none for what devices do not take, GMAC and
    /// NULL encryption. Lengths of keys tell the rest.
    #[must_use]
    pub const fn transform(self) -> Option<Transform> {
        match (self.cipher(), self.hash()) {
            (Cipher::Gcm(_), _) => Some(Transform::AesGcm),
            (Cipher::ChaCha, _) => Some(Transform::ChaCha20Poly1305),
            (Cipher::Cbc(_), Some(Hash::Sha256)) => Some(Transform::AesCbc(device::Hash::Sha256)),
            (Cipher::Cbc(_), Some(Hash::Sha384)) => Some(Transform::AesCbc(device::Hash::Sha384)),
            (Cipher::Cbc(_), Some(Hash::Sha512)) => Some(Transform::AesCbc(device::Hash::Sha512)),
            (Cipher::Cbc(_), None) | (Cipher::Gmac(_) | Cipher::Null, _) => None,
        }
    }

    pub(super) const fn cipher(self) -> Cipher {
        match self {
            Self::Aes128Gcm => Cipher::Gcm(KeySize::Aes128),
            Self::Aes256Gcm => Cipher::Gcm(KeySize::Aes256),
            Self::Aes128Gmac => Cipher::Gmac(KeySize::Aes128),
            Self::Aes256Gmac => Cipher::Gmac(KeySize::Aes256),
            Self::ChaCha20Poly1305 => Cipher::ChaCha,
            Self::Aes128CbcSha256 | Self::Aes128CbcSha384 | Self::Aes128CbcSha512 => {
                Cipher::Cbc(KeySize::Aes128)
            }
            Self::Aes256CbcSha256 | Self::Aes256CbcSha384 | Self::Aes256CbcSha512 => {
                Cipher::Cbc(KeySize::Aes256)
            }
            Self::NullSha256 | Self::NullSha384 | Self::NullSha512 => Cipher::Null,
        }
    }

    /// The hash of its HMAC; none where the cipher authenticates.
    pub(super) const fn hash(self) -> Option<Hash> {
        match self {
            Self::Aes128Gcm
            | Self::Aes256Gcm
            | Self::Aes128Gmac
            | Self::Aes256Gmac
            | Self::ChaCha20Poly1305 => None,
            Self::Aes128CbcSha256 | Self::Aes256CbcSha256 | Self::NullSha256 => Some(Hash::Sha256),
            Self::Aes128CbcSha384 | Self::Aes256CbcSha384 | Self::NullSha384 => Some(Hash::Sha384),
            Self::Aes128CbcSha512 | Self::Aes256CbcSha512 | Self::NullSha512 => Some(Hash::Sha512),
        }
    }

    /// Whether the payload is enciphered: not with GMAC and NULL.
    #[must_use]
    pub const fn encrypts(self) -> bool {
        !matches!(self.cipher(), Cipher::Gmac(_) | Cipher::Null)
    }

    /// Bytes of the cipher's key, with the salt of 4 bytes that ends it where there is one.
    #[must_use]
    pub const fn cipher_key_len(self) -> usize {
        match self.cipher() {
            Cipher::Gcm(size) | Cipher::Gmac(size) => size.bytes() + SALT,
            Cipher::ChaCha => 32 + SALT,
            Cipher::Cbc(size) => size.bytes(),
            Cipher::Null => 0,
        }
    }

    /// Bytes of the salt that ends the cipher's key; 0 without one.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self.cipher() {
            Cipher::Gcm(_) | Cipher::Gmac(_) | Cipher::ChaCha => SALT,
            Cipher::Cbc(_) | Cipher::Null => 0,
        }
    }

    /// Bytes of the HMAC's key: as many as the hash gives (RFC 4868 §2.1.1), 0 without an HMAC.
    #[must_use]
    pub const fn auth_key_len(self) -> usize {
        match self.hash() {
            None => 0,
            Some(Hash::Sha256) => 32,
            Some(Hash::Sha384) => 48,
            Some(Hash::Sha512) => 64,
        }
    }

    /// Bytes of the IV that travels in front of the payload.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self.cipher() {
            Cipher::Gcm(_) | Cipher::Gmac(_) | Cipher::ChaCha => 8,
            Cipher::Cbc(_) => 16,
            Cipher::Null => 0,
        }
    }

    /// Bytes of the tag, which ESP calls ICV.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self.hash() {
            None | Some(Hash::Sha256) => 16,
            Some(Hash::Sha384) => 24,
            Some(Hash::Sha512) => 32,
        }
    }

    /// What the length of the payload must be a multiple of, for the cipher: 16 with CBC, else 1.
    ///
    /// ESP itself pads to 4 (RFC 4303 §2.4).
    #[must_use]
    pub const fn block(self) -> u32 {
        match self.cipher() {
            Cipher::Cbc(_) => 16,
            _ => 1,
        }
    }
}

impl KeySize {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

/// Bytes of the salt in the nonces of GCM and ChaCha20-Poly1305.
pub(super) const SALT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_number(algorithm as u8), Some(algorithm));
        }
        assert_eq!(Algorithm::from_number(0), None);
        assert_eq!(Algorithm::from_number(15), None);
    }
}
