//! The engine of this project.

use std::rc::Rc;

use qfp::core::crypto::{Aad, BATCH, CryptoEngine, Iv, Job, KeyError, SaKey, Tier};

use crate::packets::{Buffers, PAYLOAD, Packet, Shape};
use crate::race::{Contestant, Set};

/// One tier.
pub(crate) struct Ours {
    engine: CryptoEngine,
    /// The tiers share them.
    keys: Rc<[SaKey]>,
    jobs: [[Job; BATCH]; 2],
    buffers: [Buffers; 2],
}

/// The keys of all SAs.
pub(crate) fn keys(shape: Shape) -> Result<Rc<[SaKey]>, KeyError> {
    let mut keys: Vec<SaKey> = (0..shape.sas).map(|_| SaKey::empty()).collect();
    for (sa, key) in keys.iter_mut().enumerate() {
        let (cipher, auth) = shape.keys(sa);
        if cipher.is_empty() {
            key.set_null_encryption(shape.algorithm, &auth)?;
        } else {
            key.set(shape.algorithm, &cipher, &auth)?;
        }
    }
    Ok(keys.into())
}

impl Ours {
    pub(crate) fn new(engine: CryptoEngine, keys: &Rc<[SaKey]>, shape: Shape) -> Self {
        let none = Job::new(0, 0, 0, Iv::counter(0), Aad::esp(0, 0));
        let buffers = [Buffers::new(shape), Buffers::new(shape)];
        Self { engine, keys: keys.clone(), jobs: [[none; BATCH]; 2], buffers }
    }

    /// Runs the batch one way.
    fn run(
        &mut self,
        set: Set,
        way: impl Fn(&CryptoEngine, &[SaKey], &[Job], &mut [&mut [u8]]) -> u64,
    ) -> usize {
        let mut buffers = self.buffers[set as usize].iter_mut();
        let mut packets: [&mut [u8]; BATCH] =
            std::array::from_fn(|_| buffers.next().unwrap_or_default());
        let jobs = &self.jobs[set as usize];
        way(&self.engine, &self.keys, jobs, &mut packets).count_ones() as usize
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        match self.engine.tier() {
            Tier::Vaes512 => "vaes512",
            Tier::AesNi => "aesni",
            Tier::Portable => "portable",
        }
    }

    fn prepare(&mut self, set: Set, packets: &[Packet; BATCH]) {
        let buffers = &mut self.buffers[set as usize];
        buffers.prepare(packets);
        let len = u32::try_from(buffers.shape.len).unwrap_or(0);
        let payload = u32::try_from(PAYLOAD).unwrap_or(0);
        for (job, packet) in self.jobs[set as usize].iter_mut().zip(packets) {
            let key = u32::try_from(packet.sa).unwrap_or(0);
            let aad = Aad::esp(packet.spi(), packet.sequence());
            *job = Job::new(key, payload, len, Iv::block(packet.iv()), aad);
        }
    }

    fn seal(&mut self, set: Set) -> usize {
        self.run(set, |engine, keys, jobs, packets| engine.seal(keys, jobs, packets).done())
    }

    fn open(&mut self, set: Set) -> usize {
        self.run(set, |engine, keys, jobs, packets| engine.open(keys, jobs, packets).done())
    }

    fn sealed(&self, i: usize) -> &[u8] {
        self.buffers[0].sealed(i)
    }
}
