//! Ciphers that do not authenticate, with an HMAC over the ciphertext (RFC 4303 §3.3.2).

use subtle::ConstantTimeEq;

use super::algorithm::{Cipher, KeySize};
use super::hmac::{self, Digest, Text};
use super::key::SaKey;
use super::select::Select;
use super::simd::Chain;
use super::tier::Kernel;
use super::{Algorithm, cbc};
use hal::crypto::{BATCH, Job, Outcome};

/// Seals or opens the selected packets in place.
pub(super) fn run<const SEAL: bool>(
    kernel: Kernel,
    keys: &[SaKey],
    jobs: &[Job],
    packets: &mut [&mut [u8]],
    mut select: Select,
    outcomes: &mut [Outcome; BATCH],
) {
    if SEAL {
        cipher::<SEAL>(kernel, keys, jobs, packets, select);
    }
    for (i, packet) in packets.iter_mut().enumerate().filter(|(i, _)| select.has(*i)) {
        let job = &jobs[i];
        let key = &keys[job.key as usize];
        let Some(algorithm) = key.algorithm() else { continue };
        let (tag_len, payload) = (algorithm.tag_len(), job.payload_range());
        let digest = mac(algorithm, key, job, &packet[payload.clone()]);
        let tag = &mut packet[job.tag_range(tag_len)];
        outcomes[i] = Outcome::Done;
        if SEAL {
            tag.copy_from_slice(&digest[..tag_len]);
        } else if !bool::from(tag.ct_eq(&digest[..tag_len])) {
            packet[payload].fill(0);
            outcomes[i] = Outcome::NotAuthentic;
        }
    }
    if !SEAL {
        select.keep(hal::crypto::Outcomes(*outcomes).done());
        cipher::<SEAL>(kernel, keys, jobs, packets, select);
    }
}

/// Enciphers or deciphers those that are not NULL.
fn cipher<const SEAL: bool>(
    kernel: Kernel,
    keys: &[SaKey],
    jobs: &[Job],
    packets: &mut [&mut [u8]],
    select: Select,
) {
    for size in [KeySize::Aes128, KeySize::Aes256] {
        let chains = packets.iter_mut().enumerate().filter_map(|(i, packet)| {
            if !select.has(i) {
                return None;
            }
            let job = &jobs[i];
            let key = &keys[job.key as usize];
            if key.algorithm()?.cipher() != Cipher::Cbc(size) {
                return None;
            }
            Some(Chain { key, iv: job.iv.bytes(), data: &mut packet[job.payload_range()] })
        });
        cbc::run::<SEAL>(kernel, size, chains);
    }
}

/// The HMAC over what ESP authenticates: SPI, sequence number, IV, ciphertext, and then the high
/// half of an extended sequence number (RFC 4303 §2.2.1).
fn mac(algorithm: Algorithm, key: &SaKey, job: &Job, payload: &[u8]) -> Digest {
    let Some(hash) = algorithm.hash() else { return [0; hmac::LONGEST] };
    let aad = job.aad.padded();
    let mut head = [0; 32];
    let (start, tail) = if job.aad.len() == 12 {
        head[..4].copy_from_slice(&aad[..4]);
        head[4..8].copy_from_slice(&aad[8..12]);
        (8, &aad[4..8])
    } else {
        head[..16].copy_from_slice(&aad);
        (job.aad.len(), &aad[..0])
    };
    let end = start + algorithm.iv_len();
    head[start..end].copy_from_slice(&job.iv.bytes()[..end - start]);
    hmac::digest(hash, key.hmac(), Text { head: &head[..end], data: payload, tail })
}
