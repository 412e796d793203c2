//! ChaCha20-Poly1305 for ESP (RFC 7634), from the crate `chacha20poly1305`.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};
use zeroize::Zeroize;

use super::key::SaKey;
use hal::crypto::Iv;

fn start(key: &SaKey, iv: Iv) -> (ChaCha20Poly1305, Nonce) {
    let mut raw: Key = key.raw::<32>().into();
    let cipher = ChaCha20Poly1305::new(&raw);
    raw.zeroize();
    let mut nonce = Nonce::default();
    nonce[..4].copy_from_slice(&key.salt.to_le_bytes());
    nonce[4..].copy_from_slice(&iv.bytes()[..8]);
    (cipher, nonce)
}

/// Enciphers in place and returns the tag; none for 256 GB and more.
pub(super) fn seal(key: &SaKey, iv: Iv, aad: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
    let (cipher, nonce) = start(key, iv);
    cipher.encrypt_inout_detached(&nonce, aad, data.into()).ok().map(Into::into)
}

/// Deciphers in place if the tag is right, which is compared in constant time.
pub(super) fn open(key: &SaKey, iv: Iv, aad: &[u8], data: &mut [u8], tag: [u8; 16]) -> bool {
    let (cipher, nonce) = start(key, iv);
    cipher.decrypt_inout_detached(&nonce, aad, data.into(), &Tag::from(tag)).is_ok()
}
