//! A tunnel whose packets are enciphered on an lcore of its own.

use std::time::Duration;

use qfp::client::config::Config;
use qfp::pal::lcore::{CpuList, allowed_cpus};

use super::back_end::back_end;
use qfp::{Forwarder, StartError};

/// A generator, whose packets leave through a tunnel.
const CONFIG: &str = r#"
[[port]]
device = "synth:count=100000,flows=100"
address = ["10.1.0.1/24"]
[[port]]
device = "sink"
address = ["10.2.0.1/24"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[sa]]
name = "out"
direction = "out"
spi = 0x1001
local = "10.2.0.1"
remote = "10.2.0.2"
algorithm = "aes-128-gcm"
key_file = "out.key"
[[tunnel]]
name = "tunnel0"
sa_out = "out"
[[route]]
prefix = "0.0.0.0/0"
dev = "tunnel0"
[[route]]
prefix = "10.2.0.2/32"
via = "10.2.0.2"
"#;

fn forwarder(folder: &std::path::Path) -> Forwarder {
    let key = folder.join("out.key");
    crate::gateways::write_secret(&key, "000102030405060708090a0b0c0d0e0f10111213\n");
    // The key's file is in the folder that the configuration would be in.
    let file = folder.join("router.toml");
    let states = folder.join("states");
    let config = format!("{CONFIG}[ipsec]\nstate_dir = '{}'\n", states.display());
    Forwarder::new(Config::parse(&config, file.to_str().unwrap()).unwrap()).buffers(8192)
}

fn cpus(list: &[u16]) -> CpuList {
    let list: Vec<String> = list.iter().map(u16::to_string).collect();
    CpuList::parse(&list.join(",")).unwrap()
}

#[test]
fn every_packet_leaves_through_the_tunnel_with_an_engine_and_without() {
    let all: Vec<u16> = allowed_cpus().unwrap().cpus().iter().map(|cpu| cpu.0).collect();
    let [forwarding, engine, ..] = all[..] else {
        eprintln!("SKIPPED: a crypto engine needs a second CPU");
        return;
    };
    for engines in [&[][..], &[engine]] {
        let folder = tempfile::tempdir().unwrap();
        let mut forwarder = forwarder(folder.path()).lcores(cpus(&[forwarding]));
        if !engines.is_empty() {
            forwarder = forwarder.crypto_lcores(cpus(engines));
        }
        let running = back_end(forwarder).start().unwrap();
        assert!(running.wait(Duration::from_secs(120)), "it does not end");
        let report = running.join().unwrap();
        assert_eq!(report.conserved, Some(true), "{report:?}");
        assert_eq!((report.received(), report.forwarded()), (100_000, 100_000), "{report:?}");
        // 46 bytes of IP, 28 of outer headers, IV included, 16 of ICV, and padding.
        assert_eq!(report.ports[1].tx_bytes, 100_000 * (14 + 20 + 8 + 8 + 48 + 16));
        // Each was handed over, whether or not it was taken back, or has overtaken others.
        let counts = report.crypto_engines.iter().filter(|(name, _)| *name != "taken_back");
        let all: u64 = counts.map(|(_, packets)| packets).sum();
        assert_eq!(all, 100_000 * engines.len() as u64, "{:?}", report.crypto_engines);
        assert_eq!(report.lcores.len(), 1 + engines.len());
    }
}

#[test]
fn a_cpu_is_not_given_two_roles() {
    let first = allowed_cpus().unwrap().cpus()[0].0;
    let folder = tempfile::tempdir().unwrap();
    let shared = forwarder(folder.path()).lcores(cpus(&[first])).crypto_lcores(cpus(&[first]));
    let Err(error) = shared.start() else { panic!("it starts") };
    assert!(matches!(error, StartError::SharedCpu(_)) && error.is_usage(), "{error}");
}
