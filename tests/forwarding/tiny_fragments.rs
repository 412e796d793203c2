//! Fragments that would pass a filter by what they hide, and one path for all fragments of a datagram.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::acl::{V4, V6, lists, west};
use crate::capture::Timed;
use crate::packets::{frame, mac, payload, tcp, udp, with_fragment_field};
use crate::router::{Run, TWO_NETWORKS, route};

/// The IPv6 packet with other headers and data behind its fixed header.
fn six(next: u8, behind: &[u8]) -> Vec<u8> {
    let mut ip = udp(V6.0, V6.1, 64, (1, 2), &[])[..40].to_vec();
    ip[4..6].copy_from_slice(&u16::try_from(behind.len()).unwrap().to_be_bytes());
    ip[6] = next;
    ip.extend(behind);
    ip
}

/// A fragment header in front of `data`, which is at `offset` in its datagram.
fn piece(next: u8, offset: usize, more: bool, id: u32, data: &[u8]) -> Vec<u8> {
    let word = u16::try_from(offset).unwrap() | u16::from(more);
    [&[next, 0], &word.to_be_bytes()[..], &id.to_be_bytes(), data].concat()
}

fn sent(run: &Run) -> Vec<Vec<u8>> {
    run.frames(1).into_iter().map(|frame| frame[14..].to_vec()).collect()
}

/// A segment with SYN in two fragments: eight bytes, which have the ports, and the rest, which has
/// the flags (RFC 1858 §3).
fn tiny() -> [Vec<u8>; 2] {
    let whole = tcp(V4.0, V4.1, 64, (9, 80), 2, &payload(24));
    let part = |field: u16, data: &[u8]| {
        let mut ip = [&whole[..20], data].concat();
        let len = u16::try_from(ip.len()).unwrap();
        ip[2..4].copy_from_slice(&len.to_be_bytes());
        with_fragment_field(ip, field)
    };
    [part(0x2000, &whole[20..28]), part(1, &whole[28..])]
}

/// A segment to port 23 in two fragments, the first of which has nothing but destination options
/// (RFC 7112 §3).
fn headless() -> [Vec<u8>; 2] {
    let options = [6, 0, 1, 4, 0, 0, 0, 0];
    let segment = tcp(V6.0, V6.1, 64, (9, 23), 2, &[]);
    let first = six(44, &piece(60, 0, true, 7, &options));
    [first, six(44, &piece(60, 8, false, 7, &segment[40..]))]
}

#[test]
fn a_segment_does_not_pass_a_list_in_tiny_fragments() {
    let text = "ip access-list extended L\n deny tcp any any syn\n permit ip any any";
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&tiny())]);
    assert_eq!(run.report.drops, [("TinyFragment", 2)]);
    assert!(sent(&run).is_empty());
}

#[test]
fn a_segment_does_not_pass_a_list_behind_a_first_fragment_without_it() {
    let text = "ipv6 access-list L\n deny tcp any any eq 23\n permit ipv6 any any";
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&headless())]);
    // What is left of it never becomes a packet again.
    assert_eq!(run.report.drops, [("Ipv6FirstFragment", 1)]);
    assert_eq!(sent(&run).len(), 1);
}

#[test]
fn an_interface_may_take_in_what_hides() {
    let packets = [tiny(), headless()].concat();
    let config =
        TWO_NETWORKS.replace("name = \"west\"\n", "name = \"west\"\npass_tiny_fragments = true\n");
    let run = route(&config, &[&west(&packets)]);
    assert_eq!((run.report.dropped(), sent(&run).len()), (0, 4));
    // It is the interface that they come in by.
    let config =
        TWO_NETWORKS.replace("name = \"east\"\n", "name = \"east\"\npass_tiny_fragments = true\n");
    let run = route(&config, &[&west(&packets)]);
    assert_eq!((run.report.dropped(), sent(&run).len()), (3, 1));
}

#[test]
fn fragments_of_ordinary_size_and_small_ones_of_other_protocols_pass() {
    let whole = tcp(V4.0, V4.1, 64, (9, 80), 2, &payload(40));
    let udp = udp(V4.0, V4.1, 64, (9, 80), &[]);
    let segment = tcp(V6.0, V6.1, 64, (9, 80), 2, &payload(8));
    let packets = [
        with_fragment_field(whole.clone(), 0x2000),
        with_fragment_field(whole.clone(), 0x2003),
        with_fragment_field(whole, 185),
        with_fragment_field(udp.clone(), 0x2000),
        with_fragment_field(udp, 1),
        six(44, &piece(6, 0, true, 1, &segment[40..])),
        six(44, &piece(6, 24, false, 1, &[0; 8])),
        six(44, &piece(17, 8, false, 1, &[0; 8])),
        // Whole, and short all the same: for its end to judge.
        six(6, &segment[40..48]),
    ];
    let run = route(TWO_NETWORKS, &[&west(&packets)]);
    assert_eq!((run.report.dropped(), sent(&run).len()), (0, packets.len()));
}

/// [`TWO_NETWORKS`] with eight neighbours in the east instead of one.
fn eight_paths() -> String {
    let (networks, _) = TWO_NETWORKS.split_once("[[route]]").unwrap();
    let mut text =
        networks.replace("name = \"west\"\n", "name = \"west\"\npass_tiny_fragments = true\n");
    for host in 11..19 {
        for (prefix, via) in [("203.0.113.0/24", "10.2.0."), ("2001:db8:ff::/48", "2001:db8:2::")] {
            text += &format!(
                "[[neighbor]]\naddress = \"{via}{host}\"\nmac = \"02:00:00:00:02:{host}\"\n\
                 [[route]]\nprefix = \"{prefix}\"\nvia = \"{via}{host}\"\n"
            );
        }
    }
    text
}

/// Some extension headers that end in `last`, and the kind of the first.
fn headers(random: &mut StdRng, kinds: &[u8], last: u8) -> (u8, Vec<u8>) {
    let (mut first, mut bytes) = (last, Vec::new());
    for _ in 0..random.random_range(0..4) {
        let kind = *kinds.choose(random).unwrap();
        let words = random.random_range(0..3_u8);
        let (len, size) = match kind {
            51 => (2 * words, 8 + 8 * usize::from(words)),
            _ => (words, 8 + 8 * usize::from(words)),
        };
        let mut header = vec![0; size];
        (header[0], header[1]) = (first, len);
        bytes.splice(0..0, header);
        first = kind;
    }
    (first, bytes)
}

/// A datagram in fragments that begin at random places, in random order: number `id`.
fn fragments(random: &mut StdRng, id: u8) -> Vec<Vec<u8>> {
    let protocol = *[6, 17, 58, 132, 89].choose(random).unwrap();
    let (next, mut inside) = headers(random, &[60, 51, 135, 139, 140, 43], protocol);
    inside.extend((0..random.random_range(40..300)).map(|_| random.random::<u8>()));
    let mut cuts = BTreeSet::from([0]);
    for _ in 0..random.random_range(1..6) {
        cuts.insert(8 * random.random_range(1..inside.len() / 8));
    }
    let starts: Vec<usize> = cuts.into_iter().collect();
    let (first, outside) = headers(random, &[60, 43], 44);
    let mut packets: Vec<Vec<u8>> = (0..starts.len())
        .map(|n| {
            let end = starts.get(n + 1).copied().unwrap_or(inside.len());
            let more = n + 1 < starts.len();
            let data = &inside[starts[n]..end];
            let mut ip =
                six(first, &[&outside[..], &piece(next, starts[n], more, 1, data)].concat());
            ip[23] = id;
            ip
        })
        .collect();
    packets.reverse();
    packets
}

#[test]
fn all_fragments_of_a_datagram_take_one_path() {
    let mut random = StdRng::seed_from_u64(6437);
    let mut received: Vec<Timed> = Vec::new();
    // The senders' addresses end in these: 1 is the router's own.
    for id in 2..202 {
        for ip in fragments(&mut random, id) {
            received.push((u64::from(id) * 1000, frame(mac(1, 1), mac(1, 2), &[], &ip)));
        }
    }
    let run = route(&eight_paths(), &[&received]);
    assert_eq!(run.report.dropped(), 0, "{:?}", run.report.drops);
    assert_eq!(run.sent[1].len(), received.len());
    let mut paths = BTreeMap::<u8, BTreeSet<u8>>::new();
    for sent in run.frames(1) {
        paths.entry(sent[14 + 23]).or_default().insert(sent[5]);
    }
    let split: Vec<_> = paths.iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(split.is_empty(), "datagrams on several paths: {split:?}");
    assert_eq!(paths.values().flatten().collect::<BTreeSet<_>>().len(), 8);
}

#[test]
fn whole_packets_take_their_path_by_ports_behind_extension_headers_too() {
    let packet = |port: u16| {
        let datagram = udp(V6.0, V6.1, 64, (port, 53), &payload(20));
        six(60, &[&[17, 0, 1, 4, 0, 0, 0, 0], &datagram[40..]].concat())
    };
    let packets: Vec<Vec<u8>> = (0..64).map(|port| packet(1024 + port)).collect();
    let run = route(&eight_paths(), &[&west(&packets)]);
    let paths: BTreeSet<u8> = run.frames(1).iter().map(|sent| sent[5]).collect();
    assert_eq!(paths.len(), 8);
}
