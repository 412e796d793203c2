//! `aws-lc-rs`, for the ciphers that authenticate.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use qfp::core::crypto::{Algorithm, BATCH};

use crate::packets::{Batch, Packet, Shape};
use crate::race::{Contestant, Set};

/// Its keys, and a batch.
pub(crate) struct AwsLc {
    keys: Vec<LessSafeKey>,
    salts: Vec<Vec<u8>>,
    sets: [Batch; 2],
    /// Bytes from the header on that are authenticated only.
    aad: usize,
    /// Bytes that are enciphered.
    text: usize,
}

impl AwsLc {
    /// None for algorithms it does not have.
    pub(crate) fn new(shape: Shape) -> Option<Self> {
        let (algorithm, gmac) = match shape.algorithm {
            Algorithm::Aes128Gcm => (&AES_128_GCM, false),
            Algorithm::Aes256Gcm => (&AES_256_GCM, false),
            Algorithm::Aes128Gmac => (&AES_128_GCM, true),
            Algorithm::Aes256Gmac => (&AES_256_GCM, true),
            Algorithm::ChaCha20Poly1305 => (&CHACHA20_POLY1305, false),
            _ => return None,
        };
        let (mut keys, mut salts) = (Vec::new(), Vec::new());
        for sa in 0..shape.sas {
            let (key, _) = shape.keys(sa);
            let (key, salt) = key.split_at(key.len() - 4);
            keys.push(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?));
            salts.push(salt.to_vec());
        }
        // GMAC authenticates header, IV and payload and enciphers nothing.
        let (aad, text) = if gmac { (8 + 8 + shape.len, 0) } else { (8, shape.len) };
        Some(Self { keys, salts, sets: [Batch::new(shape), Batch::new(shape)], aad, text })
    }

    /// Runs the batch one way: AAD, text and tag of each packet.
    fn run(
        &mut self,
        set: Set,
        way: impl Fn(&LessSafeKey, Nonce, &[u8], &mut [u8], usize) -> bool,
    ) -> usize {
        let Batch { packets, nonces, buffers } = &mut self.sets[set as usize];
        let (start, end) = (buffers.shape.header(), buffers.shape.end());
        let (aad, text) = (self.aad, self.text);
        let packets = packets.iter().zip(&*nonces);
        buffers
            .iter_mut()
            .zip(packets)
            .filter_map(|(bytes, (packet, nonce))| {
                let bytes = &mut bytes[start..end];
                let nonce = Nonce::assume_unique_for_key(*nonce);
                let (aad, rest) = bytes.split_at_mut(aad);
                let skip = rest.len() - 16 - text;
                way(&self.keys[packet.sa], nonce, aad, &mut rest[skip..], text).then_some(())
            })
            .count()
    }
}

impl Contestant for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn prepare(&mut self, set: Set, packets: &[Packet; BATCH]) {
        self.sets[set as usize].prepare(packets, &self.salts);
    }

    fn seal(&mut self, set: Set) -> usize {
        self.run(set, |key, nonce, aad, rest, text| {
            let (text, tag) = rest.split_at_mut(text);
            match key.seal_in_place_separate_tag(nonce, Aad::from(aad), text) {
                Ok(computed) => {
                    tag.copy_from_slice(computed.as_ref());
                    true
                }
                Err(_) => false,
            }
        })
    }

    fn open(&mut self, set: Set) -> usize {
        self.run(set, |key, nonce, aad, rest, _| {
            key.open_in_place(nonce, Aad::from(aad), rest).is_ok()
        })
    }

    fn sealed(&self, i: usize) -> &[u8] {
        self.sets[0].buffers.sealed(i)
    }
}
