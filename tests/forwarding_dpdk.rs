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
#[path = "support/l3fwd.rs"]
mod l3fwd;
#[cfg(feature = "dpdk")]
#[path = "support/namespaces.rs"]
mod namespaces;
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
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use serde_json::Value;

    use crate::namespaces::{Namespace, has_programs};
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

    /// Stops a process, lets it go on, or has it end.
    fn signal(child: &std::process::Child, name: &str) {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    #[test]
    fn frames_that_a_device_has_missed_are_counted() {
        const SENDER: &str = "import socket\n\
            link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            link.bind(('far', 0))\n\
            frame = bytes([255] * 6 + [2, 0, 0, 0, 0, 9, 0x88, 0xb5]) + bytes(46)\n\
            for _ in range(60000): link.send(frame)\n";
        if !has_programs(&["ip", "python3", "kill"]) {
            return;
        }
        let Some(host) = Namespace::new("missed") else { return };
        host.must("ip link add near type veth peer name far");
        host.must("ip link set near up");
        host.must("ip link set far up");
        let dir = tempfile::tempdir().unwrap();
        let (stats, sender) = (dir.path().join("stats.json"), dir.path().join("sender.py"));
        std::fs::write(&sender, SENDER).unwrap();
        let program = l3fwd::command().get_program().to_str().unwrap().to_owned();
        let mut command = host.command(&program);
        command.args(["--port", "dpdk:net_pcap0", "--port", "sink", "--stats-json"]).arg(&stats);
        command.args(["--", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "256"]);
        command.arg("--vdev=net_pcap0,iface=near").stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        if !l3fwd::is_running(&child) {
            return eprintln!("skipped: {}", l3fwd::finish(child).stderr);
        }
        // It sleeps while more come than the kernel keeps for it.
        signal(&child, "-STOP");
        host.must(&format!("python3 {}", sender.display()));
        signal(&child, "-CONT");
        std::thread::sleep(Duration::from_secs(1));
        signal(&child, "-INT");
        let outcome = l3fwd::finish(child);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
        let port = &stats["ports"]["port0"];
        let count = |name: &str| port[name].as_u64().unwrap();
        assert!(count("missed") > 0, "{port}");
        assert_eq!(count("rx_missed"), count("missed") + count("no_buffer"), "{port}");
        assert!(count("rx_packets") + count("rx_missed") >= 60_000, "{port}");
        assert_eq!(port["xstats"]["rx_missed_errors"], port["missed"], "{port}");
    }

    // rows: ARC-25, ARC-31
    #[test]
    fn dpdk_ports_send_what_capture_ports_send() {
        let allowed = qfp::pal::lcore::allowed_cpus().unwrap();
        let cpus: Vec<String> = allowed.cpus().iter().map(|cpu| cpu.0.to_string()).collect();
        send_what_capture_ports_send(&cpus[0]);
        // The devices have one transmit queue each.
        if cpus.len() > 1 {
            send_what_capture_ports_send(&cpus[..2].join(","));
        }
    }

    fn send_what_capture_ports_send(lcores: &str) {
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
        command.args(["--config", &file("router.toml"), "--seconds", "2", "--lcores", lcores]);
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
        let stats: Value = serde_json::from_slice(&stats).unwrap();
        assert_eq!(stats["ports"]["west"]["rx_packets"], 200);
        assert_eq!(stats["ports"]["east"]["tx_packets"], sent.len());
        let drops = wanted.report.drops.into_iter();
        let drops: serde_json::Map<_, _> =
            drops.map(|(name, n)| (name.to_owned(), n.into())).collect();
        assert_eq!(stats["drops"], serde_json::Value::Object(drops));
    }
}
