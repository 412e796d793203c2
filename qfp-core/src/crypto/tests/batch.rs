//! Batches as the data plane gives them.

use proptest::prelude::*;

use super::super::{Aad, Algorithm, BATCH, Iv, Job, Outcome, SaKey, Tier};
use super::{CryptoEngine, bytes, engines, key};
use ::hmac::{Hmac, KeyInit, Mac};

/// Where the payload begins in the packets here.
const START: usize = 40;

/// A table with a key of every algorithm, twice.
fn table() -> Vec<SaKey> {
    let mut rows = Vec::new();
    for seed in [1, 2] {
        for algorithm in Algorithm::ALL {
            let mut row = SaKey::empty();
            let cipher = bytes(seed, algorithm.cipher_key_len());
            let auth = bytes(seed + 7, algorithm.auth_key_len());
            row.set(algorithm, &cipher, &auth)
                .or_else(|_| row.set_null_encryption(algorithm, &auth))
                .unwrap();
            rows.push(row);
        }
    }
    rows
}

/// A job whose payload is about `len` bytes, and its packet.
fn packet(keys: &[SaKey], row: usize, len: usize, seed: u64) -> (Job, Vec<u8>) {
    let algorithm = keys[row].algorithm().unwrap();
    let len = len & !(algorithm.block() as usize - 1);
    let aad = match seed % 3 {
        0 => Aad::esp(0x0102_0304, 9),
        _ => Aad::esn(0x0102_0304, seed << 30),
    };
    let iv = Iv::block(bytes(seed + 3, 16).try_into().unwrap());
    let row = u32::try_from(row).unwrap();
    let (start, count) = (u32::try_from(START).unwrap(), u32::try_from(len).unwrap());
    (Job::new(row, start, count, iv, aad), bytes(seed, START + len + algorithm.tag_len() + 5))
}

fn slices(packets: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    packets.iter_mut().map(Vec::as_mut_slice).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_equals_its_packets_one_by_one_on_the_portable_tier(
        plan in prop::collection::vec((0usize..28, 0usize..1600, any::<bool>()), 0..BATCH)
    ) {
        let keys = table();
        let portable = CryptoEngine::untested(Tier::Portable).unwrap();
        let (mut jobs, mut packets) = (Vec::new(), Vec::new());
        for (i, &(row, len, gcm)) in plan.iter().enumerate() {
            // Half of them AES-GCM and small, so that there is company for the lockstep.
            let (row, len) = if gcm { (row % 2 * 14, len % 500) } else { (row, len) };
            let (job, bytes) = packet(&keys, row, len, i as u64 + len as u64 * 77);
            jobs.push(job);
            packets.push(bytes);
        }
        let plain = packets.clone();
        let mut expected = packets.clone();
        for (job, packet) in jobs.iter().zip(&mut expected) {
            prop_assert_eq!(portable.seal(&keys, &[*job], &mut [packet]).done(), 1);
        }
        let all = (1u64 << jobs.len()) - 1;
        for engine in engines() {
            let mut packets = packets.clone();
            prop_assert_eq!(engine.seal(&keys, &jobs, &mut slices(&mut packets)).done(), all);
            prop_assert_eq!(&packets, &expected, "{:?} seals", engine.tier());
            prop_assert_eq!(engine.open(&keys, &jobs, &mut slices(&mut packets)).done(), all);
            for ((job, packet), plain) in jobs.iter().zip(&packets).zip(&plain) {
                let end = job.payload_range().end;
                prop_assert_eq!(&packet[..end], &plain[..end], "{:?} opens", engine.tier());
            }
        }
    }

    #[test]
    fn nothing_a_job_says_makes_the_engine_panic(
        plan in prop::collection::vec((0u32..40, any::<[u32; 4]>(), 0usize..700), 0..BATCH)
    ) {
        let keys = table();
        for engine in engines() {
            let mut jobs = Vec::new();
            let mut packets = Vec::new();
            for &(row, [a, b, c, d], len) in &plan {
                // Small numbers mostly; whatever there is, a quarter of the time.
                let cut = |x: u32| if x.is_multiple_of(4) { x } else { x % 800 };
                let mut job = Job::new(row, cut(a), cut(b), Iv::counter(1), Aad::esp(c, d));
                if d.is_multiple_of(2) {
                    job.tag = cut(c);
                }
                jobs.push(job);
                packets.push(bytes(u64::from(a), len));
            }
            let before = packets.clone();
            let outcomes = engine.open(&keys, &jobs, &mut slices(&mut packets));
            for (i, packet) in packets.iter().enumerate() {
                if outcomes.get(i) == Outcome::NotAuthentic {
                    prop_assert!(packet[jobs[i].payload_range()].iter().all(|&byte| byte == 0));
                } else {
                    prop_assert_eq!(packet, &before[i]);
                }
            }
            engine.seal(&keys, &jobs, &mut slices(&mut packets));
        }
    }
}

#[test]
fn four_side_by_side_equal_one_by_one_on_every_length() {
    let keys = table();
    let portable = CryptoEngine::untested(Tier::Portable).unwrap();
    for engine in engines() {
        for len in 1..=480usize {
            // Of two keys of one size; alike in length, and in the second half as unlike as can be.
            let shapes = [(0, len), (14, len), (0, len), (14, len)];
            let mixed = [(1, len), (15, 481 - len), (1, len.div_ceil(2)), (15, 1)];
            let made = shapes
                .iter()
                .chain(&mixed)
                .zip(0..)
                .map(|(&(row, len), seed)| packet(&keys, row, len, seed + len as u64));
            let (jobs, plain): (Vec<Job>, Vec<Vec<u8>>) = made.unzip();
            let mut expected = plain.clone();
            for (job, packet) in jobs.iter().zip(&mut expected) {
                portable.seal(&keys, &[*job], &mut [packet]);
            }
            let mut packets = plain.clone();
            assert_eq!(engine.seal(&keys, &jobs, &mut slices(&mut packets)).done(), 0xff);
            assert!(packets == expected, "{:?} seals {len} bytes wrong", engine.tier());
            assert_eq!(engine.open(&keys, &jobs, &mut slices(&mut packets)).done(), 0xff);
            for ((job, packet), plain) in jobs.iter().zip(&packets).zip(&plain) {
                let end = job.payload_range().end;
                assert!(packet[..end] == plain[..end], "{:?} opens {len}", engine.tier());
            }
        }
    }
}

#[test]
fn every_byte_that_is_tampered_with_is_noticed() {
    let keys = table();
    for engine in engines() {
        for row in 0..Algorithm::ALL.len() {
            for len in [0, 64, 96] {
                let (job, mut sealed) = packet(&keys, row, len, 5);
                assert_eq!(engine.seal(&keys, &[job], &mut [&mut sealed]).done(), 1);
                let algorithm = keys[row].algorithm().unwrap();
                let end = job.tag_range(algorithm.tag_len()).end;
                for at in START..end {
                    // Four at once, so that the lockstep is tried too.
                    let mut packets = vec![sealed.clone(); 4];
                    packets[at % 4][at] ^= 1 << (at % 8);
                    let outcomes = engine.open(&keys, &[job; 4], &mut slices(&mut packets));
                    for (i, packet) in packets.iter().enumerate() {
                        let wanted =
                            if i == at % 4 { Outcome::NotAuthentic } else { Outcome::Done };
                        assert_eq!(outcomes.get(i), wanted, "{algorithm:?}, byte {at}");
                        if i == at % 4 {
                            assert!(packet[job.payload_range()].iter().all(|&byte| byte == 0));
                        }
                    }
                }
                let mut other = job;
                other.aad = Aad::esp(0x0102_0304, 10);
                let outcomes = engine.open(&keys, &[other], &mut [&mut sealed.clone()]);
                assert_eq!(outcomes.get(0), Outcome::NotAuthentic, "{algorithm:?}: AAD");
                if algorithm.iv_len() > 0 {
                    let mut other = job;
                    other.iv = Iv::counter(77);
                    let outcomes = engine.open(&keys, &[other], &mut [&mut sealed.clone()]);
                    assert_eq!(outcomes.get(0), Outcome::NotAuthentic, "{algorithm:?}: IV");
                }
            }
        }
    }
}

#[test]
fn the_hmac_covers_header_iv_ciphertext_and_then_the_high_half_of_the_number() {
    let algorithm = Algorithm::Aes256CbcSha256;
    let mut keys = [SaKey::empty()];
    let auth = bytes(9, 32);
    keys[0].set(algorithm, &bytes(8, 32), &auth).unwrap();
    for engine in engines() {
        let mut data = bytes(4, 16 + 64 + 16);
        let iv = Iv::block(data[..16].try_into().unwrap());
        let job = Job::new(0, 16, 64, iv, Aad::esn(0x0102_0304, 0x0506_0708_090a_0b0c));
        assert_eq!(engine.seal(&keys, &[job], &mut [&mut data]).done(), 1);
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(&auth).unwrap();
        mac.update(&[1, 2, 3, 4, 9, 10, 11, 12]);
        mac.update(&data[..80]);
        mac.update(&[5, 6, 7, 8]);
        assert_eq!(data[80..], mac.finalize().into_bytes()[..16]);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_left_alone() {
    let keys = table();
    let cbc = Algorithm::Aes128CbcSha256 as u32 - 1;
    let job = |row, start, len| Job::new(row, start, len, Iv::counter(1), Aad::esp(1, 1));
    let mut overlapping = job(0, 0, 64);
    overlapping.tag = 60;
    let cases = [
        (job(0, 0, 85), Outcome::OutOfRange),
        (job(0, 100, 4), Outcome::OutOfRange),
        (job(0, u32::MAX, u32::MAX), Outcome::OutOfRange),
        (overlapping, Outcome::OutOfRange),
        (job(cbc, 0, 60), Outcome::BadLength),
        (job(99, 0, 64), Outcome::NoKey),
    ];
    for engine in engines() {
        for (job, wanted) in cases {
            let mut packet = [7; 100];
            assert_eq!(engine.seal(&keys, &[job], &mut [&mut packet]).get(0), wanted, "{job:?}");
            assert_eq!(engine.open(&keys, &[job], &mut [&mut packet]).get(0), wanted, "{job:?}");
            assert_eq!(packet, [7; 100]);
        }
        let mut packet = [7; 100];
        let empty = [SaKey::empty()];
        let outcomes = engine.seal(&empty, &[job(0, 0, 64)], &mut [&mut packet]);
        assert_eq!(outcomes.get(0), Outcome::NoKey);
        assert_eq!(outcomes.get(BATCH), Outcome::NoKey);
    }
}

#[test]
fn keys_are_never_printed_and_leave_nothing_behind() {
    for algorithm in Algorithm::ALL {
        let owned = key(algorithm, 3);
        let shown = format!("{:?}", *owned);
        assert_eq!(shown, format!("SaKey {{ algorithm: Some({algorithm:?}), .. }}"));
        let mut row = SaKey::empty();
        row.aes = owned.aes;
        row.area = owned.area;
        row.salt = owned.salt;
        row.wipe();
        assert_eq!(row.algorithm(), None);
        assert!(row.aes.as_flattened().iter().all(|&byte| byte == 0));
        assert!(row.area.as_flattened().iter().all(|&byte| byte == 0));
        assert_eq!(row.salt, 0);
    }
}

#[test]
fn keys_of_the_wrong_length_and_null_encryption_by_accident_are_errors() {
    let mut row = SaKey::empty();
    for algorithm in Algorithm::ALL {
        let (cipher, auth) = (algorithm.cipher_key_len(), algorithm.auth_key_len());
        assert!(row.set(algorithm, &bytes(1, cipher + 1), &bytes(1, auth)).is_err());
        assert!(row.set(algorithm, &bytes(1, cipher), &bytes(1, auth + 1)).is_err());
        assert_eq!(row.algorithm(), None);
        let null = cipher == 0;
        assert_eq!(row.set(algorithm, &bytes(1, cipher), &bytes(1, auth)).is_err(), null);
        assert_eq!(row.set_null_encryption(algorithm, &bytes(1, auth)).is_ok(), null);
    }
}

#[test]
fn a_start_takes_the_tier_that_is_asked_for_or_the_next_and_says_so() {
    for tier in Tier::ALL {
        let started = CryptoEngine::start_with(tier).unwrap();
        if tier.available() {
            assert_eq!(started.engine.tier(), tier);
            assert!(started.refused.is_empty());
        } else {
            assert_ne!(started.engine.tier(), tier);
            assert!(!started.refused.is_empty());
        }
    }
}
