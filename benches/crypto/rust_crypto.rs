//! The RustCrypto crates, as a program would use them.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, KeyInit, Mac};
use qfp::core::crypto::{Algorithm, BATCH};
use sha2::{Sha256, Sha384, Sha512};

use crate::packets::{Batch, PAYLOAD, Packet, Shape};
use crate::race::{Contestant, Set};

/// One SA.
trait Cipher {
    /// Seals or opens a packet that begins with the header; false if it is not authentic.
    fn run(&self, seal: bool, header: &[u8], nonce: &[u8; 12], rest: &mut [u8]) -> bool;
}

/// A cipher that authenticates.
struct Aead<C>(C);

impl<C> Cipher for Aead<C>
where
    C: AeadInOut<NonceSize = aes_gcm::aead::consts::U12, TagSize = aes_gcm::aead::consts::U16>,
{
    fn run(&self, seal: bool, header: &[u8], nonce: &[u8; 12], rest: &mut [u8]) -> bool {
        let (text, tag) = rest.split_at_mut(rest.len() - 16);
        if !seal {
            let Ok(tag) = (&*tag).try_into() else { return false };
            let aad = &header[..8];
            return self.0.decrypt_inout_detached(nonce.into(), aad, text.into(), tag).is_ok();
        }
        match self.0.encrypt_inout_detached(nonce.into(), &header[..8], text.into()) {
            Ok(computed) => {
                tag.copy_from_slice(&computed);
                true
            }
            Err(_) => false,
        }
    }
}

/// AES-CBC and an HMAC, truncated to half of the hash.
struct CbcHmac<C, M> {
    key: Vec<u8>,
    mac: M,
    cipher: std::marker::PhantomData<C>,
}

impl<C, M> Cipher for CbcHmac<C, M>
where
    C: CbcKey,
    M: Mac + Clone,
{
    fn run(&self, seal: bool, header: &[u8], _: &[u8; 12], rest: &mut [u8]) -> bool {
        let half = <M as hmac::digest::OutputSizeUser>::output_size() / 2;
        let (text, tag) = rest.split_at_mut(rest.len() - half);
        let Ok(iv) = header[8..].try_into() else { return false };
        if seal {
            C::crypt(true, &self.key, iv, text);
        }
        let mut mac = self.mac.clone();
        mac.update(header);
        mac.update(text);
        if seal {
            tag.copy_from_slice(&mac.finalize().into_bytes()[..half]);
        } else if mac.verify_truncated_left(tag).is_ok() {
            C::crypt(false, &self.key, iv, text);
        } else {
            return false;
        }
        true
    }
}

/// A size of AES key, in CBC.
trait CbcKey {
    fn crypt(seal: bool, key: &[u8], iv: &[u8; 16], text: &mut [u8]);
}

macro_rules! cbc_key {
    ($name:ident, $encrypt:ty, $decrypt:ty) => {
        struct $name;

        impl CbcKey for $name {
            fn crypt(seal: bool, key: &[u8], iv: &[u8; 16], text: &mut [u8]) {
                let blocks = aes::Block::cast_slice_from_core_mut(text.as_chunks_mut().0);
                if seal {
                    if let Ok(mut cbc) = cbc::Encryptor::<$encrypt>::new_from_slices(key, iv) {
                        cbc.encrypt_blocks(blocks);
                    }
                } else if let Ok(mut cbc) = cbc::Decryptor::<$decrypt>::new_from_slices(key, iv) {
                    cbc.decrypt_blocks(blocks);
                }
            }
        }
    };
}

cbc_key!(Cbc128, aes::Aes128Enc, aes::Aes128Dec);
cbc_key!(Cbc256, aes::Aes256Enc, aes::Aes256Dec);

fn cbc_hmac<C, M>(cipher: &[u8], auth: &[u8]) -> Option<Box<dyn Cipher>>
where
    C: CbcKey + 'static,
    M: Mac + KeyInit + Clone + 'static,
{
    let mac = <M as KeyInit>::new_from_slice(auth).ok()?;
    Some(Box::new(CbcHmac::<C, M> { key: cipher.to_vec(), mac, cipher: Default::default() }))
}

fn aead<C>(key: &[u8]) -> Option<Box<dyn Cipher>>
where
    C: AeadInOut<NonceSize = aes_gcm::aead::consts::U12, TagSize = aes_gcm::aead::consts::U16>
        + KeyInit
        + 'static,
{
    Some(Box::new(Aead(C::new_from_slice(&key[..key.len() - 4]).ok()?)))
}

/// Their keys, and a batch.
pub(crate) struct RustCrypto {
    keys: Vec<Box<dyn Cipher>>,
    salts: Vec<Vec<u8>>,
    sets: [Batch; 2],
}

impl RustCrypto {
    /// None for algorithms that no crate has by name.
    pub(crate) fn new(shape: Shape) -> Option<Self> {
        let mut keys = Vec::new();
        let mut salts = Vec::new();
        for sa in 0..shape.sas {
            let (cipher, auth) = shape.keys(sa);
            keys.push(match shape.algorithm {
                Algorithm::Aes128Gcm => aead::<Aes128Gcm>(&cipher)?,
                Algorithm::Aes256Gcm => aead::<Aes256Gcm>(&cipher)?,
                Algorithm::ChaCha20Poly1305 => aead::<ChaCha20Poly1305>(&cipher)?,
                Algorithm::Aes128CbcSha256 => cbc_hmac::<Cbc128, Hmac<Sha256>>(&cipher, &auth)?,
                Algorithm::Aes256CbcSha256 => cbc_hmac::<Cbc256, Hmac<Sha256>>(&cipher, &auth)?,
                Algorithm::Aes128CbcSha384 => cbc_hmac::<Cbc128, Hmac<Sha384>>(&cipher, &auth)?,
                Algorithm::Aes256CbcSha384 => cbc_hmac::<Cbc256, Hmac<Sha384>>(&cipher, &auth)?,
                Algorithm::Aes128CbcSha512 => cbc_hmac::<Cbc128, Hmac<Sha512>>(&cipher, &auth)?,
                Algorithm::Aes256CbcSha512 => cbc_hmac::<Cbc256, Hmac<Sha512>>(&cipher, &auth)?,
                _ => return None,
            });
            salts.push(cipher);
        }
        Some(Self { keys, salts, sets: [Batch::new(shape), Batch::new(shape)] })
    }

    fn run(&mut self, set: Set, seal: bool) -> usize {
        let Batch { packets, nonces, buffers } = &mut self.sets[set as usize];
        let (start, end) = (buffers.shape.header(), buffers.shape.end());
        let packets = packets.iter().zip(&*nonces);
        buffers
            .iter_mut()
            .zip(packets)
            .filter_map(|(bytes, (packet, nonce))| {
                let (header, rest) = bytes[start..end].split_at_mut(PAYLOAD - start);
                self.keys[packet.sa].run(seal, header, nonce, rest).then_some(())
            })
            .count()
    }
}

impl Contestant for RustCrypto {
    fn name(&self) -> &'static str {
        "rust-crypto"
    }

    fn prepare(&mut self, set: Set, packets: &[Packet; BATCH]) {
        self.sets[set as usize].prepare(packets, &self.salts);
    }

    fn seal(&mut self, set: Set) -> usize {
        self.run(set, true)
    }

    fn open(&mut self, set: Set) -> usize {
        self.run(set, false)
    }

    fn sealed(&self, i: usize) -> &[u8] {
        self.sets[0].buffers.sealed(i)
    }
}
