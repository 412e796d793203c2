//! DPDK's ports forward as the capture ports do. Skipped aloud without the feature `dpdk`.
#![cfg_attr(
    feature = "dpdk",
    expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")
)]

#[cfg(not(feature = "dpdk"))]
#[test]
fn dpdk_ports_send_what_capture_ports_send() {
    eprintln!("skipped: built without the feature dpdk");
}

#[cfg(feature = "dpdk")]
#[path = "support/capture.rs"]
mod capture;
#[cfg(feature = "dpdk")]
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/l3fwd.rs"]
mod l3fwd;
#[cfg(feature = "dpdk")]
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/packets.rs"]
mod packets;
#[cfg(feature = "dpdk")]
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/router.rs"]
mod router;

#[cfg(feature = "dpdk")]
mod on_virtual_devices {
    use crate::packets::{DOT1AD, DOT1Q, Tag, frame, mac, payload, udp};
    use crate::{capture, l3fwd, router};

    /// The router's links, one of them with tags.
    fn config() -> String {
        router::TWO_NETWORKS.replace(
            "[[port]]\nname = \"east\"",
            "[[port.vlan]]\nid = 100\n[[port.vlan]]\nid = 200\ninner = 7\n[[port]]\nname = \"east\"",
        )
    }

    /// Packets of all sizes that a packet can have, all of which are routed or dropped at once.
    fn packets() -> Vec<capture::Timed> {
        let ends = [("10.1.0.2", "203.0.113.9"), ("2001:db8:1::2", "2001:db8:ff::9")];
        let tags: [&[Tag]; 3] = [&[], &[Tag(DOT1Q, 100)], &[Tag(DOT1AD, 200), Tag(DOT1Q, 7)]];
        let mut packets = Vec::new();
        for n in 0..200_u16 {
            let (src, dst) = ends[usize::from(n % 2)];
            let ip = udp(src, dst, 64, (n, 2), &payload(18 + 7 * usize::from(n)));
            let mut bytes = frame(mac(1, 1), mac(1, 2), tags[usize::from(n % 3)], &ip);
            if n % 17 == 0 {
                // No IP version: neither forwarded nor reported.
                let version = bytes.len() - ip.len();
                bytes[version] = 0;
            }
            packets.push((u64::from(n) * 1_000, bytes));
        }
        packets
    }

    #[test]
    fn dpdk_ports_send_what_capture_ports_send() {
        let (packets, config) = (packets(), config());
        let wanted = router::route(&config, &[&packets]);
        assert!(wanted.sent[1].len() > 180 && wanted.sent[0].is_empty());

        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        capture::write(dir.path().join("in.pcap").as_path(), &packets);
        std::fs::write(file("router.toml"), config).unwrap();
        let west =
            format!("--vdev=net_pcap0,rx_pcap={},tx_pcap={}", file("in.pcap"), file("west.pcap"));
        let east = format!("--vdev=net_pcap1,tx_pcap={}", file("east.pcap"));
        let mut command = l3fwd::command();
        command.args(["--config", &file("router.toml"), "--seconds", "2"]);
        command.args(["--port", "dpdk:net_pcap0", "--port", "dpdk:net_pcap1"]);
        command.args(["--stats-json", &file("stats.json"), "--", "--no-huge", "--no-pci"]);
        command.args(["--no-shconf", "--no-telemetry", "-m", "256", &west, &east]);
        let outcome = l3fwd::finish(command.spawn().unwrap());
        if outcome.status == 1 && outcome.stderr.contains("EAL") {
            return eprintln!("skipped: {}", outcome.stderr);
        }
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
        let frames = |packets: Vec<capture::Timed>| -> Vec<Vec<u8>> {
            packets.into_iter().map(|(_, frame)| frame).collect()
        };
        let sent = frames(capture::read(dir.path().join("east.pcap").as_path()));
        assert_eq!(sent, frames(wanted.sent[1].clone()));
        let stats = std::fs::read(file("stats.json")).unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        assert_eq!(stats["ports"]["west"]["rx_packets"], 200);
        assert_eq!(stats["ports"]["east"]["tx_packets"], sent.len());
        let drops = wanted.report.drops.into_iter();
        let drops: serde_json::Map<_, _> =
            drops.map(|(name, n)| (name.to_owned(), n.into())).collect();
        assert_eq!(stats["drops"], serde_json::Value::Object(drops));
    }
}
