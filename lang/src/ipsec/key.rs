//! Keys on their way to the data plane.

use std::fmt;
use std::sync::Arc;

use qfp_core::crypto::{Algorithm, SaKey};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key: that of the cipher with its salt, then that of the HMAC.
///
/// Wiped when the last of its clones is dropped. Prints as dots; compares in constant time.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Box<[u8]>>>);

/// Who a key is, without saying what it is: half of a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u128);

impl KeyId {
    /// Of a key, whatever it is used for.
    #[must_use]
    pub fn of(key: &Secret) -> Self {
        Self(key.fingerprint(b"qfp key\0"))
    }
}

/// Why a text is no key. Nothing of the text is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Something else than digits.
    #[error("a key is hexadecimal digits, and character {0} is none")]
    NotHex(usize),
    /// Half a byte.
    #[error("a key has two hexadecimal digits a byte, and the last byte has one")]
    Odd,
    /// A key that everybody knows.
    #[error("a key of zeroes alone protects nothing")]
    Zero,
    /// Too few or too many.
    #[error("{} takes a key of {wants} bytes, not {given}", algorithm.name())]
    Length {
        /// The algorithm.
        algorithm: Algorithm,
        /// Bytes of its cipher's key, salt and authentication key.
        wants: usize,
        /// Bytes there are.
        given: usize,
    },
}

impl Secret {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(Box::from(bytes))))
    }

    /// A key from hexadecimal digits. White space between them does not count, nor does `0x` in
    /// front.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn from_hex(text: &[u8]) -> Result<Self, SecretError> {
        let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
        let skip = if text[start..].starts_with(b"0x") { start + 2 } else { start };
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
        let mut high = None;
        for (place, digit) in text.iter().enumerate().skip(skip) {
            if digit.is_ascii_whitespace() {
                continue;
            }
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(SecretError::NotHex(place + 1)),
            };
            match high.take() {
                None => high = Some(value),
                Some(high) => bytes.push(high << 4 | value),
            }
        }
        let odd = high.is_some();
        high.zeroize();
        if odd { Err(SecretError::Odd) } else { Ok(Self::new(&bytes)) }
    }

    /// Checks that it is as long as `algorithm` wants, and that none of its parts is zero.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn check(&self, algorithm: Algorithm) -> Result<(), SecretError> {
        let (cipher, auth) = (algorithm.cipher_key_len(), algorithm.auth_key_len());
        if cipher + auth != self.bytes().len() {
            return Err(self.length(algorithm));
        }
        // A salt is no secret, and may be zero.
        let (secret, auth) = (cipher - algorithm.salt_len(), self.bytes().split_at(cipher).1);
        let is_zero = |part: &[u8]| !part.is_empty() && part.iter().fold(0, |a, b| a | b) == 0;
        let cipher = self.bytes().get(..secret).unwrap_or_default();
        if is_zero(cipher) || is_zero(auth) { Err(SecretError::Zero) } else { Ok(()) }
    }

    /// Fills the row of the data plane.
    ///
    /// # Errors
    /// The key is none for `algorithm`.
    pub fn fill(&self, algorithm: Algorithm, row: &mut SaKey) -> Result<(), SecretError> {
        self.check(algorithm)?;
        let (cipher, auth) = self.bytes().split_at(algorithm.cipher_key_len());
        let filled = if cipher.is_empty() {
            row.set_null_encryption(algorithm, auth)
        } else {
            row.set(algorithm, cipher, auth)
        };
        filled.map_err(|_| self.length(algorithm))
    }

    fn length(&self, algorithm: Algorithm) -> SecretError {
        let wants = algorithm.cipher_key_len() + algorithm.auth_key_len();
        SecretError::Length { algorithm, wants, given: self.bytes().len() }
    }

    /// Half of the SHA-256 of `purpose` and the key: what tells it from others, and not what it is.
    #[must_use]
    pub fn fingerprint(&self, purpose: &[u8]) -> u128 {
        let hash = Sha256::new().chain_update(purpose).chain_update(self.bytes()).finalize();
        hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (self.bytes(), other.bytes());
        let differ = own.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b));
        own.len() == other.len() && std::hint::black_box(differ) == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bytes_whatever_is_between_them() {
        for text in ["00ff10", " 0x00 FF\n10\n", "0\n0f\tf10"] {
            assert_eq!(Secret::from_hex(text.as_bytes()).unwrap().bytes(), [0, 255, 16]);
        }
        assert_eq!(Secret::from_hex(b"").unwrap().bytes(), []);
        assert_eq!(Secret::from_hex(b"12 3g").unwrap_err(), SecretError::NotHex(5));
        assert_eq!(Secret::from_hex(b"12 3").unwrap_err(), SecretError::Odd);
        assert_eq!(Secret::from_hex(b"120x34").unwrap_err(), SecretError::NotHex(4));
    }

    #[test]
    fn a_key_is_never_printed_and_compares_by_all_of_its_bytes() {
        let key = Secret::new(&[0xab; 20]);
        assert_eq!(format!("{key:?}"), "Secret(...)");
        assert_eq!(key, Secret::from_hex("ab".repeat(20).as_bytes()).unwrap());
        assert_ne!(key, Secret::new(&[0xab; 19]));
        let mut other = [0xab; 20];
        other[19] = 0xaa;
        assert_ne!(key, Secret::new(&other));
    }

    #[test]
    fn a_key_of_another_length_is_refused_with_both_lengths() {
        let error = Secret::new(&[1; 16]).check(Algorithm::Aes128Gcm).unwrap_err();
        assert_eq!(error.to_string(), "aes-128-gcm takes a key of 20 bytes, not 16");
        for algorithm in Algorithm::ALL {
            let bytes = vec![1; algorithm.cipher_key_len() + algorithm.auth_key_len()];
            let key = Secret::new(&bytes);
            key.check(algorithm).unwrap();
            let mut row = SaKey::empty();
            key.fill(algorithm, &mut row).unwrap();
            assert_eq!(row.algorithm(), Some(algorithm));
        }
    }

    #[test]
    fn a_key_that_has_a_part_of_zeroes_is_refused_whatever_its_salt() {
        for algorithm in Algorithm::ALL {
            let (cipher, auth) = (algorithm.cipher_key_len(), algorithm.auth_key_len());
            let secret = cipher - algorithm.salt_len();
            let good = vec![1; cipher + auth];
            let with_zeroes = |part: std::ops::Range<usize>| {
                let mut key = good.clone();
                key[part].fill(0);
                Secret::new(&key).check(algorithm)
            };
            assert_eq!(with_zeroes(0..0), Ok(()), "{}", algorithm.name());
            assert_eq!(with_zeroes(0..cipher + auth), Err(SecretError::Zero));
            for part in [0..secret, cipher..cipher + auth] {
                let wants = if part.is_empty() { Ok(()) } else { Err(SecretError::Zero) };
                assert_eq!(with_zeroes(part), wants, "{}", algorithm.name());
            }
            assert_eq!(with_zeroes(secret..cipher), Ok(()), "a salt may be zero");
        }
    }
}
