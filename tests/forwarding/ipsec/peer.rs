//! What somebody with the key of the west may send to the east.

use qfp::core::crypto::{Aad, Algorithm, CryptoEngine, Iv, Job, Outcome, SaKey};

use crate::gateways::{key, spi};
use crate::packets::udp;

/// The IPv4 packet with a length and a checksum that are right.
pub(crate) fn fixed(mut ip: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(ip.len()).unwrap();
    ip[2..4].copy_from_slice(&len.to_be_bytes());
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&ip).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// An outer packet from the west around any bytes, trailer included: what a peer with the key may
/// send.
pub(crate) fn sealed(sequence: u32, plain: &[u8]) -> Vec<u8> {
    let mut esp = [spi(1).to_be_bytes(), sequence.to_be_bytes()].concat();
    esp.extend(u64::from(sequence).to_be_bytes());
    esp.extend(plain);
    esp.extend([0; 16]);
    let bytes = key(Algorithm::Aes128Gcm, 1);
    let mut keys = [SaKey::empty()];
    keys[0].set(Algorithm::Aes128Gcm, &bytes, &[]).unwrap();
    let (iv, aad) = (Iv::counter(sequence.into()), Aad::esp(spi(1), sequence));
    let job = Job::new(0, 16, u32::try_from(plain.len()).unwrap(), iv, aad);
    let engine = CryptoEngine::start().unwrap().engine;
    assert_eq!(engine.seal(&keys, &[job], &mut [&mut esp]).get(0), Outcome::Done);
    outer(50, &esp)
}

/// An IPv4 packet of any protocol from the west's WAN address to the east's.
pub(crate) fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut ip = udp("192.0.2.1", "192.0.2.2", 64, (0, 0), &[]);
    ip.truncate(20);
    ip[9] = protocol;
    ip.extend(payload);
    fixed(ip)
}

/// The bytes with padding and next header.
pub(crate) fn with_trailer(plain: &[u8], next: u8) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    let pad = [2, 1, 0, 3][bytes.len() % 4];
    bytes.extend(1..=pad);
    bytes.extend([pad, next]);
    bytes
}

/// A packet inside of as many others, each protected.
pub(crate) fn nested(packet: Vec<u8>, depth: u32) -> Vec<u8> {
    (1..=depth).fold(packet, |inside, number| sealed(number, &with_trailer(&inside, 4)))
}
