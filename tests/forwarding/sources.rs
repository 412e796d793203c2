//! What claims to come from the router itself.

use crate::packets::{frame, mac, udp};
use crate::router::{TWO_NETWORKS, route};

const HOST: [&str; 2] = ["10.1.0.2", "2001:db8:1::2"];

/// Frames to the west: from an odd MAC address, then from an odd IP source, each to somebody behind
/// the east and to the router itself; last a good one.
fn frames() -> Vec<(u64, Vec<u8>)> {
    let host = mac(1, 2);
    let mut frames = Vec::new();
    for (family, dst) in [(0, "203.0.113.9"), (1, "2001:db8:ff::9"), (0, "10.2.0.1")] {
        for source in [mac(1, 1), [0; 6], [3, 0, 0, 0, 0, 1]] {
            frames.push(frame(mac(1, 1), source, &[], &udp(HOST[family], dst, 9, (1, 2), &[7; 8])));
        }
    }
    for (src, dst) in [
        ("10.1.0.1", "203.0.113.9"),
        ("10.2.0.1", "203.0.113.9"),
        ("10.1.0.255", "203.0.113.9"),
        ("10.2.0.1", "10.1.0.1"),
        ("2001:db8:2::1", "2001:db8:ff::9"),
        ("2001:db8:1::1", "2001:db8:2::1"),
    ] {
        frames.push(frame(mac(1, 1), host, &[], &udp(src, dst, 9, (1, 2), &[7; 8])));
    }
    frames.push(frame(mac(1, 1), host, &[], &udp(HOST[0], "203.0.113.9", 9, (1, 2), &[7; 8])));
    frames.into_iter().map(|frame| (0, frame)).collect()
}

#[test]
fn nobody_else_sends_from_the_router_s_addresses() {
    let run = route(TWO_NETWORKS, &[&frames()]);
    assert_eq!((run.sent[0].len(), run.sent[1].len()), (0, 1));
    let drops = |reason: &str| run.report.drops.iter().find(|(name, _)| *name == reason);
    assert_eq!(drops("SourceMac"), Some(&("SourceMac", 9)));
    assert_eq!(drops("OwnSource"), Some(&("OwnSource", 6)));
}

#[test]
fn loops_on_purpose_are_allowed_where_they_are_told_to_be() {
    let allowed =
        TWO_NETWORKS.replacen("name = \"west\"", "name = \"west\"\nallow_own_source = true", 1);
    let run = route(&allowed, &[&frames()]);
    // All to others but those from groups and from nobody; the broadcast's is one of them.
    assert_eq!(run.sent[1].len(), 2 + 4 + 1);
    let drops = |reason: &str| run.report.drops.iter().find(|(name, _)| *name == reason);
    assert_eq!(drops("SourceMac"), Some(&("SourceMac", 6)));
    assert_eq!(drops("OwnSource"), None);
}

#[test]
fn a_frame_ends_where_its_packet_ends() {
    let packet = udp(HOST[0], "203.0.113.9", 9, (1, 2), &[7; 8]);
    let mut long = frame(mac(1, 1), mac(1, 2), &[], &packet);
    long.resize(1900, 0x5a);
    let run = route(TWO_NETWORKS, &[&[(0, long)]]);
    assert_eq!(run.frames(1)[0].len(), 14 + packet.len());
}
