#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::HashMap;

use hal::PacketMask;
use proptest::prelude::*;

use crate::adjacency::AdjacencyKind;
use crate::fia::FiaBuilder;
use crate::fia::tests::bench::{Hop, Plan, Router, Walker, frame};
use crate::isa::Isa;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::Source;
use crate::uidb::UidbIndex;

/// Everything is spread over interfaces 3, 4 and 5, with shares of 1, 2 and 3.
fn walker() -> Walker {
    let mut plan = Plan::with_ports(3);
    for output in 3..6 {
        plan.hops.push(Hop::new(AdjacencyKind::Plain, output, 14));
    }
    let members = vec![1, 2, 2, 3, 3, 3];
    plan.group("203.0.113.0/24", members.clone());
    plan.group("::/0", members);
    Walker::new(&mut Router::new(&plan), FiaBuilder::router().build(Isa::detect()))
}

fn outputs(walker: &mut Walker, frames: &[Vec<u8>]) -> Vec<UidbIndex> {
    let mut outputs = Vec::new();
    for frames in frames.chunks(64) {
        let walked = walker.walk(frames, PacketMask::EMPTY, Source::Port(0));
        outputs.extend(walked.outputs.into_iter().map(Option::unwrap));
    }
    outputs
}

/// UDP from port `src` to port `dst`.
fn ports(src: u16, dst: u16) -> Vec<u8> {
    [src.to_be_bytes(), dst.to_be_bytes(), [0, 8], [0, 0]].concat()
}

fn v4(from: u8, payload: &[u8]) -> Vec<u8> {
    frame(&[], &ipv4([198, 51, 100, from], [203, 0, 113, 1], 64, &[], payload))
}

/// Changes the word of identification, flags and offset, and the checksum with it.
fn fragment(mut frame: Vec<u8>, flags_and_offset: u16) -> Vec<u8> {
    let sum = u32::from(u16::from_be_bytes([frame[24], frame[25]]));
    let sum = sum + u32::from(!flags_and_offset);
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[20..22].copy_from_slice(&flags_and_offset.to_be_bytes());
    frame[24..26].copy_from_slice(&(sum as u16).to_be_bytes());
    frame
}

#[test]
fn flows_are_spread_by_weight() {
    let mut walker = walker();
    let by_port: Vec<_> = (0..6000).map(|n| v4(9, &ports(1024 + n, 53))).collect();
    let by_host6: Vec<_> = (0..6000)
        .map(|n| frame(&[], &ipv6(&format!("2001:db8::{n:x}"), "2001:db8:1::1", 59, 64, &[])))
        .collect();
    for frames in [by_port, by_host6] {
        let mut shares: HashMap<u16, i32> = HashMap::new();
        for output in outputs(&mut walker, &frames) {
            *shares.entry(output.0).or_default() += 1;
        }
        for (output, share) in [(3, 1000), (4, 2000), (5, 3000)] {
            assert!((shares[&output] - share).abs() < 200, "{shares:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn all_packets_of_a_flow_take_one_way(
        flow in (any::<u8>(), any::<u16>(), any::<u16>()),
        sizes in prop::collection::vec(0..300usize, 2..20),
    ) {
        let (host, src, dst) = flow;
        let mut walker = walker();
        let payload = |size: &usize| [ports(src, dst), vec![*size as u8; *size]].concat();
        let v4: Vec<_> = sizes.iter().map(|size| v4(host, &payload(size))).collect();
        let from = format!("2001:db8::{src:x}");
        let v6: Vec<_> = sizes
            .iter()
            .map(|size| frame(&[], &ipv6(&from, "2001:db8:1::1", 17, *size as u8 | 2, &payload(size))))
            .collect();
        for frames in [v4, v6] {
            let outputs = outputs(&mut walker, &frames);
            prop_assert!(outputs.iter().all(|output| *output == outputs[0]), "{:?}", outputs);
        }
    }

    #[test]
    fn all_fragments_of_a_datagram_take_one_way(host: u8, contents in prop::collection::vec(any::<u64>(), 3)) {
        let mut walker = walker();
        let words = [0x2000, 0x2001, 0x0002];
        let fragments = words.iter().zip(&contents).map(|(word, content)| {
            fragment(v4(host, &content.to_be_bytes()), *word)
        });
        let outputs = outputs(&mut walker, &fragments.collect::<Vec<_>>());
        prop_assert!(outputs.iter().all(|output| *output == outputs[0]), "{:?}", outputs);
    }
}

#[test]
fn what_stands_behind_a_packet_is_not_forwarded() {
    let packets = [
        ipv4([198, 51, 100, 9], [203, 0, 113, 1], 64, &[], &[7; 12]),
        ipv4([198, 51, 100, 9], [203, 0, 113, 1], 64, &[1, 1, 1, 0], &[7; 40]),
        ipv6("2001:db8::9", "2001:db8:1::1", 17, 64, &[7; 12]),
    ];
    // Padding to the least of Ethernet, more than that, more than the packet; and none.
    let tags: [&[(u16, u16)]; 2] = [&[], &[(0x8100, 0)]];
    let mut frames = Vec::new();
    for (packet, tags) in packets.iter().flat_map(|packet| tags.map(|tags| (packet, tags))) {
        for padding in [0, 1, 14, 1800] {
            frames.push([frame(tags, packet), vec![0x5a; padding]].concat());
        }
    }
    let builder = FiaBuilder::router;
    for fia in [
        builder().build(Isa::detect()),
        builder().row_by_row().build(Isa::detect()),
        builder().row_by_row().build(Isa::Portable),
    ] {
        let mut plan = Plan::with_ports(2);
        plan.route("203.0.113.0/24", Hop::new(AdjacencyKind::Plain, 4, 14).mtu(1280));
        plan.route("::/0", Hop::new(AdjacencyKind::Featured, 4, 18).mtu(1280));
        let mut walker = Walker::new(&mut Router::new(&plan), fia);
        let walked = walker.walk(&frames, PacketMask::EMPTY, Source::Port(0));
        assert_eq!(walked.frames.len(), frames.len());
        for (n, sent) in walked.frames.iter().enumerate() {
            let packet = &packets[n / 8];
            let header = if packet[0] >> 4 == 6 { 18 } else { 14 };
            assert_eq!(sent.len(), header + packet.len(), "frame {n}");
            assert_eq!(sent[header + 12..], packet[12..], "frame {n}");
        }
    }
}
