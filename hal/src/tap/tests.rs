#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]
#![expect(unsafe_code, reason = "raw sockets and namespaces are reached through libc")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::*;
use crate::pool::{NativePool, Origin, Pool};
use crate::{LinkState, Spec};

/// An EtherType for experiments (IEEE 802), so that the kernel's own chatter is told apart.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

/// Runs `test` in a network namespace of its own, or says why not.
fn in_own_namespace(test: impl FnOnce() + Send + 'static) {
    if !Path::new("/dev/net/tun").exists() {
        eprintln!("skipped: no /dev/net/tun");
        return;
    }
    let run = move || {
        // SAFETY: unshare takes no pointers and changes only this thread.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: no right to make a network namespace");
            return;
        }
        test();
    };
    std::thread::spawn(run).join().unwrap();
}

/// A socket that sees all frames of the interface `name` and can send on it.
fn packet_socket(name: &str) -> OwnedFd {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(protocol)) };
    assert!(fd >= 0);
    // SAFETY: made just now.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: zero is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    // SAFETY: the name ends with a zero.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) }.cast_signed();
    let len = size_of_val(&address) as u32;
    // SAFETY: the address lives across the call and has the length given.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), len) };
    assert_eq!(bound, 0);
    socket
}

/// Waits until `fd` can be read, two seconds at most.
fn readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, as the count says.
    unsafe { libc::poll(&raw mut poll, 1, 2_000) == 1 }
}

fn frame(mark: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![mark; len];
    frame[..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9]);
    frame[12..14].copy_from_slice(&EXPERIMENT);
    frame
}

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
        let mut seen = Vec::new();
        while seen.len() < 3 {
            assert!(readable(socket.as_raw_fd()));
            let mut bytes = [0_u8; 2048];
            // SAFETY: the buffer is as long as the call is told.
            let len = unsafe { libc::read(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), 2048) };
            let bytes = &bytes[..len as usize];
            if bytes[12..14] == EXPERIMENT {
                seen.push(bytes.to_vec());
            }
        }
        assert_eq!(seen, [frame(0, 100), frame(1, 101), frame(2, 102)]);

        // From the kernel to the port: more than a burst, up to the MTU.
        let mut lens: Vec<usize> = (0..80).map(|i| 60 + i).collect();
        lens.push(1414);
        for &len in &lens {
            let bytes = frame(7, len);
            // SAFETY: the buffer is as long as the call is told.
            let sent = unsafe { libc::write(socket.as_raw_fd(), bytes.as_ptr().cast(), len) };
            assert_eq!(sent, len as isize);
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
            let bytes = frame(7, 60);
            // SAFETY: the buffer is as long as the call is told.
            unsafe { libc::write(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
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
