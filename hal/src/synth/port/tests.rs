#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::collections::{HashMap, HashSet};

use super::*;
use crate::mask::PacketMask;
use crate::pool::{NativePool, Origin, Pool};
use crate::{Spec, TxQueue};
use pal::clock::Nanos;

fn start(text: &str, rx_queues: u16, mac: Option<[u8; 6]>) -> Vec<Box<dyn RxQueue>> {
    let mut port = Spec::parse(text).unwrap().open().unwrap();
    port.start(&PortConfig { mac, mtu: 9000, rx_queues, ..PortConfig::default() }).unwrap().rx
}

/// The frames of `bursts` bursts.
fn frames(rx: &mut dyn RxQueue, bursts: usize) -> Vec<Vec<u8>> {
    let pool = Pool::Native(NativePool::new(128, 9014));
    let mut cache = pool.cache(0);
    let mut burst = Burst::new(Origin::Native);
    let mut all = Vec::new();
    for _ in 0..bursts {
        rx.rx_burst(&mut burst, &mut cache);
        for slot in 0..burst.count() {
            all.push(burst.frame(slot).to_vec());
            // What a buffer held before must not show in the next frame.
            burst.frame_mut(slot).fill(0xee);
        }
        cache.free(&mut burst, PacketMask::FULL);
        burst.clear();
    }
    drop(cache);
    pool.check_complete().unwrap();
    all
}

/// One's complement sum of 16-bit words, the slow way; 0xffff when a checksum within is right.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum as u16
}

fn check(frame: &[u8]) {
    let packet = &frame[14..];
    let (addresses, udp) = match frame[12..14] {
        [0x08, 0x00] => {
            assert_eq!(packet[0], 0x45);
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            assert_eq!(sum(&[&packet[..20]]), 0xffff);
            (&packet[12..20], &packet[20..])
        }
        [0x86, 0xdd] => {
            assert_eq!(packet[0], 0x60);
            assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len() - 40);
            (&packet[8..40], &packet[40..])
        }
        _ => panic!("neither IPv4 nor IPv6"),
    };
    assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
    assert_eq!(sum(&[addresses, &[0, 17], &udp[4..6], udp]), 0xffff);
}

#[test]
fn frames_are_sound_in_every_size_and_family() {
    for size in [64, 66, 67, 68, 69, 128, 129, 1518, 9018] {
        for family in ["", ",ipv6"] {
            let text = format!("synth:size={size},flows=100{family}");
            let all = frames(&mut *start(&text, 1, None)[0], 3);
            assert_eq!(all.len(), 192);
            for frame in all {
                let shortest = if family.is_empty() { 60 } else { 62 };
                assert_eq!(frame.len(), (size - 4).max(shortest));
                check(&frame);
            }
        }
    }
}

#[test]
fn every_flow_comes_equally_often_and_keeps_to_its_queue() {
    let mut queues = start("synth:flows=96", 3, None);
    let mut owner = HashMap::new();
    for (queue, rx) in queues.iter_mut().enumerate() {
        let mut hits = HashMap::new();
        for frame in frames(&mut **rx, 2) {
            *hits.entry(frame.clone()).or_insert(0) += 1;
            assert_eq!(*owner.entry(frame).or_insert(queue), queue);
        }
        assert_eq!(hits.len(), 32);
        assert!(hits.values().all(|&count| count == 4));
    }
}

#[test]
fn addresses_and_macs_are_those_asked_for() {
    let mac = Some([2, 0, 0, 0, 0, 9]);
    for frame in frames(&mut *start("synth", 1, mac)[0], 1) {
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(frame[26], 10);
        assert_eq!((frame[30], frame[31] & 0xfe), (198, 18));
    }
    let text = "synth:dmac=02:aa:00:00:00:01,src=192.0.2.1/32";
    for frame in frames(&mut *start(text, 1, mac)[0], 1) {
        assert_eq!(frame[..6], [2, 0xaa, 0, 0, 0, 1]);
        assert_eq!(frame[26..30], [192, 0, 2, 1]);
    }
}

#[test]
fn a_seed_gives_the_same_traffic_again_and_another_seed_other_traffic() {
    let run = |text: &str| frames(&mut *start(text, 1, None)[0], 4);
    assert_eq!(run("synth:zipf=1.1,seed=7"), run("synth:zipf=1.1,seed=7"));
    assert_ne!(run("synth:seed=7"), run("synth:seed=8"));
}

#[test]
fn imix_has_its_ratio_and_every_flow_all_sizes() {
    let all = frames(&mut *start("synth:imix,flows=24", 1, None)[0], 36);
    let mut sizes = HashMap::new();
    let mut of_flow: HashMap<_, HashSet<_>> = HashMap::new();
    for frame in &all {
        check(frame);
        *sizes.entry(frame.len()).or_insert(0) += 1;
        of_flow.entry(frame[26..38].to_vec()).or_default().insert(frame.len());
    }
    assert!(of_flow.values().all(|sizes| sizes.len() == 3));
    for (size, share) in [(60, 7), (590, 4), (1514, 1)] {
        let expected = all.len() * share / 12;
        assert!(sizes[&size] >= expected * 9 / 10 && sizes[&size] <= expected * 11 / 10);
    }
}

#[test]
fn zipf_prefers_few_flows() {
    let all = frames(&mut *start("synth:zipf=1.2,flows=1000", 1, None)[0], 200);
    let mut hits: HashMap<_, usize> = HashMap::new();
    for frame in &all {
        *hits.entry(frame.clone()).or_default() += 1;
    }
    assert!(*hits.values().max().unwrap() > all.len() / 10);
}

#[test]
fn a_count_is_shared_by_the_queues_and_then_ends() {
    let mut queues = start("synth:count=131", 2, None);
    let counts: Vec<usize> = queues.iter_mut().map(|rx| frames(&mut **rx, 3).len()).collect();
    assert_eq!(counts, [66, 65]);
    assert!(queues.iter_mut().all(|rx| rx.arrival() == Arrival::Ended));
}

#[test]
fn destinations_come_from_the_file_in_both_families() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dst");
    std::fs::write(&path, "192.0.2.0/24 via x\n2001:db8:7::/48\n").unwrap();
    let text = format!("synth:dst={}", path.display());
    let mut families = HashSet::new();
    for frame in frames(&mut *start(&text, 1, None)[0], 2) {
        check(&frame);
        match frame.len() {
            60 => assert_eq!(frame[30..33], [192, 0, 2]),
            _ => assert_eq!(frame[38..44], [0x20, 0x01, 0x0d, 0xb8, 0, 7]),
        }
        families.insert(frame.len());
    }
    assert_eq!(families.len(), 2);
}

#[test]
fn frames_that_fit_no_buffer_are_missed() {
    let pool = Pool::Native(NativePool::new(128, 600));
    let mut cache = pool.cache(0);
    let mut burst = Burst::new(Origin::Native);
    let mut rx = start("synth:imix", 1, None);
    let count = rx[0].rx_burst(&mut burst, &mut cache);
    assert_eq!((count, burst.count()), (59, 59));
    assert_eq!(rx[0].missed(), 5);
    drop((burst, cache));
    pool.check_complete().unwrap();
}

#[test]
fn buffers_of_another_pool_are_not_taken_for_as_large_as_the_first() {
    let [mut large, mut small] =
        [600, 100].map(|room| NativePool::new(8, room)).map(|pool| Pool::Native(pool).cache(0));
    let mut burst = Burst::new(large.origin());
    let mut rx = start("synth:size=512", 1, None);
    assert_eq!(rx[0].rx_burst(&mut burst, &mut large), 8);
    assert_eq!(rx[0].rx_burst(&mut burst, &mut small), 0);
}

#[test]
fn what_is_sent_to_a_generator_is_discarded() {
    let pool = Pool::Native(NativePool::new(4, 256));
    let mut cache = pool.cache(0);
    let mut burst = Burst::new(Origin::Native);
    let mut port = Spec::parse("synth").unwrap().open().unwrap();
    let config = PortConfig::default();
    let mut tx: Vec<Box<dyn TxQueue>> = port.start(&config).unwrap().tx;
    assert!(cache.append(&mut burst, &[0; 60]));
    tx[0].tx_burst(&mut burst, PacketMask::FULL, &mut cache, Nanos(0));
    assert_eq!(port.xstats()[0], ("discarded_packets".to_owned(), 1));
}
