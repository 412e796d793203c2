//! Packets that others have made: from a standard, and computed with OpenSSL.

use super::rig::{Agreement, Build, Gateway, LAN, WAN, spi};
use crate::crypto::{Algorithm, Iv, SaKey};
use crate::fia::tests::bench::frame;
use crate::ipsec::decap::{self, Arrived};
use crate::ipsec::encap::{self, Clear, Number};
use crate::ipsec::{InboundSa, Mode, OutboundSa};
use crate::l3::scalar::tests::{ipv4, ipv6};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A packet of class 0xba.
fn inner() -> Vec<u8> {
    let mut packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 26]);
    packet[1] = 0xba;
    crate::ipsec::header::set_ipv4_checksum(&mut packet[..20]);
    packet
}

/// AES-128-GCM with the key 00 to 0f and the salt 10 to 13.
const TUNNEL_V4: &str = "
    45ba0064000100004032f5a9c0000201c0000202000010010000000100000000000000011bfcfabfa9202e160096f9
    f01085f2efdb9253741ce161ea9c4b223e45ffbe5cf06d38c7518378d3a38da653ddf775d406708c6b83da2d73810f
    6d5ca5b3eb52";

#[test]
fn the_first_packet_of_a_tunnel_is_what_openssl_makes_of_it() {
    let mut west = Gateway::new(1, &Agreement::default());
    assert_eq!(west.through(LAN, WAN, &[inner()]), [unhex(TUNNEL_V4)]);
}

/// AES-256-CBC with HMAC-SHA-256-128, extended number 1_0000_0005, in UDP over IPv4, around IPv6.
const NAT_T_CBC: &str = "
    45000094123400004011e421c0000202c000020111941194008000000000100200000005c8c9cacbcccdcecfd0d1d2
    d3d4d5d6d78019c0eb0a1b8360b0650dbd9af715f731b0442d2a115b0e9c27f4b699059cf21152c7f7f513bdbd4eed
    e92737e8ebe456225944bcffb67b7e35978758e96d7253b42a1467ec272ba4c6db60f2cbf7128a53b1e095f6a07085
    6b093f2b21f5b7";

#[test]
fn a_packet_of_cbc_in_udp_with_an_extended_number_is_opened() {
    let agreed = Agreement {
        algorithm: Algorithm::Aes256CbcSha256,
        udp: true,
        esn: true,
        ..Agreement::default()
    };
    let mut key = SaKey::empty();
    let bytes = |first: u8| (first..first + 32).collect::<Vec<u8>>();
    key.set(agreed.algorithm, &bytes(0), &bytes(100)).unwrap();
    let mut west = Build { key: Some(key), ..Build::of(1, &agreed) }.gateway();
    west.state(1).resume((1 << 32) + 4);
    let payload: Vec<u8> = (0..33).collect();
    let wanted = ipv6("2001:db8:2::9", "2001:db8:1::9", 17, 62, &payload);
    assert_eq!(west.through(WAN, LAN, &[unhex(NAT_T_CBC)]), [wanted]);
    assert_eq!(west.state(1).sequence(), (1 << 32) + 5);
}

/// ChaCha20-Poly1305 with the key 00 to 1f and the salt a0 to a3; the outer packet says that
/// congestion was met.
const CHACHA_V6: &str = "
    603000000044324020010db800ff0000000000000000000220010db800ff0000000000000000000100001002000000
    090102030405060708ec21479c5b882f97992d4eba90e6aca29f74537f97f06a63fd2502ed41afc74d8dcd4d728d9e
    8f98563830d4ab4d2b56d72f9fd7";

#[test]
fn a_packet_of_chacha_brings_the_mark_of_congestion_with_it() {
    let agreed = Agreement {
        algorithm: Algorithm::ChaCha20Poly1305,
        outer_v6: true,
        ..Agreement::default()
    };
    let mut key = SaKey::empty();
    let bytes: Vec<u8> = (0..32).chain(0xa0..0xa4).collect();
    key.set(agreed.algorithm, &bytes, &[]).unwrap();
    let mut west = Build { key: Some(key), ..Build::of(1, &agreed) }.gateway();
    let mut wanted = ipv4([10, 2, 0, 9], [10, 1, 0, 9], 62, &[], &[9; 11]);
    wanted[1] = 3;
    crate::ipsec::header::set_ipv4_checksum(&mut wanted[..20]);
    assert_eq!(west.through(WAN, LAN, &[unhex(CHACHA_V6)]), [wanted]);
}

/// The first packet of draft-mcgrew-gcm-test-01: extended number 87654321_00000000, AES-128.
#[test]
fn the_test_vector_of_aes_gcm_esp_is_opened() {
    let esp = unhex(
        "00004321 00000000 4956ed7e3b244cfe
         fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
         cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
         61bc17d768fd9732 459018148f6cbe722fd04796562dfdb4",
    );
    let plain = unhex(
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000
         00000000045f736970045f756470037369700963796265726369747902646b00
         00210001",
    );
    let mut key = SaKey::empty();
    let bytes = unhex("4c80cdefbb5d10da906ac73c3613a634 2e443b68");
    key.set(Algorithm::Aes128Gcm, &bytes, &[]).unwrap();
    let agreed = Agreement { mode: Mode::Transport, esn: true, ..Agreement::default() };
    let mut west = Build { key: Some(key), spi: 0x4321, ..Build::of(1, &agreed) }.gateway();
    west.state(1).resume(0x8765_4320_ffff_fff0);
    let around = |protocol, payload: &[u8]| {
        let mut packet = ipv4([192, 0, 2, 2], [192, 0, 2, 1], 64, &[], payload);
        packet[9] = protocol;
        crate::ipsec::header::set_ipv4_checksum(&mut packet[..20]);
        packet
    };
    assert!(west.walk(WAN, &[around(50, &esp)]).is_empty());
    assert_eq!(west.punted(), [around(1, &plain)]);
    assert_eq!(west.state(1).sequence(), 0x8765_4321_0000_0000);
}

/// What stands in the packet is where the engine is told that it is.
#[test]
fn jobs_name_the_same_bytes_on_both_sides() {
    let agreed = Agreement::default();
    let sa = OutboundSa::new(&agreed.outbound(1)).unwrap();
    let peer = InboundSa::new(&agreed.inbound(2)).unwrap();
    let pool = hal::pool::NativePool::new(1, 2048);
    let mut cache = hal::PoolCache::Native(pool.cache());
    let mut burst = hal::Burst::new(cache.origin());
    let inner = inner();
    assert!(cache.append(&mut burst, &frame(&[], &inner)));
    let clear = Clear { l3_offset: 14, ip_len: inner.len(), v6: false };
    let number = Number { sequence: 7, iv: Iv::counter(7) };
    let placed = encap::tunnel(&mut burst, 0, clear, &sa, number).unwrap();
    let Arrived::Esp(at) = decap::locate(&burst.frame(0)[14..], false) else { panic!("ESP") };
    assert_eq!((at.spi, at.sequence, at.udp), (spi(1), 7, None));
    let sealed = decap::prepare(burst.frame(0), 14, at, &peer, None).unwrap();
    assert_eq!(sealed.job.payload, placed.job.payload);
    assert_eq!(sealed.job.payload_len, placed.job.payload_len);
    assert_eq!((sealed.job.iv, sealed.job.aad), (placed.job.iv, placed.job.aad));
    assert_eq!(burst.len(0), 14 + usize::from(placed.ip_len));
    cache.free(&mut burst, hal::PacketMask::FULL);
}
