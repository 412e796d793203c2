//! The peer: it has the keys, and protects whatever it likes.

use std::collections::HashMap;

use qfp_core::crypto::{Aad, Algorithm, CryptoEngine, Iv, Job, Outcome, SaKey};

use crate::frames::fixed;
use crate::scene::{key, spi};

/// An engine of its own, and the numbers of its SAs.
pub(crate) struct Peer {
    engine: CryptoEngine,
    numbers: HashMap<u32, u32>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        let engine = CryptoEngine::start().expect("an engine").engine;
        Self { engine, numbers: HashMap::new() }
    }

    /// An outer packet around `inner`. In transport mode its upper layer is all that is protected.
    pub(crate) fn seal(&mut self, sa: usize, keys: u32, tunnel: bool, inner: &[u8]) -> Vec<u8> {
        let spi = spi(true, sa, keys);
        let number = self.numbers.entry(spi).or_default();
        *number += 1;
        let v6 = inner[0] >> 4 == 6;
        let (next, plain) = match (tunnel, v6) {
            (true, false) => (4, inner),
            (true, true) => (41, inner),
            (false, false) => (inner.get(9).copied().unwrap_or(59), inner.get(20..).unwrap_or(&[])),
            (false, true) => (inner.get(6).copied().unwrap_or(59), inner.get(40..).unwrap_or(&[])),
        };
        let mut plain = plain.to_vec();
        let pad = [2, 1, 0, 3][plain.len() % 4];
        plain.extend(1..=pad);
        plain.extend([pad, next]);
        let mut esp = [spi.to_be_bytes(), number.to_be_bytes()].concat();
        esp.extend(u64::from(*number).to_be_bytes());
        esp.extend(&plain);
        esp.extend([0; 16]);
        let text = key(spi);
        let byte = |n: usize| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).expect("digits");
        let bytes: Vec<u8> = (0..20).map(byte).collect();
        let mut keys = [SaKey::empty()];
        keys[0].set(Algorithm::Aes128Gcm, &bytes, &[]).expect("a key");
        let (iv, aad) = (Iv::counter((*number).into()), Aad::esp(spi, *number));
        let job = Job::new(0, 16, plain.len() as u32, iv, aad);
        assert_eq!(self.engine.seal(&keys, &[job], &mut [&mut esp]).get(0), Outcome::Done);
        outer(sa, &esp)
    }
}

/// ESP from the peer to the router.
fn outer(sa: usize, esp: &[u8]) -> Vec<u8> {
    let mut ip = if sa == 0 {
        vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 50, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1]
    } else {
        let host = |host| [0x20, 1, 0xd, 0xb8, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
        [&[0x60, 0, 0, 0, 0, 0, 50, 64], &host(2)[..], &host(1)].concat()
    };
    ip.extend(esp);
    fixed(&mut ip);
    ip
}
