//! Known answers, computed when the engine starts: a kernel that gets one wrong is not used.

use super::algorithm::{Algorithm, Cipher};
use super::engine::CryptoEngine;
use super::key::{KeyError, SaKey};
use super::tier::Tier;
use hal::crypto::{Aad, BATCH, Iv, Job};

/// How a tier failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This processor lacks the instructions.
    #[error("{} needs instructions that this processor lacks", .0.name())]
    NotAvailable(Tier),
    /// A known answer came out differently.
    #[error("{} computes {} wrong: self-test failed", tier.name(), algorithm.name())]
    WrongAnswer {
        /// The tier.
        tier: Tier,
        /// The algorithm that failed.
        algorithm: Algorithm,
    },
}

/// What all ciphertexts and tags of an algorithm's test add up to.
///
/// The values are from the portable tier, which published vectors are tested on.
const ANSWERS: [(Algorithm, u128); 14] = [
    (Algorithm::Aes128Gcm, 0x5344_a5b4_bc39_8796_a2cd_0e68_0954_469f),
    (Algorithm::Aes256Gcm, 0x4bcb_b7a8_ddb5_7bb3_b40a_9bb3_fa9c_8f46),
    (Algorithm::Aes128Gmac, 0x82df_ae10_4304_ee85_4235_eccb_5188_807c),
    (Algorithm::Aes256Gmac, 0x153c_2860_450a_a990_16fb_3544_acc8_af52),
    (Algorithm::ChaCha20Poly1305, 0xf75c_1b2b_c06d_541e_af59_b3ec_a772_4a74),
    (Algorithm::Aes128CbcSha256, 0xb145_293c_61f9_7349_258b_b32b_9775_2690),
    (Algorithm::Aes256CbcSha256, 0xfd65_c10d_773c_24e2_98ed_9241_7ea0_4fbd),
    (Algorithm::Aes128CbcSha384, 0x1d7e_76fe_de25_ecbb_03fd_dd39_ba09_e277),
    (Algorithm::Aes256CbcSha384, 0x7c5e_554c_53b0_0555_2b5d_7d9a_9b97_b5f3),
    (Algorithm::Aes128CbcSha512, 0x9ba0_fb4f_5eec_8c79_0d07_7334_f65e_d810),
    (Algorithm::Aes256CbcSha512, 0x2c0a_cb7e_620c_315d_a617_0744_1a3c_3cf7),
    (Algorithm::NullSha256, 0x1d6c_15b5_436d_9a16_4492_f5d7_ee4e_4188),
    (Algorithm::NullSha384, 0x33d3_bea9_90dd_b91a_e376_9e0b_4c21_db0e),
    (Algorithm::NullSha512, 0x7c0c_4614_4847_7623_7268_5215_9a67_fdc7),
];

/// Lengths of payload: around every edge of the kernels, and enough small ones of each class for
/// packets in lockstep.
const LENGTHS: [usize; 26] = [
    0, 1, 16, 48, 64, 65, 100, 128, 256, 300, 310, 320, 400, 430, 440, 445, 464, 480, 481, 496,
    512, 528, 1024, 1039, 1400, 2064,
];

/// Tests every algorithm of the engine, both directions. Takes about a millisecond.
pub(super) fn run(engine: &CryptoEngine) -> Result<(), Refusal> {
    for (algorithm, answer) in ANSWERS {
        if answer_of(engine, algorithm) != Ok(Some(answer)) {
            return Err(Refusal::WrongAnswer { tier: engine.tier(), algorithm });
        }
    }
    Ok(())
}

/// What the engine's results add up to; none if a packet was refused or did not open again.
fn answer_of(engine: &CryptoEngine, algorithm: Algorithm) -> Result<Option<u128>, KeyError> {
    let mut keys = [const { SaKey::empty() }; 2];
    let mut noise = (0u8..=255).cycle().map(|i| i.wrapping_mul(29).rotate_left(3) ^ 0x5a);
    for key in &mut keys {
        let mut bytes = [0; 32 + 64];
        bytes.fill_with(|| noise.next().unwrap_or(0));
        let (cipher, auth) = bytes.split_at(algorithm.cipher_key_len());
        let auth = &auth[..algorithm.auth_key_len().min(auth.len())];
        match algorithm.cipher() {
            Cipher::Null => key.set_null_encryption(algorithm, auth)?,
            _ => key.set(algorithm, cipher, auth)?,
        }
    }
    let mut storage = vec![0; LENGTHS.len() * 2200];
    storage.fill_with(|| noise.next().unwrap_or(0));
    let before = storage.clone();
    let mut packets: Vec<&mut [u8]> = storage.chunks_mut(2200).collect();
    debug_assert!(packets.len() <= BATCH);
    let mut jobs = Vec::new();
    for ((i, &len), count) in LENGTHS.iter().enumerate().zip(0u32..) {
        // Whole blocks for those that want them.
        let len = len & !(algorithm.block() as usize - 1);
        let aad = if i % 2 == 0 {
            Aad::esp(0x1000 + count, count)
        } else {
            Aad::esn(0x1000, u64::from(count) << 31)
        };
        let iv = Iv::block([i.to_le_bytes()[0]; 16]);
        jobs.push(Job::new(count % 2, 24, u32::try_from(len).unwrap_or(0), iv, aad));
    }
    let all = (1 << jobs.len()) - 1;
    if engine.seal(&keys, &jobs, &mut packets).done() != all {
        return Ok(None);
    }
    let sum = packets.iter().fold(0u128, |sum, packet| {
        packet.chunks(16).fold(sum, |sum, chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            (sum ^ u128::from_le_bytes(block))
                .wrapping_mul(0x0123_4567_89ab_cdef_1357_9bdf_0246_8ace | 1)
        })
    });
    let opened = engine.open(&keys, &jobs, &mut packets).done() == all;
    let plain =
        jobs.iter().zip(before.chunks(2200)).zip(&packets).all(|((job, before), packet)| {
            let range = job.payload_range();
            before[range.clone()] == packet[range]
        });
    for key in &mut keys {
        key.wipe();
    }
    Ok((opened && plain).then_some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_gives_the_known_answers() {
        for tier in Tier::ALL {
            let Some(engine) = CryptoEngine::untested(tier) else {
                eprintln!("skipped: this processor does not run {}", tier.name());
                continue;
            };
            for (algorithm, answer) in ANSWERS {
                let given = answer_of(&engine, algorithm).unwrap();
                assert_eq!(given, Some(answer), "{tier:?} {algorithm:?} gives {given:#x?}");
            }
        }
    }
}
