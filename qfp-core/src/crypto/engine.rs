//! The engine: batches of packets, sealed or opened in place.

use subtle::ConstantTimeEq;

use super::algorithm::{Cipher, KeySize};
use super::encrypt_then_mac as etm;
use super::key::SaKey;
use super::quads::Quads;
use super::select::Select;
use super::simd::{Message, Vaes512};
use super::tier::{Kernel, Tier};
use super::{chacha, gcm};
use hal::crypto::{BATCH, Job, Outcome, Outcomes};

/// Seals and opens packets of ESP. One for the process; it holds no key and no state.
#[derive(Clone, Copy, Debug)]
pub struct CryptoEngine {
    tier: Tier,
    kernel: Kernel,
}

/// Payload of a packet at most, so that no counter wraps: what an IP packet can hold and more.
const LONGEST: u32 = 1 << 24;

impl CryptoEngine {
    /// The engine of one tier, not yet tested; none if this processor lacks its instructions.
    pub(super) fn untested(tier: Tier) -> Option<Self> {
        Kernel::of(tier).map(|kernel| Self { tier, kernel })
    }

    /// The kernels in use.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Enciphers each packet's payload in place and writes its tag.
    ///
    /// `packets[i]` is what `jobs[i]` is about; at most [`BATCH`] are done. Each packet is done or
    /// refused for itself. Small packets wait for others of their size within the batch, so a
    /// batch should be as long as there are packets, and grouped by SA if that is cheap: an SA
    /// costs 1 KB of cache. No allocation.
    pub fn seal(&self, keys: &[SaKey], jobs: &[Job], packets: &mut [&mut [u8]]) -> Outcomes {
        self.run::<true>(keys, jobs, packets)
    }

    /// Deciphers each packet's payload in place, if its tag is right.
    ///
    /// As [`seal`](Self::seal). A payload whose tag is wrong is overwritten with zeroes, so that
    /// nothing of it can leak; tags are compared in constant time.
    pub fn open(&self, keys: &[SaKey], jobs: &[Job], packets: &mut [&mut [u8]]) -> Outcomes {
        self.run::<false>(keys, jobs, packets)
    }

    fn run<const SEAL: bool>(
        &self,
        keys: &[SaKey],
        jobs: &[Job],
        packets: &mut [&mut [u8]],
    ) -> Outcomes {
        let mut outcomes = [Outcome::NoKey; BATCH];
        let count = jobs.len().min(packets.len()).min(BATCH);
        let jobs = &jobs[..count];
        let mut before = None;
        for job in jobs {
            if before != Some(job.key) {
                self.prefetch(keys, job);
            }
            before = Some(job.key);
        }
        let mut small = Quads::default();
        let mut large = [Select::default(); 2];
        let mut chained = Select::default();
        for (i, job) in jobs.iter().enumerate() {
            let Some(key) = keys.get(job.key as usize) else { continue };
            let len = packets[i].len();
            if let (Some(size), Kernel::Vaes512(vaes)) = (key.gcm(), self.kernel) {
                if let Err(refused) = check(job, len, TAG, 1) {
                    outcomes[i] = refused;
                } else if !is_small(job) {
                    large[size as usize].add(i);
                } else if let Some(four) = small.push(size, job.payload_len, i) {
                    quad::<SEAL>(vaes, size, keys, jobs, packets, four, &mut outcomes);
                }
                continue;
            }
            let Some(algorithm) = key.algorithm() else { continue };
            if let Err(refused) = check(job, len, algorithm.tag_len(), algorithm.block()) {
                outcomes[i] = refused;
                continue;
            }
            match algorithm.cipher() {
                Cipher::Cbc(_) | Cipher::Null => chained.add(i),
                cipher => outcomes[i] = self.one::<SEAL>(cipher, key, job, packets[i]),
            }
        }
        if let Kernel::Vaes512(vaes) = self.kernel {
            while let Some((size, left)) = small.left_over() {
                match left {
                    Ok(four) => {
                        quad::<SEAL>(vaes, size, keys, jobs, packets, four, &mut outcomes);
                    }
                    Err(i) => large[size as usize].add(usize::from(i)),
                }
            }
            for size in [KeySize::Aes128, KeySize::Aes256] {
                let select = large[size as usize];
                if !select.is_empty() {
                    in_turn::<SEAL>(vaes, size, keys, jobs, packets, select, &mut outcomes);
                }
            }
        }
        if !chained.is_empty() {
            etm::run::<SEAL>(self.kernel, keys, jobs, packets, chained, &mut outcomes);
        }
        Outcomes(outcomes)
    }

    /// Fetches what is needed soon: all of a key for a small packet, else its first line.
    #[inline]
    fn prefetch(&self, keys: &[SaKey], job: &Job) {
        if let Kernel::Vaes512(vaes) = self.kernel
            && let Some(key) = keys.get(job.key as usize)
        {
            vaes.prefetch(key, if is_small(job) { job.payload_len as usize } else { 0 });
        }
    }

    /// One packet whose cipher authenticates, its ranges checked.
    #[inline]
    fn one<const SEAL: bool>(
        &self,
        cipher: Cipher,
        key: &SaKey,
        job: &Job,
        packet: &mut [u8],
    ) -> Outcome {
        let received = received(job, packet);
        let payload = &mut packet[job.payload_range()];
        let padded = job.aad.padded();
        let aad = &padded[..job.aad.len()];
        let computed = match cipher {
            Cipher::Gcm(size) => {
                gcm::crypt::<SEAL>(self.kernel, size, key, job.iv, job.aad, payload)
            }
            Cipher::Gmac(size) => gcm::mac(self.kernel, size, key, job.iv, job.aad, payload),
            Cipher::ChaCha if SEAL => match chacha::seal(key, job.iv, aad, payload) {
                Some(tag) => u128::from_le_bytes(tag),
                None => return Outcome::BadLength,
            },
            Cipher::ChaCha => {
                let good = chacha::open(key, job.iv, aad, payload, received.to_le_bytes());
                if good { received } else { !received }
            }
            Cipher::Cbc(_) | Cipher::Null => return Outcome::NoKey,
        };
        finish::<SEAL>(job, packet, received, computed)
    }
}

/// Bytes of the tag of every cipher that authenticates.
const TAG: usize = 16;

/// Writes the tag, or compares it and wipes the payload if it is wrong.
#[inline]
fn finish<const SEAL: bool>(
    job: &Job,
    packet: &mut [u8],
    received: u128,
    computed: u128,
) -> Outcome {
    if SEAL {
        packet[job.tag_range(TAG)].copy_from_slice(&computed.to_le_bytes());
    } else if !bool::from(received.ct_eq(&computed)) {
        packet[job.payload_range()].fill(0);
        return Outcome::NotAuthentic;
    }
    Outcome::Done
}

/// Four small packets in lockstep, their ranges checked.
#[inline]
fn quad<const SEAL: bool>(
    vaes: Vaes512,
    size: KeySize,
    keys: &[SaKey],
    jobs: &[Job],
    packets: &mut [&mut [u8]],
    four: [u8; 4],
    outcomes: &mut [Outcome; BATCH],
) {
    let indices = four.map(usize::from);
    // Four different packets; nothing happens otherwise.
    let Ok([a, b, c, d]) = packets.get_disjoint_mut(indices) else { return };
    // Written out: closures over arrays may end up as calls, and the messages in memory.
    let [i, j, k, l] = indices;
    let [e, f, g, h] = [&jobs[i], &jobs[j], &jobs[k], &jobs[l]];
    let tags = [received(e, a), received(f, b), received(g, c), received(h, d)];
    let messages =
        [message(keys, e, a), message(keys, f, b), message(keys, g, c), message(keys, h, d)];
    let computed = vaes.gcm4::<SEAL>(size, messages);
    if !SEAL {
        // One comparison while all is well.
        let wrong = (0..4).fold(0, |wrong, n| wrong | (tags[n] ^ computed[n]));
        if bool::from(wrong.ct_eq(&0)) {
            for i in indices {
                outcomes[i] = Outcome::Done;
            }
            return;
        }
    }
    outcomes[i] = finish::<SEAL>(e, a, tags[0], computed[0]);
    outcomes[j] = finish::<SEAL>(f, b, tags[1], computed[1]);
    outcomes[k] = finish::<SEAL>(g, c, tags[2], computed[2]);
    outcomes[l] = finish::<SEAL>(h, d, tags[3], computed[3]);
}

/// A packet as the kernels take it, its ranges checked.
#[inline(always)]
fn message<'a>(keys: &'a [SaKey], job: &Job, packet: &'a mut [u8]) -> Message<'a> {
    let payload = &mut packet[job.payload_range()];
    gcm::message(&keys[job.key as usize], job.iv, job.aad, payload)
}

/// The selected packets one after the other, their ranges checked.
fn in_turn<const SEAL: bool>(
    vaes: Vaes512,
    size: KeySize,
    keys: &[SaKey],
    jobs: &[Job],
    packets: &mut [&mut [u8]],
    select: Select,
    outcomes: &mut [Outcome; BATCH],
) {
    let mut tags = [0; BATCH];
    let start = select.first();
    for i in start.into_iter().chain(start.and_then(|first| select.after(first))) {
        vaes.prefetch(&keys[jobs[i].key as usize], jobs[i].payload_len as usize);
    }
    let messages = InTurn { vaes, keys, jobs, select, packets: packets.iter_mut().enumerate() };
    vaes.gcm_all::<SEAL>(size, messages, |i, tag| tags[i % BATCH] = tag);
    for (i, packet) in packets.iter_mut().enumerate().filter(|(i, _)| select.has(*i)) {
        let job = &jobs[i];
        outcomes[i] = finish::<SEAL>(job, packet, received(job, packet), tags[i % BATCH]);
    }
}

/// The selected packets as the kernels take them.
struct InTurn<'a, P> {
    vaes: Vaes512,
    keys: &'a [SaKey],
    jobs: &'a [Job],
    select: Select,
    packets: P,
}

impl<'a, 'b: 'a, P> Iterator for InTurn<'a, P>
where
    P: Iterator<Item = (usize, &'a mut &'b mut [u8])>,
{
    type Item = (usize, Message<'a>);

    // The message goes on in registers.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let select = self.select;
        let (i, packet) = self.packets.find(|(i, _)| select.has(*i))?;
        let job = &self.jobs[i];
        // Two packets ahead: one takes less time than a line from the third cache.
        if let Some(later) = select.after(i).and_then(|next| select.after(next))
            && let later = &self.jobs[later]
            && later.key != job.key
        {
            self.vaes.prefetch(&self.keys[later.key as usize], later.payload_len as usize);
        }
        Some((i, message(self.keys, job, packet)))
    }
}

/// The tag in the packet.
#[inline]
fn received(job: &Job, packet: &[u8]) -> u128 {
    packet[job.tag_range(TAG)].first_chunk().map_or(0, |tag| u128::from_le_bytes(*tag))
}

#[inline]
fn is_small(job: &Job) -> bool {
    (1..=Vaes512::LOCKSTEP).contains(&(job.payload_len as usize))
}

/// Whether the job fits the packet, the length of the tag and the cipher's block.
#[inline]
fn check(job: &Job, len: usize, tag_len: usize, block: u32) -> Result<(), Outcome> {
    let (payload, tag) = (job.payload_range(), job.tag_range(tag_len));
    if payload.end > len || tag.end > len || (tag.start < payload.end && payload.start < tag.end) {
        return Err(Outcome::OutOfRange);
    }
    if job.payload_len > LONGEST || job.payload_len & (block - 1) != 0 {
        return Err(Outcome::BadLength);
    }
    Ok(())
}
