//! New keys while packets flow, and sequence numbers over a restart.

use std::collections::BTreeSet;
use std::time::Duration;

use qfp::SaChangeError;
use qfp::client::config::Config;
use qfp::client::ipsec::{Direction, Sa, Secret};
use qfp::core::crypto::Algorithm;
use qfp::core::ipsec::Endpoints;

use crate::gateways::{LAN, Pair, WAN, counts, ip, key, numbers, wan};
use crate::packets::{payload, udp};

fn packet() -> Vec<u8> {
    udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(40))
}

#[test]
fn no_sequence_number_is_sent_twice_with_a_key_however_often_the_router_starts() {
    let pair = Pair::default();
    let mut seen = BTreeSet::new();
    for round in 0..4 {
        let sent = ip(&pair.side(1, LAN, &vec![packet(); 50]), WAN);
        for (outer, n) in sent.iter().zip(1..) {
            let number = numbers(outer).1;
            assert!(seen.insert(number), "{number} again in round {round}");
            assert_eq!(number, round * 50 + n, "a run that ends in order uses up no numbers");
        }
        // The other side takes them all, since they only grow.
        let got = pair.side(2, WAN, &sent);
        assert_eq!(counts(&got, "in"), (50, vec![]));
    }
}

#[test]
fn two_routers_never_use_the_same_key_at_a_time() {
    let pair = Pair::default();
    let config = pair.config(1);
    let running = pair.live(&config, ["synth:size=64,flows=1", "sink"]).start().unwrap();
    let Err(error) = pair.live(&config, ["sink", "sink"]).start() else { panic!("two run") };
    assert!(error.is_usage() && error.to_string().contains("in use by another process"), "{error}");
    running.stop().unwrap();
    pair.live(&config, ["sink", "sink"]).start().unwrap().stop().unwrap();
}

/// New keys that are taken one after the other.
const NEW_KEYS: u8 = 9;

/// The SPI of new key number `n`.
fn spi(n: u8) -> u32 {
    0x7000 + u32::from(n)
}

/// Key number `n` of the west, beyond that of the configuration.
fn another(n: u8) -> Sa {
    let mut key = key(Algorithm::Aes128Gcm, 1);
    key[0] = n;
    let endpoints = Endpoints { local: wan(1, false), remote: wan(2, false) };
    let key = (Algorithm::Aes128Gcm, Secret::new(&key));
    let sa = Sa::new(format!("out{n}"), Direction::Out, spi(n), endpoints, key);
    Sa { interface: Some("tunnel0".to_owned()), ..sa }
}

/// So many packets with destinations in 10.2.0.0/16.
fn generator(pair: &Pair, packets: usize) -> String {
    let prefixes = pair.dir.path().join("destinations");
    std::fs::write(&prefixes, "10.2.0.0/24\n").unwrap();
    format!("synth:count={packets},size=100,dst={}", prefixes.display())
}

/// Takes nine new keys, one after the other, or as many as it can before the run ends.
fn takes_new_keys(running: &qfp::Running) {
    for n in 1..=NEW_KEYS {
        std::thread::sleep(Duration::from_millis(5));
        match running.add_sa(another(n)) {
            Err(SaChangeError::Ended) => return,
            added => added.unwrap(),
        }
        let before = if n == 1 { "out".to_owned() } else { format!("out{}", n - 1) };
        match running.delete_sa(&before) {
            Err(SaChangeError::Ended) => return,
            deleted => deleted.unwrap(),
        }
    }
}

/// The SPI and the sequence number of each of `packets` sent while nine new keys are taken; none
/// if the packets were all sent before the last key was in use.
fn numbers_over_new_keys(packets: usize) -> Option<Vec<(u32, u32)>> {
    let pair = Pair::default();
    let wan = format!("pcap:tx={}", pair.dir.path().join("wan.pcap").display());
    let lan = generator(&pair, packets);
    let running = pair.live(&pair.config(1), [&lan, &wan]).start().unwrap();
    takes_new_keys(&running);
    assert!(running.wait(Duration::from_secs(120)));
    let report = running.join().unwrap();
    assert_eq!((report.dropped(), report.conserved), (0, Some(true)), "{:?}", report.drops);
    let sent = pair.captured("wan.pcap");
    assert_eq!(sent.len(), packets);
    let all: Vec<(u32, u32)> = sent.iter().map(|outer| numbers(outer)).collect();
    all.iter().any(|one| one.0 == spi(NEW_KEYS)).then_some(all)
}

#[test]
fn keys_are_replaced_while_packets_flow_and_none_is_lost() {
    let all = [60_000, 400_000, 3_000_000]
        .into_iter()
        .find_map(numbers_over_new_keys)
        .expect("nine new keys are taken before three million packets are sent");
    let spis: BTreeSet<u32> = all.iter().map(|(spi, _)| *spi).collect();
    for spi in spis {
        let of_spi: Vec<u32> = all.iter().filter(|one| one.0 == spi).map(|one| one.1).collect();
        assert!((1..).take(of_spi.len()).eq(of_spi), "{spi:#x}");
    }
}

#[test]
fn a_configuration_that_is_read_again_replaces_keys_and_one_with_a_mistake_none() {
    let pair = Pair::default();
    let mut text = pair.config(1);
    for port in ["name = \"lan\"", "name = \"wan\""] {
        text = text.replace(port, &format!("{port}\ndevice = \"sink\""));
    }
    // Packets without end: the run lasts until it is stopped.
    let running = pair.live(&text, ["synth:size=64,flows=1", "sink"]).start().unwrap();
    let names = |running: &qfp::Running| {
        let sas = running.ipsec().unwrap().sas;
        sas.into_iter().map(|one| (one.sa.name, one.sa.spi)).collect::<Vec<_>>()
    };
    let before = names(&running);
    let again = |from: &str, to: &str| Config::parse(&text.replace(from, to), "again.toml");
    let config = again("spi = 4097", "spi = 7").unwrap();
    let error = running.rekey(config).unwrap_err().to_string();
    assert!(error.starts_with("again.toml:") && error.contains("SPI 7 is reserved"), "{error}");
    let config = again("tunnel0", "tunnel1").unwrap();
    let error = running.rekey(config).unwrap_err().to_string();
    assert!(error.contains("there is no tunnel or policy entry \"tunnel1\""), "{error}");
    assert_eq!(names(&running), before);
    running.rekey(again("spi = 4097", "spi = 7000").unwrap()).unwrap();
    assert_eq!(names(&running), [("in".to_owned(), 4098), ("out".to_owned(), 7000)]);
    assert_eq!(running.flush_sas().unwrap(), 2);
    assert_eq!(names(&running), []);
    let spi = running.allocate_spi().unwrap();
    assert!(spi > 255);
    running.stop().unwrap();
}
