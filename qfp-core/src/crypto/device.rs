//! The engine as a crypto device with keys of its own.

use hal::Packet;
use hal::crypto::{BATCH, CryptoDevice, CryptoError, CryptoKey, Job, Outcomes};

use super::{Algorithm, CryptoEngine, SaKey, StartError};

/// The software engine behind the interface of [crypto devices](hal::crypto), which needs none.
///
/// Lcores call [`CryptoEngine`] itself, with keys that lie in tables.
pub struct SoftwareCrypto {
    engine: CryptoEngine,
    keys: Vec<SaKey>,
}

impl SoftwareCrypto {
    /// The engine of this processor, with room for `rows` keys of 1 KB.
    ///
    /// # Errors
    /// No engine passes its test.
    pub fn start(rows: usize) -> Result<Self, StartError> {
        let engine = CryptoEngine::start()?.engine;
        Ok(Self { engine, keys: (0..rows).map(|_| SaKey::empty()).collect() })
    }
}

impl CryptoDevice for SoftwareCrypto {
    fn name(&self) -> &str {
        "software"
    }

    fn set_key(&mut self, row: u32, key: &CryptoKey<'_>) -> Result<(), CryptoError> {
        let rows = self.keys.len();
        let no_row = CryptoError::NoRow { row, rows };
        let place = self.keys.get_mut(row as usize).ok_or(no_row)?;
        place.wipe();
        // Lengths tell the algorithms of a transform apart.
        let fits = |algorithm: &&Algorithm| {
            algorithm.transform() == Some(key.transform)
                && algorithm.cipher_key_len() == key.cipher.len()
        };
        let wrong = || CryptoError::KeyLength(key.transform);
        let algorithm = Algorithm::ALL.iter().find(fits).ok_or_else(wrong)?;
        place.set(*algorithm, key.cipher, key.auth).map_err(|_| wrong())
    }

    fn clear_key(&mut self, row: u32) {
        if let Some(key) = self.keys.get_mut(row as usize) {
            key.wipe();
        }
    }

    fn seal(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        let (mut frames, count) = frames(packets);
        self.engine.seal(&self.keys, jobs, &mut frames[..count])
    }

    fn open(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        let (mut frames, count) = frames(packets);
        self.engine.open(&self.keys, jobs, &mut frames[..count])
    }
}

/// The frames of the packets, and how many there are.
fn frames(packets: &mut [Packet]) -> ([&mut [u8]; BATCH], usize) {
    let count = packets.len().min(BATCH);
    let mut frames: [&mut [u8]; BATCH] = std::array::from_fn(|_| Default::default());
    for (frame, packet) in frames.iter_mut().zip(packets) {
        *frame = packet.frame_mut();
    }
    (frames, count)
}

impl Drop for SoftwareCrypto {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(SaKey::wipe);
    }
}

#[cfg(test)]
mod tests {
    use hal::pool::NativePool;
    use hal::{Pool, PoolCache};

    use super::*;
    use crate::crypto::{Aad, Iv, Outcome};

    const HEAD: u32 = 42;

    fn key(algorithm: Algorithm) -> (Vec<u8>, Vec<u8>) {
        let bytes = |n: usize| (1..).take(n).collect();
        (bytes(algorithm.cipher_key_len()), bytes(algorithm.auth_key_len()))
    }

    fn packet(cache: &mut PoolCache, len: usize) -> Packet {
        cache.packet(&(0..).take(HEAD as usize + len + 32).collect::<Vec<u8>>()).unwrap()
    }

    #[test]
    fn the_device_gives_what_the_engine_gives_for_every_algorithm_that_devices_take() {
        let mut cache = Pool::Native(NativePool::new(16, 2048)).cache(0);
        let engine = CryptoEngine::start().unwrap().engine;
        for algorithm in Algorithm::ALL {
            let Some(transform) = algorithm.transform() else { continue };
            assert_eq!(
                (transform.tag_len(), transform.block()),
                (algorithm.tag_len(), algorithm.block())
            );
            let (cipher, auth) = key(algorithm);
            let mut keys = [SaKey::empty(), SaKey::empty()];
            keys[1].set(algorithm, &cipher, &auth).unwrap();
            let mut device = SoftwareCrypto::start(2).unwrap();
            let given = CryptoKey { transform, cipher: &cipher, auth: &auth, esn: false };
            device.set_key(1, &given).unwrap();
            let job = Job::new(1, HEAD, 96, Iv::counter(7), Aad::esp(5, 7));
            let mut packets = [packet(&mut cache, 96)];
            let mut bytes = packets[0].frame().to_vec();
            let clear = bytes.clone();
            assert_eq!(device.seal(&[job], &mut packets).get(0), Outcome::Done);
            assert_eq!(engine.seal(&keys, &[job], &mut [&mut bytes]).get(0), Outcome::Done);
            assert_eq!(packets[0].frame(), bytes);
            assert_eq!(device.open(&[job], &mut packets).get(0), Outcome::Done);
            assert_eq!(packets[0].frame()[..138], clear[..138]);
            device.clear_key(1);
            assert_eq!(device.seal(&[job], &mut packets).get(0), Outcome::NoKey);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_leaves_the_row_empty() {
        let mut device = SoftwareCrypto::start(1).unwrap();
        let transform = hal::crypto::Transform::AesGcm;
        let good = CryptoKey { transform, cipher: &[1; 20], auth: &[], esn: false };
        device.set_key(0, &good).unwrap();
        assert!(matches!(device.set_key(1, &good), Err(CryptoError::NoRow { row: 1, rows: 1 })));
        let bad = CryptoKey { cipher: &[1; 19], ..good };
        assert!(matches!(device.set_key(0, &bad), Err(CryptoError::KeyLength(_))));
        let job = Job::new(0, HEAD, 16, Iv::counter(7), Aad::esp(5, 7));
        let mut cache = Pool::Native(NativePool::new(4, 2048)).cache(0);
        let outcomes = device.seal(&[job], &mut [packet(&mut cache, 16)]);
        assert_eq!(outcomes.get(0), Outcome::NoKey);
    }
}
