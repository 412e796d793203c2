//! DPDK's software cryptodevs against the software engine: the same bytes.
//!
//! DPDK starts once a process, so this is one test; it says so where DPDK or a device is missing.
#![cfg(feature = "dpdk")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "small lengths, and bytes of numbers")]

use qfp::core::crypto::{Aad, Algorithm, Iv, Job, Outcome, SoftwareCrypto};
use qfp::hal::crypto::{CryptoDevice, CryptoError, CryptoKey};
use qfp::hal::dpdk::{DpdkCrypto, Eal, MbufPool, MbufPoolConfig};
use qfp::hal::pool::NativePool;
use qfp::hal::{Packet, Pool, PoolCache};

const DEVICES: [&str; 2] = ["crypto_aesni_gcm0", "crypto_aesni_mb0"];
const LENGTHS: [usize; 9] = [16, 32, 64, 80, 256, 512, 1024, 1408, 8192];
/// Ethernet, IPv4, SPI, sequence number and the longest IV.
const PAYLOAD: usize = 14 + 20 + 8 + 16;
const SPI: u32 = 0x1001;

#[test]
fn cryptodevs_give_the_same_bytes_as_the_software_engine() {
    let args =
        ["--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=2", "-m", "256"];
    let devices = DEVICES.map(|device| format!("--vdev={device}"));
    let args: Vec<String> = args.map(str::to_owned).into_iter().chain(devices).collect();
    let eal = match Eal::init(&args) {
        Ok(eal) => eal,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let config =
        MbufPoolConfig { buffers: 1023, frame_room: 9728, cache: 64, ..MbufPoolConfig::default() };
    let mbufs = Pool::Mbuf(MbufPool::create(&eal, &config).unwrap());
    let native = Pool::Native(NativePool::new(256, 9728));
    for name in DEVICES {
        let mut device = match DpdkCrypto::open(&eal, name, 4) {
            Ok(device) => device,
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                continue;
            }
        };
        assert_eq!(device.name(), name);
        let mut done = 0;
        for (algorithm, esn) in Algorithm::ALL.into_iter().flat_map(|a| [(a, false), (a, true)]) {
            for pool in [&mbufs, &native] {
                done += usize::from(same_bytes(&mut device, algorithm, esn, &mut pool.cache(0)));
            }
        }
        // AES-GCM of two sizes, with and without extended numbers, from both kinds of buffers.
        assert!(done >= 8, "{name} takes next to nothing");
        println!("{name}: {done} combinations");
    }
    assert!(matches!(DpdkCrypto::open(&eal, "crypto_nothing", 1), Err(CryptoError::Device { .. })));
}

/// A frame whose header is that of ESP, as far as an HMAC covers it.
fn frame(algorithm: Algorithm, n: u32, len: usize, iv: Iv) -> Vec<u8> {
    let fill = (0..PAYLOAD + len + algorithm.tag_len()).map(|i| (i * 7) as u8 ^ n as u8);
    let mut frame: Vec<u8> = fill.collect();
    let start = PAYLOAD - algorithm.iv_len() - 8;
    frame[start..start + 4].copy_from_slice(&SPI.to_be_bytes());
    frame[start + 4..start + 8].copy_from_slice(&n.to_be_bytes());
    frame[start + 8..PAYLOAD].copy_from_slice(&iv.bytes()[..algorithm.iv_len()]);
    frame
}

/// Compares a device with the software; false if it does not have the algorithm.
fn same_bytes(
    device: &mut DpdkCrypto,
    algorithm: Algorithm,
    esn: bool,
    cache: &mut PoolCache,
) -> bool {
    let Some(transform) = algorithm.transform() else { return false };
    let bytes = |n: usize, first: u8| -> Vec<u8> { (first..).take(n).collect() };
    let (cipher, auth) =
        (bytes(algorithm.cipher_key_len(), 1), bytes(algorithm.auth_key_len(), 101));
    let key = CryptoKey { transform, cipher: &cipher, auth: &auth, esn };
    let mut software = SoftwareCrypto::start(4).unwrap();
    software.set_key(3, &key).unwrap();
    match device.set_key(3, &key) {
        Ok(()) => {}
        Err(CryptoError::Unsupported { .. }) => return false,
        Err(error) => panic!("{algorithm:?}: {error}"),
    }
    let mut jobs = Vec::new();
    let mut frames = Vec::new();
    for (n, len) in (1..).zip(LENGTHS) {
        let iv = match algorithm.iv_len() {
            16 => Iv::block([n as u8; 16]),
            _ => Iv::counter(n.into()),
        };
        let aad = if esn { Aad::esn(SPI, 5 << 32 | u64::from(n)) } else { Aad::esp(SPI, n) };
        jobs.push(Job::new(3, PAYLOAD as u32, len as u32, iv, aad));
        frames.push(frame(algorithm, n, len, iv));
    }
    // One that does not fit, one without a key, and one that CBC cannot do.
    let last = *jobs.last().unwrap();
    jobs.push(Job { payload_len: 60_000, ..last });
    jobs.push(Job { key: 2, ..last });
    jobs.push(Job { payload_len: 17, ..jobs[4] });
    frames.extend([frames[8].clone(), frames[8].clone(), frames[4].clone()]);
    let mut both = [(); 2].map(|()| -> Vec<Packet> {
        frames.iter().map(|frame| cache.packet(frame).unwrap()).collect()
    });
    let [ours, theirs] = &mut both;
    let case = format!("{} {algorithm:?} esn {esn}", device.name());
    let compare = |a: &[Packet], b: &[Packet]| {
        for (a, b) in a.iter().zip(b) {
            assert!(a.frame() == b.frame(), "{case}: {} bytes", a.frame().len());
        }
    };
    let outcomes = [software.seal(&jobs, ours), device.seal(&jobs, theirs)];
    for i in 0..jobs.len() {
        assert_eq!(outcomes[0].get(i), outcomes[1].get(i), "{case}: job {i}");
    }
    assert_eq!(outcomes[0].get(0), Outcome::Done);
    assert_eq!([9, 10].map(|i| outcomes[1].get(i)), [Outcome::OutOfRange, Outcome::NoKey]);
    compare(ours, theirs);
    // A tag and a payload that were changed on the way.
    for packets in [&mut *ours, &mut *theirs] {
        packets[2].frame_mut()[PAYLOAD + LENGTHS[2]] ^= 1;
        packets[5].frame_mut()[PAYLOAD + 100] ^= 0x80;
    }
    let outcomes = [software.open(&jobs[..9], ours), device.open(&jobs[..9], theirs)];
    for i in 0..9 {
        let wanted = if [2, 5].contains(&i) { Outcome::NotAuthentic } else { Outcome::Done };
        assert_eq!((outcomes[0].get(i), outcomes[1].get(i)), (wanted, wanted), "{case}: job {i}");
    }
    compare(&ours[..9], &theirs[..9]);
    for i in [0, 1, 3, 4, 6, 7, 8] {
        let payload = PAYLOAD..PAYLOAD + LENGTHS[i];
        assert!(theirs[i].frame()[payload.clone()] == frames[i][payload], "{case}: job {i}");
    }
    device.clear_key(3);
    assert_eq!(device.seal(&jobs[..1], theirs).get(0), Outcome::NoKey);
    true
}
