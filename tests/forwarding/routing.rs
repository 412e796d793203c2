//! What a routed packet looks like, and what its trace says.

use qfp::core::fia::{FiaBuilder, TraceOutcome};

use crate::capture::Timed;
use crate::packets::{echo, frame, mac, payload, udp};
use crate::router::{TWO_NETWORKS, route, route_with};

const WEST: usize = 0;
const EAST: usize = 1;

#[test]
fn a_routed_packet_is_the_literal_one() {
    let received = "020000000101 020000000102 0800 \
         45000024 1234 0000 40 11 228d 0a010002 cb007105 \
         1000 0035 0010 9d80 0001020304050607 000000000000000000000000";
    // TTL 3f, checksum one unit of the high byte up, MAC addresses of the next link, no padding.
    let sent = "020000000202 020000000201 0800 \
         45000024 1234 0000 3f 11 238d 0a010002 cb007105 \
         1000 0035 0010 9d80 0001020304050607";
    let run = route(TWO_NETWORKS, &[&[(1_000, bytes(received))]]);
    assert_eq!(run.sent[EAST], [(1_000, bytes(sent))]);
    assert!(run.sent[WEST].is_empty());
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Every size from the shortest to the longest that fits, at several TTLs, both families.
#[test]
fn only_addresses_ttl_and_checksum_change_on_the_way() {
    let mut received = Vec::new();
    let mut wanted = Vec::new();
    for (n, len) in [0, 1, 17, 18, 60, 255, 256, 1000, 1452].into_iter().enumerate() {
        for ttl in [2, 3, 64, 128, 255] {
            for (src, dst) in [("10.1.0.2", "203.0.113.9"), ("2001:db8:1::2", "2001:db8:ff::9")] {
                let time = n as u64 * 1_000;
                let packet = |ttl| udp(src, dst, ttl, (4000, 5000), &payload(len));
                received.push((time, frame(mac(1, 1), mac(1, 2), &[], &packet(ttl))));
                wanted.push((time, frame(mac(2, 2), mac(2, 1), &[], &packet(ttl - 1))));
            }
        }
    }
    let run = route(TWO_NETWORKS, &[&received]);
    assert_eq!(run.sent[EAST], wanted);
    assert_eq!((run.report.dropped(), run.report.punted()), (0, 0));
}

/// Bytes of the frame behind the IP packet are the business of the link that they came over.
#[test]
fn padding_of_short_frames_is_not_forwarded() {
    let mut short =
        frame(mac(1, 1), mac(1, 2), &[], &udp("10.1.0.2", "203.0.113.9", 9, (1, 2), b"x"));
    short.resize(60, 0);
    let wanted = frame(mac(2, 2), mac(2, 1), &[], &udp("10.1.0.2", "203.0.113.9", 8, (1, 2), b"x"));
    assert_eq!(route(TWO_NETWORKS, &[&[(0, short)]]).frames(EAST), [wanted]);
}

#[test]
fn connected_hosts_and_both_directions_are_served() {
    let to = |link: u8, src: &str, dst: &str, ttl| {
        let ip = echo(src, dst, ttl, false, &payload(32));
        if ttl == 64 {
            frame(mac(3 - link, 1), mac(3 - link, 2), &[], &ip)
        } else {
            frame(mac(link, 2), mac(link, 1), &[], &ip)
        }
    };
    let pairs = [("10.1.0.2", "10.2.0.2"), ("2001:db8:1::2", "2001:db8:2::2")];
    let west: Vec<Timed> = pairs.iter().map(|(w, e)| (5, to(2, w, e, 64))).collect();
    let east: Vec<Timed> = pairs.iter().map(|(w, e)| (6, to(1, e, w, 64))).collect();
    let run = route(TWO_NETWORKS, &[&west, &east]);
    let wanted = |link, time, swap: bool| -> Vec<Timed> {
        pairs
            .iter()
            .map(|(w, e)| (time, if swap { to(link, e, w, 63) } else { to(link, w, e, 63) }))
            .collect()
    };
    assert_eq!(run.sent[EAST], wanted(2, 5, false));
    assert_eq!(run.sent[WEST], wanted(1, 6, true));
}

#[test]
fn a_jumbo_frame_passes_whole() {
    let config = TWO_NETWORKS
        .replace("mac = \"02:00:00:00:02:01\"", "mac = \"02:00:00:00:02:01\"\nmtu = 9000");
    for (src, dst, header) in
        [("10.1.0.2", "203.0.113.9", 28), ("2001:db8:1::2", "2001:db8:ff::9", 48)]
    {
        let packet = |ttl, len| udp(src, dst, ttl, (1, 2), &payload(len));
        let fits = frame(mac(1, 1), mac(1, 2), &[], &packet(64, 9000 - header));
        assert_eq!(fits.len(), 9014);
        let run = route(&config, &[&[(0, fits)]]);
        assert_eq!(
            run.frames(EAST),
            [frame(mac(2, 2), mac(2, 1), &[], &packet(63, 9000 - header))]
        );
    }
}

#[test]
fn a_trace_names_the_rows_in_the_order_of_operations() {
    let ip = udp("10.1.0.2", "203.0.113.9", 64, (1, 2), &payload(32));
    let input = frame(mac(1, 1), mac(1, 2), &[], &ip);
    let ip6 = udp("2001:db8:1::2", "2001:db8:ff::9", 64, (1, 2), &payload(32));
    let input6 = frame(mac(1, 1), mac(1, 2), &[], &ip6);
    let received = [(1, input.clone()), (2, input6)];
    let run = route_with(TWO_NETWORKS, &[&received], |forwarder| {
        forwarder.trace(2).fia(FiaBuilder::router().row_by_row())
    });
    let rows = |n: usize| run.traces[n].steps.iter().map(|step| step.row).collect::<Vec<_>>();
    let before = ["if-classify", "l3-parse"];
    let after = ["next-hop", "ttl", "ifib-act", "adjacency", "l2-rewrite", "mtu", "tx"];
    assert_eq!(rows(0), [&before[..], &["fib4-lookup"], &after].concat());
    assert_eq!(rows(1), [&before[..], &["fib6-lookup"], &after].concat());
    assert_eq!(run.traces[0].before, input);
    assert_eq!(run.traces[0].after, run.sent[EAST][0].1);
    assert_eq!(run.traces[0].outcome, TraceOutcome::Sent);
}

/// `egress-fast` is a faster way to the same result.
#[test]
fn egress_fast_and_the_rows_one_by_one_send_the_same() {
    let mut received = Vec::new();
    for n in 0..200_u16 {
        let [_, low] = n.to_be_bytes();
        let ttl = [64, 1, 2][usize::from(n % 3)];
        let dst = ["203.0.113.9", "10.2.0.2", "10.2.0.1", "192.0.2.1"][usize::from(n % 4)];
        let ip = udp("10.1.0.2", dst, ttl, (n, 9), &payload(usize::from(low)));
        // Several at a time, so that vectors hold a mixture.
        received.push((u64::from(n / 50) * 1_000_000_000, frame(mac(1, 1), mac(1, 2), &[], &ip)));
    }
    let single = FiaBuilder::router().row_by_row();
    let fast = route(TWO_NETWORKS, &[&received]);
    let single = route_with(TWO_NETWORKS, &[&received], |forwarder| forwarder.fia(single));
    assert_eq!(fast.sent, single.sent);
    assert_eq!(fast.report.drops, single.report.drops);
    assert_eq!(fast.report.punts, single.report.punts);
    assert_eq!(fast.report.slow_path, single.report.slow_path);
}
