//! Into a tunnel and out of it.

use qfp::core::crypto::Algorithm;

use crate::gateways::{LAN, Pair, WAN, counts, esp_at, ip, key, numbers, run, spi};
use crate::packets::{payload, udp};

use super::peer::fixed;

/// Packets of both families from the west's network to the east's, as they are with `ttl`.
fn packets(ttl: u8) -> Vec<Vec<u8>> {
    let both = |data: &[u8]| {
        [
            udp("10.1.0.2", "10.2.0.2", ttl, (7, 9), data),
            udp("2001:db8:1::2", "2001:db8:2::2", ttl, (7, 9), data),
        ]
    };
    (0..60).flat_map(|len| both(&payload(len))).chain(both(&payload(1300))).collect()
}

/// All packets get through, unreadable in between, numbered one after the other.
fn crosses(pair: &Pair, name: &str) {
    let (west, east) = pair.across(&packets(64));
    let (sent, got) = (ip(&west, WAN), ip(&east, LAN));
    assert_eq!(sent.len(), packets(64).len(), "{name}: {:?}", west.report);
    for (outer, number) in sent.iter().zip(1..) {
        assert_eq!(numbers(outer), (spi(1), number), "{name}");
        assert_eq!(outer[0] >> 4, if pair.outer_v6 { 6 } else { 4 });
    }
    // Each router on the way takes one from the TTL.
    assert_eq!(got, packets(62), "{name}: {:?}", east.report);
    let all = packets(64).len() as u64;
    assert_eq!((counts(&west, "out"), counts(&east, "in")), ((all, vec![]), (all, vec![])));
    assert_eq!((west.report.dropped(), east.report.dropped()), (0, 0));
}

#[test]
fn both_families_cross_tunnels_of_both_families_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        for outer_v6 in [false, true] {
            let pair = Pair { algorithm, outer_v6, ..Pair::default() };
            crosses(&pair, &format!("{}, IPv6 outside: {outer_v6}", algorithm.name()));
        }
    }
}

#[test]
fn extended_numbers_udp_and_large_windows_change_nothing_inside() {
    for outer_v6 in [false, true] {
        for (sa, sa_in) in [
            ("esn = true", ""),
            ("udp = [4500, 4500]", ""),
            ("udp = [4500, 4500]\nesn = true", "replay_window = 4096"),
            ("", "replay_window = 0"),
        ] {
            let (sa, sa_in) = (sa.to_owned(), sa_in.to_owned());
            let pair = Pair { outer_v6, sa: sa.clone(), sa_in, ..Pair::default() };
            crosses(&pair, &sa);
        }
    }
}

#[test]
fn nothing_of_a_packet_is_readable_between_the_gateways() {
    let secret = b"the quick brown fox jumps over the lazy dog";
    let packet = udp("10.1.0.2", "10.2.0.2", 64, (7, 9), secret);
    for algorithm in Algorithm::ALL.into_iter().filter(|a| a.cipher_key_len() > 0) {
        let pair = Pair { algorithm, ..Pair::default() };
        let sent = ip(&pair.side(1, LAN, std::slice::from_ref(&packet)), WAN);
        let hidden = !sent[0].windows(8).any(|part| secret.windows(8).any(|other| part == other));
        // GMAC authenticates and does not encrypt.
        assert_eq!(hidden, !algorithm.name().contains("gmac"), "{}", algorithm.name());
    }
}

/// Opened by a library that the project does not use for it.
#[test]
fn what_is_sent_is_what_rfc_4106_says() {
    use aes_gcm::aead::{Aead, KeyInit, Payload};
    let pair = Pair::default();
    let inner = udp("10.1.0.2", "10.2.0.2", 63, (7, 9), &payload(31));
    let sent =
        ip(&pair.side(1, LAN, &[udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(31))]), WAN);
    let [outer] = &sent[..] else { panic!("{} packets", sent.len()) };
    let esp = &outer[esp_at(outer)..];
    let key = key(Algorithm::Aes128Gcm, 1);
    let nonce: [u8; 12] = [&key[16..], &esp[8..16]].concat().try_into().unwrap();
    let cipher = aes_gcm::Aes128Gcm::new_from_slice(&key[..16]).unwrap();
    let plain = cipher.decrypt(&nonce.into(), Payload { msg: &esp[16..], aad: &esp[..8] }).unwrap();
    // 59 bytes and a trailer of 2 want 3 bytes of padding, and IPv4 is inside.
    assert_eq!(plain, [&inner[..], &[1, 2, 3, 3, 4]].concat());
}

#[test]
fn the_outer_header_is_what_the_sa_says() {
    let sa_out = "ttl = 9\ndscp = 46\ndf = \"set\"\necn = false".to_owned();
    let pair = Pair { sa_out, sa: "udp = [4500, 4501]".to_owned(), ..Pair::default() };
    let sent = ip(&pair.side(1, LAN, &packets(64)[..1]), WAN);
    let outer = &sent[0];
    assert_eq!((outer[8], outer[1], outer[6] & 0x40), (9, 46 << 2, 0x40));
    assert_eq!(outer[12..20], [192, 0, 2, 1, 192, 0, 2, 2]);
    assert_eq!(outer[20..24], [0x11, 0x94, 0x11, 0x95]);
}

/// Networks in one VRF, the link between the gateways in another.
#[test]
fn what_is_inside_and_what_is_outside_may_be_routed_in_tables_of_their_own() {
    let pair = Pair { sa: "vrf = \"outside\"".to_owned(), ..Pair::default() };
    let config = |side: u8| {
        let mut text = pair.config(side);
        for (of, vrf) in [("lan", "inside"), ("wan", "outside"), ("tunnel0", "inside")] {
            let name = format!("name = \"{of}\"");
            text = text.replace(&name, &format!("{name}\nvrf = \"{vrf}\""));
        }
        text = text.replace("dev = \"tunnel0\"", "dev = \"tunnel0\"\nvrf = \"inside\"");
        for (near, dev) in [
            (format!("10.{side}."), "lan"),
            (format!("2001:db8:{side}:"), "lan"),
            ("192.0.2.".to_owned(), "wan"),
            ("2001:db8:ff:".to_owned(), "wan"),
        ] {
            let neighbour = format!("[[neighbor]]\naddress = \"{near}");
            let named = format!("[[neighbor]]\ndev = \"{dev}\"\naddress = \"{near}");
            text = text.replace(&neighbour, &named);
        }
        text
    };
    let timed = |packets: Vec<Vec<u8>>| packets.into_iter().map(|ip| (0, ip)).collect::<Vec<_>>();
    let west = run(&config(1), 1, &timed(packets(64)), &[]);
    let east = run(&config(2), 2, &[], &timed(ip(&west, WAN)));
    assert_eq!(ip(&east, LAN), packets(62), "{:?} {:?}", west.report.drops, east.report.drops);
    // Nothing leads from the outside into the inside in the clear.
    let clear = run(&config(2), 2, &[], &timed(packets(64)[..2].to_vec()));
    // Neither the packets nor what is said about them.
    assert_eq!(clear.report.drops, [("Ipv4NoRoute", 2), ("Ipv6NoRoute", 2)]);
    assert_eq!(clear.sent[LAN].len() + clear.sent[WAN].len(), 0);
}

/// Who seals packets whole and cuts them then, as Linux does with IPv4, and routers that cut what
/// passes.
#[test]
fn protected_packets_that_were_cut_on_the_way_are_put_together() {
    for (outer_v6, sa) in [(false, ""), (true, ""), (false, "udp = [4500, 4500]")] {
        let pair = Pair { outer_v6, sa: sa.to_owned(), ..Pair::default() };
        let inner = |ttl| {
            vec![
                udp("10.1.0.2", "10.2.0.2", ttl, (7, 9), &payload(1300)),
                udp("2001:db8:1::2", "2001:db8:2::2", ttl, (7, 9), &payload(900)),
                udp("10.1.0.2", "10.2.0.2", ttl, (7, 9), &payload(600)),
            ]
        };
        let sealed = ip(&pair.side(1, LAN, &inner(64)), WAN);
        let pieces: Vec<_> = sealed.iter().flat_map(|outer| cut(outer, 512)).collect();
        assert_eq!(pieces.len(), 3 + 2 + 2);
        // The last fragment of each first: it waits for the others.
        let backwards: Vec<_> = pieces.into_iter().rev().collect();
        let east = pair.side(2, WAN, &backwards);
        let mut got = ip(&east, LAN);
        got.reverse();
        assert_eq!(got, inner(62), "{:?}", east.report);
        assert_eq!(counts(&east, "in"), (3, vec![]));
        assert!(east.report.slow_path.contains(&("reassembled", 3)));
        assert_eq!(east.report.dropped(), 0);
    }
}

/// A packet in fragments of at most `most` bytes behind the IP header.
fn cut(packet: &[u8], most: usize) -> Vec<Vec<u8>> {
    let v6 = packet[0] >> 4 == 6;
    let (header, data) = packet.split_at(if v6 { 40 } else { 20 });
    let count = data.len().div_ceil(most);
    let fragment = |(n, piece): (usize, &[u8])| {
        let more = u16::from(n + 1 < count);
        let units = u16::try_from(n * most / 8).unwrap();
        let len = u16::try_from(piece.len()).unwrap();
        let mut bytes = header.to_vec();
        if v6 {
            let [high, low] = (units << 3 | more).to_be_bytes();
            // As identification, the number of ESP.
            bytes.extend([header[6], 0, high, low, 0, 0, 0, packet[47]]);
            bytes[6] = 44;
            bytes[4..6].copy_from_slice(&(len + 8).to_be_bytes());
        } else {
            bytes[2..4].copy_from_slice(&(len + 20).to_be_bytes());
            bytes[6..8].copy_from_slice(&(units | more << 13).to_be_bytes());
        }
        bytes.extend(piece);
        if v6 { bytes } else { fixed(bytes) }
    };
    data.chunks(most).enumerate().map(fragment).collect()
}
