use super::*;
use crate::interface::rig::{
    EXPERIMENT, frame, in_own_namespace, packet_socket, readable, receive, send,
};
use crate::pool::{NativePool, Origin, Pool};
use crate::{LinkState, Spec};

#[test]
fn frames_cross_a_tap_in_both_directions() {
    in_own_namespace(|| {
        let spec = Spec::parse("tap:cable0,peer=02:00:00:00:00:07").unwrap();
        let mut port = match spec.open() {
            Ok(port) => port,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        assert_eq!(port.link().state, LinkState::Down);
        let config = PortConfig { mtu: 1400, ..PortConfig::default() };
        let mut queues = port.start(&config).unwrap();
        assert_eq!(port.link().state, LinkState::Up);
        let read = |what| std::fs::read_to_string(format!("/proc/thread-self/net/{what}")).unwrap();
        assert!(read("dev").contains("cable0"));

        let socket = packet_socket("cable0");
        let pool = Pool::Native(NativePool::new(128, 2048));
        let mut cache = pool.cache(0);
        let mut burst = Burst::new(Origin::Native);

        // From the port to the kernel.
        for mark in 0..3 {
            assert!(cache.append(&mut burst, &frame(mark, 100 + usize::from(mark))));
        }
        assert!(cache.append(&mut burst, &[0; 3]));
        let sent = queues.tx[0].tx_burst(&mut burst, PacketMask::FULL, &mut cache, Nanos(0));
        assert_eq!(sent, PacketMask(0b0111), "a frame without a whole header cannot be sent");
        assert!(burst.owned().is_empty());
        burst.clear();
        let seen = [(); 3].map(|()| receive(&socket));
        assert_eq!(seen, [frame(0, 100), frame(1, 101), frame(2, 102)]);

        // From the kernel to the port: more than a burst, up to the MTU.
        let mut lens: Vec<usize> = (0..80).map(|i| 60 + i).collect();
        lens.push(1414);
        for &len in &lens {
            send(&socket, &frame(7, len));
        }
        let fd = queues.rx[0].pollable_fd().unwrap();
        let mut received = Vec::new();
        while received.len() < lens.len() {
            assert!(readable(fd));
            let count = queues.rx[0].rx_burst(&mut burst, &mut cache);
            assert!(count <= VECTOR && count == burst.count());
            for slot in 0..count {
                if burst.frame(slot)[12..14] == EXPERIMENT {
                    received.push(burst.len(slot));
                }
            }
            cache.free(&mut burst, PacketMask::FULL);
            burst.clear();
        }
        assert_eq!(received, lens);
        assert_eq!(queues.rx[0].missed(), 0);

        drop((queues, port, cache, burst));
        assert!(!read("dev").contains("cable0"), "the device goes with its port");
        pool.check_complete().unwrap();
    });
}

#[test]
fn frames_that_the_queue_had_no_room_for_are_counted() {
    in_own_namespace(|| {
        let spec = Spec::parse("tap:full0").unwrap();
        let mut port = match spec.open() {
            Ok(port) => port,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let mut queues = port.start(&PortConfig::default()).unwrap();
        let socket = packet_socket("full0");
        let before = port.counters();
        let written = 4_000;
        for _ in 0..written {
            send(&socket, &frame(7, 60));
        }
        let pool = Pool::Native(NativePool::new(128, 2048));
        let (mut cache, mut burst) = (pool.cache(0), Burst::new(Origin::Native));
        let mut received = 0;
        while queues.rx[0].rx_burst(&mut burst, &mut cache) > 0 {
            let own = |slot: &usize| burst.frame(*slot)[12..14] == EXPERIMENT;
            received += (0..burst.count()).filter(own).count() as u64;
            cache.free(&mut burst, PacketMask::FULL);
            burst.clear();
        }
        let missed = port.counters().since(before).missed;
        assert!(missed > 0 && received + missed >= written, "{received} + {missed}");
    });
}

#[test]
fn a_persistent_tap_stays_and_can_be_taken_over() {
    in_own_namespace(|| {
        let spec = Spec::parse("tap:stays0,persist").unwrap();
        match spec.open() {
            Ok(port) => drop(port),
            Err(error) => return eprintln!("skipped: {error}"),
        }
        assert!(std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().contains("stays0"));
        assert!(spec.open().is_ok());
    });
}

#[test]
fn the_own_mac_is_stable_unicast_and_local() {
    let spec = TapSpec::parse("tap0").unwrap();
    assert_eq!(spec.own_mac(), TapSpec::parse("tap0,persist").unwrap().own_mac());
    assert_ne!(spec.own_mac(), TapSpec::parse("tap1").unwrap().own_mac());
    assert_eq!(spec.own_mac()[0] & 3, 2);
}
