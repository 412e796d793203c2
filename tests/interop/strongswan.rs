//! strongSwan: two daemons negotiate; what one has sealed we open with the key in its log, and then
//! we take the other's place.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::Stdio;

use qfp::core::crypto::Algorithm;

use crate::agreement::{Agreement, From, ours};
use crate::capture::{self, Timed};
use crate::charon::{self, Charon};
use crate::namespaces::Namespace;
use crate::router::{Live, STRANGER_MAC, WAN_MAC, replay};
use crate::{NAMESPACES, installed, pings, turn};

/// The gateways, us in the west, with their daemons.
struct Pair {
    west: Charon,
    east: Charon,
    west_net: Namespace,
    east_net: Namespace,
    agreements: Vec<Agreement>,
}

/// What kernel-libipsec has: always in UDP, never with extended numbers.
fn proposals() -> Vec<(Agreement, &'static str)> {
    use Algorithm as A;
    let new = |number, name, algorithm, proposal| {
        (Agreement { udp: true, ..Agreement::new(number, name, algorithm) }, proposal)
    };
    vec![
        new(1, "gcm-128", A::Aes128Gcm, "aes128gcm16"),
        new(2, "gcm-256", A::Aes256Gcm, "aes256gcm16"),
        new(3, "chacha", A::ChaCha20Poly1305, "chacha20poly1305"),
        new(4, "cbc-sha256", A::Aes128CbcSha256, "aes128-sha256"),
        new(5, "cbc-sha384", A::Aes256CbcSha384, "aes256-sha384"),
        new(6, "cbc-sha512", A::Aes256CbcSha512, "aes256-sha512"),
        new(7, "null-sha256", A::NullSha256, "null-sha256"),
    ]
}

impl Pair {
    /// Negotiates all agreements. The east's port is a bridge, so that another cable can take the
    /// place of the first.
    fn negotiate() -> Option<Self> {
        let tcpdump = [("/usr/bin/tcpdump", "tcpdump")];
        if !installed(&NAMESPACES) || !installed(&charon::NEEDS) || !installed(&tcpdump) {
            return None;
        }
        let (west_net, east_net) = (Namespace::new("west")?, Namespace::new("east")?);
        let cable = format!(
            "ip link add pair address {WAN_MAC} type veth peer name pair netns {}",
            east_net.name
        );
        let bridge = format!("ip link add bridge address {STRANGER_MAC} type bridge");
        for (net, line) in [(&west_net, cable), (&east_net, bridge)] {
            if let (false, said) = net.run(&line) {
                eprintln!("skipped: {line}: {}", said.trim());
                return None;
            }
        }
        east_net.must("ip link set pair master bridge up");
        west_net.must("ip addr add 203.0.113.1/24 dev pair");
        east_net.must("ip addr add 203.0.113.2/24 dev bridge");
        west_net.must("ip link set pair up");
        east_net.must("ip link set bridge up");
        let agreed = proposals();
        west_net.must(&format!("ip addr add {}/32 dev lo", ours(agreed[0].0.inner).0));
        for (agreement, _) in &agreed {
            east_net.must(&format!("ip addr add {}/32 dev lo", agreement.host()));
        }
        let west = Charon::start(&west_net, From::Us, &agreed);
        let east = Charon::start(&east_net, From::Them, &agreed);
        let mut agreements: Vec<_> = agreed.into_iter().map(|(agreement, _)| agreement).collect();
        agreements.iter_mut().for_each(|agreement| west.initiate(agreement, From::Us));
        Some(Self { west, east, west_net, east_net, agreements })
    }
}

/// Runs `traffic`; what passed the device of the namespace meanwhile.
fn captured(net: &Namespace, device: &str, traffic: impl FnOnce()) -> Vec<Timed> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wire.pcap");
    let line = format!("tcpdump -Z root --immediate-mode -U -i {device} -w {}", file.display());
    let mut child = net.command(&line).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("listening on")), "tcpdump");
    traffic();
    net.must(&format!("kill -INT {}", child.id()));
    // It tells its numbers, and ends.
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    capture::read(&file)
}

/// Source, destination and length of what is repeated by a sound echo reply.
fn echo_reply(packet: &[u8]) -> (Ipv4Addr, Ipv4Addr, usize) {
    let (ip, rest) = etherparse::Ipv4Header::from_slice(packet).unwrap();
    let icmp = &rest[..usize::from(ip.payload_len().unwrap())];
    let reply = etherparse::Icmpv4Slice::from_slice(icmp).unwrap();
    let sum = reply.icmp_type().calc_checksum(reply.payload());
    assert_eq!(reply.checksum(), sum, "{packet:02x?}");
    assert!(matches!(reply.icmp_type(), etherparse::Icmpv4Type::EchoReply(_)), "{packet:02x?}");
    (ip.source.into(), ip.destination.into(), reply.payload().len())
}

#[test]
fn what_strongswan_has_sealed_is_opened_with_the_keys_in_its_log() {
    let _turn = turn();
    let Some(pair) = Pair::negotiate() else { return };
    let wire = captured(&pair.west_net, "pair", || {
        for agreement in &pair.agreements {
            let here = ours(agreement.inner).0;
            pair.west_net.must(&pings::command(&agreement.host(), here));
        }
    });
    // ESP in UDP from the east; where the SPI would be, IKE has zeroes.
    let from_east = |frame: &[u8]| {
        frame[12..14] == [8, 0]
            && frame[26..30] == [203, 0, 113, 2]
            && frame[23] == 17
            && frame[34..36] == 4500u16.to_be_bytes()
            && frame[42..46] != [0; 4]
    };
    let sealed: Vec<Timed> = wire.into_iter().filter(|(_, frame)| from_east(frame)).collect();
    let run = replay(&sealed, &[], &pair.agreements);

    let mut opened = run.lan.iter().map(|(_, frame)| echo_reply(&frame[14..]));
    for agreement in &pair.agreements {
        let (here, there) = (ours(agreement.inner).0, agreement.host());
        for len in pings::lengths() {
            let wanted = (there.parse().unwrap(), here.parse().unwrap(), len);
            assert_eq!(opened.next(), Some(wanted), "{}", agreement.name);
        }
        let (_, sent) = pair.east.counters(agreement);
        assert_eq!(sent.packets, pings::COUNT);
        assert_eq!(run.report.sa(&agreement.sa_name(From::Them)), sent, "{}", agreement.name);
    }
    assert_eq!(opened.next(), None);
}

#[test]
fn strongswan_goes_on_with_us_in_its_peers_place() {
    let _turn = turn();
    let Some(pair) = Pair::negotiate() else { return };
    let Some(lan) = Namespace::new("lan") else { return };
    let Pair { west, east, west_net, east_net, agreements } = pair;
    drop(west);
    west_net.must("ip link del pair");
    // Its address is ours from here on, at another MAC address.
    east_net.must("ip neigh flush dev bridge");
    let router = Live::start(&east_net, &lan, &agreements);
    east_net.must("ip link set wan master bridge");
    for agreement in &agreements {
        let (here, there) = (ours(agreement.inner).0, agreement.host());
        lan.must(&pings::command(&there, here));
        east_net.must(&pings::command(here, &there));
    }
    let theirs: Vec<_> = agreements.iter().map(|agreement| east.counters(agreement)).collect();
    let report = router.finish();
    for (agreement, (received, sent)) in agreements.iter().zip(theirs) {
        for (from, theirs) in [(From::Us, received), (From::Them, sent)] {
            let name = agreement.sa_name(from);
            let ours = report.sa(&name);
            println!("{name:24} ours {ours:?} theirs {theirs:?}");
            assert_eq!((ours.packets, ours), (2 * pings::COUNT, theirs), "{name}: {report:?}");
        }
    }
}
