//! The machine's own time, with one lcore and with several: every packet of a generator arrives, and
//! the run ends by itself.

use std::time::Duration;

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::pal::lcore::{CpuList, allowed_cpus};

use super::back_end::back_end;

/// Two generators and where their packets go.
const CONFIG: &str = r#"
[[port]]
device = "synth:count=30000,flows=100"
address = ["10.1.0.1/24"]
[[port]]
device = "synth:count=20000,ipv6,size=100"
address = ["2001:db8:1::1/64"]
[[port]]
device = "sink"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:02:02"
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
[[route]]
prefix = "::/0"
via = "2001:db8:2::2"
"#;

// rows: ARC-03, ARC-11
#[test]
fn all_packets_of_generators_arrive_on_one_lcore_and_on_two() {
    let cpus = allowed_cpus().unwrap();
    let list: Vec<String> = cpus.cpus().iter().take(2).map(|cpu| cpu.0.to_string()).collect();
    for lcores in 1..=list.len() {
        let cpus = CpuList::parse(&list[..lcores].join(",")).unwrap();
        let config = Config::parse(CONFIG, "test.toml").unwrap();
        let forwarder = Forwarder::new(config).buffers(4096).lcores(cpus);
        let running = back_end(forwarder).start().unwrap();
        assert!(running.wait(Duration::from_secs(120)), "it does not end");
        let report = running.join().unwrap();
        assert_eq!(report.conserved, Some(true));
        assert_eq!((report.received(), report.forwarded()), (50_000, 50_000), "{report:?}");
        assert_eq!((report.ports[2].tx_packets, report.dropped()), (50_000, 0));
        assert_eq!(report.ports[2].tx_bytes, 30_000 * 60 + 20_000 * 96);
        assert_eq!(report.lcores.len(), lcores);
        for lcore in &report.lcores {
            assert!(lcore.packets >= 20_000, "lcore {} had {}", lcore.id, lcore.packets);
        }
    }
}
