use proptest::prelude::*;

use super::*;

const SEED: u64 = 0x1d;

/// One's complement sum of big-endian words, the slow way.
fn slow_sum(parts: &[&[u8]]) -> u32 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum
}

fn pseudo(frame: &[u8], at: usize, v6: bool, protocol: u8, len: usize) -> u32 {
    let addresses = if v6 { &frame[at + 8..at + 40] } else { &frame[at + 12..at + 20] };
    slow_sum(&[addresses, &[0, protocol], &u16::try_from(len).unwrap().to_be_bytes()])
}

/// A large frame as a kernel hands it over: its bytes, and what is to be done.
fn large(v6: bool, udp: bool, tagged: bool, payload: &[u8], segment: u16) -> (Vec<u8>, Offload) {
    let mut frame = vec![2; 12];
    if tagged {
        frame.extend([0x81, 0x00, 0x00, 0x07]);
    }
    frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    let at = frame.len();
    let protocol = if udp { 17 } else { 6 };
    let bytes = if udp { 8 } else { 32 };
    let len = u16::try_from(bytes + payload.len()).unwrap();
    if v6 {
        frame.extend([0x60, 0, 0, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend((0..32).map(|n| n * 7));
    } else {
        frame.extend([0x45, 0]);
        frame.extend((len + 20).to_be_bytes());
        frame.extend([0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0, 10, 1, 0, 2, 10, 2, 0, 2]);
    }
    let start = frame.len();
    frame.extend([0x30, 0x39, 0x14, 0x51]);
    if udp {
        frame.extend(len.to_be_bytes());
        frame.extend([0, 0]);
    } else {
        // Close to where sequence numbers start anew; CWR, ACK, PSH and FIN.
        frame.extend([0xff, 0xff, 0xff, 0x00, 1, 2, 3, 4, 0x80, 0x99, 1, 0, 0, 0, 0, 0]);
        frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
    let field = if udp { 6 } else { 16 };
    let sum = u16::try_from(pseudo(&frame, at, v6, protocol, usize::from(len))).unwrap();
    frame[start + field..start + field + 2].copy_from_slice(&sum.to_be_bytes());
    frame.extend(payload);
    let kind = if udp { 5 } else { 0x81 + 3 * u8::from(v6) };
    let [a, b] = segment.to_ne_bytes();
    let [c, d] = u16::try_from(start).unwrap().to_ne_bytes();
    let [e, f] = u16::try_from(field).unwrap().to_ne_bytes();
    (frame, Offload::parse([1, kind, 0, 0, a, b, c, d, e, f]))
}

/// Bytes that no two segments have alike.
fn payload(len: usize) -> Vec<u8> {
    let mut state = SEED;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..len).map(byte).collect()
}

proptest! {
    #[test]
    fn segments_are_packets_that_a_receiver_takes_for_the_whole(
        v6: bool, udp: bool, tagged: bool, with_tag: bool,
        len in 1_usize..5_000, segment in 1_u16..2_000,
    ) {
        let bytes = payload(len);
        let (frame, offload) = large(v6, udp, tagged, &bytes, segment);
        let mut room = [vec![0; 16], frame.clone()].concat();
        let tag = with_tag.then_some([0x88, 0xa8, 0, 5]);
        let mut segments = Segments::of(&mut room, 16, offload, tag).unwrap();
        let at = 14 + TAG * (usize::from(tagged) + usize::from(with_tag));
        let start = at + if v6 { 40 } else { 20 };
        let (protocol, header) = if udp { (17, 8) } else { (6, 32) };
        let mut together: Vec<u8> = Vec::new();
        let mut count = 0_u16;
        while let Some(frame) = segments.next(&mut room) {
            let rest = frame.len() - start;
            let sum = pseudo(frame, at, v6, protocol, rest);
            let own = slow_sum(&[&frame[start..]]);
            prop_assert_eq!(slow_sum(&[&(sum + own).to_be_bytes()]), 0xffff, "checksum");
            if with_tag {
                prop_assert_eq!(&frame[12..16], &[0x88, 0xa8, 0, 5]);
            }
            let word = |at: usize| usize::from(frame[at]) << 8 | usize::from(frame[at + 1]);
            if v6 {
                prop_assert_eq!(word(at + 4), rest);
            } else {
                prop_assert_eq!(word(at + 2), rest + 20);
                prop_assert_eq!(word(at + 4), usize::from(0xfffe_u16.wrapping_add(count)));
                prop_assert_eq!(slow_sum(&[&frame[at..start]]), 0xffff, "IPv4 checksum");
            }
            let last = together.len() + rest - header == len;
            if udp {
                prop_assert_eq!(word(start + 4), rest);
            } else {
                let number = u32::from_be_bytes(*frame[start + 4..].first_chunk().unwrap());
                let offset = u32::try_from(together.len()).unwrap();
                prop_assert_eq!(number, 0xffff_ff00_u32.wrapping_add(offset));
                let flags = 0x10 | if count == 0 { CWR } else { 0 } | if last { FIN_PSH } else { 0 };
                prop_assert_eq!(frame[start + 13], flags);
            }
            prop_assert_eq!(rest - header, usize::from(segment).min(len - together.len()));
            together.extend(&frame[start + header..]);
            count += 1;
        }
        prop_assert_eq!(together, bytes);
    }

    #[test]
    fn whatever_the_kernel_says_nothing_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200), header: [u8; 10], front in 0_usize..20,
    ) {
        let mut room = [vec![0; front], bytes].concat();
        let offload = Offload::parse(header);
        let tag = Some([0x81, 0, 0, 1]);
        let _ = super::super::offload::complete(&mut room.clone(), front, offload, tag);
        if let Some(mut segments) = Segments::of(&mut room, front, offload, None) {
            while segments.next(&mut room).is_some() {}
        }
    }
}

#[test]
fn what_is_between_the_headers_is_refused() {
    let (mut frame, offload) = large(true, false, false, &payload(3000), 1000);
    assert!(Segments::of(&mut frame.clone(), 0, offload, None).is_some());
    // Hop-by-hop options instead of TCP.
    frame[14 + 6] = 0;
    assert!(Segments::of(&mut frame, 0, offload, None).is_none());
}

#[test]
fn a_partial_checksum_is_completed() {
    let (mut frame, mut offload) = large(false, false, false, b"odd number of bytes", 1000);
    offload.segmentation = 0;
    let frame = super::super::offload::complete(&mut frame, 0, offload, None).unwrap();
    let sum = pseudo(frame, 14, false, 6, frame.len() - 34) + slow_sum(&[&frame[34..]]);
    assert_eq!(slow_sum(&[&sum.to_be_bytes()]), 0xffff);
}
