//! scapy's IPsec layer: what it seals we open, what we seal it opens, to the byte.

use std::io::Write;
use std::process::{Command, Stdio};

use qfp::core::crypto::Algorithm;
use serde_json::{Value, json};

use crate::agreement::{Agreement, Family, From, V4, V6, gateway};
use crate::capture::Timed;
use crate::packets::{self, mac};
use crate::router::replay;
use crate::{hex, installed, turn, unhex};

const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/interop/esp.py");

/// True when scapy can seal; else said aloud.
fn there() -> bool {
    if !installed(&[(PYTHON, "python3")]) {
        return false;
    }
    let import = ["-c", "import scapy.layers.ipsec, cryptography.hazmat.primitives.ciphers.aead"];
    let found = Command::new(PYTHON).args(import).output().unwrap().status.success();
    if !found {
        eprintln!(
            "skipped: {PYTHON} has no scapy with cryptography (Debian packages python3-scapy, \
             python3-cryptography)"
        );
    }
    found
}

/// Numbers and IP packets under one agreement.
type Packets = Vec<(u64, Vec<u8>)>;

/// Lets scapy `seal` or `open` packets that `from` sends.
fn scapy(task: &str, from: From, work: &[(&Agreement, Packets)]) -> Vec<Vec<Vec<u8>>> {
    let mut python = Command::new(PYTHON);
    python.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let requests: Vec<String> = work
        .iter()
        .map(|(agreement, packets)| {
            let packets: Vec<_> =
                packets.iter().map(|(sequence, packet)| json!([sequence, hex(packet)])).collect();
            json!({"do": task, "sa": association(agreement, from), "packets": packets}).to_string()
        })
        .collect();
    // Read while it is written: neither waits for the other.
    let writer = std::thread::spawn(move || {
        requests.iter().for_each(|request| writeln!(stdin, "{request}").unwrap());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| {
        let answer: Value = serde_json::from_str(line).unwrap();
        let packets = answer["packets"].as_array().unwrap().iter();
        packets.map(|packet| unhex(packet.as_str().unwrap())).collect()
    });
    answers.collect()
}

/// The SA as the script reads it.
fn association(agreement: &Agreement, from: From) -> Value {
    use Algorithm as A;
    let (crypt, auth) = match agreement.algorithm {
        A::Aes128Gcm | A::Aes256Gcm => ("AES-GCM", "NULL"),
        A::ChaCha20Poly1305 => ("CHACHA20-POLY1305", "NULL"),
        A::Aes128CbcSha256 | A::Aes256CbcSha256 => ("AES-CBC", "SHA2-256-128"),
        A::Aes128CbcSha384 | A::Aes256CbcSha384 => ("AES-CBC", "SHA2-384-192"),
        A::Aes128CbcSha512 | A::Aes256CbcSha512 => ("AES-CBC", "SHA2-512-256"),
        A::NullSha256 => ("NULL", "SHA2-256-128"),
        A::NullSha384 => ("NULL", "SHA2-384-192"),
        A::NullSha512 => ("NULL", "SHA2-512-256"),
        A::Aes128Gmac | A::Aes256Gmac => panic!("scapy has no GMAC"),
    };
    let sa = agreement.sa(from);
    let (src, dst) = agreement.gateways(from);
    json!({
        "spi": sa.spi,
        "crypt": crypt,
        "crypt_key": hex(&sa.cipher),
        "auth": auth,
        "auth_key": hex(&sa.auth),
        "tunnel": (!agreement.transport).then(|| [src.to_string(), dst.to_string()]),
        "udp": agreement.udp.then_some([4500, 4500]),
        "esn": agreement.esn,
    })
}

/// All algorithms that scapy has, each in another pair of families; UDP; extended numbers, which
/// scapy has for ciphers that authenticate.
fn tunnels() -> Vec<Agreement> {
    use Algorithm as A;
    let new = Agreement::new;
    let esn = |agreement| Agreement { esn: true, window: 1024, ..agreement };
    let udp = |agreement| Agreement { udp: true, ..agreement };
    vec![
        new(1, "gcm-128", A::Aes128Gcm),
        Agreement { outer: V6, ..new(2, "gcm-256", A::Aes256Gcm) },
        Agreement { inner: V6, ..new(3, "chacha", A::ChaCha20Poly1305) },
        Agreement { outer: V6, inner: V6, ..new(4, "cbc-128-sha256", A::Aes128CbcSha256) },
        new(5, "cbc-256-sha256", A::Aes256CbcSha256),
        new(6, "cbc-128-sha384", A::Aes128CbcSha384),
        Agreement { outer: V6, ..new(7, "cbc-256-sha384", A::Aes256CbcSha384) },
        Agreement { inner: V6, ..new(8, "cbc-128-sha512", A::Aes128CbcSha512) },
        Agreement { outer: V6, inner: V6, ..new(9, "cbc-256-sha512", A::Aes256CbcSha512) },
        new(10, "null-sha256", A::NullSha256),
        new(11, "null-sha384", A::NullSha384),
        new(12, "null-sha512", A::NullSha512),
        esn(new(20, "gcm-128-esn", A::Aes128Gcm)),
        esn(Agreement { outer: V6, ..new(21, "gcm-256-esn", A::Aes256Gcm) }),
        esn(new(22, "chacha-esn", A::ChaCha20Poly1305)),
        udp(new(30, "gcm-128-nat-t", A::Aes128Gcm)),
        udp(Agreement { outer: V6, ..new(31, "chacha-nat-t", A::ChaCha20Poly1305) }),
        udp(Agreement { inner: V6, ..new(32, "cbc-128-nat-t", A::Aes128CbcSha256) }),
        udp(esn(new(33, "gcm-256-nat-t-esn", A::Aes256Gcm))),
    ]
}

/// Datagrams to the tunnel's network from the network behind us, or back: all lengths that padding
/// depends on, and a long one.
fn datagrams(agreement: &Agreement, from: From) -> Vec<Vec<u8>> {
    let ours = if agreement.inner == V4 { "10.1.0.2" } else { "2001:db8:1::2" };
    let theirs = agreement.host();
    let (src, dst) = if from == From::Us { (ours, &*theirs) } else { (&*theirs, ours) };
    let lengths = (0..=33).chain([1300]);
    let datagram = |len| packets::udp(src, dst, 64, (4000, 5000), &packets::payload(len));
    lengths.map(datagram).collect()
}

/// The packet behind a router.
fn forwarded(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return packet;
    }
    packet[8] -= 1;
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&packet).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// A capture of packets for a port of the router, a microsecond apart.
fn frames(link: u8, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<Timed> {
    let frame = |packet: Vec<u8>| packets::frame(mac(link, 1), mac(link, 2), &[], &packet);
    let times = (1..).map(|n: u64| 1_000_000_000 + n * 1000);
    times.zip(packets.into_iter().map(frame)).collect()
}

/// The IP packets of a capture, without what fills short frames.
fn ip_packets(frames: &[Timed]) -> Vec<Vec<u8>> {
    let packet = |frame: &[u8]| {
        let ip = &frame[14..];
        let len = |at: usize| usize::from(u16::from_be_bytes([ip[at], ip[at + 1]]));
        ip[..if ip[0] >> 4 == 6 { 40 + len(4) } else { len(2) }].to_vec()
    };
    frames.iter().map(|(_, frame)| packet(frame)).collect()
}

/// The sequence numbers that a stranger's packets have, extended ones where they are agreed: those
/// jump to the end of the low half and over it.
fn sequences(agreement: &Agreement, count: usize) -> Vec<u64> {
    if agreement.esn {
        // Not further than half way at once, and not 0 in the low half: scapy would not send it.
        let start = [1, 0x8000_0000].into_iter();
        start.chain(0xffff_fff8..=0xffff_ffff).chain(0x1_0000_0001..).take(count).collect()
    } else {
        (1..).take(count).collect()
    }
}

#[test]
fn tunnels_of_scapy_and_ours_are_the_same() {
    if !there() {
        return;
    }
    let _turn = turn();
    let tunnels = tunnels();
    let numbered = |agreement: &Agreement| -> Packets {
        let packets = datagrams(agreement, From::Them);
        sequences(agreement, packets.len()).into_iter().zip(packets).collect()
    };
    let work: Vec<_> = tunnels.iter().map(|tunnel| (tunnel, numbered(tunnel))).collect();
    let sealed = scapy("seal", From::Them, &work);
    let plain: Vec<_> = tunnels.iter().map(|tunnel| datagrams(tunnel, From::Us)).collect();

    let wan = frames(1, sealed.into_iter().flatten());
    let lan = frames(2, plain.iter().flatten().cloned());
    let run = replay(&wan, &lan, &tunnels);

    // What scapy sealed comes out as it was before.
    let mut opened = ip_packets(&run.lan).into_iter();
    for tunnel in &tunnels {
        for wanted in datagrams(tunnel, From::Them).into_iter().map(forwarded) {
            assert_eq!(opened.next(), Some(wanted), "{}: {:?}", tunnel.name, run.report);
        }
    }
    assert_eq!(opened.next(), None);

    // What went in comes out of what we sealed when scapy opens it.
    let mut sealed = ip_packets(&run.wan).into_iter();
    let mut take = |packets: &Vec<_>| (1..).zip(sealed.by_ref().take(packets.len())).collect();
    let work: Vec<_> =
        tunnels.iter().zip(&plain).map(|(tunnel, packets)| (tunnel, take(packets))).collect();
    let opened = scapy("open", From::Us, &work);
    let wanted = plain.into_iter().map(|packets| packets.into_iter().map(forwarded).collect());
    assert_eq!(opened, wanted.collect::<Vec<Vec<_>>>());

    for tunnel in &tunnels {
        for from in [From::Us, From::Them] {
            let packets = datagrams(tunnel, from);
            let used = run.report.sa(&tunnel.sa_name(from));
            let bytes: usize = packets.iter().map(Vec::len).sum();
            let counts = (packets.len() as u64, bytes as u64, 0);
            assert_eq!((used.packets, used.bytes, used.failed), counts, "{}", tunnel.sa_name(from));
        }
    }
}

/// The gateways' own packets: scapy asks for an echo, and the router answers.
#[test]
fn transport_mode_of_scapy_and_ours_are_the_same() {
    if !there() {
        return;
    }
    let _turn = turn();
    let transport = |outer, udp, algorithm| {
        let (number, name) = if outer == V4 { (1, "host-v4") } else { (2, "host-v6") };
        let inner = outer;
        Agreement { transport: true, outer, inner, udp, ..Agreement::new(number, name, algorithm) }
    };
    let pairs = [
        [(false, Algorithm::Aes128Gcm), (false, Algorithm::Aes256CbcSha256)],
        [(true, Algorithm::ChaCha20Poly1305), (false, Algorithm::Aes256Gcm)],
    ];
    for [v4, v6] in pairs {
        let agreements = [transport(V4, v4.0, v4.1), transport(V6, v6.0, v6.1)];
        let echo = |family: Family, reply: bool, len: usize| {
            let (from, to) = if reply { (From::Us, From::Them) } else { (From::Them, From::Us) };
            let (src, dst) = (gateway(from, family).to_string(), gateway(to, family).to_string());
            packets::echo(&src, &dst, 64, reply, &packets::payload(len))
        };
        let echoes = |agreement: &Agreement, reply| -> Packets {
            (1..).zip((0..=17).map(|len| echo(agreement.outer, reply, len))).collect()
        };
        let work: Vec<_> = agreements.iter().map(|one| (one, echoes(one, false))).collect();
        let sealed = scapy("seal", From::Them, &work);
        let run = replay(&frames(1, sealed.into_iter().flatten()), &[], &agreements);

        let mut replies = ip_packets(&run.wan).into_iter();
        let mut take = || (1..).zip(replies.by_ref().take(18)).collect();
        let work: Vec<_> = agreements.iter().map(|one| (one, take())).collect();
        for (agreement, opened) in agreements.iter().zip(scapy("open", From::Us, &work)) {
            let payloads = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
                let header = if agreement.outer == V4 { 20 } else { 40 };
                packets.iter().map(|packet| packet[header..].to_vec()).collect()
            };
            let wanted: Vec<_> = echoes(agreement, true).into_iter().map(|(_, ip)| ip).collect();
            assert_eq!(payloads(&opened), payloads(&wanted), "{}", agreement.name);
            for from in [From::Us, From::Them] {
                let used = run.report.sa(&agreement.sa_name(from));
                assert_eq!((used.packets, used.failed), (18, 0), "{}", agreement.sa_name(from));
            }
        }
    }
}
